"""Catalogues of sources: their columns and flags, reading them, and sky positions."""

from collections.abc import Mapping
from enum import IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import Table

from ndmapper.data import DataFile, NDLater, PlainFile
from ndmapper.data.flags import Flag
from ndmapper.errors import ParameterError, did_you_mean

__all__ = [
    "SourceFlag",
    "instrumental_magnitudes",
    "make_catalogue",
    "numbers_in",
    "pixel_flags",
    "pixels_of",
    "read_catalogue",
    "rows_of",
    "sky_columns",
    "sky_positions",
]

Array = npt.NDArray[np.float64]


class SourceFlag(IntFlag):
    """
    What may be wrong with a source: the bits of the column ``flags``.

    The lower ones are those of `ndmapper.data.Flag`, of pixels of the source.
    """

    BAD = 1
    NONLINEAR = 2
    SATURATED = 4
    COSMIC_RAY = 8
    NO_DATA = 16
    OVERLAP = 32
    UNILLUMINATED = 64
    EDGE = 256
    """It reaches out of the image."""
    BLENDED = 512
    """It overlaps another source."""
    NO_SHAPE = 1024
    """Its shape could not be measured; the position is that of the brightest pixel."""
    NO_BACKGROUND = 2048
    """There are too few good pixels around it to measure the background."""
    NOT_MEASURED = 4096
    """It is outside of the image, or has no good pixel, or a fit failed."""
    CROWDED = 8192
    """So many sources are around it that its background contains their light."""


PIXEL = "pixel"

_SKY_COLUMNS = (
    ("ra", "ra_icrs", "raj2000", "ra_deg"),
    ("dec", "de_icrs", "dej2000", "dec_deg"),
)
"""What catalogues call right ascension and declination, in lower case."""

_COLUMNS: dict[str, tuple[str | None, str]] = {
    "id": (None, "number of the source"),
    "extension": (None, "name of the extension of the frame (EXTVER)"),
    "x": (PIXEL, "position along NAXIS1; centre of the first pixel is 0 (FITS: 1)"),
    "y": (PIXEL, "position along NAXIS2; centre of the first pixel is 0 (FITS: 1)"),
    "x_error": (PIXEL, "standard error of x"),
    "y_error": (PIXEL, "standard error of y"),
    "ra": ("deg", "right ascension, ICRS"),
    "dec": ("deg", "declination, ICRS"),
    "flux": ("flux", "flux of the source"),
    "flux_error": ("flux", "standard error of the flux"),
    "snr": (None, "signal-to-noise ratio, as a star, at its peak"),
    "fwhm": (PIXEL, "FWHM of the Gaussian that fits best, pixels included"),
    "ellipticity": (None, "1 - b/a"),
    "theta": ("deg", "angle of the major axis, from x to y"),
    "background": ("flux/pixel", "background at the source, which was subtracted"),
    "background_error": ("flux/pixel", "standard error of the background"),
    "area": ("pixel2", "area of the good part of the aperture"),
    "chi2": (None, "chi square of the fit, by its degrees of freedom"),
    "bjd_tdb": ("d", "barycentric Julian date (TDB) of the middle of the exposure"),
    "exposure": ("s", "exposure time"),
    "airmass": (None, "airmass, of the header"),
    "dmag": ("mag", "magnitude relative to the comparison stars, but for itself"),
    "dmag_error": ("mag", "standard error of dmag"),
    "mag": ("mag", "calibrated magnitude"),
    "mag_error": ("mag", "standard error of the magnitude, of the flux alone"),
    "flags": (None, ""),
}


def make_catalogue(
    columns: Mapping[str, Any], *, unit: Any = None, meta: Mapping[str, Any] = {}
) -> Table:
    """Make a table of known columns, with units and descriptions."""
    flux = "" if unit is None else f"{unit}"
    table = Table()
    for name, values in columns.items():
        table[name] = values
        kind, description = _COLUMNS.get(name, (None, ""))
        if kind == "flux":
            kind = flux or None
        elif kind == "flux/pixel":
            kind = f"{flux} / pixel2" if flux else None
        if kind:
            table[name].unit = kind
        if name == "flags":
            bits = ", ".join(f"{f.value} {f.name}" for f in SourceFlag)
            description = f"sum of {bits}"
        if description:
            table[name].description = description
    table.meta.update(meta)
    return table


def instrumental_magnitudes(flux: Array, error: Array) -> tuple[Array, Array]:
    """Give magnitudes of zero point 0 and their errors; NaN without positive flux."""
    positive = np.where(flux > 0, flux, np.nan)
    return -2.5 * np.log10(positive), 2.5 / np.log(10) * error / positive


def read_catalogue(file: DataFile, what: str = "catalogue") -> Table:
    """Read the table of a file: of text, or the only one of a FITS file."""
    if isinstance(file, PlainFile):
        table = file.table()
    else:
        tables = list(file.tables.values())
        if len(tables) != 1:
            msg = f"{file} has {len(tables)} tables, and a {what} is one table"
            raise ParameterError(msg)
        table = Table(tables[0])
    if not len(table):
        msg = f"the {what} {file} is empty: it has no rows"
        raise ParameterError(msg)
    return table


