"""Resampling: values, variance, flags, and the covariance of neighbours."""

import numpy as np
import pytest

from ndmapper.numerics import resample as resampling
from ndmapper.numerics.correlated_noise import sum_variance_factor
from ndmapper.numerics.resample import (
    covariance,
    cross_covariance,
    resample,
)


def positions(shape, dx=0.0, dy=0.0, scale=1.0, angle=0.0):
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    turn = np.deg2rad(angle)
    return (
        scale * (np.cos(turn) * x - np.sin(turn) * y) + dx,
        scale * (np.sin(turn) * x + np.cos(turn) * y) + dy,
    )


def test_a_plane_is_interpolated_exactly():
    y, x = np.mgrid[:20, :30]
    plane = 3 + 0.5 * x - 2 * y
    new_x, new_y = positions((15, 25), 2.3, 1.6)
    found = resample(plane, new_x, new_y)
    # Linear interpolation of a linear function: rounding only.
    assert np.allclose(found.data, 3 + 0.5 * new_x - 2 * new_y, atol=1e-12)
    assert not found.flags.any()


def test_whole_pixels_are_copied_with_all_they_have():
    rng = np.random.default_rng(1)
    data, variance = rng.normal(size=(8, 9)), rng.uniform(1, 2, (8, 9))
    flags = np.zeros((8, 9), np.uint16)
    flags[3, 4] = 8
    found = resample(data, *positions((8, 9)), variance=variance, flags=flags)
    assert np.array_equal(found.data, data)
    assert np.array_equal(found.variance, variance)
    assert np.array_equal(found.flags, flags)


@pytest.mark.parametrize(("dx", "dy"), [(0.5, 0.5), (0.25, 0.0), (0.1, 0.7)])
def test_variance_is_that_of_many_trials(dx, dy):
    rng = np.random.default_rng(2)
    x, y = positions((30, 30), dx, dy)
    values = [resample(rng.normal(0, 2, (32, 32)), x, y).data for _ in range(60)]
    found = resample(np.zeros((32, 32)), x, y, variance=np.full((32, 32), 4.0))
    # 60 trials of 900 pixels: the variance is known to about one per cent.
    assert np.var(values) == pytest.approx(found.variance.mean(), rel=0.04)


def test_a_bad_pixel_has_no_part_and_shows_where_it_had():
    data = np.full((6, 6), 10.0)
    data[2, 3] = 1e6
    flags = np.zeros((6, 6), np.uint16)
    flags[2, 3] = 1
    found = resample(data, *positions((5, 5), 0.25, 0.25), flags=flags)
    assert np.allclose(found.data[found.flags == 0], 10)
    # Where it has most of the weight, it is the best guess there is.
    assert set(zip(*np.nonzero(found.flags), strict=True)) == {
        (1, 2), (1, 3), (2, 2), (2, 3)
    }  # fmt: skip
    assert np.isclose(found.data[1, 2], 10)


def test_a_value_that_is_not_finite_is_flagged():
    data = np.ones((5, 5))
    data[2, 2] = np.nan
    found = resample(data, *positions((4, 4), 0.5, 0.5))
    assert np.isfinite(found.data).all()
    assert (found.flags == 16).sum() == 4


def test_outside_there_is_nothing():
    found = resample(np.ones((5, 5)), *positions((5, 5), 1.5, 0))
    assert np.isnan(found.data[:, 3:]).all()
    assert (found.flags[:, 3:] == 16).all()
    assert np.isfinite(found.data[:, :3]).all()


def test_positions_that_are_not_known_are_outside():
    x, y = positions((4, 4))
    x[1, 1] = np.nan
    found = resample(np.ones((4, 4)), x, y)
    assert np.isnan(found.data[1, 1])
    assert found.flags[1, 1] == 16


@pytest.mark.parametrize(
    ("dx", "dy", "scale", "angle"),
    [(0.5, 0.5, 1, 0), (0.3, 0.1, 1, 0), (0.0, 0.0, 1, 12), (0.2, 0.4, 0.6, 0)],
)
def test_sums_have_the_variance_that_the_covariance_tells(dx, dy, scale, angle):
    rng = np.random.default_rng(3)
    x, y = positions((24, 24), dx + 8, dy, scale, angle)
    found = covariance(x, y)
    inside = resample(np.zeros((40, 40)), x, y, variance=np.ones((40, 40)))
    assert np.isfinite(inside.data).all()
    assert found[0, 0] == pytest.approx(inside.variance.mean(), rel=1e-9)
    trials = np.array([
        resample(rng.normal(0, 1, (40, 40)), x, y).data for _ in range(400)
    ])  # fmt: skip
    size = 4
    boxes = trials.reshape(400, 6, size, 6, size).sum(axis=(2, 4))
    true = boxes.var(axis=0).mean() / (size**2 * trials.var(axis=0).mean())
    # 400 trials of 36 boxes that share some noise: better than three per cent.
    assert sum_variance_factor(found, size) == pytest.approx(true, rel=0.05)
    if (dx, dy) == (0.5, 0.5):
        assert true > 2  # without the covariance, the error would be much too small


def test_whole_pixels_share_nothing():
    found = covariance(*positions((10, 10), 3, 2))
    assert found == {(0, 0): 1.0}
    assert sum_variance_factor(found, 7) == 1


def test_large_sums_of_shifted_pixels_have_the_variance_of_the_image():
    found = covariance(*positions((10, 10), 0.5, 0.5))
    # Of half a pixel each: variance 1/4, and all noise is in the sum.
    assert found[0, 0] == pytest.approx(0.25)
    assert sum_variance_factor(found, 10_000) == pytest.approx(4, rel=1e-3)


@pytest.mark.parametrize(
    ("dx", "dy", "scale", "angle"),
    [(3, -2, 1, 0), (0.4, 1.3, 1, 0), (-1.5, 2.25, 0.6, 4), (0, 0, 1, 0)],
)
def test_images_of_the_same_noise_covary_where_their_pixels_meet(
    dx, dy, scale, angle, monkeypatch
):
    monkeypatch.setattr(resampling, "_EVERY", 1)
    places = (
        positions((10, 10), 3.3, 3, scale),
        positions((10, 10), 3.3 + dx, 3 + dy, scale, angle),
    )
    found = cross_covariance(*places[0], *places[1])
    # The weights of the pixels of the image, one after the other.
    units = np.eye(20 * 20).reshape(-1, 20, 20)
    weights = [
        np.array([resample(unit, x, y).data.ravel() for unit in units])
        for x, y in places
    ]
    true = (weights[0].T @ weights[1]).reshape(10, 10, 10, 10)
    y, x = np.mgrid[:10, :10]
    for lag_y in range(-9, 10):
        for lag_x in range(-9, 10):
            inside = (x + lag_x >= 0) & (x + lag_x < 10)
            inside &= (y + lag_y >= 0) & (y + lag_y < 10)
            at = y[inside], x[inside]
            mean = true[at[0], at[1], at[0] + lag_y, at[1] + lag_x].mean()
            assert found.get((lag_x, lag_y), 0) == pytest.approx(mean, abs=1e-6)
