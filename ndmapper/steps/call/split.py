"""Hop 5, units: which files, calibrations and key go into each unit of work."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ndmapper.config import Settings
from ndmapper.data import DataFile, FileSet
from ndmapper.data.name_pattern import Key, NamePattern
from ndmapper.engines import get_engine
from ndmapper.engines.base import Calibration
from ndmapper.errors import MissingCalibrationError, ParameterError, PlanError
from ndmapper.steps.call.inputs import Inputs
from ndmapper.steps.call.keys import Keys
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.work_unit import Roles, shared_cals

__all__ = ["Part", "split"]

log = logging.getLogger(__name__)


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
    own_cals : mapping
        Of these, the members that belong to the key.
    member_of : mapping
        The name of the set that each file of an input is a member of, or an empty one.
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
    own_cals: Mapping[str, Any]
    member_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
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
    for part in _groups(declaration, inputs, calibrations):
        if fields := _split_by(declaration, part.roles):
            keys = Keys(declaration.name, fields)
            parts += _by_key(declaration, part, keys, settings)
        else:
            parts.append(_with_own_members(declaration, part))
    return parts


def _part(group: int, roles: Roles, applied: Mapping[str, Calibration]) -> Part:
    items = [item for role in roles.values() for item in role]
    cals = shared_cals(items)
    return Part(
        group=group,
        roles=roles,
        whole=roles,
        calibrations=applied,
        cals=cals,
        own_cals=cals,
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


def _split_by(declaration: Declaration, roles: Roles) -> Sequence[str]:
    """
    Find what a unit is split by: what is declared, or a set that is not seen as one.

    Functions of extensions see no set, nor do tools that take one file where others, as
    recipes of esorex, take any number.
    """
    if declaration.by is not None:
        return (declaration.by,)
    takes_one = (
        declaration.each == "file"
        and not declaration.is_python
        and get_engine(declaration.task.engine).each == "file"
    )
    if declaration.each != "ndd" and not takes_one:
        return ()
    sets = [i for items in roles.values() for i in items if isinstance(i, FileSet)]
    return (sets[0].by or ("key",)) if sets else ()


def _by_key(
    declaration: Declaration, whole: Part, keys: Keys, settings: Settings
) -> list[Part]:
    every, rule = keys.find(whole.roles)
    parameter = declaration.by_parameter or _parameter(declaration, keys, rule)
    lost: dict[Key, str] = {}
    found = []
    for key in every:
        try:
            _refuse_unnameable(declaration, whole.roles, keys, key)
            part = _of_key(whole, keys, key)
        except (MissingCalibrationError, PlanError) as err:
            if settings["on_error"] != "continue":
                raise
            log.warning("%s is left out: %s", keys.word(key), err)
            lost[key] = str(err)
            continue
        found.append(replace(part, parameter=parameter, lost=lost))
    for item in (item for role in whole.roles.values() for item in role):
        if keys.are_those_of(item):
            lost.update({k: why for k, why in item.missing.items() if k not in every})
    if not found:
        msg = f"{declaration.name}: nothing is left to be done: " + "; ".join(
            lost.values()
        )
        raise PlanError(msg)
    return found


def _of_key(whole: Part, keys: Keys, key: Key) -> Part:
    """Take what belongs to a key out of inputs and calibrations."""
    leading = next(iter(whole.roles), None)
    chosen = {
        name: keys.select(name, items, key, leads=name == leading)
        for name, items in whole.roles.items()
    }
    positions = next(iter(chosen.values()), {})

    def select(name: str, cal: Calibration) -> Calibration:
        if not isinstance(cal, list):
            return keys.of_calibration(name, cal, key)
        # One for each file of the first input, of which this unit has some.
        return [keys.of_calibration(name, cal[i], key) for i in positions]

    own = {}
    for name, cal in whole.cals.items():
        with suppress(MissingCalibrationError):  # which may not be applied at all
            own[name] = keys.of_calibration(name, cal, key)
    items = [item for files in chosen.values() for item in files.values()]
    member_of = {
        name: [keys.set_of(whole.roles[name][i]) for i in files]
        for name, files in chosen.items()
    }
    return replace(
        whole,
        member_of=member_of,
        key=keys.by_field(key),
        roles={name: [*files.values()] for name, files in chosen.items()},
        calibrations={n: select(n, cal) for n, cal in whole.calibrations.items()},
        own_cals=shared_cals(items) | own,
    )


def _refuse_unnameable(
    declaration: Declaration, roles: Roles, keys: Keys, key: Key
) -> None:
    """Refuse a key that cannot be part of the name of a product."""
    for part in keys.by_field(key).values():
        try:
            NamePattern("{key}").fill(part)
        except ParameterError as err:
            items = ", ".join(str(i) for role in roles.values() for i in role[:3])
            msg = (
                f"{declaration.name}: {keys.word(key)} of {items} cannot be part of "
                "the name of a product"
            )
            raise PlanError(msg) from err


def _parameter(declaration: Declaration, keys: Keys, rule: Any) -> str | None:
    """Find the parameter of a tool that is told which key to work on."""
    if declaration.is_python or len(keys.fields) > 1:
        return None
    known = get_engine(declaration.task.engine).parameters(declaration.task)
    for name in (getattr(rule, "parameter", None), keys.fields[0]):
        if name is not None and (known is None or name in known):
            return str(name)
    return None


def _with_own_members(declaration: Declaration, part: Part) -> Part:
    """
    Select the members of sets of calibrations that belong to the one file of a unit.

    Only for functions of extensions: others may be made for whole sets.
    """
    if declaration.each != "ndd":
        return part
    ((df,),) = part.roles.values()
    return replace(
        part,
        calibrations={
            name: Keys(declaration.name, cal.by or ("key",)).of_own(name, cal, df)
            if isinstance(cal, FileSet)
            else cal
            for name, cal in part.calibrations.items()
        },
    )


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
