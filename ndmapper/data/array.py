"""
One array of an image: in a file, computed or in memory, with copies made on write.

Arrays that were not read yet are known by their file, so that they are read before
that is replaced.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from ndmapper.errors import ModeError, NdmapperError
from ndmapper.io.arrays import ArrayHandle, is_basic_index
from ndmapper.io.headers import StoredHeader
from ndmapper.io.roles import UncertaintyKind
from ndmapper.io.source import Source

__all__ = [
    "Keeper",
    "Part",
    "Pending",
    "as_stored",
    "keep_before",
    "note",
    "root_of",
    "squared",
    "walk",
]


Array = npt.NDArray[Any]


class Pending(Protocol):
    """An array that is computed when somebody asks for it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; nothing is computed."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type; nothing is computed."""

    def read(self, *, whole: bool = False) -> Array:
        """
        Compute it.

        Parameters
        ----------
        whole : bool
            The arrays that belong to it will be asked for as well.

        Returns
        -------
        ndarray
            An array that nobody else has.
        """

    def take(self, item: Any) -> "Pending":
        """
        Take a section; nothing is computed.

        Parameters
        ----------
        item : index
            Numbers, slices and an ellipsis.

        Returns
        -------
        Pending
            The section.
        """


def squared(std: Array) -> Array:
    """
    Make variances of standard deviations.

    Parameters
    ----------
    std : ndarray
        Standard deviations; integers become floating point first.

    Returns
    -------
    ndarray of float64
        Variances. Those of float32 are exact: their roots are the same numbers again.
    """
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.square(std, dtype=np.float64))


def root_of(
    variance: Array, dtype: np.dtype[Any] | None = None, out: Array | None = None
) -> Array:
    """
    Make standard deviations of variances.

    Parameters
    ----------
    variance : ndarray
        Variances.
    dtype : dtype, optional
        Type of the result; by default that of the variances.
    out : ndarray, optional
        Array to be filled, instead.

    Returns
    -------
    ndarray of float
        Standard deviations, NaN where a variance is negative.
    """
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        if out is None:
            root = np.asarray(np.sqrt(variance))
            return root if dtype is None else root.astype(dtype, copy=False)
        return np.asarray(np.sqrt(variance, out=out, casting="same_kind"))


def as_stored(
    variance: Array,
    kind: UncertaintyKind,
    dtype: np.dtype[Any] | None = None,
    out: Array | None = None,
) -> Array:
    """
    Make of variances what a file holds.

    Parameters
    ----------
    variance : ndarray
        Variances.
    kind : {'variance', 'std', 'ivar'}
        What the file holds.
    dtype : dtype, optional
        Type of the result; by default that of the variances.
    out : ndarray, optional
        Array to be filled, instead.

    Returns
    -------
    ndarray
        The variances themselves, standard deviations, or inverse variances, which are
        0 where a variance is not finite.
    """
    if kind == "variance":
        return variance
    if kind == "std":
        return root_of(variance, dtype, out)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        inverse = np.asarray(np.divide(1, variance, out=out, casting="same_kind"))
        if out is None and dtype is not None:
            inverse = inverse.astype(dtype, copy=False)
    # An infinite one, without noise, would be read as no data as well.
    inverse[~np.isfinite(inverse)] = 0
    return inverse


