import numpy as np
import pytest

from ndmapper.numerics.flat import normalise_flat, plain_flat


@pytest.fixture(scope="module")
def long_slit():
    """A tilted slit, a lamp spectrum over a factor 30, 1 per cent pixel structure."""
    rng = np.random.default_rng(21)
    ny, nx = 120, 640
    x, y = np.arange(nx)[None, :], np.arange(ny)[:, None]
    lower, upper = 15 - x / 200, 105 - x / 200
    position = (2 * y - lower - upper) / (upper - lower)
    response = 500 * np.exp(x / 190) * (1 + 0.05 * np.sin(x / 60))
    slit = 1 + 0.03 * position - 0.04 * position**2 + 0.01 * position * x / nx
    pixels = rng.normal(1, 0.01, (ny, nx))
    lit = (position > -1) & (position < 1)
    mean = np.where(lit, response * slit * pixels, 3.0)
    data = rng.poisson(mean).astype(float)
    inside = (y - lower > 4) & (upper - y > 4)
    return data, mean, pixels, slit, inside


def test_normalise_flat_has_pulls_of_width_one(long_slit):
    data, mean, pixels, _, inside = long_slit
    flat = normalise_flat(data, mean)
    pulls = (flat.data - pixels)[inside] / np.sqrt(flat.variance[inside])
    # 50000 pixels: 0.3 per cent. The model takes 1000 of their degrees of freedom (1
    # per cent of the width), and its misfit must not show above the photon noise.
    assert pulls.std() == pytest.approx(1, abs=0.03)


def test_normalise_flat_median_is_one_at_both_ends(long_slit):
    data, mean, _, _, inside = long_slit
    flat = normalise_flat(data, mean)
    for columns in (slice(0, 160), slice(480, 640)):
        values = flat.data[:, columns][inside[:, columns]]
        assert np.median(values) == pytest.approx(1, abs=0.002)


def test_normalise_flat_keeping_the_illumination_leaves_it(long_slit):
    data, mean, pixels, slit, _ = long_slit
    flat = normalise_flat(data, mean, keep_illumination=True)
    slit = slit / (1 - 0.04 / 3)  # its mean along the slit
    # Rows that are inside in all columns; means over 340 pixels of 0.6 per cent noise.
    part = (slice(20, 97), slice(300, 640))
    ratio = (flat.data / pixels)[part].mean(axis=1)
    np.testing.assert_allclose(ratio, slit[part].mean(axis=1), atol=0.004)


def test_normalise_flat_unlit_pixels_are_told_and_harmless(long_slit):
    data, mean, _, _, _ = long_slit
    flat = normalise_flat(data, mean)
    assert flat.unlit[:10].all()
    assert (flat.data[flat.unlit] == 1).all()
    assert (flat.variance[flat.unlit] == 0).all()


def test_normalise_flat_dispersion_along_columns_is_the_transpose(long_slit):
    data, mean, _, _, _ = long_slit
    across = normalise_flat(data, mean)
    along = normalise_flat(data.T, mean.T, dispersion_axis=0)
    np.testing.assert_allclose(along.data, across.data.T, rtol=1e-9)


def test_normalise_flat_dead_pixel_is_low(long_slit):
    data, mean, _, _, _ = long_slit
    dead = data.copy()
    dead[60, 500] = 10
    dead[61, 500] = np.nan
    flat = normalise_flat(dead, mean)
    assert flat.low[60:62, 500].all()
    assert (flat.data[60:62, 500] == 1).all()


def test_normalise_flat_masked_hot_pixels_do_not_bend_the_model(long_slit):
    data, mean, pixels, _, inside = long_slit
    hot = data.copy()
    hot[40:80:2, 300:310] *= 20
    mask = hot != data
    flat = normalise_flat(hot, mean, mask=mask)
    near = inside & ~mask
    near[:, :280] = near[:, 340:] = False
    # 5000 pixels with 1.5 per cent photon noise.
    assert np.mean((flat.data - pixels)[near]) == pytest.approx(0, abs=0.002)


def test_normalise_flat_without_dark_border_is_lit_to_the_edge():
    flat = normalise_flat(np.full((60, 200), 500.0))
    assert not flat.unlit.any()
    np.testing.assert_allclose(flat.data, 1, atol=1e-6)


def test_normalise_flat_of_a_cube_raises():
    with pytest.raises(ValueError, match=r"has shape \(ny, nx\)"):
        normalise_flat(np.ones((2, 3, 4)))


def test_normalise_flat_with_variance_of_another_shape_raises(long_slit):
    with pytest.raises(ValueError, match="the variance has shape"):
        normalise_flat(long_slit[0], np.ones((3, 4)))


