import numpy as np
import pytest

from ndmapper.numerics.line_interpolation import interpolate_lines


def holes(shape, seed=2):
    """Give bad pixels, columns, rows and blocks."""
    bad = np.random.default_rng(seed).random(shape) < 0.02
    bad[:, 30] = bad[:, 50:53] = bad[20, 60:90] = bad[40:44, 10:17] = True
    return bad


@pytest.mark.parametrize("along", ["x", "y"])
def test_straight_lines_are_followed_exactly(along):
    y, x = np.mgrid[:60, :100]
    image = 3.0 * x + 200 + 0 * y if along == "x" else 200 - 2.0 * y + 0 * x
    bad = holes(image.shape)
    bad[:, [0, -1]] = bad[[0, -1]] = False
    if along == "y":
        bad[:, [30, 50, 51, 52]] = False
    found, _, replaced = interpolate_lines(
        np.where(bad, 1e5, image), None, bad, along=along
    )
    np.testing.assert_allclose(found, image, atol=1e-9)
    np.testing.assert_array_equal(replaced, bad)


def test_shorter_way_is_taken():
    y, x = np.mgrid[:60, :100]
    image = np.sin(x / 3.0) * 100 + y
    bad = np.zeros(image.shape, bool)
    bad[20, 10:40] = True  # along a row: from above and below
    found, *_ = interpolate_lines(np.where(bad, 1e5, image), None, bad)
    np.testing.assert_allclose(found, image, atol=1e-9)


def test_edges_take_the_nearest_good_pixel():
    image = np.tile(np.arange(10.0), (4, 1))
    bad = np.zeros(image.shape, bool)
    bad[:, :2] = bad[:, -1] = True
    found, spread, _ = interpolate_lines(image, np.ones(image.shape), bad, along="x")
    assert found[0, :2].tolist() == [2, 2]
    assert found[0, -1] == 8
    assert (spread[:, 0] >= 1).all()


def test_wide_holes_and_whole_rows_stay():
    image = np.ones((20, 60))
    bad = np.zeros(image.shape, bool)
    bad[:, 5:9] = bad[:, 20:31] = True
    _, _, replaced = interpolate_lines(image * 2, None, bad, along="x", widest=4)
    assert replaced[:, 5:9].all()
    assert not replaced[:, 20:31].any()
    everything = np.ones(image.shape, bool)
    assert not interpolate_lines(image, None, everything)[2].any()


# 12 frames with 300 to 800 replaced pixels each, of which those of a hole share what
# they come from: a width of 1 within about 2 per cent. Where noise passes for
# structure, in some 4 per cent of the pixels, the variance is up to twice as large (in
# 40 frames the widths were 0.974 to 0.981).
@pytest.mark.parametrize("along", ["x", "y", "shorter"])
def test_pulls_of_noise_have_width_one(along):
    rng = np.random.default_rng(7)
    pulls = []
    for seed in range(12):
        sigma = rng.uniform(3, 6, (120, 100))
        image = rng.normal(1000, sigma)
        bad = holes(sigma.shape, seed)
        found, spread, replaced = interpolate_lines(
            np.where(bad, np.nan, image), np.where(bad, np.nan, sigma**2), bad,
            along=along,
        )  # fmt: skip
        pulls.append(((found - 1000) / np.sqrt(spread))[replaced])
    assert np.concatenate(pulls).std() == pytest.approx(1, abs=0.06)


def test_what_lines_miss_counts():
    # A bad column through stars: the lines miss their peaks.
    rng = np.random.default_rng(9)
    y, x = np.mgrid[:400, :60]
    truth = np.full(y.shape, 100.0)
    for row in range(10, 400, 20):
        at = 30 + rng.uniform(-2, 2)
        truth += 3000 * np.exp(-((y - row) ** 2 + (x - at) ** 2) / 2 / 1.7**2)
    image = rng.poisson(truth).astype(float)
    bad = np.zeros(image.shape, bool)
    bad[:, 30:32] = True
    found, spread, _ = interpolate_lines(image, truth, bad)
    miss = (found - truth)[bad]
    bright = truth[bad] > 1000
    # The miss of a star is not random, but what is claimed has its size.
    assert 0.4 < np.sqrt(np.mean(miss[bright] ** 2) / spread[bad][bright].mean()) < 2.5
    assert spread[bad][bright].mean() > 20 * truth[bad][bright].mean()
