"""The response of a spectrograph along the dispersion, from the light of a lamp."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Response", "fit_response"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LEAST_COLUMN = 5.0
"""Signal to noise of the mean of a column from which on it is fitted."""

_LIMIT = 5.0
"""A column is missed from so many standard deviations on."""

_SPLIT = 3.0
"""Root mean square of the residuals from which on an interval is split [sigma]."""

_SHORTEST = 1.5
"""Intervals between knots are not split below this [pixel]."""

_FINE = 1 / 5
"""Lamps with structure that needs knots closer than this part of those asked for have
columns that are flagged."""

_ROUNDS = 40


@dataclass(frozen=True)
class Response:
    """Response along the dispersion, its relative variance, and what is doubtful."""

    values: Array
    relative_variance: Array
    # Columns where the lamp has structure that is finer than the knots, or is missed.
    missed: Mask
    # Columns that have too little light to be fitted.
    dark: Mask


def fit_response(mean: Array, error: Array, *, knot_spacing: float = 30.0) -> Response:
    """
    Fit a spline to the logarithm of the mean light of each column of a lamp.

    Notes
    -----
    In the logarithm a lamp that fades is as easy to follow as one that is bright. The
    knots are `knot_spacing` apart, and closer where the lamp has an edge or a line that
    such a spline would miss, so that the rest is not bent by it; these columns are
    told. One or two columns that are off are those of the detector, and are left out.
    The errors are those of the columns, raised to the scatter from column to column.
    """
    from scipy.ndimage import binary_opening, binary_propagation

    x = np.arange(mean.size, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        usable = np.isfinite(mean) & (error > 0) & (mean > _LEAST_COLUMN * error)
    if np.count_nonzero(usable) < 4:
        msg = (
            f"the flat is lit at {np.count_nonzero(usable)} pixels along the "
            "dispersion, and a response needs 4"
        )
        raise ValueError(msg)
    y = np.log(np.where(usable, mean, 1.0))
    sigma = np.where(usable, error / np.where(usable, mean, 1), 1.0)
    sigma = sigma * _scatter(y, sigma, usable)
    first, last = x[usable][[0, -1]]
    edges = np.linspace(first, last, max(1, round((last - first) / knot_spacing)) + 1)
    single = np.zeros(mean.size, np.bool_)
    for _ in range(_ROUNDS):
        fitted = usable & ~single
        values, variance = _spline(x, y, sigma, fitted, edges)
        off = np.where(usable, (y - values) / sigma, 0)
        new = _single(off)
        split = _split(x, np.where(new, 0, off), usable, edges)
        if split.size == edges.size and np.array_equal(new, single):
            break
        edges, single = split, new
    short = np.diff(edges) < _FINE * min(knot_spacing, (last - first))
    where = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, short.size - 1)
    # Fewer than three columns in a row that are off are those of the detector.
    wide = binary_opening((np.abs(off) > _LIMIT) & usable, np.ones(3))
    missed = short[where] | wide
    # What is off beside an edge is so because of it, be it a single column.
    beside = missed | (usable & (np.abs(off) > _LIMIT / 2))
    missed = np.asarray(binary_propagation(missed, np.ones(5), beside), np.bool_)
    # Between two fringes are fringes.
    missed = _without_gaps(missed, round(knot_spacing)) & usable
    # Beyond the light the response stays as it is at its end.
    values = np.interp(x, x[fitted], values[fitted])
    variance = np.interp(x, x[fitted], variance[fitted])
    dark = ~usable & ~np.isnan(mean)
    return Response(np.exp(values), variance, missed, dark)


def _without_gaps(where: Mask, size: int) -> Mask:
    """Fill gaps that are at most of a size."""
    at = np.flatnonzero(where)
    result = where.copy()
    for i in np.flatnonzero(np.diff(at) <= size + 1).tolist():
        result[at[i] : at[i + 1]] = True
    return result


def _scatter(y: Array, sigma: Array, usable: Mask) -> float:
    """Scatter from column to column, beyond what is smooth, in units of the errors."""
    if y.size < 8:
        return 1.0
    # Third differences: noise of sigma has one of sqrt(20) sigma.
    step = np.diff(y, 3)
    known = np.lib.stride_tricks.sliding_window_view(usable, 4).all(axis=1)
    width = np.sqrt(np.lib.stride_tricks.sliding_window_view(sigma**2, 4).mean(axis=1))
    if not known.any():
        return 1.0
    typical = np.median(np.abs(step[known]) / width[known])
    return float(max(1.0, 1.4826 * typical / np.sqrt(20)))


def _spline(
    x: Array, y: Array, sigma: Array, used: Mask, edges: Array
) -> tuple[Array, Array]:
    """Fit a cubic spline, and give it and its variance at each column."""
    from scipy.interpolate import BSpline

    knots = np.concatenate([[edges[0]] * 3, edges, [edges[-1]] * 3])
    inside = np.clip(x, edges[0], edges[-1])
    basis = BSpline.design_matrix(inside, knots, 3).toarray()
    weighted = basis[used] / sigma[used, None]
    normal = weighted.T @ weighted
    # Intervals without a column get what is around them: hardly any third difference.
    bend = np.diff(np.eye(normal.shape[0]), min(3, normal.shape[0] - 1), axis=0)
    normal += 1e-9 * np.mean(np.diag(normal)) * (bend.T @ bend)
    normal += 1e-13 * np.mean(np.diag(normal)) * np.eye(normal.shape[0])
    covariance = np.linalg.inv(normal)
    answer = covariance @ (weighted.T @ (y[used] / sigma[used]))
    variance = np.einsum("xi,ij,xj->x", basis, covariance, basis, optimize=True)
    return np.asarray(basis @ answer), np.asarray(variance)


def _single(off: Array) -> Mask:
    """Tell one or two columns that are off, twice as much as those beside them."""
    size = np.pad(np.abs(off), 2)
    columns = np.arange(off.size) + 2
    result = np.zeros(size.size, np.bool_)
    for width in (1, 2):
        inner = np.minimum(size[columns], size[columns + width - 1])
        outer = np.maximum(
            size[columns - 1], size[np.minimum(columns + width, off.size + 3)]
        )
        found = (inner > _LIMIT) & (inner > 2 * outer)
        for k in range(width):
            result[columns[found] + k] = True
    return result[2:-2]


def _split(x: Array, off: Array, usable: Mask, edges: Array) -> Array:
    """Halve the intervals that are missed most, which bend the fit beside them."""
    where = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, edges.size - 2)
    count = np.bincount(where[usable], minlength=edges.size - 1)
    squares = np.bincount(
        where[usable], weights=off[usable] ** 2, minlength=edges.size - 1
    )
    rms = np.sqrt(squares / np.maximum(count, 1))
    may = (np.diff(edges) >= 2 * _SHORTEST) & (count > 1)
    worst = np.max(rms, where=may, initial=0)
    chosen = may & (rms > max(_SPLIT, worst / 3))
    middle = (edges[:-1] + edges[1:])[chosen] / 2
    return np.asarray(np.sort(np.concatenate([edges, middle])))
