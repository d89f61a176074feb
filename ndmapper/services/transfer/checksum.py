"""Checksums of raw files, as archives publish them."""

import bz2
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ndmapper.errors import FileAccessError, ParameterError
from ndmapper.services.transfer.manifest import file_digest, find_note

__all__ = ["has_checksum"]


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def has_checksum(path: Path, checksum: str) -> bool:
    """Whether a file has an MD5 or SHA-256 checksum, as it is or decompressed."""
    kind, _, digits = checksum.strip().lower().rpartition(":")
    kind = kind or {32: "md5", 64: "sha256"}.get(len(digits), "")
    if kind not in {"md5", "sha256"}:
        msg = (
            f"the checksum of {path.name}, {checksum!r}, is neither MD5 nor SHA-256; "
            "correct it in the calibration document"
        )
        raise ParameterError(msg)
    try:
        note = find_note(path)
        if note is not None and note.knows(checksum):
            # The checksum may be that of the archive's compressed file.
            return note.is_of(path) or file_digest(path) == note.md5
        return any(_digest(stream, kind) == digits for stream in _readings(path))
    except (OSError, EOFError) as err:
        msg = f"{path} cannot be read to check it ({err})"
        raise FileAccessError(msg) from err


def _readings(path: Path) -> Iterator[_Readable]:
    with path.open("rb") as stream:
        magic = stream.read(3)
        stream.seek(0)
        yield stream
    if magic[:2] == b"\x1f\x8b":
        with gzip.open(path) as stream:
            yield stream
    elif magic == b"BZh":
        with bz2.open(path) as stream:
            yield stream


def _digest(stream: _Readable, kind: str) -> str:
    # MD5 is what archives publish: it protects against damage, not attacks.
    digest = hashlib.new(kind, usedforsecurity=False)
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
