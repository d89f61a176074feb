"""Differences of the values of two arrays, compared in blocks of rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Tolerance", "ValueDifference", "compare_arrays"]

Array = npt.NDArray[Any]
Limit = Callable[[Array, Array, tuple[Any, ...]], Any]

_BLOCK = 1 << 20
"""Number of values that are compared at a time."""


class Readable(Protocol):
    """An array, or an object that reads sections of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        ...

    def __getitem__(self, item: Any) -> Any: ...


@dataclass(frozen=True)
class Tolerance:
    """Tolerance of a comparison."""

    # The largest tolerated difference.
    value: float
    # 'absolute' (in the units of the values), 'relative' (to the larger value) or
    # 'sigma' (in standard deviations of the first file, if it has an uncertainty).
    kind: Literal["absolute", "relative", "sigma"] = "absolute"

    def __str__(self) -> str:
        words = {"absolute": "", "relative": " of the value", "sigma": " sigma"}
        return f"{self.value:g}{words[self.kind]}"


@dataclass(frozen=True)
class ValueDifference:
    """Differences of two arrays."""

    # Number of values.
    total: int
    # Number of differing values; NaN equals NaN.
    different: int = 0
    # Number of values beyond the tolerance.
    beyond: int = 0
    # Largest difference; infinite if only one of two values is finite.
    largest: float = 0.0
    # Index of the largest difference.
    where: tuple[int, ...] = ()

    def __str__(self) -> str:
        text = f"{self.different} of {self.total} values differ"
        if np.isfinite(self.largest):
            text += f", at most by {self.largest:.6g}"
        else:
            text += ", some of them are numbers in one file only"
        text += f" at [{', '.join(map(str, self.where))}]"
        if self.beyond < self.different:
            text += f"; {self.beyond} by more than the tolerance"
        return text


def compare_arrays(
    first: Readable,
    second: Readable,
    limit: Limit | None = None,
    *,
    whole: bool = False,
) -> ValueDifference:
    """Compare two arrays of the same shape."""
    total = int(np.prod(first.shape))
    different = beyond = 0
    largest = 0.0
    where: tuple[int, ...] = ()
    for section in [(...,)] if whole else _sections(first.shape):
        ours, theirs = (np.asarray(array[section]) for array in (first, second))
        equal = ours == theirs
        if ours.dtype.kind in "fc" and theirs.dtype.kind in "fc":
            equal |= np.isnan(ours) & np.isnan(theirs)
        count = int(equal.size - np.count_nonzero(equal))
        if not count:
            continue
        different += count
        gap = _gap(ours, theirs, equal)
        allowed = 0.0 if limit is None else limit(ours, theirs, section)
        beyond += int(np.count_nonzero(gap > allowed))
        place = int(np.argmax(gap))
        if gap.flat[place] > largest:
            largest = float(gap.flat[place])
            inside = np.unravel_index(place, gap.shape)
            where = _absolute(section, tuple(int(i) for i in inside))
    return ValueDifference(total, different, beyond, largest, where)


def _gap(ours: Array, theirs: Array, equal: Array) -> Array:
    """Absolute difference; infinite where it is undefined."""
    if ours.dtype.kind not in "biufc" or theirs.dtype.kind not in "biufc":
        return np.where(equal, 0.0, np.inf)
    wide = np.complex128 if "c" in (ours.dtype.kind, theirs.dtype.kind) else np.float64
    with np.errstate(all="ignore"):
        gap = np.abs(ours.astype(wide) - theirs.astype(wide))
    gap[np.isnan(gap)] = np.inf
    gap[equal] = 0.0
    # Differences of 64-bit integers may be lost in floating point.
    tiny = (gap == 0) & ~equal
    gap[tiny] = 1.0
    return gap


def _sections(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield sections of whole rows, or of parts of very long rows."""
    if not shape:
        yield (...,)
        return
    inner = int(np.prod(shape[1:]))
    if inner > _BLOCK:
        for index in range(shape[0]):
            for rest in _sections(shape[1:]):
                yield (slice(index, index + 1), *rest)
        return
    step = max(1, _BLOCK // max(1, inner))
    for start in range(0, shape[0], step):
        yield (slice(start, min(start + step, shape[0])),)


def _absolute(section: tuple[Any, ...], inside: tuple[int, ...]) -> tuple[int, ...]:
    starts = [part.start if isinstance(part, slice) else 0 for part in section]
    starts = starts[: len(inside)] + [0] * (len(inside) - len(starts))
    return tuple(start + i for start, i in zip(starts, inside, strict=True))
