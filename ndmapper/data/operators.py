"""Operators and methods of arithmetic, and NumPy functions of images and files."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from astropy import units as u

from ndmapper.data.image import ImageBase
from ndmapper.data.operations import is_operand, operate, prepare, put_all
from ndmapper.data.units import SYMBOLS
from ndmapper.errors import UnitError

__all__ = [
    "SYMBOLS",
    "Operators",
    "apply_function",
    "checked_result",
    "compared",
    "documented",
    "is_operand",
]


def _operator(name: str) -> tuple[Any, Any, Any]:
    """Make the forward, reflected and in-place form of an operator."""

    def forward(self: "Operators", other: Any) -> Any:
        return self._operate(name, other)

    def reflected(self: "Operators", other: Any) -> Any:
        return self._operate(name, other, swapped=True)

    def in_place(self: "Operators", other: Any) -> Any:
        return self._operate_in_place(name, other)

    return forward, reflected, in_place


_METHODS = {
    "add": ("Add.", "What is added."),
    "subtract": ("Subtract.", "What is subtracted."),
    "multiply": ("Multiply.", "The factor."),
    "divide": ("Divide.", "The divisor."),
    "power": ("Raise to a power.", "The exponent."),
    "bitwise_and": ("Combine the bits of integers with AND.", "The other integers."),
    "bitwise_or": ("Combine the bits of integers with OR.", "The other integers."),
    "bitwise_xor": (
        "Combine the bits of integers with exclusive OR.",
        "The other integers.",
    ),
}


def documented(
    method: Callable[..., Any], name: str, owner: str, operand: str, rest: str
) -> Callable[..., Any]:
    """Name and document the method of an operation; `rest` follows the operand."""
    summary, what = _METHODS[name]
    method.__name__, method.__qualname__ = name, f"{owner}.{name}"
    method.__doc__ = (
        f"{summary}\n\nParameters\n----------\noperand : {operand}\n    {what}\n{rest}"
    )
    return method


def checked_result(name: str, operand: Any, result: Any, *, takes: str) -> Any:
    """Return the result of a method, or raise a TypeError that says what it takes."""
    if result is NotImplemented:
        msg = f"{name} takes {takes}, not {type(operand).__name__}"
        raise TypeError(msg)
    return result


def _method(name: str) -> Callable[..., Any]:
    def method(
        self: "Operators", operand: Any, filename: str | os.PathLike[str] | None = None
    ) -> Any:
        found = self._operate(name, operand)
        takes = "NDData, arrays, Quantities and numbers"
        made = checked_result(name, operand, found, takes=takes)
        return made if filename is None else self._named(made, filename)

    return documented(
        method, name, "Operators", "NDData, Quantity, array_like or number",
        "filename : str or path, optional\n    Name of a file with the result.\n\n"
        "Returns\n-------\nNDLater or DataFile\n"
        "    The result; with `filename`, a file with it that is not saved.\n",
    )  # fmt: skip


class Operators:
    """The operators of arithmetic."""

    # Above Quantity, so that `quantity * ndd` comes here as well.
    __array_priority__ = 1_000_000
    # Operators of arrays leave the work to ours, and ufuncs refuse.
    __array_ufunc__ = None

    def __array_function__(self, func: Any, types: Any, args: Any, options: Any) -> Any:
        return apply_function(func, args, options, Operators)

    __add__, __radd__, __iadd__ = _operator("add")
    __sub__, __rsub__, __isub__ = _operator("subtract")
    __mul__, __rmul__, __imul__ = _operator("multiply")
    __truediv__, __rtruediv__, __itruediv__ = _operator("divide")
    __pow__, __rpow__, __ipow__ = _operator("power")
    __and__, __rand__, __iand__ = _operator("bitwise_and")
    __or__, __ror__, __ior__ = _operator("bitwise_or")
    __xor__, __rxor__, __ixor__ = _operator("bitwise_xor")

    add = _method("add")
    subtract = _method("subtract")
    multiply = _method("multiply")
    divide = _method("divide")
    power = _method("power")
    bitwise_and = _method("bitwise_and")
    bitwise_or = _method("bitwise_or")
    bitwise_xor = _method("bitwise_xor")

    def invert(self) -> Any:
        """
        Turn the bits of integers over.

        Returns
        -------
        same type
            The result.
        """
        return ~self

    def _named(self, result: Any, filename: str | os.PathLike[str]) -> Any:
        """Make a file of a result."""
        # It stands above this module, and may not be imported yet.
        made = import_module("ndmapper.data").DataFile(data=result)
        made.filename = filename
        return made

    def __neg__(self) -> Any:
        return self._operate("multiply", -1)

    def __invert__(self) -> Any:
        return self._operate("invert", 0)

    def _operate(self, name: str, other: Any, *, swapped: bool = False) -> Any:
        if not is_operand(other):
            return NotImplemented
        left, right = (other, self) if swapped else (self, other)
        return operate(name, left, right)

    def _operate_in_place(self, name: str, other: Any) -> Any:
        if not is_operand(other):
            return NotImplemented
        put_all([prepare(name, self, other, like=self)])
        return self


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
