"""Offsets of images that were drawn with one, and lines through chunks."""

import numpy as np
import pytest
from shared_fields import field, image_of

from ndmapper.numerics.flux_comparison import (
    Chunks,
    fit_flux_line,
    measure_chunks,
)
from ndmapper.numerics.image_offset import (
    ImageOffset,
    Registration,
    correlation_shift,
    phase_shift,
    smooth_masked,
)

SHAPE, BIG = (200, 200), (230, 230)


def registration(image, reference, good=None, **words):
    margin = (np.array(reference.shape) - np.array(image.shape)) / 2

    def mapping(x, y):
        return x + margin[1], y + margin[0]

    good = np.isfinite(image) if good is None else good
    return Registration(
        image, good, reference, np.isfinite(reference), mapping, **words
    )


def drawn(seed, offset, seeing=1.7, noise=3.0, **words):
    sources = field(seed)
    image = image_of(
        sources, SHAPE, offset, seeing=seeing, noise=noise, seed=seed, **words
    )
    reference = image_of(sources, BIG, seeing=1.4, noise=2.0, seed=seed + 1000)
    return image, reference


@pytest.mark.parametrize("seed", range(6))
def test_offset_is_recovered_within_its_errors(seed):
    rng = np.random.default_rng(seed)
    true = (*rng.uniform(-6, 6, 2), rng.uniform(-0.5, 0.5))
    seeing, scale = rng.uniform(1.2, 2.8), rng.uniform(0.7, 1.4)
    compared = registration(*drawn(seed, true, seeing, scale=scale, level=15.0))
    start = correlation_shift(*compared.on_grid(ImageOffset()), 10.0)
    # To find the summit of a broad peak is worth a quarter of a pixel.
    assert np.hypot(start.dx - true[0], start.dy - true[1]) < 0.4
    found = compared.refine(start)
    # What is promised; the errors are of 0.003 pixel and 0.002 degree.
    assert np.hypot(found.dx - true[0], found.dy - true[1]) < 0.05
    assert abs(found.angle - true[2]) < 0.01
    assert found.scale == pytest.approx(scale, rel=0.01)
    assert found.blur == pytest.approx(seeing**2 - 1.4**2, abs=0.15)
    assert abs(found.dx - true[0]) < 5 * found.shift_error
    assert abs(found.angle - true[2]) < 5 * found.angle_error
    assert found.significance > 20


def test_errors_are_those_of_many_trials():
    true, pulls = (1.3, -0.7, 0.2), []
    sources = field(3, 120)[:20]
    clean = image_of(sources, (120, 120), true)
    sharper = image_of(sources, (140, 140), seeing=1.4)
    for seed in range(16):
        rng = np.random.default_rng(seed)
        image = clean + rng.normal(0, 12.0, clean.shape)
        reference = sharper + rng.normal(0, 8.0, sharper.shape)
        found = registration(image, reference).refine(ImageOffset(dx=1, dy=-1))
        pulls += [(found.dx - true[0]) / found.shift_error,
                  (found.dy - true[1]) / found.shift_error,
                  (found.angle - true[2]) / found.angle_error]  # fmt: skip
    # 48 pulls: their rms is known to 10 percent, and the errors are of first order.
    assert 0.65 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_bad_pixels_do_not_count():
    true = (2.4, -3.1, 0.1)
    image, reference = drawn(4, true)
    good = np.ones(SHAPE, bool)
    good[60:80, 30:150] = False
    image[~good] = 1e6
    reference[100:120, 40:70] = np.nan
    found = registration(image, reference, good)
    start = correlation_shift(*found.on_grid(ImageOffset()), 10.0)
    result = found.refine(start)
    assert np.hypot(result.dx - true[0], result.dy - true[1]) < 0.05
    assert abs(result.angle - true[2]) < 0.01


def test_phases_find_the_shift_too():
    pytest.importorskip("skimage", reason="the extra muse is not installed")
    compared = registration(*drawn(2, (3.0, -2.0, 0.0)))
    found = phase_shift(*compared.on_grid(ImageOffset()))
    assert np.hypot(found.dx - 3, found.dy + 2) < 0.5


def test_a_reference_of_finer_pixels():
    sources = field(7)
    true = (-1.7, 2.2, 0.15)
    image = image_of(sources, SHAPE, true, noise=3.0)
    fine = [(2.5 * x, 2.5 * y, f, 2.5 * w) for x, y, f, w in sources]
    reference = image_of(fine, (575, 575), seeing=2.0, noise=1.0, seed=9)

    def mapping(x, y):
        return 287 + 2.5 * (x - 99.5), 287 + 2.5 * (y - 99.5)

    compared = Registration(
        image, np.isfinite(image), reference, np.isfinite(reference), mapping
    )
    assert compared.scale == pytest.approx(2.5)
    start = correlation_shift(*compared.on_grid(ImageOffset()), 10.0)
    found = compared.refine(start)
    assert np.hypot(found.dx - true[0], found.dy - true[1]) < 0.05
    assert found.blur == pytest.approx(1.7**2 - (2.0 / 2.5) ** 2, abs=0.2)


