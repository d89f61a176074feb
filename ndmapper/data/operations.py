"""Arithmetic of images: operands, shapes, units and headers are checked here."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from astropy import units as u
from astropy.nddata import NDData

from ndmapper.data.array import Part
from ndmapper.data.deferred import PARTS, Operand, Operation, Result
from ndmapper.data.flagging import in_convention_of
from ndmapper.data.image import (
    ImageBase,
    without_arrays,
)
from ndmapper.data.units import SYMBOLS, put_unit, unit_of_result, unit_or_unreadable
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.numerics.arith import Pixels
from ndmapper.numerics.formulas import BITWISE
from ndmapper.numerics.overlaps import Overlaps

__all__ = [
    "Ready",
    "as_bits",
    "check_integers",
    "given_operand",
    "is_operand",
    "ones",
    "operate",
    "prepare",
    "put_all",
]


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
    if isinstance(value, ImageBase):
        value.content.synced("uncertainty")
        return Operand(dict(value.content.arrays)), unit_or_unreadable(value)
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


@dataclass(frozen=True)
class Ready:
    """
    An operation of which everything is known but the numbers.

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
        new = without_arrays(self.like)
        if later and node.is_deferrable:
            node = node.snapshot()
            made: dict[str, Any] = {
                n: Part(pending=Result(node, n)) for n in node.names
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
                part.header, part.is_std = old.header.copy(), old.is_std
            new.content.arrays[name] = part
        put_unit(new, self.unit)
        return new

    def made(self, *, later: bool, room: Pixels | None) -> dict[str, Part]:
        """
        Make the parts of the result, or note what they will be.

        Parameters
        ----------
        later : bool
            Compute them only when somebody looks, where that can wait.
        room : Pixels or None
            Arrays that may be filled.

        Returns
        -------
        dict of str to Part
            The parts by name.
        """
        node = self.node
        if later and node.is_deferrable:
            node = node.snapshot()
            return {n: Part(pending=Result(node, n)) for n in node.names}
        arrays = node.evaluate(node.names, room)
        return {n: _fresh(arrays, n) for n in node.names}

    def put(self, made: dict[str, Part]) -> None:
        """
        Put a result in the place of the left operand.

        Parameters
        ----------
        made : dict of str to Part
            Its parts.
        """
        like = self.like
        for name in PARTS:
            old, part = like.content.arrays.pop(name, None), made.get(name)
            if part is None:
                continue
            if old is not None:
                # Where it came from is kept: a save compares, and knows its header.
                part.handle = old.handle if old.shape == part.shape else None
                part.header, part.is_std = old.header, old.is_std
                # The old array where there was room in it.
                part.held = old.held and part.is_loaded and old.form is part.form
            like.content.arrays[name] = part
        like.content.variance_object = None
        put_unit(like, self.unit)

    def reads(self) -> list[Any]:
        """
        List the arrays in memory that are read.

        Returns
        -------
        list of ndarray
            The arrays.
        """
        sides = (self.node.first, self.node.second)
        return [p.form for side in sides for p in side.parts.values() if p.is_loaded]

    def room(self) -> Pixels:
        """
        Find arrays of the left operand that can take the result.

        Returns
        -------
        Pixels
            The arrays; None where there is none.
        """
        read = self.reads()
        arrays: list[Any] = []
        for name in PARTS:
            part = self.like.content.arrays.get(name)
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


def put_all(operations: Sequence[Ready], *, later: bool = False) -> None:
    """
    Put results in the place of the left operands.

    Each is made of what was there before the first was put.

    Parameters
    ----------
    operations : sequence of Ready
        The operations.
    later : bool
        Compute them only when somebody looks, where that can wait.
    """
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


def _moved(part: Part, name: str, room: Pixels) -> Part:
    """Move a result into an array of the left operand, where it fits."""
    target: Any = room[PARTS.index(name)]
    if target is None or not part.is_loaded:
        return part
    array = part.peek()
    if (target.shape, target.dtype) != (array.shape, array.dtype):
        return part
    target[...] = array
    return Part(array=target, held=False)


def prepare(name: str, left: Any, right: Any, *, like: Any = None) -> Ready:
    """
    Check two operands, one of them an NDLater; nothing is read.

    Parameters
    ----------
    name : str
        The operation, a key of `SYMBOLS`.
    left, right : NDLater, NDData, Quantity, array_like or number
        The operands.
    like : NDLater, optional
        Whose header, ident and coordinates the result has, and whose shape; by
        default the first NDLater that has the shape of the result.

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
    if like is None:
        like = _described(left, right)
    if name == "invert":
        name, right = "bitwise_xor", ones(like.dtype)
    first, first_unit = given_operand(in_convention_of(like, left), name)
    second, second_unit = given_operand(in_convention_of(like, right), name)
    if name in BITWISE:
        check_integers(name, first, second)
        first, second = as_bits(name, first, second), as_bits(name, second, first)
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
    return Ready(like, node, unit)


def _described(left: Any, right: Any) -> Any:
    """Find the NDLater that a result is like: a row is like the image it goes with."""
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
    like : NDLater, optional
        As for `prepare`.

    Returns
    -------
    NDLater
        The result, with header, ident and coordinates of `like`.

    Raises
    ------
    ShapeError
        If the shapes do not match.
    UnitError
        If both have units, and they do not.
    """
    return prepare(name, left, right, like=like).result(later=later)
