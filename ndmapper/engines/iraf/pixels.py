"""Pixel types for IRAF: what it would misread is converted or refused."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import NDLater
from ndmapper.errors import StepError

__all__ = ["convert", "dtype_of_flags", "fit_flags"]

Array = npt.NDArray[Any]

_INT32 = np.iinfo(np.int32)
_EXACT = 1 << 53
"""float64 holds all integers up to here."""
_HIGHEST_BIT = 32


def convert(
    array: Array, where: str, nan_value: float | None, warnings: list[str]
) -> Array:
    """
    Return pixels in a type that IRAF reads correctly.

    IRAF takes NaN and infinity for zero, uint32 for float32, and has no int64. Raises
    StepError for values that cannot be converted.
    """
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f":
        if size not in (4, 8):
            array = array.astype(np.float32 if size < 4 else np.float64)
        return _finite(array, where, nan_value, warnings)
    if kind in "iu" and (size == 2 or (kind, size) in (("u", 1), ("i", 4))):
        return array
    if kind == "b":
        return array.astype(np.uint8)
    if (kind, size) == ("i", 1):
        return array.astype(np.int16)
    if kind not in "iu":
        msg = f"IRAF cannot read pixels of type {array.dtype}: {where}; convert them"
        raise StepError(msg)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if _INT32.min < low and high <= _INT32.max:
        target: Any = np.int32
    elif max(-low, high) <= _EXACT:
        target = np.float64
    else:
        msg = (
            f"{where} is {array.dtype} with values up to {max(-low, high)}, which no "
            "type of IRAF holds exactly; convert it first, for instance to float64"
        )
        raise StepError(msg)
    warnings.append(
        f"{where} is {array.dtype}, which IRAF does not know; it was given as "
        f"{np.dtype(target)}, which holds the same values"
    )
    return array.astype(target)


def _finite(
    array: Array, where: str, nan_value: float | None, warnings: list[str]
) -> Array:
    # A sum is faster than testing every pixel.
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum(dtype=np.float64)):
            return array
    bad = ~np.isfinite(array)
    count = int(bad.sum())
    if not count:
        return array
    if nan_value is None:
        msg = (
            f"{where} has {count} pixels that are NaN or infinite, and IRAF would take "
            "them as 0; pass nan_value= with the number that shall stand for them, or "
            "clean them first"
        )
        raise StepError(msg)
    warnings.append(
        f"{count} pixels of {where} are NaN or infinite; IRAF was given {nan_value:g} "
        "in their place"
    )
    return np.where(bad, array.dtype.type(nan_value), array)


def fit_flags(array: Array, dtype: np.dtype[Any], where: str) -> Array:
    """Restore the type of flags that IRAF has processed; StepError if impossible."""
    if array.dtype == dtype:
        return array
    rounded = np.rint(array) if array.dtype.kind == "f" else array
    low, high = (float(rounded.min()), float(rounded.max())) if array.size else (0, 0)
    if not np.array_equal(rounded, array) or low < 0 or high >= 2.0**_HIGHEST_BIT:
        msg = (
            f"the task made flags that are no bits any more, from {low:g} to {high:g}: "
            f"{where}; let it not run over DQ (vardq='carry' or 'drop')"
        )
        raise StepError(msg)
    for candidate in (dtype, np.dtype(np.uint16), np.dtype(np.uint32)):
        if candidate.kind in "iu" and high <= np.iinfo(candidate).max:
            return rounded.astype(candidate)
    return rounded.astype(np.uint32)


def dtype_of_flags(ndd: NDLater) -> np.dtype[Any]:
    """Return the type of an image's flags."""
    return np.asarray(ndd.copy().flags).dtype
