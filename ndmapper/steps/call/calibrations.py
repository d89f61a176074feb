"""Fourth hop: find the calibrations of every input."""

import os
from collections.abc import Mapping
from typing import Any

from astropy.nddata import NDData

from ndmapper.data import DataFile, DataFileList, FileName
from ndmapper.data.planned import open_planned
from ndmapper.engines.base import Calibration
from ndmapper.errors import MissingCalibrationError, ParameterError, ShapeError
from ndmapper.steps.declare.declaration import Declaration

__all__ = ["as_calibration", "resolve_calibrations"]

_ABSENT = object()


def resolve_calibrations(
    declaration: Declaration, given: Mapping[str, Any], files: DataFileList
) -> list[dict[str, Calibration]]:
    """
    Find the calibrations that a step applies to each of its inputs.

    Parameters
    ----------
    declaration : Declaration
        The step.
    given : mapping
        What the call says: a file for all, a list aligned with the inputs, or None
        for a calibration that is not applied.
    files : DataFileList
        The inputs.

    Returns
    -------
    list of dict
        One mapping of type to file for every input.

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
            column = [df.cals.get(name, _ABSENT) for df in files]
            if _ABSENT in column:
                column = _defaults(declaration, name, column, files)
        for cals, cal in zip(found, column, strict=True):
            cals[name] = cal
    return found


def _given(
    declaration: Declaration, name: str, value: Any, files: DataFileList
) -> list[Any]:
    if value is None or isinstance(value, (str, FileName, os.PathLike, DataFile)):
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


def as_calibration(value: Any, name: str, step: str) -> DataFile | None:
    """
    Turn what names one calibration into a file.

    Parameters
    ----------
    value : str, Path, FileName, DataFile or None
        What was given.
    name : str
        Type of the calibration, for the error.
    step : str
        Name of the step, for the error.

    Returns
    -------
    DataFile or None
        The file; None is not applied.
    """
    if value is None or isinstance(value, DataFile):
        return value
    if isinstance(value, (str, FileName, os.PathLike)):
        return open_planned(value)
    msg = f"{step}: {name} must be a file or None, not a {type(value).__name__}"
    raise ParameterError(msg)


def _defaults(
    declaration: Declaration, name: str, column: list[Any], files: DataFileList
) -> list[Any]:
    parameter = declaration.cal_parameters[name]
    lacking = [
        str(df) or "NDData in memory"
        for df, c in zip(files, column, strict=True)
        if c is _ABSENT
    ]
    if parameter.required:
        msg = (
            f"{declaration.name} needs a {name} for {', '.join(lacking)}; associate "
            f"one with associate_cals(..., {name!r}), give {name}=<file>, or "
            f"{name}=None to go without"
        )
        raise MissingCalibrationError(msg)
    default = as_calibration(parameter.default, name, declaration.name)
    return [default if c is _ABSENT else c for c in column]
