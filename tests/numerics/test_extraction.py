"""Flux and variance of extracted spectra against the truth of simulated ones."""

import numpy as np
import pytest

from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.lib.simulate.camera import cosmic_rays
from ndmapper.numerics.extraction import (
    cut_window,
    extract_boxcar,
    extract_optimal,
    fit_slit_background,
)

# A trace that moves by 8 of 400 pixels, at a FWHM that grows from 4 to 6.
SLIT = SlitSpectrograph(shape=(70, 400), trace_shift=8, read_noise=5)
FWHM = (4.0, 6.0)
REACH = 16.0
N = 10


def scene_of(peak, sky=0.0, **words):
    # Where the FWHM is 5, its middle.
    flux = peak * 5 * 1.0645
    return SLIT.science([SlitSource(row=35.2, flux=flux)], fwhm=FWHM, sky=sky, **words)


def extracted(scene, seed, method, *, good=None, charge=0.0, fit=None, counts=False):
    ndd = SLIT.observe(scene.light, seed=seed)
    data, variance = np.asarray(ndd.data) + charge, np.asarray(ndd.variance)
    if counts:  # as it is found from the counts of the pixel itself
        variance = np.maximum(data, 0) + SLIT.read_noise**2
    good = np.ones(data.shape, np.bool_) if good is None else good
    trace = scene.traces[0]
    background = None
    if fit is None:
        data = data - scene.sky
    else:
        sides = [(-28, -17), (17, 28)]
        background = fit_slit_background(data, variance, good, trace, sides, kind=fit)
    window = cut_window(data, variance, good, trace=trace, fwhm=scene.fwhm, reach=REACH)
    if method == "boxcar":
        return extract_boxcar(window, radius=9, background=background)
    return extract_optimal(window, kind=method, background=background)


def statistics(scene, method, **words):
    """Give flux / truth and its error, and the mean and the width of the pulls."""
    found = [extracted(scene, seed, method, **words) for seed in range(N)]
    flux = np.array([one.flux for one in found])
    variance = np.array([one.variance for one in found])
    pulls = (flux - scene.spectra[0]) / np.sqrt(variance)
    mean = flux.mean() / scene.spectra.mean()
    return mean, np.sqrt(variance.mean() / flux.size) / scene.spectra.mean(), pulls


# 4000 fluxes tell the width of pulls to 1 percent; profile and trace are common to
# those of a realisation, so that means are a little less certain than their errors.
@pytest.mark.parametrize("method", ["empirical", "gaussian", "boxcar"])
@pytest.mark.parametrize("peak", [50, 1000])
def test_flux_and_pulls(method, peak):
    scene = scene_of(peak, sky=20.0)
    mean, error, pulls = statistics(scene, method, counts=True)
    assert mean == pytest.approx(1, abs=0.003 + 2 * error)
    assert np.std(pulls) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("fit", ["constant", "linear"])
@pytest.mark.parametrize("method", ["empirical", "boxcar"])
def test_error_of_the_background_counts_for_all_pixels_of_a_column(method, fit):
    scene = scene_of(50, sky=50.0)
    mean, error, pulls = statistics(scene, method, fit=fit)
    assert mean == pytest.approx(1, abs=0.003 + 2 * error)
    # Without it the boxcar would be wrong by 25 percent.
    assert np.std(pulls) == pytest.approx(1, abs=0.05)


def test_moffat_profiles_are_fitted():
    scene = scene_of(1000, beta=3.0)
    mean, _, pulls = statistics(scene, "moffat")
    # What is beyond 16 pixels: 1 percent of the light and less.
    inside = np.mean([extracted(scene, 1, "empirical").flux]) / scene.spectra.mean()
    assert mean == pytest.approx(inside, abs=0.002)
    assert np.std(pulls) < 1.15


