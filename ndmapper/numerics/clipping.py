"""Which values of stacked frames are rejected, pixel by pixel."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.pooled_noise import NoiseCurve

__all__ = [
    "Rejection",
    "RejectionKind",
    "Values",
    "median_of_used",
    "reject",
    "residuals",
    "sum_of",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RejectionKind = Literal["none", "minmax", "sigclip", "avsigclip", "percentile", "noise"]
"""How values are rejected; see `ndmapper.lib.combine.combine`."""

FEWEST = 3
"""Of two values neither can be told to be the wrong one."""

OWN_WIDTH_FROM = 8
"""From so many values on their own width counts as well as the noise of the pixels."""


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """How values are rejected: limits [standard deviations], or how many."""

    kind: RejectionKind = "none"
    low: float = 4.0
    high: float = 4.0
    nlow: int = 1
    nhigh: int = 1


@dataclass(frozen=True, kw_only=True)
class Values:
    """
    The values of some pixels, shape (n, m), and what is known of their noise.

    `variance` is that of each value, or None; `curve` the noise as a function of level,
    where there is no variance; `ratio`, of shape (n,), the variance of a frame over the
    mean variance of all; `inner` the expected distance of the quartiles of so many
    values; `row` the number of pixels in a row of the image.
    """

    data: Array
    good: Mask
    variance: Array | None = None
    curve: NoiseCurve | None = None
    ratio: Array
    inner: Array
    row: int


def sum_of(values: Array, used: Mask) -> Array:
    """Add the used values, one frame after the other, as the compiled loops do."""
    total: Array = np.zeros(values.shape[1])
    for value, take in zip(values, used, strict=True):
        total += np.where(take, value, 0.0)
    return total


def median_of_used(stack: Array, used: Mask) -> Array:
    """Take the median along the first axis; NaN where nothing is used."""
    # np.nanmedian is much slower along a short axis.
    count = used.sum(axis=0)
    ordered = np.sort(np.where(used, stack, np.inf), axis=0)
    return _middle(ordered, np.zeros_like(count), count)


def reject(values: Values, how: Rejection) -> Mask:
    """Find which values are kept; what is not good never is."""
    if how.kind == "none":
        return values.good
    if how.kind == "noise":
        return _by_noise(values, how)
    ordered = np.where(values.good, values.data, np.inf)
    order = np.argsort(ordered, axis=0, kind="stable")
    ordered = np.take_along_axis(ordered, order, axis=0)
    count = values.good.sum(axis=0)
    if how.kind == "minmax":
        first, last = _without_extremes(count, how, len(ordered))
    elif how.kind == "percentile":
        first, last = _by_percentiles(ordered, count, how)
    else:
        average = how.kind == "avsigclip"
        sigma = _average_sigma(ordered, count, values.row) if average else None
        first, last = _about_median(ordered, count, how, sigma)
    place = np.arange(len(ordered))[:, None]
    kept = (place >= first) & (place < last)
    used = np.empty_like(kept)
    np.put_along_axis(used, order, kept, axis=0)
    return used


def _by_noise(values: Values, how: Rejection) -> Mask:
    """
    Reject the value that least agrees with the mean of all, until the rest agree.

    The mean, and the noise at that level, are those of all values that are left, the
    doubtful one included: if it belongs to them, this is the best that is known of
    them, also where there are so few electrons that most of the others are zero; and
    if it does not, it raises its own limit by less than itself.
    """
    used = values.good.copy()
    todo = np.flatnonzero(used.sum(axis=0) >= FEWEST)
    while todo.size:
        z, noise = residuals(values, how, used, todo)
        worst = z.argmax(axis=0)
        at = np.arange(todo.size)
        beyond = z[worst, at] > noise
        todo, worst, at = todo[beyond], worst[beyond], at[beyond]
        if values.curve is not None and todo.size:
            wide = _own_noise(values.data[:, todo], used[:, todo], values.inner)
            beyond = z[worst, at] > wide
            todo, worst = todo[beyond], worst[beyond]
        used[worst, todo] = False
        todo = todo[used[:, todo].sum(axis=0) >= FEWEST]
    return used


def residuals(
    values: Values, how: Rejection, used: Mask, where: npt.NDArray[np.intp]
) -> tuple[Array, Array]:
    """
    Give the squares of the residuals of some pixels, and the variance of a value.

    Residuals are divided by the ratios of their frames, so that the variance is that of
    a value of ratio 1.

    Where a square is larger than that variance, the residual is beyond its limit.
    """
    data, used = values.data[:, where], used[:, where]
    n = used.sum(axis=0).astype(np.float64)
    mean = sum_of(data, used) / n
    ratio = values.ratio[:, None]
    total = sum_of(np.broadcast_to(ratio, data.shape), used)
    if values.variance is not None:
        # That of a frame of ratio 1, also where those that are left are noisier.
        noise = sum_of(values.variance[:, where], used) / total
    else:
        assert values.curve is not None
        noise = values.curve.at(mean)
    part = ratio * (1.0 - 2.0 / n) + total / (n * n)
    residual = data - mean
    limit = np.where(residual > 0, how.high * how.high, how.low * how.low)
    with np.errstate(all="ignore"):
        z = residual * residual / (limit * part)
    return np.where(used, z, -1.0), noise


def _own_noise(data: Array, used: Mask, inner: Array) -> Array:
    """Give the variance by the distance of the quartiles; 0 of few values."""
    count = used.sum(axis=0)
    ordered = np.sort(np.where(used, data, np.inf), axis=0)
    quarter = count // 4
    at = np.arange(data.shape[1])
    width = (ordered[count - 1 - quarter, at] - ordered[quarter, at]) / inner[count]
    return np.where(count >= OWN_WIDTH_FROM, width * width, 0.0)


def _without_extremes(
    count: npt.NDArray[np.intp], how: Rejection, n: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Leave out the same share of the lowest and highest where frames are missing."""
    first = (count * (how.nlow / n + 1e-4) + 1e-3).astype(np.intp)
    last = count - (count * (how.nhigh / n + 1e-4) + 1e-3).astype(np.intp)
    # All but one may be rejected.
    first = np.minimum(first, np.maximum(count - 1, 0))
    return first, np.maximum(last, np.minimum(first + 1, count))


