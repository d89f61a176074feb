import numpy as np
import pytest

from ndmapper.numerics.overscan import measure_overscan, overscan_level

# Pulls of 2000 trials have a width good to 1/sqrt(2 * 2000) = 1.6 per cent; four times
# that is allowed for.
TRIALS, TOLERANCE = 2000, 0.065


def strips(level, n=TRIALS, sigma=2.8, shape=(50, 8)):
    rng = np.random.default_rng(7)
    for _ in range(n):
        yield np.asarray(level) + rng.normal(0, sigma, shape)


ALL = ["mean", "median", "row", "polynomial", "chebyshev", "spline"]


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


@pytest.mark.parametrize("method", ALL)
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


LINES = np.arange(300)
TRANSIENT = 30 * np.exp(-LINES / 15)
STEP = 5.0 * (LINES >= 120)


def bleeding(start, stop):
    """Make the light of a star that bleeds into some lines, fainter at their ends."""
    inside = (start <= LINES) & (stop > LINES)
    return 300.0 * inside * (0.2 + np.sin(np.pi * (LINES - start) / (stop - start)))


ODD = {
    "nothing": (0 * STEP, 0 * STEP),
    "star": (0 * STEP, bleeding(200, 230)),
    "stars": (0 * STEP, bleeding(40, 50) + bleeding(150, 160) + bleeding(250, 260)),
    "star at the start": (0 * STEP, bleeding(0, 30)),
    "step": (STEP, 0 * STEP),
    "step down near the end": (-5.0 * (LINES >= 270), 0 * STEP),
    "there and back": (STEP - 5.0 * (LINES >= 210), 0 * STEP),
    "transient": (TRANSIENT, 0 * STEP),
    "transient at the end": (-TRANSIENT[::-1], 0 * STEP),
    "all": (TRANSIENT + STEP, bleeding(200, 230)),
}


def measured(method, level, light, *, n=8, shared=0.0, integer=True):
    """Measure many strips: errors, pulls, and which lines count."""
    rng = np.random.default_rng(11)
    errors, pulls, counted = [], [], []
    for _ in range(n):
        truth = 1000.3 + rng.uniform(-0.5, 0.5) + level + rng.normal(0, shared, 300)
        strip = (truth + light)[:, None] + rng.normal(0, 2.5, (300, 32))
        found = measure_overscan(np.rint(strip) if integer else strip, method)
        error = found.level[:, 0] - truth
        errors.append(error)
        pulls.append(error / np.sqrt(found.variance[:, 0]))
        doubtful = np.broadcast_to(found.doubtful[:, 0], error.shape)
        counted.append(~doubtful & (light == 0))
    return np.array(errors), np.array(pulls), np.array(counted)


@pytest.mark.parametrize("method", ["mean", "median", "row", "polynomial", "spline"])
def test_overscan_level_is_right_in_every_line(method):
    squares = []
    # A line alone has an error of 0.44, the mean of 8 strips 0.16; of a median of
    # integers 0.29 and 0.1, of a spline at its end 0.2 and 0.07; 300 lines, 4 sigma.
    limit = {"row": 0.65, "median": 0.45, "spline": 0.3}.get(method, 0.15)
    for odd, (level, light) in ODD.items():
        errors, pulls, counted = measured(method, level, light)
        number = np.maximum(counted.sum(axis=0), 1)
        mean = np.where(counted, errors, 0).sum(axis=0) / number
        assert np.abs(mean).max() < limit, odd
        assert np.mean(~counted & (light == 0)) < 0.05, odd
        squares.append(np.mean(pulls[counted] ** 2))
    # 80 strips of a few parameters each: 8 per cent and less; three times that.
    assert np.sqrt(np.mean(squares)) == pytest.approx(1, abs=0.24)


@pytest.mark.parametrize("method", ["mean", "median", "row", "polynomial", "spline"])
@pytest.mark.parametrize("odd", ["nothing", "all"])
def test_noise_that_lines_share_is_in_the_error(method, odd):
    _, pulls, counted = measured(method, *ODD[odd], shared=1.0, integer=False)
    # 2400 lines: 1.4 per cent, and the level of 8 strips; outliers that were left out.
    # In such noise the place of a jump and the length of a transient are less sure.
    tolerance = 0.07 if odd == "nothing" else 0.14
    assert np.std(pulls[counted]) == pytest.approx(1, abs=tolerance)


