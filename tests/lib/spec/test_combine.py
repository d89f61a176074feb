"""Combining spectra, with variance, covariance and what they share."""

import numpy as np
import pytest
from astropy import units as u
from lib_spectra import exposure, spectrum

from ndmapper import config
from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import ParameterError, ShapeError, UnitError
from ndmapper.lib.image.correlation import COVARIANCE, noise_factor
from ndmapper.lib.spec.axis import wavelengths_of, with_wavelengths
from ndmapper.lib.spec.combine import combine_spectra
from ndmapper.lib.spec.flux import COMMON_ERROR, SENSITIVITY_ID, apply_sensitivity
from ndmapper.lib.spec.velocity import correct_velocity
from ndmapper.numerics.rebin import pixel_edges

WAVELENGTHS = 4000 + 2.0 * np.arange(800)
NOISE = 5.0
DENSITY = "erg / (s cm2 Angstrom)"


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with config.using(reprocess=None, logfile=None):
        yield


def source(wavelengths, level=100.0):
    """Give counts for each Angstrom: a continuum, with an emission line."""
    line = np.exp(-0.5 * ((wavelengths - 4800) / 8) ** 2)
    return level * (1 + 0.3 * np.sin(wavelengths / 150) + 8 * line)


def observed(rng, wavelengths=WAVELENGTHS, level=100.0, **words):
    clean = source(wavelengths, level) * np.gradient(wavelengths)
    data = rng.poisson(clean) + rng.normal(0, NOISE, clean.size)
    return spectrum(wavelengths, data, np.maximum(data, 0) + NOISE**2, **words)


def combined(*ndds, **words):
    files = DataFileList(data=[exposure(ndd) for ndd in ndds])
    return combine_spectra.func(files, **words)[0]


@pytest.mark.parametrize("level", [2.0, 100.0])
def test_mean_has_the_right_noise_and_no_bias(level):
    """Of 12 means of 5; weights by own counts would be off by -10 percent at 4 e."""
    rng = np.random.default_rng(1)
    expected = source(WAVELENGTHS, level) * 2
    pulls, ratios = [], []
    for _ in range(12):
        made = combined(*(observed(rng, level=level) for _ in range(5)))
        pulls.append((made.data - expected) / np.sqrt(made.variance))
        ratios.append(np.sum(made.data) / np.sum(expected))
    # 9600 pixels: 4 standard errors of the width.
    assert np.std(pulls) == pytest.approx(1, abs=0.03)
    # The error of the mean of all is .0027 at level 2, and .0003 at 100.
    assert np.mean(ratios) == pytest.approx(1, abs=0.008 if level < 10 else 0.001)


def test_hits_are_rejected_and_lines_are_not():
    rng = np.random.default_rng(2)
    ndds = [observed(rng) for _ in range(4)]
    ndds[1].data[300] += 2000
    ndds[1].variance[300] += 2000
    ndds[2].data[400] += 5000  # on the line
    ndds[3].data *= 0.7  # clouds
    made = combined(*ndds, scale="median")
    expected = source(WAVELENGTHS) * 2 * 0.7**0.25
    pulls = (made.data - expected) / np.sqrt(made.variance)
    assert abs(pulls[300]) < 5
    assert abs(pulls[400]) < 5
    assert abs(np.mean(pulls[380:420])) < 1.5


def test_share_of_good_values_that_are_rejected():
    rng = np.random.default_rng(3)
    for number in range(4):
        exposure(observed(rng), name=f"x{number}.fits")
    names = [f"x{number}.fits" for number in range(4)]
    made = combine_spectra(names, combined="y.fits")
    assert made.record[-1]["qc"]["rejected"] <= 2
    assert made.record[-1]["qc"]["level_ratio"] == pytest.approx(1, abs=0.02)
    found = DataFile("y.fits")[0]
    assert found.meta["NCOMBINE"] == 4
    assert wavelengths_of(found).values == pytest.approx(WAVELENGTHS)


def test_of_two_that_differ_the_mean_is_flagged():
    rng = np.random.default_rng(4)
    ndds = [observed(rng) for _ in range(2)]
    ndds[0].data[200] += 1000
    made = combined(*ndds)
    bits = np.asarray(made.flags)
    assert bits[200] & Flag.COSMIC_RAY
    assert np.count_nonzero(bits) <= 2


def test_clouds_and_slit_losses_do_not_reject_anything(caplog):
    rng = np.random.default_rng(5)
    for number, level in enumerate((100.0, 80.0, 45.0)):
        exposure(observed(rng, level=level), name=f"c{number}.fits")
    made = combine_spectra([f"c{n}.fits" for n in range(3)], combined="y.fits")
    assert made.record[-1]["qc"]["rejected"] <= 2
    assert "2.2" in caplog.text
    assert "scale=" in caplog.text


