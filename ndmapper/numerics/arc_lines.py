"""Emission lines of a spectrum: found, and their centres and widths measured."""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt

__all__ = ["LineFlag", "Lines", "find_lines", "flat_tops", "measure_lines"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_FWHM_OF_SIGMA = 2.3548200450309493
_MAD = 1.4826

_REACH = 1.25
"""Pixels nearer than so many FWHM to the peak of a line are fitted."""

_TOO_WIDE = 1.6
"""A line wider than the others by this factor is several lines."""

_FLAT = 0.3
"""Lines whose top is within 2 percent on such a part of their FWHM are saturated."""
_FLAT_PIXELS = 3
_BRIGHT = 100.0
"""Tops of lines are looked at where they have such a signal to noise."""

_CROWDED = 2.5
"""Lines nearer to each other than so many FWHM shift each other."""

_ITERATIONS = 25
_STILL = 1e-4
"""Fits have ended where centre and sigma move by less [pixel]."""
_STUCK = 1e3
"""Damped so much, a fit that does not improve will not."""


class LineFlag(IntFlag):
    """What is wrong with the centre of a line."""

    SATURATED = 1
    """Pixels of it are saturated, as a flat top tells, or otherwise bad."""
    WIDE = 2
    """It is wider than the other lines: lines that are not resolved."""
    NARROW = 4
    """It is narrower than a line can be, as a cosmic ray is."""
    NOT_FITTED = 8
    """No Gaussian fits it near the peak."""


@dataclass(frozen=True, kw_only=True)
class Lines:
    """
    Emission lines, in the order of pixels.

    Parameters
    ----------
    pixel, error : ndarray of float, shape (n,)
        Centres, and their standard errors [pixel].
    peak, fwhm : ndarray of float, shape (n,)
        Height above the continuum, and FWHM [pixel].
    snr : ndarray of float, shape (n,)
        Height of the peak by its noise.
    flags : ndarray of int, shape (n,)
        Sums of `LineFlag`; 0 where a line is good.
    width : float
        FWHM of a line that is not resolved [pixel].
    """

    pixel: Array
    error: Array
    peak: Array
    fwhm: Array
    snr: Array
    flags: npt.NDArray[np.int_]
    width: float

    def __len__(self) -> int:
        return len(self.pixel)

    @property
    def good(self) -> Mask:
        """Which lines have a centre that can be trusted."""
        return np.asarray(self.flags == 0)

    @property
    def usable(self) -> Mask:
        """Which lines are good, but that they may be several."""
        return np.asarray((self.flags & ~int(LineFlag.WIDE)) == 0)

    @property
    def shift(self) -> Array:
        """
        How far other lines may shift the centre [pixel].

        No line is quite Gaussian, so that its wings reach to its neighbours; of a line
        that is too wide, the width tells how far apart are those that it is made of.
        """
        shift = np.zeros(len(self))
        for step in (-1, 1):
            there = np.arange(len(self)) + step
            there = np.where((there < 0) | (there >= len(self)), step * -1 - 1, there)
            away = np.abs(self.pixel[there] - self.pixel)
            ratio = np.clip(self.peak[there] / np.maximum(self.peak, 1e-30), 0, 1)
            near = (away > 0) & (away < _CROWDED * self.fwhm)
            shift = np.maximum(shift, np.where(near, 0.3 * self.fwhm * ratio, 0.0))
        excess = np.sqrt(np.maximum(self.fwhm**2 - self.width**2, 0))
        is_wide = (self.flags & int(LineFlag.WIDE)) != 0
        wide = np.where(is_wide, 0.7 * excess / _FWHM_OF_SIGMA, 0.0)
        return np.asarray(np.hypot(shift, wide), np.float64)


def find_lines(
    spectrum: npt.ArrayLike,
    variance: npt.ArrayLike | None = None,
    *,
    bad: Mask | None = None,
    fwhm: float | None = None,
    least_snr: float = 10.0,
) -> Lines:
    """
    Find the emission lines of a spectrum, and fit a Gaussian to each.

    Parameters
    ----------
    spectrum, variance : array_like, shape (n,)
        The spectrum and its variance; without it the noise is that of the continuum.
    bad : ndarray of bool, shape (n,), optional
        Pixels that are saturated or not to be used.
    fwhm : float, optional
        FWHM of a line [pixel]; by default that of the brightest lines.
    least_snr : float
        Lines with a peak of less than so many standard deviations are not looked for.

    Raises
    ------
    ValueError
        If there is no line.
    """
    values = np.asarray(spectrum, np.float64)
    bad = ~np.isfinite(values) if bad is None else bad | ~np.isfinite(values)
    noise2 = None if variance is None else np.asarray(variance, np.float64)
    if bad.all():
        msg = "no pixel of the spectrum is good"
        raise ValueError(msg)
    filled = _filled(values, bad)
    above = filled - _continuum(filled)
    floor = (_MAD * float(np.median(np.abs(above)))) ** 2
    if noise2 is None:
        noise2 = np.full(values.shape, max(floor, 1e-30))
    noise2 = np.maximum(_filled(noise2, bad | ~(noise2 > 0)), 1e-30)
    bad = bad | flat_tops(above, noise2)
    peaks = _peaks(above, noise2, least_snr)
    if peaks.size == 0:
        msg = f"no line has a peak of more than {least_snr:g} standard deviations"
        raise ValueError(msg)
    width = fwhm or _typical_width(above, peaks)
    # A bump on the wing of a line is none.
    peaks = _separate(above, peaks, width)
    return measure_lines(filled, noise2, peaks.astype(np.float64), width, bad=bad)


def measure_lines(
    spectrum: Array,
    variance: Array,
    pixel: Array,
    fwhm: float,
    *,
    bad: Mask | None = None,
    sort: bool = True,
) -> Lines:
    """
    Fit a Gaussian on a constant to lines that are about at given pixels.

    They come out in the order of their centres, or in the order given.

    Lines within reach of each other are fitted by turns: what the others add to the
    pixels of a line is taken off before it is fitted, and pixels that are nearer to
    another line are not used.
    """
    bad = np.zeros(spectrum.shape, np.bool_) if bad is None else bad
    start = np.round(pixel).astype(np.intp)
    half = max(2, int(np.ceil(_REACH * fwhm)))
    offset = np.arange(-half, half + 1)
    index = start[:, None] + offset
    inside = (index >= 0) & (index < spectrum.size)
    index = np.clip(index, 0, spectrum.size - 1)
    # All pixels count alike: with weights by the noise of photons the wings of bright
    # lines would decide, which are no Gaussian.
    weight = np.where(inside & ~bad[index], 1.0, 0.0)
    crowded = np.diff(pixel) < 2 * half + 1
    near = np.zeros(len(pixel), np.bool_)
    near[1:] |= crowded
    near[:-1] |= crowded
    weight = np.where(_is_nearer_to_others(pixel, index), 0.0, weight)
    values = spectrum[index]
    noise2 = variance[index]
    fit, error, ok = _fit_gaussians(offset, values, weight, noise2, fwhm)
    for _ in range(6 if near.any() else 0):
        others = _light_of_others(start, fit, ok, index)
        fit[near], error[near], ok[near] = _fit_gaussians(
            offset,
            (values - others)[near],
            weight[near],
            noise2[near],
            fwhm,
            start=fit[near],
        )
    sigma = np.abs(fit[:, 2])
    widths = sigma * _FWHM_OF_SIGMA
    ok &= (fit[:, 0] > 0) & (np.abs(fit[:, 1]) < 0.75 * half)
    flags = np.where(ok, 0, int(LineFlag.NOT_FITTED))
    close = np.abs(offset) <= max(1, round(0.5 * fwhm))
    flags |= np.where((bad[index] & inside & close).any(1), int(LineFlag.SATURATED), 0)
    flags |= np.where(~inside[:, half - 1 : half + 2].all(1), LineFlag.NOT_FITTED, 0)
    typical = _smooth_width(pixel, widths, flags == 0, fwhm)
    flags |= np.where(ok & (widths > _TOO_WIDE * typical), int(LineFlag.WIDE), 0)
    flags |= np.where(ok & (widths < 0.5 * typical), int(LineFlag.NARROW), 0)
    noise = np.sqrt(variance[start.clip(0, spectrum.size - 1)])
    centre = np.where(ok, start + fit[:, 1], pixel)
    found = Lines(
        pixel=centre, error=np.where(ok, error, np.inf), peak=fit[:, 0], fwhm=widths,
        snr=fit[:, 0] / noise, flags=flags.astype(np.int_),
        width=float(np.median(typical)) if len(pixel) else fwhm,
    )  # fmt: skip
    return _taken(found, np.argsort(centre, kind="stable")) if sort else found


def flat_tops(above: Array, variance: Array) -> Mask:
    """
    Find pixels of lines whose top is flat, and others as high as the highest of these.

    A Gaussian is within 2 percent of its peak on 0.17 of its FWHM, whatever that is;
    a line that is saturated, or that two equal ones make, on more.
    """
    found = np.zeros(above.shape, np.bool_)
    bright = above > _BRIGHT * np.sqrt(variance)
    highest, level = float(np.max(above)), np.inf
    last = -1
    for start in np.flatnonzero(bright).tolist():
        if start <= last:
            continue
        stop = start + 1
        low = high = above[start]
        while stop < above.size and bright[stop]:
            low, high = min(low, above[stop]), max(high, above[stop])
            if high - low > 0.02 * high:
                break
            stop += 1
        if stop - start < _FLAT_PIXELS:
            continue
        top = float(np.median(above[start:stop]))
        left, right = start, stop - 1
        while left > 0 and above[left - 1] > top / 2:
            left -= 1
        while right < above.size - 1 and above[right + 1] > top / 2:
            right += 1
        # It has to be the top: nothing beside it that is as wide as a line is higher.
        is_top = float(np.max(above[left : right + 1])) < 1.04 * top
        if is_top and stop - start - 1 > _FLAT * (right - left + 1):
            found[max(0, start - 1) : stop + 1] = True
            last = stop - 1
            # Nothing is higher than saturation; a blend may have a flat top, too.
            if top > 0.9 * highest:
                level = min(level, top)
    return np.asarray(found | (above > 0.97 * level))


def _taken(lines: Lines, index: npt.NDArray[np.intp]) -> Lines:
    return Lines(
        pixel=lines.pixel[index], error=lines.error[index], peak=lines.peak[index],
        fwhm=lines.fwhm[index], snr=lines.snr[index], flags=lines.flags[index],
        width=lines.width,
    )  # fmt: skip


def _filled(values: Array, bad: Mask) -> Array:
    """Fill bad pixels by straight lines."""
    if not bad.any() or bad.all():
        return values
    pixels = np.arange(values.size)
    return np.interp(pixels, pixels[~bad], values[~bad])


def _continuum(values: Array) -> Array:
    """Find what lies below the lines: a low quantile of pixels around, smoothed."""
    from scipy.ndimage import percentile_filter, uniform_filter1d

    size = min(values.size, max(51, values.size // 20) | 1)
    low = percentile_filter(values, 30, size=size, mode="nearest")
    return np.asarray(uniform_filter1d(low, size, mode="nearest"), np.float64)


def _peaks(above: Array, variance: Array, least_snr: float) -> npt.NDArray[np.intp]:
    """Find pixels that are higher than both neighbours, and than the noise."""
    middle = above[1:-1]
    is_peak = (middle > above[:-2]) & (middle >= above[2:])
    is_peak &= middle > least_snr * np.sqrt(variance[1:-1])
    return np.flatnonzero(is_peak) + 1


def _typical_width(above: Array, peaks: npt.NDArray[np.intp]) -> float:
    """Measure the FWHM of the brightest lines, where they cross half of the peak."""
    brightest = peaks[np.argsort(-above[peaks], kind="stable")][:40]
    found = []
    for peak in brightest.tolist():
        half = above[peak] / 2
        right = peak + int(np.argmax(above[peak:] < half))
        left = peak - int(np.argmax(above[peak::-1] < half))
        if peak in (left, right):
            continue
        low, high = above[left], above[left + 1]
        first = left + (half - low) / (high - low)
        high, low = above[right - 1], above[right]
        found.append(right - 1 + (high - half) / (high - low) - first)
    # Blends are wider, so it is not the middle one.
    return max(1.2, float(np.quantile(found, 0.35))) if found else 3.0


def _separate(
    above: Array, peaks: npt.NDArray[np.intp], fwhm: float
) -> npt.NDArray[np.intp]:
    """Leave out peaks that noise or the pixels make near to a higher one."""
    kept: list[int] = []
    reach = max(1.0, 0.8 * fwhm)
    taken = np.zeros(above.size, np.bool_)
    for peak in peaks[np.argsort(-above[peaks], kind="stable")].tolist():
        first, last = int(np.ceil(peak - reach)), int(peak + reach)
        if not taken[max(0, first) : last + 1].any():
            kept.append(peak)
            taken[peak] = True
    return np.array(sorted(kept), np.intp)


def _smooth_width(pixel: Array, widths: Array, good: Mask, fwhm: float) -> Array:
    """Give the FWHM that a line has at each place: a straight line, by medians."""
    if good.sum() < 8:
        value = float(np.median(widths[good])) if good.any() else fwhm
        return np.full(len(pixel), value)
    x, w = pixel[good], widths[good]
    third = max(3, good.sum() // 3)
    order = np.argsort(x, kind="stable")
    ends = [order[:third], order[-third:]]
    (x1, w1), (x2, w2) = (
        (float(np.median(x[e])), float(np.quantile(w[e], 0.4))) for e in ends
    )
    line = w1 + (w2 - w1) * (pixel - x1) / max(x2 - x1, 1.0)
    middle = float(np.median(w))
    return np.clip(line, 0.6 * middle, 1.6 * middle)


def _is_nearer_to_others(pixel: Array, index: npt.NDArray[np.intp]) -> Mask:
    """Tell which pixels around each line are nearer to the line before or after it."""
    middles = (pixel[1:] + pixel[:-1]) / 2
    first = np.concatenate([[-np.inf], middles])
    last = np.concatenate([middles, [np.inf]])
    return np.asarray((index < first[:, None]) | (index > last[:, None]))


def _light_of_others(
    start: npt.NDArray[np.intp], fit: Array, ok: Mask, index: npt.NDArray[np.intp]
) -> Array:
    """Give what the neighbours of each line add to its pixels."""
    total = np.zeros(index.shape)
    centre = start + fit[:, 1]
    for step in (-2, -1, 1, 2):
        there = np.arange(len(start)) + step
        known = (there >= 0) & (there < len(start))
        there = there.clip(0, len(start) - 1)
        known &= ok[there] & (fit[there, 0] > 0)
        away = index - centre[there, None]
        light = fit[there, 0, None] * np.exp(-0.5 * (away / fit[there, 2, None]) ** 2)
        total += np.where(known[:, None], light, 0.0)
    return total


def _fit_gaussians(
    offset: npt.NDArray[np.int_],
    values: Array,
    weight: Array,
    variance: Array,
    fwhm: float,
    *,
    start: Array | None = None,
) -> tuple[Array, Array, Mask]:
    """
    Fit peak, centre, sigma and constant to each row of pixels, by damped least squares.

    Returns
    -------
    parameters : ndarray of float, shape (n, 4)
    error : ndarray of float, shape (n,)
        That of the centre.
    ok : ndarray of bool, shape (n,)
        Which fits have converged, on at least five pixels.
    """
    x = offset.astype(np.float64)
    n = len(values)
    good = weight > 0
    fit = _first_guess(x, values, good, fwhm) if start is None else start.copy()
    damping = np.full(n, 1e-3)
    chi2 = _chi2(x, values, weight, fit)
    for _ in range(_ITERATIONS):
        slopes = _slopes(x, fit)
        normal = np.einsum("nki,nk,nkj->nij", slopes, weight, slopes)
        residual = values - _gaussian(x, fit)
        gradient = np.einsum("nki,nk,nk->ni", slopes, weight, residual)
        diagonal = np.einsum("nii->ni", normal)
        system = normal + np.einsum(
            "ni,ij->nij", diagonal * damping[:, None] + 1e-30, np.eye(4)
        )
        step = np.linalg.solve(system, gradient[..., None])[..., 0]
        trial = fit + step
        trial[:, 2] = np.clip(np.abs(trial[:, 2]), 0.2, 4 * fwhm)
        trial[:, 1] = np.clip(trial[:, 1], x[0], x[-1])
        new = _chi2(x, values, weight, trial)
        better = new <= chi2
        fit[better], chi2[better] = trial[better], new[better]
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-9, 1e9)
        is_still = (np.abs(step[:, 1:3]) < _STILL).all(axis=1)
        if (is_still | (~better & (damping > _STUCK))).all():
            break
    slopes = _slopes(x, fit)
    normal = np.einsum("nki,nk,nkj->nij", slopes, weight, slopes)
    pixels = good.sum(axis=1)
    ok = (pixels >= 5) & (np.linalg.cond(normal) < 1e15)
    error = np.full(n, np.inf)
    pull = np.einsum("nij,nkj->nki", np.linalg.inv(normal[ok]), slopes[ok])
    parts = (pull[:, :, 1] * weight[ok]) ** 2 * variance[ok]
    error[ok] = np.sqrt(parts.sum(axis=1))
    return fit, error, ok


def _first_guess(x: Array, values: Array, good: Mask, fwhm: float) -> Array:
    """Start from the brightest pixel near the middle, above the faintest."""
    base = np.min(np.where(good, values, np.inf), axis=1)
    base = np.where(np.isfinite(base), base, 0.0)
    # Where a neighbour is not taken for it.
    near = good & (np.abs(x) <= max(1.0, fwhm / 2))
    best = np.argmax(np.where(near, values, -np.inf), axis=1)
    height = np.take_along_axis(values, best[:, None], 1)[:, 0] - base
    sigma = np.full(len(values), fwhm / _FWHM_OF_SIGMA)
    return np.stack([np.maximum(height, 1e-12), x[best], sigma, base], axis=1)


def _gaussian(x: Array, fit: Array) -> Array:
    peak, centre, sigma, base = (fit[:, i, None] for i in range(4))
    return np.asarray(base + peak * np.exp(-0.5 * ((x - centre) / sigma) ** 2))


def _slopes(x: Array, fit: Array) -> Array:
    peak, centre, sigma = (fit[:, i, None] for i in range(3))
    z = (x - centre) / sigma
    shape = np.exp(-0.5 * z**2)
    return np.stack(
        [shape, peak * shape * z / sigma, peak * shape * z**2 / sigma,
         np.ones_like(shape)], axis=2,
    )  # fmt: skip


def _chi2(x: Array, values: Array, weight: Array, fit: Array) -> Array:
    return np.asarray((weight * (values - _gaussian(x, fit)) ** 2).sum(axis=1))
