"""
One array of an image: in a file, computed or in memory, with copies made on write.

Arrays that were not read yet are registered by their file, so that they are read
before that is replaced.
"""

import contextlib
import enum
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from ndmapper.errors import ModeError, NdmapperError
from ndmapper.io.arrays import ArrayHandle, is_basic_index
from ndmapper.io.headers import StoredHeader
from ndmapper.io.source import Source

__all__ = [
    "ArraySource",
    "DeferredSource",
    "LazyArray",
    "Ownership",
    "load_before_replaced",
    "register",
    "with_operands",
]

Array = npt.NDArray[Any]


class ArraySource(Protocol):
    """What an array is read or computed from: a place in a file, or an operation."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; nothing is read."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type; nothing is read."""

    def read(self) -> Array:
        """Read or compute a new array."""

    def take(self, item: Any) -> "ArraySource":
        """Take a section by numbers, slices and an ellipsis; nothing is read."""


class DeferredSource(ArraySource, Protocol):
    """The result of an operation that is not carried out yet."""

    def read(self, *, whole: bool = False) -> Array:
        """Compute a new array; of the whole result, others are kept until asked for."""

    def take(self, item: Any) -> "DeferredSource":
        """Take a section by numbers, slices and an ellipsis; nothing is computed."""

    @property
    def operands(self) -> "list[LazyArray]":
        """The arrays that it is computed from."""

    @property
    def has_rows(self) -> bool:
        """Whether some rows are computed without the rest."""


class Ownership(enum.Enum):
    """Who else may see or change the array of a `LazyArray`: when it must be copied."""

    PRIVATE = enum.auto()
    """Only the LazyArray has it; its copies and sections share it, copying on write."""
    SHARED = enum.auto()
    """Shared with another LazyArray (copy on write)."""
    EXPOSED = enum.auto()
    """Given by, or returned to, the caller, so it may change at any time: copies are
    made eagerly, not on write."""
    IMMUTABLE = enum.auto()
    """It never changes: deferred operations may keep a reference."""


# Those whose array is copied before it is handed out or written to.
_COPIED_ON_WRITE = (Ownership.SHARED, Ownership.IMMUTABLE)


