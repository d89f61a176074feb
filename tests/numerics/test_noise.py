import numpy as np
import pytest

from ndmapper.numerics.noise import (
    gain_from_pairs,
    pixel_variance,
    read_noise_from_pair,
    step_at_seam,
)


def exposure(rng, electrons, gain, read_noise):
    """Counts [adu] of pixels that see so many electrons on average."""
    noise = rng.normal(0, read_noise, np.shape(electrons))
    return (rng.poisson(electrons) + noise) / gain


def test_pixel_variance_has_pulls_of_width_one():
    # 10^5 pixels: the width is good to 0.2 per cent. The variance of a pixel is made
    # from its own counts, which at 400 electrons biases the width by < 0.5 per cent.
    rng = np.random.default_rng(3)
    electrons = np.full(100_000, 400.0)
    counts = exposure(rng, electrons, 2.0, 5.0)
    pulls = (counts - 200) / np.sqrt(pixel_variance(counts, 2.0, 5.0))
    assert pulls.std() == pytest.approx(1, abs=0.01)


def test_pixel_variance_below_zero_is_read_noise():
    assert pixel_variance(-50.0, 2.0, 5.0) == pytest.approx((5 / 2) ** 2)


def test_pixel_variance_of_a_bias_has_no_photons():
    expected = np.full((2, 2), 4.0)
    counts = np.full((2, 2), 1e4)
    np.testing.assert_allclose(
        pixel_variance(counts, 1.0, 2.0, poisson=False), expected
    )


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_pixel_variance_of_integers_has_pulls_of_width_one(noise):
    # 10^5 pixels: 0.2 per cent. Without the step it would be 15 per cent at 0.5 adu.
    rng = np.random.default_rng(31)
    counts = np.rint(100.3 + rng.normal(0, noise, 100_000))
    variance = pixel_variance(counts, 1.0, noise, poisson=False, step=1.0)
    assert np.std((counts - 100.3) / np.sqrt(variance)) == pytest.approx(1, abs=0.015)


def test_pixel_variance_of_a_negative_step_raises():
    with pytest.raises(ValueError, match="step of the digitisation must be >= 0"):
        pixel_variance(1.0, step=-1.0)


@pytest.mark.parametrize(("gain", "noise"), [(0, 1), (-1, 1), (np.nan, 1), (1, -1)])
def test_pixel_variance_impossible_detector_raises(gain, noise):
    with pytest.raises(ValueError, match="gain must be > 0"):
        pixel_variance(1.0, gain, noise)


def test_read_noise_from_pair_is_unbiased_and_knows_its_error():
    # 200 pairs of 2500 pixels. The bias structure is common to both frames. Clipping at
    # 4 sigma takes 0.1 per cent of the variance, small against the 1.4 per cent error.
    rng = np.random.default_rng(4)
    structure = rng.normal(0, 20, (50, 50))
    pulls = []
    for _ in range(200):
        a, b = structure + rng.normal(0, 2.8, (2, 50, 50))
        measured, error = read_noise_from_pair(a, b)
        pulls.append((measured - 2.8) / error)
    assert np.mean(pulls) == pytest.approx(0, abs=4 / np.sqrt(200))
    assert np.std(pulls) == pytest.approx(1, abs=4 / np.sqrt(400))


def test_read_noise_from_pair_of_integers_is_without_their_rounding():
    # 40000 pixels: 0.35 per cent. With the rounding it would be 15 per cent more.
    rng = np.random.default_rng(32)
    a, b = np.rint(100.3 + rng.normal(0, 0.5, (2, 200, 200)))
    measured, error = read_noise_from_pair(a, b, step=1.0)
    assert error == pytest.approx(0.5 * 0.0035 * 1.33, rel=0.05)
    assert abs(measured - 0.5) < 4 * error
    assert read_noise_from_pair(a, b)[0] == pytest.approx(0.577, rel=0.015)


def test_read_noise_from_pair_is_not_made_smaller_by_clipping():
    # 4 10^6 pixels: 0.035 per cent; clipping at 3 would take 1.3 per cent.
    a, b = np.random.default_rng(33).normal(0, 2.0, (2, 2000, 2000))
    assert read_noise_from_pair(a, b, clip=3.0)[0] == pytest.approx(2, rel=1.5e-3)


def test_read_noise_from_pair_leaves_masked_pixels_out():
    a, b = np.random.default_rng(34).normal(0, 2.0, (2, 100, 100))
    mask = np.zeros(a.shape, bool)
    mask[::2] = True
    a[::2] *= 3
    measured, error = read_noise_from_pair(a, b, mask=mask)
    assert abs(measured - 2) < 4 * error
    assert error == pytest.approx(2 / np.sqrt(2 * 5000), rel=0.05)


def test_read_noise_from_pair_of_one_good_pixel_raises():
    with pytest.raises(ValueError, match="too few to measure noise"):
        read_noise_from_pair([[1.0, np.nan]], [[1.0, 2.0]])


def test_read_noise_from_pair_of_different_shapes_raises():
    with pytest.raises(ValueError, match="different shapes"):
        read_noise_from_pair(np.ones((2, 3)), np.ones((3, 2)))


@pytest.fixture(scope="module")
def flat_pairs():
    # A flat with a gradient of a factor 40 and 1 per cent pixel structure, the lamp 3
    # per cent fainter the second time; gain 1.25, read noise 4 electrons.
    rng = np.random.default_rng(5)
    light = np.geomspace(500, 20000, 512)[None, :] * rng.normal(1, 0.01, (300, 512))
    return [
        (exposure(rng, light, 1.25, 4.0), exposure(rng, 0.97 * light, 1.25, 4.0))
        for _ in range(2)
    ]