@pytest.mark.parametrize("method", ["empirical", "boxcar"])
def test_one_masked_pixel_costs_one_pixel(method):
    scene = scene_of(1000)
    good = np.ones(scene.light.shape, np.bool_)
    whole = extracted(scene, 3, method, good=good)
    rows = np.rint(scene.traces[0]).astype(int)
    good[rows[::10], np.arange(0, 400, 10)] = False  # the brightest pixel of a column
    found = extracted(scene, 3, method, good=good)
    hit = np.arange(400) % 10 == 0
    np.testing.assert_allclose(found.flux[~hit], whole.flux[~hit], rtol=2e-3)
    pulls = (found.flux - scene.spectra[0]) / np.sqrt(found.variance)
    # 40 columns: four standard errors.
    assert abs(np.mean(pulls[hit])) < 4 / np.sqrt(40)
    assert np.std(pulls[hit]) == pytest.approx(1, abs=0.45)
    lost = 1 - found.fraction[hit]
    assert np.all((lost > 0.1) & (lost < 0.25))
    assert np.all(found.variance[hit] > whole.variance[hit])
    assert np.all(found.variance[hit] < 1.5 * whole.variance[hit])


@pytest.mark.parametrize("peak", [50, 1000, 30000])
def test_cosmic_rays_are_rejected_and_light_is_not(peak):
    scene = scene_of(peak, sky=20.0)
    clean = extracted(scene, 5, "empirical", counts=True)
    assert clean.rejected.sum() <= 1
    charge = cosmic_rays(np.random.default_rng(6), scene.light.shape, 40)
    found = extracted(scene, 5, "empirical", charge=charge, counts=True)
    assert found.rejected.sum() > 10
    pulls = (found.flux - scene.spectra[0]) / np.sqrt(found.variance)
    assert np.abs(np.median(pulls)) < 0.3
    # One that covers four of eight pixels of the core leaves a seventh too much.
    assert np.mean(np.abs(pulls) > 5) < (0.01 if peak < 10000 else 0.03)
    assert np.nanmax(np.abs(found.flux / scene.spectra[0] - 1)) < (
        0.15 if peak > 100 else 0.7
    )


@pytest.mark.parametrize("method", ["empirical", "gaussian", "boxcar"])
def test_emission_lines_are_neither_cosmic_rays_nor_a_change_of_the_profile(method):
    def spectrum(w):
        lines = ((4100, 5000, 1.7), (4300, 50000, 2.0), (4500, 800, 1.8))
        return 30 + sum(h * np.exp(-0.5 * ((w - c) / s) ** 2) for c, h, s in lines)

    # Their FWHM is 2 pixels and more, at a continuum that is hardly seen.
    tilted = SlitSpectrograph(shape=(70, 400), trace_shift=8, read_noise=5, tilt=2)
    source = SlitSource(row=35.2, flux=spectrum)
    scene = tilted.science([source], fwhm=FWHM, sky=20.0)
    _, _, pulls = statistics(scene, method, counts=True)
    assert np.std(pulls) == pytest.approx(1, abs=0.05)
    bright = scene.spectra[0] > 300
    assert bright.sum() > 10
    # The mean of 10 pulls in each of these columns: .3, and less than 1 percent of the
    # line, since that is tilted over the width of the object.
    assert np.abs(np.mean(pulls[:, bright])) < 0.4
    assert np.std(pulls[:, bright]) == pytest.approx(1, abs=0.25)


def test_profiles_add_up_and_columns_without_pixels_are_unknown():
    scene = scene_of(300)
    good = np.ones(scene.light.shape, np.bool_)
    good[:, 50:60] = False
    for method in ("empirical", "boxcar"):
        found = extracted(scene, 1, method, good=good)
        assert np.flatnonzero(np.isnan(found.flux)).tolist() == list(range(50, 60))
        assert np.all(found.fraction[50:60] == 0)
        np.testing.assert_allclose(found.profile.sum(axis=0), 1)


