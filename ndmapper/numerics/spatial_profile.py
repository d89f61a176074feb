"""How the light of a spectrum is distributed along the slit: empirical or analytic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "LightWithout",
    "ProfileKind",
    "SpectrumWindow",
    "fit_profile",
    "gaussian_profile",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

ProfileKind = Literal["empirical", "gaussian", "moffat"]

_SIGMA = 1 / np.sqrt(8 * np.log(2))
_KNOTS = 0.2
"""Distance of the knots of an empirical profile [FWHM]."""
_STIFFNESS = 1e-6
"""Weight of the second differences of its coefficients, relative to the data."""
_EXPECTED = 0.2, 0.05
"""Standard deviations of an empirical profile from a Gaussian, and of how much of it
changes along the dispersion, before anything is known [peak]; in the wings they fall
with the power below. Distances from the trace that no pixel has, beyond the end of a
slit, keep what is expected."""
_WINGS = 2.5
_SYMMETRIC = 0.1
"""Standard deviation of the difference of its two sides, in terms of that."""
_DEGREES = ((500.0, 2), (150.0, 1), (0.0, 0))
"""Degree of its change along the dispersion, from a signal-to-noise ratio on."""
_MOST = 5000
"""Analytic profiles are fitted to about so many pixels."""


@dataclass(frozen=True, kw_only=True)
class SpectrumWindow:
    """
    The pixels around a trace: in each column those of the rows near it.

    Parameters
    ----------
    rows : ndarray of int, shape (n, nx)
        Rows of the frame; those outside of it are set to its first or last.
    data, variance : ndarray of float, shape (n, nx)
        The pixels, without the light of other objects, and their variance.
    beside, beside_error : ndarray of float, shape (n, nx)
        The light of other objects, and its error, which pixels of a column share.
    good : ndarray of bool, shape (n, nx)
        Which of them count.
    offset : ndarray of float, shape (n, nx)
        Distance from the trace [pixel].
    whole : ndarray of bool, shape (n, nx)
        Which are nearer to the trace than its reach: the light of a profile is all
        there, on the detector or not.
    inside : ndarray of bool, shape (n, nx)
        Which of them are not nearer to another trace.
    own : ndarray of bool, shape (n, nx)
        Which of them a profile is fitted to: not those on the side of an object near.
    fwhm : ndarray of float, shape (nx,)
        FWHM of the spectrum [pixel].
    """

    rows: npt.NDArray[np.int_]
    data: Array
    variance: Array
    beside: Array
    beside_error: Array
    good: Mask
    offset: Array
    whole: Mask
    inside: Mask
    own: Mask
    fwhm: Array


@dataclass(frozen=True, kw_only=True)
class LightWithout:
    """
    Flux of its column for each pixel, found without this pixel.

    The noise of a pixel would otherwise be in the pixel and in the flux that it is
    compared with, and be taken for a part of the profile.
    """

    value: Array
    # Of the value, by its noise.
    variance: Array


def gaussian_profile(window: SpectrumWindow) -> Array:
    """Give the Gaussian of the width of the window: the part of the light by pixel."""
    return _normalised(_gaussian(window.offset, window.fwhm), window.whole)


def fit_profile(
    window: SpectrumWindow,
    light: LightWithout,
    variance: Array,
    good: Mask,
    kind: ProfileKind = "empirical",
) -> Array:
    """
    Fit a profile to all columns of a spectrum.

    Parameters
    ----------
    window : SpectrumWindow
        The pixels.
    light : LightWithout
        The flux of each column.
    variance : ndarray of float, shape (n, nx)
        Variance of the model, without the noise of the pixels.
    good : ndarray of bool, shape (n, nx)
        Pixels that are fitted.
    kind : {'empirical', 'gaussian', 'moffat'}
        A B-spline in the distance from the trace by the FWHM, whose coefficients change
        slowly along the dispersion; or an analytic profile, whose width does.

    Returns
    -------
    ndarray of float, shape (n, nx)
        The fraction of the light in each pixel of the window; their sum is 1. Where no
        pixel tells, as beyond the end of the slit or beside another object, it is that
        on the other side of the trace, or that of a Gaussian.
    """
    used = good & window.own & (light.value != 0) & (variance > 0)
    if used.sum() < 10:
        return gaussian_profile(window)
    if kind == "empirical":
        shape = _fit_spline(window, light, variance, used)
    else:
        shape = _fit_analytic(window, light, variance, used, kind)
    return _normalised(shape, window.whole)


def _normalised(shape: Array, whole: Mask) -> Array:
    shape = np.where(whole, shape, 0.0)
    total = shape.sum(axis=0)
    return np.asarray(shape / np.where(total > 0, total, np.inf))


def _fit_spline(
    window: SpectrumWindow, light: LightWithout, variance: Array, used: Mask
) -> Array:
    """
    Fit what a Gaussian misses by a B-spline, which changes as Legendre polynomials do.

    The least squares have terms for what is expected: coefficients that no pixel tells
    are those on the other side of the trace, or else none.
    """
    from scipy.interpolate import BSpline
    from scipy.sparse import csr_array

    base = _fit_analytic(window, light, variance, used, "gaussian")
    peak = float(np.max(base))
    whole = window.whole
    distance = (window.offset / window.fwhm)[whole]
    reach = float(np.abs(distance).max()) + 1e-9
    n_knots = max(2, int(np.ceil(2 * reach / _KNOTS)) + 1)
    knots = np.pad(np.linspace(-reach, reach, n_knots), 3, mode="edge")
    splines = csr_array(BSpline.design_matrix(distance, knots, 3))
    n = splines.shape[1]

    n_columns = used.shape[1]
    column = np.broadcast_to(np.arange(n_columns), used.shape)[whole]
    expected = light.value[whole]
    missed = window.data[whole] - expected * base[whole]
    # The square of a noisy flux is too large by its variance, its product with what a
    # base misses too small.
    squared = expected**2 - light.variance[whole]
    weight = np.where(used, 1 / np.where(used, variance, 1.0), 0)[whole]
    product = weight * (expected * missed + light.variance[whole] * base[whole])
    # Of one coefficient, typically.
    data = window.data[whole]
    snr = np.sqrt(max(float((weight * data * expected).sum()) * 3 / n_knots, 0))
    degree = next(d for least, d in _DEGREES if snr >= least)
    u = 2 * column / max(n_columns - 1, 1) - 1
    along = np.polynomial.legendre.legvander(u, degree)

    normal = np.zeros((degree + 1, n, degree + 1, n))
    target = np.zeros((degree + 1, n))
    for k in range(degree + 1):
        target[k] = splines.T @ (product * along[:, k])
        for m in range(k + 1):
            factor = weight * squared * along[:, k] * along[:, m]
            block = (splines.T @ (splines * factor[:, None])).toarray()
            normal[k, :, m], normal[m, :, k] = block, block
    square = normal.reshape(target.size, target.size)
    bend = np.diff(np.eye(n), 2, axis=0)
    scale = _STIFFNESS * float(np.diag(square).max())
    places = np.array([knots[k + 1 : k + 4].mean() for k in range(n)])
    width = peak / (1 + np.abs(places) ** _WINGS)
    sides = (np.eye(n) - np.eye(n)[::-1]) / (_SYMMETRIC * _EXPECTED[0] * width[:, None])
    both = scale * bend.T @ bend + sides.T @ sides / 2
    square += np.kron(np.eye(degree + 1), both)
    expected_of = np.array(_EXPECTED)[[0] + [1] * degree]
    square[np.diag_indices(target.size)] += 1 / np.kron(expected_of, width) ** 2
    solution = np.linalg.solve(square, target.ravel())
    shape = base
    shape[whole] += ((splines @ solution.reshape(target.shape).T) * along).sum(axis=1)
    return shape


def _fit_analytic(
    window: SpectrumWindow,
    light: LightWithout,
    variance: Array,
    used: Mask,
    kind: ProfileKind,
) -> Array:
    """Fit offset, width and its slope along the dispersion, and exponent."""
    from scipy.optimize import least_squares

    u = np.linspace(-1, 1, used.shape[1])
    where = _sample(used, light.value**2 / np.where(used, variance, np.inf))
    column = where % used.shape[1]
    offset = window.offset.ravel()[where]
    expected, width = light.value.ravel()[where], window.fwhm[column]
    value, error = window.data.ravel()[where], np.sqrt(variance.ravel()[where])
    shape = _gaussian if kind == "gaussian" else _moffat

    def model(p: Array, distance: Array, fwhm: Array, along: Array) -> Array:
        scaled = fwhm * np.exp(p[1] + p[2] * along)
        return shape(distance - p[0] * fwhm, scaled, 1 + np.exp(p[3]))

    def residual(p: Array) -> Array:
        expectation = p[4] * expected * model(p, offset, width, u[column])
        return np.append((value - expectation) / error, (p - start) / prior)

    # What is expected, and how far it may be off, where the data hardly tell.
    start = np.array([0.0, 0.0, 0.0, 0.7, 1.0])
    prior = np.array([0.1, 0.3, 0.3, 1.0, 1.0])
    low = np.array([-1.0, -1.5, -1.5, -1.0, 0.0])
    high = np.array([1.0, 1.5, 1.5, 4.0, 10.0])
    best = least_squares(residual, start, bounds=(low, high)).x
    return np.asarray(best[4] * model(best, window.offset, window.fwhm, u))


def _sample(used: Mask, weight: Array) -> npt.NDArray[np.intp]:
    """Choose pixels to fit: half of them evenly, half where there is most light."""
    where = np.flatnonzero(used)
    if where.size <= _MOST:
        return where
    brightest = where[np.argsort(-weight.ravel()[where], kind="stable")[: _MOST // 2]]
    return np.union1d(brightest, where[:: max(1, 2 * where.size // _MOST)])


_Shape = Callable[[Array, Array, float], Array]


def _gaussian(offset: Array, fwhm: Array, exponent: float = 0.0) -> Array:
    """Integrate a Gaussian over pixels."""
    from scipy.special import erf

    scale = np.sqrt(2) * _SIGMA * fwhm
    return np.asarray((erf((offset + 0.5) / scale) - erf((offset - 0.5) / scale)) / 2)


def _moffat(offset: Array, fwhm: Array, exponent: float) -> Array:
    """Integrate a Moffat profile over pixels, not normalised."""
    core = fwhm / 2 / np.sqrt(2 ** (1 / exponent) - 1)
    total = np.zeros(np.broadcast_shapes(offset.shape, core.shape))
    for node, weight in zip(*np.polynomial.legendre.leggauss(3), strict=True):
        total += weight / 2 * (1 + ((offset + node / 2) / core) ** 2) ** -exponent
    return np.asarray(total / core)