@pytest.mark.parametrize(
    ("grid", "words"),
    [("linear", {"step": 2.7}), ("log", {"step": 180.0}), ("auto", {"start": 4100.5})],
)
def test_flux_is_conserved_on_other_grids(grid, words):
    curved = 4000 + 2.0 * np.arange(800) + 2e-4 * np.arange(800) ** 2
    clean = source(curved) * np.diff(pixel_edges(curved))
    ndd = spectrum(curved, clean, clean)
    made = combined(ndd, grid=grid, **words)
    wavelengths = wavelengths_of(made).values
    inside = np.isfinite(made.data)
    edges = pixel_edges(wavelengths)
    total = np.concatenate([[0], np.cumsum(clean)])
    low, high = edges[:-1][inside][0], edges[1:][inside][-1]
    expected = np.diff(np.interp([low, high], pixel_edges(curved), total))[0]
    assert np.sum(made.data[inside]) == pytest.approx(expected, rel=1e-9)
    assert inside.sum() > 0.9 * inside.size
    if grid == "log":
        velocity = np.diff(np.log(wavelengths)) * 299792.458
        assert velocity == pytest.approx(180.0, rel=1e-3)
    # A density has the same value on any grid; pixels are steps of .05 percent.
    ndd = spectrum(curved, source(curved), source(curved), unit=DENSITY)
    density = combined(ndd, grid=grid, **words)
    smooth = inside & (np.abs(wavelengths - 4800) > 60)
    assert density.data[smooth] == pytest.approx(source(wavelengths)[smooth], rel=6e-4)


def test_sums_have_the_noise_of_the_covariance():
    rng = np.random.default_rng(6)
    sums, claimed = [], []
    for _ in range(15):
        ndds = [
            observed(rng, wavelengths=WAVELENGTHS + shift) for shift in (0, 0.7, 1.3)
        ]
        made = combined(*ndds, step=1.7)
        wavelengths = wavelengths_of(made).values
        good = np.isfinite(made.data)
        rest = np.where(good, made.data - source(wavelengths) * 1.7, 0.0)[20:-20]
        size = 20
        count = rest.size // size
        sums.append(rest[: count * size].reshape(count, size).sum(axis=1))
        noise = np.where(good, made.variance, 0.0)[20:-20]
        factor = noise_factor(made.tables[COVARIANCE], size)
        claimed.append(factor * noise[: count * size].reshape(count, size).sum(axis=1))
    assert factor > 1.5
    pulls = np.array(sums) / np.sqrt(claimed)
    # 675 sums: the width is known to 2.7 percent.
    assert np.std(pulls) == pytest.approx(1, abs=0.08)


def with_sensitivity(ndd, error, name):
    """Give a spectrum the error of a sensitivity, in its variance as well."""
    made = spectrum(
        wavelengths_of(ndd).values, ndd.data,
        np.asarray(ndd.variance) + (ndd.data * error) ** 2, unit=DENSITY,
    )  # fmt: skip
    made.extras[COMMON_ERROR] = NDLater(np.full(ndd.shape, error))
    made.meta[SENSITIVITY_ID] = name
    return made


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("words", [{}, {"step": 2.7}])
def test_error_that_spectra_share_counts_once(is_shared, words):
    rng = np.random.default_rng(7)
    ndds = [
        with_sensitivity(observed(rng, level=1e4), 0.03, f"s{0 if is_shared else n}")
        for n in range(4)
    ]
    made = combined(*ndds, **words)
    good = np.isfinite(made.data)
    relative = np.sqrt(made.variance[good]) / made.data[good]
    assert relative == pytest.approx(0.03 if is_shared else 0.015, rel=0.05)
    assert (COMMON_ERROR in made.extras) == is_shared
    assert (SENSITIVITY_ID in made.meta) == is_shared
    if is_shared:
        again = combined(made, made, **words)
        both = good & np.isfinite(again.data)
        relative = np.sqrt(again.variance[both]) / again.data[both]
        assert relative == pytest.approx(0.03, rel=0.05)


@pytest.mark.parametrize("size", [2, 3, 100, 101, 202, 203, 204])
def test_short_spectra_of_any_length(size):
    rng = np.random.default_rng(9)
    made = combined(*(observed(rng, WAVELENGTHS[:size]) for _ in range(4)))
    pulls = (made.data - 2 * source(WAVELENGTHS[:size])) / np.sqrt(made.variance)
    assert made.shape == (size,)
    assert np.abs(pulls).max() < 5


