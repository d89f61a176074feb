import numpy as np
import pytest

from ndmapper.numerics import interpolate
from ndmapper.numerics.interpolate import INTERPOLATIONS, interpolate_pixels

pytest.importorskip("scipy", reason="the extra ccd is not installed")


@pytest.mark.parametrize("shape", [(40, 30), (3, 7), (1, 1)])
def test_box_sums_what_is_within_two_pixels(shape):
    rng = np.random.default_rng(4)
    image = np.where(rng.random(shape) < 0.05, 6e4, rng.normal(100, 10, shape))
    image.flat[0] = np.nan
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, 2), (5, 5))
    np.testing.assert_allclose(
        interpolate._box(image), windows.sum(axis=(-2, -1)), rtol=1e-14
    )
    counted = (rng.random(shape) < 0.5).astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(counted, 2), (5, 5))
    np.testing.assert_array_equal(interpolate._box(counted), windows.sum(axis=(-2, -1)))


@pytest.mark.parametrize("how", INTERPOLATIONS)
def test_pixels_of_noise_have_pulls_of_width_one(how):
    rng = np.random.default_rng(5)
    sigma = rng.uniform(4, 6, (300, 300))
    image = rng.normal(100, sigma)
    good = np.ones(image.shape, bool)
    good[3::7, 3::7] = good[3::7, 4::7] = False
    points = np.nonzero(~good)
    if how != "median":  # it takes all pixels
        image[points] = 1e4
    values, variance = interpolate_pixels(image, sigma**2, good, points, how)
    pulls = (values - 100) / np.sqrt(variance)
    # The median of all pixels counts two more than it knows the variance of.
    # 3600 pixels, of which two share what they are taken from: 1.7 per cent. 2 per cent
    # of the places seem to have structure, whose variance is up to ten times as large.
    assert pulls.std() == pytest.approx(1, abs=0.08 if how != "median" else 0.12)


def test_structure_that_a_mean_does_not_follow_counts():
    rng = np.random.default_rng(6)
    profile = 3000 * np.exp(-0.5 * ((np.arange(80) - 40) / 1.5) ** 2)
    truth = np.tile(profile[:, None], (1, 400)) + 100
    image = rng.normal(truth, 10)
    good = np.ones(image.shape, bool)
    rows, columns = np.meshgrid(np.arange(36, 45), np.arange(5, 395, 8), indexing="ij")
    good[rows, (columns + 3 * rows) % 390] = False
    points = np.nonzero(~good)
    values, variance = interpolate_pixels(
        image, np.full(image.shape, 100.0), good, points
    )
    pulls = (values - truth[points]) / np.sqrt(variance)
    # The miss of a ridge is not random; its size is what can be had.
    assert 0.5 < np.sqrt(np.mean(pulls**2)) < 2


def test_median_is_that_of_the_good_pixels():
    image = np.arange(25.0).reshape(5, 5)
    good = np.ones((5, 5), bool)
    good[2, 2] = good[4, 4] = False
    at = (np.array([2]), np.array([2]))
    values, _ = interpolate_pixels(image, np.ones((5, 5)), good, at, "medmask")
    rest = np.delete(np.arange(25.0), [12, 24])
    assert values == np.median(rest)


def test_pixel_without_good_ones_around_is_as_uncertain_as_the_image():
    image = np.random.default_rng(7).normal(50, 3, (30, 30))
    good = np.zeros(image.shape, bool)
    good[:, 20:] = True
    at = (np.array([10]), np.array([3]))
    values, variance = interpolate_pixels(image, np.full(image.shape, 9.0), good, at)
    assert values == np.median(image[good])
    assert variance == pytest.approx(18, rel=0.2)


def test_unknown_way_raises():
    at = (np.array([0]), np.array([0]))
    ones = np.ones((3, 3))
    with pytest.raises(ValueError, match="'mode' is not one of"):
        interpolate_pixels(ones, ones, ones > 0, at, "mode")
