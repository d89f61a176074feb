"""The variance of medians, and of means of what rejection leaves."""

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.clipping import Rejection, Values, reject, sum_of
from ndmapper.numerics.pooled_noise import NoiseCurve, expected_inner
from ndmapper.numerics.statistics import median_variance_factor

__all__ = ["median_table", "median_variance", "rejected_variance_factor"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

ALIKE = 2.0
"""Medians of values whose variances differ by less follow the harmonic mean of their
deviations, within 3 per cent of the variance."""

_SIMULATED = 2**18
_SEED = 20_140_718

CDF_STEPS = 200
"""`CDF` has the normal distribution function from 0 to 9 at so many places for each
standard deviation; between them it is linear."""

CDF = np.array([math.erfc(-k / CDF_STEPS / math.sqrt(2)) / 2 for k in range(1802)])

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
NODES, WEIGHTS = (_NODES + 1) / 2, _WEIGHTS
"""Of the integral over a median, from 0 to 1."""


def median_variance(variance: Array, used: Mask) -> Array:
    """
    Variance of the median of normal values of known variances.

    Parameters
    ----------
    variance : ndarray of float, shape (n, ...)
        The variances.
    used : ndarray of bool, shape (n, ...)
        Of which values the median is.

    Returns
    -------
    ndarray of float, shape (...)
        Its variance; NaN where nothing is used.

    Notes
    -----
    For equal variances it is that of the mean times `median_variance_factor`. Of
    variances that differ by less than a factor 2 the harmonic mean of the deviations
    takes their place, which is right for many values. For others there is no such
    rule: one precise frame among noisy ones can be the median or not. The median is
    above x where more than half of the values are, so that its distribution is that
    of the number of successes in n trials of unequal probabilities, and its variance
    ``4 int_0^inf x P(median > x) dx`` [1]_. Of an even number one of the two middle
    values is taken in this sum, and the result multiplied by n / (n + 2), which makes
    it right for equal variances within 0.3 per cent; for two precise values and two of
    nine times their deviation that is 15 per cent too much.

    For many values it tends to ``n / 4 / (sum f_i(0))^2``, with f_i the densities.

    References
    ----------
    .. [1] H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, sections
       3.1 and 5.2.
    """
    count = used.sum(axis=0)
    factor = median_table(len(used))[count]
    n = np.where(count, count, np.nan)
    floor = _deviation(variance, np.where(used, variance, 0).max(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        harmonic = n / sum_of(1 / floor, used)
    result: Array = factor * (harmonic * harmonic) / n
    mean = sum_of(variance, used) / (n * n)
    result = np.where(count > 2, result, mean)
    unequal = _unequal(variance, used, ALIKE) & (count > 2)
    for size in np.unique(count[unequal]):
        some = unequal & (count == size)
        # The first `size` of each column, in the order of their variances.
        chosen = np.sort(np.where(used, variance, np.inf)[:, some], axis=0)[:size]
        sigma = _deviation(chosen, chosen[-1])
        result[some] = _median_integral(sigma)
    return result


@cache
def rejected_variance_factor(n: int, how: Rejection, is_known: bool = True) -> float:
    """
    Variance of the mean of what rejection leaves of n normal values, over what is told.

    A clipped mean is noisier than the mean of as many values that were not selected,
    because its limits move with the values: by 1 per cent for limits of four standard
    deviations, by 30 for two. There is no formula for values that do not come back.
    Here the rejection itself is done on normal samples, always the same ones (their
    generator is frozen in NumPy). `is_known` says whether variances are given, or the
    noise is pooled over pixels.

    Only a small part is left to chance: a clipped mean T follows its sample when that
    is shifted, so that T less the plain mean is independent of the plain mean (D. Basu,
    1955, Sankhya 15, 377), and var(T) = 1/n + var(T - mean). The factor is good to 1
    per cent for limits of two standard deviations, and to 0.1 for three and more.
    """
    if n < 3 or how.kind == "none":
        return 1.0
    shape = (n, max(_SIMULATED // n, 1000))
    data = np.random.RandomState(_SEED).standard_normal(shape)
    values = Values(
        data=data,
        good=np.ones(shape, np.bool_),
        variance=np.ones(shape) if is_known else None,
        curve=None if is_known else NoiseCurve.of(np.zeros(1), np.ones(1)),
        ratio=np.ones(n),
        inner=np.array([expected_inner(max(k, 1)) for k in range(n + 1)]),
        row=shape[1],
    )
    used = reject(values, how)
    count = used.sum(axis=0)
    # Where half of the values are gone there is no such mean (see `combine_stack`).
    rest = (2 * count > n) | (how.kind == "minmax")
    clipped = sum_of(data, used)[rest] / count[rest]
    true = 1 + n * float(np.var(clipped - data.mean(axis=0)[rest]))
    return true / n / float((1 / count[rest]).mean())


@cache
def median_table(n: int) -> Array:
    """Give the variance of a median over that of a mean, of 0 to n values."""
    return np.array([median_variance_factor(max(k, 1)) for k in range(n + 1)])


def _unequal(variance: Array, used: Mask, alike: float) -> Mask:
    largest = np.where(used, variance, -np.inf).max(axis=0)
    smallest = np.where(used, variance, np.inf).min(axis=0)
    unequal: Mask = used.any(axis=0) & (largest > alike * smallest)
    return unequal


def _deviation(variance: Array, largest: Array) -> Array:
    """Give the standard deviations; a millionth of the largest at least."""
    result: Array = np.sqrt(np.maximum(variance, 1e-12 * largest))
    return result


def _cdf(x: Array) -> Array:
    """Give the normal distribution function of positive numbers."""
    place = np.minimum(x * CDF_STEPS, 9.0 * CDF_STEPS)
    below = place.astype(np.intp)
    result: Array = CDF[below] + (place - below) * (CDF[below + 1] - CDF[below])
    return result


def _median_integral(sigma: Array) -> Array:
    """Integrate ``4 x P(median > x)`` for values of (n, m) sorted deviations, n > 2."""
    n = len(sigma)
    half = n // 2
    # Half of the values cannot all be beyond six times their smallest deviation.
    reach = 6 * sigma[half]
    total = np.zeros(sigma.shape[1])
    for t, weight in zip(NODES, WEIGHTS, strict=True):
        # Squares put more nodes where the precise ones decide.
        x = reach * (t * t)
        # Chances that so many values, up to half of them, are below x.
        chances = np.zeros((half + 1, sigma.shape[1]))
        chances[0] = 1
        for one in sigma:
            below = _cdf(x / one)
            chances[1:] += (chances[:-1] - chances[1:]) * below
            chances[0] *= 1 - below
        above = np.zeros(sigma.shape[1])
        for chance in chances:
            above += chance
        if n % 2 == 0:
            above -= chances[half] / 2
        total += (4 * weight * t) * reach * x * above
    return total if n % 2 else total * (n / (n + 2))
