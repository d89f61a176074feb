"""The noise of frames as a function of level, from the scatter between many pixels."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = [
    "NoiseCurve",
    "expected_inner",
    "frame_ratios",
    "pool_noise",
    "scatter_limit",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BINS = 32
"""Of about equal numbers of pixels; the brightest are divided further."""

_FEWEST = 100
"""Pixels of a bin, and of frames that are compared."""

_FREEDOM = 1000
"""Degrees of freedom of a bin: its variance is good to 5 per cent."""

_WIDTH = 8
"""Of a bin, in standard deviations of a value."""

_RARE = 1e-4
"""Share of normal pixels whose scatter counts as too large to be that of noise."""

_ALIKE = 1.3
"""Frames whose variances differ by less count as equally noisy."""


@dataclass(frozen=True)
class NoiseCurve:
    """
    The variance of one value at each level, linear between some.

    Below the first level it is constant, and beyond the last it rises in proportion to
    the level, as the variance of light does.
    """

    levels: Array
    variances: Array
    slopes: Array

    @classmethod
    def of(cls, levels: Array, variances: Array) -> "NoiseCurve":
        """Draw the lines between some levels, which rise."""
        slopes = np.zeros_like(levels)
        slopes[:-1] = np.diff(variances) / np.diff(levels)
        if levels[-1] > 0:
            slopes[-1] = variances[-1] / levels[-1]
        return cls(levels, variances, slopes)

    def at(self, level: Array) -> Array:
        """Give the variance at a level, by the operations of the compiled loops."""
        above = np.searchsorted(self.levels, level, side="right")
        at = np.maximum(above, 1) - 1
        line = self.variances[at] + (level - self.levels[at]) * self.slopes[at]
        result: Array = np.where(above == 0, self.variances[0], line)
        return result


def pool_noise(data: Array, good: Mask) -> NoiseCurve | None:
    """
    Find the noise of a value from the scatter of (n, m) values of m pixels.

    The scatter of a pixel of few frames is hardly known; that of all pixels of about
    one level is, and pixels with cosmic rays do not count for it. None where fewer
    than two values of a pixel are good.
    """
    complete = good.sum(axis=0) == np.max(good.sum(axis=0), initial=0)
    used = good[:, complete]
    n = int(used[:, 0].sum()) if used.size else 0
    if n < 2:
        return None
    ordered = np.sort(np.where(used, data[:, complete], np.inf), axis=0)[:n]
    squares = ordered.var(axis=0, ddof=1)
    means = ordered.mean(axis=0)
    # A cosmic ray in one of the frames leaves its pixel among those of its level.
    level = ordered[(n - 1) // 2]
    order = np.argsort(level, kind="stable")
    level, squares, means = level[order], squares[order], means[order]
    bins = _bins(level, squares, n - 1)
    found = [
        (float(np.median(means[some])), _typical(squares[some], n - 1)) for some in bins
    ]
    ends = np.percentile(means[bins[0]], 0.5), np.percentile(means[bins[-1]], 99.5)
    levels, variances = np.array(found).T
    return _curve(levels, variances, (float(ends[0]), float(ends[1])))


def frame_ratios(data: Array, variance: Array | None, good: Mask) -> Array:
    """
    Give the variance of each frame over the mean of all; 1 where they are about alike.

    They come from many pixels, so that they have no part of the noise of any of them.
    """
    n = len(data)
    ones: Array = np.ones(n)
    complete = good.all(axis=0)
    if n < (2 if variance is not None else 3) or complete.sum() < _FEWEST:
        return ones
    if variance is not None:
        some = variance[:, complete]
        mean = some.mean(axis=0)
        is_noisy = mean > 0
        if is_noisy.sum() < _FEWEST:
            return ones
        ratios = np.median(some[:, is_noisy] / mean[is_noisy], axis=1)
    else:
        some = data[:, complete]
        squares = some.var(axis=0, ddof=1)
        # Those with an outlier in any frame tell nothing of the others.
        typical = float(np.median(squares)) / _chi2_share(n - 1, 0.5)
        ordinary = squares <= scatter_limit(n - 1) * typical
        residuals = some[:, ordinary] - some[:, ordinary].mean(axis=0)
        found = residuals.var(axis=1)
        total = found.sum() / (1 - 1 / n)
        ratios = (found - total / n**2) / (1 - 2 / n)
    if not np.all(np.isfinite(ratios)) or np.max(ratios) <= 0:
        return ones
    ratios = np.maximum(ratios, 1e-6 * np.max(ratios))
    if np.max(ratios) <= _ALIKE * np.min(ratios):
        return ones
    result: Array = ratios / ratios.mean()
    return result


def scatter_limit(freedom: int) -> float:
    """Give the variance of a sample over the true one that noise hardly exceeds."""
    return _chi2_share(freedom, 1 - _RARE)


def expected_inner(n: int) -> float:
    """Give the expected distance of the n // 4-th lowest and highest of n values."""
    # G. Blom, Statistical Estimates and Transformed Beta-Variables, 1958.
    share = (n // 4 + 1 - 0.375) / (n + 0.25)
    return -2 * NormalDist().inv_cdf(min(share, 0.4999))


def _bins(level: Array, squares: Array, freedom: int) -> list[slice]:
    """
    Divide pixels, sorted by level, into bins much wider than their noise.

    In narrower ones would be together what chance brought to one level, and scatter
    goes with that. The brightest, which are few, are divided finer than the others.
    """
    count = len(level)
    fewest = max(_FEWEST, _FREEDOM // freedom)
    bins, start = [], 0
    usual = float(np.median(squares))
    while start < count:
        size = max(fewest, min(count // _BINS, (count - start) // 2))
        stop = min(start + size, count)
        typical = max(float(np.median(squares[start:stop])), usual)
        typical /= _chi2_share(freedom, 0.5)
        wide = np.searchsorted(level, level[start] + _WIDTH * math.sqrt(typical))
        stop = max(stop, int(wide))
        if count - stop < fewest:
            stop = count
        bins.append(slice(start, stop))
        start = stop
    return bins


def _curve(levels: Array, variances: Array, ends: tuple[float, float]) -> NoiseCurve:
    """Draw the curve through bins, and on to where the levels end."""
    rising = np.ones(len(levels), np.bool_)
    rising[1:] = levels[1:] > np.maximum.accumulate(levels)[:-1]
    levels, variances = levels[rising], variances[rising]
    if len(levels) > 1:
        slopes = np.diff(variances) / np.diff(levels)
        below = min(ends[0] - levels[0], 0.0) * slopes[0]
        above = max(ends[1] - levels[-1], 0.0) * slopes[-1]
        first = max(variances[0] + below, variances[0] / 4)
        last = max(variances[-1] + above, variances[-1] / 4)
        if ends[0] < levels[0]:
            levels = np.insert(levels, 0, ends[0])
            variances = np.insert(variances, 0, first)
        if ends[1] > levels[-1]:
            levels = np.append(levels, ends[1])
            variances = np.append(variances, last)
    # What noise brings above them is of the last level.
    end = levels[-1] + _WIDTH * math.sqrt(variances[-1])
    if end > levels[-1]:
        levels = np.append(levels, end)
        variances = np.append(variances, variances[-1])
    return NoiseCurve.of(levels, variances)


def _typical(squares: Array, freedom: int) -> float:
    """Average variances of samples, without those that outliers are part of."""
    variance = float(np.median(squares)) / _chi2_share(freedom, 0.5)
    if variance == 0:  # of coarse integers, of which most agree
        variance = float(np.mean(squares[squares <= np.percentile(squares, 99)]))
    for _ in range(20):
        kept = squares[squares <= scatter_limit(freedom) * variance]
        new = float(kept.mean()) if kept.size else variance
        if abs(new - variance) <= 1e-3 * variance:
            break
        variance = new
    return variance


def _chi2_share(freedom: int, share: float) -> float:
    """Give a quantile of chi2 per degree of freedom, by Wilson and Hilferty."""
    spread = 2 / (9 * freedom)
    z = NormalDist().inv_cdf(share)
    return float((1 - spread + z * math.sqrt(spread)) ** 3)
