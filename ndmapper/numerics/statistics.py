"""Robust statistics of pixels."""

import math
from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = [
    "clip_scatter",
    "clipped_mean",
    "clipped_variance_factor",
    "median_variance_factor",
]

Array = npt.NDArray[np.float64]


def clip_scatter(
    values: npt.ArrayLike, clip: float = 4.0, max_iterations: int = 20
) -> npt.NDArray[np.float64]:
    """
    Reject outliers from a sample, about its mean and by its standard deviation.

    The first round starts from the median and the percentiles 16 and 84, which a
    few wild values cannot move; after that mean and standard deviation are used,
    because integer pixels quantise the median (by up to half a count) and the MAD.

    Parameters
    ----------
    values : array_like
        The sample; NaN and infinite values are rejected.
    clip : float
        Rejected are values further from the centre than this many standard
        deviations; 4 loses 6e-5 of a normal sample.
    max_iterations : int
        At most so many rounds.

    Returns
    -------
    ndarray of float, shape (n,)
        The values that are left.

    Raises
    ------
    ValueError
        If no value is finite.
    """
    sample: npt.NDArray[np.float64] = np.asarray(values, np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        msg = "no finite value to make statistics of"
        raise ValueError(msg)
    low, centre, high = np.percentile(sample, (15.87, 50.0, 84.13))
    # Integers that hardly vary can have equal percentiles.
    sigma = (high - low) / 2 or sample.std()
    kept: npt.NDArray[np.float64] = sample[np.abs(sample - centre) <= clip * sigma]
    for _ in range(max_iterations):
        if kept.size < 2:
            return kept if kept.size else sample
        deviation = np.abs(sample - kept.mean())
        new = sample[deviation <= clip * kept.std(ddof=1)]
        if new.size in (kept.size, 0):
            break
        kept = new
    return kept


def clipped_mean(
    values: npt.ArrayLike, clip: float = 4.0
) -> tuple[float, float, float]:
    """
    Mean of a sample without its outliers.

    Parameters
    ----------
    values : array_like
        The sample.
    clip : float
        As for `clip_scatter`.

    Returns
    -------
    mean : float
        The mean.
    sigma : float
        Standard deviation of the sample, with n - 1; 0 where one value is left.
    error : float
        Standard error of the mean.
    """
    kept = clip_scatter(values, clip)
    sigma = float(kept.std(ddof=1)) if kept.size > 1 else 0.0
    return float(kept.mean()), sigma, sigma / math.sqrt(kept.size)


def clipped_variance_factor(clip: float) -> float:
    """Give the variance of normal values within `clip` standard deviations of 0."""
    inside = math.erf(clip / math.sqrt(2))
    density = math.exp(-(clip**2) / 2) / math.sqrt(2 * math.pi)
    return 1 - 2 * clip * density / inside


@cache
def median_variance_factor(n: int) -> float:
    """
    Variance of the median of n normal values, over that of their mean.

    Parameters
    ----------
    n : int
        Size of the sample.

    Returns
    -------
    float
        1 for n = 1 and 2; 1.35 for 3; tends to pi/2.

    Notes
    -----
    The density of the median of a sample is integrated numerically: that of the
    middle order statistic for odd n, and the joint density of the two middle ones
    for even n [1]_. Beyond 40 values the first terms of the expansion in 1/n are
    good to 5e-4.

    References
    ----------
    .. [1] H. A. David, Order Statistics, 2nd edition, sections 2.1 and 2.2.
    """
    if n < 1:
        msg = f"a sample of {n} values has no median"
        raise ValueError(msg)
    if n <= 2:
        return 1.0
    if n > 40:
        return math.pi / 2 * n / (n + 2 - math.pi / 2 + (n % 2 == 0))
    half = (n - 1) // 2
    log_norm = math.lgamma(n + 1) - 2 * math.lgamma(half + 1)
    middle, apart, share, above = _median_grid(n % 2 == 0)
    # By symmetry, the chances to be below the lower one are those above the upper.
    outside = half * (above + above[::-1])
    log_pdf = -(middle**2) / 2 - math.log(2 * math.pi) / 2
    if n % 2 == 0:
        log_pdf = 2 * log_pdf - apart**2
    density = np.exp(log_norm + outside + log_pdf) * share
    return float(n * np.sum(middle**2 * density))


@cache
def _median_grid(is_even: bool) -> tuple[Array, Array, Array, Array]:
    """
    Give medians, half the distance of the values beside them, the share of each node
    in an integral, and the logarithm of the chance to be above the upper value.
    """
    middle = np.linspace(-8, 8, 321)[:, None]
    apart, share = np.zeros(1), np.full(1, 0.05)
    if is_even:
        nodes, weights = np.polynomial.legendre.leggauss(48)
        # The determinant of both values by their middle and half their distance is 2.
        apart, share = 2.5 * (nodes + 1), 2 * 2.5 * weights * 0.05
    chances = [math.erfc(x / math.sqrt(2)) / 2 for x in (middle + apart).ravel()]
    return middle, apart, share, np.log(chances).reshape(len(middle), -1)
