"""
Files that the Unix program ``compress`` wrote (ending in .Z), decompressed in pieces.

The package uncompresspy reads them. A code can stand for as many bytes as there were
codes before, so that a file of 135 kB can hold 5 GB: what is in memory at a time is
bounded here.
"""

import io
import os
import warnings
from typing import Any, BinaryIO

from uncompresspy import LZWFile

__all__ = ["LzwStream", "open_lzw"]

_LARGEST_WIDTH = 16
_HAS_CLEAR = 0x80
_TABLE = 256 << 20
"""Bytes in the table of codes; a file that needs more holds hundreds of MB of zeros."""

_PIECE = 1 << 20
_KEPT = 64 << 20
"""Bytes of a file that are kept for whoever reads the next extension of it."""

_last: tuple[Any, bytes] | None = None


class _Table(list[bytes]):
    """What the codes mean, no more than there is room for."""

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


class _Pieces(io.RawIOBase):
    """A compressed file of which not many codes are read at a time."""

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


class LzwStream(io.RawIOBase):
    """
    The content of a compressed file, as a stream that can seek.

    Parameters
    ----------
    raw : file
        The compressed file.

    Raises
    ------
    OSError
        If it is damaged, also where it is read.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._start()

    def _start(self) -> None:
        self._raw.seek(0)
        start = self._raw.read(3)
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
        self._raw.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bits that mean nothing
            self._codes = LZWFile(
                _Pieces(self._raw, width), warn_truncation=False, save_checkpoints=False
            )
        self._codes._dictionary = _Table(self._codes._dictionary)
        self._at = 0

    def readable(self) -> bool:
        """
        Say that it can be read.

        Returns
        -------
        bool
            True.
        """
        return True

    def seekable(self) -> bool:
        """
        Say that it can seek.

        Returns
        -------
        bool
            True.
        """
        return True

    def tell(self) -> int:
        """
        Say where it stands.

        Returns
        -------
        int
            In bytes of the content.
        """
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """
        Read on.

        Parameters
        ----------
        size : int
            How many bytes; -1 for all.

        Returns
        -------
        bytes
            As many, or all until the end.
        """
        pieces = []
        left = size if size >= 0 else None
        while left is None or left > 0:
            try:
                piece = self._codes.read(min(left or _PIECE, _PIECE))
            except ValueError as err:
                msg = f"it is damaged: {err}"
                raise OSError(msg) from err
            if not piece:
                break
            pieces.append(piece)
            self._at += len(piece)
            if left is not None:
                left -= len(piece)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """
        Go to a place, or to the end where that comes before.

        Parameters
        ----------
        offset : int
            Where to.
        whence : int
            Counted from the start (0) or from here (1).

        Returns
        -------
        int
            Where that is.
        """
        if whence == os.SEEK_END:
            msg = "the end is only known when it is reached"
            raise io.UnsupportedOperation(msg)
        target = offset + (self._at if whence == os.SEEK_CUR else 0)
        if target < self._at:
            self._start()
        while self._at < target and self.read(min(target - self._at, _PIECE)):
            pass
        return self._at


class _Content(io.BytesIO):
    """A file in memory, whose end cannot be passed, as that of other files."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        end = self.getbuffer().nbytes
        return super().seek(min(super().seek(offset, whence), end))


def open_lzw(raw: BinaryIO, mark: Any) -> BinaryIO:
    """
    Open a compressed file.

    Parameters
    ----------
    raw : file
        The compressed file.
    mark : object
        What the file is known by as long as it is the same.

    Returns
    -------
    file
        Its content. That of the last file stays in memory if it is not large, since
        each extension is read by itself, and all before it must be decompressed.

    Raises
    ------
    OSError
        If it is damaged.
    """
    global _last  # noqa: PLW0603
    if _last is not None and _last[0] == mark:
        return _Content(_last[1])
    stream = LzwStream(raw)
    content = stream.read(_KEPT + 1)
    if len(content) <= _KEPT:
        _last = mark, content
        return _Content(content)
    stream.seek(0)
    return stream  # type: ignore[return-value]