class LazyArray:
    """
    An array that is read or computed when it is asked for.

    Parameters
    ----------
    handle : ArrayHandle, optional
        Where it lies in a file.
    array : ndarray, optional
        The array in memory.
    header : StoredHeader, optional
        The header of its HDU, for uncertainty and flags.
    ownership : Ownership, optional
        By default EXPOSED for an array that is given.
    deferred : DeferredSource, optional
        How to compute the array, where that was not done yet. It counts as a change
        to what lies in the file.
    """

    __slots__ = (
        "__weakref__", "_array", "deferred", "handle", "header", "is_common",
        "ownership",
    )  # fmt: skip

    def __init__(
        self,
        handle: ArrayHandle | None = None,
        array: Array | None = None,
        *,
        header: StoredHeader | None = None,
        ownership: Ownership | None = None,
        deferred: DeferredSource | None = None,
    ) -> None:
        self.handle = handle
        self._array = array
        self.header = header
        if ownership is None:
            ownership = Ownership.PRIVATE if array is None else Ownership.EXPOSED
        self.ownership = ownership
        # Several images have this one: operators in place put another in its place.
        self.is_common = False
        self.deferred = deferred

    @property
    def is_loaded(self) -> bool:
        """Whether the array is in memory."""
        return self._array is not None

    @property
    def is_in_file(self) -> bool:
        """Whether the array still has to be read from its file."""
        return self._array is None and self.deferred is None

    @property
    def has_rows(self) -> bool:
        """Whether some rows are read or computed without the rest."""
        if self._array is not None:
            return True
        if self.deferred is not None:
            return self.deferred.has_rows
        # Only the whole of a compressed file can be read.
        return self.handle is not None and self.handle.source.compression is None

    @property
    def is_immutable(self) -> bool:
        """Whether the array never changes, also once it is read."""
        return self.ownership is Ownership.IMMUTABLE

    @property
    def form(self) -> ArraySource | Array:
        """Something with the shape and type of the array; nothing is read."""
        if self._array is not None:
            return self._array
        if self.deferred is not None:
            return self.deferred
        assert self.handle is not None
        return self.handle

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.form.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the array."""
        return self.form.dtype

    @property
    def array(self) -> Array:
        """The array for the caller, read now if it was not, and from now on exposed."""
        array = self.read_only()
        if self.ownership in _COPIED_ON_WRITE:
            array = self._array = array.copy()
        self.ownership = Ownership.EXPOSED
        return array

    def read_only(self) -> Array:
        """Return the array, which may be another's, and must not be changed."""
        if self._array is None:
            self._array = self._read()
            self.deferred = None
        return self._array

    def read_uncached(self) -> Array:
        """Return the array, not to be changed, without keeping it in memory."""
        return self._read() if self._array is None else self._array

    def load(self) -> None:
        """Read or compute the array, as a file is about to be replaced."""
        self.read_only()

    def _read(self) -> Array:
        source = self.handle if self.deferred is None else self.deferred
        assert source is not None
        return source.read()

    def writable(self) -> Array | None:
        """Return the array if a result may be written into it, else None."""
        if self.is_common or self.ownership in _COPIED_ON_WRITE:
            return None
        found = self._array
        return found if found is not None and found.flags.writeable else None

    @property
    def is_modified(self) -> bool:
        """Whether what is in memory differs from what is in the file."""
        if self._array is None:
            return self.deferred is not None
        if self.handle is None:
            return True
        try:
            stored = self.handle.read()
        except NdmapperError:
            # The file is gone, or another one by now: this is all that there is.
            return True
        same = stored.dtype == self._array.dtype and stored.shape == self._array.shape
        # Compared as bytes: NaN is NaN, and minus zero is not zero.
        return not (same and np.array_equal(_bits(stored), _bits(self._array)))

    def copy(self) -> "LazyArray":
        """Copy on write, or at once where the array is exposed; nothing is read."""
        array, ownership = self._array, Ownership.PRIVATE
        if array is not None:
            if self.ownership is Ownership.EXPOSED:
                array = array.copy()
            else:
                ownership = self._share()
        new = LazyArray(
            self.handle, array, ownership=ownership,
            header=None if self.header is None else self.header.copy(),
            deferred=self.deferred,
        )  # fmt: skip
        return new.registered()

    def _share(self) -> Ownership:
        """Let another have the array, too; neither writes to it from now on."""
        if self.ownership is Ownership.PRIVATE:
            self.ownership = Ownership.SHARED
        return Ownership.SHARED

    def registered(self) -> "LazyArray":
        """Have the array read before this program replaces the file it is in."""
        if self._array is None:
            for one in with_operands([self]) if self.deferred else (self,):
                if one.is_in_file and one.handle is not None:
                    register(one.handle.source, self)
        return self

    def section(self, item: Any) -> "LazyArray":
        """Take a section, copied on write; of an array in a file nothing is read."""
        handle = None
        if is_basic_index(item):
            if self.handle is not None:
                handle = self.handle.take(item)
            if self._array is None:
                deferred = None if self.deferred is None else self.deferred.take(item)
                new = LazyArray(handle, deferred=deferred)
                return new.registered()
        taken = np.asarray(self.read_only()[item])
        if self.ownership is Ownership.EXPOSED:
            taken, ownership = taken.copy(), Ownership.PRIVATE
        else:
            ownership = self._share()
        return LazyArray(handle, taken, ownership=ownership)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pixels that lie in a file travel as the name of that file.
        stored = self.handle is not None and not self.is_modified
        array = None if stored else self._array
        ownership = self.ownership
        if array is None and ownership is not Ownership.IMMUTABLE:
            ownership = Ownership.PRIVATE
        return _rebuild, (
            self.handle, array, self.header, ownership, self.deferred,
        )  # fmt: skip

    def free(self, what: str) -> None:
        """
        Forget the array in memory; it is read again when it is asked for.

        Raises
        ------
        ModeError
            If what is in memory is nowhere else.
        """
        if self.is_modified:
            msg = (
                f"the {what} in memory differ from the file, and would be lost; save "
                "the file first, or call its reload() to give the changes up"
            )
            raise ModeError(msg)
        self._array = None
        self.ownership = Ownership.PRIVATE
        self.registered()

    def rebase(self, handle: ArrayHandle, raw: bytes | None) -> None:
        """Connect with the place and, if it has one of its own, header after a save."""
        self.handle = handle
        self.deferred = None
        if self.is_common:
            self.registered()  # the other image outlives the next save of this file
        if raw is not None:
            if self.header is None:
                self.header = StoredHeader(raw)
            else:
                self.header.rebase(raw)


def _rebuild(
    handle: ArrayHandle | None,
    array: Array | None,
    header: StoredHeader | None,
    ownership: Ownership,
    deferred: DeferredSource | None,
) -> LazyArray:
    new = LazyArray(
        handle, array, header=header, ownership=ownership, deferred=deferred
    )
    return new.registered()


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def with_operands(arrays: Iterable[LazyArray]) -> Iterator[LazyArray]:
    """Yield arrays, and all that those not computed yet are computed from."""
    left, seen = list(arrays), set()
    while left:
        one = left.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            if one.deferred is not None:
                left += one.deferred.operands


# ---- what is read before its file is replaced


_MANY = 1000
"""From so many files on, those are forgotten of which no array is left."""


class Loadable(Protocol):
    """Something with pixels that lie in a file."""

    def load(self) -> None:
        """Read them into memory, as they are about to go."""


# By the number that the file has on its disk, since a file has many names.
_registry: dict[int, "WeakValueDictionary[int, Any]"] = {}


def register(source: Source, one: Loadable) -> None:
    """Note that a copy or section has to be loaded before its file is overwritten."""
    number = source.inode
    if len(_registry) > _MANY and number not in _registry:
        for gone in [n for n, found in list(_registry.items()) if not found]:
            _registry.pop(gone, None)
    _registry.setdefault(number, WeakValueDictionary())[id(one)] = one


def load_before_replaced(path: Path, own: Iterable[LazyArray] = ()) -> None:
    """Load what copies and sections have in a file; its `own` arrays are written."""
    try:
        found = _registry.pop(path.stat().st_ino, None)
    except OSError:  # there is none
        return
    if not found:
        return
    mine = {id(array) for array in own}
    for one in list(found.values()):
        if id(one) in mine:
            continue
        # Where it cannot be read any more, the error comes when it is asked for.
        with contextlib.suppress(NdmapperError):
            one.load()
