"""Extracting spectra along their traces: boxcar and optimal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.spatial_profile import (
    LightWithout,
    ProfileKind,
    SpectrumWindow,
    fit_profile,
    gaussian_profile,
)

__all__ = [
    "ExtractedSpectrum",
    "ObjectLight",
    "SlitBackground",
    "cut_window",
    "extract_boxcar",
    "extract_optimal",
    "fit_slit_background",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ROUNDS = {"optimal": 4, "boxcar": 3}
"""So often profile, variance and cosmic rays are found in turn."""
_TOLERANCE = 0.01, 0.1
"""Least and largest part of the light of the object that a profile may miss."""
_SLOPE = 0.3
"""A line that is tilted is missed by its change within so many columns."""
_FAR_ABOVE = 2.0
"""Light that is brighter than that of the columns beside by more is no line."""
_CERTAIN = 25.0
"""Columns of a lower signal-to-noise ratio have the flux of those around: what pixels
of a column have in common, as the error of a background, would be in both."""
_ENOUGH = 4
"""So many pixels of a core have a median that one of them does not make."""
_ALL = 0.95
"""A pixel with more of the weight of its column has nothing to be compared with."""
_CORE = 0.3
"""The core of a profile is above this part of its peak."""
_TELLING = 0.8
"""Columns with less than this part of the light that others have on good pixels are not
fitted: their flux, and with it the profile, would be the profile's own guess."""
_LEAST_LIGHT = 0.05
"""Columns of which less is on good pixels have no flux."""
_CROWDED = 3.0
"""Objects that are nearer are in each other's light [FWHM]."""
_OVER_THE_TOP = 0.25
"""A profile beside another object is fitted so far beyond its own peak [FWHM]."""
_CLIP = 4.0
_STANDS_OUT = 3.0
"""A pixel whose variance is that many times the model's keeps its own."""
_NEAR = 25
"""How variance grows with light is found from so many columns on either side."""


@dataclass(frozen=True, kw_only=True)
class ExtractedSpectrum:
    """
    A spectrum, in the order of the columns of the frame.

    Parameters
    ----------
    flux, variance : ndarray of float, shape (nx,)
        The light of each column and its variance; NaN where hardly any of it is on
        good pixels.
    fraction : ndarray of float, shape (nx,)
        Part of the light that lies on good pixels.
    profile : ndarray of float, shape (n, nx)
        Fraction of the light by pixel of the window.
    used : ndarray of bool, shape (n, nx)
        Pixels that the flux was taken from.
    rejected : ndarray of bool, shape (n, nx)
        Pixels that were rejected as cosmic rays.
    model_variance : ndarray of float, shape (n, nx)
        Variance of the pixels by the model.
    background : ndarray of float, shape (n, nx)
        What was subtracted from them.
    weights : ndarray of float, shape (n, nx)
        What they were multiplied by in the sum.
    """

    flux: Array
    variance: Array
    fraction: Array
    profile: Array
    used: Mask
    rejected: Mask
    model_variance: Array
    background: Array
    weights: Array


@dataclass(frozen=True)
class ObjectLight:
    """
    The light of an object on a frame.

    Parameters
    ----------
    value, error : ndarray of float, shape (ny, nx)
        The light, and its error, which the pixels of a column have in common.
    """

    value: Array
    error: Array

    @classmethod
    def of(
        cls, spectrum: ExtractedSpectrum, trace: Array, shape: tuple[int, int]
    ) -> "ObjectLight":
        """Lay the light of a spectrum where it is on a frame of a shape."""
        ny, nx = shape
        steps = _steps(len(spectrum.profile))
        rows = np.floor(trace).astype(np.int_) + steps[:, None]
        on = (rows >= 0) & (rows < ny)
        columns = np.broadcast_to(np.arange(nx), rows.shape)
        value, error = np.zeros((2, ny, nx))
        flux, sigma = np.nan_to_num(spectrum.flux), np.sqrt(spectrum.variance)
        profile = spectrum.profile[on]
        value[rows[on], columns[on]] = np.maximum(flux, 0)[columns[on]] * profile
        error[rows[on], columns[on]] = np.nan_to_num(sigma)[columns[on]] * profile
        return cls(value, error)

    def __add__(self, other: "ObjectLight") -> "ObjectLight":
        return ObjectLight(self.value + other.value, self.error + other.error)


