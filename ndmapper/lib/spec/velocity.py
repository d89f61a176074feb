"""Wavelengths as they would be seen from the barycentre, or from the Sun."""

import logging
import math
from typing import Annotated, Any, Literal

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.spec.axis import wavelengths_of, with_wavelengths
from ndmapper.lib.spec.pointing import (
    earth_orientation,
    iers_version,
    is_beyond_iers,
    pointing_of,
)
from ndmapper.lib.spec.refraction import report_refraction
from ndmapper.lib.spectrograph import SpectrographTable
from ndmapper.lib.times import TimeIs, frame_time
from ndmapper.steps import OfInstrument, Range, qc, run_task

__all__ = ["VELOCITY_FRAME", "correct_velocity", "require_topocentric"]

VELOCITY_FRAME = "SPECSYS"
"""The card with the frame of rest of wavelengths, and its values (FITS Paper III)."""

log = logging.getLogger(__name__)

_FRAMES = {"barycentric": "BARYCENT", "heliocentric": "HELIOCEN"}
_UNCORRECTED = ("", "TOPOCENT")
_LIGHT = 299792458.0
"""The velocity of light [m/s]."""

Frame = Literal["barycentric", "heliocentric"]


@run_task(each="file", prefix="v")
def correct_velocity(
    df: DataFile,
    *,
    frame: Frame = "barycentric",
    target: tuple[float, float] | None = None,
    time_is: Annotated[TimeIs | None, OfInstrument()] = None,
    exposure: Annotated[float | None, Range(gt=0)] = None,
    spectrograph: SpectrographTable = None,
) -> DataFile:
    """
    Correct wavelengths for the motion of the telescope; fluxes stay as they are.

    Parameters
    ----------
    df : DataFile
        Spectra with wavelengths, and the header of their exposure.
    frame : {'barycentric', 'heliocentric'}
        Relative to the barycentre of the solar system, or to the Sun.
    target : (float, float), optional
        Right ascension and declination of the target [degree, ICRS]; by default those
        of the header: RA and DEC, of EQUINOX.
    time_is : {'start', 'middle', 'end'}, optional
        What the time in the header is. By default DATE-AVG is the middle of an
        exposure, DATE-BEG and DATE-END are its limits, and any other is its start.
    exposure : float, optional
        Exposure time [s]; by default that of the header.
    spectrograph : mapping, optional
        ``{'site': {'longitude': ..., 'latitude': ..., 'height': ...}}``: where the
        telescope is [degree to the east, degree, m]. By default what the table of the
        instrument has under ``[spectrograph]``, or the header (OBSGEO-X, -Y, -Z).

    Returns
    -------
    DataFile
        The spectra. SPECSYS in their headers is the frame (BARYCENT, HELIOCEN), and
        VELOSYS the velocity of the telescope towards the target in it [m/s].

    Raises
    ------
    ParameterError
        If wavelengths were corrected before, or the time, target or site are missing.

    Notes
    -----
    All wavelengths are multiplied by one factor, at the middle of the exposure. For the
    barycentre it is ``1 + v/c``, with the velocity that `astropy` defines so that this
    is the exact relativistic factor, gravitation included. For the Sun the
    velocity is the component of the motion along the line of sight, and the factor that
    of the relativistic Doppler effect, ``sqrt((1 + v/c) / (1 - v/c))``. The rotation of
    the Earth is that of a table of IERS in the package astropy-iers-data, without
    network; which one is among the quality numbers.

    References
    ----------
    J. T. Wright and J. D. Eastman, 2014, PASP 126, 838.
    """
    for ndd in df:
        require_topocentric(ndd, str(df.filename or "the file"), "correct_velocity")
    time = frame_time(df, time_is=time_is, exposure=exposure)
    place = pointing_of(df, time.middle, spectrograph, target)
    with earth_orientation(time.middle) as moment:
        found = place.target.radial_velocity_correction(
            kind=frame, obstime=moment, location=place.location
        )
        utc = moment.utc.isot
    if is_beyond_iers(moment):
        # UT1 is wrong by a second or so then, which moves the site by 0.05 m/s.
        log.warning(
            "the rotation of the Earth on %s is not in the table of IERS: velocities "
            "are right to 0.1 m/s; update astropy-iers-data", utc[:10],
        )  # fmt: skip
    velocity = float(found.to_value("m/s"))
    beta = velocity / _LIGHT
    factor = 1 + beta
    if frame == "heliocentric":
        factor = math.sqrt((1 + beta) / (1 - beta))
    corrected = df.copy()
    for number, ndd in enumerate(df):
        axis = wavelengths_of(ndd)
        corrected[number].wcs = with_wavelengths(
            ndd, axis.values * factor, axis.medium
        ).wcs
        _write_cards(corrected[number].meta, frame, velocity)
    qc(
        velocity_km_s=velocity / 1e3,
        factor=factor,
        middle=utc,
        time=time.source,
        iers=iers_version(moment),
    )
    report_refraction(
        df, spectrograph, target=target, time_is=time_is, exposure=exposure
    )
    return corrected


def require_topocentric(ndd: NDLater, name: str, step: str) -> None:
    """Refuse a spectrum whose wavelengths are not those that the telescope has seen."""
    stated = ndd.header_values.get(VELOCITY_FRAME)
    if stated is None and ndd.primary_values is not None:
        stated = ndd.primary_values.get(VELOCITY_FRAME)
    if str(stated or "").strip().upper() not in _UNCORRECTED:
        msg = (
            f"the wavelengths of {name} are those of another frame of rest already "
            f"(SPECSYS = {stated!r}); {step} is for those that the telescope has seen "
            "(TOPOCENT)"
        )
        raise ParameterError(msg)


def _write_cards(header: Any, frame: Frame, velocity: float) -> None:
    header[VELOCITY_FRAME] = (_FRAMES[frame], "frame of rest of the wavelengths")
    header["SSYSOBS"] = ("TOPOCENT", "frame of rest of the observation")
    header["VELOSYS"] = (velocity, "[m/s] of the telescope towards the target")
