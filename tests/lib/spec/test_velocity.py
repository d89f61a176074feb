"""Wavelengths relative to the barycentre and the Sun, and how the slit lay."""

import logging
import math
import socket
from datetime import datetime

import erfa
import numpy as np
import pytest
from lib_spectra import LICK, exposure, spectrum

from ndmapper import config
from ndmapper.data import DataFile
from ndmapper.errors import ParameterError
from ndmapper.lib.spec import pointing
from ndmapper.lib.spec.axis import wavelengths_of
from ndmapper.lib.spec.pointing import airmass_at_middle, pointing_of, target_of
from ndmapper.lib.spec.refraction import differential_refraction
from ndmapper.lib.spec.velocity import correct_velocity
from ndmapper.lib.times import frame_time
from ndmapper.numerics.barycentre import (
    atomic_time,
    barycentric_julian_date,
    site_on_earth,
)

LIGHT = 299792.458
WAVELENGTHS = 4000.0 + 1.02 * np.arange(500)


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with config.using(reprocess=None, logfile=None):
        yield


def corrected(df, **words):
    return correct_velocity.func(df, **{"spectrograph": LICK} | words)


def factor(df, **words):
    made = corrected(df, **words)
    return wavelengths_of(made[0]).values / wavelengths_of(df[0]).values


def flat(**header):
    return exposure(spectrum(WAVELENGTHS, np.ones(500), np.ones(500)), **header)


def test_figures_of_a_real_exposure():
    # Kast, 20 May 2015: -22.416 km/s and .999925233, computed apart from ndmapper.
    df = flat()
    found = factor(df, frame="heliocentric")
    assert found == pytest.approx(0.999925233, abs=1e-9)
    made = corrected(df, frame="heliocentric")
    assert made[0].meta["VELOSYS"] == pytest.approx(-22416, abs=1.0)
    assert made[0].meta["SPECSYS"] == "HELIOCEN"
    assert made[0].data == pytest.approx(df[0].data)


def test_time_is_that_of_the_middle():
    start = flat(EXPTIME=1e-6)
    assert factor(start)[0] == pytest.approx(0.9999252842, abs=1e-9)
    assert factor(flat())[0] == pytest.approx(0.9999252395, abs=1e-9)
    other = flat(**{"DATE-BEG": None, "DATE-OBS": "2015-05-20T04:57:33.12"})
    assert factor(other, time_is="end")[0] == pytest.approx(0.9999252395, abs=1e-9)


@pytest.mark.parametrize(
    ("ra", "dec"), [(270.0, -23.0), (90.0, 23.0), (184.4, 39.01), (10.0, -60.0)]
)
def test_velocity_is_the_rate_of_the_light_travel_time(ra, dec):
    """By other code, whose clock runs 1.6e-8 faster or slower (TDB): .005 km/s."""
    df = flat()
    made = corrected(df, target=(ra, dec))
    site = site_on_earth(*LICK["site"].values())
    middle = atomic_time(datetime(2015, 5, 20, 4, 47, 33))
    late, early = (
        barycentric_julian_date(middle.later(s), ra, dec, site) for s in (600, -600)
    )
    rate = float(late - early) * 86400 / 1200 - 1
    assert made[0].meta["VELOSYS"] / 1e3 == pytest.approx(rate * LIGHT, abs=0.02)


def test_a_line_comes_to_its_wavelength_at_rest():
    """The telescope approaches the star, so that it sees the line too blue."""
    apex = (240.0, -20.0)
    df = flat(**{"DATE-BEG": "2015-03-01T12:00:00"})
    speed = corrected(df, target=apex)[0].meta["VELOSYS"] / 1e3
    assert speed > 25
    seen = 4250.0 / (1 + speed / LIGHT)
    line = np.exp(-0.5 * ((WAVELENGTHS - seen) / 3) ** 2)
    df = exposure(spectrum(WAVELENGTHS, line), **{"DATE-BEG": "2015-03-01T12:00:00"})
    made = corrected(df, target=apex)[0]
    values = wavelengths_of(made).values
    centre = np.average(values, weights=np.asarray(made.data))
    assert centre == pytest.approx(4250.0, abs=0.001)
    assert np.average(WAVELENGTHS, weights=line) < 4249.7


