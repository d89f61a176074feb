"""The zero point against a catalogue: colour term, outliers, errors, limits."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from lib_image import as_file, listed, make_field, sky_wcs, write

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib import image

calibrate = image.calibrate_photometry.func


def stars(seed, *, n=60, zero_point=25.0, term=0.0, scatter=0.0, outliers=0):
    """Make sources with fluxes and errors, and a catalogue of true magnitudes."""
    rng = np.random.default_rng(seed)
    true = 10 ** rng.uniform(3.2, 5, n)
    error = np.sqrt(true + 3e3)
    flux = true + rng.normal(0, error)
    colour = rng.uniform(0, 1.5, n)
    mag = zero_point - 2.5 * np.log10(true) + term * colour
    mag += rng.normal(0, scatter, n)
    mag[:outliers] += rng.choice([-1, 1], outliers) * rng.uniform(0.3, 3, outliers)
    ra, dec = 150 + rng.uniform(-0.05, 0.05, n), 2 + rng.uniform(-0.05, 0.05, n)
    sources = {
        "ra": ra + rng.normal(0, 0.1, n) / 3600, "dec": dec, "flux": flux,
        "flux_error": error, "flags": np.zeros(n, int),
    }  # fmt: skip
    shuffled = rng.permutation(n)
    reference = {"ra": ra, "dec": dec, "r": mag, "g": mag + colour}
    return sources, {k: v[shuffled] for k, v in reference.items()}


def blank():
    return as_file(NDLater(np.zeros((4, 4))))


def run(sources, reference, **words):
    made = calibrate(
        blank(), listed(**sources), listed(**reference), **{"magnitude": "r"} | words
    )
    return made["calibrated"].meta, made["catalogue"]


def test_zero_point_and_its_error_are_right():
    pulls, limits = [], []
    for seed in range(60):
        header, _ = run(*stars(seed))
        pulls.append((header["PHOTZP"] - 25) / header["PHOTZPER"])
        limits.append(header["MAGLIM"])
    # 60 zero points: mean and width are known to 0.13 and 9 per cent.
    assert abs(np.mean(pulls)) < 0.4
    assert np.std(pulls) == pytest.approx(1, abs=0.27)
    # flux = 5 sqrt(flux + 3000) at 286.6 electrons.
    np.testing.assert_allclose(limits, 25 - 2.5 * np.log10(286.6), atol=0.02)


def test_star_of_the_limiting_magnitude_is_five_times_its_noise():
    photometry = image.aperture_photometry.func
    words = {"radius": 4.0, "annulus": (9.0, 14.0)}
    bright = make_field(1, stars=25, flux=(1e3, 1e5))
    table = photometry(as_file(bright.ndd), listed(x=bright.x, y=bright.y), **words)
    table["ra"], table["dec"] = 150 + bright.x / 3600, bright.y / 3600
    reference = {
        "ra": 150 + bright.x / 3600, "dec": bright.y / 3600,
        "r": 25 - 2.5 * np.log10(bright.flux),
    }  # fmt: skip
    made = calibrate(blank(), listed(table), listed(**reference), magnitude="r")
    limit = 10 ** ((25 - made["calibrated"].meta["MAGLIM"]) / 2.5)
    grid = np.arange(17, 200, 18.0)
    places = [axis.ravel() for axis in np.meshgrid(grid, grid)]
    fluxes = []
    for seed in range(2):
        faint = make_field(
            50 + seed, shape=(200, 200), positions=places, flux=(limit, limit + 1e-6)
        )
        fluxes += list(
            photometry(as_file(faint.ndd), listed(x=places[0], y=places[1]), **words)[
                "flux"
            ]
        )
    # 242 stars: the scatter is known to 4.5 per cent.
    assert limit / np.std(fluxes) == pytest.approx(5, rel=0.18)


def test_error_of_the_aperture_correction_counts():
    pulls, errors = [], []
    rng = np.random.default_rng(7)
    for seed in range(60):
        sources, reference = stars(seed)
        # A correction of 1.1 with an error of 0.011 multiplies all fluxes.
        factor = rng.normal(1.1, 0.011) / 1.1
        for name in ("flux", "flux_error"):
            sources[name] = sources[name] * factor
        table = Table(sources)
        table.meta |= {"aperture_correction": 1.1, "aperture_correction_error": 0.011}
        made = calibrate(blank(), listed(table), listed(**reference), magnitude="r")[
            "calibrated"
        ].meta
        pulls.append((made["PHOTZP"] - 25) / made["PHOTZPER"])
        errors.append(made["PHOTZPER"])
        assert made["PHOTAPER"] == pytest.approx(1.0857 * 0.01, rel=1e-3)
    assert abs(np.mean(pulls)) < 0.4
    assert np.std(pulls) == pytest.approx(1, abs=0.27)
    # Without it the error is that of the stars, a ninth of it.
    assert np.mean(errors) > 0.0108


def test_zero_point_is_robust_and_knows_its_scatter():
    pulls = []
    for seed in range(40):
        header, _ = run(*stars(seed, scatter=0.03, outliers=12))
        pulls.append((header["PHOTZP"] - 25) / header["PHOTZPER"])
    assert header["PHOTRMS"] == pytest.approx(0.03, abs=0.012)
    assert header["PHOTZPER"] == pytest.approx(0.03 / np.sqrt(48), rel=0.35)
    assert 44 <= header["PHOTNUM"] <= 49
    # A fifth of the stars are wrong by 10 to 100 times the scatter.
    assert abs(np.mean(pulls)) < 0.5
    assert np.std(pulls) < 1.4


def test_colour_term_is_fitted_or_given():
    words = {"colour": ("g", "r")}
    terms = [run(*stars(s, term=0.12), **words)[0]["PHOTCLR"] for s in range(10)]
    assert np.mean(terms) == pytest.approx(0.12, abs=0.01)
    header, _ = run(*stars(1, term=0.12), **words, colour_term=0.12)
    assert header["PHOTCLR"] == 0.12
    assert header["PHOTZP"] == pytest.approx(25, abs=4 * header["PHOTZPER"])
    # Without it the zero point is that of the mean colour, and the stars scatter.
    plain, _ = run(*stars(1, term=0.12))
    assert plain["PHOTZP"] == pytest.approx(25 + 0.12 * 0.75, abs=0.03)
    assert plain["PHOTRMS"] > 0.03


def test_magnitudes_of_the_catalogue_follow():
    sources, reference = stars(2)
    sources["flux"][0] = -5.0
    header, table = run(sources, reference)
    np.testing.assert_allclose(
        table["mag"][1:], header["PHOTZP"] - 2.5 * np.log10(sources["flux"][1:])
    )
    assert np.isnan(table["mag"][0])
    np.testing.assert_allclose(
        table["mag_error"][1:],
        1.0857 * (sources["flux_error"] / sources["flux"])[1:],
        rtol=1e-4,
    )
    assert table.meta["zero_point"] == header["PHOTZP"]
    assert table["mag"].unit == "mag"


def test_errors_of_the_reference_and_bad_values_count():
    sources, reference = stars(3)
    reference["e"] = np.full(60, 0.2)
    reference["r"][:5] = np.nan
    reference["dec"][6] = np.nan
    sources["flags"][7:9] = 4
    header, _ = run(sources, reference, magnitude_error="e")
    assert header["PHOTZPER"] == pytest.approx(0.2 / np.sqrt(52), rel=0.08)
    assert header["PHOTNUM"] <= 54


def test_step_writes_frame_and_catalogue(folder):
    field = make_field(9, stars=25, flux=(5e3, 1e5))
    wcs = sky_wcs(field.ndd.shape)
    field.ndd.wcs = wcs
    frame = write("a.fits", field.ndd)
    sky = wcs.pixel_to_world(field.x, field.y)
    Table(
        {"RA": sky.ra.deg, "DE": sky.dec.deg, "V": 27.5 - 2.5 * np.log10(field.flux)}
    ).write("stars.csv")
    fluxes = image.aperture_photometry(frame, sources=image.find_sources(frame))
    made = image.calibrate_photometry(
        frame, sources=fluxes, reference="stars.csv", magnitude="V", ra="RA", dec="DE"
    )
    product = made["calibrated"]
    assert (str(product), str(made["catalogue"])) == ("za.fits", "a_cal.ecsv")
    # 1.5 FWHM hold all but 0.3 per cent of the light.
    assert product.meta["PHOTZP"] == pytest.approx(27.5, abs=0.006)
    assert product.meta["PHOTBAND"] == "V"
    assert (product[0].data == field.ndd.data).all()
    entry = product.record[-1]
    assert entry["qc"]["zero_point"] == product.meta["PHOTZP"]
    assert entry["qc"]["limiting_magnitude"] == product.meta["MAGLIM"]
    assert entry["run"]["figures"]
    table = made["catalogue"].table()
    assert np.std(table["mag"] - 27.5) > 0


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        ({}, {"magnitude": "R"}, "no column 'R'"),
        ({"r": np.full(60, np.nan)}, {}, "no number that is finite"),
        ({"r": np.array(["x"] * 60)}, {}, "has no numbers"),
        ({"dec": np.full(60, -70.0)}, {}, "0 stars of the reference match"),
        ({}, {"least_snr": 1e4}, "of 60 that match at all"),
        ({"g": np.zeros(60), "i": np.zeros(60)}, {"colour": ("g", "i")}, "same colour"),
    ],
)
def test_wrong_references_are_refused(change, words, message):
    sources, reference = stars(4)
    with pytest.raises(ParameterError, match=message):
        run(sources, reference | change, **words)


def test_positions_of_the_reference_are_found_as_catalogues_call_them():
    sources, reference = stars(4)
    expected = run(sources, reference)[0]["PHOTZP"]
    reference["RA_ICRS"], reference["DE_ICRS"] = (
        reference.pop(name) for name in ("ra", "dec")
    )
    assert run(sources, reference)[0]["PHOTZP"] == expected
    reference["DE"] = reference.pop("DE_ICRS")
    with pytest.raises(ParameterError, match="no column 'ra'"):
        run(sources, reference)
    assert run(sources, reference, ra="RA_ICRS", dec="DE")[0]["PHOTZP"] == expected


def test_sources_without_sky_positions_are_refused():
    sources, reference = stars(4)
    del sources["ra"]
    with pytest.raises(ParameterError, match="has no ra and dec"):
        run(sources, reference)
    with pytest.raises(ParameterError, match="needs reference"):
        calibrate(blank(), listed(**sources), None)
    with pytest.raises(ParameterError, match="is empty"):
        calibrate(blank(), listed(x=np.array([])), listed(**reference))


def test_columns_with_units_are_converted():
    sources, reference = stars(3)
    plain, _ = run(sources, reference)
    table = Table(reference)
    table["ra"] = (table["ra"] / 15) * u.hourangle
    table["dec"] = np.deg2rad(table["dec"]) * u.rad
    table["r"] = table["r"] * 1000 * u.mmag
    made = calibrate(blank(), listed(**sources), listed(table), magnitude="r")
    assert made["calibrated"].meta["PHOTZP"] == pytest.approx(plain["PHOTZP"], abs=1e-9)


def test_many_stars_that_do_not_agree_are_told(caplog):
    run(*stars(3, outliers=6))
    assert "do not agree" not in caplog.text
    run(*stars(3, outliers=27))
    assert "stars do not agree with the zero point" in caplog.text
