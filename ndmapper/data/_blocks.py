"""Results that wait: some rows at a time are read and computed, and stay cached."""

import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from ndmapper.numerics.arith import Pixels
from ndmapper.parallel.cores import count_threads

if TYPE_CHECKING:
    from ndmapper.data._operands import Waiting

__all__ = ["PARTS", "in_blocks", "rows_at_once", "stream"]

PARTS = ("data", "uncertainty", "flags")
"""The names of the parts, in the order of `Pixels`."""

_BLOCK = 1 << 16
"""At least so many pixels are read and computed at a time, so that opening the file
does not count."""

_BLOCKS = 8
"""An image is worked on in about so many blocks, which then take little memory and stay
in the cache."""


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
    if size < 2 * _BLOCK or shape[0] < 2:
        return None
    parts = [p for s in (node.first, node.second) for p in s.parts.values()]
    for part in parts:
        handle = part.handle if part.pending is None else None
        packed = handle is not None and handle.source.compression is not None
        if part.shape != shape or (packed and not part.is_loaded):
            return None
    if all(part.is_loaded for part in parts):
        return None
    return max(1, max(_BLOCK, size // _BLOCKS) * shape[0] // size)


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
    made = _room(node, names, node.shape)

    def block(span: slice, section: "Waiting") -> None:
        section.compute(names, _cut(made, span), total=math.prod(node.shape))

    _run(node, rows, block)
    return made


def stream(
    node: "Waiting", wanted: Iterable[str], put: Callable[[int, Pixels], None]
) -> None:
    """
    Carry an operation out a few rows at a time, which are not kept.

    Parameters
    ----------
    node : Waiting
        The operation, which has blocks.
    wanted : iterable of str
        The parts that are needed.
    put : callable
        Takes the number of the first row, and rows in memory that it may change, and
        that is used again. Several threads call it, in any order.
    """
    names = {*wanted, "data"}
    rows = rows_at_once(node)
    assert rows is not None
    local = threading.local()

    def block(span: slice, section: "Waiting") -> None:
        if not hasattr(local, "room"):
            local.room = _room(node, names, (rows, *node.shape[1:]))
        out = _cut(local.room, slice(span.stop - span.start))
        put(span.start, section.compute(names, out, total=math.prod(node.shape)))

    _run(node, rows, block)


def _run(node: "Waiting", rows: int, work: Callable[[slice, "Waiting"], None]) -> None:
    for side in (node.first, node.second):
        for part in side.parts.values():
            if part.fixed:
                part.peek()  # it is kept, so that it is read only once
    count = node.shape[0]

    def block(start: int) -> None:
        span = slice(start, min(start + rows, count))
        section = node.section(span)
        assert section is not None
        work(span, section)

    starts = range(0, count, rows)
    with ThreadPoolExecutor(min(count_threads(), len(starts))) as pool:
        for _ in pool.map(block, starts):
            pass


def _room(node: "Waiting", names: set[str], shape: tuple[int, ...]) -> Pixels:
    room: Any = (
        np.empty(shape, node.dtype(n)) if n in names and n in node.names else None
        for n in PARTS
    )
    return Pixels(*room)


def _cut(pixels: Pixels, span: slice) -> Pixels:
    rows: Any = (None if array is None else array[span] for array in pixels)
    return Pixels(*rows)
