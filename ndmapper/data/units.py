"""The unit of a result, and conversion of operands to a common unit."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from astropy import units as u
from astropy.nddata import NDData

from ndmapper.data.deferred import Operand
from ndmapper.errors import UnitError
from ndmapper.io.headers import Header
from ndmapper.numerics.formulas import BITWISE

__all__ = ["SYMBOLS", "UnreadUnit", "put_unit", "unit_of_result", "unit_or_unreadable"]

SYMBOLS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**",
    "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^", "invert": "~",
}  # fmt: skip
"""How the operations are written."""


@dataclass(frozen=True)
class UnreadUnit:
    """
    A unit that BUNIT gives in words that are not understood.

    Parameters
    ----------
    text : str
        The words.
    """

    text: str

    def __str__(self) -> str:
        return f"{self.text!r} (which is not understood)"


def unit_or_unreadable(ndd: Any) -> Any:
    """Return the unit of an image, None, or an UnreadUnit."""
    unit, words = ndd.content.unit_and_words()
    return UnreadUnit(words) if words else unit


def put_unit(ndd: Any, unit: Any) -> None:
    """Set the unit of a result, or the words of an UnreadUnit in its header."""
    if isinstance(unit, UnreadUnit):
        if unit_or_unreadable(ndd) != unit:
            ndd.content.stored.edit(partial(_with_words, text=unit.text))
        return
    if unit is None and isinstance(unit_or_unreadable(ndd), UnreadUnit):
        ndd.content.stored.edit(_without_unit)
    ndd.unit = unit


def _without_unit(header: Header) -> None:
    header.remove("BUNIT", ignore_missing=True, remove_all=True)


def _with_words(header: Header, text: str) -> None:
    header["BUNIT"] = text


def unit_of_result(
    name: str, sides: tuple[Operand, Operand], units: tuple[Any, Any], values: Any
) -> tuple[Operand, Any]:
    """
    Return the second operand in the unit of the first, and the unit of the result.

    Raises
    ------
    UnitError
        If the units do not fit.
    """
    for unit, other in (units, units[::-1]):
        if isinstance(unit, u.function.FunctionUnitBase) and (
            name not in ("add", "subtract") or other is not None
        ):
            msg = (
                f"{unit} is logarithmic, so that pixels in it cannot be combined with "
                f"{SYMBOLS[name]}; convert them to a linear unit, or set unit = None"
            )
            raise UnitError(msg)
    if name in ("add", "subtract", *BITWISE):
        return _unit_of_sum(name, sides[1], *units)
    if name == "power":
        return _unit_of_power(sides[1], *units)
    return sides[1], _unit_of_product(name, *units, *values)


def _unit_of_sum(
    name: str, second: Operand, unit: Any, other_unit: Any
) -> tuple[Operand, Any]:
    """Convert the second operand of a sum to the unit of the first."""
    if unit is None or other_unit is None:
        return second, unit if unit is not None else other_unit
    if isinstance(unit, UnreadUnit) or isinstance(other_unit, UnreadUnit):
        if unit == other_unit:
            return second, unit
        msg = (
            f"{unit} and {other_unit} cannot be combined with {SYMBOLS[name]}, since "
            "nobody can tell whether they are the same; set the unit of one, as in "
            "df[0].unit = 'adu'"
        )
        raise UnitError(msg)
    try:
        factor = other_unit.to(unit)
    except u.UnitConversionError as err:
        msg = f"{unit} and {other_unit} cannot be combined with {SYMBOLS[name]}"
        raise UnitError(msg) from err
    if factor != 1 and name in BITWISE:
        msg = f"bits of {unit} and {other_unit} cannot be combined; convert one first"
        raise UnitError(msg)
    return _scaled(second, factor), unit


def _scaled(operand: Operand, factor: float) -> Operand:
    if factor == 1:
        return operand
    if operand.number is not None:
        return Operand({}, operand.number * factor)
    return Operand(operand.parts, None, operand.factor * factor)


def _unit_of_product(name: str, first: Any, second: Any, left: Any, right: Any) -> Any:
    """
    Find the unit of a product or quotient.

    A plain number or array has no unit, but an image without BUNIT has an unknown
    one, and so has what is made of it.
    """
    if isinstance(first, UnreadUnit) or isinstance(second, UnreadUnit):
        plain = (None, u.dimensionless_unscaled)
        if isinstance(first, UnreadUnit):
            return first if second in plain else None
        return second if first in plain and name == "multiply" else None
    if any(isinstance(x, NDData) and unit is None for x, unit in
           ((left, first), (right, second))):  # fmt: skip
        return first if isinstance(left, NDData) and first is not None else None
    one = u.dimensionless_unscaled
    if first is None and second is None:
        return None
    first, second = first or one, second or one
    return first * second if name == "multiply" else first / second


def _unit_of_power(second: Operand, unit: Any, other_unit: Any) -> tuple[Operand, Any]:
    """Check the exponent, and find the unit of a power."""
    if isinstance(other_unit, UnreadUnit):
        other_unit = None
    if other_unit is not None:
        try:
            second = _scaled(second, other_unit.to(u.dimensionless_unscaled))
        except u.UnitConversionError as err:
            msg = f"an exponent has no unit, but this one has {other_unit}"
            raise UnitError(msg) from err
    if unit is None:
        return second, None
    if isinstance(unit, UnreadUnit):
        return second, unit if second.number == 1 else None
    if second.number is not None:
        try:
            return second, unit**second.number
        except (ValueError, OverflowError) as err:
            msg = f"{unit} to the power of {second.number} is no unit; take it off"
            raise UnitError(msg) from err
    if unit != u.dimensionless_unscaled:
        msg = (
            f"{unit} to the power of an array would give each pixel another unit; use "
            "a number, or take the unit off"
        )
        raise UnitError(msg)
    return second, unit
