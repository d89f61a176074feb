"""Where light stands out of the noise: significance, and islands of pixels."""

import math

import numpy as np
import numpy.typing as npt

__all__ = ["FWHM_OF_SIGMA", "find_islands", "significance"]

FWHM_OF_SIGMA = math.sqrt(8 * math.log(2))
"""The FWHM of a Gaussian is this many standard deviations."""

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def significance(
    data: npt.ArrayLike, variance: npt.ArrayLike, mask: Mask, *, fwhm: float
) -> Array:
    """
    Smooth an image without background by a Gaussian, in units of its own noise.

    Where a star of that FWHM has its centre, this is the signal-to-noise ratio of its
    flux, as fitted with known shape and position, of stars fainter than the sky.

    Notes
    -----
    Pixels are not weighted by their variances, since these contain what their own
    noise has added. Masked pixels count neither as signal nor as noise.
    """
    from scipy.ndimage import correlate1d

    sigma = fwhm / FWHM_OF_SIGMA
    x = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    kernel = np.exp(-0.5 * (x / sigma) ** 2)
    signal = np.where(mask, 0.0, np.asarray(data, np.float64))
    noise = np.where(mask, 0.0, np.asarray(variance, np.float64))
    for axis in (0, 1):
        signal = correlate1d(signal, kernel, axis, mode="constant")
        noise = correlate1d(noise, kernel**2, axis, mode="constant")
    result = np.zeros(signal.shape)
    np.divide(signal, np.sqrt(noise), out=result, where=noise > 0)
    return result


def find_islands(
    values: npt.ArrayLike, *, low: float, high: float
) -> npt.NDArray[np.int32]:
    """
    Label connected pixels above `low` that have a pixel above `high`, from 1 on.

    Diagonal neighbours are connected; everything else is 0.
    """
    from scipy.ndimage import label, maximum

    values = np.asarray(values)
    labels, count = label(values > low, structure=np.ones((3, 3), np.int8))
    if count == 0:
        return np.zeros(values.shape, np.int32)
    peaks = np.asarray(maximum(values, labels, np.arange(1, count + 1)))
    renumbered = np.zeros(count + 1, np.int32)
    kept = peaks > high
    renumbered[1:][kept] = np.arange(1, int(kept.sum()) + 1)
    islands: npt.NDArray[np.int32] = renumbered[labels]
    return islands
