"""
The rules of arithmetic: values and their variances, to first order, and types.

Operands are independent: there is no term of correlation.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "BITWISE",
    "FORMULAS",
    "as_float",
    "as_numbers",
    "flag_type",
    "float_type",
    "narrowed",
    "result_type",
    "squared",
    "variance_type",
]

Array = npt.NDArray[Any]


def as_numbers(values: Any, what: str) -> Array:
    """Return an array of real numbers, none masked; `what` they are is for errors."""
    if isinstance(values, np.ndarray) and np.any(getattr(values, "mask", False)):
        msg = (
            f"{what} come as a masked array, whose mask would be lost; give the "
            "plain array, and the mask as flags or mask"
        )
        raise TypeError(msg)
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        msg = f"{what} must be numbers, not {array.dtype}"
        raise TypeError(msg)
    return array


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
    return array.astype(float_type(array.dtype), copy=False)


def float_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """
    Give the type that numbers have as floating point.

    Parameters
    ----------
    dtype : dtype
        Their type.

    Returns
    -------
    dtype
        As for `as_float`.
    """
    if dtype.kind == "f" and dtype.itemsize >= 4:
        return dtype
    narrow = dtype.itemsize <= 2 and dtype.kind in "biuf"
    return np.dtype(np.float32 if narrow else np.float64)


def result_type(name: str, left: Any, right: Any) -> np.dtype[Any]:
    """
    Give the type of the data of a result.

    Parameters
    ----------
    name : str
        The operation.
    left, right : dtype or None
        Types of the operands; None for a plain number.

    Returns
    -------
    dtype
        The type.
    """
    known = [t for t in (left, right) if t is not None]
    if name in BITWISE:
        return flag_type(*known)
    return np.result_type(*(float_type(t) for t in known)).newbyteorder("=")


def variance_type(dtype: np.dtype[Any], *variances: Array | None) -> np.dtype[Any]:
    """
    Give the type of the variance of a result, where it holds all that come out.

    Parameters
    ----------
    dtype : dtype
        Type of the data of the result.
    *variances : ndarray or None
        Those of the operands; only their types are looked at.

    Returns
    -------
    dtype
        The widest of them.
    """
    known = [float_type(v.dtype) for v in variances if v is not None]
    return np.result_type(dtype, *known).newbyteorder("=")


def narrowed(values: Array, dtype: np.dtype[Any]) -> Array:
    """
    Store numbers of double precision in a narrower type, if that holds all of them.

    Parameters
    ----------
    values : ndarray of float64
        The numbers.
    dtype : dtype
        The type that is wanted.

    Returns
    -------
    ndarray
        Of that type; the same array where a number would become zero or infinite, or
        lose more digits than such numbers have.
    """
    dtype = float_type(dtype).newbyteorder("=")
    if dtype.itemsize >= values.dtype.itemsize:
        return values
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        made = values.astype(dtype)
        if values.size:
            size = np.abs(values)
            if limits.tiny <= np.min(size) and np.max(size) <= limits.max:
                return made
        kept = np.abs(made - values) <= 1e-6 * np.abs(values)
        fits = kept | (made == values) | np.isnan(values)
    return made if fits.all() else values


def squared(std: Array) -> Array:
    """Return the variances of standard deviations, in double precision."""
    # Those of float32 are exact: their roots are the same numbers again.
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.square(std, dtype=np.float64))


def flag_type(*dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """
    Give an integer type that holds the bits of others.

    Parameters
    ----------
    *dtypes : dtype
        Integer types.

    Returns
    -------
    dtype
        The type; int64 where NumPy knows none.
    """
    found = np.result_type(*dtypes).newbyteorder("=")
    return found if found.kind in "iub" else np.dtype(np.int64)


# ---- the rules: values and variances, either of which may be absent

Formula = Callable[[Any, Any, Any, Any], tuple[Array, Array | None]]


def _plus(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _add(x: Any, vx: Any, y: Any, vy: Any) -> tuple[Array, Array | None]:
    return x + y, _plus(vx, vy)


def _subtract(x: Any, vx: Any, y: Any, vy: Any) -> tuple[Array, Array | None]:
    return x - y, _plus(vx, vy)


def _multiply(x: Any, vx: Any, y: Any, vy: Any) -> tuple[Array, Array | None]:
    first = None if vx is None else vx * (y * y)
    second = None if vy is None else vy * (x * x)
    return x * y, _plus(first, second)


def _divide(x: Any, vx: Any, y: Any, vy: Any) -> tuple[Array, Array | None]:
    # With the quotient no fourth power of the divisor is needed, which would
    # overflow in float32 at 4e9.
    quotient = x / y
    first = None if vx is None else vx / (y * y)
    second = None
    if vy is not None:
        ratio = quotient / y
        second = vy * (ratio * ratio)
    return quotient, _plus(first, second)


def _power(x: Any, vx: Any, y: Any, vy: Any) -> tuple[Array, Array | None]:
    result = np.power(x, y)
    first = second = None
    if vx is not None:
        # A power of zero does not depend on its base, even where that is zero.
        slope = np.where(y == 0, y * 0, y * np.power(x, y - 1))
        first = vx * (slope * slope)
    if vy is not None:
        # x**y is zero around x = 0 and y > 0, where the logarithm is infinite.
        at_zero = (x == 0) & (y > 0)
        slope = np.where(at_zero, 0, result * np.log(np.where(at_zero, 1, x)))
        second = vy * (slope * slope)
    return result, _plus(first, second)


FORMULAS: dict[str, Formula] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
}
"""
The operations on values with variances.

``left * right`` has the variance ``right**2 var(left) + left**2 var(right)``;
``q = left / right`` has ``(var(left) + q**2 var(right)) / right**2``, and
``p = left ** right`` has ``(right left**(right - 1))**2 var(left) + (p log(left))**2
var(right)``.
"""

BITWISE: dict[str, Callable[[Any, Any], Array]] = {
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
}
"""The operations on integers; their results have no variance."""
