"""The weighted mean of spectra on the same pixels, without outliers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SpectrumMean", "find_outlying", "running_median", "weighted_mean"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_WINDOW = 101
"""Weights, and the levels of spectra, are those of so many pixels."""

_EVERY = 25

_SHIFT = 0.1
"""Spectra may be shifted to each other by so much [pixel], as by flexure."""


@dataclass(frozen=True, kw_only=True)
class SpectrumMean:
    """The mean, its variance, and the part of this that is common to the spectra."""

    values: Array
    variance: Array
    common: Array  # relative standard deviation
    count: npt.NDArray[np.intp]
    patterns: list[Array]  # standard deviations by pixel of each master


def running_median(values: Array, good: Mask, window: int = _WINDOW) -> Array:
    """
    Take the median of the good pixels around each pixel, of shape (spectra, n).

    It is taken at every 25th pixel, and interpolated. Spectra without good pixels have
    NaN.
    """
    n = values.shape[1]
    half = min(window, n) // 2
    nodes = np.unique(np.append(np.arange(0, n, _EVERY), n - 1))
    result = np.full(values.shape, np.nan)
    for number, (row, use) in enumerate(zip(values, good, strict=True)):
        parts = [slice(max(x - half, 0), x + half + 1) for x in nodes]
        known = np.array([bool(use[part].any()) for part in parts])
        if known.any():
            medians = [
                np.median(row[part][use[part]])
                for part, some in zip(parts, known, strict=True)
                if some
            ]
            result[number] = np.interp(np.arange(n), nodes[known], medians)
    return result


def find_outlying(
    values: Array, variance: Array, good: Mask, clip: float
) -> tuple[Mask, Mask]:
    """
    Find pixels that do not agree with the same pixel of the other spectra.

    Differences of level, and those that change slowly with wavelength, are none; nor
    are those that a small shift makes at steep lines.

    Parameters
    ----------
    values, variance : ndarray, shape (spectra, n)
        The spectra.
    good : ndarray of bool, shape (spectra, n)
        The pixels that count.
    clip : float
        The limit [standard deviations].

    Returns
    -------
    outlying, doubtful : ndarray of bool, shape (spectra, n)
        Pixels that are wrong; and pairs of which it cannot be told which one is.
    """
    count = good.sum(axis=0)
    several = count >= 2
    if not several.any():
        return np.zeros(good.shape, np.bool_), np.zeros(good.shape, np.bool_)
    smooth = running_median(variance, good)
    typical = _median(variance, good)
    noise = np.fmax(smooth, np.fmin(variance, typical))
    middle = _median(values, good)
    slope = np.nan_to_num(np.abs(np.gradient(middle)))
    steep = _SHIFT * np.maximum(
        slope, np.maximum(np.roll(slope, 1), np.roll(slope, -1))
    )
    difference = _without_level(values, middle, good)
    # The median has an error of its own, and has part of each spectrum in it.
    limit = clip**2 * (noise * (1 + 1.57 / np.maximum(count, 1)) + steep**2)
    with np.errstate(invalid="ignore"):
        far = good & several & (difference**2 > limit)
    pair = count == 2
    # Both differ from their mean by half of what they differ by.
    both = clip**2 * (np.where(good, noise, 0).sum(axis=0) / 4 + steep**2)
    with np.errstate(invalid="ignore"):
        differ = good & pair & (difference**2 > both)
    return far & ~pair, good & pair & differ.any(axis=0)


def weighted_mean(
    values: Array,
    variance: Array,
    used: Mask,
    *,
    common: Array,
    groups: Sequence[int],
    patterns: Sequence[Array] = (),
) -> SpectrumMean:
    """
    Average spectra by weights that do not depend on what a pixel happened to count.

    Parameters
    ----------
    values, variance : ndarray, shape (spectra, n)
        The spectra, and the variance that each has by itself. Weights are the inverse
        of its running median.
    used : ndarray of bool, shape (spectra, n)
        The pixels that count.
    common : ndarray, shape (spectra, n)
        Relative standard deviation that spectra of a group share.
    groups : sequence of int
        The group of each spectrum.
    patterns : sequence of ndarray, shape (spectra, rows, n)
        For each master, such as a flat, what its pixels of a number of rows add to each
        spectrum [standard deviation], with its sign: pixels are independent, and one
        adds the same multiple of its deviation to all spectra.

    Returns
    -------
    SpectrumMean
        The mean; NaN where no spectrum counts.
    """
    smooth = running_median(variance, used & (variance > 0))
    smooth = np.where(np.isfinite(smooth) & (smooth > 0), smooth, 1.0)
    weights = np.where(used, 1 / smooth, 0.0)
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = weights / total
    mean = np.where(used, weights * np.where(used, values, 0.0), 0.0).sum(axis=0)
    own = np.where(used, weights**2 * np.where(used, variance, 0.0), 0.0).sum(axis=0)
    relative = np.zeros(mean.shape)
    for group in set(groups):
        members = np.array([one == group for one in groups])[:, np.newaxis] & used
        share = np.where(members, weights * np.where(members, common, 0.0), 0.0)
        relative += share.sum(axis=0) ** 2
    kept = np.where(used, weights, 0.0)
    shared = [np.einsum("in,irn->rn", kept, pattern) for pattern in patterns]
    own += sum((one**2).sum(axis=0) for one in shared)
    empty = total <= 0
    return SpectrumMean(
        values=np.where(empty, np.nan, mean),
        variance=np.where(empty, np.nan, own + relative * mean**2),
        common=np.where(empty, np.nan, np.sqrt(relative)),
        count=used.sum(axis=0),
        patterns=shared,
    )


def _median(values: Array, good: Mask) -> Array:
    """Take the median over spectra; NaN where none is good."""
    result = np.full(values.shape[1], np.nan)
    some = good.any(axis=0)
    filled = np.where(good, values, np.nan)[:, some]
    result[some] = np.nanmedian(filled, axis=0)
    return result


def _without_level(values: Array, middle: Array, good: Mask) -> Array:
    """Subtract the median spectrum, at the level that each spectrum has around."""
    known = np.nan_to_num(middle)
    kernel = np.ones(min(2 * _WINDOW + 1, 2 * ((middle.size - 1) // 2) + 1))
    result = np.full(values.shape, np.nan)
    for number, row in enumerate(values):
        use = good[number]
        if not use.any():
            continue
        product = np.where(use, np.where(use, row, 0) * known, 0.0)
        square = np.where(use, known**2, 0.0)
        above = np.convolve(product, kernel, "same")
        below = np.convolve(square, kernel, "same")
        with np.errstate(invalid="ignore", divide="ignore"):
            level = np.where(below > 0, above / below, 1.0)
        result[number] = row - level * middle
    return result - running_median(result, good & np.isfinite(result))
