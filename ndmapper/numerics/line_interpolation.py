"""Straight lines across bad pixels, along rows or columns, and how far off they are."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Along", "interpolate_lines"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.signedinteger]

Along = Literal["x", "y", "shorter"]
"""Which way lines run; ``'shorter'`` is the way on which good pixels are nearer."""

_LINES = 2
"""So many lines on either side tell how well such a line fits."""
_SIGNIFICANT = 2.0
"""Structure counts from so many standard deviations of its own estimate on."""


@dataclass(frozen=True, eq=False)
class _Ends:
    """For each bad pixel the next good ones on both sides along an axis."""

    before: Index
    after: Index
    at: Index
    size: int

    @property
    def is_open(self) -> Mask:
        """Whether there is a good pixel on one side only, or on none."""
        return (self.before < 0) | (self.after >= self.size)

    @property
    def length(self) -> Index:
        """Number of bad pixels in a row."""
        return self.after - self.before - 1


def interpolate_lines(
    image: Array,
    variance: Array | None,
    bad: Mask,
    *,
    along: Along = "shorter",
    widest: int | None = None,
) -> tuple[Array, Array | None, Mask]:
    """
    Replace bad pixels by straight lines between the good ones on both sides.

    This is what IRAF's fixpix does: at the edge of an image the nearest good pixel is
    taken, and rows go before columns where both are as near. Which pixels were replaced
    is given back; those between which more than `widest` are bad, or all, were not.

    Notes
    -----
    The variance is that of the two pixels by their weights, and the mean square by
    which such lines miss good pixels next to the bad ones, in so far as that is more
    than noise. Pixels that are replaced from the same good ones share their noise.
    """
    points = np.nonzero(bad)
    found = [_ends(~bad, points, axis) for axis in (0, 1)]
    by_row = _by_row(found, along)
    values, noise = np.empty(points[0].size), np.empty(points[0].size)
    done = np.zeros(points[0].size, np.bool_)
    for axis, chosen in ((0, ~by_row), (1, by_row)):
        ends = found[axis]
        some = chosen & ((ends.before >= 0) | (ends.after < ends.size))
        if widest is not None:
            some &= ends.length <= widest
        line = _Line(
            image, variance, bad,
            points=points, ends=ends, axis=axis, which=np.nonzero(some)[0],
        )  # fmt: skip
        values[some], noise[some] = line.values(), line.variance()
        done |= some
    where = tuple(index[done] for index in points)
    result = image.copy()
    result[where] = values[done]
    replaced = np.zeros(bad.shape, np.bool_)
    replaced[where] = True
    if variance is None:
        return result, None, replaced
    spread = variance.copy()
    spread[where] = noise[done]
    return result, spread, replaced


def _ends(good: Mask, points: tuple[Index, ...], axis: int) -> _Ends:
    n = good.shape[axis]
    index = np.arange(n).reshape((-1, 1) if axis == 0 else (1, -1))
    before = np.maximum.accumulate(np.where(good, index, -1), axis=axis)
    turned = np.flip(np.where(good, index, n), axis=axis)
    after = np.flip(np.minimum.accumulate(turned, axis=axis), axis=axis)
    return _Ends(before[points], after[points], points[axis], n)


def _by_row(found: list[_Ends], along: Along) -> Mask:
    """Tell which pixels are interpolated along their row."""
    columns, rows = found
    if along != "shorter":
        return np.full(rows.at.size, along == "x")
    shorter = rows.length <= columns.length
    # A line that has a pixel on one side only does not interpolate.
    return np.where(rows.is_open != columns.is_open, columns.is_open, shorter)


class _Line:
    """Lines across some of the bad pixels, all along one axis."""

    def __init__(
        self,
        image: Array,
        variance: Array | None,
        bad: Mask,
        *,
        points: tuple[Index, ...],
        ends: _Ends,
        axis: int,
        which: Index,
    ) -> None:
        self.image, self.noise, self.bad, self.axis = image, variance, bad, axis
        self.across = points[1 - axis][which]
        before, after = ends.before[which], ends.after[which]
        self.at = ends.at[which]
        self.is_open = ends.is_open[which]
        self.before = np.where(before < 0, after, before)
        self.after = np.where(after >= ends.size, before, after)
        span = np.maximum(self.after - self.before, 1)
        self.weight = np.where(self.is_open, 0.0, (self.at - self.before) / span)
        self.gap = np.where(self.is_open, 0, self.after - self.before)

    def _taken(self, array: npt.NDArray[Any], line: Index, at: Index) -> Any:
        return array[at, line] if self.axis == 0 else array[line, at]

    def _between(self, line: Index, shift: Any = 0) -> Array:
        first = self._taken(self.image, line, self.before + shift)
        second = self._taken(self.image, line, self.after + shift)
        return np.asarray((1 - self.weight) * first + self.weight * second)

    def _noise_of(self, line: Index, shift: Any = 0) -> Array:
        assert self.noise is not None
        first = self._taken(self.noise, line, self.before + shift)
        second = self._taken(self.noise, line, self.after + shift)
        return np.asarray((1 - self.weight) ** 2 * first + self.weight**2 * second)

    def values(self) -> Array:
        """Give the interpolated values."""
        return self._between(self.across)

    def variance(self) -> Array:
        """Give the variance of the interpolated values."""
        if self.noise is None or not self.at.size:
            return np.zeros(self.at.size)
        return self._noise_of(self.across) + self._structure()

    def _structure(self) -> Array:
        """Mean square by which lines as long miss good pixels around, beyond noise."""
        total, squares, count = (np.zeros(self.at.size) for _ in range(3))
        lines, n = self.bad.shape[1 - self.axis], self.bad.shape[self.axis]
        # What has a pixel on one side only is judged by steps as far as it is from it.
        far = np.where(self.is_open, np.abs(self.at - self.before), self.gap)
        for sign in (-1, 1):
            for other in range(-_LINES, _LINES + 1):
                line, shift = self.across + other, sign * far
                ends = [e + shift for e in (self.before, self.after, self.at)]
                inside = (line >= 0) & (line < lines) & (far > 0)
                for end in ends:
                    inside &= (end >= 0) & (end < n)
                line = np.where(inside, line, 0)
                shift = np.where(inside, shift, 0)
                for end in (self.before, self.after, self.at):
                    inside &= ~self._taken(
                        self.bad, line, np.clip(end + shift, 0, n - 1)
                    )
                miss = self._taken(self.image, line, self.at + shift)
                miss = miss - self._between(line, shift)
                assert self.noise is not None
                expected = self._noise_of(line, shift)
                expected = expected + self._taken(self.noise, line, self.at + shift)
                usable = inside & np.isfinite(miss) & np.isfinite(expected)
                total += np.where(usable, miss**2 - expected, 0.0)
                squares += np.where(usable, expected**2, 0.0)
                count += usable
        mean = total / np.maximum(count, 1)
        error = np.sqrt(2 * squares) / np.maximum(count, 1)
        return np.where(mean > _SIGNIFICANT * error, mean, 0.0)
