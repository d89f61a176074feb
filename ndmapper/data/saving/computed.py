"""Arrays that are computed when it is their turn to be written."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
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

__all__ = ["Later", "computed"]


@dataclass(frozen=True)
class Later:
    """
    An array that is computed when its turn comes to be written.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "_dtype", self.stored_dtype or self.pending.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; nothing is computed."""
        return self.pending.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type; nothing is computed."""
        return cast(Any, self)._dtype  # type: ignore[no-any-return]

    def read(self) -> np.ndarray[Any, Any]:
        """
        Compute it.

        Returns
        -------
        ndarray
            The array.
        """
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
    Compute the arrays of HDUs when it is their turn.

    Parameters
    ----------
    outs : iterable of HduMap, HduOut, bytes or Tail
        What is to be written.
    at_once : bool
        Arrays of one operation may be written together, some rows at a time.

    Yields
    ------
    HduMap, HduOut, bytes, Tail or HdusTogether
        What can be written.
    """
    for together, found in groupby(outs, _has_blocks if at_once else _nothing):
        if together:
            yield _together(cast(list[HduOut], list(found)))
            continue
        for out in found:
            data: Any = getattr(out, "data", None)
            if isinstance(out, HduOut) and isinstance(data, Later):
                yield replace(out, data=data.read())
            else:
                yield out


def _nothing(out: Outs) -> bool:
    return False


def _has_blocks(out: Outs) -> bool:
    """Say whether the array of an HDU is made some rows at a time."""
    data: Any = getattr(out, "data", None)
    if not isinstance(out, HduOut) or out.is_tiled or not isinstance(data, Later):
        return False
    pending = data.pending
    return isinstance(pending, Result) and pending.node.has_blocks


def _together(outs: list[HduOut]) -> HdusTogether:
    """Write arrays together that are made some rows at a time."""
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
