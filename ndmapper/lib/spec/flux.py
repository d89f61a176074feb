"""Flux calibration of spectra by the sensitivity of the spectrograph."""

import hashlib
import logging
import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.figures import report_spectra
from ndmapper.lib.flagging import flags_with, good_pixels
from ndmapper.lib.spec.count_rate import (
    FLUX_UNIT,
    air_wavelengths,
    count_rate,
)
from ndmapper.lib.spec.extinction import extinction_for
from ndmapper.lib.spec.pointing import airmass_at_middle
from ndmapper.lib.spec.refraction import report_refraction
from ndmapper.lib.spec.sensitivity import SLIT_WIDTH
from ndmapper.lib.spectrograph import SpectrographTable
from ndmapper.lib.times import TimeIs
from ndmapper.steps import OfInstrument, Range, qc, run_task

__all__ = ["COMMON_ERROR", "SENSITIVITY_ID", "apply_sensitivity"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

COMMON_ERROR = "SENSITIVITY_ERROR"
"""Extra of a spectrum: the relative error that the sensitivity adds to each pixel."""

SENSITIVITY_ID = "SENSID"
"""Card that tells which sensitivity a spectrum was calibrated by."""


@run_task(each="file", prefix="k", cals=["sensitivity"])
def apply_sensitivity(
    df: DataFile,
    sensitivity: DataFile | None,
    *,
    extinction: str | None = None,
    target: tuple[float, float] | None = None,
    time_is: Annotated[TimeIs | None, OfInstrument()] = None,
    exposure: Annotated[float | None, Range(gt=0)] = None,
    spectrograph: SpectrographTable = None,
) -> DataFile:
    """
    Calibrate the flux of spectra: ``apply_sensitivity(spectrum, sensitivity=...)``.

    Parameters
    ----------
    df : DataFile
        Spectra in counts, with wavelengths.
    sensitivity : DataFile
        The product of `make_sensitivity`, of the same set-up.
    extinction : str, optional
        Name of an extinction curve, path of a file, or 'none', as for
        `make_sensitivity`, which is best made with the same.
    target : (float, float), optional
        Right ascension and declination [degree, ICRS], as for `correct_velocity`.
    time_is : {'start', 'middle', 'end'}, optional
        What the time in the header is, likewise.
    exposure : float, optional
        Exposure time [s]; by default that of the header.
    spectrograph : mapping, optional
        Site, extinction, slit_width and slit_angle, as in ``[spectrograph]`` of the
        instrument's table.

    Returns
    -------
    DataFile
        The spectra, as if above the atmosphere [erg/s/cm2/Angstrom]. The variance has
        that of the sensitivity; as this part is common to all spectra of the same
        sensitivity, it is also in the extra SENSITIVITY_ERROR (relative, standard
        deviation), by which `combine_spectra` counts it once. Pixels beyond the
        sensitivity are flagged.

    Raises
    ------
    ParameterError
        If there is no sensitivity, or the airmass or the extinction are not known.
    UnitError
        If the spectra are not in the counts of the sensitivity, or were calibrated
        before.

    Notes
    -----
    The scale of flux is right if target and standard lost the same part of their light
    at the slit; colours are right if it did not depend on wavelength. Slits of other
    widths are warned of.
    """
    if sensitivity is None or not len(sensitivity):
        msg = "apply_sensitivity needs a sensitivity: sensitivity='name.fits'"
        raise ParameterError(msg)
    response = sensitivity[0]
    name = str(df.filename or "the spectrum")
    curve = extinction_for(extinction, spectrograph)
    airmass = 0.0
    if curve is not None:
        airmass, source = airmass_at_middle(
            df, spectrograph, target=target, time_is=time_is, exposure=exposure
        )
        qc(airmass=airmass, airmass_from=source)
    _compare_curves(response, "none" if curve is None else curve.name, name)
    _compare_slits(response, spectrograph, name)
    new = df.copy()
    for number, ndd in enumerate(df):
        wavelengths = air_wavelengths(ndd)
        above = np.ones(ndd.shape)
        if curve is not None:
            above = 10 ** (0.4 * airmass * curve.at(wavelengths))
        new[number] = _calibrated(ndd, response, above, exposure, name)
    report_spectra(list(new))
    report_refraction(
        df, spectrograph, target=target, time_is=time_is, exposure=exposure
    )
    return new


def _calibrated(
    ndd: NDLater,
    response: NDLater,
    above: Array,
    exposure: float | None,
    name: str,
) -> NDLater:
    rate = count_rate(ndd, exposure, name)
    expected = FLUX_UNIT / (rate.unit / u.s / u.AA)
    if response.unit != expected:
        msg = (
            f"{name} is in {ndd.unit}, and the sensitivity in {response.unit}, which "
            f"is for other counts ({expected} is needed); make both in electrons, or "
            "both in adu"
        )
        raise UnitError(msg)
    factor, error, beyond = _interpolated(response, rate.wavelengths)
    flux = rate.values * factor * above
    variance = None
    if rate.variance is not None:
        variance = rate.variance * (factor * above) ** 2 + (flux * error) ** 2
    if beyond.any():
        qc(without_sensitivity=int(beyond.sum()))
        log.info(
            "%s: %d of %d pixels have no sensitivity, and are flagged",
            name, beyond.sum(), beyond.size,
        )  # fmt: skip
    made = ndd.replace(
        data=flux,
        variance=variance,
        flags=flags_with(ndd, (beyond, Flag.NO_DATA)),
        unit=FLUX_UNIT,
    )
    made.wcs = ndd.wcs
    made.extras[COMMON_ERROR] = NDLater(error)
    made.meta[SENSITIVITY_ID] = (_identity(response), "of the sensitivity")
    return made


def _interpolated(
    response: NDLater, wavelengths: Array
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Give a sensitivity in air, its relative error, and where it is not known."""
    known = air_wavelengths(response)
    values = np.asarray(response.data, np.float64)
    relative = np.zeros(values.shape)
    if response.variance is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = np.sqrt(np.asarray(response.variance, np.float64)) / values
    flagged = (~good_pixels(response)).astype(np.float64)
    order = slice(None) if known[0] < known[-1] else slice(None, None, -1)
    found, error, lost = (
        np.interp(wavelengths, known[order], part[order], left=math.nan, right=math.nan)
        for part in (values, relative, flagged)
    )
    return found, error, ~np.isfinite(found) | ~(lost == 0)


def _identity(response: NDLater) -> str:
    data = np.ascontiguousarray(response.data, np.float64)
    return hashlib.sha256(data.tobytes()).hexdigest()[:16]


def _compare_curves(response: NDLater, name: str, spectrum: str) -> None:
    stated = response.meta.get("EXTCURVE")
    if stated is not None and stated != name:
        log.warning(
            "%s is corrected by the extinction curve %s, but its sensitivity was made "
            "with %s", spectrum, name, stated,
        )  # fmt: skip


def _compare_slits(
    response: NDLater, spectrograph: Mapping[str, Any] | None, spectrum: str
) -> None:
    """Tell where slits of other widths make the scale of flux a wrong one."""
    ours = (spectrograph or {}).get("slit_width")
    theirs = response.meta.get(SLIT_WIDTH)
    if not isinstance(ours, int | float) or not isinstance(theirs, int | float):
        return
    qc(slit_width=float(ours), slit_width_of_standard=float(theirs))
    if not math.isclose(ours, theirs, rel_tol=0.01):
        log.warning(
            "the slit of %s is %g arcsec wide, and that of its standard %g: the flux "
            "is off by a factor that hardly depends on wavelength (grey), as they lose "
            "other parts of the light", spectrum, ours, theirs,
        )  # fmt: skip
