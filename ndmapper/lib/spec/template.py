"""Arcs with known wavelengths, which tell where those of another arc are."""

from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import Table

from ndmapper.data import DataFile, PlainFile
from ndmapper.errors import ParameterError
from ndmapper.lib.spec.axis import Medium, wavelengths_of
from ndmapper.numerics.air import air_to_vacuum, vacuum_to_air
from ndmapper.numerics.arc_match import SearchRange
from ndmapper.numerics.template import match_template

__all__ = ["range_of_template"]

Array = npt.NDArray[np.float64]

_WAVES, _FLUXES = ("wavelength", "wave"), ("flux", "counts")


def range_of_template(
    template: DataFile, spectrum: Array, medium: Medium
) -> SearchRange:
    """
    Find about where the wavelengths of an arc are, by correlation with a template.

    Raises
    ------
    ParameterError
        If the template has no wavelengths, or is not alike.
    """
    wavelength, flux, own = _spectrum_of(template)
    if own is not None and own != medium:
        convert = air_to_vacuum if medium == "vacuum" else vacuum_to_air
        wavelength = convert(wavelength)
    try:
        return match_template(spectrum, wavelength, flux)
    except ValueError as err:
        msg = f"the template {template}: {err}"
        raise ParameterError(msg) from err


def _spectrum_of(template: DataFile) -> tuple[Array, Array, str | None]:
    """Read wavelengths, flux, and what the wavelengths are in, where it is known."""
    if isinstance(template, PlainFile):
        return _of_table(template.table(), template)
    if len(template) and template[0].ndim == 1:
        axis = wavelengths_of(template[0])
        return axis.values, np.asarray(template[0].data, np.float64), axis.medium
    tables = list(template.tables.values())
    if len(tables) != 1:
        msg = (
            f"the template {template} is neither a spectrum of one axis nor one table "
            "with columns wave and flux"
        )
        raise ParameterError(msg)
    return _of_table(Table(tables[0]), template)


def _of_table(table: Table, template: Any) -> tuple[Array, Array, str | None]:
    columns = [
        next((c for c in names if c in table.colnames), None)
        for names in (_WAVES, _FLUXES)
    ]
    if None in columns:
        msg = (
            f"the template {template} has no columns wave and flux; it has "
            f"{', '.join(table.colnames)}"
        )
        raise ParameterError(msg)
    wave, flux = (np.asarray(table[c], np.float64) for c in columns)
    unit = u.Unit(table[columns[0]].unit or u.AA)
    known = np.isfinite(wave) & np.isfinite(flux) & (wave > 0)
    medium = table.meta.get("medium")
    return wave[known] * unit.to(u.AA), flux[known], medium
