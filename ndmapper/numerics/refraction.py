"""Airmass, parallactic angle, and refraction of air at each wavelength."""

import numpy as np
import numpy.typing as npt

__all__ = ["airmass", "parallactic_angle", "pressure_at", "refraction"]

Array = npt.NDArray[np.float64]

_ARCSEC = 206264.806
_MERCURY = 133.322387415
"""A millimetre of mercury [Pa]."""


def airmass(zenith_angle: npt.ArrayLike) -> Array:
    """
    Compute the airmass at a zenith angle [degree] without refraction.

    By the formula of Young (1994, Applied Optics 33, 1108), which is within .0037 of
    an integration of the atmosphere down to the horizon.
    """
    c = np.cos(np.radians(zenith_angle))
    above = 1.002432 * c**2 + 0.148386 * c + 0.0096467
    below = c**3 + 0.149864 * c**2 + 0.0102963 * c + 0.000303978
    return np.asarray(above / below, np.float64)


def parallactic_angle(
    hour_angle: npt.ArrayLike, dec: npt.ArrayLike, latitude: float
) -> Array:
    """Compute the angle from north through east to the zenith, at a star [degree]."""
    h, d, phi = np.radians(hour_angle), np.radians(dec), np.radians(latitude)
    to_east = np.sin(h) * np.cos(phi)
    to_north = np.sin(phi) * np.cos(d) - np.cos(phi) * np.sin(d) * np.cos(h)
    return np.asarray(np.degrees(np.arctan2(to_east, to_north)), np.float64)


def pressure_at(height: float) -> float:
    """Give the pressure of the standard atmosphere at a height [m; hPa]."""
    return float(1013.25 * (1 - 2.25577e-5 * height) ** 5.25588)


def refraction(
    wavelength: npt.ArrayLike,
    zenith_angle: float,
    *,
    pressure: float,
    temperature: float = 7.0,
    vapour: float = 10.7,
) -> Array:
    """
    Compute by how much air lifts light of each wavelength towards the zenith [arcsec].

    Plane-parallel air, of a wavelength in vacuum [Angstrom], pressure and pressure of
    water vapour [hPa] and temperature [degree Celsius]; Filippenko (1982, PASP 94,
    715), equations 1 to 4. The defaults are those of his table.
    """
    square = (1e4 / np.asarray(wavelength, np.float64)) ** 2  # of waves in a micrometre
    p, f = pressure * 100 / _MERCURY, vapour * 100 / _MERCURY
    warm = 1 + 0.003661 * temperature
    excess = 64.328 + 29498.1 / (146 - square) + 255.4 / (41 - square)
    excess *= p * (1 + (1.049 - 0.0157 * temperature) * 1e-6 * p) / (720.883 * warm)
    excess -= (0.0624 - 0.000680 * square) / warm * f
    lifted = _ARCSEC * 1e-6 * excess * np.tan(np.radians(zenith_angle))
    return np.asarray(lifted, np.float64)
