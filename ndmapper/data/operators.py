"""The operators and methods of arithmetic, for pixels, files and lists."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ndmapper.data.numpy_functions import apply_function
from ndmapper.data.operations import is_operand, operate, prepare, put_all
from ndmapper.data.units import SYMBOLS

__all__ = ["SYMBOLS", "Operators", "checked_result", "documented", "is_operand"]


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
