"""Differential refraction of an exposure, and how the slit lay to it."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ndmapper.data import DataFile
from ndmapper.errors import NdmapperError, ParameterError
from ndmapper.lib.spec.axis import wavelengths_of
from ndmapper.lib.spec.pointing import pointing_of
from ndmapper.lib.times import TimeIs, frame_time
from ndmapper.numerics.refraction import pressure_at, refraction
from ndmapper.steps import qc

__all__ = ["DifferentialRefraction", "differential_refraction", "report_refraction"]

log = logging.getLogger(__name__)

_LARGE = 0.5
"""Refraction across the slit of more than this part of its width is told."""


@dataclass(frozen=True, kw_only=True)
class DifferentialRefraction:
    """
    Differential refraction of a spectrum at the middle of its exposure.

    Parameters
    ----------
    airmass : float
        The airmass.
    parallactic_angle : float
        The direction of the zenith at the target, from north through east [degree].
    slit_angle : float
        Position angle of the slit minus the parallactic angle, from -90 to 90
        [degree]; NaN where that of the slit is not known.
    refraction : float
        By how much the bluest light is lifted more towards the zenith than the reddest
        [arcsec].
    across_slit : float
        The part of this across the slit [arcsec]; NaN likewise.
    """

    airmass: float
    parallactic_angle: float
    slit_angle: float
    refraction: float
    across_slit: float


def differential_refraction(
    df: DataFile,
    *,
    wavelength_range: tuple[float, float] | None = None,
    spectrograph: Mapping[str, Any] | None = None,
    target: tuple[float, float] | None = None,
    time_is: TimeIs | None = None,
    exposure: float | None = None,
) -> DifferentialRefraction:
    """
    Compute the differential refraction between the ends of a spectrum.

    Parameters
    ----------
    df : DataFile
        The exposure, or its spectrum.
    wavelength_range : (float, float), optional
        The ends [Angstrom]; by default those of the first spectrum of the file.
    spectrograph : mapping, optional
        The site of the telescope, and the position angle of the slit (``slit_angle``
        [degree]), as in ``[spectrograph]`` of the instrument's table.
    target : (float, float), optional
        Right ascension and declination [degree, ICRS]; by default those of the header.
    time_is : {'start', 'middle', 'end'}, optional
        What the time in the header is, as for `correct_velocity`.
    exposure : float, optional
        Exposure time [s]; by default that of the header.

    Returns
    -------
    DifferentialRefraction
        Angles and refraction at the middle of the exposure.

    Raises
    ------
    ParameterError
        If time, target, site or wavelengths are not known.

    Notes
    -----
    The air has the pressure of the standard atmosphere at the height of the site, 7
    degrees Celsius and 10.7 hPa of water vapour, as in the reference; other weather
    changes the refraction by some percent.

    References
    ----------
    A. V. Filippenko, 1982, PASP 94, 715.
    """
    time = frame_time(df, time_is=time_is, exposure=exposure)
    place = pointing_of(df, time.middle, spectrograph, target)
    if not place.zenith_angle < 90:
        msg = (
            f"the target of {df.filename or 'the spectrum'} is computed to be "
            f"{place.zenith_angle:.1f} degrees from the zenith; look at its "
            "coordinates, time and site"
        )
        raise ParameterError(msg)
    if wavelength_range is None:
        values = wavelengths_of(df[0]).values
        wavelength_range = float(np.min(values)), float(np.max(values))
    height = float(place.location.height.to_value("m"))
    blue, red = refraction(
        wavelength_range, place.zenith_angle, pressure=pressure_at(height)
    )
    angle = math.nan
    slit = (spectrograph or {}).get("slit_angle")
    if isinstance(slit, int | float):
        # A slit has two ends, either of which may be towards the zenith.
        angle = (slit - place.parallactic_angle + 90) % 180 - 90
    lifted = float(blue - red)
    return DifferentialRefraction(
        airmass=place.airmass,
        parallactic_angle=place.parallactic_angle,
        slit_angle=angle,
        refraction=lifted,
        across_slit=abs(lifted * math.sin(math.radians(angle))),
    )


def report_refraction(
    df: DataFile, spectrograph: Mapping[str, Any] | None = None, **words: Any
) -> None:
    """Report the differential refraction of an exposure, as far as it is known."""
    try:
        found = differential_refraction(df, spectrograph=spectrograph, **words)
    except NdmapperError as err:
        log.info("differential refraction is not known: %s", err)
        return
    numbers = {
        "airmass": found.airmass,
        "parallactic_angle": found.parallactic_angle,
        "slit_minus_parallactic": found.slit_angle,
        "refraction_arcsec": found.refraction,
        "refraction_across_slit_arcsec": found.across_slit,
    }
    qc(**{name: x for name, x in numbers.items() if math.isfinite(x)})
    width = (spectrograph or {}).get("slit_width")
    if isinstance(width, int | float) and found.across_slit > _LARGE * width:
        log.warning(
            "%s: refraction between the ends of the spectrum is %.1f arcsec across the "
            "slit of %.1f arcsec, so that fluxes depend on where the star was guided",
            df.filename or "the spectrum", found.across_slit, width,
        )  # fmt: skip
