"""Results that wait: some rows at a time are read and computed, and stay cached."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.data._waiting import WaitingPart
from ndmapper.io.pieces import Pieces
from ndmapper.io.source import Source, clear_read_errors
from ndmapper.numerics.arith import Pixels, combine
from ndmapper.numerics.memory import empty
from ndmapper.parallel.cores import count_threads

if TYPE_CHECKING:
    from ndmapper.data._operands import Operand, Waiting
    from ndmapper.data._parts import Part

__all__ = [
    "PARTS",
    "Streamed",
    "WiderVarianceError",
    "in_blocks",
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


class WiderVarianceError(Exception):
    """
    Said by some rows of which float32 does not hold the variances; nobody sees it.

    All rows are to be of one type, so the work starts anew.

    Parameters
    ----------
    node : Waiting
        The operation that they are the result of.
    """

    def __init__(self, node: "Waiting") -> None:
        super().__init__("variances that float32 does not hold")
        self._node = node

    def mark(self) -> None:
        """Have the variances in double precision from now on."""
        self._node.is_wide = True


def rows_at_once(node: "Waiting") -> int | None:
    """
    Say how many rows of a result to work on at a time.

    Parameters
    ----------
    node : Waiting
        The operation.

    Returns
    -------
    int or None
        None to work on all of them.
    """
    shape = node.shape
    size = math.prod(shape)
    if size < 2 * _BLOCK or shape[0] < 2 or not _has_rows(node):
        return None
    if all(part.is_loaded for part in _parts(node)):
        return None
    return max(1, max(_BLOCK, size // _BLOCKS) * shape[0] // size)


def _parts(node: "Waiting") -> list["Part"]:
    return [p for side in (node.first, node.second) for p in side.parts.values()]


def _has_rows(node: "Waiting") -> bool:
    """Whether some rows of the result are made of the same rows of every operand."""
    for part in _parts(node):
        if part.shape != node.shape:
            return False
        if part.is_loaded:
            continue
        pending = part.pending
        if pending is None:
            # Only the whole of a compressed file can be read.
            if part.handle is None or part.handle.source.compression is not None:
                return False
        elif not isinstance(pending, WaitingPart) or not _has_rows(pending.node):
            return False
    return True


@dataclass(frozen=True)
class Streamed:
    """
    An operation whose result is taken away a few rows at a time, and not kept.

    Parameters
    ----------
    node : Waiting
        The operation, which has blocks.
    wanted : set of str
        The parts that are needed.
    put : callable
        Takes the number of the first row, and rows in memory that it may change, and
        that is used again; floating point in the byte order of FITS. Several threads
        call it, in any order.
    """

    node: "Waiting"
    wanted: set[str]
    put: Callable[[int, Pixels], None]


@dataclass(frozen=True, eq=False)
class _Job:
    node: "Waiting"
    names: set[str]
    rows: int
    block: Callable[[slice, "_Rows"], None]

    def spans(self) -> Iterator[slice]:
        count = self.node.shape[0]
        for start in range(0, count, self.rows):
            yield slice(start, min(start + self.rows, count))


def in_blocks(node: "Waiting", names: set[str], rows: int) -> Pixels:
    """
    Carry an operation out a few rows at a time.

    Parameters
    ----------
    node : Waiting
        The operation.
    names : set of str
        The parts that are needed.
    rows : int
        How many rows at a time.

    Returns
    -------
    Pixels
        The result.
    """
    made = _room(node, names, node.shape, empty)

    def block(span: slice, work: _Rows) -> None:
        work.make(span, _cut(made, span))

    _run([_Job(node, names, rows, block)])
    return made


def stream(operations: Iterable[Streamed]) -> None:
    """
    Carry operations out a few rows at a time, which are not kept.

    Parameters
    ----------
    operations : iterable of Streamed
        They are worked on in this order, but none waits for the one before.
    """

    def job(node: "Waiting", wanted: set[str], put: Callable[..., None]) -> _Job:
        rows = rows_at_once(node)
        assert rows is not None
        return _Job(
            node, {*wanted, "data"}, rows,
            lambda span, work: put(span.start, work.make(span)),
        )  # fmt: skip

    _run([job(x.node, x.wanted, x.put) for x in operations])


def _run(jobs: Sequence[_Job]) -> None:
    """Work on all blocks, in threads of which each has files and memory of its own."""
    for job in jobs:
        for part in _kept(job.node):
            part.peek()  # now, so that it is read only once
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
                left.clear()  # nobody wants the rest
                raise

    threads = min(count_threads(), len(left))
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(some, range(threads)):
            pass


def _kept(node: "Waiting") -> Iterator["Part"]:
    """List the parts, also of operations inside, that stay in memory for others."""
    for part in _parts(node):
        if part.fixed:
            yield part
        elif not part.is_loaded and isinstance(part.pending, WaitingPart):
            yield from _kept(part.pending.node)


class _Memory:
    """Arrays that one operation after the other uses."""

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
        self._open: dict[Source, Pieces] = {}

    def find(self, source: Source) -> Pieces:
        if source not in self._open:
            pieces = self._open[source] = Pieces(source).__enter__()
            # Not as a context: what goes wrong where the rows go, such as a full disk,
            # is no error of this file.
            self.callback(pieces.__exit__, None, None)
            self.callback(pieces.compare)
        return self._open[source]


class _Rows:
    """Rows of the result of an operation, made in memory that is used again."""

    def __init__(
        self,
        node: "Waiting",
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
        # What would not fit there is a fault of ours, and nobody must see it.
        assert all(a is b for a, b in zip(made, out, strict=True) if a is not None)
        return made

    def _empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        order = self._order if dtype.kind == "f" else "="
        return self._memory.array(shape, dtype.newbyteorder(order))


class _Side:
    """Rows of one side of an operation."""

    def __init__(
        self,
        operand: "Operand",
        names: set[str],
        rows: int,
        files: _Files,
        memory: _Memory,
    ) -> None:
        self._operand = operand
        self._files = files
        self._parts: dict[str, Part] = {}
        self._room: dict[str, Any] = {}
        nodes: dict[int, tuple[Waiting, set[str]]] = {}
        for name, part in operand.parts.items():
            if name not in names:
                continue
            waiting = None if part.is_loaded else part.pending
            if isinstance(waiting, WaitingPart):
                # The parts of one operation are computed together.
                nodes.setdefault(id(waiting.node), (waiting.node, set()))[1].add(name)
                continue
            self._parts[name] = part
            handle = None if part.is_loaded or part.is_std else part.handle
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
            return part.peek()[span]
        handle = part.handle
        if handle is None or name not in self._room:
            return part.section(span).values()
        out = self._room[name][: span.stop - span.start]
        with clear_read_errors(handle.source.path):
            return handle.read_rows(self._files.find(handle.source), span, out)


def _room(
    node: "Waiting",
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
