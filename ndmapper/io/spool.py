"""Arrays in a temporary file, of which some rows are read at a time."""

import tempfile
from collections.abc import Callable
from threading import Lock
from typing import Any
from weakref import finalize

import numpy as np
import numpy.typing as npt

from ndmapper.errors import FileAccessError

__all__ = ["Spool", "SpooledArray"]

Array = npt.NDArray[Any]


class Spool:
    """A temporary file of arrays, which lasts as long as they do."""

    def __init__(self) -> None:
        self._file: Any = None
        self._lock = Lock()

    def write(self, array: Array) -> int:
        """
        Append an array; give its place.

        Raises
        ------
        FileAccessError
            If there is no space for it.
        """
        with self._lock:
            try:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(  # noqa: SIM115
                        prefix=".ndmapper-", buffering=0
                    )
                    finalize(self, self._file.close)
                start = int(self._file.seek(0, 2))
                content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
                done = 0
                while done < len(content):
                    done += self._file.write(content[done:].data)
            except OSError as err:
                msg = (
                    f"there is no room in {tempfile.gettempdir()} for what has to be "
                    f"decompressed or computed first ({err.strerror or err}): free "
                    "some, or set TMPDIR to a folder on another disk, and run again"
                )
                raise FileAccessError(msg) from err
        return start

    def read_into(self, start: int, out: Array) -> None:
        """Fill an array from a place."""
        assert self._file is not None
        with self._lock:
            self._file.seek(start)
            content = out.reshape(-1).view(np.uint8)
            done = 0
            while done < len(content):
                done += self._file.readinto(content[done:].data)


class SpooledArray:
    """
    An array that is made when its first rows are asked for, and then kept in a file.

    Parameters
    ----------
    spool : Spool
        The file.
    make : callable
        Makes the array, without arguments.
    shape : tuple of int
        Its shape.
    """

    def __init__(
        self, spool: Spool, make: Callable[[], Array], shape: tuple[int, ...]
    ) -> None:
        self.shape = shape
        self._spool, self._make = spool, make
        self._kept: tuple[int, np.dtype[Any]] | None = None
        self._lock = Lock()

    def __getitem__(self, rows: slice) -> Array:
        with self._lock:  # one thread makes it, and others wait
            if self._kept is None:
                array = self._make()
                self._kept = self._spool.write(array), array.dtype
        start, dtype = self._kept
        first, stop, _ = rows.indices(self.shape[0])
        out = np.empty((max(stop - first, 0), *self.shape[1:]), dtype)
        if out.size:
            self._spool.read_into(start + first * (out.nbytes // len(out)), out)
        return out
