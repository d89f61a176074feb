"""Pixels interpolated from those around them, and how far off that may be."""

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.neighbours import Points, median_of, windows
from ndmapper.numerics.statistics import median_variance_factor

__all__ = ["INTERPOLATIONS", "interpolate_pixels"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

INTERPOLATIONS = ("median", "medmask", "meanmask", "idw")
"""Ways to take a pixel from the 5 x 5 around it; ``'median'`` takes bad ones too."""

_HALF = 2
_SIGNIFICANT = 2.0
"""Structure counts from so many standard deviations of its own estimate on."""


def interpolate_pixels(
    image: Array, variance: Array, good: Mask, points: Points, how: str = "meanmask"
) -> tuple[Array, Array]:
    """
    Interpolate some pixels from the 5 x 5 around each, and give the variance of that.

    Notes
    -----
    The variance is that of the mean or median, from the variances of the pixels that
    were used, and the square by which the same interpolation misses these pixels
    themselves, in so far as that is more than their noise. A pixel without a good one
    around gets the median of the image, and the variance of all its good pixels.
    """
    if how not in INTERPOLATIONS:
        msg = f"cleantype {how!r} is not one of {', '.join(map(repr, INTERPOLATIONS))}"
        raise ValueError(msg)
    usable = windows(good, points, _HALF, False)
    values = windows(image, points, _HALF, 0.0)
    noise = np.where(usable, windows(variance, points, _HALF, 0.0), 0.0)
    weights = usable * (_inverse_distance() if how == "idw" else 1.0)
    total = np.maximum(weights.sum(axis=1), 1e-30)
    spread = (weights**2 * noise).sum(axis=1) / total**2
    if how in {"medmask", "median"}:
        taken = np.isfinite(values) if how == "median" else usable
        found = median_of(values, taken)
        count = np.maximum(taken.sum(axis=1), 1)
        spread *= [median_variance_factor(int(n)) for n in count]
    else:
        found = np.where(weights > 0, weights * values, 0).sum(axis=1) / total
    spread += _structure(image, variance, good, points, usable)
    lonely = ~usable.any(axis=1)
    if lonely.any():
        rest = image[good]
        found[lonely] = np.median(rest) if rest.size else np.nan
        spread[lonely] = rest.var() + variance[good].mean() if rest.size else np.nan
    return found, spread


def _inverse_distance() -> Array:
    offsets = np.arange(-_HALF, _HALF + 1)
    distance = np.hypot(offsets[:, None], offsets).ravel()
    return np.divide(1, distance, out=np.zeros_like(distance), where=distance > 0)


def _structure(
    image: Array, variance: Array, good: Mask, points: Points, usable: Mask
) -> Array:
    """Mean square by which the good pixels around are missed, beyond their noise."""
    total = _box(np.where(good, image, 0.0))
    count = _box(good.astype(np.float64))
    noise = _box(np.where(good, variance, 0.0))
    others = np.maximum(count - 1, 1)
    with np.errstate(invalid="ignore"):
        missed = image - (total - image) / others
        expected = variance + (noise - variance) / others**2
    judged = usable & windows(good & (count > 1), points, _HALF, False)
    n = np.maximum(judged.sum(axis=1), 1)
    squares = windows(missed**2, points, _HALF, 0.0)
    scatter = np.where(judged, windows(expected, points, _HALF, 0.0), 0.0)
    excess = np.where(judged, squares, 0.0) - scatter
    mean = excess.sum(axis=1) / n
    error = np.sqrt(2 * (scatter**2).sum(axis=1)) / n
    return np.where(mean > _SIGNIFICANT * error, mean, 0.0)


def _box(image: Array) -> Array:
    """Sum the 5 x 5 pixels around each; outside the image is nothing."""
    from scipy.ndimage import correlate1d

    # Not uniform_filter: its running sums carry a NaN to the end of the row, and do not
    # come back to 0 after pixels that are not counted.
    ones = np.ones(2 * _HALF + 1)
    rows = correlate1d(image, ones, axis=0, output=np.float64, mode="constant")
    return np.asarray(correlate1d(rows, ones, axis=1, mode="constant"))
