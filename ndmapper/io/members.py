"""Members of a gzip file, found without decompressing it."""

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

__all__ = ["ends_at"]

_START = b"\x1f\x8b\x08"
_LEAST = 18
"""No member is shorter than its header of 10 bytes and its end of 8."""
_CHUNK = 1 << 20
_SAMPLE = 1 << 16


def ends_at(path: Path, size: int) -> bool:
    """
    Say whether a gzip file holds so much and no more, where its end tells.

    Parameters
    ----------
    path : Path
        The file.
    size : int
        A number of whole FITS blocks, in bytes.

    Returns
    -------
    bool
        False where it holds more, and where it may have more than one member: each of
        them ends with its own size alone (RFC 1952, section 2.3.1). That is given
        modulo 2**32, which is no multiple of a block, so that nothing can follow.
    """
    with path.open("rb") as raw:
        raw.seek(-4, os.SEEK_END)
        (stated,) = struct.unpack("<I", raw.read(4))
        return stated == size & 0xFFFFFFFF and not _has_another(raw)


def _has_another(raw: BinaryIO) -> bool:
    place = raw.seek(_LEAST)
    kept = b""
    while chunk := raw.read(_CHUNK):
        content = kept + chunk
        at = content.find(_START)
        while at != -1:
            raw.seek(place - len(kept) + at)
            if _is_member(raw.read(_SAMPLE)):
                return True
            at = content.find(_START, at + 1)
        place = raw.seek(place + len(chunk))
        kept = content[-len(_START) + 1 :]
    return False


def _is_member(start: bytes) -> bool:
    """Whether bytes begin as a member does; three of them often agree by chance."""
    try:
        zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(start)
    except zlib.error:
        return False
    return True
