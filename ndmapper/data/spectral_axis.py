"""
Spectral coordinates: linear, or a table with the coordinate of each pixel.

The form of the table is that of the FITS standard (paper III, section 6): an axis whose
CTYPE ends in -TAB, and an HDU with the values.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from ndmapper.data.wcs import unsliced
from ndmapper.io.headers import Header
from ndmapper.io.wcstables import TableReference, hdu_list, tab_table

__all__ = [
    "TABLE_COLUMN",
    "TABLE_NAME",
    "spectral_table",
    "spectral_type",
    "spectral_wcs",
    "table_cards",
]

TABLE_NAME = "WCS-TABLE"
TABLE_COLUMN = "COORDS"
_STRAIGHT = 1e-6
"""Coordinates are linear if they are so within this part of a pixel."""

_WORDS = {
    "em.wl": "WAVE",
    "em.freq": "FREQ",
    "em.energy": "ENER",
    "em.wavenumber": "WAVN",
}


def spectral_wcs(values: npt.NDArray[np.float64], word: str, unit: str) -> WCS:
    """Make the coordinates of a spectrum, linear ones where they are linear."""
    n = values.size
    step = float(values[-1] - values[0]) / max(n - 1, 1) or 1.0
    line = values[0] + step * np.arange(n)
    if np.max(np.abs(values - line)) > _STRAIGHT * abs(step):
        reference = TableReference(TABLE_NAME, 1, 0, "PV1_1")
        hdus = hdu_list([(reference, tab_table(TABLE_COLUMN, values))])
        return WCS(table_cards(word, unit, TABLE_NAME), hdus)
    header = Header()
    header["WCSAXES"], header["CTYPE1"], header["CUNIT1"] = 1, word, unit
    header["CRPIX1"], header["CRVAL1"], header["CDELT1"] = 1.0, float(values[0]), step
    return WCS(header)


def spectral_type(wcs: Any) -> tuple[str, str]:
    """Give the kind of a spectral axis, such as WAVE or AWAV, and its unit."""
    inner, _ = unsliced(wcs)
    if isinstance(inner, WCS):
        return str(inner.wcs.ctype[0]).partition("-")[0], str(inner.wcs.cunit[0])
    low = wcs.low_level_wcs
    word = _WORDS.get(str(low.world_axis_physical_types[0]), "")
    return word, str(low.world_axis_units[0] or "")


def spectral_table(
    wcs: Any, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float64], str, str] | None:
    """Give the coordinate of each pixel of a spectrum, their kind and unit, if any."""
    low = wcs.low_level_wcs
    if len(shape) != 1 or low.pixel_n_dim != 1 or low.world_n_dim != 1:
        return None
    word, unit = spectral_type(wcs)
    if not word:
        return None
    values = np.asarray(low.pixel_to_world_values(np.arange(shape[0])), np.float64)
    return values, word, unit


def table_cards(word: str, unit: str, name: str) -> Header:
    """Write the cards of an axis whose coordinates are in a table of some name."""
    header = Header()
    header["WCSAXES"] = 1
    header["CTYPE1"] = f"{word}-TAB"
    if unit:
        header["CUNIT1"] = unit
    # The index into the table is the number of the pixel.
    header["CRPIX1"], header["CRVAL1"], header["CDELT1"] = 1.0, 1.0, 1.0
    header["PS1_0"], header["PS1_1"] = name, TABLE_COLUMN
    header["PV1_1"], header["PV1_2"], header["PV1_3"] = 1, 1, 1
    return header
