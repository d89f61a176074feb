"""Operations of which everything is known but the numbers: units, shapes, headers."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from astropy import units as u
from astropy.nddata import NDData

from ndmapper.data._flagging import in_convention_of
from ndmapper.data._operands import PARTS, Operand, Waiting
from ndmapper.data._parts import Part
from ndmapper.data._state import State
from ndmapper.data._waiting import WaitingPart
from ndmapper.errors import ParameterError, ShapeError, UnitError
from ndmapper.numerics.arith import Pixels
from ndmapper.numerics.formulas import BITWISE

__all__ = ["SYMBOLS", "Ready", "is_operand", "operate", "prepare"]

SYMBOLS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**",
    "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^", "invert": "~",
}  # fmt: skip
"""How the operations are written."""


@dataclass(frozen=True)
class Ready:
    """
    An operation of which everything is known but the numbers.

    Parameters
    ----------
    like : NDLater
        Whose header, ident and coordinates the result has.
    node : Waiting
        What is to be computed.
    unit : unit or None
        Unit of the result.
    """

    like: Any
    node: Waiting
    unit: Any

    def result(self, *, later: bool = False) -> Any:
        """
        Make the result.

        Parameters
        ----------
        later : bool
            Compute it only when somebody looks, where that can wait.

        Returns
        -------
        NDLater
            The result.
        """
        node = self.node
        new = self.like._bare()
        if later and node.can_wait:
            node = node.apart()
            made: dict[str, Any] = {
                n: Part(pending=WaitingPart(node, n)) for n in node.names
            }
            sides = [s for s in (node.first, node.second) if "flags" in s.parts]
            if len(sides) == 1 and sides[0].parts["flags"].shape == node.shape:
                made["flags"] = sides[0].parts["flags"].copy()  # as they are
        else:
            arrays = node.evaluate(node.names)
            made = {n: _fresh(arrays, n) for n in node.names}
        for name, part in made.items():
            old = self.like._parts.get(name)
            if old is not None and old.header is not None:
                part.header, part.is_std = old.header.copy(), old.is_std
            new._parts[name] = part
        new.unit = self.unit
        return new

    def put(self, *, later: bool = False) -> None:
        """
        Put the result in the place of the left operand.

        Parameters
        ----------
        later : bool
            Compute it only when somebody looks, where that can wait.
        """
        like, node = self.like, self.node
        if later and node.can_wait:
            node = node.apart()
            made = {n: Part(pending=WaitingPart(node, n)) for n in node.names}
        else:
            arrays = node.evaluate(node.names, self._room())
            made = {n: _fresh(arrays, n) for n in node.names}
        for name in PARTS:
            old, part = like._parts.pop(name, None), made.get(name)
            if part is None:
                continue
            if old is not None:
                # Where it came from is kept: a save compares, and knows its header.
                part.handle = old.handle if old.shape == part.shape else None
                part.header, part.is_std = old.header, old.is_std
                # The old array where there was room in it.
                part.held = old.held and part.is_loaded and old.form is part.form
            like._parts[name] = part
        like._variance_object = None
        like.unit = self.unit

    def _room(self) -> Pixels:
        """Find arrays of the left operand that can take the result."""
        sides = (self.node.first, self.node.second)
        loaded = [p for side in sides for p in side.parts.values() if p.is_loaded]
        read = [cast(Any, part.form) for part in loaded]
        arrays: list[Any] = []
        for name in PARTS:
            part = self.like._parts.get(name)
            free = part is not None and part.is_loaded
            if part is not None and (part.borrowed or part.shared):
                free = False
            array = cast(Any, part).form if free else None
            # What is read at another place than it is written must stay, and one array
            # cannot take two results.
            if array is not None and (
                not array.flags.writeable
                or any(x is not array and np.may_share_memory(array, x) for x in read)
                or any(x is not None and np.may_share_memory(array, x) for x in arrays)
            ):
                array = None
            arrays.append(array)
        return Pixels(*arrays)


def _fresh(arrays: Pixels, name: str) -> Part:
    """Make a part of an array that nobody else has."""
    return Part(array=arrays[PARTS.index(name)], held=False)


def prepare(name: str, left: Any, right: Any) -> Ready:
    """
    Check two operands, one of them an NDLater; nothing is read.

    Parameters
    ----------
    name : str
        The operation, a key of `SYMBOLS`.
    left, right : NDLater, NDData, Quantity, array_like or number
        The operands.

    Returns
    -------
    Ready
        The operation.

    Raises
    ------
    ShapeError
        If the shapes do not match.
    UnitError
        If the units do not.
    TypeError
        If bits are asked of what are no integers.
    """
    like: Any = left if isinstance(left, State) else right
    if name == "invert":
        name, right = "bitwise_xor", _ones(like.dtype)
    first, first_unit = _operand(in_convention_of(like, left), name)
    second, second_unit = _operand(in_convention_of(like, right), name)
    if name in BITWISE:
        _check_integers(name, first, second)
        first, second = _as_bits(name, first, second), _as_bits(name, second, first)
    if name in ("add", "subtract", *BITWISE):
        second, unit = _in_unit_of(first_unit, second, second_unit, name)
    elif name == "power":
        second, unit = _unit_of_power(first, first_unit, second, second_unit)
    else:
        unit = _unit_of_product(name, first_unit, second_unit, left, right)
    node = Waiting(name, first, second)
    try:
        shape: Any = node.shape
    except ValueError:
        shape = None
    if shape != like.shape:
        msg = (
            f"arrays of shape {first.shape} and {second.shape} do not match for "
            f"{SYMBOLS[name]}"
        )
        raise ShapeError(msg)
    return Ready(like, node, unit)


def operate(name: str, left: Any, right: Any, *, later: bool = False) -> Any:
    """
    Combine two operands, one of them an NDLater.

    Parameters
    ----------
    name : str
        The operation, a key of `SYMBOLS`.
    left, right : NDLater, NDData, Quantity, array_like or number
        The operands. Variances are propagated as if they were independent; flags are
        combined with OR.
    later : bool
        Compute the result when somebody looks at it, unless an operand is in memory,
        where it may be changed in the meantime.

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
    return prepare(name, left, right).result(later=later)


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


