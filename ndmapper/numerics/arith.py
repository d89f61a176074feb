"""
Arithmetic of pixels with variance and flags.

Operands are independent: variances are propagated to first order without a
correlation term, so ``x - x`` gets twice the variance of ``x``. Flags are combined
with OR. Values of ``float32`` stay ``float32``; integers become floating point
first, so that nothing wraps around.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["OPERATIONS", "Pixels", "add", "as_float", "divide", "multiply", "subtract"]

Array = npt.NDArray[Any]


class Pixels(NamedTuple):
    """
    An array with what is known about it.

    Parameters
    ----------
    data : ndarray of float
        The values.
    variance : ndarray of float or None
        Their variance [unit of data squared]; None where it is not known.
    flags : ndarray of int or None
        Their flag bits; None where there are none.
    """

    data: Array
    variance: Array | None = None
    flags: Array | None = None


def as_float(values: npt.ArrayLike) -> Array:
    """
    Make an array of floating point, as narrow as holds the numbers.

    Parameters
    ----------
    values : array_like
        Numbers.

    Returns
    -------
    ndarray of float
        float32 and float64 as they are; integers of up to 16 bits in float32, others
        in float64.
    """
    array = np.asarray(values)
    if array.dtype.kind == "f" and array.dtype.itemsize >= 4:
        return array
    narrow = array.dtype.itemsize <= 2 and array.dtype.kind in "biuf"
    return array.astype(np.float32 if narrow else np.float64)


def add(left: Pixels, right: Pixels) -> Pixels:
    """
    Add.

    Parameters
    ----------
    left, right : Pixels
        The operands, of shapes that broadcast.

    Returns
    -------
    Pixels
        ``left + right``; the variances add.
    """
    data = left.data + right.data
    return _result(data, left, right, left.variance, right.variance)


def subtract(left: Pixels, right: Pixels) -> Pixels:
    """
    Subtract.

    Parameters
    ----------
    left, right : Pixels
        The operands, of shapes that broadcast.

    Returns
    -------
    Pixels
        ``left - right``; the variances add.
    """
    data = left.data - right.data
    return _result(data, left, right, left.variance, right.variance)


def multiply(left: Pixels, right: Pixels) -> Pixels:
    """
    Multiply.

    Parameters
    ----------
    left, right : Pixels
        The operands, of shapes that broadcast.

    Returns
    -------
    Pixels
        ``left * right`` with variance ``right**2 var(left) + left**2 var(right)``.
    """
    with np.errstate(all="ignore"):
        data = left.data * right.data
        first = None if left.variance is None else left.variance * right.data**2
        second = None if right.variance is None else right.variance * left.data**2
    return _result(data, left, right, first, second)


def divide(left: Pixels, right: Pixels) -> Pixels:
    """
    Divide.

    Parameters
    ----------
    left, right : Pixels
        The operands, of shapes that broadcast.

    Returns
    -------
    Pixels
        ``q = left / right`` with variance ``(var(left) + q**2 var(right)) /
        right**2``. Where the divisor is zero the result is infinite or NaN.
    """
    # With the quotient no fourth power of the divisor is needed, which would
    # overflow in float32 at 4e9.
    with np.errstate(all="ignore"):
        data = left.data / right.data
        first = None if left.variance is None else left.variance / right.data**2
        second = None
        if right.variance is not None:
            second = right.variance * (data / right.data) ** 2
    return _result(data, left, right, first, second)


OPERATIONS: dict[str, Callable[[Pixels, Pixels], Pixels]] = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "divide": divide,
}
"""The operations by name."""


def _result(
    data: Array, left: Pixels, right: Pixels, first: Array | None, second: Array | None
) -> Pixels:
    variance: Array | None = None
    if first is not None and second is not None:
        variance = first + second
    elif first is not None or second is not None:
        variance = first if first is not None else second
    if variance is not None:
        variance = _own(variance, data.shape, (left.variance, right.variance))
        variance = variance.astype(data.dtype, copy=False)
    flags: Array | None = None
    if left.flags is not None and right.flags is not None:
        flags = left.flags | right.flags
    elif left.flags is not None or right.flags is not None:
        flags = left.flags if left.flags is not None else right.flags
    if flags is not None:
        flags = _own(flags, data.shape, (left.flags, right.flags))
    return Pixels(data, variance, flags)


def _own(array: Array, shape: tuple[int, ...], operands: tuple[Any, ...]) -> Array:
    """Give an array its full shape, and memory that no operand has."""
    if array.shape != shape or any(array is operand for operand in operands):
        return np.broadcast_to(array, shape).copy()
    return array
