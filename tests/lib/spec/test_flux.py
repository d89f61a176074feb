"""Sensitivity and flux calibration, against a response that is known."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from lib_spectra import LICK, exposure, spectrum

from ndmapper import config
from ndmapper.data import DataFile, DataFileList
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.spec.axis import with_wavelengths
from ndmapper.lib.spec.extinction import find_extinction, read_extinction
from ndmapper.lib.spec.flux import COMMON_ERROR, SENSITIVITY_ID, apply_sensitivity
from ndmapper.lib.spec.pointing import airmass_at_middle
from ndmapper.lib.spec.sensitivity import SENSITIVITY, make_sensitivity
from ndmapper.lib.spec.standards import find_standard, read_standard
from ndmapper.numerics.air import air_to_vacuum

LICK_BLUE = LICK | {"extinction": "mtham"}
WAVELENGTHS = 3450 + 2.04 * np.arange(1000)
OTHER = 3600 + 1.8 * np.arange(950)
STAR = {
    "OBJECT": "Feige 66", "RA": 189.348, "DEC": 25.0667, "EXPTIME": 30.0,
    "DATE-BEG": "2015-05-20T06:12:16",
}  # fmt: skip
CURVE = read_extinction(find_extinction("mtham"))
TABLE = read_standard(find_standard("feige66_wd"))
NOISE = 5.0


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with config.using(reprocess=None, logfile=None):
        yield


def area(wavelengths):
    """Give the effective area [cm2]: a bump with a ripple."""
    bump = np.exp(-0.5 * ((wavelengths - 4700) / 700) ** 2)
    return 500 + 6000 * bump * (1 + 0.1 * np.sin(wavelengths / 300))


def response(wavelengths):
    """Give the flux for each electron [erg/cm2/electron]."""
    return 1.98644586e-8 / wavelengths / area(wavelengths)


def electrons(flux, wavelengths, header, lost=0.0):
    """Give the electrons of a source that lies as its header says."""
    df = exposure(spectrum(wavelengths, flux), **header)
    airmass, _ = airmass_at_middle(df, LICK)
    seen = flux / response(wavelengths) * np.gradient(wavelengths)
    dimmed = 10 ** (-0.4 * (CURVE.at(wavelengths) * airmass + lost))
    return seen * dimmed * df.meta["EXPTIME"]


def star_flux(wavelengths=WAVELENGTHS):
    return np.interp(wavelengths, TABLE.wavelengths, TABLE.flux)


def observed(clean, wavelengths, seed=None, **header):
    """Draw an exposure of an object."""
    data = clean
    if seed is not None:
        rng = np.random.default_rng(seed)
        data = rng.poisson(clean) + rng.normal(0, NOISE, clean.size)
    return exposure(spectrum(wavelengths, data, clean + NOISE**2), **header)


def standard(seed=None, lost=0.0, **header):
    header = STAR | header
    clean = electrons(star_flux(), WAVELENGTHS, header, lost)
    return observed(clean, WAVELENGTHS, seed, **header)


def sensitivity(*files, **words):
    words = {"spectrograph": LICK_BLUE, "standard": "feige66_wd"} | words
    return make_sensitivity.func(DataFileList(data=list(files)), **words)


def calibrated(df, made, **words):
    words = {"spectrograph": LICK_BLUE} | words
    return apply_sensitivity.func(df, DataFile(data=[made]), **words)


@pytest.mark.parametrize("table", ["feige66_wd", None])
def test_response_within_one_percent(table):
    made = sensitivity(standard(1), standard=table)
    assert made.unit == u.Unit("erg / (cm2 electron)")
    ratio = made.data / response(WAVELENGTHS)
    assert ratio == pytest.approx(1, abs=0.01)
    assert made.meta["STDTABLE"] == "feige66_wd"
    assert made.meta["STDSTAR"] == "Feige 66"


def test_bands_of_the_table():
    made = sensitivity(standard(1), standard="feige66_massey", knot_spacing=400)
    bands = made.tables[SENSITIVITY]
    assert set(bands["width"]) == {50.0}
    # Flux of another table than the star was simulated by: it is 5 percent brighter.
    used = bands[bands["used"]]
    expected = area(np.asarray(used["wavelength"])) / 1.05
    assert used["area"] == pytest.approx(expected, rel=0.1)
    assert np.median(used["area"] / expected) == pytest.approx(1, abs=0.03)


def test_own_table_of_a_flat_star(tmp_path):
    """A star of constant AB magnitude, with bands of 80 Angstrom of an own file."""
    centres = np.arange(3500.0, 5500.0, 80.0)
    magnitude, width = np.full(25, 12.0), np.full(25, 80.0)
    Table({"wavelength": centres, "magnitude": magnitude, "width": width}).write(
        tmp_path / "flat.ecsv"
    )
    flux = 10 ** (-0.4 * 60.6) * 2.99792458e18 / WAVELENGTHS**2
    df = observed(electrons(flux, WAVELENGTHS, STAR), WAVELENGTHS, **STAR)
    made = sensitivity(df, standard="flat.ecsv", mask=[])
    inside = np.isfinite(made.data)
    assert made.data[inside] == pytest.approx(response(WAVELENGTHS)[inside], rel=0.01)
    # Bands 3500 - 40 to 5420 + 40; what is beyond is flagged.
    assert np.all(inside == ((WAVELENGTHS >= 3460) & (WAVELENGTHS <= 5460)))
    assert np.all((np.asarray(made.flags) != 0) == ~inside)


def test_lines_of_the_star_and_hits_do_not_count():
    df = standard(2)
    df[0].data[500:504] *= 5  # a cosmic ray, at 4470 to 4476
    line = np.exp(-0.5 * ((WAVELENGTHS - 4861) / 10) ** 2)
    df[0].data *= 1 - 0.4 * line  # deeper than in the table
    made = sensitivity(df)
    assert made.data / response(WAVELENGTHS) == pytest.approx(1, abs=0.01)
    bands = made.tables[SENSITIVITY]
    near = np.abs(bands["wavelength"] - 4472) < 8
    assert not bands["used"][near].any()


def cut_off(wavelengths, width):
    return 0.05 + 0.95 / (1 + np.exp(-(wavelengths - 4600) / width))


def ratio_and_pulls(made, cut):
    """Give the response relative to the true one, and its pulls, without flagged."""
    good = np.asarray(made.flags) == 0
    ratio = (made.data * cut / response(WAVELENGTHS))[good]
    return ratio, (ratio - 1) / (np.sqrt(made.variance) / made.data)[good], good


@pytest.mark.parametrize(
    ("width", "good_part"), [(3, 0.75), (10, 0.75), (30, 0.85), (60, 0.94), (100, 0.96)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_edge_of_a_dichroic_is_followed_or_flagged(width, good_part, sign, caplog):
    """By a factor of 20, over 13 to 440 Angstrom, with bands of 20."""
    cut = cut_off(9200 - WAVELENGTHS if sign < 0 else WAVELENGTHS, width)
    clean = electrons(star_flux(), WAVELENGTHS, STAR) * cut
    made = sensitivity(observed(clean, WAVELENGTHS, 3, **STAR))
    ratio, pulls, good = ratio_and_pulls(made, cut)
    assert ratio == pytest.approx(1, abs=0.1 if width < 30 else 0.04)
    assert np.median(np.abs(ratio - 1)) < 0.004
    assert np.mean(np.abs(ratio - 1) < 0.01) > 0.85
    # No Gaussian has one of 50 independent values (of 1000, along a spline) beyond.
    assert np.abs(pulls).max() < 5
    assert good.mean() >= good_part - 0.001
    told = "does not follow" in caplog.text or "is a guess" in caplog.text
    assert told == (not good.all())
    df = observed(clean, WAVELENGTHS, **STAR)
    assert np.asarray(calibrated(df, made)[0].mask)[~good].all()


@pytest.mark.parametrize("gap", [(4250.0, 4550.0), (4500.0, 4800.0), (5000.0, 5300.0)])
@pytest.mark.parametrize("width", [None, 60])
@pytest.mark.parametrize("band", [20.0, 50.0])
def test_in_gaps_the_error_says_what_the_spline_does_not_know(gap, width, band):
    cut = 1.0 if width is None else cut_off(WAVELENGTHS, width)
    clean = electrons(star_flux(), WAVELENGTHS, STAR) * cut
    df = observed(clean, WAVELENGTHS, 4, **STAR)
    made = sensitivity(df, mask=[gap], band_width=band)
    ratio, pulls, good = ratio_and_pulls(made, cut)
    # What is wrong by more has an error of as much.
    assert np.mean(np.abs(ratio - 1) < 0.07) > 0.85
    assert np.abs(pulls).max() < 5
    assert good.mean() > 0.6


def test_pulls_of_calibrated_spectra():
    """Of 8 nights: 7600 pixels, so that .03 is 3.7 standard errors of the width."""
    header = {"EXPTIME": 1200.0}
    flux = 2e-15 * (1 + 0.3 * np.sin(OTHER / 200))
    clean = electrons(flux, OTHER, header)
    pulls = []
    for seed in range(8):
        made = sensitivity(standard(seed))
        found = calibrated(observed(clean, OTHER, 100 + seed, **header), made)[0]
        inside = np.isfinite(found.data)
        pulls.append(((found.data - flux) / np.sqrt(found.variance))[inside])
    pulls = np.concatenate(pulls)
    assert np.std(pulls) == pytest.approx(1, abs=0.03)
    # The curve, which is common to the pixels of a night, is wrong by up to .3 percent.
    assert np.mean(pulls) == pytest.approx(0, abs=0.1)


def test_error_of_the_sensitivity_is_in_the_variance():
    """Claimed errors of 12 curves, which differ by the noise of faint standards."""
    curves = []
    for seed in range(12):
        made = sensitivity(standard(seed, lost=4.0))
        curves.append((made.data, np.sqrt(made.variance)))
    values, errors = np.array(curves).swapaxes(0, 1)
    ratio = np.std(values, axis=0, ddof=1) / np.mean(errors, axis=0)
    # The widths of 12 vary by 21 percent, and there are some ten independent ones.
    assert np.mean(ratio) == pytest.approx(1, abs=0.2)


def test_flux_of_a_noiseless_spectrum():
    flux = 1e-15 * (OTHER / 5000) ** 2
    header = {"EXPTIME": 600.0, "DEC": "10:00:00"}
    df = observed(electrons(flux, OTHER, header), OTHER, **header)
    made = sensitivity(standard())
    found = calibrated(df, made)[0]
    assert found.data == pytest.approx(flux, rel=5e-3)
    assert found.unit == u.Unit("erg / (s cm2 Angstrom)")
    error = np.asarray(found.extras[COMMON_ERROR].data)
    own = df[0].variance * (found.data / df[0].data) ** 2
    assert found.variance == pytest.approx(own + (found.data * error) ** 2)
    rate = df[0].data / 600 / np.gradient(OTHER)
    for data, unit in (
        (df[0].data / 600, "electron / s"),
        (rate, "electron / (s Angstrom)"),
        (rate * 600e10, "electron / m"),
    ):
        other = exposure(spectrum(OTHER, data, unit=unit), **header)
        assert calibrated(other, made)[0].data == pytest.approx(found.data)


def test_wavelengths_in_vacuum_and_that_fall():
    made = sensitivity(standard())
    flux = np.full(950, 1e-15)
    clean = electrons(flux, OTHER, {"EXPTIME": 600.0})
    ndd = with_wavelengths(
        spectrum(OTHER, clean[::-1], clean[::-1])[::1], air_to_vacuum(OTHER[::-1]),
        "vacuum",
    )  # fmt: skip
    found = calibrated(exposure(ndd, EXPTIME=600.0), made)[0]
    assert found.data[::-1] == pytest.approx(flux, rel=5e-3)
    star = standard()
    ndd = with_wavelengths(star[0], air_to_vacuum(WAVELENGTHS), "vacuum")
    again = sensitivity(exposure(ndd, **STAR))
    assert again.data == pytest.approx(made.data, rel=1e-3)


def test_exposures_that_lost_light_are_shifted(tmp_path):
    night = {"EXPTIME": 60.0, "DATE-BEG": "2015-05-20T09:30:00"}
    exposure(standard(1, lost=0.7)[0], name="a.fits", **STAR)
    exposure(standard(2, **night)[0], name="b.fits", **(STAR | night))
    made = make_sensitivity(
        ["a.fits", "b.fits"], spectrograph=LICK_BLUE, sensitivity="s.fits"
    )
    assert made[0].data / response(WAVELENGTHS) == pytest.approx(1, abs=0.01)
    found = made.record[-1]["qc"]
    assert found["grey_shift_mag[1]"] == pytest.approx(0.7, abs=0.005)
    assert found["grey_shift_mag[2]"] == 0
    assert found["airmass[2]"] > found["airmass[1]"] + 0.3


def test_steps_on_files():
    standard(1).save("star.fits")
    clean = electrons(np.full(950, 1e-15), OTHER, {"EXPTIME": 600.0})
    observed(clean, OTHER, 2, EXPTIME=600.0).save("x.fits")
    slit = {"slit_width": 2.0, "slit_angle": 90.0}
    made = make_sensitivity(
        ["star.fits"], spectrograph=LICK_BLUE | slit, sensitivity="s.fits"
    )
    found = made.record[-1]["qc"]
    assert found["rms_percent"] < 2
    assert -90 <= found["slit_minus_parallactic"] <= 90
    assert found["star"] == "Feige 66"
    apply_sensitivity(
        "x.fits", sensitivity="s.fits", spectrograph=LICK_BLUE | slit,
        out_names="y.fits",
    )  # fmt: skip
    made = DataFile("y.fits")
    assert made[0].data == pytest.approx(1e-15, rel=0.3)
    assert np.median(made[0].data) == pytest.approx(1e-15, rel=0.01)
    assert made[0].extras[COMMON_ERROR].shape == (950,)
    assert len(made[0].meta[SENSITIVITY_ID]) == 16
    with pytest.raises(UnitError, match="calibrated already"):
        apply_sensitivity(
            "y.fits", sensitivity="s.fits", spectrograph=LICK_BLUE, out_names="z.fits"
        )


def test_slits_of_other_widths_are_told(caplog):
    wide = LICK_BLUE | {"slit_width": 5.0}
    made = sensitivity(standard(), spectrograph=wide)
    df = observed(np.full(950, 1e3), OTHER, EXPTIME=600.0)
    calibrated(df, made, spectrograph=wide)
    assert "grey" not in caplog.text
    calibrated(df, made, spectrograph=LICK_BLUE | {"slit_width": 1.0})
    assert "grey" in caplog.text


def test_other_extinction_is_told(caplog):
    made = sensitivity(standard())
    df = observed(np.full(950, 1e3), OTHER, EXPTIME=600.0)
    calibrated(df, made, extinction="kpno")
    assert "kpno" in caplog.text


def test_pixels_beyond_the_sensitivity_are_flagged():
    made = sensitivity(standard())
    wavelengths = 5000 + 2.0 * np.arange(950)
    df = observed(np.full(950, 1e3), wavelengths, EXPTIME=600.0)
    found = calibrated(df, made)[0]
    beyond = wavelengths > WAVELENGTHS[-1] + 2
    assert np.isnan(found.data[beyond]).all()
    assert np.asarray(found.mask)[beyond].all()


@pytest.mark.parametrize(
    ("header", "words", "message"),
    [
        ({"OBJECT": "J1234", "RA": 10.0}, {"standard": None}, "no standard star"),
        ({}, {"standard": "Feige 99"}, "no standard star"),
        ({}, {"spectrograph": {}}, "extinction="),
        ({"RA": None}, {}, "airmass"),
        ({}, {"mask": [(3000, 6000)]}, "0 bands"),
        ({}, {"mask": [(6000, 5000)]}, "does not rise"),
    ],
)
def test_what_is_missing_is_told(header, words, message):
    with pytest.raises(ParameterError, match=message):
        sensitivity(standard() if not header else standard_of(header), **words)


def standard_of(header):
    return observed(star_flux() * 1e15, WAVELENGTHS, **(STAR | header))


def test_other_counts_are_refused():
    made = sensitivity(standard())
    df = exposure(spectrum(OTHER, np.ones(950), unit="adu"))
    with pytest.raises(UnitError, match="other counts"):
        calibrated(df, made)
    df = exposure(spectrum(OTHER, np.ones(950), unit=None))
    with pytest.raises(UnitError, match="no unit"):
        calibrated(df, made)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.dat cannot be read|x.dat has"),
        ("4000\n5000\n", "needs wavelength"),
        ("wavelength extinction\nred blue\n", "x.dat"),
        ("wavelength extinction\n4000 0.2\n", "x.dat"),
        ("wavelength extinction\n4000 0.2\n5000 -30\n", "x.dat"),
        ("wavelength extinction\n4000 nan\n5000 nan\n", "x.dat"),
        ("wavelength extinction\n0.4 0.2\n0.6 0.1\n", "x.dat.*Angstrom"),
        (b"\xff\xfe\x00\x01", "x.dat"),
    ],
)
def test_extinction_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "x.dat"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ParameterError, match=message):
        sensitivity(standard(), extinction=str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.dat"),
        ("wavelength magnitude\nred blue\n", "x.dat"),
        ("wavelength magnitude\n4000 11\n", "2 are needed"),
        ("wavelength magnitude\n0.36 11\n0.45 11\n0.53 11\n", "x.dat.*Angstrom"),
    ],
)
def test_table_of_a_star_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "x.dat"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message):
        sensitivity(standard(), standard=str(path))


@pytest.mark.parametrize("unit", ["erg / (s cm2 Angstrom)", "mag", "m", None, "Jy"])
def test_spectra_that_are_no_counts_are_refused(unit):
    df = standard()
    df[0].unit = unit
    with pytest.raises(UnitError, match="counts"):
        sensitivity(df)