def numbers_in(table: Table, column: str, what: str, unit: str = "") -> Array:
    """
    Give a column as numbers, NaN where it is masked; an error if it has none.

    A column with a unit is converted to `unit`, such as hours of right ascension to
    degrees; one that cannot be converted is taken as it is.
    """
    if column not in table.colnames:
        msg = (
            f"the {what} has no column {column!r}{did_you_mean(column, table.colnames)}"
            f"; it has {', '.join(table.colnames)}"
        )
        raise ParameterError(msg)
    values: Any = np.ma.asarray(table[column])
    if values.dtype.kind not in "fiu":
        msg = f"the column {column!r} of the {what} has no numbers, but {values.dtype}"
        raise ParameterError(msg)
    found: Array = np.asarray(values.astype(np.float64).filled(np.nan))
    if not np.isfinite(found).any():
        msg = f"the column {column!r} of the {what} has no number that is finite"
        raise ParameterError(msg)
    return found * _factor(table[column], unit)


def _factor(column: Any, unit: str) -> float:
    """Give what a column is multiplied by to be in a unit."""
    own = getattr(column, "unit", None)
    if not unit or own is None:
        return 1.0
    try:
        return float(u.Unit(own).to(u.Unit(unit)))
    except (u.UnitConversionError, TypeError, ValueError):
        return 1.0


def sky_columns(table: Table) -> tuple[str, str] | None:
    """Find the columns of right ascension and declination, as catalogues call them."""
    names = {name.lower(): name for name in table.colnames}
    ra, dec = (next((names[n] for n in w if n in names), None) for w in _SKY_COLUMNS)
    return None if ra is None or dec is None else (ra, dec)


def rows_of(table: Table, ndd: NDLater) -> npt.NDArray[np.int_]:
    """Find the rows of a catalogue that are of an extension: all where it has none."""
    if "extension" not in table.colnames:
        return np.arange(len(table))
    names = np.array([str(name) for name in table["extension"]])
    return np.flatnonzero(names == str(ndd.ident))


def pixels_of(
    table: Table, ndd: NDLater, *, ra: str = "ra", dec: str = "dec"
) -> tuple[Array, Array]:
    """Find where the sources of a catalogue are: by x and y, else by sky position."""
    if "x" in table.colnames and "y" in table.colnames:
        return numbers_in(table, "x", "catalogue"), numbers_in(table, "y", "catalogue")
    longitude, latitude = (
        numbers_in(table, name, "catalogue, which has no x and y either,", "deg")
        for name in (ra, dec)
    )
    return sky_to_pixels(ndd, longitude, latitude)


def sky_to_pixels(ndd: NDLater, ra: Array, dec: Array) -> tuple[Array, Array]:
    """Find the pixels of ICRS positions [degree]; NaN where there are none."""
    from astropy.coordinates import SkyCoord
    from astropy.wcs import NoConvergence

    wcs = _celestial(ndd)
    if wcs is None:
        msg = (
            f"{_name(ndd)} has no celestial coordinates (WCS), so sky positions have "
            "no place on it; give a catalogue with x and y, or solve its astrometry"
        )
        raise ParameterError(msg)
    x, y = np.full(ra.shape, np.nan), np.full(ra.shape, np.nan)
    known = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    places = SkyCoord(ra[known], dec[known], unit="deg")
    try:
        x[known], y[known] = wcs.world_to_pixel(places)
    except NoConvergence as err:  # of positions far outside of the image
        x[known], y[known] = np.asarray(err.best_solution).T[:2]
    return x, y


def sky_positions(ndd: NDLater, x: Array, y: Array) -> tuple[Array, Array] | None:
    """Give ICRS positions [degree] of pixels; None without celestial coordinates."""
    wcs = _celestial(ndd)
    if wcs is None:
        return None
    places = wcs.pixel_to_world(x, y).icrs
    return np.asarray(places.ra.deg), np.asarray(places.dec.deg)


def _celestial(ndd: NDLater) -> Any:
    """Give coordinates that are right ascension and declination, or the like."""
    wcs = ndd.wcs
    if wcs is None:
        return None
    classes = getattr(wcs, "world_axis_object_classes", None)
    if classes is None:
        classes = wcs.low_level_wcs.world_axis_object_classes
    kinds = [str(getattr(c[0], "__name__", c[0])) for c in classes.values()]
    return wcs if kinds == ["SkyCoord"] else None


def _name(ndd: NDLater) -> str:
    return "the frame" if ndd.ident is None else f"extension {ndd.ident} of the frame"


def pixel_flags(ndd: NDLater) -> npt.NDArray[np.uint16]:
    """Give the flags of an image in our own bits, with NO_DATA where no number is."""
    flags = np.zeros(ndd.shape, np.uint16)
    if ndd.has("flags"):
        own = np.asarray(ndd.translate_flags("ndmapper").flags)
        flags |= (own & sum(Flag)).astype(np.uint16)
    flags[~np.isfinite(ndd.data)] |= np.uint16(Flag.NO_DATA)
    return flags
