"""Sets of files that are one thing: the IFUs of a master, the chips of a mosaic."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Self

from astropy.nddata import NDData

from ndmapper.data.datafile import DataFile, Mode, prepare_in_place
from ndmapper.data.display import SetViews
from ndmapper.data.file_arithmetic import combined, shared_operand
from ndmapper.data.filename import FileName
from ndmapper.data.member_keys import KeyRule, cut, is_changed, key_of, keys_in
from ndmapper.data.name_pattern import (
    Key,
    NamePattern,
    checked_key,
    find_key,
    in_order,
    key_text,
    key_words,
    keys_text,
    name_pattern,
    parse_pattern,
)
from ndmapper.data.operations import CheckedOperation, is_operand, put_all
from ndmapper.data.operators import Operators, checked_result, documented
from ndmapper.data.planned import PlannedFile, find_planned, open_planned
from ndmapper.data.save_list import save_all
from ndmapper.errors import (
    FormatError,
    IdentError,
    MissingFileError,
    MissingMemberError,
    ModeError,
    NdmapperError,
    ParameterError,
    ShapeError,
)

__all__ = [
    "FileSet",
    "files_in",
    "files_to_save",
    "first_member",
    "given_keys",
    "member_names",
    "members_of",
    "pair_members",
    "prepare_item",
]


def _method(name: str) -> Callable[..., Any]:
    def method(
        self: "FileSet", operand: Any, filename: str | os.PathLike[str] | None = None
    ) -> Any:
        found = self._operate(name, operand)
        takes = "sets, files, NDData, arrays, Quantities and numbers"
        made = checked_result(name, operand, found, takes=takes)
        return made if filename is None else self._named(made, filename)

    return documented(
        method, name, "FileSet",
        "FileSet, DataFile, NDData, Quantity, array_like or number",
        "    Sets are paired by key; anything else goes with every member.\n"
        "filename : str or path, optional\n"
        "    Name of the result, with the key in braces.\n\n"
        "Returns\n-------\nFileSet\n"
        "    The result, not saved. What is unread in files is combined when it is\n"
        "    accessed or saved.\n",
    )  # fmt: skip


class FileSet(SetViews, Operators, Mapping[Key, DataFile]):
    """
    Files that belong together, such as the IFUs of a master bias, by key.

    The 24 IFUs of a master bias are a set, or the chips of a mosaic, or the images of a
    field by filter: a mapping of key to DataFile, which is not changed by assignment. A
    set goes wherever a file goes: as input, calibration or result of a step. Its files
    are opened when they are accessed.

    Parameters
    ----------
    files : str, path, DataFile, sequence, mapping or FileSet
        A pattern with the key in braces, such as
        ``'masters/MASTER_BIAS-{ifu:02d}.fits'``; or the files, as a mapping of key to
        file, or a sequence of them (or ``'masters/*.fits'``) with `by`; or one file
        that holds all members, with `by`.
    by : str, callable or sequence of these, optional
        What tells the members apart, where the names do not say it: a name of the
        table of the instrument (``'ifu'``), ``'ident'``, a header keyword, or a
        function of a DataFile.
    keys : iterable, int or str, optional
        The members that are wanted, by default all; those without a file are in
        `missing`.
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
        by: KeyRule | Sequence[KeyRule] | None = None,
        *,
        keys: "Iterable[Key] | int | str | None" = None,
        filename: "str | os.PathLike[str] | FileName | None" = None,
        mode: Mode | None = None,
        labels: Any = None,
    ) -> None:
        if mode not in (None, "read", "update"):
            msg = f"the files of a set are there: mode 'read' or 'update', not {mode!r}"
            raise ModeError(msg)
        self.cals: dict[str, Any] = {}
        self.missing: dict[Key, str] = {}
        self._source: DataFile | None = None  # which members are cut out of
        self._as_cut: dict[Key, DataFile] = {}  # members as they were
        self._promise: PlannedFile | None = None
        self._mode, self._labels = mode, labels
        self._made_in = os.path.abspath("")  # noqa: PTH100  # that of names
        rules = [by] if isinstance(by, str) or callable(by) else list(by or ())
        self._fields = tuple(rule for rule in rules if isinstance(rule, str))
        self._filename = None if filename is None else FileName(filename)
        self._is_some = False  # not all that there is was wanted
        is_one = isinstance(keys, str | Integral)
        chosen: Any = [keys] if is_one else keys
        wanted = None if chosen is None else [checked_key(key) for key in chosen]
        found = self._find(files, rules, wanted)
        if wanted is not None:
            known = {key: find_key(found, key) for key in wanted}
            for key in wanted:
                if known[key] is None:
                    self.missing.setdefault(key, "there is no such file")
            there = {key: found[key] for key in known.values() if key is not None}
            self._is_some |= len(there) < len(found)
            found = there
        # A DataFile, the name of one that was not opened yet, or None for a part that
        # was not cut out of the source yet.
        self._files = found
        if self._filename is not None:
            NamePattern(str(self._filename))  # an error where it has no key
        self._name_members()

    # ---- what it is made of

    def _find(
        self, files: Any, rules: list[KeyRule], wanted: list[Key] | None
    ) -> dict[Key, Any]:
        """Find the members, by key."""
        if isinstance(files, FileSet):
            if rules and files.by and tuple(rules) != files.by:
                msg = (
                    f"the members of {files!r} are told apart by "
                    f"{', '.join(files.by)} already; for another key, give a list of "
                    "them: FileSet(files.members, by=...)"
                )
                raise ParameterError(msg)
            return self._taken(files, wanted)
        if isinstance(files, Mapping):
            return self._listed(files)
        if isinstance(files, DataFile):
            return self._parts(files)
        if not isinstance(files, str | os.PathLike):
            if isinstance(files, bytes) or not isinstance(files, Iterable):
                msg = (
                    "a FileSet is made of a pattern of names, a file, files or a "
                    f"mapping of key to file, not of {type(files).__name__}"
                )
                raise TypeError(msg)
            return self._keyed(files, rules)
        text = os.fspath(files)
        if "{" in text and "}" in text and not os.path.lexists(text):
            NamePattern(text)  # which says what is wrong with it
        pattern = parse_pattern(text)
        if pattern is not None:
            if rules and tuple(rules) != pattern.fields:
                msg = (
                    f"the names {pattern} say the {', '.join(pattern.fields)} of each "
                    "file; by is for files whose names say nothing"
                )
                raise ParameterError(msg)
            self._filename = self._filename or FileName(pattern.text)
            return _matching(pattern, wanted)
        if glob.has_magic(text) and not os.path.lexists(text):
            names = sorted(glob.glob(text))  # noqa: PTH207  (keeps names as given)
            if not names:
                msg = f"no file matches {text!r}; check the folder and the pattern"
                raise MissingFileError(msg)
            return self._keyed(names, rules)
        return self._parts(self._opened(files))

    def _taken(self, other: "FileSet", wanted: list[Key] | None) -> dict[Key, Any]:
        """Take over the members of another set."""
        self._fields = self._fields or other.by
        if self._filename is None and other.pattern is not None:
            self._filename = other.filename
        self.cals.update(other.cals)
        reasons = other.missing.items()
        self.missing = {k: w for k, w in reasons if wanted is None or k in wanted}
        self._source = other.source
        self._is_some = other.whole is not other.source
        if self._source is not None:
            return dict.fromkeys(other)
        keys = other if wanted is None else (find_key(other, key) for key in wanted)
        return {key: other[key] for key in keys if key is not None}

    def _listed(self, files: Mapping[Any, Any]) -> dict[Key, Any]:
        """Take the files of a mapping; names without a file are missing."""
        found: dict[Key, Any] = {}
        known: set[tuple[str, ...]] = set()
        for given, item in files.items():
            key, member = checked_key(given), _checked_member(item)
            if key_words(key) in known:
                msg = f"{given!r} is the key of two files, as a number and as a text"
                raise ShapeError(msg)
            known.add(key_words(key))
            is_name = not isinstance(member, DataFile)
            if is_name and not Path(member).exists() and find_planned(member) is None:
                self.missing[key] = f"there is no file {os.fspath(member)}"
                continue
            found[key] = member
        return found

    def _keyed(self, files: Any, rules: list[KeyRule]) -> dict[Key, Any]:
        """Read the keys of files that are given as a list."""
        pattern = self.pattern
        if not rules and pattern is None:
            msg = (
                "a FileSet of a list of files is told how they differ: by='ifu', a "
                "header keyword or a function; or give a mapping of key to file"
            )
            raise ParameterError(msg)
        found: dict[Key, Any] = {}
        known: dict[tuple[str, ...], DataFile] = {}
        for item in files:
            df = self._opened(_checked_member(item))
            key = _read_key(pattern, df) if pattern is not None and not rules else None
            if key is None:
                key = key_of(df, rules or self.by)
            if (other := known.setdefault(key_words(key), df)) is not df:
                word = f"{key_text(key)} ({', '.join(self.by) or 'function'})"
                msg = f"{other} and {df} have the same key: {word}"
                raise ShapeError(msg)
            found[key] = df
        return in_order(found)

    def _parts(self, whole: DataFile) -> dict[Key, Any]:
        """Find the parts of a file that holds all members."""
        if len(self._fields) != 1:
            msg = (
                f"{whole} is one file; say what tells the members in it apart, as in "
                "by='ifu', or give a pattern with the key in braces"
            )
            raise ParameterError(msg)
        field = self._fields[0]
        keys = keys_in(whole, field)
        if not keys:
            msg = f"{whole} does not say of any part which {field} it is"
            raise FormatError(msg)
        self._source = whole
        return in_order(dict.fromkeys(keys))

    def _opened(self, name: Any) -> DataFile:
        if isinstance(name, DataFile):
            return name
        name = self._in_full(name)
        if self._mode is None and self._labels is None:
            return open_planned(name)
        return DataFile(name, mode=self._mode, labels=self._labels)

    def _in_full(self, name: Any) -> Any:
        """Give the name of a file, in full where the current folder has changed."""
        if os.path.abspath("") == self._made_in or not str(name or ""):  # noqa: PTH100
            return name
        return os.path.join(self._made_in, name)  # noqa: PTH118

    def _like(self, members: Mapping[Key, DataFile]) -> "FileSet":
        """Make a set of other files for the same keys."""
        new = FileSet(members, self.by or None)
        new.missing.update(self.missing)
        new.cals.update(self.cals)
        return new

    @classmethod
    def promised(cls, filename: FileName, record: Sequence[Mapping[str, Any]]) -> Self:
        """Make a set whose members are not known before they are made."""
        new = cls({}, filename=filename)
        new._promise = PlannedFile(filename, record, {})
        return new

    # ---- its members

    @property
    def is_made(self) -> bool:
        """Whether its members are known: False for what a run only plans."""
        return self._promise is None

    @property
    def _members(self) -> dict[Key, Any]:
        if self._promise is not None:
            self._promise.make()  # an error, since a run only plans it
        return self._files

    @property
    def by(self) -> tuple[str, ...]:
        """Names of what tells the members apart, such as ``('ifu',)``."""
        if self._fields or self.pattern is None:
            return self._fields
        return self.pattern.fields

    @property
    def pattern(self) -> NamePattern | None:
        """The pattern of the names; None for a set without one."""
        text = "" if self._filename is None else str(self._filename)
        return name_pattern(text) if "{" in text else None

    @property
    def filename(self) -> FileName | None:
        """The name, with the key in braces, or that of the one file that holds all."""
        if self._filename is None and self._source is not None:
            return self._source.filename
        return self._filename

    @filename.setter
    def filename(self, value: "str | os.PathLike[str] | FileName | None") -> None:
        self._filename = self._checked_name(value)
        self._name_members()

    @property
    def whole(self) -> DataFile | None:
        """The one file that holds these members, as they are; None without one."""
        return None if self._is_some else self.source

    @property
    def source(self) -> DataFile | None:
        """The one file that these members are parts of, as they are, among others."""
        if self._source is None or self._filename is not None:
            return None
        cut_out = self._as_cut.items()
        if any(key not in self or is_changed(self[key], df) for key, df in cut_out):
            return None
        return self._source

    def _checked_name(self, value: Any) -> FileName | None:
        """Return a name; ParameterError where it has no key, or not those there are."""
        if value is None:
            return None
        if self._promise is None:
            member_names(self, value)
        return FileName(value)

    def _name_members(self) -> None:
        """Name those members that have no name yet."""
        pattern = self.pattern
        unnamed = [
            (key, df)
            for key, df in self._files.items()
            if isinstance(df, DataFile) and df.filename is None
        ]
        if pattern is not None and unnamed:
            for key, df in unnamed:
                df.filename = _name_of(pattern, self.by, key)

    def __getitem__(self, key: Key) -> DataFile:
        found = self._known(key)
        if found is None:
            why = f" ({self.missing[key]})" if key in self.missing else ""
            msg = (
                f"{self!r} has no member {key_text(key)}{why}; it has {keys_text(self)}"
            )
            raise MissingMemberError(msg)
        member = self._members[found]
        if isinstance(member, DataFile):
            return member
        member = self._cut(found) if member is None else self._opened(member)
        self._files[found] = member
        return member

    def _known(self, key: Any) -> Key | None:
        """Return a key as it is kept; None for one without a file."""
        if key in self._members:
            known: Key = key
            return known
        return find_key(self._members, key)

    def _cut(self, key: Key) -> DataFile:
        """Cut a member out of the file that holds all."""
        assert self._source is not None
        part = cut(self._source, self.by[0], key)
        if self.pattern is not None:
            part.filename = _name_of(self.pattern, self.by, key)
        self._as_cut[key] = part.copy()
        return part

    def __iter__(self) -> Iterator[Key]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __bool__(self) -> bool:
        return True  # also where all members are missing

    def __contains__(self, key: object) -> bool:
        return self._known(key) is not None

    # As of a file: nothing compares pixels.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def members(self) -> list[DataFile]:
        """The files, in the order of the keys."""
        return [self[key] for key in self]

    @property
    def names(self) -> list[str]:
        """The names of the files, or of the one that holds all; opens no file."""
        if self._source is not None and self._filename is None:
            return [str(self._source)]
        members = self._members.values()
        return [
            str(m if isinstance(m, DataFile) else self._in_full(m or ""))
            for m in members
        ]

    # ---- as a file

    def __str__(self) -> str:
        return str(self.filename or "")

    def __fspath__(self) -> str:
        if not str(self):
            msg = "this FileSet has no name; save it under one first"
            raise ModeError(msg)
        return str(self)

    def __repr__(self) -> str:
        name = f" {str(self)!r}" if str(self) else ""
        if self._promise is not None:
            return f"FileSet{name} (not made)"
        lost = f", missing {keys_text(self.missing)}" if self.missing else ""
        keys = "" if name or not len(self) else f": {keys_text(self)}"
        return f"FileSet{name} (len {len(self)}{keys}{lost})"

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        msg = (
            f"{self!r} is no array, but several files; take the data of an image in "
            "one of them, as in files[key][0].data"
        )
        raise TypeError(msg)

    @property
    def meta(self) -> Any:
        """The primary header of the first member."""
        return first_member(self).meta

    @property
    def record(self) -> list[dict[str, Any]]:
        """How the members were made, oldest step first, each entry once."""
        joined: dict[tuple[Any, Any], dict[str, Any]] = {}
        for df in files_in(self):
            for entry in df.record:
                joined.setdefault((entry.get("key"), entry.get("product")), entry)
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
        if self.pattern is not None:
            new.filename = self.filename
        return new

    def copy(self) -> "FileSet":
        """
        Copy, without a name; no pixels are read.

        Returns
        -------
        FileSet
            A set of copies of the members.
        """
        return self._like({key: self[key].copy() for key in self})

    def __copy__(self) -> "FileSet":
        return self.copy()

    def save(
        self,
        filename: "str | os.PathLike[str] | FileName | None" = None,
        overwrite: bool = False,
        *,
        workers: int | str = 1,
        checksum: bool = False,
    ) -> None:
        """
        Save every member, all under names of the set; if one cannot be saved, none.

        Parameters
        ----------
        filename : str, path or FileName, optional
            Another name with the key in braces, which the set takes on. Its folder must
            exist.
        overwrite : bool
            Replace files that exist.
        workers : int or 'all'
            How many processes save files.
        checksum : bool
            Write CHECKSUM and DATASUM into every header.

        Raises
        ------
        ModeError
            If there is no name, or files were opened to be read only.
        OutputExistsError
            If a file exists that must not; then none is written.
        ParameterError
            If the name has no key in braces, or cannot hold the keys.
        """
        names = None if filename is None else member_names(self, filename)
        files = files_to_save(self) if names is None else self.members
        save_all(
            files, names,
            overwrite=overwrite, workers=workers, checksum=checksum, together=True,
        )  # fmt: skip
        if filename is not None:
            self.filename = filename

    def reload(self) -> None:
        """Read every member anew, giving up what was changed in memory."""
        if self._source is not None and self._filename is None:
            self._source.reload()
            self._files = dict.fromkeys(self._files)
            self._as_cut = {}
            return
        for df in self._files.values():
            if isinstance(df, DataFile):  # the others were not read yet
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
        if not _goes_with_sets(other):
            return NotImplemented
        if not isinstance(other, FileSet):
            other = shared_operand(other)
        pairs = pair_members(*((other, self) if swapped else (self, other)))

        def one(key: Key) -> DataFile:
            try:
                made: DataFile = combined(name, *pairs[key])
            except NdmapperError as err:
                msg = f"{self._called(key)}: {err}"
                raise type(err)(msg) from err
            return made

        return self._like(dict(zip(pairs, self._each(one, list(pairs)), strict=True)))

    def _each(self, func: Callable[[Key], Any], keys: list[Key]) -> Iterable[Any]:
        """Call a function with each key."""
        return map(func, keys)

    def _called(self, key: Key) -> str:
        """Name a member, for errors."""
        return f"{key_text(key)} of {str(self) or 'a set'}"

    def _operate_in_place(self, name: str, other: Any) -> Any:
        if not _goes_with_sets(other):
            return NotImplemented
        put_all(prepare_item(name, self, other), later=True)
        return self

    def _named(self, result: Any, filename: str | os.PathLike[str]) -> Any:
        """Name a result."""
        result.filename = filename
        return result