def test_errors_that_pixels_of_a_column_share_are_not_averaged():
    rng = np.random.default_rng(8)
    scene = scene_of(50)
    pulls = []
    for seed in range(N):
        ndd = SLIT.observe(scene.light, seed=seed)
        # A sky that is wrong by a number of its own in each column.
        data = np.asarray(ndd.data) + rng.normal(0, 2, 400)
        variance = np.asarray(ndd.variance) + 4
        window = cut_window(
            data, variance, np.ones(data.shape, np.bool_), trace=scene.traces[0],
            fwhm=scene.fwhm, reach=REACH,
        )  # fmt: skip
        both = [
            extract_boxcar(window, radius=9, share=4 / 29),
            extract_optimal(window, share=4 / 29),
        ]
        truth = scene.spectra[0]
        pulls += [(one.flux - truth) / np.sqrt(one.variance) for one in both]
    assert np.std(pulls[::2]) == pytest.approx(1, abs=0.05)
    assert np.std(pulls[1::2]) == pytest.approx(1, abs=0.05)


def test_background_follows_a_slope_and_ignores_outliers():
    rng = np.random.default_rng(9)
    rows = np.arange(60.0)[:, None]
    data = 100 + 0.5 * (rows - 30) + rng.normal(0, 3, (60, 50))
    data[20, ::3] += 1000
    found = fit_slit_background(
        data, np.full(data.shape, 9.0), np.ones(data.shape, np.bool_),
        np.full(50, 30.0), [(-25, -6), (6, 20)], kind="linear",
    )  # fmt: skip
    error = np.sqrt(found.covariance[:, [0, 1], [0, 1]].T)
    pulls = (found.coefficients - [[100], [0.5]]) / error
    # 50 columns tell widths to 10 percent.
    assert np.std(pulls, axis=1) == pytest.approx([1, 1], abs=0.35)
    assert np.abs(np.mean(pulls, axis=1)).max() < 0.6


# So far from the end of the slit [FWHM], and the part of its light that is on it.
@pytest.mark.parametrize("end", ["first", "last"])
@pytest.mark.parametrize(("fwhm", "shift"), [(2.0, 4.0), (5.0, 0.0), (12.0, 4.0)])
@pytest.mark.parametrize("method", ["empirical", "boxcar"])
def test_light_beyond_the_end_of_the_slit_is_that_of_the_profile(
    method, fwhm, shift, end
):
    slit = SlitSpectrograph(shape=(70, 200), trace_shift=shift, read_noise=5)
    truth = 1000 * fwhm * 1.0645
    for distance in (0.6, 1.0, 1.5):
        near = distance * fwhm + shift / 2 - 0.5
        row = near if end == "first" else 69 - near
        scene = slit.science([SlitSource(row=row, flux=truth)], fwhm=fwhm, sky=20.0)
        ndd = slit.observe(scene.light, seed=1)
        data, variance = np.asarray(ndd.data) - 20, np.asarray(ndd.variance)
        window = cut_window(
            data, variance, np.ones(data.shape, np.bool_), trace=scene.traces[0],
            fwhm=scene.fwhm, reach=3 * fwhm,
        )  # fmt: skip
        extract = extract_boxcar if method == "boxcar" else extract_optimal
        words = {"radius": 1.5 * fwhm} if method == "boxcar" else {}
        found = extract(window, **words)
        assert np.all(found.fraction > 0.85)
        # 200 columns of 40 to 100 times their noise: .1 percent of the mean; the widths
        # of their pulls are known to 5 percent.
        assert found.flux.mean() == pytest.approx(truth, rel=5e-3)
        assert np.std((found.flux - truth) / np.sqrt(found.variance)) < 1.2


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, "bright"])
@pytest.mark.parametrize("half", [1.5, 3.0])
@pytest.mark.parametrize("peak", [1000, 30000])
def test_columns_without_their_core_spoil_no_others(peak, half, share):
    def spectrum(w):
        return 4258 / 1000 * peak * (1 + 3 * np.exp(-0.5 * ((w - 4400) / 80) ** 2))

    slit = SlitSpectrograph(shape=(60, 300), trace_shift=6, read_noise=5)
    scene = slit.science([SlitSource(row=30.2, flux=spectrum)], fwhm=4.0)
    ndd = slit.observe(scene.light, seed=2)
    truth = scene.spectra[0]
    # Scattered ones, or the brightest, as by saturation.
    bad = np.random.default_rng(4).random(300) < (0 if share == "bright" else share)
    bad |= (share == "bright") & (truth > 0.5 * truth.max())
    rows = np.arange(60)[:, None]
    good = ~((np.abs(rows - scene.traces[0]) <= half) & bad)
    window = cut_window(
        np.asarray(ndd.data), np.asarray(ndd.variance), good, trace=scene.traces[0],
        fwhm=scene.fwhm, reach=12,
    )  # fmt: skip
    found = extract_optimal(window)
    pulls = (found.flux - truth) / np.sqrt(found.variance)
    assert np.all(found.fraction[~bad] > 0.97)
    # 120 to 285 columns: a width to 7 percent, a mean to .1 and what the profile has.
    assert np.std(pulls[~bad]) == pytest.approx(1, abs=0.2)
    assert abs(np.mean(pulls[~bad])) < 0.3
    # What is masked has errors that are as right; the fewest columns are 12.
    assert abs(np.mean(pulls[bad])) < 1.2
    assert np.std(pulls[bad]) < 1.6


