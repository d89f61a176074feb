import numpy as np
import pytest

from ndmapper.numerics.bad_pixels import find_bad_pixels

SHAPE = (300, 200)


def flat(seed=3, noise=0.01):
    """Give a flat of 1e4 counts with vignetting and dust, and the noise of a pixel."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    shade = 1 - 0.3 * ((x - 100) / 100) ** 2 - 0.2 * ((y - 150) / 150) ** 2
    dust = 1 - 0.05 * np.exp(-((np.hypot(x - 60, y - 200) - 20) ** 2) / 50)
    light = 1e4 * shade * dust
    return light * np.random.default_rng(seed).normal(1, noise, SHAPE)


def test_clean_flats_have_no_bad_pixels():
    # 6e5 pixels and as many sums; beyond 6 standard deviations are 2e-9 of them.
    for seed in range(10):
        assert find_bad_pixels(flat(seed)).sum() == 0


@pytest.mark.parametrize("axis", [0, 1])
def test_pixels_columns_and_parts_of_columns_are_found(axis):
    image = flat()
    image[20, 30], image[40, 50] = 0, 3e4
    image[:, 80] *= 0.99  # a whole column, by one standard deviation
    image[170:, 120] *= 0.98  # a trap, from there on
    image[100:140, 150] *= 1.03
    image[:, [0, -1]] *= 0.97
    bad = find_bad_pixels(image if axis == 0 else image.T, axis=axis)
    bad = bad if axis == 0 else bad.T
    assert bad[20, 30]
    assert bad[40, 50]
    # Where a part ends is known to some (noise / depth)**2 pixels.
    assert bad[:, 80].mean() > 0.85
    assert bad[170:, 120].mean() > 0.9
    assert bad[:160, 120].sum() == 0
    assert bad[100:140, 150].mean() > 0.9
    assert bad[:, [0, -1]].mean() > 0.9
    expected = np.zeros(SHAPE, bool)
    expected[20, 30] = expected[40, 50] = expected[:, [0, 80, -1]] = True
    expected[160:, 120] = expected[90:150, 150] = True
    assert not (bad & ~expected).any()


def test_parts_end_where_they_do():
    image = flat()
    image[100:160, 90] *= 0.9
    rows = np.nonzero(find_bad_pixels(image)[:, 90])[0]
    np.testing.assert_array_equal(rows, np.arange(100, 160))


def test_three_columns_side_by_side_are_found():
    image = flat()
    image[:, 100:103] *= 0.95
    bad = find_bad_pixels(image)
    assert bad[:, 100:103].mean() > 0.99
    assert not np.delete(bad, range(100, 103), axis=1).any()


def test_gaps_in_a_column_are_filled_up_to_a_length():
    image = flat()
    image[[50, 54, 60], 20] = 0
    rows = [np.nonzero(find_bad_pixels(image, gap=n)[:, 20])[0] for n in (0, 4, 5)]
    assert rows[0].tolist() == [50, 54, 60]
    assert rows[1].tolist() == [50, 51, 52, 53, 54, 60]
    assert rows[2].tolist() == [50, 51, 52, 53, 54, 60]


def test_limits_are_those_of_either_side():
    image = flat()
    image[20, 30] *= 0.9  # 10 standard deviations
    image[40, 50] *= 1.1
    assert find_bad_pixels(image)[[20, 40], [30, 50]].tolist() == [True, True]
    assert find_bad_pixels(image, low=15).sum() == 1
    assert find_bad_pixels(image, high=15)[[20, 40], [30, 50]].tolist() == [True, False]


def test_slight_differences_of_all_columns_are_no_defects():
    columns = np.random.default_rng(8).normal(1, 0.003, SHAPE[1])
    # Each is off by 5 times the standard deviation of its mean.
    assert find_bad_pixels(flat() * columns).sum() == 0


def test_what_is_left_out_is_neither_used_nor_found():
    image = flat()
    image[50:60, 60:70] = 6e4
    left_out = np.zeros(SHAPE, bool)
    left_out[50:60, 60:70] = True
    assert find_bad_pixels(image, left_out=left_out).sum() == 0
    image[50:60, 60:70] = np.nan
    assert find_bad_pixels(image, left_out=left_out).sum() == 0
    assert find_bad_pixels(image)[50:60, 60:70].all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 5), (33, 65)])
def test_small_frames_without_noise(shape):
    assert find_bad_pixels(np.full(shape, 100.0)).sum() == 0


def test_flat_without_light_is_refused():
    with pytest.raises(ValueError, match="has light"):
        find_bad_pixels(np.zeros((40, 40)))
    assert find_bad_pixels(np.full((4, 4), np.nan)).all()