def files_in(item: Any) -> list[DataFile]:
    """List the files that a set is in, one where all are in one; of a file, that."""
    if not isinstance(item, FileSet):
        return [item]
    whole = item.whole
    return item.members if whole is None else [whole]


def given_keys(files: FileSet) -> list[Key]:
    """List the keys of members if only the set knows them: no name and no header."""
    pattern = files.pattern
    if not files.is_made or all(
        _is_told(df, key, pattern, files.by) for key, df in files.items()
    ):
        return []
    return list(files)


def _is_told(
    df: DataFile, key: Key, pattern: NamePattern | None, by: Sequence[str]
) -> bool:
    """Whether the name of a member, or else its headers, say its key."""
    said = None if pattern is None or not str(df) else _read_key(pattern, df)
    if said is None and by:
        try:
            said = key_of(df, by)
        except NdmapperError:
            return False
    return said is not None and key_words(said) == key_words(key)


def members_of(item: Any) -> list[DataFile]:
    """List the members of a set; of a file, that one."""
    return item.members if isinstance(item, FileSet) else [item]


def first_member(item: Any) -> DataFile:
    """Give the first member of a set, which is opened alone; of a file, that one."""
    if not isinstance(item, FileSet):
        found: DataFile = item
        return found
    for key in item:
        return item[key]
    msg = f"{item!r} has no members"
    raise MissingMemberError(msg)


