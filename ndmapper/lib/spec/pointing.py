"""Where a telescope pointed during an exposure: airmass and parallactic angle."""

import logging
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from astropy import units as u
from astropy.coordinates import FK4, FK5, Angle, EarthLocation, HADec, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from astropy.utils.exceptions import AstropyWarning
from erfa import ErfaWarning

from ndmapper.data import DataFile
from ndmapper.data.header_query import look_up
from ndmapper.errors import ParameterError
from ndmapper.instruments import recognise
from ndmapper.instruments.spectrograph import check_spectrograph
from ndmapper.lib.times import Site, TimeIs, airmass_of, frame_time, site_of
from ndmapper.numerics.barycentre import AtomicTime
from ndmapper.numerics.refraction import airmass, parallactic_angle

__all__ = [
    "Pointing",
    "airmass_at_middle",
    "earth_orientation",
    "iers_version",
    "is_beyond_iers",
    "pointing_of",
    "target_of",
]

log = logging.getLogger(__name__)

_KEYS = (("RA", "DEC"), ("TELRA", "TELDEC"), ("OBJCTRA", "OBJCTDEC"))
_SEXAGESIMAL = re.compile(r"[^\d.+-]+")
_NEAR_2000 = 0.5
"""Coordinates of an equinox within so many years of 2000 are taken as ICRS."""

_FK4 = 1984.0
"""Coordinates of equinoxes before are of the system FK4."""

_CONTRADICTION = 0.05
"""The airmass of a header that is further from the computed one is told."""


@dataclass(frozen=True, kw_only=True)
class Pointing:
    """Where a star was in the sky at a moment, without refraction."""

    target: SkyCoord
    location: EarthLocation
    time: Time
    hour_angle: float  # [degree], negative in the east
    zenith_angle: float  # [degree]
    airmass: float
    parallactic_angle: float  # [degree], from north through east to the zenith


def target_of(df: DataFile, given: tuple[float, float] | None = None) -> SkyCoord:
    """
    Find the direction of the target of an exposure, in ICRS.

    It is what is given [degree], else what the descriptors ``ra`` and ``dec`` of the
    instrument or the cards RA and DEC (TELRA and TELDEC, OBJCTRA and OBJCTDEC) say:
    numbers are degrees, and texts with several numbers are hours and degrees. They are
    of EQUINOX, by default 2000.

    Raises
    ------
    ParameterError
        If there are none, or these are no coordinates.
    """
    if given is not None:
        ra, dec = map(float, given)
        equinox = 2000.0
    else:
        found = _coordinates(df)
        try:
            ra, dec = _degrees(found[0], 15.0), _degrees(found[1], 1.0)
            # Some write J2000.
            equinox = float(str(look_up(df, "EQUINOX") or 2000.0).strip("JBjb "))
        except (ValueError, TypeError) as err:
            msg = (
                f"the coordinates {found} in the header of {_name(df)} are not "
                "understood; give target=(ra, dec) [degree, ICRS]"
            )
            raise ParameterError(msg) from err
    if not (-360 <= ra <= 360 and -90 <= dec <= 90):
        msg = (
            f"the target of {_name(df)} is at (ra, dec) = ({ra:g}, {dec:g}) degrees, "
            "which is no place in the sky; give target=(ra, dec) [degree, ICRS]"
        )
        raise ParameterError(msg)
    if abs(equinox - 2000.0) <= _NEAR_2000:
        return SkyCoord(ra, dec, unit="deg")
    time = f"{'B' if equinox < _FK4 else 'J'}{equinox:g}"
    frame = FK4(equinox=time) if equinox < _FK4 else FK5(equinox=time)
    return SkyCoord(ra, dec, unit="deg", frame=frame).icrs


def pointing_of(
    df: DataFile,
    moment: AtomicTime,
    spectrograph: Mapping[str, Any] | None = None,
    target: tuple[float, float] | None = None,
) -> Pointing:
    """
    Compute where the target of an exposure was at a moment.

    The telescope is where `spectrograph` (``site``) or the header says, as for
    `site_of`.

    Raises
    ------
    ParameterError
        If neither says where the telescope or the target is.
    """
    direction = target_of(df, target)
    location = EarthLocation.from_geocentric(
        *site_of(df, _site(spectrograph)), unit="m"
    )
    with earth_orientation(moment) as time:
        seen = direction.transform_to(HADec(obstime=time, location=location))
    hour_angle, dec = float(seen.ha.deg), float(seen.dec.deg)
    hour_angle = (hour_angle + 180) % 360 - 180
    latitude = float(location.lat.deg)
    h, d, phi = map(math.radians, (hour_angle, dec, latitude))
    sine = math.sin(phi) * math.sin(d) + math.cos(phi) * math.cos(d) * math.cos(h)
    zenith_angle = 90 - math.degrees(math.asin(max(-1.0, min(1.0, sine))))
    return Pointing(
        target=direction,
        location=location,
        time=time,
        hour_angle=hour_angle,
        zenith_angle=zenith_angle,
        airmass=float(airmass(zenith_angle)) if zenith_angle < 90 else math.inf,
        parallactic_angle=float(parallactic_angle(hour_angle, dec, latitude)),
    )


