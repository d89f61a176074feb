"""Hops 3 and 4: what a call names becomes files: inputs, and calibrations of each."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from astropy.nddata import NDData
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, FileName, FileSet, PlainFile
from ndmapper.data.name_pattern import key_text, parse_pattern
from ndmapper.data.planned import find_planned, open_planned
from ndmapper.engines.base import Calibration
from ndmapper.errors import (
    MissingCalibrationError,
    ParameterError,
    PlanError,
    ShapeError,
    UnknownParameterError,
    did_you_mean,
)
from ndmapper.steps.declare.declaration import Declaration

__all__ = ["Inputs", "Roles", "coerce", "coerce_roles", "resolve_calibrations"]

_ABSENT = object()

Form = Literal["one", "many"]

Roles = Mapping[str, DataFileList]
"""The inputs by the name of the parameter or tag that they are given for."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """
    The inputs of a call.

    Parameters
    ----------
    roles : mapping of str to DataFileList
        The files, by the name of the input.
    form : {'one', 'many'}
        Whether one file was given or a list; the result has the same form.
    """

    roles: Roles
    form: Form

    @property
    def first(self) -> DataFileList:
        """The files of the first input; none of a tool without inputs."""
        return next(iter(self.roles.values()), DataFileList())


def coerce_roles(
    declaration: Declaration, given: Any, more: Mapping[str, Any]
) -> Inputs:
    """
    Turn all inputs of a call into lists of files.

    Raises
    ------
    ParameterError
        If something else is given, or an input is missing or unknown.
    PlanError
        If there are no files, or one is given twice for one input.
    ShapeError
        If a tool works file by file, and two inputs differ in number.
    MissingFileError
        If a file is not there.
    """
    step, names = declaration.name, declaration.task.inputs
    by_name = isinstance(given, Mapping) and not isinstance(given, FileSet)
    if by_name or (given is None and not names):
        named = {**(given or {}), **more}
    elif not names:
        msg = f"{step} has no inputs, and was given {given!r}; call it without"
        raise ParameterError(msg)
    else:
        named = {names[0]: given, **more}
    # 'OBJECT' may be given for 'OBJECT|STD|SKY', and is the tag of the frames then.
    said = {n: tag for n in names for tag in n.split("|") if tag in named and tag != n}
    for name, tag in said.items():
        named[name] = named.pop(tag)
    if unknown := [name for name in named if name not in names]:
        msg = (
            f"{step} has no input {unknown[0]!r}{did_you_mean(str(unknown[0]), names)}"
        )
        raise UnknownParameterError(msg)
    names = tuple(
        n for n in names if named.get(n) is not None or n not in declaration.optional
    )
    if missing := [name for name in names if named.get(name) is None]:
        msg = f"{step} needs files for {missing[0]}; give {missing[0]}=<file or list>"
        raise ParameterError(msg)
    found = {name: coerce(named[name], step) for name in names}
    form: Form = "many" if any(f.form == "many" for f in found.values()) else "one"
    roles = {said.get(name, name): f.first for name, f in found.items()}
    if declaration.each == "list":
        for files in roles.values():
            _refuse_repeats(files, step, members=True)
    if declaration.each != "list" and roles:
        count = max(len(files) for files in roles.values())
        for name, files in roles.items():
            if len(files) not in (1, count):
                sizes = ", ".join(f"{len(f)} of {n}" for n, f in roles.items())
                msg = f"{step} works file by file, but was given {sizes}"
                raise ShapeError(msg)
            if len(files) < count:
                roles[name] = DataFileList(data=[files[0]] * count)
    return Inputs(roles=roles, form=form)


def coerce(inputs: Any, step: str) -> Inputs:
    """
    Turn names, patterns, files and lists of them into a list of files.

    Raises
    ------
    ParameterError
        If it is something else.
    PlanError
        If there are no inputs, or one file is given twice.
    MissingFileError
        If a file is not there.
    """
    if isinstance(inputs, DataFile | FileSet):
        files = DataFileList(data=[inputs])
        _refuse_repeats(files, step)
        return _inputs(files, "one")
    if isinstance(inputs, (str, FileName, os.PathLike)):
        text = os.fspath(inputs)
        if "{" in text and parse_pattern(text) is not None:
            return _inputs(DataFileList(data=[FileSet(text)]), "one")
        form: Form = "many" if any(c in text for c in "*?[") else "one"
        if form == "many" and os.path.exists(text):  # noqa: PTH110  # any path-like
            form = "one"  # a file whose name looks like a pattern
        planned = find_planned(text) if form == "one" else None
        files = DataFileList(text) if planned is None else DataFileList(data=[planned])
        return _inputs(files, form)
    if isinstance(inputs, DataFileList):
        files = inputs
    elif isinstance(inputs, NDData) or not hasattr(inputs, "__iter__"):
        msg = (
            f"{step} takes a file name, a DataFile or a list of them, not a "
            f"{type(inputs).__name__}"
        )
        raise ParameterError(msg)
    else:
        files = DataFileList()
        for item in inputs:
            files.extend(coerce(item, step).first)
    if not files:
        msg = f"{step} was given no files"
        raise PlanError(msg)
    _refuse_repeats(files, step)
    return _inputs(files, "many")


def _inputs(files: DataFileList, form: Form) -> Inputs:
    return Inputs(roles={"": files}, form=form)


def _refuse_repeats(files: DataFileList, step: str, *, members: bool = False) -> None:
    """Refuse files given twice, with `members` also those in two sets; and no files."""
    seen: set[str] = set()
    item: Any
    for item in files:
        names = [str(item)]
        if _is_empty(item):
            msg = f"{step} was given {_nothing(item)}"
            raise PlanError(msg)
        if members and isinstance(item, FileSet) and item.is_made:
            names = item.names
        paths = {os.path.abspath(n): n for n in names if n}  # noqa: PTH100  # a link
        if twice := [name for path, name in paths.items() if path in seen]:
            msg = f"{step} was given {twice[0]} twice; give every input once"
            raise PlanError(msg)
        seen.update(paths)


def resolve_calibrations(
    declaration: Declaration, given: Mapping[str, Any], files: DataFileList
) -> list[dict[str, Calibration]]:
    """
    Find the calibrations that a step applies to each of its inputs.

    Raises
    ------
    MissingCalibrationError
        If neither the call, nor an input, nor a default of the function has one.
    ShapeError
        If a list is not as long as the inputs.
    """
    if not declaration.task.inputs:  # it works once, on nothing
        files = DataFileList(data=[DataFile(data=[])])
    found: list[dict[str, Calibration]] = [{} for _ in files]
    for name in declaration.cals:
        if name in given:
            column = _given(declaration, name, given[name], files)
        else:
            column = [_own(df, name) for df in files]
            if _ABSENT in column:
                column = _defaults(declaration, name, column, files)
        for cals, cal in zip(found, column, strict=True):
            if _is_empty(cal):
                msg = f"{declaration.name}: the {name} is {_nothing(cal)}"
                raise MissingCalibrationError(msg)
            cals[name] = cal
    return found


def _is_empty(item: Any) -> bool:
    """Whether an item is a set of which no member is there."""
    return isinstance(item, FileSet) and item.is_made and not len(item)


def _nothing(files: FileSet) -> str:
    """Word a set without members, and why these are missing."""
    why = "".join(f"; {key_text(k)}: {w}" for k, w in files.missing.items())
    return f"{files!r}, which has no files{why}"


def _own(item: Any, name: str) -> Any:
    """Give the calibration of a file or set; of a set, that of its members as well."""
    if name in item.cals or not isinstance(item, FileSet):
        return item.cals.get(name, _ABSENT)
    found = {key: df.cals[name] for key, df in item.items() if name in df.cals}
    if not found:
        return _ABSENT
    first = next(iter(found.values()))
    if len(found) == len(item) and all(cal is first for cal in found.values()):
        return first
    cals = FileSet({k: c for k, c in found.items() if c is not None}, item.by or "key")
    lacking = [key for key in item if key not in cals]
    cals.missing.update({key: f"{item[key]} has none" for key in lacking})
    return cals


def _given(
    declaration: Declaration, name: str, value: Any, files: DataFileList
) -> list[Any]:
    if value is None or isinstance(
        value, (str, FileName, os.PathLike, DataFile, FileSet, Table)
    ):
        return [as_calibration(value, name, declaration.name)] * len(files)
    if isinstance(value, NDData) or not hasattr(value, "__iter__"):
        msg = (
            f"{declaration.name}: {name} must be a file, a list of files or None, "
            f"not a {type(value).__name__}"
        )
        raise ParameterError(msg)
    column = [as_calibration(v, name, declaration.name) for v in value]
    if len(column) == 1:
        return column * len(files)
    if len(column) != len(files):
        msg = (
            f"{declaration.name}: {len(files)} inputs but {len(column)} files for "
            f"{name}; give one for all, or one for each"
        )
        raise ShapeError(msg)
    return column


def as_calibration(value: Any, name: str, step: str) -> Calibration:
    """Turn a name, or a table in memory, into a file or set; None stays None."""
    if value is None or isinstance(value, DataFile | FileSet):
        return value
    if isinstance(value, (str, FileName, os.PathLike)):
        return open_planned(value) if parse_pattern(value) is None else FileSet(value)
    if isinstance(value, Table):
        text = io.StringIO()
        value.write(text, format="ascii.ecsv")
        return PlainFile(f"{name}.ecsv", content=text.getvalue().encode())
    msg = f"{step}: {name} must be a file or None, not a {type(value).__name__}"
    raise ParameterError(msg)


def _defaults(
    declaration: Declaration, name: str, column: list[Any], files: DataFileList
) -> list[Any]:
    if name in declaration.optional:
        return [None if c is _ABSENT else c for c in column]
    parameter = declaration.cal_parameters.get(name)
    lacking = [
        str(df) or "NDData in memory"
        for df, c in zip(files, column, strict=True)
        if c is _ABSENT
    ]
    if parameter is None or parameter.required:
        msg = (
            f"{declaration.name} needs a {name} for {', '.join(lacking)}; associate "
            f"one with associate_cals(..., {name!r}), give {name}=<file>, or "
            f"{name}=None to go without"
        )
        raise MissingCalibrationError(msg)
    default = as_calibration(parameter.default, name, declaration.name)
    return [default if c is _ABSENT else c for c in column]