def test_chip_gaps_are_bridged():
    rng = np.random.default_rng(8)
    ndds = []
    for first in (300, 400):
        ndd = observed(rng, flags=np.zeros(800, np.uint16))
        ndd.data[first : first + 60] = np.nan
        ndd.flags[first : first + 60] = Flag.NO_DATA
        ndds.append(ndd)
    made = combined(*ndds)
    assert np.isfinite(made.data).all()
    assert not np.asarray(made.flags).any()
    noise = source(WAVELENGTHS) * 2 + NOISE**2
    ratio = np.asarray(made.variance) / noise
    assert np.mean(ratio[300:360]) == pytest.approx(1, rel=0.05)
    assert np.mean(ratio[240:300]) == pytest.approx(0.5, rel=0.05)
    same = combined(ndds[0], ndds[0])
    assert np.isnan(same.data[300:360]).all()
    assert (np.asarray(same.flags)[300:360] & Flag.NO_DATA).all()


def test_one_flagged_pixel_costs_one_pixel():
    ndd = observed(np.random.default_rng(9), flags=np.zeros(800, np.uint16))
    ndd.data[300] = 1e6
    ndd.flags[300] = Flag.BAD
    made = combined(ndd, step=2.0, start=4000.6)
    expected = source(wavelengths_of(made).values) * 2
    pulls = (made.data - expected) / np.sqrt(made.variance)
    good = np.isfinite(pulls)
    assert np.count_nonzero(~good[:790]) == 1
    assert np.max(np.abs(pulls[good])) < 5


def test_orders_are_joined():
    rng = np.random.default_rng(10)
    orders = [observed(rng, WAVELENGTHS[:450]), observed(rng, WAVELENGTHS[400:])]
    df = exposure(*orders)
    made = combine_spectra.func(DataFileList(data=[df]), orders=True)
    assert len(made) == 1
    assert wavelengths_of(made[0]).values == pytest.approx(WAVELENGTHS)
    inner = made[0].data[1:-1]
    pulls = (inner - source(WAVELENGTHS)[1:-1] * 2) / np.sqrt(made[0].variance[1:-1])
    assert np.std(pulls) == pytest.approx(1, abs=0.15)
    overlap = np.median(made[0].variance[405:445])
    assert overlap == pytest.approx(0.5 * np.median(made[0].variance[340:400]), rel=0.2)


def test_objects_are_combined_by_extension():
    rng = np.random.default_rng(11)
    files = [exposure(observed(rng), observed(rng, level=30.0)) for _ in range(3)]
    made = combine_spectra.func(DataFileList(data=files))
    assert len(made) == 2
    ratio = np.median(made[1].data / made[0].data)
    assert ratio == pytest.approx(0.3, rel=0.02)


def test_falling_wavelengths_come_out_rising():
    ndd = observed(np.random.default_rng(12))
    turned = spectrum(WAVELENGTHS[::-1], ndd.data[::-1], ndd.variance[::-1])
    made = combined(ndd, turned)
    assert wavelengths_of(made).values == pytest.approx(WAVELENGTHS)
    assert made.data == pytest.approx(ndd.data)


def test_units_of_densities():
    for unit in (DENSITY, "electron / (s Angstrom)", "electron / nm", "W / m3"):
        ndd = spectrum(WAVELENGTHS, np.ones(800), np.ones(800), unit=unit)
        made = combined(ndd, step=5.0)
        assert np.nanmedian(made.data) == pytest.approx(1)
        assert made.unit == u.Unit(unit)
    for unit in ("electron", "electron / s", "erg / (s cm2)", None):
        ndd = spectrum(WAVELENGTHS, np.ones(800), np.ones(800), unit=unit)
        assert np.nanmedian(combined(ndd, step=5.0).data) == pytest.approx(2.5)


def other(**words):
    return observed(np.random.default_rng(0), **words)


@pytest.mark.parametrize(
    ("ndds", "error", "message"),
    [
        ((other(), other(unit="adu")), UnitError, "adu"),
        ((other(), other(medium="vacuum")), ParameterError, "vacuum"),
        ((spectrum(WAVELENGTHS, WAVELENGTHS),), ParameterError, "variance"),
    ],
)
def test_what_does_not_fit_is_refused(ndds, error, message):
    with pytest.raises(error, match=message):
        combined(*ndds)


