"""The mean of spectra, its weights and its outliers."""

import numpy as np
import pytest

from ndmapper.numerics.spectrum_mean import (
    find_outlying,
    running_median,
    weighted_mean,
)


def test_running_median_follows_a_line_and_not_a_peak():
    values = np.tile(np.linspace(0, 10, 400), (2, 1))
    values[0, 100] = 1e6
    good = np.ones((2, 400), bool)
    good[1, :50] = False
    found = running_median(values, good)
    assert found[0, 60:340] == pytest.approx(values[1, 60:340], abs=0.1)
    assert np.isfinite(found).all()
    assert np.isnan(running_median(values, good & False)).all()


def test_weights_are_the_inverse_of_variances():
    values = np.array([np.full(200, 1.0), np.full(200, 3.0)])
    variance = np.array([np.full(200, 1.0), np.full(200, 4.0)])
    used = np.ones((2, 200), bool)
    used[1, 7] = False
    none = np.zeros((2, 200))
    found = weighted_mean(values, variance, used, common=none, groups=[0, 1])
    assert found.values[0] == pytest.approx((1 + 3 / 4) / 1.25)
    assert found.variance[0] == pytest.approx(1 / 1.25)
    assert (found.values[7], found.variance[7], found.count[7]) == (1.0, 1.0, 1)


def test_what_a_group_shares_does_not_average_out():
    values, variance = np.ones((3, 50)), np.zeros((3, 50))
    common = np.full((3, 50), 0.1)
    used = np.ones((3, 50), bool)
    for groups, expected in (
        ([0, 0, 0], 0.01), ([0, 1, 2], 0.01 / 3), ([0, 0, 1], 0.01 * 5 / 9),
    ):  # fmt: skip
        found = weighted_mean(values, variance, used, common=common, groups=groups)
        assert found.variance == pytest.approx(expected)


@pytest.mark.parametrize("count", [3, 5, 9])
def test_hits_are_found_and_noise_is_not(count):
    rng = np.random.default_rng(count)
    values = 50 + rng.normal(0, 1, (count, 2000))
    values[1, [300, 900]] += 12
    found, doubtful = find_outlying(
        values, np.ones(values.shape), np.ones(values.shape, bool), 5.0
    )
    assert found[1, [300, 900]].all()
    assert found.sum() <= 3
    assert not doubtful.any()


def test_shifted_lines_and_other_levels_are_no_hits():
    x = np.arange(1000.0)
    spectra = [
        level * (100 + 5000 * np.exp(-0.5 * ((x - 500 - shift) / 3) ** 2)) + offset
        for level, shift, offset in ((1, 0, 0), (0.8, 0.05, 5), (1.2, -0.05, -5))
    ]
    values = np.array(spectra)
    found, _ = find_outlying(values, values, np.ones(values.shape, bool), 5.0)
    assert not found.any()
