"""
NumPy's functions on images: with variance, flags and unit, or not at all.

An image is no array, so that NumPy would take its pixels alone, and drop the rest
without a word. What there is a rule for is computed with it, what only asks something
of the pixels is answered, and the rest is refused.

Elementwise functions (ufuncs) are refused by NumPy itself, since ``__array_ufunc__``
is None: else masked arrays, NumPy's and astropy's, which are asked first, would take
the pixels alone. So the error cannot name what to use instead: the operators.
"""

from typing import Any

import numpy as np
from astropy import units as u

from ndmapper.data.image import ImageBase
from ndmapper.errors import UnitError

__all__ = ["apply_function", "compared"]

_REDUCTIONS = {
    np.mean: "mean", np.sum: "sum", np.min: "min", np.max: "max", np.amin: "min",
    np.amax: "max", np.median: "median",
}  # fmt: skip

# What is known without reading a pixel.
_FORMS: dict[Any, Any] = {
    np.shape: lambda ndd: ndd.shape,
    np.ndim: lambda ndd: ndd.ndim,
    np.size: lambda ndd: ndd.size,
    np.iscomplexobj: lambda ndd: False,
    np.isrealobj: lambda ndd: True,
}

_ABOUT = {
    np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj,
    np.may_share_memory, np.shares_memory, np.array_equal, np.allclose, np.isclose,
    np.array2string, np.array_repr, np.array_str, np.argmax, np.argmin, np.argsort,
    np.nonzero, np.argwhere, np.flatnonzero, np.histogram, np.unravel_index, np.copyto,
    np.any, np.all, np.count_nonzero, np.zeros_like, np.ones_like, np.empty_like,
    np.full_like, np.broadcast_shapes, np.can_cast, np.min_scalar_type,
}  # fmt: skip
"""What asks something of the pixels, and makes no image of them."""


def compared(ufunc: Any, *inputs: Any) -> Any:
    """Compare images, Quantities, arrays or numbers elementwise by a ufunc."""
    known = [x for x in inputs if getattr(x, "unit", None) is not None]
    values = []
    for x in inputs:
        array = x.content.arrays["data"].read_only() if _is_image(x) else x
        if known and not isinstance(array, u.Quantity) and getattr(x, "unit", None):
            array = u.Quantity(array, x.unit)
        values.append(array)
    try:
        if len(known) == 1 and len(inputs) == 2:
            # A number without unit is compared with the numbers.
            values = [getattr(v, "value", v) for v in values]
        return np.asarray(ufunc(*values))[()]
    except u.UnitsError as err:
        raise UnitError(str(err)) from err


def apply_function(func: Any, args: Any, options: Any, kind: type) -> Any:
    """
    Apply a function of NumPy, no ufunc, to images and what else is of a `kind`.

    Raises
    ------
    TypeError
        If there is no rule for variance and flags.
    """
    if func in _REDUCTIONS and args and _is_image(args[0]):
        ndd, *axes = args
        given = {k: v for k, v in options.items() if v is not np._NoValue}
        if len(axes) <= 1 and not given.keys() - {"axis"}:
            return getattr(ndd, _REDUCTIONS[func])(*axes, **given)
        raise _refusal(func, " with more than an axis")
    if func in _FORMS and len(args) == 1 and not options and _is_image(args[0]):
        return _FORMS[func](args[0])
    if func in _ABOUT:

        def plain(value: Any) -> Any:
            return np.asarray(value) if isinstance(value, kind) else value

        plains = {k: plain(v) for k, v in options.items()}
        return func(*map(plain, args), **plains)
    raise _refusal(func)


def _is_image(value: Any) -> bool:
    return isinstance(value, ImageBase)


def _refusal(func: Any, how: str = "") -> TypeError:
    return TypeError(
        f"numpy.{func.__name__}{how} has no rule for the variance and flags of an "
        "NDLater, nor for files of those; use the operators and methods of them, or "
        f"the data of an image alone, as in numpy.{func.__name__}(ndd.data)"
    )