def test_other_frames_and_exposures_are_refused():
    moved = with_wavelengths(other(), WAVELENGTHS + 0.3, "air")
    moved.meta["SPECSYS"] = "BARYCENT"
    with pytest.raises(ParameterError, match="SPECSYS"):
        combined(other(), moved)
    files = [exposure(other()), exposure(other(), EXPTIME=600.0)]
    with pytest.raises(ParameterError, match="600 s"):
        combine_spectra.func(DataFileList(data=files))
    with pytest.raises(ParameterError, match="less than stop"):
        combined(other(), start=5000.0, stop=4000.0)


def test_other_nights_are_told(caplog):
    files = [
        exposure(other()),
        exposure(other(), **{"DATE-BEG": "2015-06-20T04:00:00"}),
    ]
    combine_spectra.func(DataFileList(data=files))
    assert "motion of the Earth" in caplog.text


def test_calibrated_spectra_of_two_months_come_together():
    """Of files: flux, velocity, mean; the line is at rest in all of them."""
    rng = np.random.default_rng(13)
    site = {"longitude": -121.64, "latitude": 37.34, "height": 1283.0}
    where = {"spectrograph": {"site": site}, "target": (184.4, 39.0)}
    factor = np.full(800, 1e-17)
    response = spectrum(
        WAVELENGTHS, factor, (0.02 * factor) ** 2, unit="erg / (cm2 electron)"
    )
    exposure(response, name="s.fits")
    names = []
    for number, month in enumerate(("01", "05", "05")):
        date = f"2015-{month}-20T0{number + 4}:00:00"
        exposure(
            observed(rng, level=1e5), name=f"x{number}.fits", EXPTIME=100.0,
            **{"DATE-BEG": date},
        )  # fmt: skip
        apply_sensitivity(
            f"x{number}.fits", sensitivity="s.fits", extinction="none",
            out_names=f"k{number}.fits",
        )  # fmt: skip
        correct_velocity(f"k{number}.fits", out_names=f"v{number}.fits", **where)
        names.append(f"v{number}.fits")
    made = DataFile(combine_spectra(names, combined="y.fits").filename)[0]
    inside = np.isfinite(made.data)
    inside[np.abs(wavelengths_of(made).values - 4800) < 80] = False
    expected = source(wavelengths_of(made).values, 1e5) / 100 * 1e-17
    assert made.data[inside] == pytest.approx(expected[inside], rel=0.02)
    relative = np.sqrt(made.variance[inside]) / made.data[inside]
    assert relative == pytest.approx(0.02, rel=0.05)
    assert made.meta["SPECSYS"] == "BARYCENT"
    assert "VELOSYS" not in made.meta
    assert made.extras[COMMON_ERROR].shape == made.shape


def test_nothing_good_gives_nothing():
    ndd = other(flags=np.full(800, Flag.BAD, np.uint16))
    made = combined(ndd, ndd, ndd)
    assert np.isnan(made.data).all()
    assert (np.asarray(made.flags) & Flag.NO_DATA).all()


def test_noise_has_no_level(caplog):
    rng = np.random.default_rng(14)
    ndds = [
        spectrum(WAVELENGTHS, rng.normal(0, 1, 800), np.ones(800)) for _ in range(3)
    ]
    made = combined(*ndds, scale="median")
    assert np.std(made.data / np.sqrt(made.variance)) == pytest.approx(1, abs=0.1)
    assert "scale=" not in caplog.text


def test_a_single_pixel_is_refused():
    with pytest.raises(ShapeError, match="1 pixel"):
        combined(spectrum([4000.0], [1.0], [1.0]))


@pytest.mark.parametrize("unit", ["Jy", "erg / (s cm2 Hz)", ""])
def test_densities_of_frequency_and_ratios_stay_what_they_are(unit):
    ones = np.ones(WAVELENGTHS.size)
    made = combined(spectrum(WAVELENGTHS, ones, ones, unit=unit), step=4.0)
    assert np.nanmedian(made.data) == pytest.approx(1, rel=1e-6)
    with pytest.raises(ParameterError, match="has magnitudes"):
        combined(spectrum(WAVELENGTHS, ones, ones, unit="mag"))


def test_pixels_without_variance_have_no_weight():
    ones = np.ones(WAVELENGTHS.size)
    noise = np.full(WAVELENGTHS.size, 25.0)
    for value in (0.0, -1.0):
        other_noise = np.where(np.arange(noise.size) == 50, value, 25.0)
        made = combined(
            spectrum(WAVELENGTHS, 100 * ones, noise),
            spectrum(WAVELENGTHS, 102 * ones, other_noise),
        )
        assert made.data[49] == pytest.approx(101, abs=0.01)
        assert made.data[50] == pytest.approx(100, abs=0.01)
        assert made.variance[50] == pytest.approx(25, rel=0.01)
