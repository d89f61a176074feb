"""Lists of files, and what their headers say."""

import glob
import os
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.nddata import NDData
from astropy.table import Table

from ndmapper.data.datafile import DataFile, Mode
from ndmapper.data.display import ListViews
from ndmapper.data.file_arithmetic import combined
from ndmapper.data.filename import FileName
from ndmapper.data.fileset import FileSet, first_member
from ndmapper.data.header_query import column_of, look_up, matches
from ndmapper.data.list_arithmetic import (
    pair_files,
    put_in_place,
    result_names,
    save_items,
    save_results,
)
from ndmapper.data.name_pattern import parse_pattern
from ndmapper.data.operators import Operators, checked_result, documented
from ndmapper.data.plainfile import PlainFile
from ndmapper.errors import MissingFileError, ModeError, PlanError, ShapeError
from ndmapper.io.filetypes import is_plain
from ndmapper.io.source import opens_plain

__all__ = ["DataFileList"]


_GO_TOGETHER: dict[str, tuple[str, ...]] = {
    "read": ("read", "update"),
    "update": ("update",),
    "new": ("new",),
    "overwrite": ("overwrite", "new", "update"),
}
"""Files of which modes a list of some mode takes."""


def _method(name: str) -> Callable[..., Any]:
    def method(  # noqa: PLR0917  # as the constructor of a list
        self: "DataFileList",
        operand: Any,
        filename: Any = None,
        prefix: str | None = None,
        suffix: str | None = None,
        dirname: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
        workers: int | str = 1,
    ) -> Any:
        pairs = pair_files(self, operand)
        takes = "lists, files, NDData, arrays, Quantities and numbers"
        checked_result(name, operand, pairs, takes=takes)
        if filename is None and prefix is None and suffix is None:
            if dirname is not None or workers != 1 or overwrite:
                msg = (
                    "dirname, overwrite and workers are for results that are saved; "
                    "give a filename for each, or a prefix or suffix"
                )
                raise PlanError(msg)
            return self._operate(name, operand)
        targets = result_names(self, len(pairs), filename, prefix, suffix, dirname)
        made = save_results(name, pairs, targets, overwrite=overwrite, workers=workers)
        return type(self)(made, labels=self._labels)

    return documented(
        method, name, "DataFileList",
        "DataFileList, DataFile, NDData, Quantity, array_like or number",
        "    A list goes file by file, anything else with each of the files.\n"
        "filename : sequence of str or path, optional\n"
        "    Names of the results, which are then saved at once.\n"
        "prefix, suffix : str, optional\n"
        "    Text put before the names of these files, and after them, to name the\n"
        "    results, which are then saved at once.\n"
        "dirname : str or path, optional\n"
        "    Folder of results named by prefix and suffix; by default that of the\n"
        "    configuration for products.\n"
        "overwrite : bool\n"
        "    Replace files that exist.\n"
        "workers : int or 'all'\n"
        "    How many processes work on results that are saved.\n\n"
        "Returns\n-------\nDataFileList\n"
        "    The results: saved, or else computed when they are accessed or saved.\n",
    )  # fmt: skip


