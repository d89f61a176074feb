"""The response of an instrument by wavelength, as a spline through bands."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.robust import LinearFit, fit_linear

__all__ = ["Bands", "Response", "band_means", "fit_response"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_DEGREE = 3
_ROUNDS = 10
_RUNS = (3, 5, 9)
"""So many bands beside each other tell whether the spline follows them."""

_FOLLOWED = 0.004
_WRONG = 0.01
_SIGNIFICANT = 4.5
"""Their median is off by no more than the first, or so many of its errors; where it is
off by more than the second at last, the spline is wrong."""

_LEAST_TO_DIVIDE = 3
"""An interval between knots is divided if it has at least so many bands."""

_BY_NOISE = 4.0
"""The square of how far other splines are off, relative to the variance, by noise."""

_SAMPLES = 15
"""The mean over a band is taken of so many values."""

_OTHERS = ((2, 1.0), (3, 0.7), (3, 1.5), (4, 1.0))
"""Degrees of other splines, and distances of their knots relative to the fit's."""
_STEEP = 0.3
"""Where a response changes by more over four bands, one that was left out counts."""

_WIDE = 3.0
"""A gap between bands is wider than so many of them."""

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


@dataclass(frozen=True)
class OtherSpline:
    """A spline of other knots or degree, and whether it follows the bands as well."""

    knots: Array
    coefficients: Array
    degree: int
    is_as_good: bool


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
    others : list of OtherSpline
        By how far they are off tells what the choice of a spline adds to the error, as
        in gaps between bands.
    gaps : list of (float, float, float)
        Gaps between bands over which the logarithm changes much, and by how much.
    """

    knots: Array
    coefficients: Array
    covariance: Array
    offsets: Array
    kept: Mask
    scatter: float
    missed: list[tuple[float, float]]
    others: list[OtherSpline]
    gaps: list[tuple[float, float, float]]

    def at(self, wavelengths: Array) -> tuple[Array, Array]:
        """Give the logarithm and its variance; NaN beyond the bands."""
        low, high = self.knots[0], self.knots[-1]
        inside = (wavelengths >= low) & (wavelengths <= high)
        terms = _spline_terms(np.clip(wavelengths, low, high), self.knots)
        value = terms @ self.coefficients
        variance = np.einsum("ij,jk,ik->i", terms, self.covariance, terms)
        variance += self.guess(wavelengths, as_good=False) ** 2
        for first, last, change in self.gaps:
            # Any edge may be hidden there: of a change a quarter, in the middle.
            part = np.clip((wavelengths - first) / (last - first), 0, 1)
            variance += (change * part * (1 - part)) ** 2
        return np.where(inside, value, np.nan), np.where(inside, variance, np.nan)

    def guess(self, wavelengths: Array, *, as_good: bool = True) -> Array:
        """
        Give the part of the error that the choice of the spline makes.

        It is told by splines that follow the bands `as_good` as this one, or by all.
        """
        places = np.clip(wavelengths, self.knots[0], self.knots[-1])
        terms = _spline_terms(places, self.knots)
        value = terms @ self.coefficients
        variance = np.einsum("ij,jk,ik->i", terms, self.covariance, terms)
        off = np.zeros(value.shape)
        for one in self.others:
            if as_good and not one.is_as_good:
                continue
            other = _spline_terms(places, one.knots, one.degree) @ one.coefficients
            off = np.maximum(off, np.abs(other - value))
        # Fits of other splines to the same noise differ, too.
        return np.asarray(np.sqrt(np.maximum(off**2 - _BY_NOISE * variance, 0)))


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
    widths: Array | None = None,
) -> Response:
    """
    Fit a spline to the logarithm of ratios in bands, without outliers.

    Where bands beside each other are off in one direction, as at the edge of a
    dichroic, it gets more knots. Ratios are taken for those of means over bands.

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
    widths : ndarray, shape (m,), optional
        The widths of the bands; by default they are narrow.

    Returns
    -------
    Response
        The fit.

    Raises
    ------
    ValueError
        If the bands do not determine it.
    """
    data = _Data(
        centres=centres, log_ratio=log_ratio, variance=variance, spectrum=spectrum,
        widths=np.zeros(centres.shape) if widths is None else widths,
        counts=np.ones(centres.shape, np.bool_) if in_line is None else ~in_line,
    )  # fmt: skip
    knots = _knots(np.unique(centres), limits, spacing)
    fit, off = data.fitted(knots, clip)
    for _ in range(_ROUNDS):
        finer = _divided(knots, centres[data.counts], off)
        if finer.size == knots.size:
            break
        try:
            fit, off = data.fitted(finer, clip)
        except ValueError:
            break  # more knots than bands
        knots = finer
    count = knots.size - _DEGREE - 1
    found = Response(
        knots=knots,
        coefficients=fit.values[:count],
        covariance=fit.covariance[:count, :count],
        offsets=np.concatenate([[0.0], fit.values[count:]]),
        kept=fit.kept,
        scatter=fit.scatter,
        missed=_missed(fit.kept, centres, in_line)
        + [(low, high) for low, high, by in off if by > _WRONG],
        others=[],
        gaps=[],
    )
    found = replace(
        found, others=data.others(knots, fit, clip), gaps=_gaps(found, centres)
    )
    return replace(found, missed=found.missed + _missed_at_edges(found, centres))


@dataclass(frozen=True, kw_only=True)
class _Data:
    """Ratios in bands, to which splines are fitted."""

    centres: Array
    log_ratio: Array
    variance: Array
    spectrum: npt.NDArray[np.intp]
    widths: Array
    counts: Mask  # bands that tell whether the spline follows them

    def fitted(
        self, knots: Array, clip: float, degree: int = _DEGREE
    ) -> tuple[LinearFit, list[tuple[float, float, float]]]:
        """Fit a spline, and list the ranges where it does not follow the bands."""
        terms = self._terms(knots, degree)
        fit = fit_linear(terms, self.log_ratio, self.variance, clip=clip)
        bias = np.zeros(self.centres.shape)
        for _ in range(3):
            bias = self._bias(knots, fit.values, degree)
            fit = fit_linear(terms, self.log_ratio - bias, self.variance, clip=clip)
        return fit, self._off(self.log_ratio - bias - terms @ fit.values)

    def others(self, knots: Array, fit: LinearFit, clip: float) -> list[OtherSpline]:
        """Fit splines of other degrees and knots, and tell which are as good."""
        kept = replace(
            self, centres=self.centres[fit.kept], log_ratio=self.log_ratio[fit.kept],
            variance=self.variance[fit.kept] + fit.scatter**2,
            spectrum=self.spectrum[fit.kept], widths=self.widths[fit.kept],
            counts=self.counts[fit.kept],
        )  # fmt: skip
        inner = knots[_DEGREE + 1 : -_DEGREE - 1]
        found = []
        most = kept.chi_square(knots, fit.values, _DEGREE)
        most += _SIGNIFICANT * np.sqrt(2 * fit.kept.sum())
        for degree, ratio in _OTHERS:
            places = np.linspace(0, 1, max(round((inner.size + 1) / ratio), 1) + 1)
            steps = np.linspace(0, 1, inner.size + 2)
            whole = np.concatenate([knots[:1], inner, knots[-1:]])
            ours = np.interp(places, steps, whole)
            ends = np.ones(degree)
            other = np.concatenate([ends * ours[0], ours, ends * ours[-1]])
            try:
                solved, _ = kept.fitted(other, 1e3 * clip, degree)
            except ValueError:
                continue
            is_as_good = kept.chi_square(other, solved.values, degree) <= most
            values = solved.values[: other.size - degree - 1]
            found.append(OtherSpline(other, values, degree, is_as_good))
        return found

    def chi_square(self, knots: Array, values: Array, degree: int) -> float:
        """Tell how far the bands are from a spline."""
        residual = self.log_ratio - self._bias(knots, values, degree)
        residual -= self._terms(knots, degree) @ values
        return float(np.sum(residual**2 / self.variance))

    def _terms(self, knots: Array, degree: int) -> Array:
        terms = _spline_terms(self.centres, knots, degree)
        last = int(np.max(self.spectrum))
        others = [self.spectrum == n for n in range(1, last + 1)]
        return np.column_stack([terms, *(one.astype(float) for one in others)])

    def _bias(self, knots: Array, values: Array, degree: int) -> Array:
        """Give by how much the ratio of means over a band is off that at its centre."""
        shares = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
        places = self.centres[:, None] + shares * self.widths[:, None]
        ends = knots[0], knots[-1]
        values = values[: knots.size - degree - 1]
        inside = _spline_terms(np.clip(places, *ends).ravel(), knots, degree) @ values
        middle = _spline_terms(np.clip(self.centres, *ends), knots, degree) @ values
        change = np.clip(inside.reshape(places.shape) - middle[:, None], -5, 5)
        return np.asarray(-np.log(np.mean(np.exp(-change), axis=1)), np.float64)

    def _off(self, residual: Array) -> list[tuple[float, float, float]]:
        """List ranges where bands are off in one direction, and by how much."""
        order = np.flatnonzero(self.counts)
        order = order[np.argsort(self.centres[order], kind="stable")]
        places, left, error2 = (
            x[order] for x in (self.centres, residual, self.variance)
        )
        if order.size < min(_RUNS):
            return []
        # What bands scatter from one to the next, without what is slower.
        jumps = left[1:-1] - (left[:-2] + left[2:]) / 2
        rough = (1.4826 * float(np.median(np.abs(jumps)))) ** 2 / 1.5
        noise = np.sqrt(np.maximum(error2, rough))
        found: list[tuple[float, float, float]] = []
        for run in _RUNS:
            if run > order.size:
                break
            windows = np.lib.stride_tricks.sliding_window_view
            middle = np.abs(np.median(windows(left, run), axis=1))
            error = 1.25 * np.median(windows(noise, run), axis=1) / np.sqrt(run)
            far = middle > np.maximum(_FOLLOWED, _SIGNIFICANT * error)
            # The bands at the ends of a run may be right.
            edge = run // 3
            found += [
                (float(places[n + edge]), float(places[n + run - 1 - edge]), by)
                for n, by in zip(
                    np.flatnonzero(far).tolist(), middle[far].tolist(), strict=True
                )
            ]
        return found


def _divided(
    knots: Array, centres: Array, off: list[tuple[float, float, float]]
) -> Array:
    """Divide the intervals between knots where the spline does not follow the bands."""
    whole, places = np.unique(knots), np.unique(centres)
    more = []
    for low, high in pairwise(whole):
        if not any(first <= high and last >= low for first, last, _ in off):
            continue
        inside = places[(places >= low) & (places <= high)]
        if inside.size < _LEAST_TO_DIVIDE:
            continue
        # In the middle of the bands, so that no half is without.
        half = inside.size // 2
        more.append((inside[half - 1] + inside[half]) / 2)
    return np.sort(np.concatenate([knots, more]))


def _gaps(found: Response, centres: Array) -> list[tuple[float, float, float]]:
    """List gaps between bands over which the spline changes much."""
    places = np.unique(centres[found.kept])
    sizes, change = np.diff(places), np.abs(np.diff(found.at(places)[0]))
    wide = (sizes > _WIDE * np.median(sizes)) & (change > _STEEP)
    return [
        (float(places[n]), float(places[n + 1]), float(change[n]))
        for n in np.flatnonzero(wide).tolist()
    ]


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


def _spline_terms(wavelengths: Array, knots: Array, degree: int = _DEGREE) -> Array:
    from scipy.interpolate import BSpline

    found = BSpline.design_matrix(wavelengths, knots, degree).toarray()
    return np.asarray(found, np.float64)
