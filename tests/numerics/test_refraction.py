"""Airmass, parallactic angle and refraction."""

import erfa
import numpy as np
import pytest

from ndmapper.numerics.refraction import (
    airmass,
    parallactic_angle,
    pressure_at,
    refraction,
)


@pytest.mark.parametrize("angle", [0.0, 30.0, 60.0, 75.0, 85.0])
def test_airmass_is_that_of_another_formula(angle):
    """Of Kasten and Young (1989, Applied Optics 28, 4735), by the apparent altitude."""
    tangent = np.tan(np.radians(angle))
    lifted = np.degrees(np.radians(60.4 / 3600) * tangent)  # Saemundsson, to 80 degrees
    altitude = 90 - angle + min(lifted, 0.165)
    expected = 1 / (
        np.sin(np.radians(altitude)) + 0.50572 * (altitude + 6.07995) ** -1.6364
    )
    # Their atmospheres differ: by .1 percent to an airmass of 4, by 1 at 10.
    assert airmass(angle) == pytest.approx(expected, rel=1e-2 if angle > 80 else 1e-3)


def test_zenith_is_in_the_south_of_a_star_that_culminates_north_of_it():
    assert parallactic_angle(0.0, 80.0, 37.0) == pytest.approx(180)
    assert parallactic_angle(0.0, 10.0, 37.0) == pytest.approx(0)


def test_zenith_is_in_the_east_of_a_star_in_the_west():
    assert parallactic_angle(90.0, 0.0, 0.0) == pytest.approx(90)
    assert parallactic_angle(-90.0, 0.0, 0.0) == pytest.approx(-90)
    # A star at the pole of the south, seen from the south: as east from above.
    assert 0 < parallactic_angle(30.0, -30.0, -60.0) < 180


def test_standard_atmosphere():
    assert pressure_at(0.0) == pytest.approx(1013.25)
    assert pressure_at(5000.0) == pytest.approx(540.2, rel=1e-3)  # US standard, 1976


@pytest.mark.parametrize("blue", [3500.0, 4000.0, 7000.0])
@pytest.mark.parametrize("angle", [20.0, 45.0, 60.0])
def test_difference_is_that_of_erfa(blue, angle):
    """Refco has another atmosphere (curved, other dispersion): equal to 3 percent."""
    weather = {"pressure": 800.0, "temperature": 7.0}
    ours = refraction([blue, 5000.0], angle, **weather, vapour=8.0)
    humidity = 8.0 / 10.0  # of saturation at 7 degrees, 10 hPa
    theirs = []
    for wavelength in (blue, 5000.0):
        a, b = erfa.refco(800.0, 7.0, humidity, wavelength / 1e4)
        tangent = np.tan(np.radians(angle))
        theirs.append(np.degrees(a * tangent + b * tangent**3) * 3600)
    assert ours[0] - ours[1] == pytest.approx(theirs[0] - theirs[1], rel=0.03)
    assert ours == pytest.approx(theirs, rel=0.01)