def test_plain_flat_divides_by_the_median_of_unmasked_pixels():
    data = np.full((10, 10), 200.0)
    data[:6] = 1.0
    mask = np.zeros((10, 10), bool)
    mask[:6] = True
    flat = plain_flat(data, np.full((10, 10), 400.0), mask=mask)
    assert flat.data[9, 9] == 1
    assert flat.variance[9, 9] == pytest.approx(400 / 200**2)


def test_plain_flat_below_the_threshold_is_low():
    data = np.full((10, 10), 200.0)
    data[0, 0] = 15
    assert plain_flat(data).low.sum() == 1


def test_plain_flat_of_given_level_keeps_the_ratio_of_amplifiers():
    left, right = np.full((4, 4), 200.0), np.full((4, 4), 210.0)
    flats = [plain_flat(part, level=200.0).data.mean() for part in (left, right)]
    assert flats == [1.0, 1.05]


@pytest.mark.parametrize("data", [np.full((3, 3), np.nan), np.full((3, 3), -1.0)])
def test_plain_flat_without_light_raises(data):
    with pytest.raises(ValueError, match="flat"):
        plain_flat(data)


def test_normalise_flat_in_the_dark_raises():
    with pytest.raises(ValueError, match="no part of the flat is lit"):
        normalise_flat(np.zeros((60, 200)))


def test_normalise_flat_with_mask_of_another_shape_raises():
    with pytest.raises(ValueError, match="the mask has shape"):
        normalise_flat(np.ones((60, 200)), mask=np.zeros((3, 4), bool))


def lamp(cut, *, rows=60, half=25.0, level=30000.0, seed=8):
    """Five frames of a lamp that fades as `cut`, and the sensitivity of the pixels."""
    rng = np.random.default_rng(seed)
    shape = (rows, cut.size)
    position = (np.arange(rows)[:, None] - rows / 2) / half
    lit = np.abs(position) <= 1
    pixels = rng.normal(1, 0.01, shape)
    mean = level * cut * (1 + 0.1 * position - 0.05 * position**2) * lit * pixels
    data = (rng.poisson(5 * mean) + rng.normal(0, 4 * np.sqrt(5), shape)) / 5
    return data, (np.maximum(data, 0) + 16) / 5, pixels, lit


X = np.arange(900.0)
LAMPS = {
    "fades": (np.minimum(1, 10 ** (-4 * (300 - X) / 300)), 300, 10),
    "cut of 5 pixels": (1 / (1 + np.exp(-(X - 150) / 5)), 150, 15),
    "cut of 20 pixels, red": (1 / (1 + np.exp((X - 650) / 20)), 650, 60),
    "line": (1 + 3 * np.exp(-0.5 * ((X - 500) / 2) ** 2), 500, 6),
    "step": (np.where(X < 400, 1, 0.5), 400, 2),
}


@pytest.mark.parametrize("name", LAMPS)
def test_normalise_flat_of_a_lamp_with_edges_is_right_or_flagged(name):
    cut, where, near = LAMPS[name]
    data, variance, pixels, lit = lamp(cut)
    flat = normalise_flat(data, variance)
    flagged = flat.low | flat.weak | flat.missed
    good = lit & ~flat.unlit & ~flagged
    pulls = (flat.data - pixels)[good] / np.sqrt(flat.variance[good])
    # 30000 pixels: none of normal ones is beyond 5; the width is known to .4 per cent.
    assert np.abs(pulls).max() < 5.5
    assert pulls.std() == pytest.approx(1, abs=0.03)
    signal_to_noise = 30000 * cut * np.sqrt(5 / (30000 * cut + 16))
    quiet = (signal_to_noise > 5) & (np.abs(X - where) > near)
    # 2 per cent of 1000 columns: an edge takes some 15 columns, however many there are.
    assert flagged[:, quiet].any(axis=0).sum() <= 20
    response = flat.model.response / (30000 * cut)
    seen = good.any(axis=0)
    scale = np.median(response[seen])
    # Where the lamp fades its columns have errors of some per cent of their own.
    error = 4 * np.sqrt(flat.model.relative_variance)
    assert (np.abs(response / scale - 1) < np.maximum(0.01, error))[seen].all()


def test_normalise_flat_tells_fringes_but_no_single_column():
    fringes = 1 + 0.05 * np.sin(X / 20 * 2 * np.pi) * (X > 600)
    data, variance, pixels, _ = lamp(fringes)
    data[:, 300] *= 0.9
    flat = normalise_flat(data, variance)
    columns = flat.missed.any(axis=0)
    assert columns[640:860].all()
    assert not columns[:570].any()
    np.testing.assert_allclose(
        np.median((flat.data / pixels)[10:50, 300]), 0.9, atol=0.002
    )


