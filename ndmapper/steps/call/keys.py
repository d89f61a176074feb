"""Hop 5, keys: which keys inputs have, and what of files and sets belongs to one."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile, FileSet, PlainFile
from ndmapper.data.member_keys import find_rule, keys_in
from ndmapper.data.name_pattern import (
    Key,
    field_name,
    find_key,
    key_text,
    key_words,
)
from ndmapper.engines.base import Calibration
from ndmapper.errors import MissingCalibrationError, PlanError
from ndmapper.steps.work_unit import Roles

__all__ = ["Keys"]


class Keys:
    """
    What a call is split by; what files say of it is read once.

    Parameters
    ----------
    step : str
        Name of the step, for messages.
    fields : sequence of str
        Names of the parts of a key: one, but for sets with several.
    """

    def __init__(self, step: str, fields: Sequence[str]) -> None:
        self._step = step
        self.fields = tuple(fields)
        self._names = (*map(field_name, self.fields),)
        self._said: dict[int, list[Key]] = {}

    def __str__(self) -> str:
        return ", ".join(self.fields)

    def word(self, key: Key) -> str:
        """Word a key with its name: ``ifu 7``."""
        return f"{self} {key_text(key)}"

    def by_field(self, key: Key) -> dict[str, Key]:
        """Sort the parts of a key by field."""
        parts = key if isinstance(key, tuple) and len(self.fields) > 1 else (key,)
        return dict(zip(self.fields, parts, strict=True))

    def are_those_of(self, item: Any) -> bool:
        """Whether an item is a set whose members differ in this key."""
        if not isinstance(item, FileSet):
            return False
        own = item.by or ("key",)
        return own == self.fields or (*map(field_name, own),) == self._names

    def set_of(self, item: Any) -> str:
        """Name the set that a member was taken out of; empty where it is none."""
        is_set = self.are_those_of(item) and item.source is None
        return Path(str(item)).name if is_set else ""

    def of_file(self, df: DataFile) -> list[Key]:
        """List the keys of the parts that a file says it holds."""
        if isinstance(df, PlainFile):
            return []
        if id(df) not in self._said:
            said = [_keys_of(df, field) for field in self.fields]
            if len(said) == 1:
                self._said[id(df)] = said[0]
            else:
                is_one = all(len(found) == 1 for found in said)
                self._said[id(df)] = [tuple(f[0] for f in said)] if is_one else []
        return self._said[id(df)]

    def find(self, roles: Roles) -> tuple[list[Key], Any]:
        """
        List the keys of the first input that says any, and the rule they are read by.

        Raises
        ------
        PlanError
            If none does.
        """
        for items in roles.values():
            found: dict[tuple[str, ...], Key] = {}
            saying = None
            for item in items:
                if isinstance(item, FileSet):
                    own = list(item) if self.are_those_of(item) else []
                else:
                    own = self.of_file(item)
                if own and saying is None:
                    saying = item
                for key in own:
                    found.setdefault(key_words(key), key)
            if saying is not None:
                first = saying.members[0] if isinstance(saying, FileSet) else saying
                is_plain = isinstance(first, PlainFile)
                rule = None if is_plain else find_rule(first, self.fields[0])
                return list(found.values()), rule
        items = [item for role in roles.values() for item in role]
        names = ", ".join(str(item) or repr(item) for item in items[:3]) or "nothing"
        msg = (
            f"{self._step} is done for each {self}, but {names} does not say of any; "
            f"{str(self)!r} is the key of a set, a name in [members] of the "
            "instrument's table, 'ident', or a header keyword"
        )
        others = [i for i in items if isinstance(i, FileSet) and len(i.by) == 1]
        if others:
            (by,) = others[0].by
            msg += f"; {others[0]} is a set by {by}: use by={by!r}, or a list of files"
        raise PlanError(msg)

    def select(
        self, name: str, items: Sequence[Any], key: Key, *, leads: bool = True
    ) -> dict[int, Any]:
        """
        Select what of an input belongs to a key, by the position of each item.

        A file that holds one other part is of another unit; what lacks a part that
        others have is an error, for less would go in without a word. In inputs after
        the first, which leads, one image is for all images.

        Raises
        ------
        PlanError
            If a set, a file with several parts, or the whole input has nothing of it.
        """
        found: dict[int, Any] = {}
        for position, item in enumerate(items):
            if self.are_those_of(item):
                if key not in item:
                    msg = f"{self._step}: {_lacking(item, self.word(key), key)}"
                    raise PlanError(msg)
                found[position] = self._part(item, key)
                continue
            said = [] if isinstance(item, FileSet) else self.of_file(item)
            is_ident = self.fields == ("ident",)
            is_for_all = not said or (is_ident and not leads and len(said) == 1)
            if is_for_all or find_key(said, key) is not None:
                found[position] = item
            elif len(said) > 1 or (is_ident and self._has_several(items)):
                msg = f"{self._step}: {item} ({name}) has nothing of {self.word(key)}"
                raise PlanError(msg)
        if items and not found:
            given = ", ".join(map(str, items[:3]))
            msg = f"{self._step}: {given} ({name}) has nothing of {self.word(key)}"
            raise PlanError(msg)
        return found

    def _part(self, files: FileSet, key: Key) -> DataFile:
        """Give a member, or the file that holds it, which is cut later by the key."""
        # Under another name of the key, as in "ESO_DET_CHIP", nothing would be cut.
        source = files.source if files.by == self.fields else None
        return source or files[key]

    def _has_several(self, items: Sequence[Any]) -> bool:
        files = (item for item in items if not isinstance(item, FileSet))
        return any(len(self.of_file(df)) > 1 for df in files)

    def of_calibration(self, name: str, cal: Calibration, key: Key) -> Calibration:
        """
        Select the member of a calibration that belongs to a key.

        Raises
        ------
        MissingCalibrationError
            If it has none, or is one file that says it is of another key.
        """
        if self.are_those_of(cal):
            assert isinstance(cal, FileSet)
            if key not in cal:
                words = _lacking(cal, self.word(key), key)
                msg = f"{self._step}: the {name} {words}"
                raise MissingCalibrationError(msg)
            return self._part(cal, key)
        # One image is for all images; one IFU is not for another.
        if isinstance(cal, DataFile) and self.fields != ("ident",):
            said = self.of_file(cal)
            if said and find_key(said, key) is None:
                words = ", ".join(map(key_text, said[:6]))
                msg = (
                    f"{self._step}: the {name} {cal} is of {self} {words}, not of "
                    f"{key_text(key)}"
                )
                raise MissingCalibrationError(msg)
        return cal

    def of_own(self, name: str, cal: FileSet, df: DataFile) -> DataFile:
        """
        Select the member of a calibration that belongs to a file by what that says.

        Raises
        ------
        MissingCalibrationError
            If it does not say its key, or there is no such member.
        """
        said = self.of_file(df)
        if len(said) != 1:
            msg = (
                f"{self._step}: the {name} {cal} is a set, and {df} does not say which "
                f"{self} it is of; give the member that belongs to it"
            )
            raise MissingCalibrationError(msg)
        self.of_calibration(name, cal, said[0])
        return cal[said[0]]


def _keys_of(df: DataFile, field: str) -> list[Key]:
    """List what the headers of a file say, or else the call that made it."""
    if found := keys_in(df, field):
        return found
    rows: Iterable[Any] = df.record[-1:]
    return [row["unit"][field] for row in rows if field in row.get("unit", {})]


def _lacking(item: FileSet, words: str, key: Key) -> str:
    why = item.missing.get(key, "")
    name = str(item) or repr(item)
    return f"{name} has no member of {words}{f' ({why})' if why else ''}"
