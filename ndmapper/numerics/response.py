"""The response of an instrument by wavelength, as a spline through bands."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.robust import fit_linear

__all__ = ["Bands", "Response", "band_means", "fit_response"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_DEGREE = 3
_LEAST_FOR_KNOT = 4
"""Between two knots there are at least so many bands."""


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Means of a spectrum in bands of wavelength."""

    values: Array
    variance: Array
    covered: Array  # the part of the band that good pixels cover


@dataclass(frozen=True, kw_only=True)
class Response:
    """
    A spline, fitted in the logarithm.

    Parameters
    ----------
    knots, coefficients, covariance : ndarray
        The B-spline, and the covariance of its coefficients.
    offsets : ndarray
        The offset of each spectrum from the first.
    kept : ndarray of bool
        The bands that were used.
    scatter : float
        Standard deviation of the bands beyond their errors.
    """

    knots: Array
    coefficients: Array
    covariance: Array
    offsets: Array
    kept: Mask
    scatter: float

    def at(self, wavelengths: Array) -> tuple[Array, Array]:
        """Give the logarithm and its variance; NaN beyond the bands."""
        low, high = self.knots[0], self.knots[-1]
        inside = (wavelengths >= low) & (wavelengths <= high)
        terms = _spline_terms(np.clip(wavelengths, low, high), self.knots)
        value = terms @ self.coefficients
        variance = np.einsum("ij,jk,ik->i", terms, self.covariance, terms)
        return np.where(inside, value, np.nan), np.where(inside, variance, np.nan)


def band_means(
    edges: Array,
    density: Array,
    variance: Array,
    good: Mask,
    *,
    low: Array,
    high: Array,
) -> Bands:
    """
    Average a spectrum over bands, of which a pixel may be in several, or in none.

    Parameters
    ----------
    edges : ndarray, shape (n + 1,)
        Edges of pixels, which rise.
    density, variance : ndarray, shape (n,)
        The spectrum for each unit of wavelength.
    good : ndarray of bool, shape (n,)
        The pixels that count.
    low, high : ndarray, shape (m,)
        The limits of the bands.

    Returns
    -------
    Bands
        The means over what good pixels cover of each band; NaN where that is nothing.
    """
    widths = np.diff(edges)
    parts = (
        np.where(good, widths, 0.0),
        np.where(good, widths * density, 0.0),
        np.where(good, widths**2 * variance, 0.0),
    )
    sums = []
    for part in parts:
        total = np.concatenate([[0.0], np.cumsum(part)])
        sums.append(np.interp(high, edges, total) - np.interp(low, edges, total))
    length, flux, noise = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return Bands(
            values=flux / length,
            variance=noise / length**2,
            covered=length / (high - low),
        )


def fit_response(
    centres: Array,
    log_ratio: Array,
    variance: Array,
    *,
    limits: tuple[float, float],
    spacing: float,
    clip: float,
    spectrum: npt.NDArray[np.intp],
) -> Response:
    """
    Fit a spline to the logarithm of ratios in bands, without outliers.

    Parameters
    ----------
    centres, log_ratio, variance : ndarray, shape (m,)
        Wavelengths of the bands, and logarithms of their ratios with variance.
    limits : (float, float)
        Ends of the spline.
    spacing : float
        Knots are at least so far apart, and have some bands between them.
    clip : float
        Bands further from the fit are left out [standard deviations].
    spectrum : ndarray of int, shape (m,)
        The number of the spectrum that each band is of, from 0; each but the first has
        an offset.

    Returns
    -------
    Response
        The fit.

    Raises
    ------
    ValueError
        If the bands do not determine it.
    """
    knots = _knots(np.unique(centres), limits, spacing)
    terms = _spline_terms(centres, knots)
    count = terms.shape[1]
    others = [spectrum == n for n in range(1, int(np.max(spectrum)) + 1)]
    terms = np.column_stack([terms, *(one.astype(float) for one in others)])
    fit = fit_linear(terms, log_ratio, variance, clip=clip)
    return Response(
        knots=knots,
        coefficients=fit.values[:count],
        covariance=fit.covariance[:count, :count],
        offsets=np.concatenate([[0.0], fit.values[count:]]),
        kept=fit.kept,
        scatter=fit.scatter,
    )


def _knots(centres: Array, limits: tuple[float, float], spacing: float) -> Array:
    """Place knots where bands are, so that there are enough between any two."""
    low, high = limits
    pieces = min(int((high - low) / spacing), centres.size // _LEAST_FOR_KNOT)
    shares = np.arange(1, max(pieces, 1)) / max(pieces, 1)
    inner = np.quantile(centres, shares) if pieces > 1 else np.empty(0)
    ends = np.full(_DEGREE + 1, 1.0)
    return np.concatenate([ends * low, inner, ends * high])


def _spline_terms(wavelengths: Array, knots: Array) -> Array:
    from scipy.interpolate import BSpline

    found = BSpline.design_matrix(wavelengths, knots, _DEGREE).toarray()
    return np.asarray(found, np.float64)
