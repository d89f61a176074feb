import numpy as np
import pytest

from ndmapper.numerics.pooled_noise import (
    expected_inner,
    frame_ratios,
    pool_noise,
    scatter_limit,
)

PIXELS = 40000


def drawn(level, noise, n, seed=3):
    rng = np.random.default_rng(seed)
    return rng.poisson(level, (n, PIXELS)) + rng.normal(0, noise, (n, PIXELS))


def all_of(data):
    return np.ones(data.shape, np.bool_)


@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize(("level", "noise"), [(0.5, 0.1), (3, 1), (100, 3)])
def test_pooled_noise_of_one_level_is_that_of_light_and_read_noise(level, noise, n):
    data = drawn(level, noise, n)
    curve = pool_noise(data, all_of(data))
    # Outliers are left out, and so are some of the counts of faint light, 3 per cent.
    assert curve.at(data.mean(axis=0)).mean() == pytest.approx(
        level + noise**2, rel=0.04
    )


@pytest.mark.parametrize("n", [2, 3, 10])
def test_pooled_noise_follows_the_level(n):
    level = np.linspace(100, 10000, PIXELS)
    data = drawn(level, 5, n)
    curve = pool_noise(data, all_of(data))
    # A bin of 1250 pixels of two frames is good to 4 per cent, the last to 5; four
    # times that. The first is not so wide that its lower half counted by itself.
    np.testing.assert_allclose(curve.at(level)[2000:], level[2000:] + 25, rtol=0.2)
    assert np.mean(curve.at(level) / (level + 25)) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_pooled_noise_has_no_part_of_cosmic_rays(n):
    data = drawn(100, 3, n)
    hits = np.random.default_rng(4).random(data.shape) < 0.01
    data[hits] += 5000
    curve = pool_noise(data, all_of(data))
    assert curve.at(np.array([100.0]))[0] == pytest.approx(109, rel=0.05)


def test_pooled_noise_of_coarse_integers_has_their_grid():
    # Read noise .4 adu: most pairs are equal. The grid adds 1/12.
    rng = np.random.default_rng(5)
    data = np.rint(100.3 + rng.normal(0, 0.4, (2, PIXELS)))
    curve = pool_noise(data, all_of(data))
    assert curve.at(np.array([100.3]))[0] == pytest.approx(0.16 + 1 / 12, rel=0.05)


def test_pooled_noise_beyond_the_last_level_grows_with_it():
    data = drawn(100, 3, 5)
    curve = pool_noise(data, all_of(data))
    far = curve.at(np.array([1e4, 2e4]))
    assert far[0] > 50 * 109
    assert far[1] - far[0] == pytest.approx(1e4 * far[0] / 1e4, rel=0.1)


def test_pooled_noise_of_one_frame_is_unknown():
    assert pool_noise(np.ones((1, 10)), np.ones((1, 10), np.bool_)) is None
    assert pool_noise(np.ones((3, 10)), np.zeros((3, 10), np.bool_)) is None


@pytest.mark.parametrize("is_known", [True, False])
def test_frame_ratios_tell_noisy_frames(is_known):
    rng = np.random.default_rng(7)
    sigma = np.array([1.0, 2.0, 3.0])[:, None]
    data = rng.normal(100, 1, (3, PIXELS)) * sigma
    variance = np.broadcast_to(sigma**2, data.shape) if is_known else None
    data -= 100 * (sigma - 1)
    found = frame_ratios(data, variance, all_of(data))
    assert found.mean() == pytest.approx(1)
    np.testing.assert_allclose(found / found[0], [1, 4, 9], rtol=0.1)


def test_frame_ratios_of_like_frames_are_one():
    data = drawn(100, 3, 4)
    assert frame_ratios(data, None, all_of(data)).tolist() == [1, 1, 1, 1]
    assert frame_ratios(data, data, all_of(data)).tolist() == [1, 1, 1, 1]


def test_expected_inner_is_the_distance_of_quartiles():
    rng = np.random.default_rng(8)
    for n in (8, 11, 40):
        ordered = np.sort(rng.normal(0, 1, (n, 20000)), axis=0)
        width = ordered[n - 1 - n // 4] - ordered[n // 4]
        assert expected_inner(n) == pytest.approx(width.mean(), rel=0.01)


def test_scatter_limit_is_hardly_exceeded():
    rng = np.random.default_rng(9)
    for n in (2, 5, 20):
        squares = rng.normal(0, 1, (n, 100000)).var(axis=0, ddof=1)
        # 10 of 100000 are expected; the approximation is not that good for two.
        assert (squares > scatter_limit(n - 1)).sum() < 30