@dataclass(frozen=True, kw_only=True)
class SlitBackground:
    """
    A constant or a line along the slit, beside an object, in each column.

    Parameters
    ----------
    coefficients : ndarray of float, shape (terms, nx)
        The level at the trace, and the slope [1/pixel].
    covariance : ndarray of float, shape (nx, terms, terms)
        Their covariance.
    """

    coefficients: Array
    covariance: Array

    def at(self, offset: Array) -> Array:
        """Give the background at distances from the trace [pixel]."""
        return np.asarray(
            np.einsum("k...,k...->...", self._terms(offset), self.coefficients[:, None])
        )

    def variance_at(self, offset: Array) -> Array:
        """Give the variance of the background at distances from the trace [pixel]."""
        terms = self._terms(offset)
        return np.asarray(np.einsum("knx,xkl,lnx->nx", terms, self.covariance, terms))

    def flux_variance(self, weights: Array, offset: Array) -> Array:
        """Give the variance that it adds to sums of pixels with weights."""
        sums = np.einsum("knx,nx->xk", self._terms(offset), weights)
        return np.asarray(np.einsum("xk,xkl,xl->x", sums, self.covariance, sums))

    def _terms(self, offset: Array) -> Array:
        return np.stack([offset**k for k in range(len(self.coefficients))])


def _steps(n: int) -> npt.NDArray[np.int_]:
    """Give the rows of a window of n rows, from that below the trace."""
    return np.arange(n) - (n - 2) // 2


def cut_window(
    data: Array,
    variance: Array,
    good: Mask,
    *,
    trace: Array,
    fwhm: Array,
    reach: float,
    others: Sequence[Array] = (),
    light: ObjectLight | None = None,
) -> SpectrumWindow:
    """
    Cut the pixels out that are within `reach` of a trace.

    Where another trace is near, pixels count halfway to it; the light of others, where
    it is known, is subtracted.
    """
    ny, nx = data.shape
    steps = _steps(2 * int(np.ceil(reach)) + 2)
    rows = np.floor(trace).astype(np.int_) + steps[:, None]
    outside = (rows < 0) | (rows >= ny)
    offset = rows - trace
    whole = np.abs(offset) <= reach + 0.5
    inside = whole.copy()
    for other in others:
        inside &= np.abs(offset) <= np.abs(rows - other)
    rows = np.clip(rows, 0, ny - 1)
    columns = np.arange(nx)
    known = good[rows, columns] & ~outside & np.isfinite(trace)
    beside, error = np.zeros((2, *rows.shape))
    if light is not None:
        beside, error = (a[rows, columns] for a in (light.value, light.error))
    return SpectrumWindow(
        rows=rows,
        data=np.where(known, data[rows, columns] - beside, 0.0),
        variance=np.where(known, variance[rows, columns], 1.0),
        beside=np.where(known, beside, 0.0),
        beside_error=np.where(known, error, 0.0),
        good=known,
        offset=offset,
        whole=whole,
        inside=inside,
        own=inside & _away(offset, fwhm, [other - trace for other in others]),
        fwhm=fwhm,
    )


def _away(offset: Array, fwhm: Array, others: Sequence[Array]) -> Mask:
    """
    Tell the pixels that are not on the side of another object.

    There the profile is that of the other side, or else it takes light of the other
    object, which may have the same spectrum. Between two objects nothing is better.
    """
    near = [far for far in others if np.min(np.abs(far) / fwhm) < _CROWDED]
    sides = {bool(np.median(far) > 0) for far in near}
    if len(sides) != 1:
        return np.ones(offset.shape, np.bool_)
    distance = offset / fwhm if sides.pop() else -offset / fwhm
    return np.asarray(distance < _OVER_THE_TOP)


