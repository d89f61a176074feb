"""Arrays that are computed while they are written."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ndmapper.data.array import DeferredSource
from ndmapper.data.deferred import (
    PARTS,
    Result,
    ResultSection,
    Streamed,
    WiderVarianceError,
    stream,
)
from ndmapper.data.uncertainty import as_stored
from ndmapper.io.filemap import HduMap, Tail
from ndmapper.io.hdu import HduOut
from ndmapper.io.roles import UncertaintyKind
from ndmapper.io.write import HdusTogether
from ndmapper.numerics.arith import Pixels

__all__ = ["ComputedOnWrite", "computed"]


@dataclass(frozen=True)
class ComputedOnWrite:
    """
    An array that is computed when it is written.

    Parameters
    ----------
    pending : DeferredSource
        The array.
    kind : {'variance', 'std', 'ivar'}
        What is written of a variance.
    stored_dtype : dtype or None
        Type of what is written; by default that of the array.

    Raises
    ------
    WiderVarianceError
        When it is read, if it is not of the type that it was to have: headers are made
        before.
    """

    pending: DeferredSource
    kind: UncertaintyKind = "variance"
    stored_dtype: np.dtype[Any] | None = None
    dtype: np.dtype[Any] = field(init=False)

    def __post_init__(self) -> None:
        dtype = self.stored_dtype or self.pending.dtype
        object.__setattr__(self, "dtype", dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; nothing is computed."""
        return self.pending.shape

    def read(self) -> np.ndarray[Any, Any]:
        """Compute the array."""
        array = self.pending.read(whole=True)
        if self.kind == "variance" and array.dtype != self.dtype:
            raise WiderVarianceError(_node_of(self.pending))
        return as_stored(array, self.kind, self.dtype)


def _node_of(pending: Any) -> Any:
    while isinstance(pending, ResultSection):
        pending = pending.whole
    return pending.node


Outs = HduMap | HduOut | bytes | Tail


def computed(outs: Iterable[Outs], *, at_once: bool) -> Iterator[Outs | HdusTogether]:
    """
    Compute the arrays of HDUs when it is their turn to be written.

    Arrays of one operation may be written together (`at_once`), in blocks of rows.
    """
    for together, found in groupby(outs, _has_blocks if at_once else _nothing):
        if together:
            yield _together(cast(list[HduOut], list(found)))
            continue
        for out in found:
            data: Any = getattr(out, "data", None)
            if isinstance(out, HduOut) and isinstance(data, ComputedOnWrite):
                yield replace(out, data=data.read())
            else:
                yield out


def _nothing(out: Outs) -> bool:
    return False


def _has_blocks(out: Outs) -> bool:
    """Whether the array of an HDU is computed in blocks of rows."""
    data: Any = getattr(out, "data", None)
    if (
        not isinstance(out, HduOut)
        or out.is_tiled
        or not isinstance(data, ComputedOnWrite)
    ):
        return False
    pending = data.pending
    return isinstance(pending, Result) and pending.node.has_blocks


def _together(outs: list[HduOut]) -> HdusTogether:
    """Write arrays together that are computed in blocks of rows."""
    laters: list[Any] = [out.data for out in outs]
    for later in laters:
        if later.kind == "variance" and later.dtype != later.pending.dtype:
            raise WiderVarianceError(later.pending.node)

    def fill(put: Callable[[int, int, npt.NDArray[Any]], None]) -> None:
        def streamed(node: Any, numbers: list[int]) -> Streamed:
            width = math.prod(node.shape[1:])

            def rows(first: int, made: Pixels) -> None:
                for i in numbers:
                    array: Any = made[PARTS.index(laters[i].pending.name)]
                    if laters[i].kind != "variance":
                        out = np.empty(array.shape, laters[i].dtype.newbyteorder(">"))
                        array = as_stored(array, laters[i].kind, out=out)
                    put(i, first * width, array)

            return Streamed(node, {laters[i].pending.name for i in numbers}, rows)

        # The parts of one operation are computed together.
        nodes: dict[int, tuple[Any, list[int]]] = {}
        for i, later in enumerate(laters):
            node = later.pending.node
            nodes.setdefault(id(node), (node, []))[1].append(i)
        stream(streamed(*found) for found in nodes.values())

    return HdusTogether(tuple(outs), fill)
