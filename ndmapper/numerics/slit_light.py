"""
The illumination of a slit, from light whose spectrum is not known.

Arrays have the slit along axis 0 and the dispersion along axis 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.slit_illumination import (
    Illumination,
    fit_illumination,
    pixel_scatter,
)
from ndmapper.numerics.slit_sky import fit_spline

__all__ = ["SlitLight", "fit_slit_light"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ROUNDS = 4
_LIMIT = 5.0


@dataclass(frozen=True, kw_only=True)
class SlitLight:
    """
    The light of a slit as a spectrum times an illumination.

    Parameters
    ----------
    illumination : Illumination
        The illumination.
    spectrum : ndarray of float, shape (ny, nx)
        The spectrum at each pixel, as light of a mean illumination.
    used : ndarray of bool, shape (ny, nx)
        Pixels that the fit was made of.
    structure : ndarray of float, shape (ny,)
        Mean of what the fit leaves of each row, as a part of the light; NaN where no
        pixel was used.
    significance : float
        Root mean square of this, in units of its error.
    """

    illumination: Illumination
    spectrum: Array
    used: Mask
    structure: Array
    significance: float


def fit_slit_light(
    data: Array,
    variance: Array | None,
    usable: Mask,
    position: Array,
    degree: tuple[int, int],
    *,
    wavelengths: Array | None = None,
    largest_error: float = 0.02,
) -> SlitLight:
    """
    Fit a spectrum and a smooth illumination in turn, each to the light over the other.

    Parameters
    ----------
    data : ndarray of float, shape (ny, nx)
        The light.
    variance : ndarray of float, shape (ny, nx), or None
        Its variance.
    usable : ndarray of bool, shape (ny, nx)
        Pixels that are lit and good.
    position : ndarray of float, shape (ny, nx)
        Place in the slit, from -1 to 1.
    degree : (int, int)
        Degrees of the illumination along the slit and along the dispersion.
    wavelengths : ndarray of float, shape (ny, nx), optional
        Wavelengths, which rise along axis 1; NaN where they are not known. The
        spectrum is a spline in them. Without, it is that of the columns, which is
        right for lines that are not tilted.
    largest_error : float
        Blocks of columns which do not tell the illumination so well are not used.

    Returns
    -------
    SlitLight
        The illumination, whose mean along the slit is 1 in each column.

    Raises
    ------
    ValueError
        If no part of the slit has enough light.
    """
    illumination = np.ones(data.shape)
    used = usable.copy()
    for number in range(_ROUNDS):
        spectrum = _spectrum(data, variance, used, illumination, wavelengths)
        lit = used & np.isfinite(spectrum) & (np.nan_to_num(spectrum) > 0)
        level = np.where(lit, spectrum, 1.0)
        relative = np.where(lit, data / level, 1.0)
        noise = _smooth_noise(variance, lit, illumination)
        if noise is not None:
            noise = noise / level**2
        # Before there is an illumination, what it does would be taken for scatter.
        scatter = np.zeros(data.shape[1])
        if number:
            scatter = pixel_scatter(
                relative / illumination,
                None if noise is None else noise / illumination**2,
                lit,
            )
        total = scatter * illumination**2 + (0.0 if noise is None else noise)
        total = np.maximum(total, 1e-12)
        # Stars in the twilight, and what else is far off.
        off = np.abs(relative - illumination) > _LIMIT * np.sqrt(total)
        kept = lit & ~off if number else lit
        found = fit_illumination(
            relative, total, kept, position, degree,
            largest_error=largest_error if number else np.inf,
        )  # fmt: skip
        illumination = found.values
    with np.errstate(invalid="ignore"):
        left = np.where(kept & found.told, relative / illumination - 1, 0.0)
    count = (kept & found.told).sum(axis=1)
    error2 = np.where(kept & found.told, total / illumination**2, 0).sum(axis=1)
    known = count > 0
    structure = np.full(len(data), np.nan)
    structure[known] = left.sum(axis=1)[known] / count[known]
    pull = left.sum(axis=1)[known] / np.sqrt(error2[known])
    return SlitLight(
        illumination=found,
        spectrum=np.where(np.isfinite(spectrum), spectrum, 0.0),
        used=kept,
        structure=structure,
        significance=float(np.sqrt(np.mean(pull**2))) if known.any() else 0.0,
    )


def _spectrum(
    data: Array,
    variance: Array | None,
    used: Mask,
    illumination: Array,
    wavelengths: Array | None,
) -> Array:
    """Give the spectrum at each pixel, of light divided by the illumination."""
    flat = np.where(used, data, 0.0) / illumination
    if wavelengths is None:
        # Sums weigh the rows as their light does.
        weight = np.where(used, illumination, 0.0).sum(axis=0)
        total = np.where(used, data, 0.0).sum(axis=0)
        mean = np.full(weight.size, np.nan)
        np.divide(total, weight, out=mean, where=weight > 0)
        return np.broadcast_to(mean, data.shape)
    noise = np.ones(data.shape) if variance is None else variance
    noise = np.where(used, noise, 1.0) / illumination**2
    return fit_spline(flat, noise, used, wavelengths, spacing=1.0, clip=20.0).level


def _smooth_noise(
    variance: Array | None, used: Mask, illumination: Array
) -> Array | None:
    """
    Give the variance that pixels of a column have at their illumination.

    Their own variances are smaller where their counts are, which would weigh those
    more.
    """
    if variance is None:
        return None
    total = np.where(used, variance, 0.0).sum(axis=0)
    lit = np.where(used, illumination, 0.0).sum(axis=0)
    typical = np.divide(total, lit, out=np.ones(lit.size), where=lit > 0)
    return np.asarray(illumination * typical)
