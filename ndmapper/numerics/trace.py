"""Where the spectra of objects lie along a slit, from column to column."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.robust import fit_linear

__all__ = ["SlitProfiles", "Trace", "find_traces", "slit_profiles"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LEAST_SNR = 5.0
"""A bin of columns with less than this tells no position."""
_LEAST_SHARE = 0.2
"""A spectrum that is followed from bin to bin is seen in this part of them."""
_REACH = 1.5
"""A position is fitted within so many FWHM of it."""
_WIDTH_DEGREE = 2
_WIDTH_ERROR = 0.1
"""Widths that are less certain at the ends, of the width, tell no slope."""
_CROWDED = 3.0
"""Spectra that are nearer to each other are fitted together [FWHM]."""
_DARK, _OF_NOISE = (5, 20), 0.803
"""Percentiles of the darkest rows, and how far apart they are for normal noise of 1."""
_SIGMA = 1 / np.sqrt(8 * np.log(2))


@dataclass(frozen=True, kw_only=True)
class SlitProfiles:
    """
    Profiles along the slit, of bins of columns.

    Parameters
    ----------
    columns : ndarray of float, shape (bins,)
        The middle of each bin [pixel].
    values, variance : ndarray of float, shape (ny, bins)
        Mean of the columns of each bin, without its background, and its variance. NaN
        where no pixel is good.
    n_columns : int
        Number of columns of the frame.
    """

    columns: Array
    values: Array
    variance: Array
    n_columns: int

    def bin(self, number: int) -> tuple[Array, Array]:
        """Give the profile of a bin, and its variance."""
        return self.values[:, number], self.variance[:, number]

    def on_bins(self, coefficients: Array) -> Array:
        """Evaluate Legendre coefficients, as traces have them, in the bins."""
        return _legendre(self.columns, self.n_columns, len(coefficients)) @ coefficients

    def straightened(self, shape: Array) -> tuple[Array, Array]:
        """Average the bins after each is shifted down the slit by its `shape`."""
        n = len(self.values)
        rows = np.arange(n, dtype=np.float64)
        values, variance = np.full((2, *self.values.shape), np.nan)
        for number, shift in enumerate(shape):
            known = np.isfinite(self.values[:, number])
            if known.sum() > 1:
                places = rows + shift
                inside = (places >= 0) & (places <= n - 1)
                for target, source in (
                    (values, self.values[:, number]),
                    (variance, self.variance[:, number]),
                ):
                    shifted = np.interp(places, rows[known], source[known])
                    target[:, number] = np.where(inside, shifted, np.nan)
        return _weighted_mean(values, variance)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """
    Position and width of a spectrum along the slit, by column.

    Parameters
    ----------
    coefficients : ndarray of float
        Legendre coefficients of the position [pixel], over all columns.
    fwhm_coefficients : ndarray of float
        Legendre coefficients of the FWHM [pixel].
    rms : float
        Standard deviation of the measured positions about the trace [pixel]; NaN where
        only its offset from another trace was measured.
    snr : float
        Signal-to-noise ratio of all columns together.
    columns, positions : ndarray of float, shape (n,)
        Where the position was measured, and what it is [pixel].
    kept : ndarray of bool, shape (n,)
        Which of them are no outliers.
    """

    coefficients: Array
    fwhm_coefficients: Array
    rms: float = np.nan
    snr: float = np.nan
    columns: Array = field(default_factory=lambda: np.zeros(0))
    positions: Array = field(default_factory=lambda: np.zeros(0))
    kept: Mask = field(default_factory=lambda: np.zeros(0, np.bool_))

    def position(self, n_columns: int) -> Array:
        """Give the position in each column [pixel]."""
        return _values(self.coefficients, n_columns)

    def fwhm(self, n_columns: int) -> Array:
        """Give the FWHM in each column [pixel]."""
        return _values(self.fwhm_coefficients, n_columns)


def slit_profiles(
    data: Array, variance: Array, good: Mask, *, n_bins: int = 32
) -> SlitProfiles:
    """
    Average the columns of a frame in bins, without cosmic rays and background.

    The background is the median along the slit. Rows are along the slit, columns along
    the dispersion.
    """
    ny, nx = data.shape
    starts = np.unique(np.linspace(0, nx, min(n_bins, nx) + 1).astype(int))
    values, noise = np.full((2, ny, len(starts) - 1), np.nan)
    for number, (start, stop) in enumerate(pairwise(starts)):
        part = slice(start, stop)
        mean, error2 = _bin_mean(data[:, part], variance[:, part], good[:, part])
        known = np.isfinite(mean)
        if known.sum() >= 3:
            values[:, number] = mean - np.median(mean[known])
            noise[:, number] = error2
    middle = (starts[:-1] + starts[1:] - 1) / 2
    return SlitProfiles(columns=middle, values=values, variance=noise, n_columns=nx)


def _bin_mean(data: Array, variance: Array, good: Mask) -> tuple[Array, Array]:
    """Average columns, without those that are far from the median of their row."""
    values = np.where(good, data, np.nan)
    known = good.any(axis=1)
    middle = np.full((len(data), 1), np.nan)
    middle[known, 0] = np.nanmedian(values[known], axis=1)
    with np.errstate(invalid="ignore"):
        # Spectra change along a bin, too.
        limit = 5 * np.sqrt(variance) + 0.5 * np.abs(middle)
        used = good & (np.abs(data - middle) <= limit)
    count = used.sum(axis=1)
    mean, error2 = np.full((2, len(data)), np.nan)
    seen = count > 0
    mean[seen] = np.where(used, data, 0).sum(axis=1)[seen] / count[seen]
    error2[seen] = np.where(used, variance, 0).sum(axis=1)[seen] / count[seen] ** 2
    return mean, error2


def _weighted_mean(values: Array, variance: Array) -> tuple[Array, Array]:
    """Average bins; a bin has one weight, so that profiles keep their shape."""
    known = np.isfinite(values)
    typical = np.full(values.shape[1], np.inf)
    seen = known.any(axis=0)
    typical[seen] = np.nanmedian(variance[:, seen], axis=0)
    weight = known / typical
    total = weight.sum(axis=1)
    mean, error2 = np.full((2, len(values)), np.nan)
    rows = total > 0
    mean[rows] = (weight * np.where(known, values, 0)).sum(axis=1)[rows] / total[rows]
    squares = (weight**2 * np.where(known, variance, 0)).sum(axis=1)
    error2[rows] = squares[rows] / total[rows] ** 2
    return mean, error2


def find_traces(
    profiles: SlitProfiles,
    *,
    degree: int = 3,
    threshold: float = 5.0,
    n_most: int | None = None,
    rows: Sequence[float] | None = None,
    reference: Trace | None = None,
) -> list[Trace]:
    """
    Find the spectra of a frame, and fit their traces, the brightest first.

    Parameters
    ----------
    profiles : SlitProfiles
        Profiles along the slit.
    degree : int
        Degree of the polynomial along the dispersion.
    threshold : float
        A spectrum stands out from the rows around by so many times the noise: that of
        the variance, or the scatter of the rows where it is larger.
    n_most : int, optional
        So many of the brightest at most.
    rows : sequence of float, optional
        Where the spectra are in the middle column, instead of finding them [pixel].
    reference : Trace, optional
        A trace of the same form; by default that of the brightest spectrum, which is
        followed from bin to bin.

    Returns
    -------
    list of Trace
        The traces. Where a spectrum is seen in less than half of the bins, or is hardly
        above their noise, its trace has the form of the reference, and only its offset
        from it is measured.
    """
    form = reference or _follow_brightest(profiles, degree)
    if form is None:
        form = Trace(coefficients=np.zeros(1), fwhm_coefficients=np.array([4.0]))
    places = profiles.on_bins(form.coefficients)
    middle = float(_values(form.coefficients, profiles.n_columns)[_middle(profiles)])
    values, variance = profiles.straightened(places - middle)
    found = _peaks(values, variance, threshold) if rows is None else list(rows)
    traces: list[Trace] = []
    fwhm = float(form.fwhm_coefficients[0])
    fits = _fit_all(values, variance, found, fwhm)
    if rows is None:
        found = [row for row in found if fits[row] is not None]
    guesses = [_shifted(form, fits[row], row - middle, middle) for row in found]
    centres = [float(guess.coefficients[0]) for guess in guesses]
    for guess, centre in zip(guesses, centres, strict=True):
        apart = [other - centre for other in centres if other != centre]
        one = _fit_near(profiles, guess, apart, degree)
        if not any(_is_same(one, other) for other in traces):
            traces.append(one)
    return traces[:n_most]


def _fit_all(
    values: Array, variance: Array, rows: Sequence[float], fwhm: float
) -> dict[float, "_Gaussian | None"]:
    """Fit a Gaussian at each row, beside those at the others."""
    fits: dict[float, _Gaussian | None] = dict.fromkeys(rows)
    for _ in range(3 if len(rows) > 1 else 1):
        for row in rows:
            fit = fits[row]
            place = row if fit is None else fit.centre
            # Two that overlap may have been followed as one, which is wider.
            apart = min((abs(r - row) for r in rows if r != row), default=np.inf)
            width = min(fwhm, 0.7 * apart)
            others = [
                r if (other := fits[r]) is None else other.centre
                for r in rows
                if r != row
            ]
            fits[row] = _fit_gaussian(
                values, variance, place, width, others, are_free=True
            )
    return fits


class _Gaussian(NamedTuple):
    """Position and FWHM of a Gaussian [pixel], their variances, and its S/N."""

    centre: float
    fwhm: float
    centre_variance: float
    fwhm_variance: float
    snr: float


def _shifted(form: Trace, fit: _Gaussian | None, offset: float, middle: float) -> Trace:
    """Give a trace of the same form, where the straightened profile was fitted."""
    coefficients, widths = form.coefficients.copy(), form.fwhm_coefficients
    coefficients[0] += offset if fit is None else fit.centre - middle
    if fit is None:
        return Trace(coefficients=coefficients, fwhm_coefficients=widths)
    widths = widths * (fit.fwhm / widths[0])
    return Trace(coefficients=coefficients, fwhm_coefficients=widths, snr=fit.snr)


def _middle(profiles: SlitProfiles) -> int:
    return profiles.n_columns // 2


def _is_same(one: Trace, other: Trace) -> bool:
    apart = abs(
        float(_values(one.coefficients, 3)[1] - _values(other.coefficients, 3)[1])
    )
    return apart < 0.5 * float(other.fwhm_coefficients[0])


def _peaks(values: Array, variance: Array, threshold: float) -> list[float]:
    """Find rows that stand out from those around, the brightest first."""
    from scipy.ndimage import median_filter, percentile_filter
    from scipy.signal import find_peaks

    known = np.isfinite(values)
    if known.sum() < 5:
        return []
    rows = np.arange(len(values))
    filled = np.interp(rows, rows[known], values[known])
    size = max(15, len(values) // 5) | 1
    above = filled - median_filter(filled, size, mode="nearest")
    # Of the darkest rows, where spectra fill more than half of the slit.
    below = percentile_filter(filled, _DARK[1], 2 * size + 1, mode="nearest")
    dark, less = np.percentile((filled - below)[known], _DARK)
    scatter = min(
        1.4826 * float(np.median(np.abs(above[known]))), float(less - dark) / _OF_NOISE
    )
    noise = np.sqrt(np.interp(rows, rows[known], variance[known]))
    noise = np.maximum(np.maximum(noise, scatter), 1e-30)
    significance = np.concatenate([[0.0], above / noise, [0.0]])
    # Two rows together, at least: one alone is a bad row.
    beside = np.maximum(significance[:-2], significance[2:])
    significance[1:-1][beside < 0.25 * significance[1:-1]] = 0
    peaks, _ = find_peaks(
        significance, height=threshold, prominence=threshold, distance=3
    )
    order = np.argsort(-above[peaks - 1])
    return [float(row) for row in peaks[order] - 1]


def _follow_brightest(profiles: SlitProfiles, degree: int) -> Trace | None:
    """
    Follow the brightest spectrum from bin to bin, from where it is brightest.

    It may move along the slit by many times its width over all columns, but by less
    than its FWHM from bin to bin. None if no spectrum is bright enough.
    """
    row, start = _brightest(profiles)
    fwhm = _width(profiles.values[:, start], row)
    found: dict[int, _Gaussian] = {}
    for step in (1, -1):
        last, slope = float(row), 0.0
        number = start
        while 0 <= number < len(profiles.columns):
            guess = last + slope
            one = _fit_gaussian(*profiles.bin(number), guess, fwhm)
            if one is not None and abs(one.centre - guess) <= fwhm:
                if number != start:
                    slope = (slope + one.centre - last) / 2
                last = one.centre
                found[number] = one
            else:
                last = guess
            number += step
    if len(found) < _LEAST_SHARE * len(profiles.columns):
        return None
    # What is seen of less than half of the columns tells no bend.
    is_long = len(found) > len(profiles.columns) / 2
    return _fitted(profiles, found, degree if is_long else min(degree, 1))


def _brightest(profiles: SlitProfiles) -> tuple[int, int]:
    """Find row and bin of the largest S/N that rows and bins beside it share."""
    known = np.isfinite(profiles.values) & (profiles.variance > 0)
    snr = np.zeros(profiles.values.shape)
    snr[known] = profiles.values[known] / np.sqrt(profiles.variance[known])
    # One row alone is a bad row, one bin alone a cosmic ray.
    beside = np.pad(snr, ((1, 1), (0, 0)))
    snr = np.minimum(snr, 4 * np.maximum(beside[:-2], beside[2:]))
    near = np.pad(snr, 1, mode="edge")
    near = np.maximum(np.maximum(near[:-2], near[1:-1]), near[2:])
    both = np.minimum(snr, np.maximum(near[:, :-2], near[:, 2:]))
    row, number = np.unravel_index(int(np.argmax(both)), both.shape)
    return int(row), int(number)


def _width(profile: Array, row: int) -> float:
    """Estimate the FWHM of a peak by the rows above half of it [pixel]."""
    above = np.nan_to_num(profile) > profile[row] / 2
    below = np.flatnonzero(~above)
    first = int(np.max(below[below < row], initial=-1))
    last = int(np.min(below[below > row], initial=len(profile)))
    return float(max(last - first - 1, 2))


def _fit_near(
    profiles: SlitProfiles,
    guess: Trace,
    apart: Sequence[float],
    degree: int,
) -> Trace:
    """Measure a spectrum near a guess in each bin; others are so far `apart` of it."""
    fwhm = float(guess.fwhm_coefficients[0])
    found = {}
    for number, place in enumerate(profiles.on_bins(guess.coefficients)):
        others = [place + far for far in apart]
        one = _fit_gaussian(*profiles.bin(number), place, fwhm, others)
        if one is not None and abs(one.centre - place) <= fwhm:
            found[number] = one
    trace = None
    # Measured alone, or the noise of bins would decide which count.
    is_bright = guess.snr > 2 * _LEAST_SNR * np.sqrt(len(profiles.columns))
    if is_bright and 2 * len(found) > len(profiles.columns):
        trace = _fitted(profiles, found, degree, guess)
    return guess if trace is None else replace(trace, snr=guess.snr)


def _fitted(
    profiles: SlitProfiles,
    found: dict[int, _Gaussian],
    degree: int,
    guess: Trace | None = None,
) -> Trace | None:
    """Fit polynomials to positions and widths; None if there are too few."""
    if degree < 0 or len(found) < degree + 3:
        return None
    columns = profiles.columns[list(found)]
    fits = np.array(list(found.values()))
    n = profiles.n_columns
    terms = _legendre(columns, n, degree + 1)
    try:
        position = fit_linear(terms, fits[:, 0], fits[:, 2])
    except ValueError:
        return None
    kept = position.kept
    widths = _fit_widths(profiles, columns[kept], fits[kept])
    if widths is None and guess is not None:
        widths = guess.fwhm_coefficients
    elif widths is None:
        widths = np.array([np.median(fits[kept, 1])])
    residual = (fits[:, 0] - terms @ position.values)[kept]
    return Trace(
        coefficients=position.values,
        fwhm_coefficients=widths,
        rms=float(np.std(residual, ddof=min(degree + 1, len(residual) - 1))),
        columns=columns,
        positions=fits[:, 0],
        kept=kept,
    )


def _fit_widths(profiles: SlitProfiles, columns: Array, fits: Array) -> Array | None:
    """Fit a polynomial to widths; None where they are too uncertain for any slope."""
    ends = np.array([0.0, profiles.n_columns - 1.0])
    for degree in range(min(_WIDTH_DEGREE, len(fits) // 4), 0, -1):
        terms = _legendre(columns, profiles.n_columns, degree + 1)
        try:
            width = fit_linear(terms, fits[:, 1], fits[:, 3])
        except ValueError:
            continue
        at_ends = _legendre(ends, profiles.n_columns, degree + 1)
        error2 = np.einsum("ij,jk,ik->i", at_ends, width.covariance, at_ends)
        if np.sqrt(error2).max() < _WIDTH_ERROR * np.min(at_ends @ width.values):
            return width.values
    return None


def _fit_gaussian(
    values: Array,
    variance: Array,
    position: float,
    fwhm: float,
    others: Sequence[float] = (),
    *,
    are_free: bool = False,
) -> _Gaussian | None:
    """
    Fit a Gaussian, integrated over pixels, and a constant to a profile.

    Other spectra that are near have Gaussians of the same width, at their distance, or
    near it if they are free.
    None where there is nothing, or too few pixels.
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    reach = max(_REACH * fwhm, 3.0)
    near = [other - position for other in others]
    near = [far for far in near if 0 < abs(far) < _CROWDED * fwhm]
    low = position + min([-reach, *(far - fwhm / 2 for far in near)])
    high = position + max([reach, *(far + fwhm / 2 for far in near)])
    rows = np.arange(max(0, round(low)), min(len(values), round(high) + 1))
    rows = rows[np.isfinite(values[rows]) & (variance[rows] > 0)]
    if (
        len(rows) < 5 + len(near) * (1 + are_free)
        or not rows[0] <= position <= rows[-1]
    ):
        return None
    y = values[rows]
    level = float(np.min(y))
    total = float(np.sum(y - level)) / (1 + len(near))
    start = [position, fwhm, total, level, *[total] * len(near)]
    start += near if are_free else []

    def model(x: Array, *p: float) -> Array:
        light = _gaussian_pixels(x, p[0], p[1], p[2], p[3])
        n = 4 + len(near)
        for far, flux in zip(p[n:] or near, p[4:n], strict=True):
            light += _gaussian_pixels(x, p[0] + far, p[1], flux, 0.0)
        return light

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            best, covariance = curve_fit(
                model, rows.astype(np.float64), y, start,
                np.sqrt(variance[rows]), absolute_sigma=True, maxfev=200,
            )  # fmt: skip
    except (RuntimeError, OptimizeWarning):
        return None
    snr = best[2] / np.sqrt(covariance[2, 2])
    if not snr >= _LEAST_SNR or not 0.5 <= abs(best[1]) <= 3 * reach:
        return None
    return _Gaussian(
        best[0], abs(best[1]), covariance[0, 0], covariance[1, 1], float(snr)
    )


def _gaussian_pixels(
    x: Array, centre: float, fwhm: float, flux: float, level: float
) -> Array:
    from scipy.special import erf

    scale = np.sqrt(2) * _SIGMA * max(abs(fwhm), 1e-3)
    upper, lower = (erf((x + half - centre) / scale) for half in (0.5, -0.5))
    return np.asarray(flux * (upper - lower) / 2 + level)


def _legendre(columns: Array, n_columns: int, n_terms: int) -> Array:
    u = 2 * columns / max(n_columns - 1, 1) - 1
    return np.asarray(np.polynomial.legendre.legvander(u, n_terms - 1))


def _values(coefficients: Array, n_columns: int) -> Array:
    columns = np.arange(n_columns, dtype=np.float64)
    return _legendre(columns, n_columns, len(coefficients)) @ coefficients