@pytest.mark.parametrize("read_noise", [None, 4.0 / 1.25])
def test_gain_from_pairs_measures_the_gain(flat_pairs, read_noise):
    result = gain_from_pairs(flat_pairs, read_noise=read_noise)
    # 300000 pixels: 0.3 per cent; the clip at 4 sigma takes 0.1 per cent more.
    assert result.gain == pytest.approx(1.25, rel=0.015)
    assert abs(result.gain - 1.25) < 4 * result.gain_error + 0.002


def changing_lamps(rng, level, rays, change, shape=(256, 256)):
    """Make a pair of flats of a lamp whose gradient changes, with cosmic rays."""
    pixels = rng.normal(1, 0.02, shape)
    frames = []
    for sign in (-1, 1):
        tilt = np.linspace(-0.5, 0.5, shape[1]) * change * sign / 2
        frame = exposure(rng, level * pixels * (1 + tilt), 1.6, 4.0)
        place = tuple(rng.integers(0, n, rays) for n in shape)
        frame[place] += rng.uniform(500, 20000, rays) / 1.6
        frames.append(np.rint(frame))
    return tuple(frames)


@pytest.mark.parametrize(("level", "change"), [(500, 0.1), (20000, 0.2)])
def test_gain_from_pairs_with_cosmic_rays_and_a_lamp_that_changes(level, change):
    rng = np.random.default_rng(35)
    results = [
        gain_from_pairs(
            [changing_lamps(rng, level, 100, change)], read_noise=2.5, step=1.0
        )
        for _ in range(10)
    ]
    pulls = [(r.gain - 1.6) / r.gain_error for r in results]
    # 10 trials: the mean to 0.32, the width to 0.22; three times that.
    assert abs(np.mean(pulls)) < 0.95
    assert 0.4 < np.std(pulls) < 1.65
    assert np.mean([r.chi2_dof for r in results]) == pytest.approx(1, abs=0.3)
    # 200 rays hit 65536 pixels, of which 8 x 25 blocks of 320 are used.
    assert all(1536 + 100 < r.rejected < 1536 + 250 for r in results)


def test_gain_from_pairs_leaves_masked_pixels_out(flat_pairs):
    mask = np.zeros(flat_pairs[0][0].shape, bool)
    mask[:, ::8] = True
    noisy = [(np.where(mask, 3 * a, a), b) for a, b in flat_pairs]
    result = gain_from_pairs(noisy, masks=[mask, mask])
    assert abs(result.gain - 1.25) < 4 * result.gain_error
    assert result.rejected > 2 * mask.sum()


def test_gain_from_pairs_line_fits(flat_pairs):
    # 28 degrees of freedom: chi square per degree is 1 +- 0.27.
    assert gain_from_pairs(flat_pairs).chi2_dof < 2


def test_gain_from_pairs_above_max_level_is_not_used(flat_pairs):
    saturated = [(np.minimum(a, 9000), np.minimum(b, 9000)) for a, b in flat_pairs]
    result = gain_from_pairs(saturated, max_level=8000)
    assert result.gain == pytest.approx(1.25, rel=0.02)


def test_gain_from_pairs_without_pairs_raises():
    with pytest.raises(ValueError, match="too few"):
        gain_from_pairs([])


def test_gain_from_pairs_noiseless_raises():
    flat = np.full((100, 640), 100.0)
    with pytest.raises(ValueError, match="does not grow"):
        gain_from_pairs([(flat, flat)], read_noise=1.0)


def test_gain_from_pairs_of_one_level_without_read_noise_raises():
    flat = np.random.default_rng(8).poisson(100.0, (100, 640)).astype(float)
    flat += 100 - flat.mean()
    uniform = np.tile(flat[:10, :32], (10, 20))
    with pytest.raises(ValueError, match="one level"):
        gain_from_pairs([(uniform, uniform)])


def test_step_at_seam_is_found_on_a_slope():
    x = np.arange(400)
    frame = (1000 * np.exp(x / 300) * np.where(x < 200, 1, 0.97)) * np.ones((20, 1))
    step, _ = step_at_seam(frame, 200)
    # The slope is exponential, so its logarithm is what the polynomial fits exactly.
    assert step == pytest.approx(0.97, rel=1e-6)


def test_step_at_seam_error_is_that_of_the_noise():
    rng = np.random.default_rng(6)
    x = np.arange(200)
    pulls = []
    for _ in range(300):
        frame = rng.normal(100 * np.where(x < 100, 1, 1.05), 2, (30, 200))
        step, error = step_at_seam(frame, 100, width=60)
        pulls.append((step - 1.05) / error)
    # 300 trials: 4 per cent; four times that.
    assert np.std(pulls) == pytest.approx(1, abs=0.17)


def test_step_at_seam_near_the_border_raises():
    with pytest.raises(ValueError, match="not in the frame"):
        step_at_seam(np.ones((5, 50)), 10)


def test_gain_from_pairs_of_different_shapes_raises():
    with pytest.raises(ValueError, match="have shapes"):
        gain_from_pairs([(np.ones((50, 64)), np.ones((50, 65)))])


def test_gain_from_pairs_smaller_than_a_block_raises():
    with pytest.raises(ValueError, match="larger than the flats"):
        gain_from_pairs([(np.ones((5, 5)), np.ones((5, 5)))])


def test_step_at_seam_without_light_raises():
    with pytest.raises(ValueError, match="positive counts"):
        step_at_seam(np.zeros((5, 200)), 100)
