import numpy as np
import pytest

from ndmapper.numerics.overscan import overscan_level

# Pulls of 2000 trials have a width good to 1/sqrt(2 * 2000) = 1.6 per cent; four times
# that is allowed for.
TRIALS, TOLERANCE = 2000, 0.065


def strips(level, n=TRIALS, sigma=2.8, shape=(50, 8)):
    rng = np.random.default_rng(7)
    for _ in range(n):
        yield np.asarray(level) + rng.normal(0, sigma, shape)


@pytest.mark.parametrize("method", ["mean", "median"])
def test_overscan_level_variance_has_pulls_of_width_one(method):
    pulls = [
        (level.item() - 943.4) / np.sqrt(variance.item())
        for level, variance in (overscan_level(s, method) for s in strips(943.4))
    ]
    assert np.std(pulls) == pytest.approx(1, abs=TOLERANCE)


def test_overscan_level_polynomial_follows_a_drift_with_right_variance():
    y = np.linspace(-1, 1, 50)[:, None]
    truth = 943 + 5 * y - 3 * y**3
    pulls = []
    for strip in strips(truth, n=500):
        level, variance = overscan_level(strip, "polynomial", degree=3)
        pulls.append((level - truth) / np.sqrt(variance))
    # Pulls along one fit are correlated: 4 parameters x 500 fits.
    assert np.std(pulls) == pytest.approx(1, abs=TOLERANCE)


def test_overscan_level_polynomial_broadcasts_along_the_readout():
    strip = np.arange(6.0)[:, None] + np.zeros((6, 3))
    level, _ = overscan_level(strip, "polynomial", degree=1)
    assert level.shape == (6, 1)
    np.testing.assert_allclose(level[:, 0], np.arange(6), atol=1e-9)


def test_overscan_level_rows_above_the_image_drift_along_x():
    strip = np.arange(9.0)[None, :] + np.zeros((4, 9))
    level, _ = overscan_level(strip, "polynomial", degree=1, readout_axis=1)
    np.testing.assert_allclose(level, strip[:1], atol=1e-9)


@pytest.mark.parametrize("method", ["mean", "median", "polynomial"])
def test_overscan_level_with_cosmic_rays_is_not_moved(method):
    strip = next(strips(100.0))
    clean = overscan_level(strip, method)[0].mean()
    strip[3, 3], strip[40, 1] = 60000, 5000
    # Two of 400 pixels less: the level moves by a small part of its error, 0.14.
    assert overscan_level(strip, method)[0].mean() == pytest.approx(clean, abs=0.1)


def test_overscan_level_polynomial_of_too_few_rows_raises():
    with pytest.raises(ValueError, match="degree 3 cannot be fitted"):
        overscan_level(np.ones((3, 5)), "polynomial")


def test_overscan_level_unknown_method_raises():
    with pytest.raises(ValueError, match="'mode' is not one of"):
        overscan_level(np.ones((3, 5)), "mode")


def test_overscan_level_empty_strip_raises():
    with pytest.raises(ValueError, match="has shape"):
        overscan_level(np.ones((0, 5)))
