"""The level of an overscan strip, constant or along the readout."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.line_levels import LineStructure, find_structure, smoothest_noise
from ndmapper.numerics.statistics import clip_scatter, median_variance_factor

__all__ = ["OverscanLevel", "OverscanMethod", "measure_overscan", "overscan_level"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

OverscanMethod = Literal["mean", "median", "row", "polynomial", "chebyshev", "spline"]
"""How a level is taken from an overscan strip."""

_MAX_ITERATIONS = 10

_FEWEST = 3
"""So many lines of one pixel tell their noise, by the differences of neighbours."""
_OUTLIER = 5.0
"""Lines so many standard deviations off the fit are left out of it."""
_DRIFT = 3
"""Degree of a drift that is not taken for noise of the lines."""
_SURE = 2.5
"""Noise that lines share counts from so many standard deviations on."""


@dataclass(frozen=True, kw_only=True)
class OverscanLevel:
    """
    The level that an overscan strip shows.

    Parameters
    ----------
    level : ndarray of float
        The level [adu], of a shape that broadcasts against the image: ``(1, 1)``
        where it is constant, else ``(ny, 1)`` or ``(1, nx)``.
    variance : ndarray of float
        Its variance [adu**2], of the same shape.
    doubtful : ndarray of bool
        Lines whose level is less certain than their variance says; same shape.
    shared : float
        Standard deviation of the lines about a smooth level, beyond the noise of their
        pixels [adu]: noise that the pixels of a line share. It is part of the variance.
    drift : float
        Standard deviation of a smooth drift that the method does not follow [adu]. It
        is no part of the variance, since it may be the same in every frame, but of
        `shared` as far as it is no larger than other noise of lines.
    scatter : float
        Standard deviation of the pixels of a line [adu].
    left_out : int
        Lines into which light bleeds.
    jumps : int
        Steps of the level.
    """

    level: Array
    variance: Array
    doubtful: Mask
    shared: float = 0.0
    drift: float = 0.0
    scatter: float = 0.0
    left_out: int = 0
    jumps: int = 0


def overscan_level(
    strip: npt.ArrayLike,
    method: str = "mean",
    *,
    degree: int = 3,
    knots: int = 10,
    clip: float = 4.0,
    readout_axis: int = 0,
) -> tuple[Array, Array]:
    """Give level and variance of `measure_overscan` alone."""
    found = measure_overscan(
        strip, method, degree=degree, knots=knots, clip=clip, readout_axis=readout_axis
    )
    return found.level, found.variance


def measure_overscan(
    strip: npt.ArrayLike,
    method: str = "mean",
    *,
    degree: int = 3,
    knots: int = 10,
    clip: float = 4.0,
    readout_axis: int = 0,
    follow: bool = True,
) -> OverscanLevel:
    """
    Measure the bias level that an overscan strip shows.

    Parameters
    ----------
    strip : array_like, shape (ny, nx)
        The overscan pixels of one amplifier [adu].
    method : str
        ``'mean'``: one clipped mean; ``'median'``: one median, which integer pixels
        quantise; ``'polynomial'`` or ``'chebyshev'``: a polynomial along the readout,
        for a level that drifts; ``'spline'``: a cubic spline, likewise; ``'row'``: the
        mean of each line, for a level that changes from one to the next.
    degree : int
        Degree of the polynomial.
    knots : int
        Inner knots of the spline.
    clip : float
        Pixels further than this many standard deviations from the level of their line
        are left out.
    readout_axis : int
        The axis along which the level drifts: 0 where the strip has columns beside
        the image, 1 where it has rows above or below it.
    follow : bool
        Whether jumps and transients of the level are followed; not where the strip
        does not run along the image.

    Returns
    -------
    OverscanLevel
        The level, by any method without the lines into which light bleeds, and with
        jumps and an exponential at either end where there are any.

    Raises
    ------
    ValueError
        If the strip is not two-dimensional, holds too few finite pixels to tell their
        noise, or has fewer rows than the fit has coefficients, or the method is
        unknown.
    """
    pixels = np.asarray(strip, dtype=np.float64)
    if pixels.ndim != 2 or pixels.size == 0:
        msg = f"an overscan strip has shape (ny, nx), not {pixels.shape}"
        raise ValueError(msg)
    if method not in get_args(OverscanMethod):
        msg = f"overscan method {method!r} is not one of {get_args(OverscanMethod)}"
        raise ValueError(msg)
    lines = _lines(pixels if readout_axis == 0 else pixels.T, clip)
    least = degree if method in ("polynomial", "chebyshev") else 0
    structure = find_structure(lines.mean, lines.error, lines.good, max(3, least))
    if not follow:
        structure = LineStructure(
            good=structure.good,
            columns=structure.columns[:, :0],
            doubtful=np.zeros_like(structure.doubtful),
            jumps=0,
        )
    basis = _basis(
        lines, structure, "spline" if method == "row" else method, degree, knots
    )
    smooth = basis
    if follow and lines.mean.size > 3 * _DRIFT:
        smooth = _basis(lines, structure, "polynomial", _DRIFT, knots)
    fit = _fit(lines, structure, basis, smooth)
    level, variance = fit.level, fit.variance
    if method == "median":
        level, variance = _median(lines, structure, fit)
    if method == "row":
        level = np.where(structure.good, lines.mean, level)
        variance = np.where(structure.good, lines.error**2, variance)
    is_constant = method in ("mean", "median") and not structure.columns.size
    part = slice(0, 1) if is_constant else slice(None)
    shape = (-1, 1) if readout_axis == 0 else (1, -1)
    return OverscanLevel(
        level=level[part].reshape(shape),
        variance=variance[part].reshape(shape),
        doubtful=structure.doubtful[part].reshape(shape),
        shared=0.0 if method == "row" else fit.shared,
        drift=0.0 if method == "row" else fit.drift,
        scatter=lines.scatter,
        left_out=int(np.sum(lines.good & ~structure.good)),
        jumps=structure.jumps,
    )


@dataclass(frozen=True, kw_only=True)
class _Lines:
    """The lines of a strip: its pixels, and mean and error of each line."""

    pixels: Array
    used: Mask  # pixels
    mean: Array
    error: Array
    scatter: float  # standard deviation of the pixels of a line
    good: Mask  # lines


def _lines(pixels: Array, clip: float) -> _Lines:
    """Find mean and error of each line, without the pixels that stand out in it."""
    used = np.isfinite(pixels)
    good = np.asarray(used.any(axis=1), np.bool_)
    if not good.any():
        msg = "no finite value to make statistics of"
        raise ValueError(msg)
    middle = np.zeros((pixels.shape[0], 1))
    if used.all():
        # Sorting many short lines is faster than to partition each of them.
        ordered, half = np.sort(pixels, axis=1), pixels.shape[1] // 2
        middle[:, 0] = (ordered[:, (pixels.shape[1] - 1) // 2] + ordered[:, half]) / 2
    else:
        middle[good, 0] = np.nanmedian(np.where(used, pixels, np.nan)[good], axis=1)
    if pixels.shape[1] > 2:
        residual = pixels - middle
        limit = clip * clip_scatter(residual[used], clip).std()
        used &= np.abs(residual) <= max(limit, 1e-9)
        good = np.asarray(used.any(axis=1), np.bool_)
    count = used.sum(axis=1)
    known = np.maximum(count, 1)
    mean = np.where(used, pixels - middle, 0).sum(axis=1) / known + middle[:, 0]
    residual = np.where(used, pixels - mean[:, None], 0)
    # What columns differ by is the same in every line, and no noise of these.
    columns = used.sum(axis=0)
    if len(pixels) == 1:
        columns = np.ones(1, np.intp)  # one line does not tell what they differ by
    else:
        residual -= residual.sum(axis=0) / np.maximum(columns, 1)
    free = int(count.sum()) - np.count_nonzero(good) - np.count_nonzero(columns) + 1
    if free <= 0 and np.count_nonzero(good) < _FEWEST:
        msg = (
            f"{int(count.sum())} finite pixels do not tell how noisy they are, nor "
            "the error of the level"
        )
        raise ValueError(msg)
    if free > 0:
        sigma = float(np.sqrt(np.sum(residual[used] ** 2) / free))
    else:
        sigma = smoothest_noise(mean, good)
    return _Lines(
        pixels=pixels,
        used=used,
        mean=mean,
        error=sigma / np.sqrt(known),
        scatter=sigma,
        good=good,
    )


def _basis(
    lines: _Lines, structure: LineStructure, method: str, degree: int, knots: int
) -> Array:
    """Give the functions of the line that a method fits."""
    n = lines.mean.size
    x = np.linspace(-1, 1, n)
    if method == "spline":
        inside = np.linspace(0, 1, knots + 2)[1:-1]
        # Among lines that say something, so that no piece is without any. Beyond the
        # last of them a cubic would soon be far off.
        known = x[structure.good]
        x = np.clip(x, np.min(known), np.max(known))
        return _spline_basis(x, np.quantile(known, inside))
    if method in ("mean", "median"):
        return np.ones((n, 1))
    if degree < 0 or np.count_nonzero(structure.good) <= degree:
        msg = (
            f"a polynomial of degree {degree} cannot be fitted to an overscan strip "
            f"of {n} rows along the readout"
        )
        raise ValueError(msg)
    make = np.polynomial.chebyshev.chebvander
    if method == "polynomial":
        make = np.polynomial.legendre.legvander
    return np.asarray(make(x, degree), np.float64)


def _spline_basis(x: Array, inner: Array, degree: int = 3) -> Array:
    """Give the B-splines of some inner knots, by the recursion of Cox and de Boor."""
    first, last = x[:1], x[-1:]
    knots = np.concatenate(
        [np.repeat(first, degree + 1), inner, np.repeat(last, degree + 1)]
    )
    piece = np.clip(
        np.searchsorted(knots, x, "right") - 1, degree, len(knots) - degree - 2
    )
    basis = (np.arange(len(knots) - 1) == piece[:, None]).astype(np.float64)
    for k in range(1, degree + 1):
        number = np.arange(len(knots) - 1 - k)
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = (x[:, None] - knots[number]) / (knots[number + k] - knots[number])
            fall = (knots[number + k + 1] - x[:, None]) / (
                knots[number + k + 1] - knots[number + 1]
            )
        rise, fall = np.nan_to_num(rise, posinf=0), np.nan_to_num(fall, posinf=0)
        basis = rise * basis[:, :-1] + fall * basis[:, 1:]
    return np.asarray(basis, np.float64)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    level: Array
    variance: Array  # of the level of a line
    shared: float  # standard deviation of lines beyond the noise of their pixels
    drift: float  # standard deviation of smooth changes that the level leaves
    structure: Array  # of the level, what jumps and transients make
    good: Mask  # lines


def _fit(lines: _Lines, structure: LineStructure, basis: Array, smooth: Array) -> _Fit:
    """
    Fit the levels of lines by a basis, jumps and transients, with rejection.

    What lines scatter by is told from the fit of a smooth basis, so that a drift which
    a constant does not follow is no noise: it may be the same in every frame.
    """
    model = np.column_stack([basis, structure.columns])
    free_model = np.column_stack([basis, smooth, structure.columns])
    good, pixel_variance = structure.good, lines.error**2
    # Noise that is common to the pixels of a line, found from the residuals.
    shared = 0.0
    for _ in range(_MAX_ITERATIONS):
        root = 1 / np.sqrt(np.maximum(pixel_variance + shared, 1e-18))[good]
        target = lines.mean[good] * root
        wide, _, rank, _ = np.linalg.lstsq(
            free_model[good] * root[:, None], target, rcond=None
        )
        residual = lines.mean - free_model @ wide
        free: int = max(int(np.count_nonzero(good)) - int(rank), 1)
        mean = float(np.mean(pixel_variance[good]))
        excess = float(np.sum(residual[good] ** 2)) / free - mean
        spread = 1.4826 * float(np.median(np.abs(residual[good])))
        limit = _OUTLIER * np.maximum(np.sqrt(pixel_variance), max(spread, 1e-9))
        new = structure.good & (np.abs(residual) <= limit)
        last = shared
        shared = excess if excess > _SURE * mean * np.sqrt(2 / free) else 0.0
        if np.array_equal(new, good) and abs(shared - last) <= 1e-3 * (mean + shared):
            break
        if np.count_nonzero(new) > free_model.shape[1]:
            good = new
    variance = np.maximum(pixel_variance + shared, 1e-18)[good]
    root = 1 / np.sqrt(variance)
    answer, *_ = np.linalg.lstsq(
        model[good] * root[:, None], lines.mean[good] * root, rcond=None
    )
    normal = model[good].T @ (model[good] / variance[:, None])
    covariance = np.linalg.pinv(normal, hermitian=True)
    level = model @ answer
    drift = float(np.std((free_model @ wide - level)[good]))
    # Where lines share noise, a drift of that size is likely to be of it.
    shared += min(drift**2, shared)
    return _Fit(
        level=level,
        variance=((model @ covariance) * model).sum(axis=1) + shared,
        shared=float(np.sqrt(shared)),
        drift=drift,
        structure=structure.columns @ answer[basis.shape[1] :],
        good=good,
    )


def _median(lines: _Lines, structure: LineStructure, fit: _Fit) -> tuple[Array, Array]:
    """Take the median of the pixels about what jumps and transients make."""
    used = lines.used & fit.good[:, None]
    values = (lines.pixels - fit.structure[:, None])[used]
    count = values.size
    # The variance of the fit is that of a mean, and a median has more.
    more = (median_variance_factor(count) - 1) * lines.scatter**2 / count
    variance = fit.variance + more
    raw = lines.pixels[used]
    if np.array_equal(raw, np.rint(raw)):
        if structure.columns.size:
            # Several grids lie over each other; spread over a step, they are none.
            values += np.random.default_rng(0).uniform(-0.5, 0.5, count)
        else:
            variance += 1 / 12  # the median of integers is one
    return float(np.median(values)) + fit.structure, variance
