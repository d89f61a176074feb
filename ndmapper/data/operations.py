"""Operations on images: operands are checked here, and results put together."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from astropy import units as u
from astropy.nddata import NDData

from ndmapper.data.array import LazyArray, Ownership
from ndmapper.data.deferred import PARTS, Operand, Operation, Result
from ndmapper.data.flagging import Flagging
from ndmapper.data.image import (
    ImageBase,
    mask_of_array,
    without_arrays,
)
from ndmapper.data.units import SYMBOLS, put_unit, unit_of_result, unit_or_unreadable
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.numerics.arith import Pixels
from ndmapper.numerics.formulas import BITWISE
from ndmapper.numerics.overlaps import Overlaps

__all__ = [
    "CheckedOperation",
    "as_integer_bits",
    "as_operand",
    "check_integers",
    "is_operand",
    "ones",
    "operate",
    "prepare",
    "put_all",
]


_UNITS = u.UnitBase | u.function.FunctionUnitBase


def is_operand(value: Any) -> bool:
    """Say whether a number, array, Quantity or NDData can be combined with images."""
    return isinstance(value, NDData | np.ndarray | np.generic | int | float | _UNITS)


def as_operand(value: Any, name: str) -> tuple[Operand, Any]:
    """
    Return an operand, unread, and its unit (None, or an UnreadUnit).

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
    if isinstance(value, ImageBase):
        return Operand(dict(value.content.arrays)), unit_or_unreadable(value)
    unit = value.unit if isinstance(value, u.Quantity) else None
    # An array cannot change that is read-only, and no view of another.
    is_immutable = isinstance(value, np.ndarray) and not (
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
    ownership = Ownership.IMMUTABLE if is_immutable else Ownership.EXPOSED
    array = LazyArray(array=np.asarray(value), ownership=ownership)
    return Operand({"data": array}), unit


def ones(dtype: np.dtype[Any]) -> int:
    """Return the number of which all bits are set."""
    if dtype.kind == "u":
        return int(np.iinfo(dtype).max)
    return 1 if dtype.kind == "b" else -1


def check_integers(name: str, first: Operand, second: Operand) -> None:
    """
    Check that both operands are integers.

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


def as_integer_bits(name: str, side: Operand, other: Operand) -> Operand:
    """
    Return the bits of a number, negative ones too, in the dtype of the other side.

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


@dataclass(frozen=True)
class CheckedOperation:
    """
    A checked operation: shapes, units and header are resolved, nothing is computed.

    Parameters
    ----------
    like : NDLater
        Whose header, ident and coordinates the result has.
    node : Operation
        What is to be computed.
    unit : unit or None or UnreadUnit
        Unit of the result.
    """

    like: Any
    node: Operation
    unit: Any

    def result(self, *, later: bool = False) -> Any:
        """Return the result, deferred if `later` and possible, as an NDLater."""
        node = self.node
        new = without_arrays(self.like)
        if later and node.is_deferrable:
            node = node.snapshot()
            made: dict[str, Any] = {
                n: LazyArray(deferred=Result(node, n)) for n in node.names
            }
            sides = [s for s in (node.first, node.second) if "flags" in s.parts]
            if len(sides) == 1 and sides[0].parts["flags"].shape == node.shape:
                made["flags"] = sides[0].parts["flags"].copy()  # as they are
        else:
            arrays = node.evaluate(node.names)
            made = {n: _fresh(arrays, n) for n in node.names}
        for name, part in made.items():
            old = self.like.content.arrays.get(name)
            if old is not None and old.header is not None:
                part.header = old.header.copy()
            new.content.arrays[name] = part
        put_unit(new, self.unit)
        return new

    def made(self, *, later: bool, room: Pixels | None) -> dict[str, LazyArray]:
        """Return the arrays of the result, deferred if possible, or put into `room`."""
        node = self.node
        if later and node.is_deferrable:
            node = node.snapshot()
            return {n: LazyArray(deferred=Result(node, n)) for n in node.names}
        arrays = node.evaluate(node.names, room)
        return {n: _fresh(arrays, n) for n in node.names}

    def put(self, made: dict[str, LazyArray]) -> None:
        """Put the arrays of the result into the left operand."""
        like = self.like
        for name in PARTS:
            old, part = like.content.arrays.pop(name, None), made.get(name)
            if part is None:
                continue
            if old is not None:
                # Where it came from is kept: a save compares, and knows its header.
                part.handle = old.handle if old.shape == part.shape else None
                part.header = old.header
                if part.is_loaded and old.form is part.form:
                    part.ownership = old.ownership  # there was room in the old array
            like.content.arrays[name] = part
        put_unit(like, self.unit)

    def reads(self) -> list[Any]:
        """List the operand arrays that are in memory."""
        sides = (self.node.first, self.node.second)
        found = [p for side in sides for p in side.parts.values()]
        return [part.read_only() for part in found if part.is_loaded]

    def room(self) -> Pixels:
        """Find the arrays of the left operand that the result can be written into."""
        read = self.reads()
        arrays: list[Any] = []
        for name in PARTS:
            part = self.like.content.arrays.get(name)
            array = None if part is None else part.writable()
            # What is read at another place than it is written must stay, and one array
            # cannot take two results.
            if array is not None and (
                any(x is not array and np.may_share_memory(array, x) for x in read)
                or any(x is not None and np.may_share_memory(array, x) for x in arrays)
            ):
                array = None
            arrays.append(array)
        return Pixels(*arrays)


def _fresh(arrays: Pixels, name: str) -> LazyArray:
    """Wrap an array that was just computed."""
    return LazyArray(array=arrays[PARTS.index(name)], ownership=Ownership.PRIVATE)


def put_all(operations: Sequence[CheckedOperation], *, later: bool = False) -> None:
    """Operate in place; each result is made of what was there before the first."""
    reads = [one.reads() for one in operations]
    readers = Overlaps([(a, i) for i, arrays in enumerate(reads) for a in arrays])
    waiting = []
    for i, one in enumerate(operations):
        room = one.room()
        if any(array is not None and readers.last(array) > i for array in room):
            # It is filled when those that read it are done.
            waiting.append((one, one.made(later=later, room=None), room))
        else:
            one.put(one.made(later=later, room=room))
    for one, made, room in waiting:
        one.put({name: _moved(part, name, room) for name, part in made.items()})


def _moved(part: LazyArray, name: str, room: Pixels) -> LazyArray:
    """Copy a result into an array of the left operand, where it fits."""
    target: Any = room[PARTS.index(name)]
    if target is None or not part.is_loaded:
        return part
    array = part.read_only()
    if (target.shape, target.dtype) != (array.shape, array.dtype):
        return part
    target[...] = array
    return LazyArray(array=target, ownership=Ownership.PRIVATE)


def prepare(name: str, left: Any, right: Any, *, like: Any = None) -> CheckedOperation:
    """
    Check two operands, one of them an NDLater; nothing is read.

    Raises
    ------
    ShapeError
        If the shapes do not match.
    UnitError
        If the units do not.
    TypeError
        If bits are asked of what are no integers.
    """
    if like is None:
        like = _described(left, right)
    if name == "invert":
        name, right = "bitwise_xor", ones(like.dtype)
    first, first_unit = as_operand(_in_convention_of(like, left), name)
    second, second_unit = as_operand(_in_convention_of(like, right), name)
    if name in BITWISE:
        check_integers(name, first, second)
        first, second = (
            as_integer_bits(name, first, second),
            as_integer_bits(name, second, first),
        )
    second, unit = unit_of_result(
        name, (first, second), (first_unit, second_unit), (left, right)
    )
    node = Operation(name, first, second)
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
    return CheckedOperation(like, node, unit)


def _described(left: Any, right: Any) -> Any:
    """Return the operand whose header a result has: not a row that is broadcast."""
    if not isinstance(left, ImageBase) or not isinstance(right, ImageBase):
        return left if isinstance(left, ImageBase) else right
    shapes = [cast(Any, side).shape for side in (left, right)]
    with suppress(ValueError):
        if shapes[0] != np.broadcast_shapes(*shapes) == shapes[1]:
            return right
    return left


def operate(
    name: str, left: Any, right: Any, *, later: bool = False, like: Any = None
) -> Any:
    """
    Combine two operands, one of them an NDLater; `later` defers where possible.

    Variances are propagated as if they were independent; flags are combined with OR.
    The result has header, ident and coordinates of `like`.

    Raises
    ------
    ShapeError
        If the shapes do not match.
    UnitError
        If both have units, and they do not.
    """
    return prepare(name, left, right, like=like).result(later=later)


def _in_convention_of(like: Any, other: Any) -> Any:
    """
    Give the flags of one operand the meaning that those of another have.

    What has no flags, or flags of the same meaning, comes back as it is.
    """
    is_other_nddata = isinstance(other, NDData) and not isinstance(other, Flagging)
    if is_other_nddata or mask_of_array(other) is not None:
        other = type(like)(other)  # whose mask becomes the own flag BAD
    if not isinstance(other, Flagging) or not other.has("flags"):
        return other
    if like.content.flag_origin() == other.content.flag_origin():
        return other
    table = like.flag_table
    return other if other.flag_table == table else other.translate_flags(table)
