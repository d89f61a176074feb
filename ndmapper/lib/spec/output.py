"""Spectra for other programs: as a table, and as a Spectrum of specutils."""

from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import MissingPackageError, ParameterError
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.spec.axis import wavelengths_of
from ndmapper.steps import run_task

__all__ = ["tabulate_spectrum", "to_spectrum"]


@run_task(each="file", outputs={"table": "{root}_table.ecsv"})
def tabulate_spectrum(df: DataFile, *, ident: int | str | None = None) -> Table:
    """
    Write a spectrum as a table, which specutils and many other programs read.

    Parameters
    ----------
    df : DataFile
        Spectra with wavelengths.
    ident : int or str, optional
        Which of them; it has to be given where there are several.

    Returns
    -------
    Table
        A row for each pixel: wavelength [Angstrom, vacuum or air by its description],
        flux, its standard deviation (uncertainty), and mask, true for pixels not to be
        used. ``specutils.Spectrum.read(file)`` has all of them.

    Raises
    ------
    ParameterError
        If there are several spectra and none is named, or it has no wavelengths.
    """
    is_named = ident in df.idents if ident is not None else len(df) == 1
    if not is_named:
        idents = ", ".join(repr(ndd.ident) for ndd in df)
        msg = f"{df} has the spectra {idents or '(none)'}; name one of them: ident="
        raise ParameterError(msg)
    ndd = df[0] if ident is None else df[df.idents.index(ident)]
    axis = wavelengths_of(ndd)
    table = Table()
    table["wavelength"] = axis.values * u.AA
    table["flux"] = _with_unit(np.asarray(ndd.data), _unit(ndd))
    if ndd.variance is not None:
        table["uncertainty"] = _with_unit(_deviation(ndd), _unit(ndd))
    table["mask"] = ~good_pixels(ndd)
    name = "" if df.filename is None else df.filename.name
    table.meta = {"medium": axis.medium, "spectrum": f"{name}[{ndd.ident}]"}
    return table


def to_spectrum(ndd: NDLater) -> Any:
    """
    Make a Spectrum of specutils.

    Parameters
    ----------
    ndd : NDLater
        Spectrum with wavelengths.

    Returns
    -------
    specutils.Spectrum
        With wavelengths [Angstrom], unit, variance, mask, and the header as
        ``meta['header']``.

    Raises
    ------
    MissingPackageError
        If specutils is not installed (extra ``spec``).
    """
    try:
        from specutils import Spectrum
    except ImportError as err:
        msg = "specutils is not installed: pip install 'ndmapper[spec]'"
        raise MissingPackageError(msg) from err
    from astropy.nddata import VarianceUncertainty

    axis = wavelengths_of(ndd)
    variance = None if ndd.variance is None else np.asarray(ndd.variance, np.float64)
    return Spectrum(
        flux=np.asarray(ndd.data) * _unit(ndd),
        spectral_axis=axis.values * u.AA,
        uncertainty=None if variance is None else VarianceUncertainty(variance),
        mask=~good_pixels(ndd),
        meta={"header": ndd.meta.copy(), "medium": axis.medium},
    )


def _unit(ndd: NDLater) -> u.UnitBase:
    return u.dimensionless_unscaled if ndd.unit is None else ndd.unit


def _with_unit(values: Any, unit: u.UnitBase) -> u.Quantity:
    return u.Quantity(values, unit, copy=False)


def _deviation(ndd: NDLater) -> Any:
    """Give standard deviations; NaN where the variance is 0 or none."""
    variance = np.asarray(ndd.variance, np.float64)
    return np.sqrt(np.where(variance > 0, variance, np.nan))