def member_names(files: FileSet, filename: Any) -> list[FileName]:
    """List the names that a pattern gives the members of a set, each another one."""
    pattern = NamePattern(os.fspath(filename))
    return [_name_of(pattern, files.by, key) for key in files]


def files_to_save(item: Any) -> list[DataFile]:
    """List the files to save of a file or a set, each with its name in the set."""
    if not isinstance(item, FileSet):
        return [item]
    if item.pattern is None:
        if any(df.filename is None for df in item.members):
            key = next(iter(item.by), "key")
            msg = (
                f"members of {item!r} have no name; save them under one with the key "
                f"in braces: save('name-{{{key}}}.fits')"
            )
            raise ModeError(msg)
        return item.members
    for df, name in zip(item.members, member_names(item, item.filename), strict=True):
        if df.filename != name:
            df.filename = name
    return item.members


def pair_members(left: Any, right: Any) -> dict[Key, tuple[Any, Any]]:
    """
    Pair the members of two sets by key, or those of one with the one other operand.

    Raises
    ------
    IdentError
        If two sets are not of the same keys.
    """
    sets = [item for item in (left, right) if isinstance(item, FileSet)]
    alone = []
    for item, other in (sets, sets[::-1]) if len(sets) == 2 else ():
        if rest := [key for key in item if key not in other]:
            alone.append(f"{item!r} alone has {keys_text(rest)}")
    if alone:
        msg = (
            f"sets that are combined have the same members, but {' and '.join(alone)}; "
            "choose the members that both have: FileSet(files, keys=...)"
        )
        raise IdentError(msg)

    def side(item: Any, key: Key) -> Any:
        return item[key] if isinstance(item, FileSet) else item

    return {key: (side(left, key), side(right, key)) for key in sets[0]}


