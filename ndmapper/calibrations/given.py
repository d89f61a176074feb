"""Calibrations that a script gives, found by their labels."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from ndmapper.calibrations.names import file_name, name_variants, product_name
from ndmapper.calibrations.patterns import name_without_key, set_among
from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.errors import ParameterError

__all__ = ["Calibration", "GivenCals"]

Calibration = DataFile | FileSet
"""A processed calibration: one file, or a set of them."""


class GivenCals:
    """
    Calibrations in any form: a file, a set, results of steps, lists and mappings.

    A calibration is known by the name of its file and, in a mapping, by its key. One
    that is a set is known by its pattern, or by files that fit it.
    """

    def __init__(self, cals: Any) -> None:
        self._by_key: dict[str, list[Calibration]] = {}
        self._by_name: dict[str, list[Calibration]] = {}
        for key, cal in _flattened(cals):
            if key is not None:
                name = product_name(file_name(key))
                self._by_key.setdefault(name, []).append(cal)
            if cal.filename is not None:
                name = product_name(file_name(cal))
                self._by_name.setdefault(name, []).append(cal)
            elif key is None:
                msg = (
                    f"a calibration without a file name, {cal!r}, cannot be told from "
                    "others; save it first, or give a mapping of names to calibrations"
                )
                raise ParameterError(msg)

    def __iter__(self) -> Iterator[Calibration]:
        every = [*self._by_key.values(), *self._by_name.values()]
        return iter({id(cal): cal for cals in every for cal in cals}.values())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __str__(self) -> str:
        return ", ".join(dict.fromkeys([*self._by_key, *self._by_name])) or "none"

    def under(self, label: str) -> list[Calibration]:
        """List what a mapping has under a label, such as all products of a step."""
        names = name_variants(product_name(file_name(label)))
        return next((self._by_key[n] for n in names if n in self._by_key), [])

    def find(self, label: str) -> Calibration | None:
        """Find a calibration by its label; None if it is not given."""
        if len(keyed := self.under(label)) == 1:
            return keyed[0]
        names = [file_name(n) for n in name_variants(product_name(label))]
        for name in names:
            if name in self._by_name:
                return _nearest(self._by_name[name], label)
        last = {name: cals[-1] for name, cals in self._by_name.items()}
        if (found := set_among(product_name(label), last)) is not None:
            return found
        return self._in_other_form(names[0])

    def _in_other_form(self, name: str) -> Calibration | None:
        """Find a set by the name of one file, or a file by that of a set."""
        plain = name_without_key(name)
        for other, cals in self._by_name.items():
            if plain in {other, name_without_key(other)} and "{" in name + other:
                return cals[-1]
        return None


def _nearest(cals: list[Calibration], label: str) -> Calibration:
    """Choose among calibrations of one name by the folder of a label."""
    parts = PurePath(label).parts
    for cal in cals:
        if Path(str(cal)).absolute().parts[-len(parts) :] == parts:
            return cal
    return cals[-1]


def _flattened(cals: Any) -> Iterator[tuple[str | None, Calibration]]:
    """Yield calibrations, with their key where they are in a mapping."""
    if isinstance(cals, DataFile | FileSet):
        yield None, cals
    elif isinstance(cals, Mapping):
        for key, value in cals.items():
            for _, cal in _flattened(value):
                yield str(key), cal
    elif isinstance(cals, list | tuple) and not isinstance(cals, DataFileList):
        for item in cals:
            yield from _flattened(item)
    elif isinstance(cals, str | os.PathLike):
        yield from ((None, cal) for cal in DataFileList(cals))
    else:
        files = cals if isinstance(cals, DataFileList) else DataFileList(cals)
        yield from ((None, cal) for cal in files)
