"""
Compiled loops of the arithmetic: data, variance and flags in one pass.

They are compiled once for each combination of types and parts, and kept on disk.
Each does what the formula of the same name in `ndmapper.numerics.arith` does, in the
same order, so that the numbers are the same to the last bit. They need numba, of the
extra ``fast``.

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

# Between these float32 holds a number with all its digits.
_LEAST = np.float32(np.finfo(np.float32).tiny)
_MOST = np.float32(np.finfo(np.float32).max)


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


def _like(out: Any, x: Any) -> Any:
    """Give a number in double precision, where the variance has it."""


def _lost(out: Any, v: Any, x: Any, factor: Any, product: Any) -> Any:
    """Say whether v * factor, which is made of x, may be no number of float32."""


def _too_large(out: Any, v: Any, w: Any, total: Any) -> Any:
    """Say whether a sum is no number of float32."""


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


def _type_like(out: Any, x: Any) -> Any:
    if not _is_none(out) and out.dtype.bitwidth == 64:
        return lambda out, x: np.float64(x)
    return lambda out, x: x


def _type_lost(out: Any, v: Any, x: Any, factor: Any, product: Any) -> Any:
    if _is_none(out) or _is_none(v) or out.dtype.bitwidth == 64:
        return lambda out, v, x, factor, product: False

    def lost(out: Any, v: Any, x: Any, factor: Any, product: Any) -> Any:
        outside = (
            (factor < _LEAST) | (factor > _MOST) | (product > _MOST)
            | ((product < _LEAST) & (v > 0))
        )  # fmt: skip
        return outside & (v <= _MOST) & (x != 0)

    lost.__annotations__.clear()
    return lost


def _type_too_large(out: Any, v: Any, w: Any, total: Any) -> Any:
    if _is_none(out) or _is_none(v) or _is_none(w) or out.dtype.bitwidth == 64:
        return lambda out, v, w, total: False
    return lambda out, v, w, total: (total > _MOST) & (v <= _MOST) & (w <= _MOST)


for _stub, _typed in (
    (_at, _type_at),
    (_times, _type_times),
    (_over, _type_over),
    (_plus, _type_plus),
    (_join, _type_join),
    (_put, _type_put),
    (_like, _type_like),
    (_lost, _type_lost),
    (_too_large, _type_too_large),
):
    # The compiler compares these with the functions that they return.
    _typed.__annotations__.clear()
    overload(_stub)(_typed)


def _add(  # noqa: PLR0917  # compiled functions take positions
    n: Any, x: Any, vx: Any, fx: Any, y: Any, vy: Any, fy: Any,
    out: Any, vout: Any, fout: Any,
) -> Any:  # fmt: skip
    lost = False
    for i in range(n):
        value = _at(x, i) + _at(y, i)
        v = _at(vx, i)
        w = _at(vy, i)
        total = _plus(v, w)
        lost = lost | _too_large(vout, v, w, total)
        _put(vout, i, total)
        _put(fout, i, _join(fx, fy, i))
        _put(out, i, value)
    return lost


def _subtract(  # noqa: PLR0917
    n: Any, x: Any, vx: Any, fx: Any, y: Any, vy: Any, fy: Any,
    out: Any, vout: Any, fout: Any,
) -> Any:  # fmt: skip
    lost = False
    for i in range(n):
        value = _at(x, i) - _at(y, i)
        v = _at(vx, i)
        w = _at(vy, i)
        total = _plus(v, w)
        lost = lost | _too_large(vout, v, w, total)
        _put(vout, i, total)
        _put(fout, i, _join(fx, fy, i))
        _put(out, i, value)
    return lost


def _multiply(  # noqa: PLR0917
    n: Any, x: Any, vx: Any, fx: Any, y: Any, vy: Any, fy: Any,
    out: Any, vout: Any, fout: Any,
) -> Any:  # fmt: skip
    lost = False
    for i in range(n):
        a = _at(x, i)
        b = _at(y, i)
        c = _like(vout, a)
        d = _like(vout, b)
        v = _at(vx, i)
        w = _at(vy, i)
        first = _times(v, d * d)
        second = _times(w, c * c)
        total = _plus(first, second)
        lost = lost | _lost(vout, v, b, d * d, first) | _lost(vout, w, a, c * c, second)
        _put(vout, i, total)
        _put(fout, i, _join(fx, fy, i))
        _put(out, i, a * b)
    return lost


def _divide(  # noqa: PLR0917
    n: Any, x: Any, vx: Any, fx: Any, y: Any, vy: Any, fy: Any,
    out: Any, vout: Any, fout: Any,
) -> Any:  # fmt: skip
    lost = False
    for i in range(n):
        a = _at(x, i)
        b = _at(y, i)
        d = _like(vout, b)
        ratio = _like(vout, a) / d / d
        v = _at(vx, i)
        w = _at(vy, i)
        first = _over(v, d * d)
        second = _times(w, ratio * ratio)
        lost = (
            lost
            | _lost(vout, v, b, d * d, first)
            | (_lost(vout, w, a, ratio * ratio, second) & (b != 0))
        )
        _put(vout, i, _plus(first, second))
        _put(fout, i, _join(fx, fy, i))
        _put(out, i, a / b)
    return lost


def _compiled(func: Callable[..., Any]) -> Callable[..., bool]:
    try:
        made = numba.njit(cache=True, nogil=True, error_model="numpy")(func)
    except RuntimeError:  # there is no folder that the compiled code could be kept in
        made = numba.njit(nogil=True, error_model="numpy")(func)
    return cast(Callable[..., bool], made)


KERNELS: dict[str, Callable[..., bool]] = {
    "add": _compiled(_add),
    "subtract": _compiled(_subtract),
    "multiply": _compiled(_multiply),
    "divide": _compiled(_divide),
}
"""
The loops by the name of the operation.

Each says whether a variance may be lost, since float32 does not hold it or a factor of
it; where that is the case depends on the numbers, and is to be looked at.
"""
