"""Differential magnitudes: errors, missing comparison stars, and themselves."""

import numpy as np
import pytest

from ndmapper.numerics.ensemble import differential, scatter_over_error


def series(seed, frames=400, stars=6):
    """Draw magnitudes of constant stars behind clouds, with errors of their own."""
    rng = np.random.default_rng(seed)
    errors = np.linspace(0.004, 0.02, stars) * np.ones((frames, 1))
    clouds = rng.exponential(0.3, frames)
    true = np.linspace(10, 14, stars)
    values = true + clouds[:, None] + rng.normal(0, errors)
    return values, errors**2, true


def test_errors_are_those_of_the_scatter():
    values, variances, true = series(1)
    usable = np.zeros(values.shape, bool)
    usable[:, :4] = True
    found, variance = differential(values, variances, usable)
    ratios = [
        scatter_over_error(f, v) for f, v in zip(found.T, variance.T, strict=True)
    ]
    # 400 values: the width is known to 3.5 per cent.
    np.testing.assert_allclose(ratios, 1, atol=0.12)
    mean = np.average(true[:4], weights=1 / variances[0, :4])
    # The mean over 400 frames.
    assert found[:, 5].mean() == pytest.approx(true[5] - mean, abs=0.01)


def test_star_missing_in_some_frames_does_not_shift_these():
    values, variances, _ = series(2)
    usable = np.zeros(values.shape, bool)
    usable[:, :3] = True
    usable[:50, 0] = False
    values[:50, 0] = 3.0
    found, variance = differential(values, variances, usable)
    error = np.sqrt(variance[:50, 4].mean() / 50)
    shift = found[:50, 4].mean() - found[50:, 4].mean()
    assert abs(shift) < 4 * error
    # The brightest one is missing, so the error is larger.
    assert variance[0, 4] > 1.05 * variance[99, 4]


def test_frames_without_comparison_stars_have_no_number():
    values, variances, _ = series(3, frames=5)
    usable = np.zeros(values.shape, bool)
    usable[1:, 0] = True
    found, variance = differential(values, variances, usable)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1:, 1:]).all()
    # The only comparison star cannot be compared.
    assert np.isnan(found[:, 0]).all()
    assert np.isnan(variance[:, 0]).all()


def test_scatter_is_that_of_errors():
    rng = np.random.default_rng(4)
    values = rng.normal(5, 0.2, 4000)
    assert scatter_over_error(values, np.full(4000, 0.01)) == pytest.approx(2, abs=0.1)
    assert np.isnan(scatter_over_error(values[:2], np.full(2, 0.01)))
