"""Times of observations, as they would be at the barycentre of the solar system."""

import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["AtomicTime", "atomic_time", "barycentric_julian_date", "site_on_earth"]

Array = npt.NDArray[np.float64]

_DAY = 86400.0
_LIGHT_DAYS = 499.004783836 / _DAY
"""Light needs so long for an astronomical unit [day]."""
_METRES = 149597870700.0
"""An astronomical unit [m]."""


class AtomicTime(NamedTuple):
    """A moment in atomic time (TAI), as two parts of a Julian date."""

    day: float
    fraction: float

    def later(self, seconds: float) -> "AtomicTime":
        """Give the moment that is some seconds later."""
        return AtomicTime(self.day, self.fraction + seconds / _DAY)

    def __sub__(self, other: "AtomicTime") -> float:
        """Give the seconds from another moment to this one."""
        days = (self.day - other.day) + (self.fraction - other.fraction)
        return days * _DAY


def atomic_time(utc: datetime) -> AtomicTime:
    """Convert a date and time in UTC to atomic time, by the leap seconds of erfa."""
    seconds = utc.second + utc.microsecond / 1e6
    day, fraction = _quietly(
        "dtf2d", "UTC", utc.year, utc.month, utc.day, utc.hour, utc.minute, seconds
    )
    return AtomicTime(*map(float, _quietly("utctai", day, fraction)))


def site_on_earth(longitude: float, latitude: float, height: float) -> Array:
    """Give geocentric coordinates (ITRS) [m] of a site [degree, to the east; m]."""
    found = _quietly("gd2gc", 1, np.radians(longitude), np.radians(latitude), height)
    return np.asarray(found, np.float64)


def barycentric_julian_date(
    time: AtomicTime,
    ra: npt.ArrayLike,
    dec: npt.ArrayLike,
    site: Sequence[float] | Array,
) -> Array:
    """
    Compute BJD_TDB: when light that was observed then passes the barycentre.

    Parameters
    ----------
    time : AtomicTime
        When it was observed.
    ra, dec : array_like
        Directions of the stars [degree, ICRS].
    site : sequence of float
        Geocentric coordinates of the observer [m]; zeros for the centre of the Earth.

    Returns
    -------
    ndarray of float
        Barycentric Julian dates in the scale TDB.

    Notes
    -----
    What is added to the time is the light travel time along the direction of the star,
    of plane waves [1]_. The ephemeris of erfa is good to 15 microseconds of light, and
    UTC is taken for UT1 and the pole for that of the model, which moves a site by less
    than 2 microseconds of light: so no table of the rotation of the Earth is needed.
    Neglected are the Shapiro delay (up to 0.1 ms, beside the Sun) and the curvature of
    waves (0.4 ms for the nearest stars, and less by distance).

    References
    ----------
    .. [1] J. Eastman, R. Siverd and B. S. Gaudi, 2010, PASP 122, 935.
    """
    day, fraction = _quietly("taitt", *time)
    utc = _quietly("taiutc", *time)
    observer = _observer((float(day), float(fraction)), utc, np.asarray(site, float))
    longitude, latitude = np.radians(ra), np.radians(dec)
    star = np.stack([
        np.cos(longitude) * np.cos(latitude),
        np.sin(longitude) * np.cos(latitude),
        np.sin(latitude),
    ])  # fmt: skip
    delay = _LIGHT_DAYS * np.tensordot(observer, star, 1)
    # The geocentre is near enough for a term of 2 ms, which moves by 2 microseconds.
    tdb = fraction + _quietly("dtdb", day, fraction, 0.0, 0.0, 0.0, 0.0) / _DAY
    return np.asarray(day + (tdb + delay), np.float64)


def _observer(tt: tuple[float, float], utc: Any, site: Array) -> Array:
    """Give the barycentric position of a site, along the axes of ICRS [au]."""
    _, earth = _quietly("epv00", *tt)
    turn = np.asarray(_quietly("c2t06a", *tt, *utc, 0.0, 0.0))
    place = np.asarray(earth["p"], np.float64) + turn.T @ site / _METRES
    return np.asarray(place, np.float64)


def _quietly(function: str, *values: Any) -> Any:
    """Call erfa, which warns of years whose leap seconds are not known yet."""
    import erfa

    call: Callable[..., Any] = getattr(erfa, function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", erfa.ErfaWarning)
        return call(*values)