class DataFileList(ListViews, Operators, list[DataFile]):
    """
    A list of files.

    Append, extend, insert and slices are list operations; arithmetic is per file. A
    `FileSet` is one item.

    Parameters
    ----------
    filenames : name, DataFile, sequence of those, or Table, optional
        The files; of a table, its column ``filename`` (or ``file``). A name such as
        ``'raw/*.fits'`` is a pattern; the files that match are sorted by name. A name
        with a key in braces is a `FileSet`, which is one item of the list.
    data : NDData, DataFile, or sequence, optional
        The content of each file: NDData, a list of NDData, or a DataFile. A single one,
        or a list of one, is that of every file; these share its arrays. Without
        `filenames`, DataFiles are taken as they are, or copied where another name,
        header or mode is asked for.
    meta : Header or mapping, or sequence of those, optional
        The primary header of each file, or one for all.
    mode : {'read', 'update', 'new', 'overwrite'}, optional
        Mode of the files, also of those that are appended.
    strip : bool
        Take the prefix and suffixes off the names.
    prefix, suffix : str, optional
        Text put before the names, and after them.
    dirname : str or path, optional
        Folder in place of the existing one.
    labels : str or mapping, optional
        Names of the extensions, as for DataFile.

    Raises
    ------
    MissingFileError
        If a file must exist and does not, or nothing matches a pattern.
    ShapeError
        If there are not as many names as contents.
    """

    # A copy is filled before it gets its own.
    mode: Mode | None = None
    _labels: Any = None

    def __init__(  # noqa: PLR0917  # the published order
        self,
        filenames: Any = None,
        data: Any = None,
        meta: Any = None,
        mode: Mode | None = None,
        strip: bool = False,
        prefix: str | None = None,
        suffix: str | None = None,
        dirname: str | os.PathLike[str] | None = None,
        labels: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self._labels = labels
        names = None if filenames is None else _names(filenames, dirname)
        contents = _contents(data, has_names=names is not None)
        metas = [meta] if isinstance(meta, Mapping) else meta
        if names is None:
            count = max(len(given) for given in (contents or (), metas or ()))
            names = [None] * count
        is_one = contents is not None and len(contents) == 1 < len(names)
        contents = _for_each(contents, len(names), "contents")
        metas = _for_each(metas, len(names), "headers")
        renamed = strip or any(x is not None for x in (prefix, suffix, dirname))
        new_name = partial(
            FileName, strip=strip, prefix=prefix, suffix=suffix, dirname=dirname
        )
        for name, content, header in zip(names, contents, metas, strict=True):
            other = self._other(name, content, header, new_name if renamed else None)
            if other is not None:
                self.append(other)
                continue
            taken = name if content is None else content if name is None else None
            stays = not renamed and header is None
            if isinstance(taken, DataFile) and stays and (
                content is None or mode in (None, taken.mode)
            ):  # fmt: skip
                self.append(taken)
                continue
            if name is None and isinstance(content, DataFile):
                name = content  # noqa: PLW2901  # whose name it has, too
            made = DataFile(
                name, content, header, _mode_for(name, content, mode), strip=strip,
                prefix=prefix, suffix=suffix, dirname=dirname, labels=labels,
            )  # fmt: skip
            if is_one and isinstance(content, DataFile):
                made.share(content)
            super().append(made)

    def _other(
        self, name: Any, content: Any, header: Any, new_name: Any
    ) -> FileSet | DataFile | None:
        """Make what is no single FITS file: a set, or a text; None for a FITS file."""
        given = name if content is None else content
        if isinstance(given, FileSet):
            if header is not None:
                msg = (
                    f"{given!r} has a header for each of its files, and takes no other"
                )
                raise ShapeError(msg)
            if new_name is None and (name is None or name is given):
                return given
            made = given.copy()
            named_by = given if name is None else name
            made.filename = (
                FileName(named_by) if new_name is None else new_name(named_by)
            )
            return made
        if content is None and header is None:
            return self._found_other(name, new_name)
        return None

    def _found_other(
        self, name: Any, new_name: Any = None
    ) -> FileSet | DataFile | None:
        """Open a name of what is no FITS file: a set, by its pattern, or a text."""
        is_name = isinstance(name, str | os.PathLike) and not isinstance(name, DataFile)
        if not is_name or self.mode in ("new", "overwrite"):
            return None
        may_be_set = "{" in os.fspath(name)
        may_be_plain = self.mode in (None, "read") and is_plain(name)
        if not may_be_set and not may_be_plain:
            return None
        named = name if new_name is None else new_name(name)
        if may_be_set and parse_pattern(named) is not None:
            return FileSet(named, mode=self.mode, labels=self._labels)
        return PlainFile(named) if may_be_plain and opens_plain(named) else None

    def _coerced(self, item: Any) -> Any:
        if isinstance(item, FileSet):
            return item
        if isinstance(item, DataFile):
            if self.mode is not None and item.mode not in _GO_TOGETHER[self.mode]:
                why = (
                    "which could not be read"
                    if self.mode in ("read", "update")
                    else "which would be lost"
                )
                msg = (
                    f"{item!r} has mode {item.mode!r}, but this list takes files in "
                    f"mode {self.mode!r}, {why}"
                )
                raise ModeError(msg)
            return item
        if (other := self._found_other(item)) is not None:
            return other
        if isinstance(item, str | os.PathLike):
            return DataFile(item, mode=self.mode, labels=self._labels)
        if isinstance(item, NDData):
            return DataFile(data=item, labels=self._labels)
        msg = f"a DataFile or the name of one was expected, not {type(item).__name__}"
        raise TypeError(msg)

    def append(self, item: Any) -> None:
        """
        Append a file.

        Parameters
        ----------
        item : DataFile, name or NDData
            The file; a name is opened in the mode of the list.
        """
        super().append(self._coerced(item))

    def extend(self, items: Any) -> None:
        """
        Append several files.

        Parameters
        ----------
        items : iterable of DataFile or names, or a pattern
            The files.
        """
        found = _names(items, None)
        super().extend([self._coerced(item) for item in found])

    def insert(self, index: Any, item: Any) -> None:
        """
        Insert a file.

        Parameters
        ----------
        index : int
            Position before which it goes.
        item : DataFile or name
            The file.
        """
        super().insert(index, self._coerced(item))

    def __getitem__(self, item: Any) -> Any:
        found = super().__getitem__(item)
        return self._like(found) if isinstance(item, slice) else found

    def __setitem__(self, item: Any, value: Any) -> None:
        if isinstance(item, slice):
            super().__setitem__(item, [self._coerced(x) for x in value])
        else:
            super().__setitem__(item, self._coerced(value))

    def _like(self, files: Iterable[DataFile]) -> "DataFileList":
        new = DataFileList(mode=self.mode, labels=self._labels)
        list.extend(new, files)
        return new

    def copy(self) -> "DataFileList":
        """
        Make another list of the same files.

        Returns
        -------
        DataFileList
            The list.
        """
        return self._like(self)

    def __copy__(self) -> "DataFileList":
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "DataFileList":
        # The files may have other modes by now than the list takes.
        new = self._like(())
        memo[id(self)] = new
        list.extend(new, (deepcopy(df, memo) for df in self))
        return new

    # Lists are the same if they hold the same files; nothing compares pixels.
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list):
            return NotImplemented
        return len(self) == len(other) and all(
            one is two for one, two in zip(self, other, strict=True)
        )

    __hash__ = None

    @property
    def filenames(self) -> list[FileName | None]:
        """The names of the files."""
        return [df.filename for df in self]

    def save(
        self,
        overwrite: bool = False,
        filename: Any = None,
        *,
        workers: int | str = 1,
        checksum: bool = False,
    ) -> None:
        """
        Save every file, and keep it connected with what was written.

        Where one is to replace a file that another of the list is read from, all are
        written before the first is replaced.

        Parameters
        ----------
        overwrite : bool
            Replace files even where the mode is 'new'.
        filename : sequence of str or path, optional
            New names, one for each file.
        workers : int or 'all'
            How many processes save files.
        checksum : bool
            Write CHECKSUM and DATASUM into every header.

        Raises
        ------
        ModeError
            If a file has no name, or was opened to be read only.
        OutputExistsError
            If a file exists that must not; of new names none is taken then.
        """
        save_items(
            self, filename, overwrite=overwrite, workers=workers, checksum=checksum
        )

    def reload(self) -> None:
        """Read every file anew, giving up what was changed in memory."""
        for df in self:
            df.reload()

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
        pairs = pair_files(self, other, swapped=swapped)
        if pairs is NotImplemented:
            return NotImplemented
        return type(self)(data=[combined(name, *pair) for pair in pairs])

    def _operate_in_place(self, name: str, other: Any) -> Any:
        pairs = pair_files(self, other)
        if pairs is NotImplemented:
            return NotImplemented
        put_in_place(name, pairs, len(self))
        return self

    # ---- from the headers

    def table(self, *keywords: str) -> Table:
        """
        Tabulate keywords of the headers.

        Parameters
        ----------
        *keywords : str
            Each is looked for in the primary header, then in that of the first
            extension; of a set, in its first member.

        Returns
        -------
        Table
            A row for each file: its name, and the keywords; masked where missing.
        """
        table = Table()
        table["filename"] = [str(df) for df in self]
        for keyword in keywords:
            values = [look_up(first_member(df), keyword) for df in self]
            table[keyword] = column_of(values)
        return table

    def where(self, **conditions: Any) -> "DataFileList":
        """
        Select files by their headers.

        Parameters
        ----------
        **conditions : object
            For each keyword a value, a list of values, a function of the value, or a
            pattern with ``*``, ``?`` or ``[``. A file without the keyword does not
            match, unless the condition is None. Keywords that are no Python names
            are given as ``where(**{'DATE-OBS': ...})``. Of a set the first member
            counts.

        Returns
        -------
        DataFileList
            The files that match all.
        """
        return self._like(
            df
            for df in self
            if all(
                matches(look_up(first_member(df), k), c) for k, c in conditions.items()
            )
        )

    def group_by(self, *keywords: str) -> "dict[Any, DataFileList]":
        """
        Sort files into lists by what their headers say.

        Parameters
        ----------
        *keywords : str
            The keywords.

        Returns
        -------
        dict
            The value, or for several keywords the tuple of values, to the files with
            it, in the order of the first of each.
        """
        groups: dict[Any, list[DataFile]] = {}
        for df in self:
            values = tuple(look_up(first_member(df), keyword) for keyword in keywords)
            groups.setdefault(values if len(values) != 1 else values[0], []).append(df)
        return {value: self._like(files) for value, files in groups.items()}


