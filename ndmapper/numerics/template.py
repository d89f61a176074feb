"""Where the wavelengths of an arc are, by correlation with one of known wavelengths."""

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.arc_match import SearchRange

__all__ = ["match_template"]

Array = npt.NDArray[np.float64]

_LEAST = 0.35
"""Correlation of a template that is alike."""

_STRETCH = 0.1
"""The dispersions differ by less than this part."""

_NEAR = 30.0
"""The wavelengths of the template are good to so many pixels."""


def match_template(spectrum: Array, wavelength: Array, flux: Array) -> SearchRange:
    """
    Find the shift and the stretch at which an arc correlates best with a template.

    Parameters
    ----------
    spectrum : ndarray of float, shape (n,)
        The arc, in either direction.
    wavelength, flux : ndarray of float, shape (m,)
        The template.

    Returns
    -------
    SearchRange
        Where the solution is, within thirty pixels and five percent.

    Raises
    ------
    ValueError
        If nothing of the template is like the arc.
    """
    order = np.argsort(wavelength, kind="stable")
    wavelength, flux = wavelength[order], flux[order]
    steps = np.diff(wavelength)
    if len(steps) < 16 or not (steps > 0).all():
        msg = "it has too few wavelengths, or some of them twice"
        raise ValueError(msg)
    ours, theirs = _lines_only(spectrum), _lines_only(flux)
    n = len(ours)
    best = (-1.0, 0.0, 1.0, 1)
    # A stretch that is wrong by so little moves the ends by a pixel and a half.
    stretches = np.arange(-_STRETCH, _STRETCH, 3.0 / n) + 1
    for direction in (1, -1):
        turned = ours[::direction]
        for stretch in stretches:
            size = max(16, round(n * stretch))
            at = np.linspace(0, n - 1, size)
            score, offset = _correlation(np.interp(at, np.arange(n), turned), theirs)
            if score > best[0]:
                best = (score, offset + (size - 1) / 2, (size - 1) / (n - 1), direction)
    score, middle, stretch, direction = best
    if score < _LEAST:
        msg = (
            f"nothing of it is like the arc (the correlation is {score:.2f}, less than "
            f"{_LEAST:g})"
        )
        raise ValueError(msg)
    pixels = np.arange(len(wavelength))
    step = float(np.interp(middle, pixels[:-1] + 0.5, steps)) * stretch
    centre = float(np.interp(middle, pixels, wavelength))
    # Beyond its ends, the template goes on as a straight line.
    centre += step / stretch * (middle - float(np.clip(middle, 0, len(pixels) - 1)))
    return SearchRange(
        centre=(centre - _NEAR * step, centre + _NEAR * step),
        dispersion=(0.95 * step, 1.05 * step),
        directions=(direction,),
    )


def _lines_only(spectrum: Array) -> Array:
    """Take off the continuum, and let bright lines count less than they are."""
    from scipy.ndimage import gaussian_filter1d, percentile_filter

    filled = np.nan_to_num(spectrum)
    low = percentile_filter(filled, 30, size=max(51, len(filled) // 20) | 1)
    above = np.sqrt(np.maximum(filled - low, 0))
    return np.asarray(gaussian_filter1d(above, 1.5), np.float64)


def _correlation(one: Array, other: Array) -> tuple[float, int]:
    """Give the largest correlation of two spectra, where half of one overlaps."""
    from scipy.signal import correlate

    product = correlate(other, one, method="fft")
    ones = correlate(np.ones(len(other)), one**2, method="fft")
    others = correlate(other**2, np.ones(len(one)), method="fft")
    norm = np.sqrt(np.maximum(ones * others, 1e-12 * float(np.max(ones * others))))
    offsets = np.arange(len(product)) - (len(one) - 1)
    overlap = np.minimum(offsets + len(one), len(other)) - np.maximum(offsets, 0)
    score = np.where(overlap >= 0.5 * min(len(one), len(other)), product / norm, 0.0)
    at = int(np.argmax(score))
    return float(score[at]), int(offsets[at])
