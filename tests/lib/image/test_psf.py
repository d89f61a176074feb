"""Photometry by fits of the PSF: fluxes, errors, neighbours, saturated stars."""

import numpy as np
import pytest
from lib_image import as_file, listed, make_field, write

from ndmapper.errors import ParameterError
from ndmapper.lib import image
from ndmapper.lib.image import SourceFlag
from ndmapper.numerics.psf import Profile, fit_profile, fit_sources, smooth_variance

photometry = image.psf_photometry.func


def test_profiles_have_flux_one_and_their_width():
    y, x = np.mgrid[-200:201, -200:201].astype(float)
    for profile in (
        Profile(xx=2.0, yy=1.5, xy=0.4),
        Profile(xx=7.0, yy=6.0, xy=1.0, beta=3.5),
    ):
        assert profile.at(x, y).sum() == pytest.approx(1, abs=1e-4)
    round_ = Profile(xx=9.0, yy=9.0, xy=0.0, beta=2.5)
    half = round_.fwhm / 2
    # Pixels of this size smooth a profile of FWHM 3.4 by 3 per cent.
    ratio = round_.at(np.array([half]), np.zeros(1)) / round_.at(
        np.zeros(1), np.zeros(1)
    )
    assert ratio == pytest.approx(0.5, abs=0.03)


def moffat_field(seed, beta=2.5, flux=3e4, stars=16):
    rng = np.random.default_rng(seed)
    grid = np.arange(20, 20 + 35 * 4, 35.0)
    x, y = (
        a.ravel()[:stars] + rng.uniform(-0.5, 0.5, stars)
        for a in np.meshgrid(grid, grid)
    )
    truth = Profile(xx=5.0, yy=4.0, xy=0.5, beta=beta)
    rows, columns = np.mgrid[:150, :150].astype(float)
    clean = np.full((150, 150), 100.0)
    for a, b in zip(x, y, strict=True):
        clean += flux * truth.at(columns - a, rows - b)
    data = rng.poisson(clean) + rng.normal(0, 4, clean.shape)
    return data - 100, np.maximum(data, 0) + 16, x, y, truth


def test_profile_is_found():
    data, variance, x, y, truth = moffat_field(1)
    good = np.ones(data.shape, bool)
    weights = smooth_variance(variance, good, truth.fwhm)
    found = fit_profile(data, weights, good, x=x, y=y, fwhm=3.5, radius=10)
    assert found.fwhm == pytest.approx(truth.fwhm, rel=0.01)
    assert found.beta == pytest.approx(2.5, abs=0.15)
    assert found.xy / found.xx == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("flux", [300.0, 3e4])
def test_errors_are_those_of_the_scatter_and_fluxes_have_no_bias(flux):
    pulls, shifts = [], []
    for seed in range(9):
        data, variance, x, y, truth = moffat_field(seed, flux=flux)
        good = np.ones(data.shape, bool)
        weights = smooth_variance(variance, good, truth.fwhm)
        found = fit_sources(
            data,
            variance,
            weights,
            good,
            truth,
            x=x,
            y=y,
            radius=5.0,
            refine=flux > 1e3,
        )
        pulls += list((found.flux - flux) / np.sqrt(found.variance))
        shifts += list((found.x - x) / found.x_error)
    # 144 stars: width and mean are known to 6 and 8 per cent.
    assert np.std(pulls) == pytest.approx(1, abs=0.18)
    assert np.mean(pulls) == pytest.approx(0, abs=0.25)
    if flux > 1e3:
        assert np.std(shifts) == pytest.approx(1, abs=0.18)


def test_sources_that_overlap_have_their_own_fluxes():
    places = ([60, 64.0], [60, 61.0])
    pulls = []
    for seed in range(12):
        pair = make_field(seed, shape=(120, 120), positions=places, flux=(5e3, 3e4))
        good = np.ones(pair.ndd.shape, bool)
        truth = Profile(xx=(3 / 2.35482) ** 2, yy=(3 / 2.35482) ** 2, xy=0.0)
        variance = np.asarray(pair.ndd.variance, float)
        found = fit_sources(
            pair.ndd.data - 100.0, variance, smooth_variance(variance, good, 3), good,
            truth, x=pair.x + 0.1, y=pair.y - 0.1, radius=4.5,
        )  # fmt: skip
        pulls += list((found.flux - pair.flux) / np.sqrt(found.variance))
        assert np.hypot(found.x - pair.x, found.y - pair.y).max() < 0.2
    assert np.abs(pulls).max() < 4
    assert np.std(pulls) < 1.5


def test_step_finds_the_profile_and_the_fluxes(folder, field):
    frame = write("a.fits", field.ndd)
    sources = image.find_sources(frame)
    product = image.psf_photometry(frame, sources=sources, model="gaussian")
    assert str(product) == "a_psf.ecsv"
    table = product.table()
    assert list(table["id"]) == list(sources.table()["id"])
    distance = np.hypot(
        np.subtract.outer(field.x, table["x"]), np.subtract.outer(field.y, table["y"])
    )
    rows = distance.argmin(axis=1)
    ratio = np.asarray(table["flux"])[rows] / field.flux
    bright = field.flux > 1e4
    assert np.median(ratio[bright]) == pytest.approx(1, abs=0.004)
    pulls = (ratio - 1) * field.flux / np.asarray(table["flux_error"])[rows]
    assert np.std(pulls) < 1.4
    (*_, entry) = product.record
    assert entry["qc"]["fwhm"] == pytest.approx(3, rel=0.02)
    assert entry["qc"]["chi2"] == pytest.approx(1, abs=0.15)
    assert entry["run"]["figures"]


def test_saturated_star_is_measured_by_its_wings(field):
    frame = field.ndd.copy()
    n = int(field.flux.argmax())
    x, y = round(field.x[n]), round(field.y[n])
    frame.data[y - 1 : y + 2, x - 1 : x + 2] = 1000
    frame.flags[y - 1 : y + 2, x - 1 : x + 2] = 4
    places = listed(x=field.x, y=field.y)
    table = photometry(as_file(frame), places, fwhm=3.0, model="gaussian")
    assert table["flags"][n] == SourceFlag.SATURATED
    assert table["flux"][n] == pytest.approx(field.flux[n], rel=0.05)


def test_wrong_input_is_refused(field):
    places = listed(x=field.x, y=field.y)
    with pytest.raises(ParameterError, match="needs the variance"):
        photometry(as_file(field.ndd.replace(variance=None)), places, fwhm=3.0)
    with pytest.raises(ParameterError, match="give fwhm"):
        photometry(as_file(field.ndd), places)
    with pytest.raises(ParameterError, match="needs a catalogue"):
        photometry(as_file(field.ndd), None)
    with pytest.raises(ParameterError, match=r"has \d stars without flags"):
        photometry(as_file(field.ndd), listed(x=field.x[:2], y=field.y[:2]), fwhm=3.0)
    masked = field.ndd.replace(flags=np.ones(field.ndd.shape, "u2"))
    with pytest.raises(ParameterError, match="all pixels"):
        photometry(as_file(masked), places, fwhm=3.0, box_size=None)
