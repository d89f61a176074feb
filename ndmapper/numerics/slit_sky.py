"""
The sky in spectra of a slit, fitted before they are rectified.

Arrays have the slit along axis 0 and the dispersion along axis 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["SlitSky", "find_sky_rows", "fit_columns", "fit_spline", "variance_of_model"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ORDER = 4  # of cubic splines
_ROUNDS = 6
_STIFF = 1e-7
"""Weight of the second differences of coefficients, against that of the data."""
_SHIFT = 0.05
"""Outliers differ by more than a sky that is shifted by this [pixel] would."""
_BLOCKS = 12
_OBJECT = 3.5
"""Rows are an object's from so many standard deviations on."""
_GROWN = 2
_TALL = 0.7
"""An object covers at most this part of the slit."""


@dataclass(frozen=True, kw_only=True)
class SlitSky:
    """Sky that was fitted to an image."""

    level: Array  # NaN where nothing tells it
    variance: Array  # of the level
    used: Mask  # pixels that the fit was made of


def variance_of_model(data: Array, variance: Array, model: Array, good: Mask) -> Array:
    """
    Replace what the counts of a pixel add to its variance by what a model adds.

    Weights that come from a pixel's own counts favour the low ones. How much of the
    variance is due to counts tell pixels that are neighbours.
    """
    slope = _photon_slope(data, variance, good)
    base = variance - slope * np.maximum(data, 0)
    least = 0.05 * float(np.median(variance[good])) if good.any() else 0.0
    return np.maximum(base + slope * np.maximum(model, 0), least)


def _photon_slope(data: Array, variance: Array, good: Mask) -> float:
    """Measure by how much the variance rises with the counts."""
    both = good[:, 1:] & good[:, :-1]
    levels = np.where(data > 0, data, 0)
    rise = np.diff(levels, axis=1)[both]
    if rise.size == 0:
        return 0.0
    far = np.abs(rise) >= np.median(np.abs(rise))
    far &= rise != 0
    if not far.any():
        return 0.0
    found = np.median(np.diff(variance, axis=1)[both][far] / rise[far])
    return max(float(found), 0.0)


