"""Small pieces of a file, read with as little as possible around them."""

import os
import sys
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from ndmapper.io.source import Source, clear_read_errors, count_read

__all__ = ["Pieces"]

_BINARY = getattr(os, "O_BINARY", 0)  # of Windows, which else translates line ends


class Pieces:
    """
    A file that is open for as long as a context lasts, to read pieces of it.

    Without the layers of a stream, which take longer than a small piece.

    Parameters
    ----------
    source : Source
        The file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._file = -1
        self._stream: AbstractContextManager[BinaryIO] | None = None
        self._content: BinaryIO | None = None

    def __enter__(self) -> "Pieces":
        source = self._source
        if source.compression is not None:
            self._stream = source.open()
            self._content = self._stream.__enter__()
            return self
        try:
            self._file = os.open(source.path, os.O_RDONLY | _BINARY)
            source.compare(os.fstat(self._file))
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind: Any, error: BaseException | None, *where: Any) -> None:
        if self._stream is not None:
            self._stream.__exit__(kind, error, where[0] if where else None)
            return
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if error is not None:
            with clear_read_errors(self._source.path):
                raise error

    def read_into(self, offset: int, content: npt.NDArray[np.uint8]) -> None:
        """
        Read a piece into memory that is there already; it is counted.

        Parameters
        ----------
        offset : int
            Where it starts, in bytes of the decompressed content.
        content : ndarray of uint8
            One row of bytes, all of which are filled.

        Raises
        ------
        TruncatedFileError
            If the file ends before.
        """
        count_read(self._source.path, len(content))
        if self._content is not None:
            self._content.seek(offset)
        found = 0
        with content.data as view:
            while found < len(content):
                count = self._read_some(offset + found, view[found:])
                if not count:
                    end = offset + len(content)
                    raise self._source.truncated(end, offset + found)
                found += count

    def _read_some(self, offset: int, view: memoryview) -> int:
        if self._content is not None:
            return int(cast(Any, self._content).readinto(view))
        if hasattr(os, "preadv"):  # which Windows has not
            return os.preadv(self._file, [view], offset)
        found = self._read_at(offset, len(view))
        view[: len(found)] = found
        return len(found)

    def compare(self) -> None:
        """
        Make sure that the file was not written to while it was open.

        Raises
        ------
        FileChangedError
            If it was.
        """
        if self._content is None:
            self._source.compare(os.fstat(self._file))

    def read(self, offset: int, size: int) -> bytes:
        """
        Read a piece, which is counted.

        Parameters
        ----------
        offset, size : int
            Where, and how many bytes, of the decompressed content.

        Returns
        -------
        bytes
            Exactly `size` of them.

        Raises
        ------
        TruncatedFileError
            If the file ends before.
        """
        count_read(self._source.path, size)
        if self._content is not None:
            self._content.seek(offset)
            found = self._content.read(size)
        else:
            found = self._read_at(offset, size)
            while len(found) < size and (
                more := self._read_at(offset + len(found), size - len(found))
            ):
                found += more
        if len(found) != size:
            raise self._source.truncated(offset + size, offset + len(found))
        return found

    def _read_at(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):  # which Windows has not
            return os.pread(self._file, size, offset)
        os.lseek(self._file, offset, os.SEEK_SET)
        return os.read(self._file, size)
