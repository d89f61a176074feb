import numpy as np
import pytest

from ndmapper.numerics.statistics import (
    clip_scatter,
    clipped_mean,
    median_variance_factor,
)


def test_clip_scatter_far_outliers_are_rejected():
    sample = np.concatenate(
        [np.random.default_rng(1).normal(0, 1, 500), [60, -40, 1e9]]
    )
    assert np.abs(clip_scatter(sample)).max() < 5


def test_clip_scatter_nan_is_rejected():
    assert clip_scatter([1.0, np.nan, 1.5, np.inf]).tolist() == [1.0, 1.5]


def test_clip_scatter_constant_sample_is_kept():
    assert clip_scatter([3, 3, 3, 3]).size == 4


def test_clip_scatter_without_values_raises():
    with pytest.raises(ValueError, match="no finite value"):
        clip_scatter([np.nan])


def test_clipped_mean_of_integers_is_not_quantised():
    # Rounded noise of 2.8 adu about 943.37: the median can only be 943. The mean of
    # 10850 values has an error of 0.027; four of them are allowed.
    sample = np.rint(np.random.default_rng(2).normal(943.37, 2.8, 10850))
    mean, sigma, error = clipped_mean(sample)
    assert np.median(sample) == 943
    assert abs(mean - 943.37) < 4 * error
    # Rounding adds 1/12 to the variance; the standard error of sigma is 0.7 per cent.
    assert sigma == pytest.approx(np.sqrt(2.8**2 + 1 / 12), rel=0.03)


# n = 3: 1 - sqrt(3)/pi is the variance of the median (David, Order Statistics); even
# and large samples are compared with 100000 trials, whose variance is good to 0.45 %.
def test_median_variance_factor_of_three_is_analytic():
    assert median_variance_factor(3) == pytest.approx(3 * (1 - np.sqrt(3) / np.pi))


# The expansion is good to 5e-4.
def test_median_variance_factor_goes_over_into_its_expansion():
    first, second = (median_variance_factor(n) for n in (37, 39))
    assert median_variance_factor(41) == pytest.approx(2 * second - first, rel=1e-3)
    first, second = (median_variance_factor(n) for n in (38, 40))
    assert median_variance_factor(42) == pytest.approx(2 * second - first, rel=1e-3)


@pytest.mark.parametrize("n", [4, 5, 10, 41, 42])
def test_median_variance_factor_agrees_with_trials(n):
    trials = np.random.default_rng(n).normal(size=(100_000, n))
    measured = np.median(trials, axis=1).var() * n
    assert median_variance_factor(n) == pytest.approx(measured, rel=0.02)


def test_median_variance_factor_of_nothing_raises():
    with pytest.raises(ValueError, match="no median"):
        median_variance_factor(0)
