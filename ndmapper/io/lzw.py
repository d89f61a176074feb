"""
Files that the Unix program ``compress`` wrote (ending in .Z), decompressed in pieces.

The package uncompresspy decodes them. It sets no limit to its table of codes, and one
code can stand for as many bytes as there were codes before: a file of 135 kB takes 2 GB
for the table alone. The limits are here.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from uncompresspy import LZWFile

__all__ = ["LzwStream", "open_lzw"]

_LARGEST_WIDTH = 16
_HAS_CLEAR = 0x80
_TABLE = 256 << 20
"""Bytes in the table of codes; a file that needs more holds hundreds of MB of zeros."""

_PIECE = 1 << 20
_CACHED = 64 << 20
"""The last file decompressed stays in memory up to this size in bytes."""

_cache: tuple[Any, bytes] | None = None


class _Table(list[bytes]):
    """The table of codes, of limited size."""

    def __init__(self, codes: list[bytes]) -> None:
        super().__init__(codes)
        self.size = 0

    def append(self, entry: bytes, /) -> None:
        self.size += len(entry)
        if self.size > _TABLE:
            msg = f"its codes take more than {_TABLE >> 20} MB; decompress it by hand"
            raise ValueError(msg)
        super().append(entry)

    def __delitem__(self, key: Any, /) -> None:
        self.size = 0  # only ever emptied
        super().__delitem__(key)


class _FewCodes(io.RawIOBase):
    """A compressed file that hands out few codes of the last width at a time."""

    def __init__(self, raw: BinaryIO, width: int) -> None:
        self.raw = raw
        self.width = width

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self.raw.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        # All codes of one width are asked for at once. Those of the last width may
        # come in parts, if these are whole groups of eight codes.
        if size == self.width << (self.width - 4):
            size = min(size, 32 * self.width)
        return self.raw.read(size)


class LzwStream(LZWFile):  # type: ignore[misc]
    """The content of a compressed file, as a stream that can seek."""

    _close_file = False  # also of a file that is refused, which Python closes too

    def __init__(self, raw: BinaryIO) -> None:
        raw.seek(0)
        start = raw.read(3)
        width = start[2] & 0x1F if start[:2] == b"\x1f\x9d" and start[2:] else 0
        if not 9 <= width <= _LARGEST_WIDTH:
            msg = f"it is damaged: codes of up to {width} bits are not known"
            raise OSError(msg)
        if not start[2] & _HAS_CLEAR:  # which uncompresspy 0.4 reads wrongly
            msg = (
                "it is of the old form of compress (before 1986, or option -C), which "
                "is not read; decompress it with gzip -d"
            )
            raise OSError(msg)
        raw.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bits that mean nothing
            super().__init__(_FewCodes(raw, width), warn_truncation=False)
        self._dictionary: list[bytes] = _Table(self._dictionary)

    def read(self, size: int = -1, /) -> bytes:
        """Read that many bytes, or all until the end; damage is an OSError."""
        pieces = []
        left = size if size >= 0 else None
        while left is None or left > 0:
            with _damage_as_os_error():
                piece = super().read(min(left or _PIECE, _PIECE))
            if not piece:
                break
            pieces.append(piece)
            if left is not None:
                left -= len(piece)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place, or to the end where that comes before."""
        if whence == os.SEEK_END:
            msg = "the end is only known when it is reached"
            raise io.UnsupportedOperation(msg)
        target = offset + (self.tell() if whence == os.SEEK_CUR else 0)
        if target < self.tell():
            super().seek(0)
        # In steps, since uncompresspy keeps all that one seek passes over.
        while (at := self.tell()) < target:
            with _damage_as_os_error():
                super().seek(min(target, at + _PIECE))
            if self.tell() == at:
                break
        return int(self.tell())


@contextmanager
def _damage_as_os_error() -> Iterator[None]:
    try:
        yield
    except ValueError as err:
        msg = f"it is damaged: {err}"
        raise OSError(msg) from err


class _Content(io.BytesIO):
    """A file in memory, whose end cannot be passed, as that of other files."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        end = self.getbuffer().nbytes
        return super().seek(min(super().seek(offset, whence), end))


def open_lzw(raw: BinaryIO, version: Any) -> BinaryIO:
    """
    Open a compressed file; `version` tells when it is no longer the one in the cache.

    The last file is cached if it is not large: each extension is read by itself, and to
    reach it all before it must be decompressed.
    """
    global _cache  # noqa: PLW0603
    if _cache is not None and _cache[0] == version:
        return _Content(_cache[1])
    stream = LzwStream(raw)
    content = stream.read(_CACHED + 1)
    if len(content) <= _CACHED:
        _cache = version, content
        return _Content(content)
    stream.seek(0)
    return stream