def prepare_item(name: str, left: Any, right: Any) -> list[CheckedOperation]:
    """Check an operation in the place of a file or set; nothing changes yet."""
    if isinstance(left, FileSet):
        pairs = pair_members(left, right).values()
        return [done for pair in pairs for done in prepare_in_place(name, *pair)]
    if isinstance(right, FileSet):
        msg = (
            f"the {len(right)} results of {left!r} with {right!r} do not fit in the "
            "place of one file"
        )
        raise ShapeError(msg)
    return prepare_in_place(name, left, right)


def _goes_with_sets(value: Any) -> bool:
    return isinstance(value, FileSet | DataFile) or is_operand(value)


def _checked_member(item: Any) -> Any:
    """Return a file, or the name of one; TypeError for anything else."""
    if isinstance(item, NDData):
        return DataFile(data=item)
    is_name = isinstance(item, str | os.PathLike) and not isinstance(item, FileSet)
    if not isinstance(item, DataFile) and not is_name:
        msg = f"a DataFile or the name of one was expected, not {type(item).__name__}"
        raise TypeError(msg)
    return item


def _name_of(pattern: NamePattern, by: Sequence[str], key: Key) -> FileName:
    """Name the file of a key, whose parts may stand in another order in the name."""
    if isinstance(key, tuple) and set(by) == set(pattern.fields):
        values = dict(zip(by, key, strict=True))
        key = checked_key([values[field] for field in pattern.fields])
    return FileName(pattern.fill(key))


def _read_key(pattern: NamePattern, df: DataFile) -> Key | None:
    """Read the key of a file from its name, in whatever folder it was found from."""
    if (key := pattern.match(str(df))) is not None:
        return key
    whole = os.path.abspath(pattern.text)  # noqa: PTH100  # a link may be meant
    return NamePattern(whole).match(os.path.abspath(str(df)))  # noqa: PTH100


def _matching(pattern: NamePattern, wanted: list[Key] | None) -> dict[Key, Any]:
    """Find the files that there are, and those wanted that a step plans."""
    found: dict[Key, Any] = dict(pattern.files())
    for key in wanted or ():
        if find_key(found, key) is None and find_planned(pattern.fill(key)) is not None:
            found[key] = pattern.fill(key)
    keys = found if wanted is None else wanted
    if all(find_key(found, key) is None for key in keys):
        folder = Path(pattern.text).parent
        hint = (
            "check the folder and the pattern"
            if folder.is_dir() or "{" in str(folder)
            else f"there is no folder {folder}"
        )
        msg = f"no file fits {pattern.text!r}; {hint}"
        raise MissingFileError(msg)
    return found
