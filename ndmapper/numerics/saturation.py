"""Charge that bleeds out of saturated pixels along the columns of a CCD."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.neighbours import median_of

__all__ = ["find_bleeding"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BODY = 0.7
"""From this part of the saturation level on, pixels count to the core of a star."""
_ELONGATED = 2.5
"""Cores so much longer across the columns than along them are those of spectra."""
_SIGMAS = 5.0
_FACTOR = 1.5
"""A trail has so many times the light that a star has as far from its core."""
_UNEVEN = 0.2
"""Light beside a trail may differ by this part, as that of a tilted spectrum does."""
_TOLERANCE = 0.8
_NEAR, _FAR = 3, 12
"""The level beside a trail is that of the columns that lie between so far from it."""
_GAP = 2
"""A trail ends where so many pixels in a row do not stand out."""


def find_bleeding(
    image: npt.ArrayLike,
    level: npt.ArrayLike,
    saturated: Mask,
    *,
    variance: npt.ArrayLike | None = None,
    axis: int = 0,
    start: float = 0.9,
) -> Mask:
    """
    Find the trails of charge that begin at pixels near the saturation level.

    Notes
    -----
    Charge that a full pixel cannot hold goes to its neighbours along the column, which
    have somewhat less than the saturation level, until there is none left. A pixel is
    part of a trail if, from a core on, all stand out of the level of the row beside
    them by more than the light of the star does as far from its core across the
    columns, where nothing bleeds. That leaves alone the wings of a star, and spikes
    that it has in both directions.

    Parameters
    ----------
    image : array_like
        Pixels above the bias.
    level : array_like
        Saturation level of each pixel, or of all.
    saturated : ndarray of bool
        Pixels that are known to be saturated.
    variance : array_like, optional
        Variance of pixels; by default the scatter of the image.
    axis : int
        Axis of the array along which charge bleeds; 0 is along the columns.
    start : float
        Trails may begin at pixels from this part of the saturation level on.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        full = np.asarray(level, np.float64)
        part = np.asarray(image, np.float64) / full
        if variance is None:
            noise = np.full(part.shape, _scatter(part))
        else:
            noise = np.asarray(np.sqrt(np.asarray(variance, np.float64)) / full)
    frame = _Frame.read(part, noise, saturated, axis, start)
    found = np.zeros(frame.part.shape, np.bool_)
    for core in frame.cores():
        for n, column in enumerate(core.columns):
            for step in (-1, 1):
                for rows in frame.trail(core, n, step):
                    found[rows, column] = True
    return found if axis == 0 else found.T


def _scatter(part: Array) -> float:
    """Estimate the scatter of neighbouring pixels; small stars do not count."""
    differences = np.diff(part, axis=-1).ravel()
    differences = np.abs(differences[np.isfinite(differences)])
    return (
        float(np.median(differences)) * 1.4826 / np.sqrt(2) if differences.size else 0
    )


@dataclass(frozen=True, eq=False)
class _Core:
    """A saturated star, or part of a spectrum, and its light beside the columns."""

    columns: npt.NDArray[np.intp]
    # Between which rows it would lie in each column if nothing had bled.
    low: Array
    high: Array
    is_elongated: bool
    # Light as a part of the saturation level, by distance from the core across.
    light: Array
    # The level of each row beside it.
    level: Array

    def expected(self, distance: Array) -> Array:
        """Give the light of the star that may be at distances from its core."""
        nearer = np.maximum(_TOLERANCE * distance - 1, 0).astype(np.intp)
        light = np.append(self.light, 0.0)
        return np.asarray(light[np.minimum(nearer, light.size - 1)])


