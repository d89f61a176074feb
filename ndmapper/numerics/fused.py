"""
Compiled loops of the arithmetic: data, variance and flags in one pass.

They are compiled once for each combination of types and parts, and kept on disk.
Each does what the formula of the same name in `ndmapper.numerics.arith` does, in the
same order, so that the numbers are the same to the last bit.

Floating point in the other byte order, as FITS files have it, is given as `bits`, which
are turned around between memory and processor.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.extending import intrinsic, overload

__all__ = ["KERNELS", "bits"]


def bits(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """
    Show an array to the compiled loops, which know no byte orders.

    Parameters
    ----------
    array : ndarray
        Of any type.

    Returns
    -------
    ndarray
        The same memory: floating point of the other byte order as unsigned integers,
        anything else as it is.
    """
    if array.dtype.kind != "f" or array.dtype.isnative:
        return array
    return array.view(f"u{array.dtype.itemsize}")


def _type_float_of(context: Any, bits: Any) -> Any:
    made: Any = {32: types.float32, 64: types.float64}[bits.bitwidth]

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        return builder.bitcast(builder.bswap(args[0]), kind)

    return made(bits), code


def _type_bits_of(context: Any, number: Any) -> Any:
    made: Any = {32: types.uint32, 64: types.uint64}[number.bitwidth]

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        return builder.bswap(builder.bitcast(args[0], kind))

    return made(number), code


_float_of: Any = intrinsic(_type_float_of)
_bits_of: Any = intrinsic(_type_bits_of)


# What is absent is None, whose type is known when a loop is compiled: these choose
# code by the types of their arguments.


def _at(x: Any, i: Any) -> Any:
    """Give an element, or the number itself; nothing where there is no array."""


def _times(v: Any, w: Any) -> Any:
    """Multiply; nothing stays nothing."""


def _over(v: Any, w: Any) -> Any:
    """Divide; nothing stays nothing."""


def _plus(a: Any, b: Any) -> Any:
    """Add; what is nothing does not count."""


def _join(f: Any, g: Any, i: Any) -> Any:
    """Join flags; what is nothing does not count."""


def _put(out: Any, i: Any, value: Any) -> Any:
    """Store, where there is an array to store in."""


def _is_none(kind: Any) -> bool:
    return isinstance(kind, types.NoneType | types.Omitted)


def _type_at(x: Any, i: Any) -> Any:
    if not isinstance(x, types.Array):
        return lambda x, i: x
    if isinstance(x.dtype, types.Integer):
        return lambda x, i: _float_of(x[i])
    return lambda x, i: x[i]


def _type_times(v: Any, w: Any) -> Any:
    if _is_none(v):
        return lambda v, w: None
    return lambda v, w: v * w


def _type_over(v: Any, w: Any) -> Any:
    if _is_none(v):
        return lambda v, w: None
    return lambda v, w: v / w


def _type_plus(a: Any, b: Any) -> Any:
    if _is_none(a):
        return lambda a, b: b
    if _is_none(b):
        return lambda a, b: a
    return lambda a, b: a + b


def _type_join(f: Any, g: Any, i: Any) -> Any:
    if _is_none(f) and _is_none(g):
        return lambda f, g, i: None
    if _is_none(f):
        return lambda f, g, i: g[i]
    if _is_none(g):
        return lambda f, g, i: f[i]
    return lambda f, g, i: f[i] | g[i]


def _type_put(out: Any, i: Any, value: Any) -> Any:
    if _is_none(out) or _is_none(value):
        return lambda out, i, value: None

    is_turned = isinstance(value, types.Float) and isinstance(out.dtype, types.Integer)
    if is_turned and out.dtype.bitwidth == 32:

        def put(out: Any, i: Any, value: Any) -> None:
            out[i] = _bits_of(np.float32(value))

    elif is_turned:

        def put(out: Any, i: Any, value: Any) -> None:
            out[i] = _bits_of(np.float64(value))

    else:

        def put(out: Any, i: Any, value: Any) -> None:
            out[i] = value

    put.__annotations__.clear()
    return put


for _stub, _typed in (
    (_at, _type_at),
    (_times, _type_times),
    (_over, _type_over),
    (_plus, _type_plus),
    (_join, _type_join),
    (_put, _type_put),
):
    # The compiler compares these with the functions that they return.
    _typed.__annotations__.clear()
    overload(_stub)(_typed)


def _add(  # noqa: PLR0917  # compiled functions take positions
    n: Any, x: Any, vx: Any, fx: Any, y: Any, vy: Any, fy: Any,
    out: Any, vout: Any, fout: Any,
) -> None:  # fmt: skip
    for i in range(n):
        value = _at(x, i) + _at(y, i)
        _put(vout, i, _plus(_at(vx, i), _at(vy, i)))
        _put(fout, i, _join(fx, fy, i))
        _put(out, i, value)


def _subtract(  # noqa: PLR0917
    n: Any, x: Any, vx: Any, fx: Any, y: Any, vy: Any, fy: Any,
    out: Any, vout: Any, fout: Any,
) -> None:  # fmt: skip
    for i in range(n):
        value = _at(x, i) - _at(y, i)
        _put(vout, i, _plus(_at(vx, i), _at(vy, i)))
        _put(fout, i, _join(fx, fy, i))
        _put(out, i, value)


def _multiply(  # noqa: PLR0917
    n: Any, x: Any, vx: Any, fx: Any, y: Any, vy: Any, fy: Any,
    out: Any, vout: Any, fout: Any,
) -> None:  # fmt: skip
    for i in range(n):
        a = _at(x, i)
        b = _at(y, i)
        first = _times(_at(vx, i), b * b)
        second = _times(_at(vy, i), a * a)
        _put(vout, i, _plus(first, second))
        _put(fout, i, _join(fx, fy, i))
        _put(out, i, a * b)


def _divide(  # noqa: PLR0917
    n: Any, x: Any, vx: Any, fx: Any, y: Any, vy: Any, fy: Any,
    out: Any, vout: Any, fout: Any,
) -> None:  # fmt: skip
    for i in range(n):
        b = _at(y, i)
        quotient = _at(x, i) / b
        ratio = quotient / b
        _put(
            vout, i, _plus(_over(_at(vx, i), b * b), _times(_at(vy, i), ratio * ratio))
        )
        _put(fout, i, _join(fx, fy, i))
        _put(out, i, quotient)


def _compiled(func: Callable[..., None]) -> Callable[..., None]:
    try:
        made = numba.njit(cache=True, nogil=True, error_model="numpy")(func)
    except RuntimeError:  # there is no folder that the compiled code could be kept in
        made = numba.njit(nogil=True, error_model="numpy")(func)
    return cast(Callable[..., None], made)


KERNELS: dict[str, Callable[..., None]] = {
    "add": _compiled(_add),
    "subtract": _compiled(_subtract),
    "multiply": _compiled(_multiply),
    "divide": _compiled(_divide),
}
"""The loops by the name of the operation."""
