"""The part of a DataFile that is a list, and its arithmetic."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from astropy.nddata import NDData

from ndmapper.data.image import sharing_arrays
from ndmapper.data.ndlater import NDLater
from ndmapper.data.operations import Ready, is_operand, operate, prepare, put_all
from ndmapper.data.operators import Operators, checked_result, documented
from ndmapper.data.primary_header import caught_up
from ndmapper.errors import IdentError
from ndmapper.io.headers import StoredHeader
from ndmapper.io.labels import Ident
from ndmapper.io.layout import Group

__all__ = ["GroupList", "next_ident"]


def _method(name: str) -> Callable[..., Any]:
    def method(
        self: Any, operand: Any, filename: str | os.PathLike[str] | None = None
    ) -> Any:
        found = self._operate(name, operand)
        takes = "files, NDData, arrays, Quantities and numbers"
        made = checked_result(name, operand, found, takes=takes)
        if filename is not None:
            made.filename = filename
        return made

    return documented(
        method, name, "GroupList", "DataFile, NDData, Quantity, array_like or number",
        "    Files are paired by ident.\nfilename : str or path, optional\n"
        "    Name of the result.\n\nReturns\n-------\nDataFile\n"
        "    The result, not saved. What is unread in files is computed when somebody\n"
        "    looks at the result or saves it.\n",
    )  # fmt: skip


def next_ident(taken: list[Ident | None]) -> int:
    """
    Find the ident of a group that is appended.

    Parameters
    ----------
    taken : list of int or str or None
        The idents that there are.

    Returns
    -------
    int
        One more than the largest number, at least 1.
    """
    return max([0, *(i for i in taken if isinstance(i, int))]) + 1


class GroupList(Operators):
    """A list of NDLater with unique idents."""

    _groups: list[NDLater]
    _primary: StoredHeader

    def __len__(self) -> int:
        return len(self._outline)

    def __bool__(self) -> bool:
        # A file without images is a file, so it must not be mistaken for nothing.
        return True

    def __iter__(self) -> Iterator[NDLater]:
        return iter(list(self._groups))

    def __reversed__(self) -> Iterator[NDLater]:
        return reversed(list(self._groups))

    def __contains__(self, item: object) -> bool:
        return any(item is ndd for ndd in self._groups)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, slice):
            new = self.copy()  # type: ignore[attr-defined]
            kept = new._groups[item]
            for ndd in _without(new._groups, kept):
                new._leave(ndd)
            new._groups = kept
            return new
        return self._groups[self._position(item)]

    def __setitem__(self, item: Any, value: Any) -> None:
        if isinstance(item, slice):
            before = self._groups
            kept = list(before)
            kept[item] = [self._view(ndd, None) for ndd in _checked(value)]
            self._number(kept)
            self._groups = kept
            gone, come = _without(before, kept), _without(kept, before)
            for ndd in gone:
                self._leave(ndd)
            for ndd in come:
                same = [old for old in gone if old.ident == ndd.ident]
                self._join(ndd, same[0] if same else None)
                self._take_coordinate_tables(ndd, kept)
            return
        at = self._position(item)
        old = self._groups[at]
        new = self._view(value, old.ident)
        new.content.origin = old.content.origin
        others = [ndd for ndd in self._groups if ndd is not old]
        self._groups[at] = new
        if value is old:  # as after ``df[0] -= 1``
            new.content.tables = old.content.tables
            new.content.extras = old.content.extras
        else:
            self._leave(old)
            self._join(new, old)
        self._take_coordinate_tables(new, others, old)

    def __delitem__(self, item: Any) -> None:
        at = item if isinstance(item, slice) else self._position(item)
        kept = list(self._groups)
        del kept[at]
        for ndd in _without(self._groups, kept):
            self._leave(ndd)
        self._groups = kept

    def _position(self, item: Any) -> int:
        if isinstance(item, int | np.integer) and not isinstance(item, bool):
            if not -len(self) <= item < len(self):
                msg = f"{self!r} has {len(self)} extensions, so none at {item}"
                raise IndexError(msg)
            return int(item) % len(self)
        if isinstance(item, str):
            found = [i for i, ndd in enumerate(self._groups) if ndd.ident == item]
            if len(found) == 1:
                return found[0]
            msg = f"{self!r} has no extension {item!r}; there are: {self.idents}"
            raise IdentError(msg)
        msg = f"an extension is found by position or ident, not by {item!r}"
        raise TypeError(msg)

    @property
    def idents(self) -> list[Ident | None]:
        """The idents in order."""
        return [group.ident for group in self._outline]

    def _leave(self, ndd: NDLater) -> None:
        """Take what belongs to a group out of this file, with it."""

    def _join(self, ndd: NDLater, heir_of: NDLater | None = None) -> None:
        """
        Take what belongs to a new group into this file.

        What never was in a file, such as an array, takes over what belonged to the
        group in whose place it comes.
        """

    def _refer(self, ndd: NDLater, old: NDLater) -> None:
        """Find what belongs to a group of a copy in the copy."""

    def _take_coordinate_tables(
        self, ndd: NDLater, others: Sequence[NDLater], replaced: NDLater | None = None
    ) -> None:
        """Take the tables along that the coordinates of a new group lie in."""

    def _drop_stale(self) -> None:
        """Drop, and say so, what described the errors of pixels that are others now."""

    @property
    def _outline(self) -> "Sequence[NDLater | Group]":
        """The groups, or what is known of them before anybody looks at one."""
        return self._groups

    def renumber(self, start: int = 1) -> None:
        """
        Give the extensions consecutive idents.

        Parameters
        ----------
        start : int
            The first one.
        """
        for i, ndd in enumerate(self._groups, start=start):
            ndd.ident = i

    def append(self, item: Any) -> None:
        """
        Append an image.

        Parameters
        ----------
        item : NDData or array_like
            The image. It keeps an ident that is not used yet, else it gets the next
            number.
        """
        self.insert(len(self), item)

    def extend(self, items: Iterable[Any]) -> None:
        """
        Append several images.

        Parameters
        ----------
        items : iterable of NDData
            The images.
        """
        for item in _checked(items):
            self.append(item)

    def insert(self, index: int, item: Any) -> None:
        """
        Insert an image.

        Parameters
        ----------
        index : int
            Position before which it goes.
        item : NDData or array_like
            The image.
        """
        (item,) = _checked([item])
        view = self._view(item, None)
        if view.ident is None or view.ident in self.idents:
            view.ident = next_ident(self.idents)
        self._join(view)
        self._take_coordinate_tables(view, self._groups)
        self._groups.insert(index, view)

    def reverse(self) -> None:
        """Turn the order of the images round."""
        self._groups.reverse()

    def _number(self, groups: list[NDLater]) -> None:
        taken: list[Ident | None] = []
        for ndd in groups:
            if ndd.ident is None or ndd.ident in taken:
                ndd.ident = next_ident([g.ident for g in groups])
            taken.append(ndd.ident)

    def _view(self, item: Any, ident: Ident | None) -> NDLater:
        """Make an NDLater of our own; what another file holds is not shared with it."""
        (item,) = _checked([item])
        if isinstance(item, NDLater):
            view = item.copy() if item.content.is_owned else sharing_arrays(item)
        else:
            view = NDLater(item)
        content = view.content
        if (
            isinstance(item, NDLater)
            and item.content.primary is self._primary
            and content.in_primary
        ):
            content.stored = caught_up(self._primary, content.stored)
        if content.in_primary and content.stored.raw == self._primary.raw and (
            not content.stored.is_touched and not self._primary.is_touched
            and content.stored.raw is not None and len(self._groups) == 0
        ):  # fmt: skip
            content.stored = self._primary
        content.keep_flag_table()
        content.primary = self._primary
        content.is_owned = True
        if ident is not None:
            view.ident = ident
        return view

    # ---- arithmetic

    add = _method("add")
    subtract = _method("subtract")
    multiply = _method("multiply")
    divide = _method("divide")
    power = _method("power")
    bitwise_and = _method("bitwise_and")
    bitwise_or = _method("bitwise_or")
    bitwise_xor = _method("bitwise_xor")

    def _operate(self, name: str, other: Any, *, swapped: bool = False) -> Any:
        if not isinstance(other, GroupList) and not is_operand(other):
            return NotImplemented
        left, right = (other, self) if swapped else (self, other)
        return self._combine(name, left, right)

    def _operate_in_place(self, name: str, other: Any) -> Any:
        if not isinstance(other, GroupList) and not is_operand(other):
            return NotImplemented
        put_all(self._ready(name, other), later=True)
        return self

    def _ready(self, name: str, other: Any) -> list[Ready]:
        """Check an operation in the place of this file, before anything changes."""
        if isinstance(other, GroupList) and len(self) == 1 < len(other):
            msg = (
                f"{self!r} has one extension and {other!r} has {len(other)}, so the "
                "result does not fit in the place of the first"
            )
            raise IdentError(msg)
        return [
            prepare(name, ndd, _partner(other, ndd, self), like=ndd) for ndd in self
        ]

    def _combine(self, name: str, left: Any, right: Any) -> Any:
        like = left if isinstance(left, GroupList) else right
        both = isinstance(left, GroupList) and isinstance(right, GroupList)
        if both and len(left) == 1 < len(right):
            like = right  # one extension goes with each of the other's
        results = []
        for ndd in like:
            pair = [_partner(x, ndd, like) for x in (left, right)]
            result = operate(name, *pair, later=True, like=_like(ndd, pair))
            result.ident = ndd.ident
            result.content.origin = ndd.content.origin
            # Those of the file are taken.
            result.content.tables = result.content.extras = None
            results.append(result)
        made = self.file_type(data=like)
        made._groups = [made._view(result, result.ident) for result in results]
        for result, ndd in zip(made._groups, like, strict=True):
            made._refer(result, ndd)
            made._take_coordinate_tables(result, made._groups)
        made._drop_stale()
        made.record = []
        made.expected_key = None
        return made


def _without(groups: list[NDLater], others: list[NDLater]) -> list[NDLater]:
    """Leave those out that others have as well."""
    known = {id(other) for other in others}
    return [ndd for ndd in groups if id(ndd) not in known]


def _like(ndd: NDLater, pair: list[Any]) -> NDLater | None:
    """Take the header of the file's own image, unless that is a row of the other's."""
    try:
        shape = np.broadcast_shapes(*map(np.shape, pair))
    except ValueError:
        return ndd
    return ndd if ndd.shape == shape else None


def _partner(operand: Any, ndd: NDLater, like: GroupList) -> Any:
    if operand is like:
        return ndd
    if not isinstance(operand, GroupList):
        return operand
    if len(operand) == 1:
        return operand[0]
    found = [other for other in operand if other.ident == ndd.ident]
    if len(found) != 1 or len(operand) != len(like):
        msg = (
            f"{like!r} has the extensions {like.idents} and {operand!r} has "
            f"{operand.idents}; they must be the same, or one of them a single one"
        )
        raise IdentError(msg)
    return found[0]


def _checked(items: Any) -> list[Any]:
    """Make sure that things are images, before the first of them is taken."""
    if isinstance(items, NDData | str):
        msg = f"a list of NDData was expected, not {type(items).__name__}"
        raise TypeError(msg)
    found = list(items)
    for item in found:
        if not isinstance(item, NDData | np.ndarray):
            msg = f"an NDData was expected, not {type(item).__name__}"
            raise TypeError(msg)
    return found
