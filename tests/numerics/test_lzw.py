import shutil
import subprocess

import numpy as np
import pytest

from ndmapper.numerics.lzw import decompress


def compress(content, largest=16, *, has_clear=True):
    """Write codes as compress does, emptying the table when it is full."""
    out = bytearray(b"\x1f\x9d")
    out.append(largest | (0x80 if has_clear else 0))
    group = []
    width = 9

    def flush():
        nonlocal group
        if group:
            bits = sum(code << (i * width) for i, code in enumerate(group))
            out.extend(bits.to_bytes(width, "little"))
        group = []

    def put(code):
        group.append(code)
        if len(group) == 8:
            flush()

    first = 257 if has_clear else 256
    table = {bytes([i]): i for i in range(256)}
    free, prefix = first, b""
    for byte in content:
        longer = prefix + bytes([byte])
        if longer in table:
            prefix = longer
            continue
        put(table[prefix])
        if free < 1 << largest:
            table[longer] = free
            free += 1
            if free > 1 << width and width < largest:
                flush()
                width += 1
        elif has_clear:
            put(256)
            flush()
            table = {bytes([i]): i for i in range(256)}
            free, width = first, 9
        prefix = bytes([byte])
    if prefix:
        put(table[prefix])
    bits = sum(code << (i * width) for i, code in enumerate(group))
    out.extend(bits.to_bytes(-(-len(group) * width // 8), "little"))
    return bytes(out)


CONTENT = {
    "nothing": b"",
    "one": b"a",
    "same": b"a" * 5000,
    "text": b"the quick brown fox " * 500,
    "noise": np.random.default_rng(4).bytes(150_000),
    "levels": np.random.default_rng(5).normal(100, 3, 60_000).astype(">i2").tobytes(),
}


@pytest.mark.parametrize("largest", [9, 12, 16])
@pytest.mark.parametrize("has_clear", [True, False])
@pytest.mark.parametrize("name", CONTENT)
def test_decompress_gives_what_was_compressed(name, largest, has_clear):
    packed = compress(CONTENT[name], largest, has_clear=has_clear)
    assert decompress(packed) == CONTENT[name]


@pytest.mark.skipif(not shutil.which("gzip"), reason="gzip is not installed")
@pytest.mark.parametrize("name", ["text", "noise"])
def test_decompress_agrees_with_gzip(name):
    packed = compress(CONTENT[name])
    run = subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True)
    assert decompress(packed) == run.stdout == CONTENT[name]


@pytest.mark.parametrize(
    "content",
    [b"", b"\x1f\x8b\x90", b"\x1f\x9d\x81", b"\x1f\x9d\x90\xff\xff\xff\xff"],
    ids=["empty", "other", "width", "code"],
)
def test_decompress_damaged_is_an_error(content):
    with pytest.raises(ValueError, match=r"\w"):
        decompress(content)


def test_decompress_short_gives_what_there_is():
    whole = compress(CONTENT["text"])
    assert CONTENT["text"].startswith(decompress(whole[: len(whole) // 2]))
