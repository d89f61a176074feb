"""Variances of uncertainties of any kind, and what a file holds of variances."""

from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.nddata import (
    InverseVariance,
    NDUncertainty,
    StdDevUncertainty,
    VarianceUncertainty,
)

from ndmapper.errors import ShapeError, UnitError
from ndmapper.io.roles import UncertaintyKind
from ndmapper.numerics.formulas import as_numbers, narrowed, squared

__all__ = ["as_stored", "root_of", "variance_of"]

Array = npt.NDArray[Any]


def root_of(
    variance: Array, dtype: np.dtype[Any] | None = None, out: Array | None = None
) -> Array:
    """Return standard deviations of a type or in `out`, NaN for negative variances."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        if out is None:
            root = np.asarray(np.sqrt(variance))
            return root if dtype is None else root.astype(dtype, copy=False)
        return np.asarray(np.sqrt(variance, out=out, casting="same_kind"))


def as_stored(
    variance: Array,
    kind: UncertaintyKind,
    dtype: np.dtype[Any] | None = None,
    out: Array | None = None,
) -> Array:
    """Return the uncertainty of the kind that a file holds, of a type or in `out`."""
    if kind == "variance":
        return variance
    if kind == "std":
        return root_of(variance, dtype, out)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        inverse = np.asarray(np.divide(1, variance, out=out, casting="same_kind"))
        if out is None and dtype is not None:
            inverse = inverse.astype(dtype, copy=False)
    # An infinite one, without noise, would be read as no data as well.
    inverse[~np.isfinite(inverse)] = 0
    return inverse


def variance_of(
    value: NDUncertainty, shape: tuple[int, ...], unit: Any
) -> Array | None:
    """
    Return the variance of an uncertainty, in the unit of its data squared.

    An uncertainty without an array, which astropy allows, is none.

    Raises
    ------
    TypeError
        If it cannot be turned into a variance.
    ShapeError
        If it has another shape than the data.
    UnitError
        If its unit does not go with that of the data.
    """
    if not isinstance(value, NDUncertainty):
        msg = (
            "uncertainty must be a VarianceUncertainty or another of astropy's, not "
            f"{type(value).__name__}; set variance to give an array"
        )
        raise TypeError(msg)
    if value.array is None:
        return None
    array, own = as_numbers(value.array, "uncertainties"), value.unit
    dtype = array.dtype
    if isinstance(value, StdDevUncertainty):
        array, own = squared(array), None if own is None else own**2
    elif isinstance(value, InverseVariance):
        with np.errstate(divide="ignore", over="ignore"):
            array = 1 / np.asarray(array, np.float64)
        own = None if own is None else own**-1
    elif not isinstance(value, VarianceUncertainty):
        msg = f"a variance cannot be made of a {type(value).__name__}"
        raise TypeError(msg)
    if unit is not None and own is not None:
        try:
            factor = own.to(unit**2)
        except u.UnitConversionError as err:
            msg = f"an uncertainty in {own} does not go with data in {unit}"
            raise UnitError(msg) from err
        array = array if factor == 1 else np.asarray(array, np.float64) * factor
    if array is not value.array:
        array = narrowed(array, dtype)
    return array if array.shape == shape else _spread(array, shape)


def _spread(array: Array, shape: tuple[int, ...]) -> Array:
    try:
        return np.broadcast_to(array, shape).copy()
    except ValueError as err:
        msg = f"the uncertainty has shape {array.shape}, but the data have {shape}"
        raise ShapeError(msg) from err
