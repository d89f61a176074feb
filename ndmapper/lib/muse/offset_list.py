"""The table of offsets that the recipes of MUSE take: OFFSET_LIST."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import Table

from ndmapper.data import DataFile
from ndmapper.errors import ParameterError

__all__ = ["Exposure", "Row", "exposure_of", "offset_table", "row_of"]

_NEAR = 1.0 / 86400
"""Dates that differ by less are those of one exposure [day]."""

_NEEDED = ("RA_OFFSET", "DEC_OFFSET", "MJD_OBS")


@dataclass(frozen=True)
class Exposure:
    """What tells an exposure from others."""

    name: str
    date: str
    mjd: float
    template: str
    number: int
    block: int

    @property
    def stem(self) -> str:
        """Name of the file, without its folder and type."""
        name = self.name.rpartition("/")[2]
        return name.removesuffix(".gz").removesuffix(".fits")


@dataclass(frozen=True)
class Row:
    """The offset of an exposure: what it shows, less what is right."""

    east: float = 0.0  # [arcsec]
    north: float = 0.0
    angle: float = 0.0  # of position angles [degree]
    flux_scale: float = np.nan
    background: float = np.nan
    error: float = np.nan
    angle_error: float = np.nan
    flux_errors: tuple[float, float] = (np.nan, np.nan)
    correlation: float = np.nan
    valid: float = np.nan
    scatter: float = np.nan
    cross: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of_table(cls, row: Mapping[str, float], dec: float) -> "Row":
        """Read a row of a table, at a declination [degree]."""
        return cls(
            row["RA_OFFSET"] * np.cos(np.radians(dec)) * 3600,
            row["DEC_OFFSET"] * 3600,
            row.get("ROTANGLE", 0.0),
        )

    @property
    def trial(self) -> tuple[float, float, float]:
        """East, north [arcsec] and angle [degree]."""
        return self.east, self.north, self.angle

    def moved(self, east: float, north: float, angle: float) -> "Row":
        """Add an offset."""
        return replace(
            self, east=self.east + east, north=self.north + north,
            angle=self.angle + angle,
        )  # fmt: skip

    def judged(self, correlation: float) -> "Row":
        """Note how well images agree."""
        return replace(self, correlation=correlation)

    def crossed(self, east: float, north: float) -> "Row":
        """Note what of it was measured, beyond what it began with."""
        return replace(self, cross=(east, north))

    def bright(
        self,
        scale: float,
        background: float,
        errors: tuple[float, float],
        *,
        valid: float,
        scatter: float,
    ) -> "Row":
        """Note how bright the exposure is."""
        return replace(
            self, flux_scale=scale, background=background, flux_errors=errors,
            valid=valid, scatter=scatter,
        )  # fmt: skip


def exposure_of(df: DataFile) -> Exposure:
    """
    Read what tells an exposure from others.

    Raises
    ------
    ParameterError
        If the header has no date.
    """
    name = str(df.filename or "")
    date, mjd = df.meta.get("DATE-OBS"), df.meta.get("MJD-OBS")
    if not isinstance(date, str) or not isinstance(mjd, int | float):
        msg = (
            f"{name or 'an exposure'} has DATE-OBS {date!r} and MJD-OBS {mjd!r} in its "
            "primary header; recipes know exposures by these"
        )
        raise ParameterError(msg)

    def whole(key: str) -> int:
        value = df.meta.get(key)
        return int(value) if isinstance(value, int | float) else 0

    return Exposure(
        name, date, float(mjd), str(df.meta.get("HIERARCH ESO TPL START", "")),
        whole("HIERARCH ESO TPL EXPNO"), whole("HIERARCH ESO OBS ID"),
    )  # fmt: skip


def _table_of(df: DataFile) -> Table:
    """Read the table of offsets of a file."""
    for table in df.tables.values():
        if set(_NEEDED) <= set(table.colnames):
            return table
    found = [list(table.colnames) for table in df.tables.values()]
    msg = (
        f"{df} is no OFFSET_LIST: it needs a table with {', '.join(_NEEDED)}, and its "
        f"tables have {found or 'none'}"
    )
    raise ParameterError(msg)


def row_of(df: DataFile, exposure: Exposure) -> dict[str, float] | None:
    """
    Find the row of an exposure in an OFFSET_LIST.

    Parameters
    ----------
    df : DataFile
        The OFFSET_LIST.
    exposure : Exposure
        The exposure; its date tells.

    Returns
    -------
    dict or None
        The numbers of the row, those that are known.

    Raises
    ------
    ParameterError
        If the file has no such table, or several rows are those of the exposure.
    """
    table = _table_of(df)
    away = np.abs(np.asarray(table["MJD_OBS"], np.float64) - exposure.mjd)
    rows = np.flatnonzero(away < _NEAR)
    if rows.size > 1:
        msg = f"{df} has {rows.size} rows of the date of {exposure.name}; leave one"
        raise ParameterError(msg)
    if not rows.size:
        return None
    found = {}
    for name in table.colnames:
        value: Any = table[name][rows[0]]
        if np.ma.is_masked(value) or not np.issubdtype(table[name].dtype, np.number):
            continue
        if np.isfinite(value):
            found[name] = float(value)
    if missing := [name for name in _NEEDED if name not in found]:
        msg = f"{df} has no {missing[0]} of {exposure.name}"
        raise ParameterError(msg)
    return found


def offset_table(
    exposures: Sequence[Exposure],
    rows: Sequence[Row],
    decs: Sequence[float],
    before: DataFile | None = None,
) -> Table:
    """
    Make the table of an OFFSET_LIST.

    Parameters
    ----------
    exposures : sequence of Exposure
        The exposures.
    rows : sequence of Row
        Their offsets.
    decs : sequence of float
        Declinations at which offsets hold [degree].
    before : DataFile, optional
        An OFFSET_LIST that these began with; its offsets become columns ``_ORIG``.

    Returns
    -------
    Table
        The columns of the recipes, and those of pymusepipe beside them.
    """
    to_ra = 1 / np.cos(np.radians(np.asarray(decs, np.float64))) / 3600
    # The columns of the recipes are the first, in their order.
    table = Table({
        "DATE_OBS": [e.date for e in exposures],
        "MJD_OBS": [e.mjd for e in exposures],
        "RA_OFFSET": np.array([r.east for r in rows]) * to_ra,
        "DEC_OFFSET": np.array([r.north for r in rows]) / 3600,
        "FLUX_SCALE": [r.flux_scale for r in rows],
        "BACKGROUND": [r.background for r in rows],
        "ROTANGLE": [r.angle for r in rows],
        "TPL_START": [e.template for e in exposures],
        "IEXPO_OBS": [e.number for e in exposures],
        "DATASET_OBS": [e.block for e in exposures],
        "RA_CROSS_OFFSET": np.array([r.cross[0] for r in rows]) * to_ra,
        "DEC_CROSS_OFFSET": np.array([r.cross[1] for r in rows]) / 3600,
        "OFFSET_ERROR": [r.error for r in rows],
        "ROTANGLE_ERROR": [r.angle_error for r in rows],
        "FLUX_SCALE_ERROR": [r.flux_errors[0] for r in rows],
        "BACKGROUND_ERROR": [r.flux_errors[1] for r in rows],
        "CORRELATION": [r.correlation for r in rows],
        "VALID_FRACTION": [r.valid for r in rows],
        "FLUX_SCATTER": [r.scatter for r in rows],
    })  # fmt: skip
    units = {
        "MJD_OBS": "d", "RA_OFFSET": "deg", "DEC_OFFSET": "deg", "ROTANGLE": "deg",
        "RA_CROSS_OFFSET": "deg", "DEC_CROSS_OFFSET": "deg", "OFFSET_ERROR": "arcsec",
        "ROTANGLE_ERROR": "deg",
    }  # fmt: skip
    for name, unit in units.items():
        table[name].unit = unit
    if before is not None:
        old = [row_of(before, exposure) or {} for exposure in exposures]
        for name in ("RA_OFFSET", "DEC_OFFSET", "FLUX_SCALE", "BACKGROUND", "ROTANGLE"):
            if name in _table_of(before).colnames:
                table[f"{name}_ORIG"] = [row.get(name, np.nan) for row in old]
                table[f"{name}_ORIG"].unit = table[name].unit
    return table
