"""The sources of a catalogue on the extensions of a frame, measured row by row."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Column, Table

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.image.background import require_image
from ndmapper.lib.image.catalogue import SourceFlag, make_catalogue, pixels_of, rows_of

__all__ = ["catalogue_fwhm", "measure_rows"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int_]

Measure = Callable[[NDLater, Array, Array, Table], Mapping[str, Any]]
"""Of an extension, positions on it, and their rows: columns, of which one is flags."""


def measure_rows(df: DataFile, table: Table, measure: Measure) -> Table:
    """
    Measure every row of a catalogue where it is, and add columns, in the same order.

    Rows that are on no extension are flagged NOT_MEASURED, and have NaN.

    Raises
    ------
    ParameterError
        If all of them are, or it cannot be told on which extension sources are.
    """
    count = len(table)
    columns: dict[str, Any] = {
        "x": np.full(count, np.nan),
        "y": np.full(count, np.nan),
        "flags": np.full(count, int(SourceFlag.NOT_MEASURED), np.int32),
    }
    extensions = np.full(count, "", object)
    unit = df[0].unit if len(df) else None
    for ndd, rows, x, y in _placed(df, table):
        columns["x"][rows], columns["y"][rows] = x, y
        extensions[rows] = str(ndd.ident)
        for name, values in measure(ndd, x, y, table[rows]).items():
            array = np.asarray(values)
            if name not in columns:
                columns[name] = np.full(count, np.nan)
            columns[name][rows] = array
    if not (extensions != "").any():
        msg = (
            f"none of the {count} sources of the catalogue is on {df.filename}; look "
            "whether its positions are of this frame, from 0, in x and y"
        )
        raise ParameterError(msg)
    columns["flags"] |= _kept_flags(table)
    columns["extension"] = extensions.astype(str)
    result = table.copy()
    made = make_catalogue(columns, unit=unit)
    for name in made.colnames:
        result[name] = made[name]
    if "id" not in result.colnames:
        result.add_column(Column(np.arange(1, count + 1), name="id"), index=0)
    return result


def catalogue_fwhm(table: Table) -> float | None:
    """Give the FWHM of stars, as `find_sources` wrote it; None where it is unknown."""
    value = table.meta.get("fwhm")
    if value is None and "fwhm" in table.colnames:
        value = np.nanmedian(np.ma.filled(np.ma.asarray(table["fwhm"], float), np.nan))
    return float(value) if value is not None and np.isfinite(value) else None


def _placed(df: DataFile, table: Table) -> Iterator[tuple[NDLater, Rows, Array, Array]]:
    """Find which rows are on which extension, and where."""
    has_pixels = "x" in table.colnames and "y" in table.colnames
    if len(df) > 1 and has_pixels and "extension" not in table.colnames:
        msg = (
            f"{df.filename} has {len(df)} extensions, and the catalogue does not say "
            "of which its x and y are; give it a column extension, or ra and dec alone"
        )
        raise ParameterError(msg)
    left = np.ones(len(table), np.bool_)
    for ndd in df:
        require_image(ndd, "fluxes are measured")
        rows = rows_of(table, ndd)
        rows = rows[left[rows]]
        if rows.size == 0:
            continue
        x, y = (values[rows] for values in pixels_of(table, ndd))
        ny, nx = ndd.shape
        inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
        rows = rows[inside]
        left[rows] = False
        if rows.size:
            yield ndd, rows, x[inside], y[inside]


def _kept_flags(table: Table) -> npt.NDArray[np.int32]:
    """Give the flags of a catalogue that another measurement does not change."""
    if "flags" not in table.colnames or table["flags"].dtype.kind not in "iu":
        return np.zeros(len(table), np.int32)
    kept = int(SourceFlag.BLENDED | SourceFlag.NO_SHAPE)
    old = np.ma.filled(np.ma.asarray(table["flags"]), 0).astype(np.int32)
    return np.asarray(old & kept, np.int32)