def test_chebyshev_is_the_same_polynomial():
    strip = (1000 + TRANSIENT)[:, None] + np.random.default_rng(9).normal(
        0, 2, (300, 9)
    )
    first, second = (overscan_level(strip, m) for m in ("polynomial", "chebyshev"))
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_median_of_integers_knows_the_grid_they_are_on():
    errors, pulls, _ = measured("median", 0 * STEP, 0 * STEP, n=400)
    assert errors.std() == pytest.approx(0.29, abs=0.03)
    # 400 strips: the width to 3.5 per cent, of a uniform distribution to 2.2.
    assert pulls.std() == pytest.approx(1, abs=0.09)


def test_overscan_level_of_one_column_has_the_noise_of_its_neighbours():
    pulls = [
        (level.item() - 943.4) / np.sqrt(variance.item())
        for level, variance in map(overscan_level, strips(943.4, 400, shape=(200, 1)))
    ]
    # 400 strips: 3.5 per cent, and the noise of 200 lines: 6 per cent, by a median.
    assert np.std(pulls) == pytest.approx(1, abs=0.15)


def test_overscan_level_says_what_it_found():
    rng = np.random.default_rng(12)
    level, light = ODD["all"]
    strip = (1000 + level + light)[:, None] + rng.normal(0, 2.5, (300, 32))
    found = measure_overscan(strip)
    assert found.jumps == 1
    assert 30 <= found.left_out < 70
    assert found.level.shape == (300, 1)
    assert found.shared < 0.4
    assert found.scatter == pytest.approx(2.5, rel=0.05)


def test_overscan_level_that_is_not_followed_is_told():
    drift = np.linspace(-3, 3, 300)
    strip = drift[:, None] + np.random.default_rng(13).normal(0, 2.5, (300, 32))
    found = measure_overscan(strip, "mean")
    assert found.drift == pytest.approx(drift.std(), rel=0.05)
    # It may be the same in every frame, and is no noise.
    assert found.shared == 0
    assert found.variance.item() == pytest.approx(2.5**2 / 9600, rel=0.05)
    assert measure_overscan(strip, "polynomial", degree=1).drift < 0.1


def test_overscan_level_that_does_not_belong_to_lines_is_one_number():
    strip = (1000 + STEP)[:, None] + np.random.default_rng(14).normal(0, 1, (300, 20))
    found = measure_overscan(strip, "mean", follow=False)
    assert found.level.shape == (1, 1)
    assert found.shared == pytest.approx(STEP.std(), rel=0.1)


@pytest.mark.parametrize("method", ALL)
def test_overscan_level_of_lines_without_number_is_that_of_the_others(method):
    strip = 1000 + np.random.default_rng(15).normal(0, 2.5, (300, 16))
    strip[50:70] = np.nan
    strip[3] = np.inf
    level, variance = overscan_level(strip, method)
    assert np.abs(level - 1000).max() < 4 * np.sqrt(np.max(variance))
    assert np.isfinite(variance).all()


@pytest.mark.parametrize("method", ALL)
def test_overscan_level_of_constant_pixels_is_it(method):
    level, variance = overscan_level(np.full((40, 8), 7.0), method)
    np.testing.assert_allclose(level, 7)
    grid = 1 / 12 if method == "median" else 0
    np.testing.assert_allclose(variance, grid, atol=1e-9)


def test_overscan_level_of_one_line_has_the_error_of_its_pixels():
    rng = np.random.default_rng(8)
    pulls = []
    for _ in range(300):
        level, variance = overscan_level(rng.normal(1000, 5, (1, 20)))
        pulls.append((level[0, 0] - 1000) / np.sqrt(variance[0, 0]))
    # A width of 300 values is known to 4 per cent; Student's of 19 is 1.06.
    assert np.std(pulls) == pytest.approx(1.06, abs=0.13)


@pytest.mark.parametrize("method", ["mean", "median", "row"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1)])
def test_a_strip_that_does_not_tell_its_noise_is_refused(shape, method):
    with pytest.raises(ValueError, match="finite pixels do not tell how noisy"):
        measure_overscan(np.arange(shape[0])[:, None] + 1000.0, method)
    holes = np.full((5, 3), np.nan)
    holes[: shape[0], 1] = np.arange(shape[0]) + 1000.0
    with pytest.raises(ValueError, match="finite pixels do not tell how noisy"):
        measure_overscan(holes, method)


@pytest.mark.parametrize("shape", [(1, 2), (3, 1), (2, 2)])
def test_the_fewest_pixels_have_an_error(shape):
    pixels = np.array([3.0, 8.0, 1.0, 4.0])[: shape[0] * shape[1]].reshape(shape)
    assert (measure_overscan(pixels).variance > 0).all()
