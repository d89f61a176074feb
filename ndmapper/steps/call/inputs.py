"""Third hop: whatever names the inputs becomes a list of files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from astropy.nddata import NDData

from ndmapper.data import DataFile, DataFileList, FileName
from ndmapper.data.planned import find_planned
from ndmapper.errors import (
    ParameterError,
    PlanError,
    ShapeError,
    UnknownParameterError,
    did_you_mean,
)
from ndmapper.steps.declare.declaration import Declaration

__all__ = ["Inputs", "Roles", "coerce", "coerce_roles"]

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
        Whether one file was given or a list, which decides what comes back.
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
    Turn what a call gives for all inputs of a step into files.

    Parameters
    ----------
    declaration : Declaration
        The step.
    given : object
        What the call gives as its first argument: the first input, or a mapping with
        all of them by name.
    more : mapping
        What it gives by name for others.

    Returns
    -------
    Inputs
        The files.

    Raises
    ------
    ParameterError
        If something else is given, or an input is missing or unknown.
    PlanError
        If there are no files, or one stands in one input twice.
    ShapeError
        If a tool works file by file, and there are more of one input than of another.
    MissingFileError
        If a file is not there.
    """
    step, names = declaration.name, declaration.task.inputs
    if isinstance(given, Mapping) or (given is None and not names):
        named = {**(given or {}), **more}
    elif not names:
        msg = f"{step} has no inputs, and was given {given!r}; call it without"
        raise ParameterError(msg)
    else:
        named = {names[0]: given, **more}
    if unknown := [name for name in named if name not in names]:
        msg = (
            f"{step} has no input {unknown[0]!r}{did_you_mean(str(unknown[0]), names)}"
        )
        raise UnknownParameterError(msg)
    if missing := [name for name in names if named.get(name) is None]:
        msg = f"{step} needs files for {missing[0]}; give {missing[0]}=<file or list>"
        raise ParameterError(msg)
    found = {name: coerce(named[name], step) for name in names}
    form: Form = "many" if any(f.form == "many" for f in found.values()) else "one"
    roles = {name: f.first for name, f in found.items()}
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
    Turn names, patterns, files and lists of them into files.

    Parameters
    ----------
    inputs : str, Path, FileName, DataFile, DataFileList or sequence of those
        What the call gives. A pattern such as ``'raw/*.fits'`` is a list.
    step : str
        Name of the step, for the errors.

    Returns
    -------
    Inputs
        The files, as of one input without a name.

    Raises
    ------
    ParameterError
        If it is something else.
    PlanError
        If there are no inputs, or one file stands there twice.
    MissingFileError
        If a file is not there.
    """
    if isinstance(inputs, DataFile):
        return _inputs(DataFileList(data=[inputs]), "one")
    if isinstance(inputs, (str, FileName, os.PathLike)):
        text = os.fspath(inputs)
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


def _refuse_repeats(files: DataFileList, step: str) -> None:
    seen: set[str] = set()
    for df in files:
        if df.filename is None or not str(df):
            continue
        path = os.path.abspath(str(df))  # noqa: PTH100  # a link may be meant
        if path in seen:
            msg = f"{step} was given {df} twice; give every input once"
            raise PlanError(msg)
        seen.add(path)
