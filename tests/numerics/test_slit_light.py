"""The illumination of a slit, fitted to light of any spectrum, against the truth."""

import numpy as np
import pytest

from ndmapper.numerics.slit_illumination import pixel_scatter
from ndmapper.numerics.slit_light import fit_slit_light

ROWS, COLUMNS = 60, 240
Y, X = np.mgrid[:ROWS, :COLUMNS].astype(float)
POSITION = (2 * Y - ROWS + 1) / ROWS
TRUE = 1 - 0.2 * POSITION**2 + 0.1 * POSITION * X / COLUMNS
TRUE = TRUE / np.mean(TRUE, axis=0)
ALL = np.ones(TRUE.shape, bool)


def spectrum(u):
    """Give light with a slope and lines of four pixels, at a place along it."""
    lines = sum(np.exp(-0.5 * ((u - c) / 2) ** 2) for c in (40, 100, 130, 200))
    return 4000 * np.exp(u / 150) * (1 - 0.5 * lines)


def observed(seed, *, tilt=0.0, scatter=0.01, level=1.0):
    """Make light with the noise of its electrons; how far its columns are tilted."""
    rng = np.random.default_rng(seed)
    u = X - tilt * POSITION / 2
    light = level * spectrum(u) * TRUE * rng.normal(1, scatter, TRUE.shape)
    data = rng.poisson(light) + rng.normal(0, 4, light.shape)
    return data, np.maximum(data, 0) + 16, 5000 + 2 * u


def test_illumination_has_pulls_of_width_one():
    pulls = []
    for seed in range(40):
        data, variance, _ = observed(seed)
        found = fit_slit_light(data, variance, ALL, POSITION, (4, 2)).illumination
        error = found.values / TRUE - 1
        part = np.s_[4:60:13, 15:240:60]
        pulls.append(error[part] / np.sqrt(found.relative_variance[part]))
        assert found.values.mean(axis=0) == pytest.approx(1, abs=1e-3)
    # 40 fits at 20 places of a function of 12 terms: 480 numbers, 3 percent.
    assert np.std(pulls) == pytest.approx(1, abs=0.1)
    assert np.mean(pulls) == pytest.approx(0, abs=0.15)


@pytest.mark.parametrize("tilt", [0.0, 4.0, -4.0])
def test_illumination_of_tilted_lines_needs_wavelengths(tilt):
    data, variance, waves = observed(3, tilt=tilt, scatter=0.0)
    words = {"degree": (4, 2)}
    right = fit_slit_light(data, variance, ALL, POSITION, wavelengths=waves, **words)
    error = right.illumination.values / TRUE - 1
    # 14400 pixels of 1 percent and 12 terms: .03 percent, twice that in the corners.
    assert np.std(error) < 6e-4
    assert right.significance < 1.3
    plain = fit_slit_light(data, variance, ALL, POSITION, **words)
    wrong = float(np.std(plain.illumination.values / TRUE - 1))
    # The slope of the spectrum, 1 percent over 1.5 pixels.
    assert (wrong > 5e-3) == (tilt != 0)


def test_stars_in_the_twilight_and_bad_pixels_do_not_count():
    data, variance, _ = observed(5, scatter=0.0)
    clean = fit_slit_light(data, variance, ALL, POSITION, (4, 2))
    star = 0.1 * data * np.exp(-0.5 * ((Y - 20) / 1.5) ** 2)
    usable = ALL.copy()
    usable[40:43, 60:90] = False
    data = np.where(usable, data + star, 1e6)
    found = fit_slit_light(data, variance, usable, POSITION, (4, 2))
    assert not found.used[~usable].any()
    assert found.used[20].mean() < 0.3
    change = found.illumination.values / clean.illumination.values - 1
    # What is below five standard deviations of a pixel stays: wings of the star.
    assert np.abs(change).max() < 0.01


def test_structure_that_is_finer_is_told():
    data, variance, _ = observed(6, scatter=0.0)
    rows = 1 + 0.01 * np.sin(np.arange(ROWS))[:, None]
    found = fit_slit_light(data * rows, variance, ALL, POSITION, (4, 2))
    assert found.significance > 5
    assert np.std(found.structure) == pytest.approx(0.01 / np.sqrt(2), rel=0.1)
    assert fit_slit_light(data, variance, ALL, POSITION, (4, 2)).significance < 1.5


def test_columns_with_too_little_light_are_not_told():
    rng = np.random.default_rng(7)
    lamp = 10000 / (1 + np.exp(-(X - 120) / 5)) * TRUE
    data = rng.poisson(lamp) + rng.normal(0, 4, lamp.shape)
    found = fit_slit_light(
        data, np.maximum(data, 0) + 16, ALL, POSITION, (4, 2), largest_error=0.01
    ).illumination
    assert not found.told[:70].any()
    assert found.told[130:].all()
    error = np.abs(found.values / TRUE - 1)[:, found.told]
    assert error.max() < 0.01
    with pytest.raises(ValueError, match="has enough light"):
        fit_slit_light(data * 1e-3, data * 0 + 16, ALL, POSITION, (4, 2))


def test_scatter_of_pixels_is_told_from_noise_and_from_lines():
    rng = np.random.default_rng(8)
    noise = np.where(X < 120, 1e-4, 1e-2)
    line = 1 + 0.2 * (np.abs(X - 60) < 2)  # which a model misses
    values = line * rng.normal(1, 0.02, X.shape) + rng.normal(0, np.sqrt(noise))
    found = pixel_scatter(values, noise, ALL)
    # 3600 pixels: 4 percent; where noise hides it, it is that of the others.
    assert found[60] == pytest.approx(4e-4, rel=0.15)
    assert found[200] == pytest.approx(4e-4, rel=0.5)
    assert not pixel_scatter(np.full(X.shape, np.nan), None, ~ALL).any()