def airmass_at_middle(
    df: DataFile,
    spectrograph: Mapping[str, Any] | None = None,
    *,
    target: tuple[float, float] | None = None,
    time_is: TimeIs | None = None,
    exposure: float | None = None,
) -> tuple[float, str]:
    """
    Find the airmass at the middle of an exposure, and say where from.

    It is computed; where time, site or target are not known, it is that of the header.
    There is a warning where the two contradict each other.

    Raises
    ------
    ParameterError
        If it is neither known, or the target is below the horizon.
    """
    stated = airmass_of(df)
    try:
        time = frame_time(df, time_is=time_is, exposure=exposure)
        place = pointing_of(df, time.middle, spectrograph, target)
    except ParameterError as err:
        if math.isfinite(stated):
            log.warning("the airmass of %s is that of its header: %s", _name(df), err)
            return stated, "header"
        msg = f"the airmass of {_name(df)} is not known; its header has none, and {err}"
        raise ParameterError(msg) from err
    if not math.isfinite(place.airmass):
        msg = (
            f"the target of {_name(df)} is computed to be {place.zenith_angle:.1f} "
            "degrees from the zenith; look at its coordinates, time and site"
        )
        raise ParameterError(msg)
    if math.isfinite(stated):
        # Headers often have that of the start, or of the end.
        half = 0.0 if not math.isfinite(time.exposure) else time.exposure / 2
        nearby = [place.airmass] + [
            pointing_of(df, time.middle.later(s), spectrograph, target).airmass
            for s in (-half, half)
        ]
        allowed = min(nearby) - _CONTRADICTION, max(nearby) + _CONTRADICTION
        if not allowed[0] <= stated <= allowed[1]:
            log.warning(
                "the airmass of %s in its header is %.3f, and the computed one, which "
                "is taken, %.3f; look at its coordinates, time and site",
                _name(df), stated, place.airmass,
            )  # fmt: skip
    return place.airmass, "computed"


@contextmanager
def earth_orientation(moment: AtomicTime) -> Iterator[Time]:
    """
    Hand out a moment as a Time, with the rotation of the Earth known off line.

    Within the block astropy uses the table IERS-A of the package astropy-iers-data,
    whatever its age, and asks no server. Beyond the table its last value is taken
    (`is_beyond_iers`).
    """
    time = Time(moment.day, moment.fraction, format="jd", scale="tai")
    with (
        warnings.catch_warnings(),
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("auto_max_age", None),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
        iers.earth_orientation_table.set(_iers_table()),
    ):
        # Of years whose leap seconds, or rotation of the Earth, are not known yet.
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", ErfaWarning)
        yield time


def iers_version(time: Time) -> str:
    """Name the table of the rotation of the Earth, and what it says of a moment."""
    table = _iers_table()
    measured = float(table.meta["predictive_mjd"])
    day = Time(measured, format="mjd").iso[:10]
    state = "measured" if time.mjd <= measured else "predicted"
    if is_beyond_iers(time):
        state = "extrapolated"
    return f"IERS-A of astropy-iers-data, measured to {day}; here {state}"


def is_beyond_iers(time: Time) -> bool:
    """Whether a moment is before or after the table of the rotation of the Earth."""
    table = _iers_table()
    first, last = (float(table["MJD"][n].to_value(u.d)) for n in (0, -1))
    return not first <= time.mjd <= last


@lru_cache(maxsize=1)
def _iers_table() -> Any:
    import astropy_iers_data

    return iers.IERS_A.open(astropy_iers_data.IERS_A_FILE)


def _site(spectrograph: Mapping[str, Any] | None) -> Site | None:
    try:
        place = check_spectrograph(spectrograph or {}).get("site")
    except ValueError as err:
        msg = f"spectrograph: {err}"
        raise ParameterError(msg) from err
    if place is None:
        return None
    return (place["longitude"], place["latitude"], place["height"])


def _coordinates(df: DataFile) -> tuple[Any, Any]:
    instrument = recognise(df.header_values)
    if instrument is not None and {"ra", "dec"} <= set(instrument.descriptors):
        first = df[0].header_values if len(df) else None
        ra, dec = (
            instrument.descriptors[name].find(df.header_values, first)
            for name in ("ra", "dec")
        )
        if ra is not None and dec is not None:
            return ra, dec
    for keys in _KEYS:
        ra, dec = (look_up(df, key) for key in keys)
        if ra is not None and dec is not None:
            return ra, dec
    msg = (
        f"the header of {_name(df)} does not say where its target is (RA, DEC); give "
        "target=(ra, dec) [degree, ICRS]"
    )
    raise ParameterError(msg)


def _degrees(value: Any, factor: float) -> float:
    """Read a coordinate; a text of several numbers is sexagesimal."""
    if isinstance(value, bool):
        raise TypeError
    if not isinstance(value, str):
        return float(value)
    parts = [part for part in _SEXAGESIMAL.split(value.strip()) if part]
    if len(parts) == 1:
        return float(parts[0])
    return float(Angle(":".join(parts), unit="deg").deg) * factor


def _name(df: DataFile) -> str:
    return str(df.filename or "the spectrum")