class Part:
    """
    An array that is read when somebody asks for it.

    Parameters
    ----------
    handle : ArrayHandle, optional
        Where it lies in a file.
    array : ndarray, optional
        The array in memory.
    header : StoredHeader, optional
        The header of its HDU, for uncertainty and flags.
    is_std : bool
        The file holds standard deviations, the array in memory is their square.
    borrowed : bool
        The array belongs to another part too; it is copied before it is handed out.
    held : bool
        Somebody outside may hold the array, who gave it or got it, and write to it at
        any time. It stays the one of this part; a copy or section is made at once.
    pending : Pending, optional
        How to compute the array, where that was not done yet. It counts as a change
        to what lies in the file.
    fixed : bool
        Nobody can change the array, so what is computed later may refer to it.
    """

    __slots__ = (
        "__weakref__", "_array", "borrowed", "fixed", "handle", "header", "held",
        "is_std", "pending", "shared",
    )  # fmt: skip

    def __init__(
        self,
        handle: ArrayHandle | None = None,
        array: Array | None = None,
        *,
        header: StoredHeader | None = None,
        is_std: bool = False,
        borrowed: bool = False,
        held: bool = True,
        pending: Pending | None = None,
        fixed: bool = False,
    ) -> None:
        self.handle = handle
        self._array = array
        self.header = header
        self.is_std = is_std
        self.borrowed = borrowed
        self.held = held and array is not None and not borrowed
        # Whether several NDLater have this part.
        self.shared = False
        self.pending = pending
        self.fixed = fixed

    @property
    def is_loaded(self) -> bool:
        """Whether the array is in memory."""
        return self._array is not None

    @property
    def form(self) -> ArrayHandle | Array | Pending:
        """Something with the shape and type of the array; nothing is read."""
        if self._array is not None:
            return self._array
        if self.pending is not None:
            return self.pending
        assert self.handle is not None
        return self.handle

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.form.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the array."""
        form = self.form
        is_root = self.is_std and form is self.handle
        return np.dtype(np.float64) if is_root else form.dtype

    @property
    def array(self) -> Array:
        """The array, read now if it was not."""
        array = self.peek()
        if self.borrowed:
            array = self._array = array.copy()
            self.borrowed = False
        self.held = True
        return array

    def peek(self) -> Array:
        """
        Give the array to somebody who only looks at it.

        Returns
        -------
        ndarray
            The array; it may belong to another part, and must not be changed.
        """
        if self._array is None:
            self._array = self._read()
            self.pending = None
        return self._array

    def values(self) -> Array:
        """
        Give the array to somebody who only writes it; it is not kept in memory.

        Returns
        -------
        ndarray
            The array, which must not be changed.
        """
        return self._read() if self._array is None else self._array

    def _read(self) -> Array:
        return self._stored() if self.pending is None else self.pending.read()

    def _stored(self) -> Array:
        assert self.handle is not None
        array = self.handle.read()
        return squared(array) if self.is_std else array

    @property
    def is_modified(self) -> bool:
        """Whether what is in memory differs from what is in the file."""
        if self._array is None:
            return self.pending is not None
        if self.handle is None:
            return True
        try:
            stored = self._stored()
        except NdmapperError:
            # The file is gone, or another one by now: this is all that there is.
            return True
        same = stored.dtype == self._array.dtype and stored.shape == self._array.shape
        # Compared as bytes: NaN is NaN, and minus zero is not zero.
        return not (same and np.array_equal(_bits(stored), _bits(self._array)))

    def copy(self) -> "Part":
        """
        Copy the part; nothing is read, and only an array that somebody holds copied.

        Returns
        -------
        Part
            A change to the array of one never shows in the other. Of an array that
            nobody holds, whoever hands it out first makes the copy.
        """
        self.borrowed = self._array is not None and not self.held
        new = Part(
            self.handle,
            self._array.copy()
            if self._array is not None and self.held
            else self._array,
            header=None if self.header is None else self.header.copy(),
            is_std=self.is_std,
            borrowed=self.borrowed,
            held=False,
            pending=self.pending,
        )
        return new.noted()

    def noted(self) -> "Part":
        """
        Have the pixels read before this program replaces the file they are in.

        Returns
        -------
        Part
            This one.
        """
        if self._array is not None:
            return self
        for part in walk([self]) if self.pending is not None else (self,):
            if not part.is_loaded and part.pending is None and part.handle is not None:
                note(part.handle.source, self)
        return self

    def keep(self) -> None:
        """Read or compute the pixels, as a file is about to be replaced."""
        self.peek()

    def section(self, item: Any) -> "Part":
        """
        Take a section; where the array is not in memory nothing is read.

        Parameters
        ----------
        item : index
            What stands between the brackets.

        Returns
        -------
        Part
            A change to the array of one never shows in the other.
        """
        handle = None
        if is_basic_index(item):
            if self.handle is not None:
                handle = self.handle.take(item)
            if self._array is None:
                taken_later = None if self.pending is None else self.pending.take(item)
                new = Part(handle, is_std=self.is_std, pending=taken_later)
                return new.noted()
        taken = np.asarray(self.peek()[item])
        if self.held:
            return Part(handle, taken.copy(), is_std=self.is_std, held=False)
        self.borrowed = True
        return Part(handle, taken, is_std=self.is_std, borrowed=True)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pixels that lie in a file travel as the name of that file.
        stored = self.handle is not None and not self.is_modified
        array = None if stored else self._array
        borrowed = array is not None and self.borrowed
        return _rebuild, (
            self.handle, array, self.header, self.is_std, borrowed, self.pending,
            self.fixed,
        )  # fmt: skip

    def free(self, what: str) -> None:
        """
        Forget the array in memory; it is read again when it is asked for.

        Parameters
        ----------
        what : str
            Name of the part, for the error.

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
        self.borrowed = self.held = False

    def rebase(self, handle: ArrayHandle, raw: bytes | None) -> None:
        """
        Take over where a save wrote the array.

        Parameters
        ----------
        handle : ArrayHandle
            Where it lies now.
        raw : bytes or None
            Its header as it is in the file now, for uncertainty and flags.
        """
        self.handle = handle
        self.pending = None
        if raw is not None:
            if self.header is None:
                self.header = StoredHeader(raw)
            else:
                self.header.rebase(raw)


