"""
Optics of MUSE: what place of the sky and what wavelength falls on a pixel.

Each of the 24 IFUs takes a strip of the field, in 48 slices, to its own detector. Its
numbers are those that frames and tables are made with, hence eleven names.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = [
    "COLUMNS",
    "PIXEL",
    "SLICES",
    "SLICE_ON_SKY",
    "STEP",
    "Image",
    "paint",
    "slice_place",
    "strip_centre",
    "wavelength",
    "wavelength_polynomial",
]

Image = npt.NDArray[np.float64]

SLICES = 48
COLUMNS = 4096

PIXEL = 0.2
"""Size of a pixel on the sky [arcsec]."""

STEP = 1.25
"""Dispersion [Angstrom per row]."""

_MIDDLE = 7315.0
_CURVE = 4e-4
_HALF_WIDTH = 38.3

# Slices of each quarter of the field are in this order on the detector.
_ORDER = (9, 8, 1, 10, 7, 2, 11, 6, 3, 12, 5, 4)
SLICE_ON_SKY = [12 * quarter + n for quarter in range(4) for n in _ORDER]
"""Number (1 to 48) on the sky of each slice, in the order of columns."""

Spectrum = Callable[[Image, Image, float], Image]


def slice_centre(number: int, y: Image | float) -> Image:
    """Return the column in the middle of a slice, at rows counted from the middle."""
    return np.asarray(62.0 + 84.4 * number + 8e-4 * y + 1.5e-7 * y**2)


def wavelength(number: int, x: Image | float, y: Image | float, rows: int) -> Image:
    """Return the wavelength [Angstrom] of columns and rows, counted from 1."""
    start = _MIDDLE + 6.0 * (number % 3 - 1) - STEP * (rows / 2 + 1)
    return np.asarray(start + STEP * y + _CURVE * (x - slice_centre(number, 0.0)) ** 2)


def wavelength_polynomial(rows: int) -> dict[tuple[int, int], Image]:
    """Return `wavelength` of each slice as coefficients of powers of x and y."""
    centre = np.array([slice_centre(n, 0.0) for n in range(SLICES)])
    start = np.array([wavelength(n, 0.0, 0.0, rows) for n in range(SLICES)])
    coefficients = {(i, j): np.zeros(SLICES) for i in range(3) for j in range(2)}
    coefficients[0, 0] = start
    coefficients[1, 0] = -2 * _CURVE * centre
    coefficients[2, 0] += _CURVE
    coefficients[0, 1] += STEP
    return coefficients


def slice_place(ifu: int, number: int) -> tuple[float, float]:
    """Return where the middle of a slice is in the field [pixel from its centre]."""
    quarter, row = divmod(SLICE_ON_SKY[number] - 1, 12)
    return 112.5 - 75.0 * quarter, 12.0 * (12.5 - ifu) + 5.5 - row


def strip_centre(ifus: Sequence[int]) -> float:
    """Return how high in the field these IFUs look, in the median [arcsec]."""
    return float(12.0 * (12.5 - np.median(ifus)) * PIXEL)


def paint(rows: int, ifu: int, spectrum: Spectrum) -> Image:
    """Return the image of all slices, of a spectrum at wavelength, x and y."""
    image = np.zeros((rows, COLUMNS))
    y = np.arange(1.0, rows + 1)[:, None]
    for number in range(SLICES):
        middle = int(slice_centre(number, 0.0))
        near = slice(max(middle - 50, 0), middle + 50)
        x = np.arange(1.0, COLUMNS + 1)[None, near]
        away = x - slice_centre(number, y - rows / 2)
        # Slightly blurred borders.
        cover = 1.0 / (1.0 + np.exp(2.1 * (np.abs(away) - _HALF_WIDTH)))
        x_place, y_sky = slice_place(ifu, number)
        x_sky = x_place - 75.0 * away / (2 * _HALF_WIDTH)
        image[:, near] += cover * spectrum(wavelength(number, x, y, rows), x_sky, y_sky)
    return image
