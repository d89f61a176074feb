"""
Deferred arithmetic: evaluated when a result is read, whole or in blocks of rows.

An `Operation` has two operands, and each array of its result is a `Result`, which is
computed when it is read. A section of a result is the operation on sections of its
operands. Large operations on arrays that lie in files are evaluated in blocks of
rows that stay in the cache of the processor, in several threads, so that neither the
operands nor what is in between is ever whole in memory.
"""

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.data.array import LazyArray
from ndmapper.io.source import PositionedReader, Source, clear_read_errors
from ndmapper.numerics.arith import Pixels, combine
from ndmapper.numerics.formulas import (
    BITWISE,
    as_float,
    flag_type,
    float_type,
    result_type,
)
from ndmapper.parallel.cores import count_threads

__all__ = [
    "PARTS",
    "Operand",
    "Operation",
    "Result",
    "ResultSection",
    "Streamed",
    "WiderVarianceError",
    "rows_at_once",
    "stream",
]

Array = npt.NDArray[Any]

PARTS = ("data", "uncertainty", "flags")
"""The names of the parts, in the order of `Pixels`."""

_BLOCK = 1 << 16
"""At least so many pixels are read and computed at a time, so that opening the file
does not count."""

_BLOCKS = 8
"""An image is worked on in about so many blocks, which then take little memory and stay
in the cache."""


_HEAVIEST = 50
"""So many operations at most are deferred for one result."""


