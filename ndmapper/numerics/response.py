"""The response of an instrument by wavelength, as a spline through bands."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.robust import LinearFit, fit_linear

__all__ = ["Bands", "Response", "band_means", "fit_response"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_DEGREE = 3
_ROUNDS = 5
_STEEP = 0.3
"""Where a response changes by more over four bands, one that was left out counts."""

_FEATURE = 60.0
"""What is narrower is a feature of the star, and not of the response [Angstrom]."""

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
    missed : list of (float, float)
        Ranges in which the spline does not follow the bands.
    """

    knots: Array
    coefficients: Array
    covariance: Array
    offsets: Array
    kept: Mask
    scatter: float
    missed: list[tuple[float, float]]

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
    in_line: Mask | None = None,
) -> Response:
    """
    Fit a spline to the logarithm of ratios in bands, without outliers.

    Where bands beside each other do not agree with it, as at the edge of a dichroic,
    it gets more knots.

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
    in_line : ndarray of bool, shape (m,), optional
        Bands with lines of the star, for which there are no more knots.

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
    fit = _fit(knots, centres, log_ratio, variance, clip=clip, spectrum=spectrum)
    missed = _missed(fit.kept, centres, in_line)
    for _ in range(_ROUNDS):
        near = [(centres >= low) & (centres <= high) for low, high in missed]
        if not near:
            break
        more = np.setdiff1d(centres[np.any(near, axis=0)], knots)[1::2]
        if not more.size:
            break
        finer = np.sort(np.concatenate([knots, more]))
        try:
            fit = _fit(
                finer, centres, log_ratio, variance, clip=clip, spectrum=spectrum
            )
        except ValueError:
            break  # more knots than bands
        knots = finer
        missed = _missed(fit.kept, centres, in_line)
    count = knots.size - _DEGREE - 1
    found = Response(
        knots=knots,
        coefficients=fit.values[:count],
        covariance=fit.covariance[:count, :count],
        offsets=np.concatenate([[0.0], fit.values[count:]]),
        kept=fit.kept,
        scatter=fit.scatter,
        missed=missed,
    )
    return replace(found, missed=missed + _missed_at_edges(found, centres))


def _missed_at_edges(found: Response, centres: Array) -> list[tuple[float, float]]:
    """List ranges around bands that were left out where the spline is steep."""
    lost = centres[~found.kept]
    if not lost.size:
        return []
    reach = 2 * float(np.median(np.diff(np.unique(centres))))
    low, high = lost - reach, lost + reach
    ends = found.knots[0], found.knots[-1]
    rise = found.at(np.clip(high, *ends))[0] - found.at(np.clip(low, *ends))[0]
    steep = np.abs(rise) > _STEEP
    return [(float(a), float(b)) for a, b in zip(low[steep], high[steep], strict=True)]


def _fit(
    knots: Array,
    centres: Array,
    log_ratio: Array,
    variance: Array,
    *,
    clip: float,
    spectrum: npt.NDArray[np.intp],
) -> LinearFit:
    terms = _spline_terms(centres, knots)
    others = [spectrum == n for n in range(1, int(np.max(spectrum)) + 1)]
    terms = np.column_stack([terms, *(one.astype(float) for one in others)])
    return fit_linear(terms, log_ratio, variance, clip=clip)


def _missed(
    kept: Mask, centres: Array, in_line: Mask | None
) -> list[tuple[float, float]]:
    """List ranges of bands beside each other that were left out, but for lines."""
    counts = np.ones(kept.shape, np.bool_) if in_line is None else ~in_line
    order = np.argsort(centres[counts], kind="stable")
    places, lost = centres[counts][order], ~kept[counts][order]
    found: list[tuple[float, float]] = []
    # One that happens to agree between two that do not is none.
    lost[1:-1] |= lost[:-2] & lost[2:]
    starts = np.flatnonzero(lost & ~np.concatenate([[False], lost[:-1]]))
    stops = np.flatnonzero(lost & ~np.concatenate([lost[1:], [False]]))
    for first, last in zip(starts, stops, strict=True):
        # The bands at both sides belong to it, up to where the spline is right.
        low = float(places[max(int(first) - 1, 0)])
        high = float(places[min(int(last) + 1, places.size - 1)])
        if last == first or high - low <= _FEATURE:
            continue
        if found and low <= found[-1][1]:
            low = found.pop()[0]
        found.append((low, high))
    return found


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
