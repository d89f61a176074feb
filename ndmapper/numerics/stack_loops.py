"""
Combining the values of some pixels of all frames, by compiled loops.

They do what `ndmapper.numerics.stack` does, in the same order, so that the numbers are
the same to the last bit. Blocks of pixels are surveyed first, a frame at a time, which
the processor does for several pixels at once; medians come from a sorting network, in
the same way. Nearly all are done with then: only where a value is missing, or the
lowest or highest does not agree with the mean, is there more to do. They need numba, of
the extra ``fast``.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, cast

import numba
import numpy as np
import numpy.typing as npt

from ndmapper.numerics.clipping import FEWEST, OWN_WIDTH_FROM
from ndmapper.numerics.combined_variance import (
    ALIKE,
    CDF,
    CDF_STEPS,
    NODES,
    WEIGHTS,
    median_variance,
)
from ndmapper.numerics.stack import Recipe, Stack, Tile, flag_kind

__all__ = ["can_combine", "combine_stack", "median_network"]

_EXTREMES, _BY_NOISE = 1, 2
_KINDS = {"none": 0, "minmax": _EXTREMES, "noise": _BY_NOISE}

_NOTHING = np.zeros((0, 0))

_BLOCK = 512
"""Pixels of a block; what is kept of them stays in the cache."""

_NETWORK = 256
"""Most values of which a network finds the median."""


class _How(NamedTuple):
    """A recipe, and what follows from it and the frames, for the loops."""

    kind: int
    is_median: bool
    has_variance: bool
    has_flags: bool
    is_alike: bool
    is_quick: bool
    low: float
    high: float
    share_low: float
    share_high: float
    factor: Any
    offset: Any
    weights: Any
    ratio: Any
    levels: Any
    variances: Any
    slopes: Any
    clipped: Any
    median: Any
    scatter: Any
    inner: Any
    network: Any
    median_of_all: float
    all_ratios: float


class _Block(NamedTuple):
    """What a survey finds of some pixels."""

    total: Any
    least: Any
    most: Any
    noise: Any
    one: Any
    mean: Any
    squares: Any
    joined: Any
    done: Any
    values: Any


class _Room(NamedTuple):
    """Room for the values of one pixel."""

    x: Any
    v: Any
    ordered: Any
    chances: Any
    good: Any
    used: Any


def can_combine(recipe: Recipe) -> bool:
    """Whether there are compiled loops for a recipe."""
    return recipe.rejection.kind in _KINDS


def combine_stack(stack: Stack, recipe: Recipe) -> Tile:
    """Combine the values of each pixel."""
    n, m = stack.data.shape
    kind = flag_kind(stack.flags, recipe)
    flags = np.zeros((0, 0), np.uint16) if stack.flags is None else stack.flags
    variance = _NOTHING.astype(stack.data.dtype)
    if stack.variance is not None:
        # As wide as the data, or wider where it needs to be.
        kind_of_both = np.result_type(stack.data.dtype, stack.variance.dtype)
        variance = stack.variance.astype(kind_of_both, copy=False)
    number = np.min_scalar_type(n)
    tile = Tile(
        np.empty(m), np.empty(m), np.zeros(m, kind),
        np.zeros(m, number), np.zeros(m, number),
        np.full(n, m, np.intp), np.zeros(n, np.intp),
    )  # fmt: skip
    how = _prepared(recipe, n, has_variance=len(variance) > 0, has_flags=len(flags) > 0)
    _LOOP(
        stack.data, variance, flags, how,
        flags.dtype.type(recipe.bad & np.iinfo(flags.dtype).max),
        kind.type(recipe.no_data_flag), kind.type(recipe.doubtful_flag), tile,
    )  # fmt: skip
    return tile


def _prepared(recipe: Recipe, n: int, *, has_variance: bool, has_flags: bool) -> _How:
    how, curve, ratio = recipe.rejection, recipe.curve, recipe.ratio
    kind = _KINDS[how.kind]
    has_noise = has_variance or curve is not None
    is_easy = n <= _NETWORK if recipe.is_median else bool(np.all(recipe.weights == 1))
    is_alike = bool(np.all(ratio == 1))
    of_all = median_variance(ratio[:, None], np.ones((n, 1), np.bool_))
    is_minmax = how.kind == "minmax"
    return _How(
        kind=kind,
        is_median=recipe.is_median,
        has_variance=has_variance,
        has_flags=has_flags,
        is_alike=is_alike,
        is_quick=has_noise and n >= FEWEST and is_easy and not is_minmax,
        low=how.low * how.low,
        high=how.high * how.high,
        share_low=how.nlow / n + 1e-4 if is_minmax else 0.0,
        share_high=how.nhigh / n + 1e-4 if is_minmax else 0.0,
        factor=recipe.factor,
        offset=recipe.offset,
        weights=recipe.weights,
        ratio=ratio,
        levels=np.zeros(0) if curve is None else curve.levels,
        variances=np.zeros(0) if curve is None else curve.variances,
        slopes=np.zeros(0) if curve is None else curve.slopes,
        clipped=recipe.clipped,
        median=recipe.median,
        median_of_all=float(of_all[0]),
        scatter=recipe.scatter,
        inner=recipe.inner,
        all_ratios=float(sum(ratio)),
        network=median_network(n if recipe.is_median and is_easy else 1),
    )


@cache
def median_network(n: int) -> npt.NDArray[np.intp]:
    """
    Give the pairs of places that are sorted, one after the other, to find the median.

    K. E. Batcher's merge exchange (D. E. Knuth, The Art of Computer Programming, volume
    3, section 5.2.2, algorithm M), without what the middle places do not depend on.
    """
    pairs: list[tuple[int, int]] = []
    first = 1 << max(n - 1, 1).bit_length() - 1
    p = first
    while p > 0 and n > 1:
        q, r, d = first, 0, p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    needed = {(n - 1) // 2, n // 2}
    kept = []
    for pair in reversed(pairs):
        if not needed.isdisjoint(pair):
            kept.append(pair)
            needed.update(pair)
    return np.array(kept[::-1], np.intp).reshape(-1, 2)


def _noise_at(level: Any, above: Any, how: Any) -> Any:
    """Give the noise at a level, and how many levels of the curve are not above it."""
    levels = how.levels
    # From those of the pixel before, which hardly differ.
    while above < len(levels) and levels[above] <= level:
        above += 1
    while above > 0 and levels[above - 1] > level:
        above -= 1
    if above == 0:
        return how.variances[0], 0
    at = above - 1
    return how.variances[at] + (level - levels[at]) * how.slopes[at], above


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


def _cdf(x: Any) -> Any:
    place = x * CDF_STEPS
    place = place if place < 9.0 * CDF_STEPS else 9.0 * CDF_STEPS
    below = int(place)
    return CDF[below] + (place - below) * (CDF[below + 1] - CDF[below])


def _median_integral(sigma: Any, chances: Any) -> Any:
    n = len(sigma)
    half = n // 2
    reach = 6 * sigma[half]
    total = 0.0
    for node in range(len(NODES)):
        t = NODES[node]
        x = reach * (t * t)
        chances[: half + 1] = 0.0
        chances[0] = 1.0
        for i in range(n):
            below = _cdf(x / sigma[i])
            for k in range(half, 0, -1):
                chances[k] += (chances[k - 1] - chances[k]) * below
            chances[0] *= 1 - below
        above = 0.0
        for k in range(half + 1):
            above += chances[k]
        if n % 2 == 0:
            above -= chances[half] / 2
        total += (4 * WEIGHTS[node] * t) * reach * x * above
    return total if n % 2 else total * (n / (n + 2))


def _median_variance(v: Any, used: Any, count: Any, median: Any, room: Any) -> Any:
    """Give the variance of a median of values of such variances."""
    if count == 0:
        return np.nan
    n = float(count)
    if count <= 2:
        return _sum(v, used) / (n * n)
    ordered = _gathered(v, used, room.ordered)
    largest, total = ordered[-1], 0.0
    for i in range(len(v)):
        if used[i]:
            total += 1 / np.sqrt(max(v[i], 1e-12 * largest))
    if largest > ALIKE * ordered[0]:
        for i in range(count):
            ordered[i] = np.sqrt(max(ordered[i], 1e-12 * largest))
        return _median_integral(ordered, room.chances)
    harmonic = n / total
    return median[count] * (harmonic * harmonic) / n


def _worst(values: Any, used: Any, count: Any, how: Any) -> Any:
    """Find the value with the largest residual, and the square of that."""
    n = float(count)
    mean = _sum(values, used) / n
    total = _sum(how.ratio, used)
    worst, largest = -1, -1.0
    for i in range(len(values)):
        if used[i]:
            residual = values[i] - mean
            limit = how.high if residual > 0 else how.low
            part = how.ratio[i] * (1.0 - 2.0 / n) + total / (n * n)
            z = residual * residual / (limit * part)
            if z > largest:
                worst, largest = i, z
    return worst, largest


def _reject_by_noise(count: Any, how: Any, room: Any) -> Any:
    """Reject values; give how many are left, and whether the last two disagree."""
    x, used = room.x, room.used
    while count >= 2:
        n = float(count)
        if how.has_variance:
            noise = _sum(room.v, used) / _sum(how.ratio, used)
        else:
            noise, _ = _noise_at(_sum(x, used) / n, 0, how)
        worst, z = _worst(x, used, count, how)
        if count < FEWEST:
            return count, z > noise
        if not z > noise:
            break
        if not how.has_variance and count >= OWN_WIDTH_FROM:
            ordered = _gathered(x, used, room.ordered)
            quarter = count // 4
            width = ordered[count - 1 - quarter] - ordered[quarter]
            width /= how.inner[count]
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


def _survey(  # noqa: PLR0917  # compiled functions take positions
    data: Any, flags: Any, start: Any, width: Any, how: Any, block: Any
) -> None:
    """Add up the values of a block of pixels, and find the lowest and highest."""
    total, least, most, joined = block.total, block.least, block.most, block.joined
    for j in range(width):
        total[j], joined[j] = 0.0, 0
        least[j], most[j] = np.inf, -np.inf
    for i in range(len(data)):
        scale, shift = how.factor[i], how.offset[i]
        row = data[i, start : start + width]
        for j in range(width):
            x = np.float64(row[j]) * scale + shift
            total[j] += x
            y, z = least[j], most[j]
            # With the zero, which changes no number, they are compared four at a time;
            # else a processor stores those that are smaller, one by one.
            least[j] = (x if x < y else y) + 0.0
            most[j] = (x if x > z else z) + 0.0
    for i in range(len(flags)):
        bits = flags[i, start : start + width]
        for j in range(width):
            joined[j] |= bits[j]


def _survey_noise(  # noqa: PLR0917
    data: Any, variance: Any, start: Any, width: Any, how: Any, block: Any
) -> None:
    """Add up the variances of a block of pixels, or the squares of its residuals."""
    noise, mean, squares = block.noise, block.mean, block.squares
    n = len(data)
    for j in range(width):
        noise[j] = squares[j] = 0.0
        mean[j] = block.total[j] / n
    for i in range(len(variance)):
        squared = how.factor[i] * how.factor[i]
        row = variance[i, start : start + width]
        for j in range(width):
            one = np.float64(row[j]) * squared
            noise[j] += one if one >= 0.0 else np.nan
    if how.has_variance:
        return
    for i in range(n):
        scale, shift = how.factor[i], how.offset[i]
        row = data[i, start : start + width]
        for j in range(width):
            residual = (np.float64(row[j]) * scale + shift) - mean[j]
            squares[j] += residual * residual


def _judge(n: Any, width: Any, how: Any, bad: Any, block: Any) -> None:
    """Find the pixels of a block of which all values are good, and surely kept."""
    smallest = how.ratio[0]
    for ratio in how.ratio:
        smallest = min(smallest, ratio)
    # Of noisier frames more would be kept: their pixels are looked at one by one.
    part = smallest * (1.0 - 2.0 / n) + how.all_ratios / (n * n)
    total, mean, done = block.total, block.mean, block.done
    least, most, noise, one = block.least, block.most, block.noise, block.one
    for j in range(width):
        up, down = most[j] - mean[j], least[j] - mean[j]
        up, down = up * up / (how.high * part), down * down / (how.low * part)
        most[j] = (up if up > down else down) + 0.0
    for j in range(width):
        one[j] = block.squares[j] / (n - 1)
        if how.has_variance:
            one[j] = noise[j] / how.all_ratios
    for j in range(width):
        # 0, or NaN where anything is not finite.
        least[j] = (total[j] - total[j]) + (noise[j] - noise[j])
    for j in range(width):
        done[j] = least[j] == 0.0
    if how.has_flags:
        for j in range(width):
            done[j] &= (block.joined[j] & bad) == 0
    is_clipped, above = how.kind == _BY_NOISE, 0
    for j in range(width):
        expected = one[j]
        if not how.has_variance:
            expected, above = _noise_at(mean[j], above, how)
            if not one[j] > expected * how.scatter[int(n)]:
                one[j] = expected
        if is_clipped and most[j] > expected:
            done[j] = False


def _finish_means(  # noqa: PLR0917
    n: Any, start: Any, width: Any, how: Any, block: Any, tile: Tile
) -> None:
    """Give the means of the pixels of a block that are done with, and their noise."""
    # What is not done with is combined again.
    data, variance = tile.data[start:], tile.variance[start:]
    factor, share = how.clipped[int(n)], how.all_ratios / (n * n)
    for j in range(width):
        data[j] = block.mean[j]
    if how.has_variance:
        for j in range(width):
            variance[j] = block.noise[j] / (n * n) * factor
    else:
        for j in range(width):
            variance[j] = block.one[j] * share * factor


def _sort_block(data: Any, start: Any, width: Any, how: Any, values: Any) -> None:
    """Sort the values of a block of pixels as far as their medians need it."""
    for i in range(len(data)):
        scale, shift = how.factor[i], how.offset[i]
        row, to = data[i, start : start + width], values[i]
        for j in range(width):
            to[j] = np.float64(row[j]) * scale + shift
    for k in range(len(how.network)):
        one, other = values[how.network[k, 0]], values[how.network[k, 1]]
        for j in range(width):
            x, y = one[j], other[j]
            # The zero is explained in `_survey`.
            one[j] = (x if x < y else y) + 0.0
            other[j] = (x if x > y else y) + 0.0


def _survey_deviations(
    variance: Any, start: Any, width: Any, how: Any, block: Any
) -> None:
    """Find the least and largest variance of pixels; add up inverse deviations."""
    least, most, inverse = block.least, block.most, block.squares
    for j in range(width):
        least[j], most[j], inverse[j] = np.inf, -np.inf, 0.0
    for i in range(len(variance)):
        squared = how.factor[i] * how.factor[i]
        row = variance[i, start : start + width]
        for j in range(width):
            x = np.float64(row[j]) * squared
            y, z = least[j], most[j]
            least[j] = (x if x < y else y) + 0.0
            most[j] = (x if x > z else z) + 0.0
    for i in range(len(variance)):
        squared = how.factor[i] * how.factor[i]
        row = variance[i, start : start + width]
        for j in range(width):
            x, floor = np.float64(row[j]) * squared, 1e-12 * most[j]
            inverse[j] += 1 / np.sqrt(x if x > floor else floor)


def _finish_medians(  # noqa: PLR0917
    data: Any, variance: Any, start: Any, width: Any, how: Any, block: Any, room: Any,
    tile: Tile,
) -> None:  # fmt: skip
    """Give the medians of the pixels of a block that are done with, and their noise."""
    _sort_block(data, start, width, how, block.values)
    if how.has_variance:
        _survey_deviations(variance, start, width, how, block)
    count = len(data)
    n = float(count)
    low, high = block.values[(count - 1) // 2], block.values[count // 2]
    for j in range(width):
        if not block.done[j]:
            continue
        if not how.has_variance:
            one = block.one[j]
            of_median = one * how.median_of_all
            if how.is_alike:
                of_median = one / n * how.median[count]
        elif block.most[j] > ALIKE * block.least[j]:
            for i in range(count):
                room.used[i] = True
                squared = how.factor[i] * how.factor[i]
                room.v[i] = np.float64(variance[i, start + j]) * squared
            of_median = _median_variance(room.v, room.used, count, how.median, room)
        else:
            harmonic = n / block.squares[j]
            of_median = how.median[count] * (harmonic * harmonic) / n
        tile.data[start + j] = (low[j] + high[j]) / 2
        tile.variance[start + j] = of_median


def _gather(  # noqa: PLR0917
    data: Any, variance: Any, flags: Any, j: Any, how: Any, bad: Any, room: Any
) -> Any:
    """Scale the values of a pixel, and count those that may be used."""
    x, v, good, used = room.x, room.v, room.good, room.used
    has_flags = flags.shape[0] > 0
    of_good = of_usable = 0
    for i in range(len(x)):
        x[i] = np.float64(data[i, j]) * how.factor[i] + how.offset[i]
        is_usable = np.isfinite(x[i])
        if how.has_variance:
            v[i] = np.float64(variance[i, j]) * (how.factor[i] * how.factor[i])
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


def _mean(how: Any, noise: Any, room: Any) -> Any:
    """Give the weighted mean, and its variance."""
    total = sums = squares = 0.0
    for i in range(len(room.x)):
        if room.used[i]:
            w = how.weights[i]
            total += w
            sums += w * room.x[i]
            squares += w * w * (room.v[i] if how.has_variance else how.ratio[i])
    share = squares / (total * total)
    return sums / total, share if how.has_variance else noise * share


def _noise_of(count: Any, how: Any, room: Any) -> Any:
    """Give the noise of a value at the level of a pixel, or its own where larger."""
    if len(how.levels) == 0 or count == 0:
        return np.nan
    noise, _ = _noise_at(_sum(room.x, room.used) / count, 0, how)
    own = _scatter(room.x, room.used, count)
    return own if own > noise * how.scatter[count] else noise


def _combined(of_good: Any, count: Any, how: Any, room: Any) -> Any:
    """Give the mean or median of a pixel, and its variance."""
    noise = _noise_of(count, how, room)
    if not how.is_median:
        value, of_mean = _mean(how, noise, room)
        return value, of_mean * how.clipped[of_good]
    value = _median(room.x, room.used, room.ordered)
    if how.has_variance:
        return value, _median_variance(room.v, room.used, count, how.median, room)
    if how.is_alike:
        return value, noise / count * how.median[count]
    return value, noise * _median_variance(
        how.ratio, room.used, count, how.median, room
    )


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
    data: Any, variance: Any, flags: Any, j: Any, how: Any,
    bad: Any, no_data: Any, doubtful: Any, room: Any, tile: Tile,
) -> None:  # fmt: skip
    """Combine one pixel, whatever it is like."""
    good, used = room.good, room.used
    of_good = _gather(data, variance, flags, j, how, bad, room)
    count, is_doubtful = of_good, False
    if how.kind == _EXTREMES:
        count = _reject_extremes(room.x, used, count, how.share_low, how.share_high)
    elif how.kind == _BY_NOISE and (how.has_variance or len(how.levels) > 0):
        count, is_doubtful = _reject_by_noise(count, how, room)
        is_doubtful |= count < of_good and 2 * count <= of_good
    if is_doubtful:
        tile.data[j] = _median(room.x, good, room.ordered)
        tile.variance[j] = _scatter(room.x, good, of_good) / count
        tile.flags[j] |= doubtful
    else:
        tile.data[j], tile.variance[j] = _combined(of_good, count, how, room)
    tile.kept[j] = count
    tile.rejected[j] = of_good - count
    if count < len(used):
        for i in range(len(used)):
            tile.good_of_frame[i] -= not good[i]
            tile.rejected_of_frame[i] += good[i] and not used[i]
    _join(flags, j, used, count, no_data, tile.flags)


def _loop(  # noqa: PLR0917
    data: Any, variance: Any, flags: Any, how: Any,
    bad: Any, no_data: Any, doubtful: Any, tile: Tile,
) -> None:  # fmt: skip
    n, m = data.shape
    room = _Room(
        np.empty(n), np.empty(n), np.empty(n), np.empty(n + 1),
        np.empty(n, np.bool_), np.empty(n, np.bool_),
    )  # fmt: skip
    # Blocks of many frames are smaller, so that they stay in the cache as well.
    size = _BLOCK if n <= 64 else _BLOCK // 4
    block = _Block(
        np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size),
        np.empty(size), np.empty(size), np.zeros(size, flags.dtype),
        np.zeros(size, np.bool_),
        np.empty((n if how.is_quick and how.is_median else 0, size)),
    )  # fmt: skip
    for start in range(0, m, size):
        width = min(size, m - start)
        if how.is_quick:
            _survey(data, flags, start, width, how, block)
            _survey_noise(data, variance, start, width, how, block)
            _judge(float(n), width, how, bad, block)
            if how.is_median:
                _finish_medians(data, variance, start, width, how, block, room, tile)
            else:
                _finish_means(float(n), start, width, how, block, tile)
        for j in range(width):
            if block.done[j]:
                tile.flags[start + j] = block.joined[j]
                tile.kept[start + j] = n
            else:
                _one(
                    data, variance, flags, start + j, how, bad, no_data, doubtful,
                    room, tile,
                )  # fmt: skip


def _part(func: Callable[..., Any], *, inline: bool = False) -> Callable[..., Any]:
    """Compile a function that only other loops call; into these, where that is told."""
    njit: Any = numba.njit
    # Nothing of Python calls them.
    alone = {
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "forceinline": inline,
    }
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
_noise_at = _part(_noise_at, inline=True)
_sum = _part(_sum)
_scatter = _part(_scatter)
_gathered = _part(_gathered)
_median = _part(_median)
_cdf = _part(_cdf)
_median_integral = _part(_median_integral)
_median_variance = _part(_median_variance)
_worst = _part(_worst, inline=True)
_reject_by_noise = _part(_reject_by_noise, inline=True)
_reject_extremes = _part(_reject_extremes)
_survey = _part(_survey, inline=True)
_survey_noise = _part(_survey_noise, inline=True)
_judge = _part(_judge, inline=True)
_finish_means = _part(_finish_means, inline=True)
_sort_block = _part(_sort_block, inline=True)
_survey_deviations = _part(_survey_deviations, inline=True)
_finish_medians = _part(_finish_medians, inline=True)
_gather = _part(_gather, inline=True)
_mean = _part(_mean, inline=True)
_noise_of = _part(_noise_of, inline=True)
_combined = _part(_combined, inline=True)
_join = _part(_join)
_one = _part(_one, inline=True)
_LOOP = _whole(_loop)