def test_noise_is_not_significant():
    rng = np.random.default_rng(1)
    for _ in range(4):
        compared = registration(rng.normal(size=(90, 90)), rng.normal(size=(99, 99)))
        start = correlation_shift(*compared.on_grid(ImageOffset()), 10.0)
        if start is None:
            continue
        try:
            found = compared.refine(start)
        except ValueError:
            continue
        assert not found.significance > 5


def test_what_cannot_be_compared():
    image, reference = drawn(1, (0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="same value"):
        registration(np.ones(SHAPE), reference).refine(ImageOffset())
    with pytest.raises(ValueError, match="good pixels are common"):
        registration(image, reference).refine(ImageOffset(dx=500))
    ours, theirs = registration(image, reference).on_grid(ImageOffset(dx=500))
    assert correlation_shift(ours, theirs, 10) is None


def test_smoothing_keeps_a_constant_beside_bad_pixels():
    good = np.ones((40, 40), bool)
    good[10:13, 5:30] = False
    values = np.where(good, 7.0, np.nan)
    smoothed = smooth_masked(values, good, 2.0)
    assert np.allclose(smoothed.values[smoothed.good], 7.0)
    assert not smoothed.good[11, 15]


@pytest.mark.parametrize("seed", range(4))
def test_flux_and_background_whatever_the_seeing(seed):
    rng = np.random.default_rng(seed)
    true, scale, level = (1.2, 0.4, 0.0), rng.uniform(0.7, 1.4), rng.uniform(-20, 20)
    image, reference = drawn(
        seed, true, rng.uniform(1.2, 2.8), scale=scale, level=level
    )
    compared = registration(image, reference)
    found = compared.refine(ImageOffset(dx=1))
    sigma = compared.sigma
    theirs, known = compared.reference_at(
        found, sigma=np.sqrt(sigma**2 + max(0, found.blur))
    )
    ours = compared.image_at(sigma=np.sqrt(sigma**2 + max(0, -found.blur)))
    chunks = measure_chunks(ours.values, theirs, known & ours.good)
    line = fit_flux_line(chunks)
    # All but a row and a column of chunks at the edge, where smoothing lacks pixels.
    assert chunks.valid == pytest.approx((13 / 14) ** 2)
    assert 1 / line.slope == pytest.approx(scale, rel=0.01)
    # The noise of a pixel is 3; medians of what is skewed lie a little off.
    assert line.background == pytest.approx(-level, abs=0.3)


def line_of(seed=0, n=100, slope=1.3, background=-4.0, outliers=0):
    rng = np.random.default_rng(seed)
    x = rng.exponential(30, n)
    y = slope * (x + background)
    y[:outliers] *= 3
    x, y = x + rng.normal(0, 2, n), y + rng.normal(0, 3, n)
    ones = np.ones(n)
    return Chunks(
        x=x, y=y, x_variance=4 * ones, y_variance=9 * ones,
        places=np.zeros((n, 2), int), valid=1.0,
    )  # fmt: skip


def test_the_line_is_not_that_of_least_squares_in_y():
    found = [fit_flux_line(line_of(seed)) for seed in range(60)]
    slopes = np.array([line.slope for line in found])
    errors = np.array([line.slope_error for line in found])
    # Sixty trials tell the mean to an eighth of an error, and their scatter to a tenth.
    assert abs(np.mean(slopes) - 1.3) < 0.5 * np.mean(errors)
    assert np.std(slopes) == pytest.approx(np.mean(errors), rel=0.35)
    backgrounds = np.array([line.background for line in found])
    error = np.mean([line.background_error for line in found])
    assert abs(np.mean(backgrounds) + 4) < 0.5 * error
    assert np.std(backgrounds) == pytest.approx(error, rel=0.35)


def test_outliers_are_left_out():
    line = fit_flux_line(line_of(outliers=8))
    assert line.slope == pytest.approx(1.3, abs=4 * line.slope_error)
    assert 85 <= line.kept.sum() <= 94


def test_chunks_that_tell_nothing():
    with pytest.raises(ValueError, match="five are needed"):
        fit_flux_line(line_of(n=4))
    good = np.ones((60, 60), bool)
    with pytest.raises(ValueError, match="one level"):
        fit_flux_line(measure_chunks(np.ones((60, 60)), np.ones((60, 60)), good))


def test_fraction_of_valid_chunks():
    good = np.ones((60, 60), bool)
    good[:30] = False
    image = np.random.default_rng(0).normal(size=(60, 60))
    assert measure_chunks(image, image, good, size=15).valid == pytest.approx(0.5)
