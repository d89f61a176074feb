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

_TOLERANCE = 0.3
"""Part of the step to a neighbour by which images may differ [standard deviations]."""


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

    Where the mean is steep, as in stars, images differ by more than their noise, since
    they were interpolated from other places and the seeing changes: to the standard
    deviation of the noise a part of the largest step to a neighbour is added. What is
    still rejected takes its neighbours in the same image along, into which it was
    interpolated, as far as at least half of the values of a pixel are left. `ratio` is
    the variance of each image over the mean of all.
    """
    n, ny, nx = data.shape
    used = good.copy()
    doubtful = np.zeros((ny, nx), np.bool_)
    if suspect.any():
        tolerance = (_TOLERANCE * _steps(mean)[suspect]) ** 2
        some = good[:, suspect]
        # Of the images that are there, which may be the less noisy ones.
        shared = (ratio @ some) / np.maximum(some.sum(axis=0), 1)
        values = Values(
            data=data[:, suspect],
            good=some,
            variance=(variance[:, suspect] + tolerance) / shared,
            ratio=ratio,
            inner=np.ones(n + 1),
            row=1,
        )
        used[:, suspect] = reject(values, how)
        count, of_good = used[:, suspect].sum(axis=0), values.good.sum(axis=0)
        doubtful[suspect] = (count < of_good) & (2 * count <= of_good)
        doubtful[suspect] |= (count == 2) & _disagree(
            data[:, suspect], variance[:, suspect] + tolerance, used[:, suspect], how
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
