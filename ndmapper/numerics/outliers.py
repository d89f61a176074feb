"""Outliers among images on one grid: hits and trails, and not the cores of stars."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.clipping import Rejection, Values, reject, sum_of

__all__ = ["REACH", "Outliers", "find_outliers", "mean_of_used"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

REACH = 2
"""So many rows beyond a pixel count for what is rejected in it."""

_TOLERANCE = 0.02, 0.3
"""Least and most part of the step to a neighbour by which an image may differ from the
others, as a standard deviation; the most where too little is steep to tell."""

_STEEP = 5.0
"""Steps of so many standard deviations of the noise tell how much images differ."""

_FEWEST = 100
"""So many pixels have to have them."""

_LARGE, _LARGE_SIGMA = 0.9, 1.645
"""This part of the absolute differences is smaller than so many standard deviations."""

_MARGIN = 1.5
"""The cores of the sharpest stars differ by so much more."""


@dataclass(frozen=True, kw_only=True)
class Outliers:
    """Which values of images are used, shape (n, ny, nx), and where that is new."""

    used: Mask
    # Pixels of which values were rejected, or found to be none.
    changed: Mask
    # Pixels that lose at least half of their values, or whose last two disagree.
    doubtful: Mask


def find_outliers(
    data: Array,
    variance: Array,
    good: Mask,
    how: Rejection,
    *,
    mean: Array,
    suspect: Mask,
    ratio: Array,
) -> Outliers:
    """
    Look again at pixels of which values were rejected by their noise alone.

    Where they are steep, as in stars, images differ by more than their noise, since
    they were interpolated from other places and the seeing changes: to the variance
    of the noise the square of a part of the largest step to a neighbour is added, which
    each image tells by how much it differs from the others. What is still rejected
    takes its neighbours in the same image along, into which it was interpolated, as far
    as at least half of the values of a pixel are left. `ratio` is the variance of each
    image over the mean of all.
    """
    used = good.copy()
    doubtful = suspect.copy()
    if suspect.any():
        steps, least_steps, parts = _differences(data, variance, good, mean)
        more = np.minimum(2 * parts, _TOLERANCE[1])
        # Where half of several images differ, it is hardly a hit: more is tolerated. Of
        # two, one with a hit makes the step.
        several = good.sum(axis=0) > 2
        rounds = ((parts, steps, suspect), (more, least_steps, several))
        for part, step, where in rounds:
            at = doubtful & where
            tolerance = (part[:, None] * step[at]) ** 2
            used[:, at], doubtful[at] = _rejected(
                data[:, at], variance[:, at] + tolerance, good[:, at], how, ratio
            )
    hit = good & ~used
    hit[:, doubtful] = False
    grown = used & _spread(hit)
    enough = 2 * (used & ~grown).sum(axis=0) >= np.maximum(good.sum(axis=0), 3)
    used &= ~(grown & enough)
    return Outliers(
        used=used,
        changed=suspect | (grown & enough).any(axis=0),
        doubtful=doubtful,
    )


def _rejected(
    data: Array, variance: Array, good: Mask, how: Rejection, ratio: Array
) -> tuple[Mask, Mask]:
    """Reject values of pixels, (n, m); say where half of them are, or two disagree."""
    values = Values(
        data=data,
        good=good,
        variance=variance,
        ratio=ratio,
        inner=np.ones(len(data) + 1),
        row=1,
    )
    used = reject(values, how)
    count, of_good = used.sum(axis=0), good.sum(axis=0)
    doubtful = (count < of_good) & (2 * count <= of_good)
    doubtful |= (count == 2) & _disagree(data, variance, used, how)
    return used, doubtful


def _differences(
    data: Array, variance: Array, good: Mask, mean: Array
) -> tuple[Array, Array, Array]:
    """Give the steps of the median and quartile, and how much each image differs."""
    least, most = _TOLERANCE
    middle, low = np.array(mean, np.float64), np.array(mean, np.float64)
    several = good.sum(axis=0) > 2
    # No hit that one image has goes into the median, nor of two into the quartile.
    if several.any():
        ordered = np.sort(np.where(good, data, np.inf)[:, several], axis=0)
        count = good[:, several].sum(axis=0)
        low[several] = _quantile(ordered, count, 0.25)
        middle[several] = _quantile(ordered, count, 0.5)
    steps = _steps(middle)
    parts = np.full(len(data), most)
    for number, (image, noise, is_good) in enumerate(
        zip(data, variance, good, strict=True)
    ):
        steep = is_good & several & (steps > _STEEP * np.sqrt(np.maximum(noise, 0)))
        if np.count_nonzero(steep) >= _FEWEST:
            apart = np.abs(image - middle)[steep] / steps[steep]
            # Of the larger differences, which are those in the middle of stars.
            large = _MARGIN * np.quantile(apart, _LARGE) / _LARGE_SIGMA
            parts[number] = np.clip(large, least, most)
    return steps, _steps(low), parts


def _quantile(ordered: Array, count: npt.NDArray[np.int_], part: float) -> Array:
    """Give a quantile of the first values of each column, by interpolation."""
    # `numpy.nanquantile` goes through the columns one by one, 150 times as slowly.
    place = part * (count - 1)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, count - 1)
    lower = np.take_along_axis(ordered, below[None], 0)[0]
    upper = np.take_along_axis(ordered, above[None], 0)[0]
    return np.asarray(lower + (place - below) * (upper - lower))


def _disagree(data: Array, variance: Array, used: Mask, how: Rejection) -> Mask:
    """Tell whether two values differ by more than their noise."""
    noise = sum_of(variance, used)
    apart = np.where(used, data, -np.inf).max(axis=0)
    apart -= np.where(used, data, np.inf).min(axis=0)
    differ: Mask = apart**2 > max(how.low, how.high) ** 2 * noise
    return differ


def mean_of_used(data: Array, variance: Array, used: Mask) -> tuple[Array, Array]:
    """Give the mean of some values, arrays of shape (n, m), and its variance."""
    count = used.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sum_of(data, used) / count, sum_of(variance, used) / count**2


def _steps(mean: Array) -> Array:
    """Give the largest difference of each pixel from its eight neighbours."""
    wide = np.pad(mean, 1, constant_values=np.nan)
    ny, nx = mean.shape
    largest = np.zeros(mean.shape)
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            step = np.abs(wide[dy : dy + ny, dx : dx + nx] - mean)
            largest = np.fmax(largest, step)
    return largest


def _spread(where: Mask) -> Mask:
    """Give the pixels of images, and their eight neighbours."""
    tall = where.copy()
    tall[:, 1:] |= where[:, :-1]
    tall[:, :-1] |= where[:, 1:]
    wide = tall.copy()
    wide[..., 1:] |= tall[..., :-1]
    wide[..., :-1] |= tall[..., 1:]
    return wide
