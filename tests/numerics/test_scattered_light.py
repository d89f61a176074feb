"""Scattered light from unlit pixels, against the truth."""

import numpy as np
import pytest

from ndmapper.numerics.scattered_light import fit_scattered_light

ROWS, COLUMNS = 80, 200
Y, X = np.mgrid[:ROWS, :COLUMNS].astype(float)
UNLIT = (Y < 15) | (Y >= 62)
LIGHT = 40 + 10 * X / COLUMNS + 6 * (Y - 40) / 40 + 8 * (X / COLUMNS - 0.5) ** 2


def frame(seed):
    rng = np.random.default_rng(seed)
    light = LIGHT + np.where(UNLIT, 0, 5000)
    data = rng.poisson(light) + rng.normal(0, 3, light.shape)
    return data, np.maximum(data, 0) + 9


def test_level_has_pulls_of_width_one():
    pulls = []
    for seed in range(60):
        data, variance = frame(seed)
        found = fit_scattered_light(data, variance, UNLIT, (1, 2))
        part = np.s_[5:80:14, 10:200:60]
        pulls.append(((found.level - LIGHT) / np.sqrt(found.variance))[part])
    # 60 fits of 6 terms: 360 numbers, 4 percent.
    assert np.std(pulls) == pytest.approx(1, abs=0.12)
    assert np.mean(pulls) == pytest.approx(0, abs=0.15)


def test_cosmic_rays_are_left_out():
    data, variance = frame(1)
    clean = fit_scattered_light(data, variance, UNLIT, (1, 2))
    data[3:5, 20:80] += 3000
    found = fit_scattered_light(data, variance, UNLIT, (1, 2))
    assert not found.used[3:5, 20:80].any()
    assert np.abs(found.level - clean.level).max() < 0.3
    assert np.mean(found.variance) < 1.2 * np.mean(clean.variance)


def test_what_the_pixels_do_not_tell_is_refused():
    data, variance = frame(1)
    with pytest.raises(ValueError, match="do not tell a polynomial of degree 3 along"):
        fit_scattered_light(data, variance, Y == 3, (3, 1))
    with pytest.raises(ValueError, match="4 unlit pixels do not tell 4 terms"):
        fit_scattered_light(data, variance, (Y == 3) & (X < 4), (1, 1))