def extract_boxcar(
    window: SpectrumWindow,
    *,
    radius: float,
    kind: ProfileKind = "empirical",
    background: SlitBackground | None = None,
    share: float = 0.0,
) -> ExtractedSpectrum:
    """
    Sum the pixels within `radius` of the trace, at its ends fractions of pixels.

    The light of bad pixels, and of those that are nearer to another object or off the
    slit, is that which the profile has there, by the light of the others, so that a bad
    pixel costs one pixel. The window is larger than the radius.
    The other parameters are those of `extract_optimal`.
    """
    fit = _Fit.of(window, kind, background, None, rounds=_ROUNDS["boxcar"])
    upper = np.clip(radius - window.offset + 0.5, 0, 1)
    lower = np.clip(radius + window.offset + 0.5, 0, 1)
    cover = np.where(window.whole, np.maximum(upper + lower - 1, 0), 0)
    used = fit.kept & (cover > 0)
    whole = (cover * fit.profile).sum(axis=0)
    seen = (cover * fit.profile * used).sum(axis=0)
    complete = ~((cover > 0) & ~used).any(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = np.where(complete, 1.0, np.clip(seen / whole, 0, 1))
        weights = np.where(used, cover, 0) / fraction
    return fit.summed(weights, fraction, share)


def extract_optimal(
    window: SpectrumWindow,
    *,
    kind: ProfileKind = "empirical",
    background: SlitBackground | None = None,
    share: float = 0.0,
    sigma: float | None = 5.0,
) -> ExtractedSpectrum:
    """
    Weigh pixels by a profile and the variance of the model, after Horne and Marsh.

    Parameters
    ----------
    window : SpectrumWindow
        The pixels around the trace.
    kind : {'empirical', 'gaussian', 'moffat'}
        The profile: see `fit_profile`.
    background : SlitBackground, optional
        Background to be subtracted.
    share : float
        Part of the variance of sky and read noise that is an error of the sky, which
        all pixels of a column have in common.
    sigma : float, optional
        Pixels further from the model than this many standard deviations are rejected
        as cosmic rays; None rejects none.

    Returns
    -------
    ExtractedSpectrum
        Flux, variance and the profile.
    """
    fit = _Fit.of(window, kind, background, sigma, rounds=_ROUNDS["optimal"])
    weight = np.where(fit.kept, fit.profile / fit.variance, 0)
    norm = (weight * fit.profile).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = weight / norm
    return fit.summed(weights, (fit.profile * fit.kept).sum(axis=0), share)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """Profile and variance of the pixels of a spectrum, and which of them count."""

    window: SpectrumWindow
    level: Array
    background: SlitBackground | None
    profile: Array
    variance: Array
    # The part of the variance that is not the light of the object.
    base: Array
    kept: Mask
    rejected: Mask

    @classmethod
    def of(
        cls,
        window: SpectrumWindow,
        kind: ProfileKind,
        background: SlitBackground | None,
        sigma: float | None,
        *,
        rounds: int,
    ) -> "_Fit":
        """Fit a profile to the pixels without their background."""
        level, common = np.zeros((2, *window.data.shape))
        if background is not None:
            level = background.at(window.offset)
            window = replace(window, good=window.good & np.isfinite(level))
            level = np.nan_to_num(level)
            common = np.nan_to_num(background.variance_at(window.offset))
        window = replace(window, data=window.data - level)
        profile, variance, base, kept = _optimal(
            window, kind, common=common, sigma=sigma, rounds=rounds
        )
        good = window.good & window.inside
        return cls(
            window=window, level=level, background=background, profile=profile,
            variance=variance, base=base, kept=good if sigma is None else kept,
            rejected=good & ~kept if sigma is not None else np.zeros_like(good),
        )  # fmt: skip

    def summed(
        self, weights: Array, fraction: Array, share: float
    ) -> ExtractedSpectrum:
        """Sum pixels with weights; the variance is that of the model."""
        known = fraction >= _LEAST_LIGHT
        weights = np.where(self.kept & known, np.nan_to_num(weights), 0)
        flux = (weights * self.window.data).sum(axis=0)
        squares = weights**2
        variance = (squares * self.variance).sum(axis=0)
        common = weights.sum(axis=0) ** 2 - squares.sum(axis=0)
        variance += share * self.base * common
        variance += (weights * self.window.beside_error).sum(axis=0) ** 2
        if self.background is not None:
            variance += self.background.flux_variance(weights, self.window.offset)
        unknown = ~(weights != 0).any(axis=0) | ~(variance > 0)
        return ExtractedSpectrum(
            flux=np.where(unknown, np.nan, flux),
            variance=np.where(unknown, np.nan, variance),
            fraction=np.where(unknown, 0.0, fraction),
            profile=self.profile,
            used=weights != 0,
            rejected=self.rejected,
            model_variance=self.variance,
            background=self.level,
            weights=weights,
        )


def _optimal(
    window: SpectrumWindow,
    kind: ProfileKind,
    *,
    common: Array,
    sigma: float | None,
    rounds: int,
) -> tuple[Array, Array, Array, Mask]:
    """
    Find profile, variance and cosmic rays in turn, from a Gaussian on.

    The variance is without the part that is common to the pixels of a column.
    """
    profile = gaussian_profile(window)
    good = window.good & window.inside
    flux, _ = _weighted_flux(window.data, profile, window.variance, good)
    kept = good
    for number in range(rounds):
        # The first profile is a guess, so that light may be far from it.
        variance, base = _model_variance(window, np.maximum(flux, 0) * profile, kept)
        limits = (8.0, 0.5)
        if number > 0:
            missed = _missed(window, profile, flux, variance + common, kept)
            limits = (sigma or 8.0, missed)
        kept = _without_rays(window, profile, variance + common, good, limits)
        flux, _ = _weighted_flux(window.data, profile, variance, kept)
        if number < rounds - 1:
            noise = variance + common
            light, is_plain = _light_without(window.data, profile, noise, kept)
            seen = (profile * kept).sum(axis=0)
            most = np.percentile(seen[seen > 0], 90) if (seen > 0).any() else 0.0
            is_plain &= seen >= _TELLING * most
            profile = fit_profile(window, light, noise, kept & is_plain, kind)
            flux, _ = _weighted_flux(window.data, profile, variance, kept)
    return profile, variance, base, kept


def _weighted_flux(
    data: Array, profile: Array, variance: Array, good: Mask
) -> tuple[Array, Array]:
    """Give the flux of each column and its variance; 0 and infinity without pixels."""
    weight = np.where(good, profile / variance, 0)
    norm = (weight * profile).sum(axis=0)
    seen = norm > 0
    flux, error2 = np.zeros(norm.shape), np.full(norm.shape, np.inf)
    flux[seen] = (weight * data).sum(axis=0)[seen] / norm[seen]
    error2[seen] = 1 / norm[seen]
    return flux, error2


def _light_without(
    data: Array, profile: Array, variance: Array, good: Mask
) -> tuple[LightWithout, Mask]:
    """
    Give the flux of each column as pixels other than each one tell it.

    Where that is uncertain, it is the mean of columns on either side that are as
    uncertain. Also which columns are no spikes of one or two, as of cosmic rays.
    """
    from scipy.ndimage import median_filter

    weight = np.where(good, profile / variance, 0)
    norm, total = weight * profile, weight * data
    others = norm.sum(axis=0) - norm
    safe = np.where(others > 0, others, 1)
    value = np.where(others > 0, (total.sum(axis=0) - total) / safe, 0)
    error2 = np.where(others > 0, 1 / safe, 0)

    flux, whole = _weighted_flux(data, profile, variance, good)
    seen = np.isfinite(whole)
    sigma = np.sqrt(np.where(seen, whole, 1))
    middle = median_filter(flux, 5, mode="nearest")
    plain = seen & (np.abs(flux - middle) <= 5 * sigma + np.abs(middle))
    faint = plain & (flux < _CERTAIN * sigma)
    if faint.any():
        snr = max(float(np.median(flux[faint] / sigma[faint])), 0.1)
        half = int(np.clip(50 / snr**2, 2, max(2, flux.size // 8)))
        own = np.where(faint, flux, 0)
        count = _running_sum(faint.astype(np.float64), half) - faint
        mean = (_running_sum(own, half) - own) / np.maximum(count, 1)
        value = np.where(faint, mean, value)
        error2 = np.where(faint, 0, error2)
    return LightWithout(value=value, variance=error2), plain


def _running_sum(values: Array, half: int) -> Array:
    """Sum the columns up to `half` away, along the last axis."""
    n = values.shape[-1]
    pad = [(0, 0)] * (values.ndim - 1) + [(1, 0)]
    total = np.cumsum(np.pad(values, pad), axis=-1)
    columns = np.arange(n)
    upper = np.minimum(columns + half + 1, n)
    return np.asarray(total[..., upper] - total[..., np.maximum(columns - half, 0)])


def _missed(
    window: SpectrumWindow, profile: Array, flux: Array, variance: Array, good: Mask
) -> float:
    """Measure which part of the light the profile may miss: 3 times what it does."""
    least, most = _TOLERANCE
    light = flux * profile
    core = good & (profile > _CORE * profile.max(axis=0)) & (light > 0)
    if not core.any():
        return most
    noise = variance[core]
    squares = (window.data - light)[core] ** 2
    # Of normal ones, the median of squares is .455 of their mean.
    excess = float(np.median(squares / noise)) / 0.455 - 1
    part2 = max(excess, 0) * float(np.median(noise / light[core] ** 2))
    return float(np.clip(3 * np.sqrt(part2), least, most))


def _without_rays(
    window: SpectrumWindow,
    profile: Array,
    variance: Array,
    good: Mask,
    limits: tuple[float, float],
) -> Mask:
    """
    Reject pixels that the profile does not explain.

    First those far above the light of the columns beside, then, of wide profiles, those
    off the median of the fluxes that pixels of the column tell, and then the worst
    pixel of each column, again and again, until all fit. The worst is that which is
    furthest off the flux of all others: its own part in the flux hides it else.
    """
    from scipy.ndimage import median_filter

    sigma, loose = limits
    columns = np.arange(profile.shape[1])
    padded = np.pad(profile, ((1, 1), (0, 0)))
    highest = np.maximum(np.maximum(padded[:-2], padded[2:]), profile)

    robust = _median_flux(window.data, profile, good)
    seen = np.isfinite(robust)
    if not seen.any():
        return good
    filled = np.interp(columns, columns[seen], robust[seen])
    beside = median_filter(filled, 5, mode="nearest")
    # Not of the column itself, which a ray may be in.
    wider = np.pad(filled, 2, mode="edge")
    slope = np.maximum(
        np.abs(wider[3:-1] - wider[1:-3]) / 2, np.abs(wider[4:] - wider[:-4]) / 4
    )

    def off(flux: Array, part: float) -> Array:
        """Give how far pixels are off, by the largest distance that is allowed."""
        bright = np.maximum(flux, 0) * highest + window.beside
        allowed = sigma**2 * variance + (part * bright) ** 2
        allowed += (_SLOPE * slope * highest) ** 2
        return np.asarray((window.data - flux * profile) / np.sqrt(allowed))

    kept = good & (off(beside, _FAR_ABOVE) <= 1)
    middle = _median_flux(window.data, profile, kept)
    n_core = (good & (profile > _CORE * profile.max(axis=0))).sum(axis=0)
    told = np.isfinite(middle) & (n_core >= _ENOUGH)
    kept &= ~told | (np.abs(off(np.nan_to_num(middle), loose)) <= 1)
    for _ in range(profile.shape[0] // 2):
        flux, _ = _weighted_flux(window.data, profile, variance, kept)
        weight = np.where(kept, profile**2 / variance, 0)
        total = weight.sum(axis=0)
        own = weight / np.where(total > 0, total, 1)
        distance = np.where(kept, np.abs(off(flux, loose)), 0)
        distance = np.where(
            own < _ALL, distance / np.sqrt(1 - np.minimum(own, _ALL)), 0
        )
        worst = np.argmax(distance, axis=0)
        wrong = distance[worst, columns] > 1
        if not wrong.any():
            break
        kept[worst[wrong], columns[wrong]] = False
    return kept


def _median_flux(data: Array, profile: Array, good: Mask) -> Array:
    """Give the weighted median of the fluxes that pixels of the core tell, or NaN."""
    core = good & (profile > _CORE * profile.max(axis=0))
    each = np.where(core, data, 0) / np.where(core, profile, 1)
    weight = np.where(core, profile**2, 0)
    order = np.argsort(np.where(core, each, np.inf), axis=0)
    total = np.cumsum(np.take_along_axis(weight, order, axis=0), axis=0)
    middle = np.argmax(total >= total[-1] / 2, axis=0)
    at = np.take_along_axis(order, middle[None], axis=0)
    flux = np.take_along_axis(each, at, axis=0)[0]
    return np.where(core.any(axis=0), flux, np.nan)


def _model_variance(
    window: SpectrumWindow, model: Array, kept: Mask
) -> tuple[Array, Array]:
    """
    Give the variance that pixels have by the model, without the noise of their own.

    Also the part of it, by column, that is not the light of the object.

    The variance of a frame grows with the light of its model, or with that of the
    pixel, noise included, from which it was found. How much by which is found by a
    regression, and what does not follow from either is the rest: read noise and sky, of
    which the median of the column is taken.
    """
    noise = window.data - model
    count = np.maximum(kept.sum(axis=0), 1)

    def about_mean(values: Array) -> Array:
        return np.where(kept, values - np.where(kept, values, 0).sum(axis=0) / count, 0)

    model = model + window.beside
    light, own, given = map(about_mean, (model, noise, window.variance))

    def near(a: Array, b: Array) -> Array:
        return _running_sum((a * b).sum(axis=0), _NEAR)

    ll, oo, lo = near(light, light), near(own, own), near(light, own)
    lg, og = near(light, given), near(own, given)
    determinant = ll * oo - lo**2
    solvable = determinant > 1e-9 * ll * oo
    safe = np.where(solvable, determinant, 1.0)
    by_light = np.where(solvable, np.maximum((oo * lg - lo * og) / safe, 0), 0)
    by_own = np.where(solvable, np.maximum((ll * og - lo * lg) / safe, 0), 0)
    rest = np.where(kept, window.variance - by_light * model - by_own * noise, np.nan)
    base = np.zeros(count.shape)
    seen = kept.any(axis=0)
    base[seen] = np.nanmedian(rest[:, seen], axis=0)
    lowest = np.where(kept, window.variance, np.inf).min(axis=0)
    base = np.where(base > 0, base, np.where(np.isfinite(lowest), lowest, 1.0))
    # Where a profile is 0, its fit may be below.
    result = base + by_light * np.maximum(model, 0)
    stands_out = window.variance - by_own * noise > _STANDS_OUT * result
    return np.where(stands_out & window.good, window.variance, result), base


def fit_slit_background(
    data: Array,
    variance: Array,
    good: Mask,
    trace: Array,
    windows: Sequence[tuple[float, float]],
    *,
    kind: Literal["constant", "linear"] = "constant",
) -> SlitBackground:
    """
    Fit a constant or a line to the pixels of windows beside an object.

    Pixels are not weighted: weights by the noise of pixels would make it too low.
    Columns with too few pixels have NaN.

    Parameters
    ----------
    data, variance : ndarray of float, shape (ny, nx)
        The frame.
    good : ndarray of bool, shape (ny, nx)
        Pixels that count; none of another object.
    trace : ndarray of float, shape (nx,)
        The object [pixel].
    windows : sequence of (float, float)
        First and last distance from the trace of each window [pixel].
    kind : {'constant', 'linear'}
        What is fitted along the slit.

    Returns
    -------
    SlitBackground
        Coefficients and their covariance.
    """
    offset = np.arange(len(data))[:, None] - trace
    chosen = np.zeros(data.shape, np.bool_)
    for low, high in windows:
        chosen |= (offset >= low) & (offset <= high)
    used = chosen & good
    n_terms = 1 if kind == "constant" else 2
    terms = np.stack([offset**k for k in range(n_terms)])
    for _ in range(3):
        coefficients, _ = _least_squares(data, terms, used)
        residual = np.where(used, data - _model(terms, coefficients), np.nan)
        seen = np.isfinite(residual).any(axis=0)
        width = np.zeros(used.shape[1])
        width[seen] = 1.4826 * np.nanmedian(np.abs(residual[:, seen]), axis=0)
        typical = np.zeros(used.shape[1])
        typical[seen] = np.nanmedian(np.where(used, variance, np.nan)[:, seen], axis=0)
        limit = _CLIP * np.maximum(width, np.sqrt(typical))
        with np.errstate(invalid="ignore"):
            used = used & (np.abs(residual) <= limit)
    coefficients, inverse = _least_squares(data, terms, used)
    spread = np.einsum("kyx,lyx->xkl", terms * np.where(used, variance, 0), terms)
    return SlitBackground(
        coefficients=coefficients, covariance=inverse @ spread @ inverse
    )


def _model(terms: Array, coefficients: Array) -> Array:
    return np.asarray(np.einsum("kyx,kx->yx", terms, coefficients))


def _least_squares(data: Array, terms: Array, used: Mask) -> tuple[Array, Array]:
    weighted = terms * used
    normal = np.einsum("kyx,lyx->xkl", weighted, terms)
    target = np.einsum("kyx,yx->xk", weighted, np.where(used, data, 0))
    inverse = np.full(normal.shape, np.nan)
    enough = used.sum(axis=0) > len(terms) + 1
    inverse[enough] = np.linalg.inv(normal[enough])
    return np.einsum("xkl,xl->kx", inverse, target), inverse