def _operand(value: Any, name: str) -> tuple[Operand, Any]:
    if isinstance(value, NDData) and not isinstance(value, State):
        from ndmapper.data.ndlater import NDLater

        value = NDLater(value)
    if isinstance(value, State):
        value._synced("uncertainty")
        return Operand(dict(value._parts)), cast(Any, value).unit
    unit = value.unit if isinstance(value, u.Quantity) else None
    fixed = isinstance(value, np.ndarray) and not (
        value.flags.writeable or value.base is not None
    )
    if isinstance(value, u.Quantity):
        value = value.value
    # A number never widens an array, not even a scalar of NumPy.
    if np.ndim(value) == 0:
        number = value.item() if isinstance(value, np.ndarray | np.generic) else value
        return Operand({}, number if name in BITWISE else float(number)), unit
    # Nobody can change an array that is nobody's view, and read-only.
    return Operand({"data": Part(array=np.asarray(value), fixed=fixed)}), unit


def _ones(dtype: np.dtype[Any]) -> int:
    if dtype.kind == "u":
        return int(np.iinfo(dtype).max)
    return 1 if dtype.kind == "b" else -1


def _check_integers(name: str, first: Operand, second: Operand) -> None:
    for side in (first, second):
        kind = "i" if isinstance(side.number, int) else (side.dtype or np.dtype("f8"))
        if np.dtype(kind).kind not in "iub":
            found = type(side.number).__name__ if side.dtype is None else side.dtype
            msg = f"{SYMBOLS[name]} works on the bits of integers, not on {found}"
            raise TypeError(msg)


def _as_bits(name: str, side: Operand, other: Operand) -> Operand:
    """Give the bits of a number, negative ones too, in the type of the other side."""
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


def _in_unit_of(
    unit: Any, other: Operand, other_unit: Any, name: str
) -> tuple[Operand, Any]:
    """Convert the second operand of a sum to the unit of the first."""
    if unit is None or other_unit is None:
        return other, unit if unit is not None else other_unit
    try:
        factor = other_unit.to(unit)
    except u.UnitConversionError as err:
        msg = f"{unit} and {other_unit} cannot be combined with {SYMBOLS[name]}"
        raise UnitError(msg) from err
    if factor != 1 and name in BITWISE:
        msg = f"bits of {unit} and {other_unit} cannot be combined; convert one first"
        raise UnitError(msg)
    return _scaled(other, factor), unit


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
    if any(isinstance(x, NDData) and unit is None for x, unit in
           ((left, first), (right, second))):  # fmt: skip
        return first if isinstance(left, NDData) and first is not None else None
    one = u.dimensionless_unscaled
    if first is None and second is None:
        return None
    first, second = first or one, second or one
    return first * second if name == "multiply" else first / second


def _unit_of_power(
    first: Operand, unit: Any, second: Operand, other_unit: Any
) -> tuple[Operand, Any]:
    """Check the exponent, and find the unit of a power."""
    if other_unit is not None:
        try:
            second = _scaled(second, other_unit.to(u.dimensionless_unscaled))
        except u.UnitConversionError as err:
            msg = f"an exponent has no unit, but this one has {other_unit}"
            raise UnitError(msg) from err
    if unit is None:
        return second, None
    if second.number is not None:
        return second, unit**second.number
    if unit != u.dimensionless_unscaled:
        msg = (
            f"{unit} to the power of an array would give each pixel another unit; use "
            "a number, or take the unit off"
        )
        raise UnitError(msg)
    return second, unit
