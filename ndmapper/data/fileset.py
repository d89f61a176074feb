"""Sets of files that are one thing: the IFUs of a master, the chips of a mosaic."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ndmapper.data.datafile import DataFile, Mode, prepare_in_place
from ndmapper.data.filename import FileName
from ndmapper.data.list_arithmetic import combined, save_all
from ndmapper.data.member_keys import KeyRule, cut, key_of, keys_in
from ndmapper.data.name_pattern import (
    Key,
    NamePattern,
    in_order,
    key_text,
    parse_pattern,
)
from ndmapper.data.operations import is_operand, put_all
from ndmapper.data.operators import Operators
from ndmapper.data.planned import PlannedFile, open_planned
from ndmapper.errors import (
    FormatError,
    IdentError,
    MissingFileError,
    ModeError,
    ParameterError,
    ShapeError,
)

__all__ = ["FileSet", "files_in"]

_SHOWN = 6
"""Largest number of keys that are listed one by one."""


class FileSet(Operators, Mapping[Key, DataFile]):
    """
    One thing in several files: a mapping of key to DataFile.

    The 24 IFUs of a master bias are one, or the chips of a mosaic, or the images of a
    field by filter. A set goes wherever a file goes: as input, calibration or result
    of a step. Its files are opened when they are asked for.

    Parameters
    ----------
    files : str, path, DataFile, sequence or mapping
        A pattern with the key in braces, such as
        ``'masters/MASTER_BIAS-{ifu:02d}.fits'``; or the files, as a mapping of key to
        file, or a sequence of them with `by`; or one file that holds all members,
        with `by`.
    by : str, sequence of str or callable, optional
        What tells the members apart, where the names do not say it: a name of the
        table of the instrument (``'ifu'``), ``'ident'``, a header keyword, or a
        function of a DataFile.
    keys : iterable, optional
        The keys that are expected; those without a file are in `missing`.
    filename : str, path or FileName, optional
        A pattern by which the set is named, where `files` is none.
    mode : {'read', 'update'}, optional
        Mode of files that are opened by name.
    labels : str or mapping, optional
        Names of the extensions, as for `DataFile`.

    Attributes
    ----------
    cals : dict of str to DataFile or FileSet
        The calibrations associated with the set, by type.
    missing : dict
        Why there is no file, for each key that was expected.

    Raises
    ------
    MissingFileError
        If no file fits the pattern.
    FormatError
        If a file does not say its key.
    ShapeError
        If two files have the same key.

    Examples
    --------
    >>> biases = FileSet("masters/MASTER_BIAS-{ifu:02d}.fits")  # doctest: +SKIP
    >>> biases[7][0].data  # doctest: +SKIP
    """

    def __init__(
        self,
        files: Any,
        by: KeyRule | Sequence[str] | None = None,
        *,
        keys: Iterable[Key] | None = None,
        filename: "str | os.PathLike[str] | FileName | None" = None,
        mode: Mode | None = None,
        labels: Any = None,
    ) -> None:
        self.cals: dict[str, Any] = {}
        self.missing: dict[Key, str] = {}
        self.whole: DataFile | None = None
        """The one file that holds all members, where there is one."""
        self._mode, self._labels = mode, labels
        self._promise: PlannedFile | None = None
        pattern = None
        if isinstance(files, str | os.PathLike) and not isinstance(files, DataFile):
            pattern = parse_pattern(files)
        if pattern is not None and filename is None:
            filename = pattern.text
        self.filename = filename
        self._by = by
        if pattern is not None:
            self._found: dict[Key, Any] = _matching(pattern, keys)
        elif isinstance(files, Mapping):
            self._found = dict(files)
        elif isinstance(files, str | os.PathLike):
            self.whole = self._opened(files)
            self._found = self._parts(self.whole)
        else:
            self._found = self._keyed(files)
        for key in keys or ():
            if key not in self._found:
                self.missing[key] = "there is no such file"

    # ---- its members

    @property
    def by(self) -> tuple[str, ...]:
        """Names of what tells the members apart, such as ``('ifu',)``."""
        if isinstance(self._by, str):
            return (self._by,)
        if self._by is not None and not callable(self._by):
            return tuple(self._by)
        pattern = self.pattern
        return () if pattern is None else pattern.fields

    @property
    def pattern(self) -> NamePattern | None:
        """The pattern of the names; None for a set without one."""
        text = str(self.filename or "")
        return NamePattern(text) if "{" in text else None

    @property
    def filename(self) -> FileName | None:
        """The name, with the key in braces; None for a set that was not named yet."""
        return self._filename

    @filename.setter
    def filename(self, value: "str | os.PathLike[str] | FileName | None") -> None:
        self._filename = None if value is None else FileName(value)

    @classmethod
    def promised(cls, filename: FileName, record: Sequence[Mapping[str, Any]]) -> Self:
        """Make a set whose members nobody knows before they are made."""
        new = cls({}, filename=filename)
        new._promise = PlannedFile(filename, record, {})
        return new

    @property
    def is_made(self) -> bool:
        """Whether its members are known: False for what a run only plans."""
        return self._promise is None

    @property
    def _members(self) -> dict[Key, Any]:
        if self._promise is not None:
            self._promise.make()  # an error, since a run only plans it
        return self._found

    def __getitem__(self, key: Key) -> DataFile:
        if key not in self._members:
            why = f" ({self.missing[key]})" if key in self.missing else ""
            msg = f"{self!r} has no member {key_text(key)}{why}; it has {self._keys()}"
            raise IdentError(msg)
        member = self._members[key]
        if not isinstance(member, DataFile):
            member = self._members[key] = self._opened(member)
        return member

    def __iter__(self) -> Iterator[Key]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __bool__(self) -> bool:
        return True  # also where all members are missing

    def __contains__(self, key: object) -> bool:
        return key in self._members

    # As of a file: nothing compares pixels.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def members(self) -> list[DataFile]:
        """The files, in the order of the keys."""
        return [self[key] for key in self]

    @property
    def names(self) -> list[str]:
        """The names of the files; none is opened for it."""
        return [str(member) for member in self._members.values()]

    def _opened(self, name: Any) -> DataFile:
        if isinstance(name, DataFile):
            return name
        if self._mode is None and self._labels is None:
            return open_planned(name)
        return DataFile(name, mode=self._mode, labels=self._labels)

    def _keyed(self, files: Any) -> dict[Key, Any]:
        """Read the keys of files that are given as a list."""
        pattern = self.pattern
        if self._by is None and pattern is None:
            msg = (
                "a FileSet of a list of files is told how they differ: by='ifu', a "
                "header keyword or a function; or give a mapping of key to file"
            )
            raise ParameterError(msg)
        found: dict[Key, Any] = {}
        for name in files:
            df = self._opened(name)
            key = None
            if self._by is None and pattern is not None:
                key = pattern.match(str(df))
            if key is None:
                key = key_of(df, self._by if self._by is not None else self.by)
            if key in found:
                msg = (
                    f"{found[key]} and {df} both say that they are {key_text(key)} of "
                    f"{', '.join(self.by) or 'the set'}"
                )
                raise ShapeError(msg)
            found[key] = df
        return in_order(found)

    def _parts(self, whole: DataFile) -> dict[Key, Any]:
        """Take the parts of a file that holds all members."""
        if len(self.by) != 1:
            msg = (
                f"{whole} is one file; say what tells the members in it apart, as in "
                "by='ifu', or give a pattern with the key in braces"
            )
            raise ParameterError(msg)
        field = self.by[0]
        keys = keys_in(whole, field)
        if not keys:
            msg = f"{whole} does not say of any part which {field} it is"
            raise FormatError(msg)
        return {key: cut(whole, field, key) for key in keys}

    def _like(self, members: Mapping[Key, Any]) -> "FileSet":
        new = FileSet(dict(members), self._by or self.by or None)
        new.missing = dict(self.missing)
        return new

    # ---- as a file

    def __str__(self) -> str:
        return str(self.filename or self.whole or "")

    def __fspath__(self) -> str:
        if not str(self):
            msg = "this FileSet has no name; save it under one first"
            raise ModeError(msg)
        return str(self)

    def __repr__(self) -> str:
        name = f" {str(self)!r}" if str(self) else ""
        if self._promise is not None:
            return f"FileSet{name} (not made)"
        lost = f", missing {self._keys(self.missing)}" if self.missing else ""
        return f"FileSet{name} (len {len(self)}{lost})"

    def _keys(self, keys: Iterable[Key] | None = None) -> str:
        words = [key_text(key) for key in (self if keys is None else keys)]
        if len(words) > _SHOWN:
            words = [words[0], words[1], "...", words[-1]]
        return ", ".join(words) or "none"

    @property
    def meta(self) -> Any:
        """The primary header of the first member."""
        return self.members[0].meta

    @property
    def record(self) -> list[dict[str, Any]]:
        """How the members were made, oldest step first, each entry once."""
        joined: dict[tuple[str, str], dict[str, Any]] = {}
        for df in self.members:
            for entry in df.record:
                joined.setdefault((entry["key"], entry["product"]), entry)
        return list(joined.values())

    def changed(self, change: Callable[[DataFile], DataFile]) -> "FileSet":
        """
        Make a set of what a function makes of each member.

        Parameters
        ----------
        change : callable
            Takes a DataFile, and gives one.

        Returns
        -------
        FileSet
            The results, with name and calibrations of this set.
        """
        new = self._like({key: change(self[key]) for key in self})
        new.filename = self.filename
        new.cals.update(self.cals)
        return new

    def copy(self) -> "FileSet":
        """
        Copy, without a name; no pixels are read.

        Returns
        -------
        FileSet
            A set of copies of the members.
        """
        new = self._like({key: self[key].copy() for key in self})
        new.cals.update(self.cals)
        return new

    def save(
        self,
        filename: "str | os.PathLike[str] | FileName | None" = None,
        overwrite: bool = False,
        *,
        workers: int | str = 1,
        checksum: bool = False,
    ) -> None:
        """
        Save every member.

        Parameters
        ----------
        filename : str, path or FileName, optional
            Another name with the key in braces, which the set takes on.
        overwrite : bool
            Replace files that exist.
        workers : int or 'all'
            How many processes save files.
        checksum : bool
            Write CHECKSUM and DATASUM into every header.

        Raises
        ------
        ModeError
            If there is no name.
        OutputExistsError
            If a file exists that must not.
        """
        names = None
        if filename is not None:
            target = NamePattern(os.fspath(filename))
            names = [target.fill(key) for key in self]
        elif (pattern := self.pattern) is not None:
            for key in self:
                if self[key].filename is None:
                    self[key].filename = FileName(pattern.fill(key))
        save_all(
            self.members, names, overwrite=overwrite, workers=workers, checksum=checksum
        )
        if filename is not None:
            self.filename = filename

    def reload(self) -> None:
        """Read every member anew, giving up what was changed in memory."""
        for df in self.members:
            df.reload()

    # ---- arithmetic

    def _operate(self, name: str, other: Any, *, swapped: bool = False) -> Any:
        pairs = self._paired(other)
        if pairs is NotImplemented:
            return NotImplemented
        return self._like(
            {
                key: combined(name, *(reversed(pair) if swapped else pair))
                for key, pair in pairs.items()
            }
        )

    def _operate_in_place(self, name: str, other: Any) -> Any:
        pairs = self._paired(other)
        if pairs is NotImplemented:
            return NotImplemented
        ready = [prepare_in_place(name, *pair) for pair in pairs.values()]
        put_all([group for one in ready for group in one], later=True)
        return self

    def _paired(self, other: Any) -> Any:
        """Pair members with those of another set by key, or with one operand."""
        if not isinstance(other, FileSet):
            if not isinstance(other, DataFile) and not is_operand(other):
                return NotImplemented
            return {key: (self[key], other) for key in self}
        if set(self) != set(other):
            lack = sorted(map(key_text, set(self) ^ set(other)))
            msg = (
                f"{self!r} and {other!r} are not of the same members; only one of them "
                f"has {', '.join(lack)}"
            )
            raise ShapeError(msg)
        return {key: (self[key], other[key]) for key in self}

    def _named(self, result: Any, filename: str | os.PathLike[str]) -> Any:
        """Name a result."""
        result.filename = filename
        return result


def files_in(item: Any) -> list[DataFile]:
    """List the files that a set is in, one where all are in one; of a file, that."""
    if not isinstance(item, FileSet):
        return [item]
    return item.members if item.whole is None else [item.whole]


def _matching(pattern: NamePattern, keys: Iterable[Key] | None) -> dict[Key, Any]:
    wanted = None if keys is None else list(keys)
    found: dict[Key, Any] = dict(pattern.files())
    if wanted is not None:
        found = {key: found[key] for key in wanted if key in found}
    if not found:
        folder = Path(pattern.text).parent
        hint = (
            "check the folder and the pattern"
            if folder.is_dir() or "{" in str(folder)
            else f"there is no folder {folder}"
        )
        msg = f"no file fits {pattern.text!r}; {hint}"
        raise MissingFileError(msg)
    return found
