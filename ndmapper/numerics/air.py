"""
Wavelengths in air and in vacuum.

The refractive index is that of Ciddor (1996, Applied Optics 35, 1566) for dry air of 15
degrees Celsius, 101325 Pa and 450 ppm of carbon dioxide. specutils has it, too, but
takes seconds to import.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["air_to_vacuum", "vacuum_to_air"]

Array = npt.NDArray[np.float64]

_SHORTEST = 2000.0
"""Below, wavelengths are given in vacuum whatever the rest is in [Angstrom]."""


def vacuum_to_air(wavelength: npt.ArrayLike) -> Array:
    """Convert wavelengths in vacuum to those in air [Angstrom]; from 2000 on."""
    vacuum = np.asarray(wavelength, np.float64)
    return np.where(vacuum < _SHORTEST, vacuum, vacuum / _index(vacuum))


def air_to_vacuum(wavelength: npt.ArrayLike) -> Array:
    """Convert wavelengths in air to those in vacuum [Angstrom]; from 2000 on."""
    air = np.asarray(wavelength, np.float64)
    vacuum = air
    for _ in range(4):  # each is better than the one before by a factor of 1e4
        vacuum = air * _index(vacuum)
    return np.where(air < _SHORTEST, air, vacuum)


def _index(vacuum: Array) -> Array:
    """Give the refractive index at wavelengths in vacuum [Angstrom]."""
    wavenumber2 = (1e4 / np.maximum(vacuum, _SHORTEST)) ** 2
    return np.asarray(
        1 + 0.05792105 / (238.0185 - wavenumber2) + 0.00167917 / (57.362 - wavenumber2)
    )
