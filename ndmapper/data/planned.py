"""Files that a step would make, or can make again, but that are not there."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any
from weakref import WeakValueDictionary

from ndmapper.data.datafile import DataFile
from ndmapper.data.filename import FileName
from ndmapper.errors import NotMadeError

__all__ = ["PlannedFile", "find_planned", "open_planned", "watch_looks"]

_CONTENT = frozenset(
    ("_map", "_layout", "_labels", "_primary", "_bad_flags", "tables")
)  # fmt: skip
"""What a file has once it was opened; looking at any of it makes the file."""

_watchers: "list[Callable[[PlannedFile], object]]" = []
_known: "WeakValueDictionary[str, PlannedFile]" = WeakValueDictionary()


class PlannedFile(DataFile):
    """
    A product that is not there: its name, its record and its calibrations.

    It is a file like every other as far as that goes. Looking at what is in it makes
    it, where there is a way to, and is an error otherwise.

    Parameters
    ----------
    filename : str, path or FileName
        Name of the product.
    record : sequence of mapping
        The record that it will have.
    cals : mapping of str to DataFile
        The calibrations that go along.
    maker : callable, optional
        Makes the product, without arguments.
    like : DataFile, optional
        The file whose headers it will have, as far as no step changes them.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        record: Sequence[Mapping[str, Any]],
        cals: Mapping[str, DataFile],
        maker: Callable[[], object] | None = None,
        like: DataFile | None = None,
    ) -> None:
        self._filename = FileName(filename)
        self._note_name()
        self._mode = "read"
        self.cals = dict(cals)
        self.expected_key = None
        self._wanted_labels = None
        self._record = [dict(row) for row in record]
        self._has_new_record = False
        self._fingerprint = None
        self._maker = maker
        self.like = like
        _known[_path(filename)] = self

    def __getattr__(self, name: str) -> Any:
        if name not in _CONTENT or "_map" in self.__dict__:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        self.make()
        return self.__dict__[name]

    @property
    def is_made(self) -> bool:
        """Whether the file is there by now."""
        return "_map" in self.__dict__

    @property
    def can_be_made(self) -> bool:
        """Whether it is not there, and there is a way to make it."""
        return not self.is_made and self._maker is not None

    def make(self) -> None:
        """
        Make the file, unless it was made.

        Raises
        ------
        NotMadeError
            If it is only planned.
        """
        if self.is_made:
            return
        if self._maker is None:
            for watcher in _watchers:
                watcher(self)
            msg = (
                f"{self} is not made yet, for this run only plans; what is in it is "
                "not known"
            )
            raise NotMadeError(msg)
        self._maker()
        self._start()
        self._open()

    def __repr__(self) -> str:
        if self.is_made:
            return super().__repr__()
        return f"DataFile {str(self._filename)!r} (not made)"

    def _copy_into(self, new: DataFile, memo: dict[int, Any]) -> None:
        if self.is_made:
            super()._copy_into(new, memo)
            return
        new.__dict__.update(self.__dict__)
        new._filename = FileName(self._filename)
        new.cals = deepcopy(self.cals, memo)
        new._record = deepcopy(self._record)
        if self._maker is not None:
            # The file is made once, whichever of the two is looked at first.
            new.__dict__["_maker"] = self.make

    def __reduce__(self) -> tuple[Any, ...]:
        if self.is_made:
            # A file like every other, which need not be found where it is unpacked.
            state = {n: v for n, v in self.__dict__.items() if n != "_maker"}
            return (_empty_file, (), state)
        # What makes it stays in this process.
        return (PlannedFile, (str(self._filename), self.record, {}))


@contextmanager
def watch_looks(watcher: Callable[[PlannedFile], object]) -> Iterator[None]:
    """
    Be told when somebody looks into a file that is only planned.

    Parameters
    ----------
    watcher : callable
        Is given the file, right before the error, while a ``with`` block lasts.
    """
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def _empty_file() -> DataFile:
    """Make what the state of a file is unpacked into."""
    return object.__new__(DataFile)


def find_planned(filename: str | os.PathLike[str]) -> PlannedFile | None:
    """
    Find a file that is planned, by its name.

    Parameters
    ----------
    filename : str or path
        The name.

    Returns
    -------
    PlannedFile or None
        The file, if a step plans it and somebody still holds it.
    """
    found = _known.get(_path(filename))
    return None if found is None or found.is_made else found


def open_planned(filename: str | os.PathLike[str]) -> DataFile:
    """
    Open a file, or give the one that is planned under its name.

    Parameters
    ----------
    filename : str or path
        The name.

    Returns
    -------
    DataFile
        The file.

    Raises
    ------
    MissingFileError
        If it is neither there nor planned.
    """
    return find_planned(filename) or DataFile(filename)


def _path(filename: str | os.PathLike[str]) -> str:
    return os.path.abspath(filename)  # noqa: PTH100  # a link may be meant
