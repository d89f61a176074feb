"""Calibrations that a script gives, found by their labels."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from ndmapper.calibrations.names import file_name, name_variants, product_name
from ndmapper.calibrations.patterns import set_among
from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.data.name_pattern import without_key
from ndmapper.errors import ParameterError
from ndmapper.io.filetypes import split_ext

__all__ = ["Calibration", "GivenCals", "first_file"]

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
        self._tags: dict[int, str] = {}
        # Labels that were asked for: many files have the same.
        self._known: dict[str, Calibration | None] = {}
        for keys, cal in _flattened(cals):
            key = keys[0] if keys else ""
            self._tags[id(cal)] = keys[-1] if keys else ""
            # The result of a step, as it is, has outputs as keys and no labels.
            if key and not (split_ext(key)[1] is None and key == output_of(cal)):
                name = product_name(file_name(key))
                self._by_key.setdefault(name, []).append(cal)
            if cal.filename is not None:
                name = product_name(file_name(cal))
                self._by_name.setdefault(name, []).append(cal)
            elif not key:
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

    def output_of(self, cal: Calibration) -> str:
        """Return the output of a step that a calibration is, as far as is known."""
        return output_of(cal) or self._tags.get(id(cal), "")

    def under(self, label: str) -> list[Calibration]:
        """List what a mapping has under a label, such as all products of a step."""
        names = name_variants(product_name(file_name(label)))
        return next((self._by_key[n] for n in names if n in self._by_key), [])

    def find(self, label: str) -> Calibration | None:
        """Find a calibration by its label; None if it is not given."""
        if label not in self._known:
            self._known[label] = self._find(label)
        return self._known[label]

    def _find(self, label: str) -> Calibration | None:
        if len(keyed := self.under(label)) == 1:
            return keyed[0]
        names = [file_name(n) for n in name_variants(product_name(label))]
        # Two nights may have the same names in two folders, which the label names.
        fitting = {
            name: right[-1]
            for name, cals in self._by_name.items()
            if (right := [cal for cal in cals if _lies_in_folder_of(cal, label)])
        }
        for name in names:
            if name in fitting:
                return fitting[name]
        if (found := set_among(product_name(label), fitting)) is not None:
            return found
        return _in_other_form(names[0], fitting)


def _in_other_form(name: str, files: Mapping[str, Calibration]) -> Calibration | None:
    """Find a set by the name of one file, or a file by that of a set."""
    plain = without_key(name)
    for other, cal in files.items():
        if plain in {other, without_key(other)} and "{" in name + other:
            return cal
    return None


def _lies_in_folder_of(cal: Calibration, label: str) -> bool:
    folder = PurePath(label).parent.parts
    return (
        not folder or Path(str(cal)).absolute().parent.parts[-len(folder) :] == folder
    )


def _flattened(
    cals: Any, keys: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Calibration]]:
    """Yield calibrations, with the keys of the mappings that they are in."""
    if isinstance(cals, DataFile | FileSet):
        yield keys, cals
    elif isinstance(cals, Mapping):
        for key, value in cals.items():
            yield from _flattened(value, (*keys, str(key)))
    elif isinstance(cals, list | tuple) and not isinstance(cals, DataFileList):
        for item in cals:
            # A mapping in a list is the result of a step.
            inner = (*keys, "") if isinstance(item, Mapping) and not keys else keys
            yield from _flattened(item, inner)
    else:
        files = cals if isinstance(cals, DataFileList) else DataFileList(cals)
        yield from ((keys, cal) for cal in files)


def first_file(cal: Calibration) -> DataFile | None:
    """Return a file, or the first of a set; None of a set that is only planned."""
    if not isinstance(cal, FileSet):
        return cal
    return cal.members[0] if cal.is_made and len(cal) else None


def output_of(cal: Calibration) -> str:
    """Return the output of a step that a product is, such as MASTER_FLAT."""
    df = first_file(cal)
    record = [] if df is None else df.record
    return str(record[-1].get("output") or "").partition("[")[0] if record else ""
