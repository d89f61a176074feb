"""
What happens to a level along the readout: contaminated lines, jumps and transients.

Lines of an overscan share a level that ideally is smooth. Here is found what a smooth
function cannot follow: lines into which a bright star bleeds, steps of the level, and
an exponential decay at either end. Each is taken only where the data leave no doubt, so
that of a clean overscan nothing is changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["LineStructure", "find_structure", "smoothest_noise"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_OUTLIER = 5.0
"""Lines so many standard deviations above their neighbours are contaminated."""
_BRIGHT = 20.0
"""Of contamination that strong, fainter wings reach beyond what is seen."""
_SIGNIFICANT = 6.5
"""A jump or transient is that many standard deviations strong."""
_SHARE = 0.12
"""Contamination is shorter than this part of the lines; a longer one is a jump."""
_MOST_FEATURES = 8
_WINDOWS = (4, 8, 16, 32)


@dataclass(frozen=True, kw_only=True)
class LineStructure:
    """What a smooth function cannot follow in the levels of lines."""

    good: Mask  # lines that are not contaminated
    columns: Array  # jumps and transients, as columns of a linear model
    doubtful: Mask  # lines of which it is not clear on which side of a jump they are
    jumps: int


def smoothest_noise(values: Array, good: Mask) -> float:
    """Give the noise of lines from differences of neighbours, which drifts leave."""
    differences = np.diff(values[good])
    if differences.size == 0:
        return 0.0
    middle = np.median(differences)
    return float(1.4826 * np.median(np.abs(differences - middle)) / np.sqrt(2))


def find_structure(
    values: Array, errors: Array, good: Mask, degree: int = 3
) -> LineStructure:
    """Find what a polynomial of a degree cannot follow in the levels of lines."""
    n = values.size
    nothing = LineStructure(
        good=good,
        columns=np.empty((n, 0)),
        doubtful=np.zeros(n, np.bool_),
        jumps=0,
    )
    if np.count_nonzero(good) < 3 * _WINDOWS[0] + degree:
        return nothing
    typical = float(np.median(errors[good]))
    scale = float(np.max(np.abs(values[good])))
    # No less than what single precision rounds to.
    noise = max(typical, smoothest_noise(values, good), 1e-6 * scale, 1e-12)
    x = np.linspace(-1, 1, n)
    smooth = np.asarray(np.polynomial.legendre.legvander(x, degree), np.float64)
    residual = _residual(values, smooth, good)
    if _is_quiet(residual[good] / noise):
        return nothing
    good = good & ~_contaminated(values, noise, good)
    found: list[_Feature] = []
    for _ in range(_MOST_FEATURES):
        model = np.column_stack([smooth, *(f.columns for f in found)])
        feature = _strongest(values, model, good, noise)
        if feature is None:
            break
        found.append(feature)
    # Each was found before the later ones were known.
    for number, feature in list(enumerate(found)) * 2:
        others = [f.columns for f in found if f is not found[number]]
        model = np.column_stack([smooth, *others])
        if feature.first is None:
            better = _transient(values, model, good, noise)
        else:
            better = _placed(found[number], values, model, good, noise)
        found[number] = better or found[number]
    bright = _bright_segments(found, values, smooth, good, noise)
    if bright.any():
        return find_structure(values, errors, good & ~bright, degree)
    return LineStructure(
        good=good,
        columns=np.column_stack([np.empty((n, 0)), *(f.columns for f in found)]),
        doubtful=np.any([np.zeros(n, np.bool_), *(f.unclear for f in found)], axis=0),
        jumps=sum(f.first is not None for f in found),
    )


@dataclass(frozen=True)
class _Feature:
    """A jump, by the first line behind it, or a transient (None)."""

    columns: Array
    first: int | None
    strength: float  # chi square that it explains
    unclear: Mask  # lines that may be on the other side of a jump


def _residual(values: Array, model: Array, good: Mask) -> Array:
    answer, *_ = np.linalg.lstsq(model[good], values[good], rcond=None)
    return np.where(good, values - model @ answer, 0.0)


def _is_quiet(pulls: Array) -> bool:
    """Whether neither lines nor means of neighbouring lines stand out."""
    sums = np.concatenate([[0.0], np.cumsum(pulls)])
    for width in (1, *_WINDOWS, 128):
        if width > pulls.size // 2:
            break
        means = (sums[width:] - sums[:-width]) / np.sqrt(width)
        if np.max(np.abs(means)) > _OUTLIER - 0.3:
            return False
    return True


def _contaminated(values: Array, noise: float, good: Mask) -> Mask:
    """Find lines above a running median, which follows jumps and transients."""
    index = np.flatnonzero(good)
    ordered = values[index]
    half = min(max(3, round(_SHARE * ordered.size)), (ordered.size - 1) // 2)
    # Reflected at its ends so that a slope goes on; what is on both sides cancels.
    padded = np.pad(ordered, half, mode="reflect", reflect_type="odd")
    excess = ordered - _running_median(padded, half)
    hit = excess > _OUTLIER * noise
    wide = hit.copy()
    for start, stop in _runs(hit):
        if np.max(excess[start:stop]) > _BRIGHT * noise:
            wide[stop : stop + _wing(excess[stop:], noise)] = True
            wide[max(0, start - _wing(excess[:start][::-1], noise)) : start] = True
    if np.count_nonzero(wide) > ordered.size // 2:
        wide = hit
    found = np.zeros(values.size, np.bool_)
    found[index[wide]] = True
    return found


def _wing(excess: Array, noise: float) -> int:
    """Count the lines from a bright one on that together still show its light."""
    width, count = _WINDOWS[1], 0
    limit = 2 * noise / np.sqrt(width)
    while count < excess.size and np.mean(excess[count : count + width]) > limit:
        count += width
    return count + width


def _running_median(padded: Array, half: int) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    # Of wide windows every few values say enough.
    return np.asarray(np.median(windows[:, :: max(1, half // 64)], axis=1), np.float64)


def _runs(mask: Mask) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _strongest(
    values: Array, model: Array, good: Mask, noise: float
) -> _Feature | None:
    """Find the jump or transient that explains most of what is left, if any does."""
    residual = _residual(values, model, good)
    candidates = []
    first = _jump(residual[good] / noise)
    if first is not None:
        line = int(np.flatnonzero(good)[first])
        columns = _step(values.size, line)[:, None]
        strength = _explained(columns, residual, model, good) / noise**2
        nowhere = np.zeros(values.size, np.bool_)
        candidates.append(_Feature(columns, line, strength, nowhere))
    transient = _transient(values, model, good, noise)
    if transient is not None:
        candidates.append(transient)
    return max(candidates, key=lambda f: f.strength, default=None)


def _step(n: int, first: int) -> Array:
    return (np.arange(n) >= first).astype(np.float64)


def _jump(pulls: Array) -> int | None:
    """Find the sharpest step in a sequence of noise 1."""
    sums = np.concatenate([[0.0], np.cumsum(pulls)])
    place = np.arange(2, pulls.size - 1)
    best, strength = None, _SIGNIFICANT
    for width in _WINDOWS:
        if 10 * width > pulls.size:
            break  # the contrasts of most lines would have to do with the jump
        before, after = np.minimum(place, width), np.minimum(pulls.size - place, width)
        contrast = (sums[place + after] - sums[place]) / after
        contrast -= (sums[place] - sums[place - before]) / before
        contrast /= np.sqrt(1 / before + 1 / after)
        # Noise that neighbours share makes contrasts large everywhere.
        spread = 1.4826 * float(np.median(np.abs(contrast - np.median(contrast))))
        contrast = np.abs(contrast) / max(1.0, spread)
        top = int(np.argmax(contrast))
        if contrast[top] > strength:
            best, strength = int(place[top]), float(contrast[top])
    return best


def _explained(columns: Array, residual: Array, model: Array, good: Mask) -> float:
    """Give the sum of squares that columns explain beyond a model."""
    basis, _ = np.linalg.qr(model[good])
    extra = columns[good] - basis @ (basis.T @ columns[good])
    answer, *_ = np.linalg.lstsq(extra, residual[good], rcond=None)
    return float(answer @ (extra.T @ residual[good]))


def _transient(
    values: Array, model: Array, good: Mask, noise: float
) -> _Feature | None:
    """Find an exponential at either end, with its derivative by its length."""
    n = values.size
    residual = _residual(values, model, good)
    distance = np.arange(n, dtype=np.float64)
    lengths = np.geomspace(1, max(n / 8, 2), max(2, round(np.log(n / 8) / 0.14)))
    basis, _ = np.linalg.qr(model[good])
    best: _Feature | None = None
    for far in (distance, distance[::-1]):
        decays = np.exp(-far[:, None] / lengths)
        extra = decays[good] - basis @ (basis.T @ decays[good])
        squares = np.maximum(np.sum(extra**2, axis=0), 1e-12)
        explained = (extra.T @ residual[good]) ** 2 / squares
        top = int(np.argmax(explained))
        length = float(lengths[top])
        near = good & (far < 3 * length + 3)
        local = float(np.sum(residual[near] ** 2))
        strength = float(explained[top])
        if strength > max(_SIGNIFICANT**2 * noise**2, 0.6 * local) and (
            best is None or strength / noise**2 > best.strength
        ):
            decay = decays[:, top]
            columns = np.column_stack([decay, far / length * decay])
            nowhere = np.zeros(n, np.bool_)
            best = _Feature(columns, None, strength / noise**2, nowhere)
    return best


def _bright_segments(
    found: list[_Feature], values: Array, smooth: Array, good: Mask, noise: float
) -> Mask:
    """Find segments between jumps that are lit, so far above the others they are."""
    n = values.size
    bright = np.zeros(n, np.bool_)
    jumps = sorted(
        (f for f in found if f.first is not None), key=lambda f: f.first or 0
    )
    if not jumps:
        return bright
    others = [f.columns for f in found if f.first is None]
    steps = [f.columns for f in jumps]
    model = np.column_stack([*steps, smooth, *others])
    answer, *_ = np.linalg.lstsq(model[good], values[good], rcond=None)
    heights = answer[: len(jumps)]
    places = [0, *(f.first or 0 for f in jumps), n]
    for k, (start, stop) in enumerate(pairwise(places)):
        above = [heights[k - 1]] if k else []
        above += [-heights[k]] if k < len(heights) else []
        if min(above) > _BRIGHT * noise and stop - start < n // 3:
            bright[start:stop] = True
    return bright & good


def _placed(
    feature: _Feature, values: Array, model: Array, good: Mask, noise: float
) -> _Feature:
    """Find the best place of a jump, and the lines of which the side is not clear."""
    assert feature.first is not None
    n = values.size
    residual = _residual(values, model, good)
    lines = np.arange(
        max(1, feature.first - _WINDOWS[-1]), min(n, feature.first + _WINDOWS[-1] + 1)
    )
    steps = np.arange(n)[:, None] >= lines
    basis, _ = np.linalg.qr(model[good])
    extra = steps[good] - basis @ (basis.T @ steps[good])
    squares = np.maximum(np.sum(extra**2, axis=0), 1e-12)
    chi2 = (extra.T @ residual[good]) ** 2 / squares / noise**2
    best = int(np.argmax(chi2))
    # Places that explain as much, within three standard deviations.
    possible = lines[chi2 > chi2[best] - 9]
    unclear = np.zeros(n, np.bool_)
    unclear[possible.min() : possible.max()] = True
    first = int(lines[best])
    columns = _step(n, first)[:, None]
    return _Feature(columns, first, float(chi2[best]), unclear)
