"""Arithmetic of NDLater: units, shapes and headers; the numbers are in numerics."""

from typing import Any, cast

import numpy as np
from astropy import units as u
from astropy.nddata import NDData

from ndmapper.data._parts import Part
from ndmapper.data._state import State
from ndmapper.errors import ShapeError, UnitError
from ndmapper.numerics.arith import OPERATIONS, Pixels, as_float

__all__ = ["SYMBOLS", "Operators", "operate"]

SYMBOLS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
"""How the operations are written."""


def operate(name: str, left: Any, right: Any) -> Any:
    """
    Combine two operands, one of them an NDLater.

    Parameters
    ----------
    name : {'add', 'subtract', 'multiply', 'divide'}
        The operation.
    left, right : NDLater, NDData, Quantity, array_like or number
        The operands. Variances are propagated as if they were independent; flags are
        combined with OR.

    Returns
    -------
    NDLater
        The result, with header, ident and coordinates of the first NDLater.

    Raises
    ------
    ShapeError
        If the shapes do not match.
    UnitError
        If both have units, and they do not.
    """
    like: Any = left if isinstance(left, State) else right
    first, first_unit = _operand(left)
    second, second_unit = _operand(right)
    if name in ("add", "subtract"):
        second, unit = _in_unit_of(first_unit, second, second_unit, name)
    else:
        unit = _unit_of_product(name, first_unit, second_unit, left, right)
    try:
        shape: Any = np.broadcast_shapes(np.shape(first.data), np.shape(second.data))
    except ValueError:
        shape = None
    if shape != like.shape:
        msg = (
            f"arrays of shape {np.shape(first.data)} and {np.shape(second.data)} do "
            f"not match for {SYMBOLS[name]}"
        )
        raise ShapeError(msg)
    result = OPERATIONS[name](first, second)
    new = like._bare()
    for part, array in (
        ("data", result.data),
        ("uncertainty", result.variance),
        ("flags", result.flags),
    ):
        if array is not None:
            old = like._parts.get(part)
            header = None if old is None or old.header is None else old.header.copy()
            new._parts[part] = Part(array=array, header=header)
    new.unit = unit
    return new


def is_operand(value: Any) -> bool:
    """
    Say whether something can be combined with an NDLater.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        True for numbers, arrays, Quantities and NDData.
    """
    return isinstance(value, NDData | np.ndarray | np.generic | int | float)


def _operand(value: Any) -> tuple[Pixels, Any]:
    if isinstance(value, NDData) and not isinstance(value, State):
        from ndmapper.data.ndlater import NDLater

        value = NDLater(value)
    if isinstance(value, State):
        value._synced("uncertainty")
        data = as_float(value._parts["data"].peek())
        variance, flags = (
            None if part is None else part.peek()
            for part in (value._parts.get("uncertainty"), value._parts.get("flags"))
        )
        return Pixels(data, variance, flags), cast(Any, value).unit
    unit = value.unit if isinstance(value, u.Quantity) else None
    if isinstance(value, u.Quantity):
        value = value.value
    # A number never widens an array; float() makes a scalar of NumPy such a number.
    if np.ndim(value) == 0:
        return Pixels(cast(Any, float(value))), unit
    return Pixels(as_float(value)), unit


def _in_unit_of(
    unit: Any, other: Pixels, other_unit: Any, name: str
) -> tuple[Pixels, Any]:
    """Convert the second operand of a sum to the unit of the first."""
    if unit is None or other_unit is None:
        return other, unit if unit is not None else other_unit
    try:
        factor = other_unit.to(unit)
    except u.UnitConversionError as err:
        msg = f"{unit} and {other_unit} cannot be combined with {SYMBOLS[name]}"
        raise UnitError(msg) from err
    if factor != 1:
        variance = None if other.variance is None else other.variance * factor**2
        other = Pixels(other.data * factor, variance, other.flags)
    return other, unit


def _unit_of_product(name: str, first: Any, second: Any, left: Any, right: Any) -> Any:
    """
    Find the unit of a product or quotient.

    A plain number or array has no unit, but an image without BUNIT has an unknown
    one, and so has what is made of it.
    """
    if any(isinstance(x, NDData) and unit is None for x, unit in
           ((left, first), (right, second))):  # fmt: skip
        return first if isinstance(left, NDData) and first is not None else None
    one = u.dimensionless_unscaled
    if first is None and second is None:
        return None
    first, second = first or one, second or one
    return first * second if name == "multiply" else first / second


class Operators:
    """The operators and methods of arithmetic."""

    # Above Quantity, so that `quantity * ndd` comes here as well.
    __array_priority__ = 1_000_000

    def add(self, operand: Any) -> Any:
        """
        Add.

        Parameters
        ----------
        operand : NDData, Quantity, array_like or number
            What is added.

        Returns
        -------
        same type
            The sum.
        """
        return self._method("add", operand)

    def subtract(self, operand: Any) -> Any:
        """
        Subtract.

        Parameters
        ----------
        operand : NDData, Quantity, array_like or number
            What is subtracted.

        Returns
        -------
        same type
            The difference.
        """
        return self._method("subtract", operand)

    def multiply(self, operand: Any) -> Any:
        """
        Multiply.

        Parameters
        ----------
        operand : NDData, Quantity, array_like or number
            The factor.

        Returns
        -------
        same type
            The product.
        """
        return self._method("multiply", operand)

    def divide(self, operand: Any) -> Any:
        """
        Divide.

        Parameters
        ----------
        operand : NDData, Quantity, array_like or number
            The divisor.

        Returns
        -------
        same type
            The quotient.
        """
        return self._method("divide", operand)

    def _method(self, name: str, operand: Any) -> Any:
        result = self._operate(name, operand)
        if result is NotImplemented:
            msg = (
                f"{name} takes NDData, arrays, Quantities and numbers, not "
                f"{type(operand).__name__}"
            )
            raise TypeError(msg)
        return result

    def _operate(self, name: str, other: Any, *, swapped: bool = False) -> Any:
        if not is_operand(other):
            return NotImplemented
        left, right = (other, self) if swapped else (self, other)
        return operate(name, left, right)

    def __add__(self, other: Any) -> Any:
        return self._operate("add", other)

    def __radd__(self, other: Any) -> Any:
        return self._operate("add", other, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._operate("subtract", other)

    def __rsub__(self, other: Any) -> Any:
        return self._operate("subtract", other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._operate("multiply", other)

    def __rmul__(self, other: Any) -> Any:
        return self._operate("multiply", other, swapped=True)

    def __truediv__(self, other: Any) -> Any:
        return self._operate("divide", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._operate("divide", other, swapped=True)

    def __neg__(self) -> Any:
        return self._operate("multiply", -1)
