"""What is given as an operand: images, arrays, numbers with and without units."""

from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import NDData

from ndmapper.data.array import Part
from ndmapper.data.deferred import Operand
from ndmapper.data.image import State
from ndmapper.data.units import SYMBOLS, unit_or_unreadable
from ndmapper.errors import ParameterError
from ndmapper.numerics.formulas import BITWISE

__all__ = ["as_bits", "check_integers", "given_operand", "is_operand", "ones"]

_UNITS = u.UnitBase | u.function.FunctionUnitBase


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
    return isinstance(value, NDData | np.ndarray | np.generic | int | float | _UNITS)


def given_operand(value: Any, name: str) -> tuple[Operand, Any]:
    """
    Make an operand of what was given.

    Parameters
    ----------
    value : NDLater, NDData, Quantity, unit, array_like or number
        What was given.
    name : str
        The operation.

    Returns
    -------
    Operand
        The operand; nothing is read.
    unit or None or UnreadUnit
        Its unit.

    Raises
    ------
    TypeError
        If it is no real number.
    ParameterError
        If it is too large a number.
    """
    if isinstance(value, _UNITS):
        if name not in ("multiply", "divide"):
            msg = f"{SYMBOLS[name]} takes no bare unit; write 1 * {value} if that is it"
            raise TypeError(msg)
        return Operand({}, 1.0), value
    if isinstance(value, State):
        value._synced("uncertainty")
        return Operand(dict(value._parts)), unit_or_unreadable(value)
    unit = value.unit if isinstance(value, u.Quantity) else None
    fixed = isinstance(value, np.ndarray) and not (
        value.flags.writeable or value.base is not None
    )
    if isinstance(value, u.Quantity):
        value = value.value
    if np.asarray(value).dtype.kind not in "biuf" and not isinstance(value, int):
        msg = f"{SYMBOLS[name]} takes real numbers, not {np.asarray(value).dtype}"
        raise TypeError(msg)
    # A number never widens an array, not even a scalar of NumPy.
    if np.ndim(value) == 0:
        number = value.item() if isinstance(value, np.ndarray | np.generic) else value
        try:
            return Operand({}, number if name in BITWISE else float(number)), unit
        except OverflowError as err:
            msg = "a number of more than 308 digits is no pixel"
            raise ParameterError(msg) from err
    # Nobody can change an array that is nobody's view, and read-only.
    return Operand({"data": Part(array=np.asarray(value), fixed=fixed)}), unit


def ones(dtype: np.dtype[Any]) -> int:
    """
    Give the number of which all bits are set.

    Parameters
    ----------
    dtype : dtype
        A type of integers.

    Returns
    -------
    int
        The number.
    """
    if dtype.kind == "u":
        return int(np.iinfo(dtype).max)
    return 1 if dtype.kind == "b" else -1


def check_integers(name: str, first: Operand, second: Operand) -> None:
    """
    Make sure that both operands have bits.

    Parameters
    ----------
    name : str
        The operation.
    first, second : Operand
        The operands.

    Raises
    ------
    TypeError
        If one is no integer.
    """
    for side in (first, second):
        kind = "i" if isinstance(side.number, int) else (side.dtype or np.dtype("f8"))
        if np.dtype(kind).kind not in "iub":
            found = type(side.number).__name__ if side.dtype is None else side.dtype
            msg = f"{SYMBOLS[name]} works on the bits of integers, not on {found}"
            raise TypeError(msg)


def as_bits(name: str, side: Operand, other: Operand) -> Operand:
    """
    Give the bits of a number, negative ones too, in the type of the other side.

    Parameters
    ----------
    name : str
        The operation.
    side, other : Operand
        The number, or anything else, which comes back as it is; and the other side.

    Returns
    -------
    Operand
        The number that has these bits.

    Raises
    ------
    ParameterError
        If bits of the number would be lost.
    """
    if side.number is None or other.dtype is None:
        return side
    dtype = other.dtype
    width = 1 if dtype.kind == "b" else 8 * dtype.itemsize
    bits, number = (1 << width) - 1, int(side.number)
    # Where both are ANDed, bits that the array has not are zero in the end.
    if name != "bitwise_and" and not -(1 << width) <= number <= bits:
        msg = (
            f"{number} has more bits than {dtype}, which the array is of, so that "
            f"{SYMBOLS[name]} would lose some; use data.astype of a wider type"
        )
        raise ParameterError(msg)
    number &= bits
    if dtype.kind == "i" and number >> (width - 1):
        number -= 1 << width
    return Operand({}, number)