def _names(filenames: Any, dirname: Any) -> list[Any]:
    """List what was given as names, with patterns filled in."""
    if isinstance(filenames, str | FileName | os.PathLike | DataFile | FileSet):
        filenames = [filenames]
    if isinstance(filenames, Table):
        column = "filename" if "filename" in filenames.colnames else "file"
        filenames = [str(name) for name in filenames[column]]
    found: list[Any] = []
    for item in filenames:
        text = None if isinstance(item, DataFile | FileSet) else str(item)
        if text is None or not isinstance(item, str | os.PathLike):
            found.append(item)
            continue
        folder = Path(dirname) if dirname is not None else None
        path = text if folder is None else str(folder / Path(text).name)
        if not glob.has_magic(text) or Path(path).exists():
            found.append(item)
            continue
        matches = sorted(glob.glob(path))  # noqa: PTH207  (keeps names as given)
        if not matches:
            msg = f"no file matches {path!r}; check the folder and the pattern"
            raise MissingFileError(msg)
        found.extend(matches)
    return found


def _contents(data: Any, *, has_names: bool) -> list[Any] | None:
    if data is None:
        return None
    if isinstance(data, DataFile | FileSet | NDData | np.ndarray):
        return [data]
    # An empty list is an empty content: what is in a file is ignored.
    return list(data) or ([[]] if has_names else [])


def _for_each(given: Any, count: int, what: str) -> list[Any]:
    """Repeat what is for all files, so that there is one for each."""
    if given is None or len(given) == 1:
        return list(given or [None]) * count
    if len(given) != count:
        msg = f"there are {count} names for {len(given)} {what}"
        raise ShapeError(msg)
    return list(given)


def _mode_for(name: Any, content: Any, mode: Mode | None) -> Mode | None:
    """Let content be put in the place of what a file holds, without a mode."""
    if mode is None and content is not None and name is not None:
        is_there = not isinstance(name, DataFile) and Path(name).exists()
        return "read" if is_there else None
    return mode
