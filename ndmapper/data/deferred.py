"""Operands of arithmetic: what is in memory, and what lies in files or is not made."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data._blocks import (
    PARTS,
    WiderVarianceError,
    in_blocks,
    rows_at_once,
)
from ndmapper.data._parts import Part
from ndmapper.data._waiting import WaitingPart, WaitingSection
from ndmapper.numerics.arith import Pixels, combine
from ndmapper.numerics.formulas import (
    BITWISE,
    as_float,
    flag_type,
    float_type,
    result_type,
)
from ndmapper.parallel.cores import count_threads

__all__ = ["PARTS", "Operand", "Waiting"]

Array = npt.NDArray[Any]

_HEAVIEST = 50
"""So many operations at most wait for one result."""


@dataclass(frozen=True)
class Operand:
    """
    One side of an operation.

    Parameters
    ----------
    parts : dict of str to Part
        The arrays; empty for a plain number.
    number : int or float or None
        The number.
    factor : float
        What the pixels are multiplied with, to change their unit.
    """

    parts: dict[str, Part]
    number: Any = None
    factor: float = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data; that of a number is empty."""
        return self.parts["data"].shape if self.parts else ()

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Type of the data; None for a number."""
        if not self.parts:
            return None
        dtype = self.parts["data"].dtype
        return dtype if self.factor == 1 else float_type(dtype)

    @property
    def variance_dtype(self) -> np.dtype[Any]:
        """Type of the variance, where there is one."""
        if self.factor != 1:
            return np.dtype(np.float64)
        return self.parts["uncertainty"].dtype

    @property
    def can_wait(self) -> bool:
        """Whether it will be the same whenever somebody looks at it."""
        return all(part.fixed or not part.is_loaded for part in self.parts.values())

    @property
    def weight(self) -> int:
        """How many operations must be carried out to have its arrays."""
        nodes: dict[int, Waiting] = {}
        for part in self.parts.values():
            waiting: Any = None if part.is_loaded else part.pending
            while isinstance(waiting, WaitingSection):
                waiting = waiting.whole
            if waiting is not None:
                nodes[id(waiting.node)] = waiting.node
        return sum(node.weight for node in nodes.values())

    def apart(self) -> "Operand":
        """
        Make one that does not see what happens to the parts later.

        Returns
        -------
        Operand
            With parts of its own; nothing is read or copied.
        """
        own = {n: p if p.fixed else p.copy() for n, p in self.parts.items()}
        return replace(self, parts=own)

    def section(self, item: Any, shape: tuple[int, ...]) -> "Operand | None":
        """
        Take a section.

        Parameters
        ----------
        item : index
            Numbers, slices and an ellipsis.
        shape : tuple of int
            Shape of what the index is meant for.

        Returns
        -------
        Operand or None
            The section; None where the arrays have another shape.
        """
        if not self.parts:
            return self
        if any(part.shape != shape for part in self.parts.values()):
            return None
        parts: dict[str, Part] = {}
        cut: dict[int, Waiting | None] = {}
        for name, part in self.parts.items():
            waiting = None if part.is_loaded else part.pending
            if isinstance(waiting, WaitingPart):
                # The parts of one operation are cut together, to be computed together.
                if id(waiting.node) not in cut:
                    cut[id(waiting.node)] = waiting.node.section(item)
                node = cut[id(waiting.node)]
                if node is not None:
                    parts[name] = Part(pending=WaitingPart(node, waiting.name))
                    continue
            parts[name] = part.section(item)
        return replace(self, parts=parts)

    def fetch(self, wanted: Iterable[str]) -> Pixels:
        """
        Read or compute arrays.

        Parameters
        ----------
        wanted : iterable of str
            The parts that are needed.

        Returns
        -------
        Pixels
            Only to be looked at; data are zero where they were not wanted.
        """
        names = [name for name in PARTS if name in wanted and name in self.parts]
        found: dict[str, Any] = {}
        waiting = {n: p.pending for n in names if not (p := self.parts[n]).is_loaded}
        nodes = [w.node for w in waiting.values() if isinstance(w, WaitingPart)]
        if nodes and len(nodes) == len(waiting) and all(n is nodes[0] for n in nodes):
            made = nodes[0].evaluate(waiting)
            found = {n: made[PARTS.index(n)] for n in waiting}
        for name in names:
            if name not in found:
                part = self.parts[name]
                found[name] = part.peek() if part.fixed else part.values()
        return self.pixels(found)

    def pixels(self, found: dict[str, Any]) -> Pixels:
        """
        Put together what was read, in the unit that is wanted.

        Parameters
        ----------
        found : dict of str to ndarray
            Arrays by the name of their part, which are left as they are.

        Returns
        -------
        Pixels
            The arrays, or the number; data are zero where they were not read.
        """
        if not self.parts:
            return Pixels(self.number)
        data = found.get("data", np.zeros((), self.dtype))
        variance, flags = found.get("uncertainty"), found.get("flags")
        if self.factor != 1:
            data = as_float(data) * self.factor  # which does not widen it
            if variance is not None:
                variance = np.asarray(variance, np.float64) * self.factor**2
        return Pixels(data, variance, flags)


@dataclass
class Waiting:
    """
    An operation that is carried out when somebody asks for the result.

    Parameters
    ----------
    name : str
        The operation.
    first, second : Operand
        Both of which can wait.
    """

    name: str
    first: Operand
    second: Operand

    def __post_init__(self) -> None:
        self._made: dict[str, Array] = {}
        # Whether it turned out that float32 does not hold its variances.
        self.is_wide = False
        self.weight = 1 + self.first.weight + self.second.weight

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return np.broadcast_shapes(self.first.shape, self.second.shape)

    @property
    def can_wait(self) -> bool:
        """
        Whether the result will be the same whenever somebody looks at it.

        Long expressions do not wait: a sum of many files, made in a loop, would go
        too deep, and what is used twice would be computed twice, each time.
        """
        light = self.weight <= _HEAVIEST
        return light and self.first.can_wait and self.second.can_wait

    def apart(self) -> "Waiting":
        """
        Make one that does not see what happens to the operands later.

        Returns
        -------
        Waiting
            The same operation; nothing is read or copied.
        """
        return Waiting(self.name, self.first.apart(), self.second.apart())

    @property
    def names(self) -> list[str]:
        """The parts of the result."""
        both = {*self.first.parts, *self.second.parts}
        if self.name in BITWISE:
            both -= {"uncertainty"}
        return [name for name in PARTS if name in both]

    def dtype(self, name: str) -> np.dtype[Any]:
        """
        Give the type of a part.

        Parameters
        ----------
        name : str
            Which one.

        Returns
        -------
        dtype
            The type.
        """
        if name == "flags":
            sides = (self.first, self.second)
            return flag_type(*(s.parts[name].dtype for s in sides if name in s.parts))
        dtype = result_type(self.name, self.first.dtype, self.second.dtype)
        if name == "data" or self.is_wide:
            return dtype if name == "data" else np.dtype(np.float64)
        sides = (self.first, self.second)
        known = [float_type(s.variance_dtype) for s in sides if name in s.parts]
        return np.result_type(dtype, *known).newbyteorder("=")

    def evaluate(self, wanted: Iterable[str], out: Pixels | None = None) -> Pixels:
        """
        Carry the operation out.

        Parameters
        ----------
        wanted : iterable of str
            The parts that are needed; others may be left out.
        out : Pixels, optional
            Arrays to be filled.

        Returns
        -------
        Pixels
            The result.
        """
        names = set(wanted)
        if names == {"flags"}:
            return Pixels(np.zeros(()), None, self._flags())
        names.add("data")
        rows = rows_at_once(self)
        if out is None and rows is not None:
            try:
                return in_blocks(self, names, rows)
            except WiderVarianceError as found:
                found.mark()
                return self.evaluate(wanted)
        one, two = (side.fetch(names) for side in (self.first, self.second))
        made = combine(self.name, one, two, out=out, threads=count_threads())
        if self.is_wide and made.variance is not None:
            made = made._replace(variance=made.variance.astype(np.float64, copy=False))
        return made

    @property
    def has_blocks(self) -> bool:
        """Whether it can be computed a few rows at a time."""
        return not self._made and rows_at_once(self) is not None

    def _flags(self) -> Array:
        found = [s.fetch(["flags"]).flags for s in (self.first, self.second)
                 if "flags" in s.parts]  # fmt: skip
        dtype = self.dtype("flags")
        joined = np.zeros(self.shape, dtype)
        for flags in found:
            joined |= np.asarray(flags).astype(dtype, copy=False)
        return joined

    def read(self, name: str, *, whole: bool) -> Array:
        """
        Compute a part.

        Parameters
        ----------
        name : str
            Which one.
        whole : bool
            The others will be asked for as well, so that they are made at once and
            kept until then.

        Returns
        -------
        ndarray
            An array that nobody else has.
        """
        if name in self._made:
            return self._made.pop(name)
        made = self.evaluate(self.names if whole else {name})
        if whole:
            self._made = {
                n: array for n, array in zip(PARTS, made, strict=True)
                if n != name and array is not None
            }  # fmt: skip
        array = made[PARTS.index(name)]
        assert array is not None
        return array

    def section(self, item: Any) -> "Waiting | None":
        """
        Take a section of the result.

        Parameters
        ----------
        item : index
            Numbers, slices and an ellipsis.

        Returns
        -------
        Waiting or None
            None where an operand is broadcast, so that it cannot be cut alike.
        """
        sides = [s.section(item, self.shape) for s in (self.first, self.second)]
        if sides[0] is None or sides[1] is None:
            return None
        return Waiting(self.name, sides[0], sides[1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}