def test_columns_of_which_hardly_any_light_is_known_have_none():
    scene = scene_of(1000)
    good = np.ones(scene.light.shape, np.bool_)
    rows = np.arange(70)[:, None]
    good[:, 100:110] = np.abs(rows - scene.traces[0])[:, 100:110] > 5
    found = extracted(scene, 1, "empirical", good=good)
    assert np.flatnonzero(np.isnan(found.flux)).tolist() == list(range(100, 110))
    assert np.all(found.fraction[100:110] == 0)


@pytest.mark.parametrize("fwhm", [2.0, 4.0])
@pytest.mark.parametrize("peak", [1000, 10000, 100000])
def test_rays_on_the_core_are_found_however_bright_it_is(peak, fwhm):
    slit = SlitSpectrograph(shape=(50, 400), trace_shift=6, read_noise=5)
    scene = slit.science([SlitSource(row=25.2, flux=peak * fwhm)], fwhm=fwhm, sky=20.0)
    ndd = slit.observe(scene.light, seed=3)
    variance = np.asarray(ndd.variance)
    columns = np.arange(7, 395, 9)
    rng = np.random.default_rng(5)
    rows = np.rint(scene.traces[0][columns]).astype(int) + rng.integers(-1, 2, 44)
    for height in (15, 40, 150):  # in terms of the noise of the pixel
        data = np.asarray(ndd.data) - 20
        data[rows, columns] += height * np.sqrt(variance[rows, columns])
        window = cut_window(
            data, variance, np.ones(data.shape, np.bool_), trace=scene.traces[0],
            fwhm=scene.fwhm, reach=3 * fwhm,
        )  # fmt: skip
        found = extract_optimal(window)
        hit = np.zeros(data.shape, np.bool_)
        hit[rows, columns] = True
        hit = hit[window.rows, np.arange(400)]
        # Of 44 rays one may be missed; 10^4 pixels have none that is 5 sigma off.
        assert np.mean(found.rejected[hit]) > 0.97
        assert np.count_nonzero(found.rejected & ~hit) <= 1
        pulls = (found.flux - scene.spectra[0]) / np.sqrt(found.variance)
        # The mean of 44 is known to .15, and to what the profile is missed by.
        assert abs(np.mean(pulls[columns])) < 0.6
