"""
Combining the values of some pixels of all frames, by NumPy.

`ndmapper.numerics.stack_loops` does the same by compiled loops, where numba is
installed. Both add in the order of the frames, so that they give the same numbers to
the last bit.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.clipping import (
    Rejection,
    Values,
    median_of_used,
    reject,
    residuals,
    sum_of,
)
from ndmapper.numerics.combined_variance import median_variance
from ndmapper.numerics.pooled_noise import NoiseCurve

__all__ = ["Recipe", "Stack", "Tile", "combine_stack", "flag_kind", "prepared"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Flags = npt.NDArray[np.unsignedinteger]


class Stack(NamedTuple):
    """Some pixels of n frames, as they were read: arrays of shape (n, m)."""

    data: npt.NDArray[np.floating]
    variance: npt.NDArray[np.floating] | None
    flags: Flags | None
    row: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """
    What all pixels of n frames are combined by.

    Values are multiplied by `factor` and raised by `offset`. The tables `clipped`,
    `median`, `scatter` and `inner` give, by the number of values from 0 to n: the
    variance of a clipped mean and of a median over that of a mean; the largest scatter,
    in units of the noise, that still is noise; the expected distance of the quartiles.
    """

    is_median: bool
    rejection: Rejection
    factor: Array
    offset: Array
    weights: Array
    ratio: Array
    curve: NoiseCurve | None
    clipped: Array
    median: Array
    scatter: Array
    inner: Array
    bad: int
    no_data_flag: int
    doubtful_flag: int


class Tile(NamedTuple):
    """Combined pixels, of shape (m,), and how many values of each frame were kept."""

    data: Array
    variance: Array
    flags: Flags
    kept: npt.NDArray[np.intp]
    rejected: npt.NDArray[np.intp]
    good_of_frame: npt.NDArray[np.intp]
    rejected_of_frame: npt.NDArray[np.intp]


def combine_stack(stack: Stack, recipe: Recipe) -> Tile:
    """Combine the values of each pixel."""
    data, variance, good = prepared(stack, recipe)
    values = Values(
        data=data,
        good=good,
        variance=variance,
        curve=recipe.curve,
        ratio=recipe.ratio,
        inner=recipe.inner,
        row=stack.row,
    )
    used = reject(values, recipe.rejection)
    with np.errstate(all="ignore"):
        result, of_mean = _mean(values, used, recipe)
        if recipe.is_median:
            result, of_mean = _median(values, used, recipe)
        doubtful = _is_doubtful(values, used, recipe)
        count = used.sum(axis=0)
        some = np.flatnonzero(doubtful)
        result[some] = median_of_used(data[:, some], good[:, some])
        of_mean[some] = _scatter(data[:, some], good[:, some]) / count[some]
    return Tile(
        result,
        of_mean,
        _joined_flags(stack.flags, used, doubtful, recipe),
        count,
        good.sum(axis=0) - count,
        good.sum(axis=1),
        good.sum(axis=1) - used.sum(axis=1),
    )


def prepared(stack: Stack, recipe: Recipe) -> tuple[Array, Array | None, Mask]:
    """Scale the values and variances; say which may be used."""
    factor, offset = recipe.factor[:, None], recipe.offset[:, None]
    with np.errstate(all="ignore"):
        data = stack.data.astype(np.float64) * factor + offset
        usable = np.isfinite(data)
        variance = None
        if stack.variance is not None:
            variance = stack.variance.astype(np.float64) * (factor * factor)
            # What is negative is no variance, but says that there is none.
            usable &= np.isfinite(variance) & (variance >= 0)
    if stack.flags is None:
        return data, variance, usable
    kind = stack.flags.dtype.type
    good = usable & ((stack.flags & kind(recipe.bad & np.iinfo(kind).max)) == 0)
    # A pixel that is bad in every frame keeps its best guess, and its flags.
    return data, variance, np.where(good.any(axis=0), good, usable)


def _mean(values: Values, used: Mask, recipe: Recipe) -> tuple[Array, Array]:
    """Give the weighted mean, and its variance."""
    count = used.sum(axis=0)
    shape = values.data.shape
    weights = np.broadcast_to(recipe.weights[:, None], shape)
    total = sum_of(weights, used)
    mean = sum_of(weights * values.data, used) / total
    squares = weights * weights
    factor = recipe.clipped[values.good.sum(axis=0)]
    if values.variance is not None:
        noise = sum_of(squares * values.variance, used) / (total * total)
        return mean, noise * factor
    if values.curve is None:
        return mean, np.full(shape[1], np.nan)
    share = sum_of(squares * values.ratio[:, None], used) / (total * total)
    noise = values.curve.at(sum_of(values.data, used) / count)
    # A pixel that is noisier than others of its level, or was hit, shows it.
    own = _scatter(values.data, used)
    noise = np.where(own > noise * recipe.scatter[count], own, noise)
    return mean, noise * share * factor


def _median(values: Values, used: Mask, recipe: Recipe) -> tuple[Array, Array]:
    """Give the median, and its variance."""
    middle = median_of_used(values.data, used)
    if values.variance is not None:
        return middle, median_variance(values.variance, used)
    count = used.sum(axis=0)
    if values.curve is None:
        return middle, np.full(len(count), np.nan)
    noise = values.curve.at(sum_of(values.data, used) / count)
    own = _scatter(values.data, used)
    noise = np.where(own > noise * recipe.scatter[count], own, noise)
    if np.all(values.ratio == 1):
        return middle, noise / count * recipe.median[count]
    ratio = np.broadcast_to(values.ratio[:, None], used.shape)
    return middle, noise * median_variance(ratio, used)


def _scatter(data: Array, used: Mask) -> Array:
    """Give the variance of a sample; 0 of one value."""
    count = used.sum(axis=0)
    mean = sum_of(data, used) / count
    offset = data - mean
    squares = sum_of(offset * offset, used)
    return np.where(count > 1, squares / (count - 1), 0.0)


def _is_doubtful(values: Values, used: Mask, recipe: Recipe) -> Mask:
    """Whether the values of a pixel disagree, and it cannot be told which are wrong."""
    kind = recipe.rejection.kind
    if kind in ("none", "minmax"):
        return np.zeros(used.shape[1], np.bool_)
    count, of_good = used.sum(axis=0), values.good.sum(axis=0)
    doubtful: Mask = (count < of_good) & (2 * count <= of_good)
    pairs = np.flatnonzero(count == 2)
    if kind == "noise" and pairs.size:
        z, noise = residuals(values, recipe.rejection, used, pairs)
        doubtful[pairs] |= (z > noise).any(axis=0)
    return doubtful


def flag_kind(flags: Flags | None, recipe: Recipe) -> np.dtype[Any]:
    """Give the type of the flags of the result."""
    own: Any = np.min_scalar_type(recipe.no_data_flag | recipe.doubtful_flag)
    kinds = [] if flags is None else [flags.dtype]
    return np.result_type(np.uint16, own, *kinds)


def _joined_flags(
    flags: Flags | None, used: Mask, doubtful: Mask, recipe: Recipe
) -> Flags:
    """Join the flags of what was used; of all frames where nothing was."""
    kind = flag_kind(flags, recipe)
    bits = np.zeros(used.shape[1], kind)
    lost = bits | kind.type(recipe.no_data_flag)
    if flags is not None:
        bits |= reduce(np.bitwise_or, np.where(used, flags, 0)).astype(kind)
        lost |= reduce(np.bitwise_or, flags).astype(kind)
    bits = np.where(doubtful, bits | kind.type(recipe.doubtful_flag), bits)
    result: Flags = np.where(used.any(axis=0), bits, lost)
    return result
