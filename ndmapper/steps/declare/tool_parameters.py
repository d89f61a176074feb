"""The parameters of a tool, as the function of its step gives them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.config import Settings
from ndmapper.data import DataFile, DataFileList, FileName, FileSet
from ndmapper.data.fileset import files_in
from ndmapper.data.planned import open_planned
from ndmapper.engines import Task, get_engine
from ndmapper.engines.base import Calibration
from ndmapper.errors import (
    DeclarationError,
    NdmapperError,
    StepError,
    did_you_mean,
)
from ndmapper.io.source import absolute
from ndmapper.steps.declare.declaration import HANDED_IN, Declaration

__all__ = [
    "check_switches",
    "files_among",
    "plain_values",
    "python_name",
    "switch_values",
    "tool_parameters",
]

log = logging.getLogger(__name__)


def tool_parameters(
    declaration: Declaration,
    first: DataFile | None,
    calibrations: Mapping[str, Calibration],
    parameters: Mapping[str, Any],
    settings: Settings,
) -> dict[str, Any]:
    """
    Call the function of a step for the parameters of its tool.

    Raises
    ------
    StepError
        If the function fails, or returns no mapping.
    """
    step, func = declaration.name, declaration.func
    if func is None:
        return _named(declaration, declaration.tool_params)
    tagged = {
        tag: calibrations[name]
        for name, tag in declaration.tags.items()
        if calibrations[name] is not None
    }
    calibrations = {
        n: cal for n, cal in calibrations.items() if n in declaration.cal_parameters
    }
    words = {name: settings[name] for name in declaration.handed_in}
    where = f"{step}: the function that gives the parameters"
    try:
        found = func(
            *([first] if declaration.sees_file else []),
            **calibrations, **parameters, **words,
        )  # fmt: skip
    except NdmapperError:
        raise
    except Exception as err:
        on = "" if first is None else f" on {first}"
        msg = f"{where} failed{on}: {type(err).__name__}: {err}"
        raise StepError(msg) from err
    if found is None:
        found = {}
    if not isinstance(found, Mapping) or not all(isinstance(n, str) for n in found):
        msg = (
            f"{where} must return a mapping such as dict(order=3), but "
            f"{'' if first is None else f'on {first} '}it returned {found!r}"
        )
        raise StepError(msg)
    return _named(declaration, {**declaration.tool_params, **tagged, **found})


def _named(declaration: Declaration, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out parameters that are None, and open those that name files."""
    # Where parameters are positional, None leaves a place empty.
    takes_none = getattr(get_engine(declaration.task.engine), "takes_none", False)
    return {
        python_name(name): _value(value)
        for name, value in parameters.items()
        if value is not None or takes_none
    }


def _value(value: Any) -> Any:
    if isinstance(value, Path):
        return absolute(value)  # any file, FITS or not
    if isinstance(value, FileName):
        return open_planned(value)
    if isinstance(value, (list, tuple)) and any(isinstance(v, Path) for v in value):
        return [_value(v) for v in value]
    if isinstance(value, (list, tuple)) and any(
        isinstance(v, (FileName, DataFile, FileSet)) for v in value
    ):
        return DataFileList(
            data=[
                v if isinstance(v, DataFile | FileSet) else open_planned(v)
                for v in value
            ]
        )
    return value


def files_among(parameters: Mapping[str, Any]) -> dict[str, Sequence[DataFile]]:
    """Select the parameters that are files."""
    found: dict[str, Sequence[DataFile]] = {}
    for name, value in parameters.items():
        if isinstance(value, DataFile | FileSet):
            found[name] = files_in(value)
        elif (
            isinstance(value, list)
            and value
            and isinstance(value[0], DataFile | FileSet)
        ):
            found[name] = [df for item in value for df in files_in(item)]
    return found


def plain_values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Select the parameters that are not files."""
    files = files_among(parameters)
    return {n: v for n, v in parameters.items() if n not in files}


def check_switches(task: Task) -> None:
    """
    Check which parameters of a tool follow the switches of the framework.

    Raises
    ------
    DeclarationError
        If it says something else.
    """
    switches = task.words.get("switches")
    if switches is None:
        return
    if not isinstance(switches, Mapping):
        msg = (
            f"{task.name}: switches={switches!r}; give a mapping from parameters to "
            "switches, such as {'fl_vardq': 'use_uncert|use_flags'}"
        )
        raise DeclarationError(msg)
    for name, value in switches.items():
        for word in str(value).split("|"):
            if word not in HANDED_IN:
                msg = (
                    f"{task.name}: {name} follows {word!r} in switches, which is no "
                    f"switch{did_you_mean(word, HANDED_IN)}"
                )
                raise DeclarationError(msg)


def switch_values(task: Task, settings: Settings) -> dict[str, bool]:
    """Give the parameters of a tool that follow the switches of the framework."""
    switches = task.words.get("switches") or {}
    return {
        python_name(name): any(settings[word] for word in value.split("|"))
        for name, value in switches.items()
    }


def python_name(name: str) -> str:
    """Write the name of a parameter as in Python."""
    return str(name).replace("-", "_").replace(".", "_")
