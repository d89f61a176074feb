"""Units of headers, with astropy as the judge of what is written as it has it."""

import warnings

import pytest
from astropy import units as u

from ndmapper.io.units import says_nothing, unit_from_text

FLUX = u.erg / u.s / u.cm**2 / u.Angstrom


@pytest.mark.parametrize(
    "text",
    ["adu", "electron/s", "Jy/beam", "mJy/beam", "mJy/sr", "MJy/sr", "K", "K km/s",
     "10**(-20)*erg/s/cm**2/Angstrom", "1e-20 erg/s/cm2", "mag/arcsec**2", "mag(AB)",
     "W.m-2.um-1", "ct", "ph", "A", "S", "nmgy", "%", "um"],
)  # fmt: skip
def test_what_astropy_understands_is_as_astropy_has_it(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)  # of several slashes
        assert unit_from_text(text) == u.Unit(text)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("ELECTRONS/S", u.electron / u.s),
        ("e-/s", u.electron / u.s),
        ("E", u.electron),
        ("electrons sec-1", u.electron / u.s),
        ("DN/S", u.DN / u.s),
        ("DN/sec", u.DN / u.s),
        ("COUNTS", u.ct),
        ("counts / pixel", u.ct / u.pix),
        ("Counts per second", u.ct / u.s),
        ("cps", u.ct / u.s),
        ("ADU", u.adu),
        ("[adu]", u.adu),
        ("JY/BEAM", u.Jy / u.beam),
        ("MJY/SR", u.MJy / u.sr),
        ("KELVIN", u.K),
        ("K KM/S", u.K * u.km / u.s),
        ("photons/s", u.ph / u.s),
        ("maggies", u.mgy),
        ("nanomaggies", u.nmgy),
        ("W/M2/UM", u.W / u.m**2 / u.um),
        ("unitless", u.dimensionless_unscaled),
        ("1E-17 erg/cm^2/s/Ang", 1e-17 * FLUX),
        ("10^-16 ergs/s/cm2/A", 1e-16 * FLUX),
        ("10-17 erg/s/cm2/A", 1e-17 * FLUX),
        ("ERG/S/CM2/A", FLUX),
        ("erg cm-2 s-1 A-1", FLUX),
        ("erg/s/cm^2/Å", FLUX),
        ("FLAM16", 1e-16 * FLUX),
        ("FLAM16**2", (1e-16 * FLUX) ** 2),
        ("(MJy/sr)^2", (u.MJy / u.sr) ** 2),
        ("(10**(-20)*erg/s/cm**2/Angstrom)**2", (1e-20 * FLUX) ** 2),
        ("ADU**2/PIXEL**2", u.adu**2 / u.pix**2),
    ],
)
def test_common_spellings(text, unit):
    found = unit_from_text(text)
    assert found is not None
    assert found.to(unit) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["DU/PIXEL", "MJY", "MJY/BEAM", "mjy/sr", "ergish/s", "FLUX", "DATA",
             "relative", "K (Tmb)", "((adu)", "counts / bogus"],
)  # fmt: skip
def test_what_is_not_known_for_sure_is_not_understood(text):
    assert unit_from_text(text) is None


def test_texts_that_say_that_there_is_none():
    assert all(map(says_nothing, ["", "  ", "none", "N/A", "unknown", "-"]))
    assert not says_nothing("FLUX")
