"""Files that a step would make, or can make again, but that are not there."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

from ndmapper.data.content import FileContent
from ndmapper.data.datafile import DataFile, FileAccess
from ndmapper.data.filename import FileName
from ndmapper.data.plainfile import PlainFile, open_file
from ndmapper.errors import NotMadeError
from ndmapper.io.filetypes import is_plain
from ndmapper.io.record import MadeAs, made_as

__all__ = [
    "PlannedFile",
    "find_planned",
    "header_source",
    "open_planned",
    "plan_file",
    "watch_looks",
]

_watchers: "list[Callable[[PlannedFile], object]]" = []
_known: "WeakValueDictionary[str, PlannedFile]" = WeakValueDictionary()


class PlannedFile(DataFile):
    """
    A product that does not exist yet: its name, its record and its calibrations.

    Accessing its content makes it, where there is a way to, and is an error otherwise.

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
        self.access = FileAccess(FileName(filename), "read")
        self.cals = dict(cals)
        self.expected_key = None
        self._wanted_labels = None
        self._planned_record = [dict(row) for row in record]
        self._maker = maker
        self._is_made = False
        self.like = like
        _known[_path(filename)] = self

    @cached_property
    def content(self) -> FileContent:  # type: ignore[override]
        """What is in the file, which is made for it; NotMadeError if it is planned."""
        self.make()
        return FileContent.open(str(self))

    _made_as: type[DataFile] = DataFile
    """What it is once it is made."""

    @property
    def record(self) -> list[dict[str, Any]]:
        """How the file was made, or will be."""
        return self.content.record if self.is_made else self._planned_record

    @record.setter
    def record(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.content.record = rows

    @property
    def made_as(self) -> MadeAs | None:
        """The key in its record, and the digest once it is made."""
        return super().made_as if self.is_made else made_as(self._planned_record)

    @property
    def is_made(self) -> bool:
        """Whether the file is there by now."""
        return self._is_made

    @property
    def can_be_made(self) -> bool:
        """Whether it is not there, and there is a way to make it."""
        return not self.is_made and self._maker is not None

    def make(self) -> None:
        """Make the file, unless it was made; NotMadeError if it is only planned."""
        if self._is_made:
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
        self._is_made = True
        if not isinstance(self, PlainFile):
            _ = self.content  # of this moment, whatever becomes of the name

    def __repr__(self) -> str:
        return (
            super().__repr__()
            if self.is_made
            else f"{self._made_as.__name__} {str(self)!r} (not made)"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> DataFile:
        if self.is_made:
            return super().__deepcopy__(memo)
        new = object.__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(self.__dict__)
        new.access = deepcopy(self.access, memo)
        new.cals = {}
        new.cals.update(deepcopy(self.cals, memo))
        new._planned_record = deepcopy(self._planned_record)
        if self._maker is not None:
            # The file is made once, whichever of the two is accessed first.
            new._maker = self.make
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        if self.is_made:
            # A file like every other, which need not be found where it is unpacked.
            own = ("_maker", "_planned_record", "_is_made", "like")
            state = {n: v for n, v in self.__dict__.items() if n not in own}
            return (_empty_file, (self._made_as,), state)
        # What makes it stays in this process.
        return (type(self), (str(self), self.record, {}))


class PlannedPlainFile(PlannedFile, PlainFile):  # type: ignore[misc]
    """A product that does not exist yet, and will not be FITS."""

    content = PlainFile.content
    _made_as = PlainFile

    @property
    def record(self) -> list[dict[str, Any]]:
        """How the file was made, or will be."""
        return PlainFile.record.__get__(self) if self.is_made else self._planned_record

    @record.setter
    def record(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._planned_record = [dict(row) for row in rows]

    def read_bytes(self) -> bytes:
        """Read the file, which is made for it; NotMadeError if it is planned."""
        self.make()
        return super().read_bytes()


def plan_file(
    filename: str | os.PathLike[str],
    record: Sequence[Mapping[str, Any]],
    cals: Mapping[str, DataFile],
    maker: Callable[[], object] | None = None,
    like: DataFile | None = None,
) -> PlannedFile:
    """Make the planned file of a product, by its type."""
    kind = PlannedPlainFile if is_plain(filename) else PlannedFile
    return kind(filename, record, cals, maker, like)


@contextmanager
def watch_looks(watcher: Callable[[PlannedFile], object]) -> Iterator[None]:
    """Call a function with each planned file whose content is asked for in vain."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def _empty_file(kind: type[DataFile]) -> DataFile:
    """Make the object that the pickled state of a file is put into."""
    return object.__new__(kind)


def find_planned(filename: str | os.PathLike[str]) -> PlannedFile | None:
    """Find a file that a step plans under this name, and that is still in use."""
    found = _known.get(_path(filename))
    return None if found is None or found.is_made else found


def header_source(df: DataFile) -> DataFile | None:
    """Find the file whose headers a planned product will have; else the file."""
    found: DataFile | None = df
    while isinstance(found, PlannedFile) and not found.is_made:
        found = found.like
    return found


def open_planned(filename: str | os.PathLike[str]) -> DataFile:
    """Open a file, or return the one that is planned under its name."""
    return find_planned(filename) or open_file(filename)


def _path(filename: str | os.PathLike[str]) -> str:
    return os.path.abspath(filename)  # noqa: PTH100  # a link may be meant
