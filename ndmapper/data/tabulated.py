"""
Coordinates of spectra: linear, or a table with the coordinate of each pixel.

The form of the table is that of the FITS standard (paper III, section 6): an axis whose
CTYPE ends in -TAB, and an HDU with the values.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table
from astropy.wcs import WCS

from ndmapper.data.ndlater import NDLater
from ndmapper.data.tables import TableStore
from ndmapper.data.wcs import put_wcs, unsliced
from ndmapper.io.headers import Header
from ndmapper.io.wcstables import TableReference, hdu_list, references, tab_table

__all__ = ["save_as_table", "spectral_type", "spectral_wcs"]

_NAME = "WCS-TABLE"
_COLUMN = "COORDS"
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
        reference = TableReference(_NAME, 1, 0, "PV1_1")
        hdus = hdu_list([(reference, tab_table(_COLUMN, values))])
        return WCS(_cards(word, unit, _NAME), hdus)
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


def save_as_table(ndd: NDLater, images: Sequence[NDLater], tables: TableStore) -> bool:
    """
    Add coordinates that are only in memory to the tables of a file of `images`.

    Whether it was possible: for one axis of pixels and one of the world.
    """
    held = ndd.content.coordinates
    if held is None or not held.in_memory or len(ndd.shape) != 1:
        return False
    wcs = held.wcs.low_level_wcs
    if wcs.pixel_n_dim != 1 or wcs.world_n_dim != 1:
        return False
    word, unit = spectral_type(held.wcs)
    if not word:
        return False
    values = np.asarray(wcs.pixel_to_world_values(np.arange(ndd.shape[0])), float)
    others = {one.name for x in images if x is not ndd for one in references(x.meta)}
    own = [one.name for one in references(ndd.meta) if one.name not in others]
    name = next((n for n in own if n in tables), None) or _free(tables)
    tables[name] = Table({_COLUMN: values[np.newaxis]})
    put_wcs(ndd.meta, _cards(word, unit, name))
    return True


def _free(tables: TableStore) -> str:
    name, number = _NAME, 1
    while name in tables:
        number += 1
        name = f"{_NAME}_{number}"
    return name


def _cards(word: str, unit: str, name: str) -> Header:
    header = Header()
    header["WCSAXES"] = 1
    header["CTYPE1"] = f"{word}-TAB"
    if unit:
        header["CUNIT1"] = unit
    # The index into the table is the number of the pixel.
    header["CRPIX1"], header["CRVAL1"], header["CDELT1"] = 1.0, 1.0, 1.0
    header["PS1_0"], header["PS1_1"] = name, _COLUMN
    header["PV1_1"], header["PV1_2"], header["PV1_3"] = 1, 1, 1
    return header
