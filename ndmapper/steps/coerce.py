"""Third hop: whatever names the inputs becomes a list of files."""

import os
from dataclasses import dataclass
from typing import Any, Literal

from astropy.nddata import NDData

from ndmapper.data import DataFile, DataFileList, FileName
from ndmapper.errors import ParameterError, PlanError

__all__ = ["Inputs", "coerce"]

Form = Literal["ndd", "one", "many"]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """
    The inputs of a call.

    Parameters
    ----------
    files : DataFileList
        The files.
    form : {'one', 'many'}
        Whether one file was given or a list, which decides what comes back.
    """

    files: DataFileList
    form: Form


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
        The files.

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
        return Inputs(files=DataFileList(data=[inputs]), form="one")
    if isinstance(inputs, (str, FileName, os.PathLike)):
        text = os.fspath(inputs)
        form: Form = "many" if any(c in text for c in "*?[") else "one"
        if form == "many" and os.path.exists(text):  # noqa: PTH110  # any path-like
            form = "one"  # a file whose name looks like a pattern
        return Inputs(files=DataFileList(text), form=form)
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
            files.extend(coerce(item, step).files)
    if not files:
        msg = f"{step} was given no files"
        raise PlanError(msg)
    _refuse_repeats(files, step)
    return Inputs(files=files, form="many")


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
