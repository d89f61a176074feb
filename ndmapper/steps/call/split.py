"""Hop 5, units: which files, calibrations and key go into each unit of work."""

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ndmapper.config import Settings
from ndmapper.data import DataFile, FileSet
from ndmapper.data.member_keys import find_rule, keys_in
from ndmapper.data.name_pattern import Key, key_text
from ndmapper.engines import get_engine
from ndmapper.engines.base import Calibration
from ndmapper.errors import MissingCalibrationError, ParameterError, PlanError
from ndmapper.steps.call.inputs import Inputs
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.work_unit import Roles, shared_cals

__all__ = ["Part", "split"]

log = logging.getLogger(__name__)

Said = Mapping[int, Sequence[Key]]
"""The keys that each file says it holds, by the id of the file."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """
    What goes into one unit of work.

    Parameters
    ----------
    group : int
        Which of the inputs it is part of; units of one input make one set.
    key : mapping of str to int or str
        The key that it works on; empty where a call is not split.
    roles : mapping
        The inputs.
    whole : mapping
        The inputs before they were split, after which products are named.
    calibrations : mapping
        The calibrations, by type.
    cals : mapping
        Calibrations that all inputs share, which products are handed on with.
    parameter : str or None
        The parameter that is given the key.
    lost : mapping
        Why keys of the same input have no unit.
    """

    group: int
    key: Mapping[str, Key] = field(default_factory=dict)
    roles: Roles
    whole: Roles
    calibrations: Mapping[str, Calibration]
    cals: Mapping[str, Any]
    parameter: str | None = None
    lost: dict[Key, str] = field(default_factory=dict)


def split(
    declaration: Declaration,
    inputs: Inputs,
    calibrations: Sequence[Mapping[str, Calibration]],
    settings: Settings,
) -> list[Part]:
    """
    Sort inputs and calibrations into units: one per file, or one; and one per key.

    Raises
    ------
    PlanError
        If a call is to be split, and no input says what the keys are.
    MissingCalibrationError
        If a calibration that is a set has no member of a key.
    """
    parts: list[Part] = []
    for group, part in enumerate(_groups(declaration, inputs, calibrations)):
        by = _split_by(declaration, part.roles)
        if by is None:
            parts.append(_part(group, part.roles, part.calibrations))
        else:
            parts += _by_key(declaration, group, part, by, settings)
    return parts


def _part(group: int, roles: Roles, applied: Mapping[str, Calibration]) -> Part:
    items = [item for role in roles.values() for item in role]
    return Part(
        group=group,
        roles=roles,
        whole=roles,
        calibrations=applied,
        cals=shared_cals(items),
    )


def _groups(
    declaration: Declaration,
    inputs: Inputs,
    calibrations: Sequence[Mapping[str, Calibration]],
) -> list[Part]:
    """Sort the inputs by unit, as if nothing were split: one per file, or one."""
    if not inputs.roles:
        return [_part(0, {}, calibrations[0])]
    if declaration.each == "list":
        roles: Roles = {name: list(files) for name, files in inputs.roles.items()}
        joined = _join_calibrations(declaration, inputs.first, calibrations)
        return [_part(0, roles, joined)]
    return [
        _part(i, {name: [files[i]] for name, files in inputs.roles.items()}, applied)
        for i, applied in enumerate(calibrations)
    ]


def _split_by(declaration: Declaration, roles: Roles) -> str | None:
    """Find what a unit is split by: as declared, or a set whose extensions are seen."""
    if declaration.by is not None:
        return declaration.by
    if declaration.each != "ndd":
        return None
    sets = [i for items in roles.values() for i in items if isinstance(i, FileSet)]
    return _name_of_key(sets[0]) if sets else None


def _name_of_key(files: FileSet) -> str:
    return ", ".join(files.by) or "key"


def _by_key(
    declaration: Declaration, group: int, whole: Part, by: str, settings: Settings
) -> list[Part]:
    items = [item for role in whole.roles.values() for item in role]
    lists = [cal for cal in whole.calibrations.values() if isinstance(cal, list)]
    # Each file is asked once, and not for each key.
    said = {
        id(item): keys_in(item, by)
        for item in itertools.chain(items, *lists)
        if not isinstance(item, FileSet)
    }
    keys, rule = _keys_of(declaration, items, by, said)
    parameter = declaration.by_parameter or _parameter(declaration, by, rule)
    lost: dict[Key, str] = {}
    found = []
    for key in keys:
        try:
            roles = {
                name: _members(role, by, key, said)
                for name, role in whole.roles.items()
            }
            _refuse_empty(declaration, roles, by, key, whole.roles)
            applied = {
                name: _members(cal, by, key, said)
                if isinstance(cal, list)
                else _member_cal(declaration, name, cal, by, key)
                for name, cal in whole.calibrations.items()
            }
        except (MissingCalibrationError, PlanError) as err:
            if settings["on_error"] != "continue":
                raise
            log.warning("%s is left out: %s", f"{by} {key_text(key)}", err)
            lost[key] = str(err)
            continue
        found.append(
            Part(
                group=group,
                key={by: key},
                roles=roles,
                whole=whole.roles,
                calibrations=applied,
                cals=whole.cals,
                parameter=parameter,
                lost=lost,
            )
        )
    for item in items:
        if isinstance(item, FileSet) and _name_of_key(item) == by:
            lost.update({k: why for k, why in item.missing.items() if k not in keys})
    if not found:
        msg = f"{declaration.name}: nothing is left to be done: " + "; ".join(
            lost.values()
        )
        raise PlanError(msg)
    return found


def _keys_of(
    declaration: Declaration, items: Sequence[Any], by: str, said: Said
) -> tuple[list[Key], Any]:
    """List the keys of the first input that says them."""
    for item in items:
        if isinstance(item, FileSet):
            if _name_of_key(item) == by:
                first = next(iter(item.members), None)
                return list(item), None if first is None else find_rule(first, by)
            continue
        if found := said[id(item)]:
            rest = (key for i in items for key in said.get(id(i), ()))
            return list(dict.fromkeys((*found, *rest))), find_rule(item, by)
    names = ", ".join(str(item) for item in items[:3]) or "nothing"
    msg = (
        f"{declaration.name} is done for each {by}, but {names} does not say of any; "
        f"{by!r} is the key of a set, a name in [members] of the instrument's table, "
        "'ident', or a header keyword"
    )
    raise PlanError(msg)


def _parameter(declaration: Declaration, by: str, rule: Any) -> str | None:
    """Find the parameter of a tool that is told which key to work on."""
    if declaration.is_python:
        return None
    known = get_engine(declaration.task.engine).parameters(declaration.task)
    for name in (getattr(rule, "parameter", None), by):
        if name is not None and (known is None or name in known):
            return str(name)
    return None


def _members(items: Iterable[Any], by: str, key: Key, said: Said) -> list[Any]:
    """Select what belongs to a key: members of sets, and files that do not say no."""
    found: list[Any] = []
    for item in items:
        if isinstance(item, FileSet):
            if _name_of_key(item) != by:
                found.append(item)
            elif key in item:
                found.append(item[key] if item.whole is None else item.whole)
            continue
        if not said[id(item)] or key in said[id(item)]:
            found.append(item)
    return found


def _refuse_empty(
    declaration: Declaration, roles: Roles, by: str, key: Key, whole: Roles
) -> None:
    for name, files in roles.items():
        if not files and whole[name]:
            given = ", ".join(map(str, whole[name][:3]))
            msg = (
                f"{declaration.name}: {given} ({name}) has nothing of {by} "
                f"{key_text(key)}"
            )
            raise PlanError(msg)


def _member_cal(
    declaration: Declaration, name: str, cal: Calibration, by: str, key: Key
) -> Calibration:
    """Select the member of a calibration that belongs to a key."""
    if isinstance(cal, FileSet) and _name_of_key(cal) == by:
        if key not in cal:
            why = cal.missing.get(key, "")
            msg = (
                f"{declaration.name}: the {name} {cal} has no member of {by} "
                f"{key_text(key)}{f' ({why})' if why else ''}"
            )
            raise MissingCalibrationError(msg)
        return cal[key] if cal.whole is None else cal.whole
    return cal


def _join_calibrations(
    declaration: Declaration,
    files: Sequence[Any],
    calibrations: Sequence[Mapping[str, Calibration]],
) -> dict[str, Calibration]:
    """Join the calibrations of a list: one file if all share it, else aligned."""
    joined: dict[str, Calibration] = {}
    for name in calibrations[0]:
        column = [cals[name] for cals in calibrations]
        absent = [df for df, cal in zip(files, column, strict=True) if cal is None]
        if len(absent) not in (0, len(column)):
            msg = (
                f"{declaration.name} works on all files together, but no {name} is "
                f"applied to {', '.join(map(str, absent))}, and one to the others; "
                f"give {name}=<file or list>, or {name}=None for all"
            )
            raise ParameterError(msg)
        if all(_is_same(cal, column[0]) for cal in column):
            joined[name] = column[0]
        else:
            joined[name] = column
    return joined


def _is_same(first: Calibration, second: Calibration) -> bool:
    """Compare by file name; one that is only in memory equals nothing but itself."""
    if first is second:
        return True
    if isinstance(first, FileSet) and isinstance(second, FileSet):
        return list(first) == list(second) and all(
            _is_same(first[key], second[key]) for key in first
        )
    return (
        isinstance(first, DataFile)
        and isinstance(second, DataFile)
        and first.filename is not None
        and first.filename == second.filename
        and first.unloaded == second.unloaded is True
    )
