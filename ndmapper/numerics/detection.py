"""Where light stands out of the noise: significance, and islands of pixels."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.correlated_noise import Covariances, variance_of_sum

__all__ = [
    "FWHM_OF_SIGMA",
    "DividedSources",
    "divide_sources",
    "find_islands",
    "gaussian_factor",
    "significance",
]

FWHM_OF_SIGMA = math.sqrt(8 * math.log(2))
"""The FWHM of a Gaussian is this many standard deviations."""

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def significance(
    data: npt.ArrayLike,
    variance: npt.ArrayLike,
    mask: Mask,
    *,
    fwhm: float,
    covariances: Covariances | None = None,
) -> Array:
    """
    Smooth an image without background by a Gaussian, in units of its own noise.

    Where a star of that FWHM has its centre, this is the signal-to-noise ratio of its
    flux, as fitted with known shape and position, of stars fainter than the sky.

    Notes
    -----
    Pixels are not weighted by their variances, since these contain what their own
    noise has added. Masked pixels count neither as signal nor as noise. `covariances`
    are those of the pixels of a stack.
    """
    from scipy.ndimage import correlate1d

    kernel = _kernel(fwhm)
    signal = np.where(mask, 0.0, np.asarray(data, np.float64))
    noise = np.where(mask, 0.0, np.asarray(variance, np.float64))
    for axis in (0, 1):
        signal = correlate1d(signal, kernel, axis, mode="constant")
        noise = correlate1d(noise, kernel**2, axis, mode="constant")
    noise *= gaussian_factor(fwhm, covariances)
    result = np.zeros(signal.shape)
    np.divide(signal, np.sqrt(noise), out=result, where=noise > 0)
    return result


def gaussian_factor(fwhm: float, covariances: Covariances | None) -> float:
    """Give by how much covariances raise the variance of a sum under a Gaussian."""
    weights = np.multiply.outer(_kernel(fwhm), _kernel(fwhm))
    return variance_of_sum(weights, covariances) / float((weights**2).sum())


def _kernel(fwhm: float) -> Array:
    sigma = fwhm / FWHM_OF_SIGMA
    x = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    kernel: Array = np.exp(-0.5 * (x / sigma) ** 2)
    return kernel


def find_islands(
    values: npt.ArrayLike, *, low: float, high: float
) -> npt.NDArray[np.int32]:
    """
    Label connected pixels above `low` that have a pixel above `high`, from 1 on.

    Diagonal neighbours are connected; everything else is 0.
    """
    from scipy.ndimage import label

    values = np.asarray(values)
    labels, count = label(values > low, structure=np.ones((3, 3), np.int8))
    if count == 0:
        return np.zeros(values.shape, np.int32)
    kept = np.zeros(count + 1, np.bool_)
    kept[labels[values > max(low, high)]] = True
    renumbered = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    islands: npt.NDArray[np.int32] = renumbered[labels]
    return islands


class DividedSources(NamedTuple):
    """Which pixels belong to which source."""

    # Number of the source, from 1; 0 where there is none.
    owner: npt.NDArray[np.int32]
    # Their x and y, in the order of these numbers.
    peaks: Array

    def at(self, x: float, y: float) -> int:
        """Give the number of the source that has its peak here; 0 where none has."""
        if not len(self.peaks):
            return 0
        distance = np.hypot(*(self.peaks - (x, y)).T)
        nearest = int(np.argmin(distance))
        return nearest + 1 if distance[nearest] <= _SAME_PLACE else 0


_SAME_PLACE = 2.5
"""A source whose peak is nearer to a position is the one that is meant [pixel]."""


def divide_sources(found: Array, sources: Mask, *, high: float) -> DividedSources:
    """
    Divide the pixels of sources between their peaks: each belongs to the nearest one.

    `found` is their significance. A peak is above `high`, and the highest within four
    pixels, since noise has lesser ones in the wings of bright stars.
    """
    from scipy.ndimage import maximum_filter
    from scipy.spatial import cKDTree

    tops = sources & (found > high) & (found == maximum_filter(found, 9))
    peaks = np.argwhere(tops)[:, ::-1].astype(np.float64)
    owner = np.zeros(sources.shape, np.int32)
    if len(peaks):
        y, x = np.nonzero(sources)
        owner[y, x] = cKDTree(peaks).query(np.stack([x, y], 1))[1] + 1
    return DividedSources(owner, peaks)