@pytest.mark.parametrize("curve", [0.0, 1e-4])
def test_saved_spectra_keep_the_frame_and_are_refused(curve):
    wavelengths = WAVELENGTHS + curve * np.arange(500) ** 2
    exposure(spectrum(wavelengths, np.ones(500)), name="x.fits")
    made = correct_velocity("x.fits", spectrograph=LICK, out_names="y.fits")
    made = DataFile("y.fits")
    assert made[0].meta["SPECSYS"] == "BARYCENT"
    axis = wavelengths_of(made[0])
    assert axis.medium == "air"
    assert axis.values / wavelengths == pytest.approx(0.9999252395, abs=2e-9)
    assert "IERS-A" in made.record[-1]["qc"]["iers"]
    assert made.record[-1]["qc"]["velocity_km_s"] == pytest.approx(-22.4126, abs=1e-3)
    with pytest.raises(ParameterError, match="BARYCENT"):
        correct_velocity("y.fits", spectrograph=LICK, out_names="z.fits")


@pytest.mark.parametrize("year", [2015, 2040])
def test_nothing_goes_to_the_network(monkeypatch, caplog, year):
    def refused(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "create_connection", refused)
    pointing._iers_table.cache_clear()
    with caplog.at_level(logging.WARNING):
        factor(flat(**{"DATE-BEG": f"{year}-05-20T04:37:33"}))
    assert caplog.text.count("table of IERS") == (year > 2030)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"RA": None}, "target="),
        ({"DATE-BEG": "2015-05-20"}, "time of day"),
        ({"DEC": "north"}, "not understood"),
        ({"DEC": 139.0}, "no place in the sky"),
        ({"EXPTIME": None}, "exposure"),
    ],
)
def test_what_is_missing_is_told(missing, message):
    with pytest.raises(ParameterError, match=message):
        corrected(flat(**missing))


def test_site_is_needed():
    with pytest.raises(ParameterError, match="where the telescope is"):
        corrected(flat(), spectrograph=None)
    place = dict(zip(("OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z"), [
        float(x) for x in site_on_earth(*LICK["site"].values())
    ], strict=True))  # fmt: skip
    found = factor(flat(**place), spectrograph=None)
    assert found == pytest.approx(factor(flat()), abs=1e-12)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("12:17:36.7", "39:00:40.0"),
        ("12 17 36.7", "+39 00 40.0"),
        ("12h17m36.7s", "39d00m40.0s"),
        (184.4029167, 39.0111111),
        ("184.4029167", "39.0111111"),
    ],
)
def test_coordinates_of_any_form(ra, dec):
    found = target_of(flat(RA=ra, DEC=dec))
    assert found.ra.deg == pytest.approx(184.4029167)
    assert found.dec.deg == pytest.approx(39.0111111)


def test_small_negative_declination():
    assert target_of(flat(DEC="-00:30:00")).dec.deg == pytest.approx(-0.5)


def test_coordinates_of_date_are_precessed():
    assert target_of(flat(EQUINOX="J2000.0")).ra.deg == pytest.approx(184.4029167)
    found = target_of(flat(RA="12:18:22.7", DEC="38:55:32", EQUINOX=2015.38))
    assert found.ra.deg == pytest.approx(184.4029, abs=0.003)
    assert found.dec.deg == pytest.approx(39.0111, abs=0.003)


def test_airmass_is_computed_and_compared(caplog):
    df = flat(AIRMASS=1.0)
    found, source = airmass_at_middle(df, LICK)
    assert (found, source) == (pytest.approx(1.0013, abs=2e-4), "computed")
    assert not caplog.records
    df.meta["AIRMASS"] = 1.6
    assert airmass_at_middle(df, LICK)[0] == found
    assert "1.600" in caplog.text


