"""What each rejection leaves, against the values that were put in."""

import numpy as np
import pytest

from ndmapper.numerics.combine import combine

SHAPE = (100, 100)


def column(*values):
    return [np.full((1, 1), float(value)) for value in values]


def test_minmax_leaves_out_the_lowest_and_highest():
    result = combine(column(5, 1, 9, 4, 3), reject="minmax", nlow=1, nhigh=2)
    assert (result.data[0, 0], result.count[0, 0], result.rejected[0, 0]) == (3.5, 2, 3)


def test_minmax_leaves_out_the_same_share_where_frames_are_missing():
    # One of four is to be rejected at each end; of two values that is half of one.
    result = combine(column(1, np.nan, np.nan, 9), reject="minmax")
    assert (result.data[0, 0], result.count[0, 0]) == (5, 2)


def test_minmax_keeps_one_value():
    result = combine(column(1, 2, 3), reject="minmax", nlow=2, nhigh=2)
    assert result.count[0, 0] == 1


@pytest.mark.parametrize("reject", ["sigclip", "percentile", "noise", "avsigclip"])
@pytest.mark.parametrize("method", ["mean", "median", "sum", "weighted"])
def test_an_outlier_is_rejected(method, reject):
    rng = np.random.default_rng(2)
    data = [rng.normal(100, 3, SHAPE) for _ in range(25)]
    data[4][3, 7] = 5e4
    result = combine(data, method=method, reject=reject)
    assert result.rejected[3, 7] >= 1
    level = 2500 if method == "sum" else 100
    # The error of a median of 24 is .77; five times that.
    assert result.data[3, 7] == pytest.approx(level, rel=0.04)


def test_none_is_what_a_mean_rejects():
    assert combine(column(1, 2, 3, 1e6)).rejected[0, 0] == 0


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("n", [3, 4, 5, 8, 12])
def test_short_stacks_reject_by_noise(n, is_known):
    rng = np.random.default_rng(n)
    data = [rng.normal(100, 3, SHAPE) for _ in range(n)]
    clean = combine(data)
    hits = rng.random((n, *SHAPE)) < 0.003
    for frame, hit in zip(data, hits, strict=True):
        frame[hit] += rng.uniform(100, 50000, hit.sum())
    variance = [np.full(SHAPE, 9.0)] * n if is_known else None
    result = combine(data, variance, method="sigclip")
    once = hits.sum(axis=0) == 1
    np.testing.assert_array_equal(result.rejected[once], 1)
    # Of the values that are left, and those of before: their means differ by less than
    # a few standard errors.
    assert np.abs(result.data - clean.data)[once].max() < 5 * 3 / np.sqrt(n - 1)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_pair_that_disagrees_is_flagged_with_the_variance_of_its_difference(is_known):
    rng = np.random.default_rng(3)
    data = [rng.normal(100, 3, SHAPE) for _ in range(2)]
    data[0][10, 10] = 50000
    variance = [np.full(SHAPE, 9.0)] * 2 if is_known else None
    result = combine(data, variance, method="sigclip", doubtful_flag=1)
    assert result.flags[10, 10] == 1
    half = abs(data[0][10, 10] - data[1][10, 10]) / 2
    assert np.sqrt(result.variance[10, 10]) == pytest.approx(half)
    # 4 standard deviations are exceeded by chance in one of 16000 pixels.
    assert (result.flags > 0).sum() <= 4


def test_two_of_three_that_disagree_are_flagged():
    data = [np.full(SHAPE, 100.0) for _ in range(3)]
    data[0][5, 5], data[1][5, 5] = 5000, 9000
    variance = [np.full(SHAPE, 9.0)] * 3
    result = combine(data, variance, method="sigclip", doubtful_flag=1)
    assert result.flags[5, 5] == 1
    assert result.variance[5, 5] > 1e6


def test_a_pixel_noisier_than_others_keeps_its_values():
    rng = np.random.default_rng(4)
    data = [rng.normal(100, 3, SHAPE) for _ in range(12)]
    for frame in data:
        frame[::10, ::10] += rng.normal(0, 60, (10, 10))
    result = combine(data, method="sigclip")
    # 60 and 3 together; the scatter of 100 samples of 12 is good to 4 per cent.
    assert result.count[::10, ::10].mean() > 11.5
    noise = result.variance[::10, ::10] * result.count[::10, ::10]
    assert noise.mean() == pytest.approx(3609, rel=0.2)