def find_sky_rows(
    data: Array, variance: Array, good: Mask, model: Array | None = None
) -> Mask:
    """
    Tell the pixels of the sky from those of objects, by their sums along blocks.

    Objects may move along the slit with the wavelength, and fill up to two thirds of
    the slit. Without a model of the sky, that is the median of each column.
    """
    n, columns = data.shape
    if model is None:
        model = _nanmedian(np.where(good, data, np.nan))
    good = good & np.isfinite(model)
    residual = np.where(good, data - model, 0.0)
    # Columns of a line that is tilted scatter more than their noise.
    scatter = _nanmedian(np.where(good, np.abs(residual), np.nan)) * 1.4826
    spread2 = np.maximum(variance, scatter**2)
    weight = np.where(good, 1 / np.maximum(spread2, 1e-30), 0.0)
    sky = good.copy()
    count = min(_BLOCKS, max(columns // 32, 1))
    for first, last in pairwise(np.linspace(0, columns, count + 1).astype(int)):
        block = slice(first, last)
        total = np.sum(weight[:, block], axis=1)
        known = total > 0
        if np.count_nonzero(known) < 3:
            continue
        profile = np.sum((weight * residual)[:, block], axis=1)
        profile = np.divide(profile, total, out=np.zeros(n), where=known)
        noise = np.sqrt(1 / np.maximum(total, 1e-30))
        is_object = np.zeros(n, bool)
        for _ in range(_ROUNDS):
            rest = known & ~is_object
            level = np.median(profile[rest])
            spread = max(_sigma(profile[rest]), float(np.median(noise[rest])))
            found = known & (profile - level > _OBJECT * spread)
            found = _grown(found, _GROWN)
            if np.array_equal(found, is_object):
                break
            if np.count_nonzero(found) > _TALL * np.count_nonzero(known):
                break
            is_object = found
        sky[is_object, block] = False
    return sky


def fit_columns(
    data: Array, variance: Array, good: Mask, *, degree: int = 0, clip: float = 5.0
) -> SlitSky:
    """Fit a polynomial along the slit to the pixels of each column."""
    n = len(data)
    slit = np.linspace(-1, 1, n)
    basis = np.polynomial.legendre.legvander(slit, degree)

    def solve(weight: Array) -> tuple[Array, Array]:
        matrix = np.einsum("rc,ri,rj->cij", weight, basis, basis, optimize=True)
        right = np.einsum("rc,ri->ci", weight * np.where(good, data, 0), basis)
        known = np.sum(weight > 0, axis=0) > degree
        matrix[~known] = np.eye(degree + 1)
        inverse = np.linalg.pinv(matrix, hermitian=True)
        values = np.einsum("cij,cj->ci", inverse, right)
        level = basis @ values.T
        error = np.einsum("ri,cij,rj->rc", basis, inverse, basis, optimize=True)
        level[:, ~known] = np.nan
        error[:, ~known] = np.nan
        return level, error

    return _fit(data, variance, good, solve, clip)


def fit_spline(
    data: Array,
    variance: Array,
    good: Mask,
    wavelengths: Array,
    *,
    spacing: float = 1.0,
    degree: int = 0,
    clip: float = 5.0,
) -> SlitSky:
    """
    Fit a spline in the wavelength, whose coefficients are polynomials along the slit.

    The pixels are neither binned nor interpolated: where lines are tilted, the rows
    sample them at many places within a pixel (Kelson 2003, PASP 115, 688). `spacing` is
    that of the knots [pixel].
    """
    from scipy.linalg import cho_solve_banded, cholesky_banded

    n = len(data)
    known = np.isfinite(wavelengths)
    place = _in_pixels(np.where(known, wavelengths, np.nan))
    start = float(np.nanmin(place))
    at = np.where(known, (place - start) / spacing, 0.0)
    first = np.floor(at).astype(np.intp)
    knots = int(np.max(first)) + _ORDER
    cubic = _cubic(at - first)
    slit = np.polynomial.legendre.legvander(np.linspace(-1, 1, n), degree)
    terms = degree + 1
    wide = _ORDER * terms
    size = knots * terms
    usable = good & known

    def design(part: int) -> Array:
        spline, power = divmod(part, terms)
        return np.asarray(cubic[spline] * slit[:, power][:, np.newaxis])

    def solve(weight: Array) -> tuple[Array, Array]:
        flat = first.ravel()
        banded = np.zeros((wide, size))
        right = np.zeros((knots, terms))
        target = weight * np.where(usable, data, 0)
        rows = [design(part) for part in range(wide)]
        for i, one in enumerate(rows):
            spline, power = divmod(i, terms)
            sums = np.bincount(flat, (target * one).ravel(), knots)
            right[spline:, power] += sums[: knots - spline]
            weighted = weight * one
            for j in range(i, wide):
                # The entry (first * terms + j, first * terms + i).
                sums = np.bincount(flat, (weighted * rows[j]).ravel(), knots)
                columns_of = np.arange(knots) * terms + i
                inside = columns_of < size
                banded[j - i, columns_of[inside]] += sums[inside]
        _stiffen(banded, terms, knots)
        factor = cholesky_banded(banded, lower=True)
        values = cho_solve_banded((factor, True), right.ravel()).reshape(knots, terms)
        covariance = _band_of_inverse(factor, wide)
        level, error = np.zeros(data.shape), np.zeros(data.shape)
        for i, one in enumerate(rows):
            spline, power = divmod(i, terms)
            level += one * values[np.minimum(first + spline, knots - 1), power]
            for j in range(i, wide):
                entry = covariance[j - i][np.minimum(first * terms + i, size - 1)]
                error += (1 if i == j else 2) * one * rows[j] * entry
        # Between knots that nothing is near, the spline is a guess.
        told = np.bincount(flat, (weight > 0).ravel(), knots)[first] > 0
        told &= known
        return np.where(told, level, np.nan), np.where(told, error, np.nan)

    slope = np.gradient(place, axis=1)
    return _fit(data, variance, usable, solve, clip, scale=slope)


def _fit(  # noqa: PLR0917
    data: Array,
    variance: Array,
    good: Mask,
    solve: Callable[[Array], tuple[Array, Array]],
    clip: float,
    scale: Array | None = None,
) -> SlitSky:
    """Fit, reject outliers, and weigh by the variance of the model, until all agree."""
    used = good.copy()
    typical = float(np.median(variance[good])) if good.any() else 1.0
    noise = np.full(data.shape, typical)
    level = error = np.full(data.shape, np.nan)
    for number in range(_ROUNDS):
        level, error = solve(np.where(used, 1 / noise, 0.0))
        told = np.isfinite(level)
        filled = np.where(told, level, 0.0)
        noise = variance_of_model(data, variance, filled, good)
        if number == 0:
            continue  # these weights were all alike
        gradient = np.gradient(filled, axis=1)
        tolerated = noise + (_SHIFT * gradient) ** 2
        residual = np.where(good & told, data - filled, 0.0)
        kept = good & (residual**2 <= clip**2 * tolerated)
        if np.array_equal(kept, used):
            break
        used = kept
    return SlitSky(level=level, variance=error, used=used & np.isfinite(level))


def _in_pixels(wavelengths: Array) -> Array:
    """Give the column of the middle row that has the wavelength of each pixel."""
    reference = wavelengths[wavelengths.shape[0] // 2]
    columns = np.arange(reference.size, dtype=float)
    known = np.isfinite(reference)
    x, y = reference[known], columns[known]
    found = np.interp(wavelengths, x, y)
    for end, slope in ((0, (y[1] - y[0]) / (x[1] - x[0])),
                       (-1, (y[-1] - y[-2]) / (x[-1] - x[-2]))):  # fmt: skip
        beyond = wavelengths < x[0] if end == 0 else wavelengths > x[-1]
        found = np.where(beyond, y[end] + slope * (wavelengths - x[end]), found)
    return np.where(np.isfinite(wavelengths), found, np.nan)


def _cubic(t: Array) -> list[Array]:
    """Evaluate the four cubic B-splines of uniform knots that are not 0 at a place."""
    return [
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    ]


def _stiffen(banded: Array, terms: int, knots: int) -> None:
    """Add a little of the second differences, so that gaps are bridged."""
    diagonal = banded[0]
    strength = _STIFF * float(np.mean(diagonal)) + 1e-300
    for one in range(terms):
        index = np.arange(knots - 2) * terms + one
        for a, left in enumerate((1.0, -2.0, 1.0)):
            for b, right in enumerate((1.0, -2.0, 1.0)):
                if b >= a:
                    banded[(b - a) * terms, index + a * terms] += (
                        strength * left * right
                    )
    banded[0] += 1e-6 * strength


def _band_of_inverse(factor: Array, wide: int, chunk: int = 256) -> list[Array]:
    """Give the diagonals of the inverse of a matrix that are as near as its own."""
    from scipy.linalg import cho_solve_banded

    size = factor.shape[1]
    found = [np.zeros(size) for _ in range(wide)]
    for start in range(0, size, chunk):
        stop = min(start + chunk, size)
        unit = np.zeros((size, stop - start))
        unit[np.arange(start, stop), np.arange(stop - start)] = 1
        inverse = cho_solve_banded((factor, True), unit)
        for k in range(wide):
            index = np.arange(start, min(stop, size - k))
            found[k][index] = inverse[index + k, index - start]
    return found


def _sigma(values: Array) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _grown(marked: Mask, by: int) -> Mask:
    grown = marked.copy()
    for shift in range(1, by + 1):
        grown[shift:] |= marked[:-shift]
        grown[:-shift] |= marked[shift:]
    return grown


def _nanmedian(values: Array) -> Array:
    """Take the median of each column; 0 where there is none."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.sum(np.isfinite(ordered), axis=0)
    index = np.arange(values.shape[1])
    low = ordered[np.maximum(count - 1, 0) // 2, index]
    high = ordered[np.minimum(count // 2, values.shape[0] - 1), index]
    return np.where(count > 0, (low + high) / 2, 0.0)