def test_airmass_of_the_header_where_it_cannot_be_computed(caplog):
    df = flat(AIRMASS=1.6, RA=None)
    assert airmass_at_middle(df, LICK) == (1.6, "header")
    assert "target=" in caplog.text
    with pytest.raises(ParameterError, match="airmass"):
        airmass_at_middle(flat(RA=None), LICK)


@pytest.mark.parametrize("stated", [99.0, -999.0, 0.0, 0.5])
def test_airmass_that_is_none_is_not_believed(stated, caplog):
    found, source = airmass_at_middle(flat(AIRMASS=stated), LICK)
    assert (found, source) == (pytest.approx(1.0013, abs=2e-4), "computed")
    assert f"airmass of {stated:g}, which is none" in caplog.text
    with pytest.raises(ParameterError, match="is not known"):
        airmass_at_middle(flat(AIRMASS=stated, RA=None), LICK)


def test_frame_of_rest_in_the_primary_header_counts():
    df = flat(SPECSYS="BARYCENT")
    df.save("x.fits")
    for one in (df, DataFile("x.fits")):
        with pytest.raises(ParameterError, match="BARYCENT"):
            corrected(one)
    assert corrected(flat(SPECSYS="TOPOCENT"))[0].meta["SPECSYS"] == "BARYCENT"


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ({"longitude": -121.6, "latitude": 95.0, "height": 1283.0}, "site"),
        ({"longitude": -121.6, "latitude": 37.3}, "site"),
        ({"longitude": "W121", "latitude": 37.3, "height": 1283.0}, "site"),
        ("Lick", "site"),
    ],
)
def test_a_wrong_site_is_an_error(site, message):
    with pytest.raises(ParameterError, match=message):
        corrected(flat(), spectrograph={"site": site})


def test_a_telescope_in_the_centre_of_the_earth_is_an_error():
    cards = {f"OBSGEO-{axis}": 0.0 for axis in "XYZ"}
    with pytest.raises(ParameterError, match="inside the Earth"):
        corrected(flat(**cards), spectrograph={})


def test_a_star_below_the_horizon_is_an_error():
    with pytest.raises(ParameterError, match="from the zenith"):
        airmass_at_middle(flat(DEC="-80:00:00"), LICK)


@pytest.mark.parametrize("ra", [100.0, 184.4, 250.0])
def test_place_in_the_sky_is_that_of_erfa(ra):
    df = flat()
    place = pointing_of(df, frame_time(df).middle, LICK, (ra, 39.0))
    lon, lat, height = LICK["site"].values()
    day = 2457162.5, (4 * 60 + 47.5522) / 1440
    _, zenith, hour, *_ = erfa.atco13(
        *np.radians([ra, 39.0]), 0, 0, 0, 0, *day, -0.644, *np.radians([lon, lat]),
        height, 0, 0, 0, 0, 0, 0.5,
    )  # fmt: skip
    # Polar motion is left out here: .4 arcsec.
    assert place.zenith_angle == pytest.approx(np.degrees(zenith), abs=3e-4)
    assert place.hour_angle == pytest.approx(np.degrees(hour), abs=5e-4)


def test_refraction_along_and_across_the_slit():
    df = flat(RA="08:17:36.7")  # in the west
    found = differential_refraction(df, spectrograph=LICK | {"slit_angle": 30.0})
    assert found.airmass > 1.3
    assert 0 < found.parallactic_angle < 180
    assert -90 <= found.slit_angle < 90
    turned = math.radians(30.0 - found.parallactic_angle)
    assert found.across_slit == pytest.approx(abs(found.refraction * math.sin(turned)))
    wider = differential_refraction(
        df, spectrograph=LICK, wavelength_range=(3500.0, 10000.0)
    )
    # About 2 arcsec at airmass 1.5 (Filippenko 1982, table I, for a similar height).
    assert 1.0 < wider.refraction * 1.118 / math.sqrt(wider.airmass**2 - 1) < 2.5
    assert math.isnan(wider.across_slit)
