import numpy as np
import pytest

from ndmapper.numerics.spectrum_model import (
    bright_along,
    has_spectra,
    local_spectrum_model,
    spectrum_model,
)

pytest.importorskip("scipy", reason="the extra ccd is not installed")


def long_slit(slope=0.02, tilt=0.02, fwhm=2.5):
    """A star with absorption lines, whose trace moves, on tilted lines of the sky."""
    ny, nx, peak = 80, 600, 1e5
    x, y = np.arange(nx)[None, :], np.arange(ny)[:, None]
    sigma = fwhm / 2.3548
    profile = np.exp(-0.5 * ((y - ny / 2 - slope * (x - nx / 2)) / sigma) ** 2)
    deep = 1 - 0.7 * np.exp(-0.5 * ((x % 90 - 45) / 1.5) ** 2)
    along = (x + tilt * y) % 70 - 35
    sky = 50 + 800 * np.exp(-0.5 * (along / 1.2) ** 2)
    return np.asarray(sky + peak * profile * deep)


def noisy(truth, seed=7, read_noise=4.0):
    rng = np.random.default_rng(seed)
    data = rng.poisson(truth) + rng.normal(0, read_noise, truth.shape)
    return data, np.maximum(data, 0) + read_noise**2


@pytest.mark.parametrize("fwhm", [1.5, 2.5, 6.0])
def test_local_model_follows_a_moving_trace_and_tilted_lines(fwhm):
    truth = long_slit(fwhm=fwhm)
    data, variance = noisy(truth)
    good = np.ones(data.shape, bool)
    model = local_spectrum_model(data, variance, good)
    pulls = model.deviations(data)
    # The fits take some 10 per cent of the degrees of freedom, and the variance of a
    # block is only ever raised by its scatter: by 15 per cent in plain noise.
    assert 0.83 < pulls.std() < 1.02
    # A narrow profile that moves by .02 pixel per column is missed by a little.
    assert np.mean(np.abs(pulls) > 6) < 2e-4
    flux = np.sum(model.light) / np.sum(truth)
    assert flux == pytest.approx(1, abs=1e-3)


def test_local_model_of_the_transposed_frame_is_as_good():
    data, variance = noisy(long_slit())
    good = np.ones(data.T.shape, bool)
    turned = local_spectrum_model(data.T, variance.T, good)
    assert 0.83 < turned.deviations(data.T).std() < 1.02


def test_local_model_does_not_follow_hits():
    truth = long_slit()
    data, variance = noisy(truth)
    hit = data.copy()
    hit[[10, 40, 60], [100, 200, 350]] += 30000
    good = np.ones(data.shape, bool)
    off = local_spectrum_model(hit, variance + (hit - data), good).deviations(hit)
    # A hit of 30000 electrons has, in its own variance, 173 standard deviations; that
    # on the star of 1e5 electrons, 83.
    assert off[10, 100] > 160
    assert off[60, 350] > 160
    assert off[40, 200] > 40


def test_local_model_that_misses_has_a_larger_variance():
    rng = np.random.default_rng(3)
    truth = long_slit() * rng.normal(1, 0.02, (80, 600))  # without a flat
    data, variance = noisy(truth)
    model = local_spectrum_model(data, variance, np.ones(data.shape, bool))
    ridge = (slice(38, 42), slice(270, 330))
    # 2 per cent of 1e5 electrons are 6 standard deviations.
    assert np.median((model.variance / variance)[ridge]) > 10
    assert np.median(model.variance / variance) < 1.3


def test_bright_along_tells_traces_from_lines():
    data, variance = noisy(long_slit(slope=0.0, tilt=0.0))
    good = np.ones(data.shape, bool)
    trace = bright_along(data, variance, good, 1)
    lines = bright_along(data, variance, good, 0)
    assert trace[39:42].mean() > 0.95
    assert trace[:30].mean() < 0.01
    assert lines[:30, 35::70].mean() > 0.95
    assert lines[:30, ::70].mean() < 0.01


def test_spectrum_model_of_smooth_objects_and_sky_lines_is_exact():
    x, y = np.linspace(-1, 1, 300)[None, :], np.linspace(-1, 1, 60)[:, None]
    smooth = np.exp(-0.5 * (y / 0.1) ** 2) * (5000 + 800 * x - 300 * x**3)
    line = np.where(np.arange(300) == 150, 1000.0, 0.0)[None, :] * (1 + 0.1 * y)
    model = spectrum_model(smooth + line)
    # A line of 1000 in one column of 300 is clipped from the first fit.
    np.testing.assert_allclose(model, smooth + line, atol=1)


def test_spectrum_model_ignores_hits():
    x = np.linspace(-1, 1, 300)
    image = np.tile(1000 + 50 * x, (20, 1))
    hit = image.copy()
    hit[10, 70] += 1e5
    np.testing.assert_allclose(spectrum_model(hit), image, atol=1)


def test_spectrum_model_of_no_order_is_nothing():
    assert not spectrum_model(np.ones((5, 5)), object_order=0, sky_order=0).any()


@pytest.fixture
def star():
    return noisy(long_slit(slope=0.01))


def test_spectra_are_told_from_stars(star):
    data, variance = star
    assert has_spectra(data, variance, np.ones(data.shape, bool))
    assert has_spectra(data.T, variance.T, np.ones(data.T.shape, bool))
    y, x = np.indices((200, 200))
    rng = np.random.default_rng(8)
    stars = np.full(y.shape, 100.0)
    for row, column in rng.uniform(0, 200, (40, 2)):
        stars += 5e4 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2 / 1.5**2)
    stars = rng.poisson(stars).astype(float)
    stars[:, 30] += 500  # a bad column
    assert not has_spectra(stars, stars, np.ones(stars.shape, bool))
    assert not has_spectra(stars, stars, np.zeros(stars.shape, bool))


def test_spectra_whose_trace_is_narrow_and_moves_are_told():
    x, y = np.arange(2048)[None, :], np.arange(60)[:, None]
    truth = 20 + 5000 * np.exp(-0.5 * ((y - 20 - x / 100) / 0.65) ** 2)
    data, variance = noisy(truth)
    assert has_spectra(data, variance, np.ones(data.shape, bool))