@pytest.mark.parametrize("half", [2.99, 5.99])
@pytest.mark.parametrize("level", [300, 3000])
def test_normalise_flat_of_a_narrow_slit_has_pulls_of_width_one(half, level):
    pulls = []
    for seed in (1, 2):
        data, variance, pixels, lit = lamp(
            np.ones(900), half=half, seed=seed, level=level
        )
        flat = normalise_flat(data, variance)
        assert not (flat.weak | flat.missed).any()
        good = lit & ~flat.unlit
        assert good.any(axis=1).sum() >= 2 * half - 3
        pulls.append((flat.data - pixels)[good] / np.sqrt(flat.variance[good]))
    # 9000 pixels: .7 per cent.
    assert np.concatenate(pulls).std() == pytest.approx(1, abs=0.04)


def tilted(half, tilt, *, sharp, level, seed):
    """Five frames of a lamp behind a slit that is tilted, in 300 columns."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :300]
    position = (y - 20 - tilt * (x / 300 - 0.5)) / half
    inside = (1 - np.abs(position)) * half + 0.5
    lit = inside > 0.5 if sharp else np.clip(inside, 0, 1)
    pixels = rng.normal(1, 0.01, lit.shape)
    mean = level * (1 + 0.1 * position - 0.05 * position**2) * lit * pixels
    data = (rng.poisson(5 * mean) + rng.normal(0, 9, lit.shape)) / 5
    return data, (np.maximum(data, 0) + 16) / 5, pixels, lit == 1


@pytest.mark.parametrize("sharp", [True, False], ids=["pixels", "edge"])
@pytest.mark.parametrize("tilt", [1, 2, -5])
@pytest.mark.parametrize("half", [3, 6])
def test_normalise_flat_of_a_tilted_narrow_slit_has_pulls_of_width_one(
    half, tilt, sharp
):
    # The sensitivity of pixels scatters by four times their noise, so that it is most
    # of the error of the models, of which these few pixels tell little.
    pulls = []
    for seed in range(4):
        data, variance, pixels, lit = tilted(
            half, tilt, sharp=sharp, level=30000, seed=seed
        )
        flat = normalise_flat(data, variance)
        good = lit & ~flat.unlit
        assert not (flat.weak | flat.missed | flat.low)[good].any()
        pulls.append((flat.data - pixels)[good] / np.sqrt(flat.variance[good]))
    # 5000 pixels or more: 1 per cent; those of a column share errors of the models, of
    # some 40 parameters each time.
    assert np.concatenate(pulls).std() == pytest.approx(1, abs=0.05)


def test_normalise_flat_within_the_slit_ignores_light_beside():
    data, variance, _, lit = lamp(np.ones(300), half=20)
    other = data.copy()
    other[:6] += 50000  # of another slit
    alone = normalise_flat(data, variance)
    flat = normalise_flat(other, variance, slit=slice(8, 55))
    assert flat.unlit[:8].all()
    assert flat.unlit[55:].all()
    assert flat.model.lower == pytest.approx(alone.model.lower, abs=0.02)
    good = lit & ~flat.unlit & ~alone.unlit
    assert good.sum() == pytest.approx((lit & ~alone.unlit).sum(), abs=5)
    np.testing.assert_allclose(flat.data[good], alone.data[good], rtol=1e-3)


def test_normalise_flat_fits_the_chips_beside_a_gap_alone():
    x = np.arange(900)
    gap = (x >= 400) & (x < 430)
    chips = np.where(gap, 0, np.where(x < 400, 1.0, 0.6))
    data, variance, pixels, lit = lamp(chips)
    flat = normalise_flat(data, variance, gap=gap)
    assert flat.unlit[:, gap].all()
    assert not flat.low[:, gap].any()
    assert not flat.missed.any()
    good = lit & ~flat.unlit
    for columns in (slice(390, 400), slice(430, 440)):
        ratio = (flat.data / pixels)[:, columns][good[:, columns]]
        # 500 pixels of .003, and the error of the response at its end, .0005.
        assert np.mean(ratio) == pytest.approx(1, abs=0.003)
    across = normalise_flat(data.T, variance.T, gap=gap, dispersion_axis=0)
    np.testing.assert_allclose(across.data.T, flat.data)


def test_normalise_flat_of_little_light_is_weak():
    data, variance, _, lit = lamp(np.where(X < 100, 1e-4, 1.0))
    flat = normalise_flat(data, variance, least_signal_to_noise=20)
    inside = lit & ~flat.unlit
    assert flat.weak[:, :95][inside[:, :95]].all()
    assert not flat.weak[:, 110:].any()
    assert not normalise_flat(data).weak[:, 110:].any()  # without a variance
