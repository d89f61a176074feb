"""The variance of medians, and of means that clipping leaves."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.clipping import clip_stack, mean_of_used
from ndmapper.numerics.statistics import median_variance_factor

__all__ = ["clipped_variance", "clipped_variance_factor", "median_variance"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ALIKE = 2.0
"""Medians of values whose variances differ by less follow the harmonic mean of their
deviations, within 3 per cent of the variance."""

_CLIPPED_ALIKE = 1.5
"""The same for clipped means and the mean variance."""

_SIMULATED = 2**18
_SEED = 20_140_718

_X = np.linspace(-9, 9, 3601)
_CDF = np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in _X])
_PEAK = 1 / math.sqrt(2 * math.pi)


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
    values is taken in this sum, and the result multiplied by what makes it right for
    equal variances; for two precise values and two of nine times their deviation
    that is 15 per cent too much.

    For many values it tends to ``n / 4 / (sum f_i(0))^2``, with f_i the densities.

    References
    ----------
    .. [1] H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, sections
       3.1 and 5.2.
    """
    count = used.sum(axis=0)
    factor = _by_count(count, used, median_variance_factor)
    n = np.where(count, count, np.nan)
    floor = _deviation(variance, np.where(used, variance, 0).max(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        harmonic = n / np.where(used, 1 / floor, 0).sum(axis=0)
    result: Array = factor * harmonic**2 / n
    mean = np.where(used, variance, 0).sum(axis=0) / n**2
    result = np.where(count > 2, result, mean)
    unequal = _unequal(variance, used, _ALIKE) & (count > 2)
    for size in np.unique(count[unequal]):
        some = unequal & (count == size)
        # The first `size` of each column, in the order of their variances.
        chosen = np.sort(np.where(used, variance, np.inf)[:, some], axis=0)[:size]
        sigma = _deviation(chosen, chosen[-1])
        scale = median_variance_factor(int(size)) / (size * _unit_median(int(size)))
        result[some] = scale * _median_integral(sigma)
    return result


def clipped_variance(
    *,
    variance: Array | None,
    of_mean: Array,
    sigma: Array | None,
    good: Mask,
    used: Mask,
    limits: tuple[float, float],
    max_iterations: int,
) -> Array:
    """
    Variance of the mean of the values that clipping left.

    Parameters
    ----------
    variance : ndarray of float, shape (n, ...), or None
        Variances of the values, where known.
    of_mean : ndarray of float, shape (...)
        What the variance would be if nothing had been chosen (see `mean_of_used`).
    sigma : ndarray of float, shape (...), or None
        Standard deviation that clipping used.
    good, used : ndarray of bool, shape (n, ...)
        The values before and after clipping.
    limits : (float, float)
        Limits below and above the median [standard deviations].
    max_iterations : int
        Rounds of clipping.

    Returns
    -------
    ndarray of float, shape (...)
        The variance.

    Notes
    -----
    Where the variances are alike, or not known, it is `of_mean` times the factor of
    `clipped_variance_factor`. Where they differ, one standard deviation clips them all,
    the noisy ones more. To first order, for large n, the mean is then the sum over the
    values of their influences ``(x w(x) + k sign(x)) / sum P_i``, with w = 1 within
    the limits -a and b, P_i the probability of that, and ``k = sum (a f_i(a) +
    b f_i(b)) / (2 sum f_i(0))`` for the limits that move with the median [1]_. Every
    value that is left stands for 1/P_i of them, so that real outliers have no part in
    it. What this lacks for few values, and for more rounds than one, is put right by
    the ratio of the two ways for equal variances. For deviations that differ up to
    threefold it is good to 5 per cent for limits of three and more, and to 7 for two.

    References
    ----------
    .. [1] S. M. Stigler, 1973, Annals of Statistics 1, 472; P. J. Huber, Robust
       Statistics, chapter 3.
    """
    low, high = limits
    known = variance is not None
    factor = _by_count(
        good.sum(axis=0),
        good,
        lambda n: clipped_variance_factor(n, low, high, max_iterations, known),
    )
    result: Array = of_mean * factor
    if variance is None or sigma is None:
        return result
    unequal = _unequal(variance, used, _CLIPPED_ALIKE)
    if unequal.any():
        ones = np.ones((1, 1))
        equal = _first_order(ones, ones[0], ones > 0, limits)[0]
        kept = used[:, unequal]
        # What is not used is put aside, whatever it is.
        some = np.where(kept, variance[:, unequal], 1)
        deviation = _deviation(some, np.where(kept, some, 0).max(axis=0))
        part = _first_order(deviation, sigma[unequal], kept, limits)
        result[unequal] = factor[unequal] / equal * part
    return result


@cache
def clipped_variance_factor(
    n: int,
    low: float,
    high: float,
    max_iterations: int = 10,
    is_known: bool = True,
) -> float:
    """
    Variance of a clipped mean of n normal values, over what the values left tell.

    Parameters
    ----------
    n : int
        Size of the sample before clipping.
    low, high : float
        Limits below and above the median [standard deviations].
    max_iterations : int
        Rounds of clipping.
    is_known : bool
        Whether the standard deviation of a value is known, or taken from the scatter.

    Returns
    -------
    float
        1 for wide limits; for limits of two known standard deviations 1.3.

    Notes
    -----
    A clipped mean is noisier than the mean of as many values that were not selected,
    because its limits move with the median; and scatter that clipping has cut is too
    small. For one round, a known standard deviation and large n the factor follows from
    the influence function (see `clipped_variance`): ``(P - 2 c f(c) + 4 k (f(0) -
    f(c)) + k^2) / P``, with ``k = c f(c) / f(0)`` and P the probability to lie within
    +-c. Rounds in which nothing comes back, and a scatter that is made anew, have no
    such formula. Here the clipping itself is done on normal samples, always the
    same ones (their generator is frozen in NumPy).

    Only a small part is left to chance: a clipped mean T follows its sample when
    that is shifted, so that T less the plain mean is independent of the plain
    mean [1]_, and var(T) = 1/n + var(T - mean). The factor is good to 1 per cent for
    limits of two standard deviations, and to 0.1 for three and more.

    References
    ----------
    .. [1] D. Basu, 1955, Sankhya 15, 377.
    """
    if n < 3:
        return 1.0
    shape = (n, max(_SIMULATED // n, 1000))
    stack = np.random.RandomState(_SEED).standard_normal(shape)
    good = np.ones(shape, np.bool_)
    variance = np.ones(shape) if is_known else None
    sigma = np.ones(shape[1]) if is_known else None
    used = clip_stack(stack, sigma, good, (low, high), max_iterations)
    clipped, claimed = mean_of_used(stack, variance, used)
    mean, unclipped = mean_of_used(stack, variance, good)
    # Where nothing is left the median is taken, and has a variance of its own.
    rest = used.any(axis=0) & np.isfinite(claimed)
    true = 1 + n * float(np.var((clipped - mean)[rest]))
    return true * float(unclipped[rest].mean() / claimed[rest].mean())


def _by_count(
    count: npt.NDArray[np.int_], used: Mask, factor: Callable[[int], float]
) -> Array:
    """Give each pixel the factor of its number of values; only those that occur."""
    table = np.ones(len(used) + 1)
    for n in np.unique(count):
        if n > 0:
            table[n] = factor(int(n))
    return table[count]


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
    result: Array = np.interp(x, _X, _CDF)
    return result


def _median_integral(sigma: Array) -> Array:
    """Integrate ``4 x P(median > x)`` for values of (n, m) sorted deviations."""
    n = len(sigma)
    half = n // 2
    # Half of the values cannot all be beyond six times their smallest deviation.
    reach = 6 * sigma[half]
    nodes, weights = np.polynomial.legendre.leggauss(32)
    total = np.zeros(sigma.shape[1])
    for node, weight in zip(nodes, weights, strict=True):
        # Squares put more nodes where the precise ones decide.
        t = (node + 1) / 2
        x = reach * t**2
        # Chances that so many values, up to half of them, are below x.
        chances = np.zeros((half + 1, sigma.shape[1]))
        chances[0] = 1
        for one in sigma:
            below = _cdf(x / one)
            chances[1:] += (chances[:-1] - chances[1:]) * below
            chances[0] *= 1 - below
        above = chances.sum(axis=0) - (chances[half] / 2 if n % 2 == 0 else 0)
        total += weight * t * reach * 4 * x * above
    return total


@cache
def _unit_median(n: int) -> float:
    return float(_median_integral(np.ones((n, 1)))[0])


def _first_order(
    deviation: Array, sigma: Array, used: Mask, limits: tuple[float, float]
) -> Array:
    """Give the variance of a clipped mean to first order (see `clipped_variance`)."""
    u = sigma / deviation
    a, b = limits[0] * u, limits[1] * u
    at_a, at_b = (_PEAK * np.exp(-(limit**2) / 2) for limit in (a, b))
    # Limits of no width at all let no value but one through.
    inside = np.maximum(_cdf(a) + _cdf(b) - 1, 1e-9)
    # Each value that is left stands for so many.
    weight = np.where(used, 1 / inside, 0)
    within = np.maximum(inside - a * at_a - b * at_b, 0)
    squares = (weight * deviation**2 * within).sum(axis=0)
    sides = (weight * deviation * (2 * _PEAK - at_a - at_b)).sum(axis=0)
    k = (weight * (a * at_a + b * at_b)).sum(axis=0)
    k = k / (2 * _PEAK * (weight / deviation).sum(axis=0))
    total = squares + 2 * k * sides + k**2 * weight.sum(axis=0)
    result: Array = total / used.sum(axis=0) ** 2
    return result
