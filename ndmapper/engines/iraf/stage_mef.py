"""Stage whole MEF files, for tasks that handle extensions themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, NDLater
from ndmapper.engines.iraf.pixels import convert
from ndmapper.engines.staging import stage_file

__all__ = ["stage_mef"]

_PARTS = {"data": "data", "variance": "uncertainty", "flags": "flags"}


def stage_mef(
    df: DataFile, path: Path, nan_value: float | None, warnings: list[str]
) -> None:
    """Write a file that a task may modify; StepError for unsupported pixels."""
    fixed = DataFile(data=df)
    fixed.filename = df.filename
    for index, ndd in enumerate(df):
        if wrong := _wrong(df, str(ndd.ident), ndd, nan_value, warnings):
            fixed[index] = ndd.replace(**wrong)
    for name, extra in df.extras.items():
        if wrong := _wrong(df, name, extra, nan_value, warnings):
            fixed.extras[name] = extra.replace(**wrong)
    # Without it IRAF damages a file when it appends an extension.
    if df.meta.get("EXTEND") is not True:
        fixed.meta["EXTEND"] = True
    # A copy, since the task may write to it.
    stage_file(fixed, path, link=False)


def _wrong(
    df: DataFile,
    name: str,
    ndd: NDLater,
    nan_value: float | None,
    warnings: list[str],
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays that IRAF would misread, converted."""
    found = {}
    read = ndd.copy()
    for word, part in _PARTS.items():
        if not ndd.has(part):
            continue
        where = f"{df}[{name}]" + ("" if word == "data" else f" ({word})")
        array = np.asarray(getattr(read, word))
        fixed = convert(array, where, nan_value, warnings)
        if fixed is not array:
            found[word] = fixed
    return found