def _by_percentiles(
    ordered: Array, count: npt.NDArray[np.intp], how: Rejection
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Clip about the median by half the distance of the percentiles 16 and 84."""
    tail = np.maximum(count - 1, 0)
    at = np.arange(ordered.shape[1])

    def percentile(share: float) -> Array:
        place = share * tail
        below = place.astype(np.intp)
        above = np.minimum(below + 1, tail)
        low, high = ordered[below, at], ordered[above, at]
        return np.asarray(low + (place - below) * (high - low))

    with np.errstate(invalid="ignore"):
        sigma = (percentile(0.8413) - percentile(0.1587)) / 2
    return _about_median(ordered, count, how, sigma, once=True)


def _average_sigma(ordered: Array, count: npt.NDArray[np.intp], row: int) -> Array:
    """
    Give the scatter about the median, averaged over the pixels of each row.

    As IRAF's avsigclip does it: the squares are divided by the median, as that of
    Poisson noise, and medians below 1 count as 1.
    """
    some = count >= FEWEST
    middle = _middle(ordered, np.zeros_like(count), count)
    scaled = np.where(some, np.maximum(middle, 1.0), 1.0)
    inside = (np.arange(len(ordered))[:, None] < count) & some
    with np.errstate(invalid="ignore"):
        squares = np.where(inside, (ordered - middle) ** 2, 0.0).sum(axis=0) / scaled
    by_row = squares.reshape(-1, row).sum(axis=1)
    total = np.where(some, count, 0).reshape(-1, row).sum(axis=1)
    sigma = np.sqrt(by_row / np.maximum(total - 1, 1))
    result: Array = np.repeat(sigma, row) * np.sqrt(scaled)
    return result


def _about_median(
    ordered: Array,
    count: npt.NDArray[np.intp],
    how: Rejection,
    sigma: Array | None = None,
    *,
    once: bool = False,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """
    Clip about the median, until nothing more is clipped.

    Without a `sigma` it is the scatter of what is left about its median, as that of
    IRAF's sigclip.
    """
    first, last = np.zeros_like(count), count.copy()
    todo = np.flatnonzero(count >= FEWEST)
    while todo.size:
        some, low, high = ordered[:, todo], first[todo], last[todo]
        middle = _middle(some, low, high)
        place = np.arange(len(some))[:, None]
        kept = (place >= low) & (place < high)
        with np.errstate(all="ignore"):
            offset = np.where(kept, some - middle, 0.0)
            if sigma is None:
                squares = sum_of(offset * offset, kept)
                width = np.sqrt(squares / (high - low - 1))
            else:
                width = sigma[todo]
            first[todo] = low + (-offset > how.low * width).sum(axis=0)
            last[todo] = high - (offset > how.high * width).sum(axis=0)
        changed = (first[todo] != low) | (last[todo] != high)
        todo = todo[changed & (last[todo] - first[todo] >= FEWEST)]
        if once:
            break
    return first, last


def _middle(
    ordered: Array, first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]
) -> Array:
    """Take the median of some places of sorted values; NaN where there are none."""
    count = last - first
    at = np.arange(ordered.shape[1])
    low = ordered[first + np.maximum(count - 1, 0) // 2, at]
    high = ordered[np.minimum(first + count // 2, len(ordered) - 1), at]
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (low + high) / 2, np.nan)