@dataclass(frozen=True, eq=False)
class _Frame:
    """An image whose columns bleed along the first axis."""

    part: Array
    noise: Array
    saturated: Mask
    seeds: Mask
    body: Mask
    sky: float

    @classmethod
    def read(
        cls, part: Array, noise: Array, saturated: Mask, axis: int, start: float
    ) -> "_Frame":
        if axis == 1:
            part, noise, saturated = part.T, noise.T, saturated.T
        known = np.nan_to_num(part, nan=0.0, posinf=1.0, neginf=0.0)
        seeds = saturated | (known >= start)
        body = seeds | (known >= _BODY)
        sky = float(np.median(known[:: known.shape[0] // 500 + 1]))
        return cls(known, noise, saturated, seeds, body, sky)

    def cores(self) -> Iterator[_Core]:
        """List the connected bright pixels of which at least one is a seed."""
        from scipy.ndimage import find_objects, label

        labels, _ = label(self.body, np.ones((3, 3)))
        wanted = set(np.unique(labels[self.seeds]).tolist())
        for number, box in enumerate(find_objects(labels), start=1):
            if number in wanted:
                yield self._core(labels[box] == number, box)

    def _core(self, body: Mask, box: tuple[slice, slice]) -> _Core:
        widths, heights = body.sum(axis=1), body.sum(axis=0)
        top, left = box[0].start, box[1].start
        width, height = int(np.max(widths)), float(np.median(heights[heights > 0]))
        is_elongated = width > _ELONGATED * max(height, 3.0)
        columns = np.nonzero(heights)[0]
        if is_elongated:
            light = np.zeros(0)
            low, high = _ends_around(body[:, columns])
        else:
            widest = np.nonzero(widths == width)[0]
            row = int(widest[widest.size // 2])
            inside = np.nonzero(body[row])[0]
            light = self._light(top + row, inside[0] + left, inside[-1] + left)
            light = np.maximum(light - self.sky, 0)
            low, high = (np.full(columns.size, row + s * width / 2) for s in (-1, 1))
        return _Core(
            columns=columns + left,
            low=low + top,
            high=high + top,
            is_elongated=is_elongated,
            light=light,
            level=self._beside(left, box[1].stop - 1),
        )

    def _light(self, row: int, first: int, last: int) -> Array:
        """Take the light on either side of a core: the lesser one of both."""
        rows = self.part[max(row - 1, 0) : row + 2].max(axis=0)
        sides = [rows[:first][::-1], rows[last + 1 :]]
        sides = [side for side in sides if side.size] or [np.zeros(1)]
        if len(sides) == 1:
            return np.asarray(sides[0])
        size = max(side.size for side in sides)
        padded = [np.pad(s, (0, size - s.size), constant_values=np.inf) for s in sides]
        return np.asarray(np.minimum(*padded))

    def _beside(self, first: int, last: int) -> Array:
        """Find the level of every row beside some columns."""
        n = self.part.shape[1]
        columns = np.r_[
            max(first - _FAR, 0) : max(first - _NEAR + 1, 0),
            min(last + _NEAR, n) : min(last + _FAR + 1, n),
        ]
        if not columns.size:
            return np.zeros(self.part.shape[0])
        found = median_of(self.part[:, columns], ~self.body[:, columns])
        return np.nan_to_num(found)

    def trail(self, core: _Core, number: int, step: int) -> Iterator[slice]:
        """Follow a trail in one column and direction; give its rows if there is one."""
        n, column = self.part.shape[0], int(core.columns[number])
        edge = (core.high if step > 0 else core.low)[number]
        begin = min(max(round(edge) + 2 * step, 0), n - 1)
        rows = np.arange(begin, n if step > 0 else -1, step)
        level = self._beside(column, column) if core.is_elongated else core.level
        beside = level[rows]
        limit = _FACTOR * core.expected(np.abs(rows - edge))
        limit += _UNEVEN * np.maximum(beside - self.sky, 0)
        limit += _SIGMAS * np.nan_to_num(self.noise[rows, column])
        raised = self.part[rows, column] - beside > limit
        raised |= self.saturated[rows, column]
        length = _unbroken(raised)
        if length:
            middle = round((core.low[number] + core.high[number]) / 2)
            ends = sorted((min(max(middle, 0), n - 1), int(rows[length - 1])))
            yield slice(ends[0], ends[1] + 1)


def _ends_around(body: Mask) -> tuple[Array, Array]:
    """Find between which rows a spectrum lies, by the columns around each column."""
    low = np.argmax(body, axis=0).astype(np.float64)
    high = body.shape[0] - 1 - np.argmax(body[::-1], axis=0).astype(np.float64)
    ends = []
    for rows in (low, high):
        around = np.pad(rows, _FAR, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(around, 2 * _FAR + 1)
        ends.append(np.median(windows, axis=-1))
    return ends[0], ends[1]


def _unbroken(raised: Mask) -> int:
    """Count the pixels up to where `_GAP` in a row do not stand out."""
    gaps = np.convolve(~raised, np.ones(_GAP), "valid") == _GAP
    stop = int(np.argmax(gaps)) if gaps.any() else raised.size
    standing = np.nonzero(raised[:stop])[0]
    return int(standing[-1]) + 1 if standing.size else 0
