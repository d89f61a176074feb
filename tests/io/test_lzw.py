import io
import shutil
import subprocess
import tracemalloc

import numpy as np
import pytest
from uncompresspy import LZWFile

from ndmapper.errors import ServiceError
from ndmapper.io import lzw
from ndmapper.io.lzw import LzwStream, open_lzw
from ndmapper.services.transfer.unpack import unpack


def decompress(content):
    return LzwStream(io.BytesIO(content)).read()


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
@pytest.mark.parametrize("name", CONTENT)
def test_decompress_gives_what_was_compressed(name, largest):
    packed = compress(CONTENT[name], largest)
    assert decompress(packed) == CONTENT[name]


def test_decompress_of_the_old_form_is_refused_and_not_wrong():
    packed = compress(CONTENT["text"], has_clear=False)
    with pytest.raises(OSError, match="gzip -d"):
        decompress(packed)


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
    with pytest.raises(OSError, match="damaged"):
        decompress(content)


def test_decompress_short_gives_what_there_is():
    whole = compress(CONTENT["text"])
    assert CONTENT["text"].startswith(decompress(whole[: len(whole) // 2]))


def test_stream_seeks_to_and_fro():
    content = CONTENT["levels"]
    stream = LzwStream(io.BytesIO(compress(content)))
    for at in (0, 50_000, 10, 110_000, 3, len(content) + 5):
        assert stream.seek(at) == stream.tell() == min(at, len(content))
        assert stream.read(70) == content[at : at + 70]


def test_stream_seeks_in_steps_that_fit_into_memory(monkeypatch):
    # uncompresspy keeps all that one seek passes over.
    steps = []

    def seek(self, offset, whence=0):
        steps.append(offset - self.tell())
        return library_seek(self, offset, whence)

    library_seek = LZWFile.seek
    monkeypatch.setattr(LZWFile, "seek", seek)
    monkeypatch.setattr(lzw, "_PIECE", 1000)
    stream = LzwStream(io.BytesIO(compress(CONTENT["levels"])))
    assert stream.seek(110_000) == 110_000
    assert len(steps) == 110
    assert max(steps) == 1000


def test_content_is_decompressed_once_for_all_extensions(monkeypatch):
    packed = compress(CONTENT["text"])
    assert open_lzw(io.BytesIO(packed), "one").read() == CONTENT["text"]
    assert open_lzw(io.BytesIO(b""), "one").read() == CONTENT["text"]
    assert open_lzw(io.BytesIO(compress(b"other")), "two").read() == b"other"


def bomb(codes=65_000):
    """Write a file of which each code stands for one byte more than the one before."""
    out = bytearray(b"\x1f\x9d\x90")
    width, free, group = 9, 257, [97]
    for _ in range(codes):
        group.append(free)
        free += 1
        if len(group) == 8:
            bits = sum(code << (i * width) for i, code in enumerate(group))
            out += bits.to_bytes(width, "little")
            group = []
        if free > (1 << width) - 1 and width < 16:
            bits = sum(code << (i * width) for i, code in enumerate(group))
            out += bits.to_bytes(width, "little") if group else b""
            group, width = [], width + 1
    return bytes(out)


def test_bomb_is_refused_before_it_takes_the_memory(tmp_path):
    content = bomb()
    assert len(content) < 140_000
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="256 MB"):
            LzwStream(io.BytesIO(content)).read()
        (tmp_path / "a.Z").write_bytes(content)
        with pytest.raises(ServiceError, match="no whole Z file"):
            unpack(tmp_path / "a.Z", tmp_path / "a.fits")
        assert tracemalloc.get_traced_memory()[1] < 1 << 30
    finally:
        tracemalloc.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["a.Z"]
