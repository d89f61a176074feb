"""Checksums of raw files, as archives publish them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from string import hexdigits
from typing import Protocol

from ndmapper.errors import FileAccessError, FormatError, ParameterError
from ndmapper.io.source import find_source
from ndmapper.services.transfer.manifest import file_digest, find_note

__all__ = ["has_checksum"]


_DIGITS = {"md5": 32, "sha256": 64}


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def has_checksum(path: Path, checksum: str) -> bool:
    """Whether a file has an MD5 or SHA-256 checksum, as it is or decompressed."""
    kind, _, digits = checksum.strip().lower().rpartition(":")
    kind = kind or {32: "md5", 64: "sha256"}.get(len(digits), "")
    if len(digits) != _DIGITS.get(kind) or not set(digits) <= set(hexdigits):
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
        return digits in _digests(path, kind)
    except FormatError as err:
        raise FileAccessError(str(err)) from err
    except OSError as err:
        msg = f"{path} cannot be read to check it ({err})"
        raise FileAccessError(msg) from err


def _digests(path: Path, kind: str) -> Iterator[str]:
    """Yield the digest of a file, then that of its decompressed content."""
    with path.open("rb") as stream:
        yield _digest(stream, kind)
    source = find_source(path, strict=False)
    if source.compression is not None:
        with source.open() as content:
            yield _digest(content, kind)


def _digest(stream: _Readable, kind: str) -> str:
    # MD5 is what archives publish: it protects against damage, not attacks.
    digest = hashlib.new(kind, usedforsecurity=False)
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
