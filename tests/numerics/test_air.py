"""Wavelengths in air and in vacuum."""

import numpy as np
import pytest

from ndmapper.numerics.air import air_to_vacuum, vacuum_to_air


def test_known_lines():
    # NIST: the wavelengths of lines of mercury and helium in air and in vacuum.
    air = [4046.565, 5460.750, 10830.337]
    vacuum = [4047.708, 5462.268, 10833.304]
    np.testing.assert_allclose(vacuum_to_air(vacuum), air, atol=0.002)
    np.testing.assert_allclose(air_to_vacuum(air), vacuum, atol=0.002)


def test_as_specutils_does():
    utils = pytest.importorskip("specutils.utils.wcs_utils")
    from astropy import units as u

    vacuum = np.linspace(2600, 20000, 50)
    theirs = utils.vac_to_air(vacuum * u.AA, method="Ciddor1996").to_value("AA")
    np.testing.assert_allclose(vacuum_to_air(vacuum), theirs, atol=1e-5)


def test_there_and_back():
    vacuum = np.linspace(2010, 25000, 100)
    np.testing.assert_allclose(air_to_vacuum(vacuum_to_air(vacuum)), vacuum, rtol=1e-12)


def test_short_wavelengths_are_those_in_vacuum():
    assert vacuum_to_air(1215.67) == air_to_vacuum(1215.67) == 1215.67
