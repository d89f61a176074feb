"""
Combining the values of some pixels of all frames, by compiled loops.

They do what `ndmapper.numerics.stack` does, in the same order, so that the numbers are
the same to the last bit. Blocks of pixels are surveyed first, a frame at a time, which
the processor does for several pixels at once. Nearly all are done with then: only where
a value is missing, or the lowest or highest does not agree with the mean, is there more
to do. They need numba, of the extra ``fast``.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np

from ndmapper.numerics.clipping import FEWEST, OWN_WIDTH_FROM
from ndmapper.numerics.stack import Recipe, Stack, Tile, flag_kind

__all__ = ["can_combine", "combine_stack"]

_KINDS = {"none": 0, "minmax": 1, "noise": 2}

_NOTHING = np.zeros((0, 0))

_BLOCK = 512
"""Pixels of a block; what is kept of them stays in the cache."""


def can_combine(recipe: Recipe, *, has_variance: bool) -> bool:
    """Whether there are compiled loops for a recipe."""
    equal = bool(np.all(recipe.ratio == 1)) and not has_variance
    return recipe.rejection.kind in _KINDS and (equal or not recipe.is_median)


def combine_stack(stack: Stack, recipe: Recipe) -> Tile:
    """Combine the values of each pixel."""
    n, m = stack.data.shape
    how, curve = recipe.rejection, recipe.curve
    kind = flag_kind(stack.flags, recipe)
    flags = np.zeros((0, 0), np.uint16) if stack.flags is None else stack.flags
    variance = _NOTHING.astype(stack.data.dtype)
    if stack.variance is not None:
        # As wide as the data, or wider where it needs to be.
        kind_of_both = np.result_type(stack.data.dtype, stack.variance.dtype)
        variance = stack.variance.astype(kind_of_both, copy=False)
    tile = Tile(
        np.empty(m), np.empty(m), np.zeros(m, kind),
        np.zeros(m, np.intp), np.zeros(m, np.intp),
        np.full(n, m, np.intp), np.zeros(n, np.intp),
    )  # fmt: skip
    first = int(how.kind == "minmax")
    _LOOP(
        stack.data, variance, flags,
        recipe.factor, recipe.offset, recipe.weights, recipe.ratio,
        _KINDS[how.kind], recipe.is_median,
        how.low * how.low, how.high * how.high,
        how.nlow / n + 1e-4 if first else 0.0, how.nhigh / n + 1e-4 if first else 0.0,
        np.zeros(0) if curve is None else curve.levels,
        np.zeros(0) if curve is None else curve.variances,
        np.zeros(0) if curve is None else curve.slopes,
        recipe.clipped, recipe.median, recipe.scatter, recipe.inner,
        flags.dtype.type(recipe.bad & np.iinfo(flags.dtype).max),
        kind.type(recipe.no_data_flag), kind.type(recipe.doubtful_flag),
        *tile,
    )  # fmt: skip
    return tile


def _noise_at(level: Any, levels: Any, variances: Any, slopes: Any) -> Any:
    low, high = 0, len(levels)
    while low < high:
        middle = (low + high) // 2
        if levels[middle] <= level:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return variances[0]
    at = low - 1
    return variances[at] + (level - levels[at]) * slopes[at]


def _sum(values: Any, used: Any) -> Any:
    total = 0.0
    for i in range(len(values)):
        if used[i]:
            total += values[i]
    return total


def _scatter(values: Any, used: Any, count: Any) -> Any:
    if count < 2:
        return 0.0
    mean = _sum(values, used) / count
    squares = 0.0
    for i in range(len(values)):
        if used[i]:
            offset = values[i] - mean
            squares += offset * offset
    return squares / (count - 1)


def _gathered(values: Any, used: Any, room: Any) -> Any:
    """Sort the used values into some room; give that part of it."""
    count = 0
    for i in range(len(values)):
        if used[i]:
            room[count] = values[i]
            count += 1
    # Shell's sort, which for few values is that by insertion.
    gap = 1
    while gap < count // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            x, at = room[i], i
            while at >= gap and room[at - gap] > x:
                room[at] = room[at - gap]
                at -= gap
            room[at] = x
        gap //= 3
    return room[:count]


def _median(values: Any, used: Any, room: Any) -> Any:
    ordered = _gathered(values, used, room)
    count = len(ordered)
    if count == 0:
        return np.nan
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _worst(  # noqa: PLR0917  # compiled functions take positions
    values: Any, used: Any, count: Any, ratio: Any, low: Any, high: Any
) -> Any:
    """Find the value with the largest residual, and the square of that."""
    n = float(count)
    mean = _sum(values, used) / n
    total = _sum(ratio, used)
    worst, largest = -1, -1.0
    for i in range(len(values)):
        if used[i]:
            residual = values[i] - mean
            limit = high if residual > 0 else low
            part = ratio[i] * (1.0 - 2.0 / n) + total / (n * n)
            z = residual * residual / (limit * part)
            if z > largest:
                worst, largest = i, z
    return worst, largest


def _reject_by_noise(  # noqa: PLR0917
    x: Any, v: Any, used: Any, count: Any, ratio: Any, low: Any, high: Any,
    has_variance: Any, levels: Any, variances: Any, slopes: Any, inner: Any, room: Any,
) -> Any:  # fmt: skip
    """Reject values; give how many are left, and whether the last two disagree."""
    while count >= 2:
        n = float(count)
        if has_variance:
            noise = _sum(v, used) / n
        else:
            noise = _noise_at(_sum(x, used) / n, levels, variances, slopes)
        worst, z = _worst(x, used, count, ratio, low, high)
        if count < FEWEST:
            return count, z > noise
        if not z > noise:
            break
        if not has_variance and count >= OWN_WIDTH_FROM:
            ordered = _gathered(x, used, room)
            quarter = count // 4
            width = (ordered[count - 1 - quarter] - ordered[quarter]) / inner[count]
            if not z > width * width:
                break
        used[worst] = False
        count -= 1
    return count, False


def _reject_extremes(x: Any, used: Any, count: Any, low: Any, high: Any) -> Any:
    below = min(int(count * low + 1e-3), max(count - 1, 0))
    above = min(int(count * high + 1e-3), max(count - below - 1, 0))
    for _ in range(below):
        at = -1
        for i in range(len(x)):
            if used[i] and (at < 0 or x[i] < x[at]):
                at = i
        used[at] = False
    for _ in range(above):
        at = -1
        for i in range(len(x)):
            if used[i] and (at < 0 or x[i] >= x[at]):
                at = i
        used[at] = False
    return count - below - above


def _survey(  # noqa: PLR0917
    data: Any, variance: Any, flags: Any, start: Any, factor: Any, offset: Any,
    total: Any, least: Any, most: Any, noise: Any, joined: Any,
) -> None:  # fmt: skip
    """Add up the values of a block of pixels, and find the lowest and highest."""
    width = len(total)
    for j in range(width):
        total[j] = noise[j] = 0.0
        least[j], most[j], joined[j] = np.inf, -np.inf, 0
    for i in range(len(data)):
        scale, shift = factor[i], offset[i]
        row = data[i, start : start + width]
        for j in range(width):
            x = np.float64(row[j]) * scale + shift
            total[j] += x
            least[j] = x if x < least[j] else least[j]
            most[j] = x if x > most[j] else most[j]
    for i in range(len(variance)):
        squared = factor[i] * factor[i]
        row = variance[i, start : start + width]
        for j in range(width):
            one = np.float64(row[j]) * squared
            noise[j] += one if one >= 0.0 else np.nan
    for i in range(len(flags)):
        bits = flags[i, start : start + width]
        for j in range(width):
            joined[j] |= bits[j]


def _scatter_of_block(  # noqa: PLR0917
    data: Any, start: Any, factor: Any, offset: Any, total: Any, mean: Any, squares: Any
) -> None:
    """Add up the squares of the residuals of a block of pixels."""
    n = len(data)
    for j in range(len(total)):
        squares[j] = 0.0
        mean[j] = total[j] / n
    for i in range(n):
        scale, shift = factor[i], offset[i]
        row = data[i, start : start + len(total)]
        for j in range(len(total)):
            residual = (np.float64(row[j]) * scale + shift) - mean[j]
            squares[j] += residual * residual


def _finish(  # noqa: PLR0917
    n: Any, start: Any, is_clipped: Any, low: Any, high: Any, has_variance: Any,
    levels: Any, variances: Any, slopes: Any, clipped: Any, scatter: Any, bad: Any,
    total: Any, least: Any, most: Any, noise: Any, squares: Any, joined: Any,
    done: Any, out: Any, out_variance: Any, out_flags: Any, out_count: Any,
) -> None:  # fmt: skip
    """Combine the pixels of a block of which all values are good, and none rejected."""
    part = 1.0 * (1.0 - 2.0 / n) + n / (n * n)
    for j in range(len(total)):
        done[j] = False
        is_good = np.isfinite(total[j]) and np.isfinite(noise[j])
        if not is_good or (joined[j] & bad) != 0:
            continue
        mean = total[j] / n
        if has_variance:
            one = noise[j] / n
            of_mean = noise[j] / (n * n)
        else:
            one = _noise_at(mean, levels, variances, slopes)
            own = squares[j] / (n - 1)
            of_mean = (own if own > one * scatter[int(n)] else one) * (n / (n * n))
        if is_clipped:
            up, down = most[j] - mean, least[j] - mean
            if up * up / (high * part) > one or down * down / (low * part) > one:
                continue
        done[j] = True
        out[start + j] = mean
        out_variance[start + j] = of_mean * clipped[int(n)]
        out_flags[start + j] = joined[j]
        out_count[start + j] = int(n)


def _gather(  # noqa: PLR0917
    data: Any, variance: Any, flags: Any, j: Any, factor: Any, offset: Any, bad: Any,
    x: Any, v: Any, good: Any, used: Any,
) -> Any:  # fmt: skip
    """Scale the values of a pixel, and count those that may be used."""
    has_variance, has_flags = variance.shape[0] > 0, flags.shape[0] > 0
    of_good = of_usable = 0
    for i in range(len(x)):
        x[i] = np.float64(data[i, j]) * factor[i] + offset[i]
        is_usable = np.isfinite(x[i])
        if has_variance:
            v[i] = np.float64(variance[i, j]) * (factor[i] * factor[i])
            is_usable = is_usable and np.isfinite(v[i]) and v[i] >= 0.0
        used[i] = is_usable
        of_usable += is_usable
        good[i] = is_usable
        if has_flags and is_usable:
            good[i] = (flags[i, j] & bad) == 0
        of_good += good[i]
    if of_good == 0:
        # A pixel that is bad in every frame keeps its best guess, and its flags.
        for i in range(len(x)):
            good[i] = used[i]
        return of_usable
    for i in range(len(x)):
        used[i] = good[i]
    return of_good


def _mean(  # noqa: PLR0917
    x: Any, v: Any, used: Any, weights: Any, ratio: Any, noise: Any, has_variance: Any
) -> Any:
    """Give the weighted mean, and its variance."""
    total = sums = squares = 0.0
    for i in range(len(x)):
        if used[i]:
            w = weights[i]
            total += w
            sums += w * x[i]
            squares += w * w * (v[i] if has_variance else ratio[i])
    share = squares / (total * total)
    return sums / total, share if has_variance else noise * share


def _noise_of(  # noqa: PLR0917
    x: Any, used: Any, count: Any, levels: Any, variances: Any, slopes: Any,
    scatter: Any,
) -> Any:  # fmt: skip
    """Give the noise of a value at the level of a pixel, or its own where larger."""
    if len(levels) == 0 or count == 0:
        return np.nan
    noise = _noise_at(_sum(x, used) / count, levels, variances, slopes)
    own = _scatter(x, used, count)
    return own if own > noise * scatter[count] else noise


def _count_frames(
    good: Any, used: Any, good_of_frame: Any, rejected_of_frame: Any
) -> None:
    for i in range(len(good)):
        good_of_frame[i] -= not good[i]
        rejected_of_frame[i] += good[i] and not used[i]


def _join(  # noqa: PLR0917
    flags: Any, j: Any, used: Any, count: Any, no_data: Any, out_flags: Any
) -> None:
    if flags.shape[0] > 0:
        for i in range(len(used)):
            if used[i] or count == 0:
                out_flags[j] |= flags[i, j]
    if count == 0:
        out_flags[j] |= no_data


def _one(  # noqa: PLR0917
    data: Any, variance: Any, flags: Any, j: Any,
    factor: Any, offset: Any, weights: Any, ratio: Any,
    kind: Any, is_median: Any, low: Any, high: Any, share_low: Any, share_high: Any,
    levels: Any, variances: Any, slopes: Any,
    clipped: Any, median: Any, scatter: Any, inner: Any,
    bad: Any, no_data: Any, doubtful_flag: Any,
    out: Any, out_variance: Any, out_flags: Any, out_count: Any, out_rejected: Any,
    good_of_frame: Any, rejected_of_frame: Any,
    x: Any, v: Any, room: Any, good: Any, used: Any,
) -> Any:  # fmt: skip
    """Combine one pixel, whatever it is like."""
    has_variance = len(variance) > 0
    of_good = _gather(data, variance, flags, j, factor, offset, bad, x, v, good, used)
    count, is_doubtful = of_good, False
    if kind == 1:
        count = _reject_extremes(x, used, count, share_low, share_high)
    elif kind == 2 and (has_variance or len(levels) > 0):
        count, is_doubtful = _reject_by_noise(
            x, v, used, count, ratio, low, high,
            has_variance, levels, variances, slopes, inner, room,
        )  # fmt: skip
        is_doubtful |= count < of_good and 2 * count <= of_good
    if is_doubtful:
        out[j] = _median(x, good, room)
        out_variance[j] = _scatter(x, good, of_good) / count
        out_flags[j] |= doubtful_flag
    else:
        noise = _noise_of(x, used, count, levels, variances, slopes, scatter)
        if is_median:
            out[j] = _median(x, used, room)
            out_variance[j] = noise / count * median[count]
        else:
            out[j], of_mean = _mean(x, v, used, weights, ratio, noise, has_variance)
            out_variance[j] = of_mean * clipped[of_good]
    out_count[j] = count
    out_rejected[j] = of_good - count
    if count < len(x):
        _count_frames(good, used, good_of_frame, rejected_of_frame)
    _join(flags, j, used, count, no_data, out_flags)


def _loop(  # noqa: PLR0917
    data: Any, variance: Any, flags: Any,
    factor: Any, offset: Any, weights: Any, ratio: Any,
    kind: Any, is_median: Any, low: Any, high: Any, share_low: Any, share_high: Any,
    levels: Any, variances: Any, slopes: Any,
    clipped: Any, median: Any, scatter: Any, inner: Any,
    bad: Any, no_data: Any, doubtful_flag: Any,
    out: Any, out_variance: Any, out_flags: Any, out_count: Any, out_rejected: Any,
    good_of_frame: Any, rejected_of_frame: Any,
) -> Any:  # fmt: skip
    n, m = data.shape
    x, v, room = np.empty(n), np.empty(n), np.empty(n)
    good, used = np.empty(n, np.bool_), np.empty(n, np.bool_)
    total, least, most = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    noise, squares = np.empty(_BLOCK), np.empty(_BLOCK)
    joined, done = np.zeros(_BLOCK, flags.dtype), np.zeros(_BLOCK, np.bool_)
    has_noise = len(variance) > 0 or len(levels) > 0
    is_equal = True
    for i in range(n):
        is_equal = is_equal and ratio[i] == 1.0 and weights[i] == 1.0
    is_quick = is_equal and has_noise and n >= FEWEST and not is_median and kind != 1
    for start in range(0, m, _BLOCK):
        width = min(_BLOCK, m - start)
        if is_quick:
            _survey(
                data, variance, flags, start, factor, offset, total[:width], least,
                most, noise, joined,
            )  # fmt: skip
            if len(variance) == 0:
                # The sums of variances are not needed, so that there is room for means.
                _scatter_of_block(
                    data, start, factor, offset, total[:width], noise, squares
                )
            _finish(
                float(n), start, kind == 2, low, high, len(variance) > 0,
                levels, variances, slopes, clipped, scatter, bad,
                total[:width], least, most, noise, squares, joined,
                done, out, out_variance, out_flags, out_count,
            )  # fmt: skip
        for j in range(width):
            if not done[j]:
                _one(
                    data, variance, flags, start + j, factor, offset, weights, ratio,
                    kind, is_median, low, high, share_low, share_high,
                    levels, variances, slopes, clipped, median, scatter, inner,
                    bad, no_data, doubtful_flag, out, out_variance, out_flags,
                    out_count, out_rejected, good_of_frame, rejected_of_frame,
                    x, v, room, good, used,
                )  # fmt: skip


def _part(func: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that only other loops call."""
    njit: Any = numba.njit
    # Nothing of Python calls them.
    alone = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast(
        Callable[..., Any], njit(nogil=True, error_model="numpy", **alone)(func)
    )


def _whole(func: Callable[..., Any]) -> Callable[..., Any]:
    try:
        made = numba.njit(cache=True, nogil=True, error_model="numpy")(func)
    except RuntimeError:  # there is no folder that the compiled code could be kept in
        made = numba.njit(nogil=True, error_model="numpy")(func)
    return cast(Callable[..., Any], made)


# Each calls those before it, by their names here.
_noise_at = _part(_noise_at)
_sum = _part(_sum)
_scatter = _part(_scatter)
_gathered = _part(_gathered)
_median = _part(_median)
_worst = _part(_worst)
_reject_by_noise = _part(_reject_by_noise)
_reject_extremes = _part(_reject_extremes)
_survey = _part(_survey)
_scatter_of_block = _part(_scatter_of_block)
_finish = _part(_finish)
_gather = _part(_gather)
_mean = _part(_mean)
_noise_of = _part(_noise_of)
_count_frames = _part(_count_frames)
_join = _part(_join)
_one = _part(_one)
_LOOP = _whole(_loop)