@dataclass(frozen=True)
class Operand:
    """
    One side of an operation.

    Parameters
    ----------
    parts : dict of str to LazyArray
        The arrays; empty for a plain number.
    number : int or float or None
        The number.
    factor : float
        What the pixels are multiplied with, to change their unit.
    """

    parts: dict[str, LazyArray]
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
    def is_deferrable(self) -> bool:
        """Whether evaluation can be deferred: no array of it can be modified."""
        return not any(p.is_loaded and not p.is_immutable for p in self.parts.values())

    @property
    def weight(self) -> int:
        """How many operations must be carried out to have its arrays."""
        nodes: dict[int, Operation] = {}
        for part in self.parts.values():
            waiting: Any = part.deferred
            while isinstance(waiting, ResultSection):
                waiting = waiting.whole
            if waiting is not None:
                nodes[id(waiting.node)] = waiting.node
        return sum(node.weight for node in nodes.values())

    def snapshot(self) -> "Operand":
        """Take a snapshot: copy on write, so later changes of its parts do not show."""
        own = {n: p if p.is_immutable else p.copy() for n, p in self.parts.items()}
        return replace(self, parts=own)

    def section(self, item: Any, shape: tuple[int, ...]) -> "Operand | None":
        """Take a section, by an index for `shape`; None if the arrays have another."""
        if not self.parts:
            return self
        if any(part.shape != shape for part in self.parts.values()):
            return None
        parts: dict[str, LazyArray] = {}
        cut: dict[int, Operation | None] = {}
        for name, part in self.parts.items():
            waiting = part.deferred
            if isinstance(waiting, Result):
                # The parts of one operation are cut together, to be computed together.
                if id(waiting.node) not in cut:
                    cut[id(waiting.node)] = waiting.node.section(item)
                node = cut[id(waiting.node)]
                if node is not None:
                    parts[name] = LazyArray(deferred=Result(node, waiting.name))
                    continue
            parts[name] = part.section(item)
        return replace(self, parts=parts)

    def fetch(self, wanted: Iterable[str]) -> Pixels:
        """Read or compute the wanted arrays, only to be looked at."""
        names = [name for name in PARTS if name in wanted and name in self.parts]
        found: dict[str, Any] = {}
        waiting = {n: p for n in names if not (p := self.parts[n]).is_loaded}
        nodes = [
            p.deferred.node for p in waiting.values() if isinstance(p.deferred, Result)
        ]
        if nodes and len(nodes) == len(waiting) and all(n is nodes[0] for n in nodes):
            made = nodes[0].evaluate(waiting)
            found = {n: made[PARTS.index(n)] for n in waiting}
        for name in names:
            if name not in found:
                part = self.parts[name]
                found[name] = (
                    part.read_only() if part.is_immutable else part.read_uncached()
                )
        return self.pixels(found)

    def pixels(self, found: dict[str, Any]) -> Pixels:
        """Put arrays together in the wanted unit; data that were not read are zero."""
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
class Operation:
    """
    An operation that is carried out when its result is read.

    Parameters
    ----------
    name : str
        The operation.
    first, second : Operand
        Both of which are deferrable.
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
    def is_deferrable(self) -> bool:
        """
        Whether evaluation can be deferred: no operand array can be modified.

        Long expressions are not deferred: a sum of many files, made in a loop, would
        go too deep, and what is used twice would be computed twice, each time.
        """
        light = self.weight <= _HEAVIEST
        return light and self.first.is_deferrable and self.second.is_deferrable

    def snapshot(self) -> "Operation":
        """Take a snapshot: copy on write, so later changes of operands do not show."""
        return Operation(self.name, self.first.snapshot(), self.second.snapshot())

    @property
    def names(self) -> list[str]:
        """The parts of the result."""
        both = {*self.first.parts, *self.second.parts}
        if self.name in BITWISE:
            both -= {"uncertainty"}
        return [name for name in PARTS if name in both]

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the dtype of one array of the result."""
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
        """Compute the wanted arrays, into `out` if given; others may be left out."""
        names = set(wanted)
        if names == {"flags"}:
            return Pixels(np.zeros(()), None, self._flags())
        names.add("data")
        rows = rows_at_once(self)
        if out is None and rows is not None:
            try:
                return _in_blocks(self, names, rows)
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
        """Compute one array; with `whole` others too, which are kept until read."""
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

    def section(self, item: Any) -> "Operation | None":
        """Take a section of the result; None where an operand is broadcast."""
        sides = [s.section(item, self.shape) for s in (self.first, self.second)]
        if sides[0] is None or sides[1] is None:
            return None
        return Operation(self.name, sides[0], sides[1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}


@dataclass(frozen=True)
class Result:
    """
    One array of the result of an operation, computed when it is read.

    Parameters
    ----------
    node : Operation
        The operation.
    name : str
        Which array.
    """

    node: Operation
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; nothing is computed."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type; nothing is computed."""
        return self.node.dtype(self.name)

    def read(self, *, whole: bool = False) -> Array:
        """Compute it."""
        return self.node.read(self.name, whole=whole)

    @property
    def operands(self) -> list[LazyArray]:
        """The arrays that it is computed from."""
        return _parts(self.node)

    @property
    def has_rows(self) -> bool:
        """Whether some rows are computed without the rest."""
        return _has_rows(self.node)

    def take(self, item: Any) -> "Result | ResultSection":
        """Take a section; nothing is computed."""
        cut = self.node.section(item)
        return ResultSection(self, item) if cut is None else Result(cut, self.name)


@dataclass(frozen=True)
class ResultSection:
    """
    A section of a result that is computed whole, since an operand is broadcast.

    Parameters
    ----------
    whole : Result or ResultSection
        What it is a section of.
    item : index
        Numbers, slices and an ellipsis.
    """

    whole: "Result | ResultSection"
    item: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; nothing is computed."""
        return tuple(np.broadcast_to(0, self.whole.shape)[self.item].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type; nothing is computed."""
        return self.whole.dtype

    def read(self, *, whole: bool = False) -> Array:
        """Compute it."""
        return np.array(self.whole.read()[self.item])

    @property
    def operands(self) -> list[LazyArray]:
        """The arrays that it is computed from."""
        return self.whole.operands

    @property
    def has_rows(self) -> bool:
        """Whether some rows are computed without the rest."""
        return False

    def take(self, item: Any) -> "ResultSection":
        """Take a section; nothing is computed."""
        return ResultSection(self, item)


# ---- evaluation in blocks of rows


class WiderVarianceError(Exception):
    """
    Internal: float32 does not hold the variances of some rows.

    All rows are to be of one type, so the evaluation starts anew.

    Parameters
    ----------
    node : Operation
        The operation that they are the result of.
    """

    def __init__(self, node: Operation) -> None:
        super().__init__("variances that float32 does not hold")
        self._node = node

    def mark(self) -> None:
        """Have the variances in double precision from now on."""
        self._node.is_wide = True


def rows_at_once(node: Operation) -> int | None:
    """Return how many rows to evaluate at a time; None to evaluate all of them."""
    shape = node.shape
    size = math.prod(shape)
    if size < 2 * _BLOCK or shape[0] < 2 or not _has_rows(node):
        return None
    if all(part.is_loaded for part in _parts(node)):
        return None
    return max(1, max(_BLOCK, size // _BLOCKS) * shape[0] // size)


def _parts(node: Operation) -> list[LazyArray]:
    return [p for side in (node.first, node.second) for p in side.parts.values()]


def _has_rows(node: Operation) -> bool:
    """Whether some rows of the result are made of the same rows of every operand."""
    return all(part.shape == node.shape and part.has_rows for part in _parts(node))


@dataclass(frozen=True)
class Streamed:
    """
    An operation whose result is taken away a few rows at a time, and not kept.

    Parameters
    ----------
    node : Operation
        The operation, which has blocks.
    wanted : set of str
        The parts that are needed.
    put : callable
        Takes the number of the first row, and rows in memory that it may change, and
        that is used again; floating point in the byte order of FITS. Several threads
        call it, in any order.
    """

    node: Operation
    wanted: set[str]
    put: Callable[[int, Pixels], None]


@dataclass(frozen=True, eq=False)
class _Job:
    node: Operation
    names: set[str]
    rows: int
    block: Callable[[slice, "_Rows"], None]

    def spans(self) -> Iterator[slice]:
        count = self.node.shape[0]
        for start in range(0, count, self.rows):
            yield slice(start, min(start + self.rows, count))


def _in_blocks(node: Operation, names: set[str], rows: int) -> Pixels:
    """Evaluate deferred arithmetic in blocks of rows that fit the CPU cache."""
    made = _room(node, names, node.shape, np.empty)

    def block(span: slice, work: _Rows) -> None:
        work.make(span, _cut(made, span))

    _run([_Job(node, names, rows, block)])
    return made


def stream(operations: Iterable[Streamed]) -> None:
    """Evaluate operations in blocks of rows that are not kept, in this order."""

    def job(node: Operation, wanted: set[str], put: Callable[..., None]) -> _Job:
        rows = rows_at_once(node)
        assert rows is not None
        return _Job(
            node, {*wanted, "data"}, rows,
            lambda span, work: put(span.start, work.make(span)),
        )  # fmt: skip

    _run([job(x.node, x.wanted, x.put) for x in operations])


def _run(jobs: Sequence[_Job]) -> None:
    """Evaluate all blocks in threads, each with open files and buffers of its own."""
    for job in jobs:
        for part in _kept(job.node):
            part.read_only()  # now, so that it is read only once
    left = deque((job, span) for job in jobs for span in job.spans())

    def spans() -> Iterator[tuple[_Job, slice]]:
        while True:
            try:
                found = left.popleft()
            except IndexError:  # another thread took the last one
                return
            yield found

    def some(number: int) -> None:
        memory = _Memory()
        with _Files() as files:
            try:
                for job, its in groupby(spans(), lambda found: found[0]):
                    memory.free()
                    work = _Rows(job.node, job.names, job.rows, files, memory)
                    for _, span in its:
                        job.block(span, work)
            except BaseException:
                left.clear()  # the rest is not wanted any more
                raise

    threads = min(count_threads(), len(left))
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(some, range(threads)):
            pass


def _kept(node: Operation) -> Iterator[LazyArray]:
    """Yield the operands, also of nested operations, that are used for many files."""
    for part in _parts(node):
        if part.is_immutable:
            yield part
        elif isinstance(part.deferred, Result):
            yield from _kept(part.deferred.node)


class _Memory:
    """Buffers that are re-used by one operation after the other."""

    def __init__(self) -> None:
        self._free: list[Array] = []
        self._used: list[Array] = []

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        for i, found in enumerate(self._free):
            if found.shape == shape and found.dtype == dtype:
                del self._free[i]
                break
        else:
            found = np.empty(shape, dtype)
        self._used.append(found)
        return found

    def free(self) -> None:
        self._free, self._used = self._used, []


class _Files(ExitStack):
    """Files that are opened when they are needed, for as long as a context lasts."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[Source, PositionedReader] = {}

    def find(self, source: Source) -> PositionedReader:
        if source not in self._open:
            pieces = self._open[source] = PositionedReader(source).__enter__()
            # Not as a context: what goes wrong where the rows go, such as a full disk,
            # is no error of this file.
            self.callback(pieces.__exit__, None, None)
            self.callback(pieces.compare)
        return self._open[source]


class _Rows:
    """Rows of the result of an operation, made in memory that is used again."""

    def __init__(
        self,
        node: Operation,
        names: set[str],
        rows: int,
        files: _Files,
        memory: _Memory,
        *,
        order: Literal[">", "="] = ">",
    ) -> None:
        self._memory = memory
        # Of floating point that is not read again but written to a file, or "=".
        self._order = order
        self._node = node
        self._names = names
        self._rows = rows
        self._total = math.prod(node.shape)
        self._made: Pixels | None = None
        self._sides = [
            _Side(side, names, rows, files, memory)
            for side in (node.first, node.second)
        ]

    def make(self, span: slice, out: Pixels | None = None) -> Pixels:
        if out is None:
            if self._made is None:
                shape = (self._rows, *self._node.shape[1:])
                self._made = _room(self._node, self._names, shape, self._empty)
            out = _cut(self._made, slice(span.stop - span.start))
        one, two = (side.make(span) for side in self._sides)
        made = combine(self._node.name, one, two, out=out, total=self._total)
        if made.variance is not out.variance and made.variance is not None:
            raise WiderVarianceError(self._node)
        # What would not fit there would be a bug here, and must not go on.
        assert all(a is b for a, b in zip(made, out, strict=True) if a is not None)
        return made

    def _empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        order = self._order if dtype.kind == "f" else "="
        return self._memory.array(shape, dtype.newbyteorder(order))


class _Side:
    """Rows of one side of an operation."""

    def __init__(
        self,
        operand: Operand,
        names: set[str],
        rows: int,
        files: _Files,
        memory: _Memory,
    ) -> None:
        self._operand = operand
        self._files = files
        self._parts: dict[str, LazyArray] = {}
        self._room: dict[str, Any] = {}
        nodes: dict[int, tuple[Operation, set[str]]] = {}
        for name, part in operand.parts.items():
            if name not in names:
                continue
            waiting = part.deferred
            if isinstance(waiting, Result):
                # The parts of one operation are computed together.
                nodes.setdefault(id(waiting.node), (waiting.node, set()))[1].add(name)
                continue
            self._parts[name] = part
            handle = None if part.is_loaded else part.handle
            if handle is not None and handle.has_rows:
                shape = (rows, *part.shape[1:])
                self._room[name] = memory.array(shape, part.dtype)
        self._inner = [
            (_Rows(node, {*wanted, "data"}, rows, files, memory, order="="), wanted)
            for node, wanted in nodes.values()
        ]

    def make(self, span: slice) -> Pixels:
        found = {name: self._read(name, span) for name in self._parts}
        for inner, wanted in self._inner:
            made = inner.make(span)
            found |= {n: made[PARTS.index(n)] for n in wanted}
        return self._operand.pixels(found)

    def _read(self, name: str, span: slice) -> Any:
        part = self._parts[name]
        if part.is_loaded:
            return part.read_only()[span]
        handle = part.handle
        if handle is None or name not in self._room:
            return part.section(span).read_uncached()
        out = self._room[name][: span.stop - span.start]
        with clear_read_errors(handle.source.path):
            return handle.read_rows(self._files.find(handle.source), span, out)


def _room(
    node: Operation,
    names: set[str],
    shape: tuple[int, ...],
    make: Callable[..., Array],
) -> Pixels:
    room: Any = (
        make(shape, node.dtype(n)) if n in names and n in node.names else None
        for n in PARTS
    )
    return Pixels(*room)


def _cut(pixels: Pixels, span: slice) -> Pixels:
    rows: Any = (None if array is None else array[span] for array in pixels)
    return Pixels(*rows)
