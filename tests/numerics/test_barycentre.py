"""Barycentric Julian dates against published ones, and those of astropy."""

from datetime import datetime

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from ndmapper.numerics.barycentre import (
    atomic_time,
    barycentric_julian_date,
    site_on_earth,
)

CTIO = (-70.806789, -30.169283, 2241.9)
DAY = 86400
RESOLUTION = 5e-5
"""What a double precision number has of a Julian date [s]."""


@pytest.mark.parametrize(
    ("utc", "direction", "published"),
    [
        # By the calculator of Eastman et al. 2010 (utc2bjd), for the geocentre.
        (datetime(2010, 8, 1, 10, 30), (180.0, -20.0), 2455409.935445962),
        (datetime(2014, 5, 7, 12), (50.0, 50.0), 2456784.995914159),
    ],
)
def test_published_dates_are_met(utc, direction, published):
    found = barycentric_julian_date(atomic_time(utc), *direction, np.zeros(3))
    assert abs(found - published) * DAY < 2 * RESOLUTION


def test_date_of_barycorrpy_is_met():
    # Tau Ceti from Cerro Tololo at JD 2458000, as in the tests of barycorrpy; the place
    # of the star is that of Hipparcos, moved by its proper motion since J1991.25.
    years = (2458000 - 2448349.0625) / 365.25
    star = SkyCoord(26.0213645867, -15.9395557246, unit="deg").spherical_offsets_by(
        -1721.05e-3 * years * u.arcsec, 854.16e-3 * years * u.arcsec
    )
    found = barycentric_julian_date(
        atomic_time(datetime(2017, 9, 3, 12)),
        star.ra.deg, star.dec.deg, site_on_earth(*CTIO),
    )  # fmt: skip
    # It has eight digits (0.9 ms), and waves of a star so near are curved (0.4 ms).
    assert abs(found - 2458000.00505211) * DAY < 1.5e-3


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
def test_dates_are_those_of_astropy():
    place = EarthLocation.from_geodetic(*CTIO)
    stars = SkyCoord([10.0, 130.0, 250.0], [-70.0, 5.0, 60.0], unit="deg")
    with (
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("auto_max_age", None),
    ):
        for utc in (datetime(2012, 6, 30, 23, 59, 59), datetime(2021, 11, 7, 3, 20)):
            time = Time(utc, scale="utc", location=place)
            expected = (time.tdb + time.light_travel_time(stars)).jd
            found = barycentric_julian_date(
                atomic_time(utc), stars.ra.deg, stars.dec.deg, site_on_earth(*CTIO)
            )
            np.testing.assert_allclose(
                (found - expected) * DAY, 0, atol=1.5 * RESOLUTION
            )


def test_leap_seconds_are_part_of_the_time_between():
    before = atomic_time(datetime(2016, 12, 31, 23, 59, 50))
    after = atomic_time(datetime(2017, 1, 1, 0, 0, 10))
    assert after - before == pytest.approx(21, abs=1e-5)
    assert before.later(21) - after == pytest.approx(0, abs=1e-5)


def test_years_to_come_need_no_table():
    found = barycentric_julian_date(
        atomic_time(datetime(2060, 1, 1)), 10.0, 20.0, site_on_earth(*CTIO)
    )
    assert abs(found - 2473459.5) < 0.01