def _rebuild(  # noqa: PLR0917  # what a pickle holds, in order
    handle: ArrayHandle | None,
    array: Array | None,
    header: StoredHeader | None,
    is_std: bool,
    borrowed: bool,
    pending: Pending | None,
    fixed: bool,
) -> Part:
    new = Part(
        handle, array, header=header, is_std=is_std, borrowed=borrowed, held=False,
        pending=pending, fixed=fixed,
    )  # fmt: skip
    return new.noted()


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


_MANY = 1000
"""From so many files on, those are forgotten of which nobody holds anything."""


class Keeper(Protocol):
    """Something with pixels that lie in a file."""

    def keep(self) -> None:
        """Read them into memory, as they are about to go."""


# By the number that the file has on its disk, since a file has many names.
_keepers: dict[int, "WeakValueDictionary[int, Any]"] = {}


def note(source: Source, keeper: Keeper) -> None:
    """
    Note that a copy or section refers to a file.

    Parameters
    ----------
    source : Source
        The file.
    keeper : Keeper
        What is read before this program replaces the file.
    """
    number = source.inode
    if len(_keepers) > _MANY and number not in _keepers:
        for gone in [n for n, found in list(_keepers.items()) if not found]:
            _keepers.pop(gone, None)
    _keepers.setdefault(number, WeakValueDictionary())[id(keeper)] = keeper


def keep_before(path: Path, own: Iterable[Any] = ()) -> None:
    """
    Read what copies and sections have in a file, before it is replaced.

    Parameters
    ----------
    path : Path
        The file.
    own : iterable of Part
        Parts that need not be read, since the new file is made of them.
    """
    try:
        found = _keepers.pop(path.stat().st_ino, None)
    except OSError:  # there is none
        return
    if not found:
        return
    mine = {id(part) for part in own}
    for keeper in list(found.values()):
        if id(keeper) in mine:
            continue
        # Where it cannot be read any more, that is said when somebody looks.
        with contextlib.suppress(NdmapperError):
            keeper.keep()


def walk(parts: Iterable[Any]) -> Iterator[Any]:
    """
    Go through parts, and those that they are computed from.

    Parameters
    ----------
    parts : iterable of Part
        Where to begin.

    Yields
    ------
    Part
        Each part that is in a file or in memory, or waits for others.
    """
    left, seen = list(parts), set()
    while left:
        part = left.pop()
        yield part
        pending: Any = None if part.is_loaded else part.pending
        while hasattr(pending, "whole"):
            pending = pending.whole
        node = getattr(pending, "node", None)
        if node is not None and id(node) not in seen:
            seen.add(id(node))
            for side in (node.first, node.second):
                left += side.parts.values()