def faint(level, noise, n, seed=31):
    rng = np.random.default_rng(seed)
    shape = (200, 250)
    return [rng.poisson(level, shape) + rng.normal(0, noise, shape) for _ in range(n)]


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("n", [3, 5, 30])
@pytest.mark.parametrize(
    ("level", "noise", "tolerance"), [(3, 1, 2e-3), (3, 3, 2e-3), (0.5, 0.1, 2e-2)]
)
def test_clipping_does_not_cut_the_tail_of_faint_light(
    level, noise, tolerance, n, is_known
):
    data = faint(level, noise, n)
    variance = [np.maximum(frame, 0) + noise**2 for frame in data]
    result = combine(data, variance if is_known else None, method="sigclip")
    # Against the mean of the same values, so that their noise does not count.
    bias = result.data.mean() / np.mean(data) - 1
    assert abs(bias) < tolerance


@pytest.mark.parametrize("n", [3, 10, 30])
@pytest.mark.parametrize(("level", "noise"), [(0.5, 0.1), (3, 1), (3, 3), (100, 3)])
def test_pooled_noise_gives_pulls_of_width_one(level, noise, n):
    data = faint(level, noise, n)
    result = combine(data, method="sigclip")
    pulls = (result.data - level) / np.sqrt(result.variance)
    # 50000 pixels: 0.32 per cent; four times that, and what rejection leaves out.
    assert pulls.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("level", [3, 10, 50])
def test_weighted_mean_of_faint_light_is_unbiased(level):
    data = faint(level, 3, 25)
    variance = [np.maximum(frame, 0) + 9 for frame in data]
    rng = np.random.default_rng(8)
    for number in range(5):
        data[number] = data[number] + rng.normal(0, 6, data[number].shape)
        variance[number] = variance[number] + 36
    result = combine(data, variance, method="weighted")
    # 1.25 million values of variance 12 to 59: .06 per cent at 3 e, less at others.
    assert result.data.mean() == pytest.approx(level, rel=3e-3)
    # Noisy frames count less: the error is smaller than that of the plain mean.
    assert result.data.std() < 0.99 * combine(data, variance).data.std()


def test_weights_are_those_that_are_given():
    result = combine(column(1, 4), method="weighted", weights=[2, 1])
    assert result.data[0, 0] == 2


def test_sum_is_that_of_all_frames_where_a_value_is_missing():
    variance = [np.full((1, 1), 4.0)] * 4
    result = combine(column(1, 2, 3, np.nan), variance, method="sum")
    assert result.data[0, 0] == 8
    # 16 times the variance of a mean of three.
    assert result.variance[0, 0] == pytest.approx(16 * 4 / 3)


def test_zero_is_added_after_the_scale():
    result = combine(column(1, 2), scale=[1, 3], zero=[0, -5])
    assert result.data[0, 0] == 1


@pytest.mark.parametrize("reject", ["minmax", "sigclip", "percentile", "avsigclip"])
@pytest.mark.parametrize("is_known", [True, False])
def test_variance_after_rejection_is_that_of_the_result(reject, is_known):
    rng = np.random.default_rng(17)
    shape = (200, 250)
    data = [rng.normal(100, 3, shape) for _ in range(9)]
    variance = [np.full(shape, 9.0)] * 9 if is_known else None
    result = combine(data, variance, reject=reject, low=2.5, high=2.5)
    ratio = result.data.var() / result.variance.mean()
    # 50000 pixels are good to 0.6 per cent; four times that, and 1 of the factor.
    assert ratio == pytest.approx(1, abs=0.035)


def test_frames_say_which_share_was_rejected():
    rng = np.random.default_rng(18)
    data = [rng.normal(100, 3, SHAPE) for _ in range(6)]
    data[2][:50] += 200
    result = combine(data, [np.full(SHAPE, 9.0)] * 6, method="sigclip")
    assert result.rejected_share[2] == pytest.approx(0.5, abs=0.01)
    assert result.rejected_share[[0, 1, 3, 4, 5]].max() < 0.01
    assert result.levels[0] == pytest.approx(100, abs=0.1)


def test_wild_numbers_do_not_spoil_the_sums():
    data = [np.full(SHAPE, 1.0, "f4") for _ in range(5)]
    data[1][2, 2] = 1e30
    result = combine(data, [np.full(SHAPE, 0.01, "f4")] * 5, method="sigclip")
    assert result.data[2, 2] == 1
