"""The sky of a slit, against simulated frames whose sky is known."""

import numpy as np
import pytest

from ndmapper.numerics.slit_sky import (
    find_sky_rows,
    fit_columns,
    fit_spline,
    variance_of_model,
)

READ_NOISE = 3.0


def frame(  # noqa: PLR0917
    rows=120, columns=400, tilt=1.0, lines=3000.0, level=50.0, star=300.0, seed=1
):
    """Make a slit with tilted and curved lines, and a star that moves along it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns].astype(float)
    slit = 2 * y / rows - 1
    u = x - tilt * (slit + 0.4 * slit**2)
    wavelengths = 4000 + 1.2 * u + 1e-5 * u**2
    sky = level * (1 + 0.1 * u / columns)
    where = np.random.default_rng(9)
    for centre, height in zip(
        where.uniform(0, columns, 15), lines * where.uniform(0.1, 1, 15), strict=True
    ):
        sky = sky + height * np.exp(-0.5 * ((u - centre) / 1.1) ** 2)
    sky = sky * (1 + 0.02 * slit)
    centre = rows / 3 + 6 * x / columns
    objects = star * np.exp(-0.5 * ((y - centre) / 2.5) ** 2)
    data = rng.poisson(sky + objects) + rng.normal(0, READ_NOISE, sky.shape)
    variance = READ_NOISE**2 + np.maximum(data, 0)
    true = READ_NOISE**2 + sky + objects
    return data, variance, wavelengths, sky, objects, true


@pytest.mark.parametrize("tilt", [0.0, 1.0, -4.0])
@pytest.mark.parametrize("lines", [100.0, 10000.0])
def test_spline_leaves_the_noise_and_knows_its_error(tilt, lines):
    data, variance, waves, sky, objects, true = frame(tilt=tilt, lines=lines)
    good = np.ones(data.shape, bool)
    rows = find_sky_rows(data, variance, good)
    found = fit_spline(data, variance, rows, waves, degree=1, spacing=0.75)
    rows = find_sky_rows(data, variance, good, found.level)
    assert not rows[objects > 30].any()
    found = fit_spline(data, variance, rows, waves, degree=1, spacing=0.75)
    blank = objects < 0.1
    # 1.1 times the noise is what a user can ask; 44 000 pixels tell it to 0.4 percent.
    left = ((data - found.level) / np.sqrt(true))[blank]
    assert 0.97 < np.std(left) < 1.03
    bright = blank & (sky > 2 * np.median(sky))
    width = np.std(((data - found.level) / np.sqrt(true))[bright])
    assert width < 1.02 + 3 / np.sqrt(2 * np.count_nonzero(bright))
    # The fit has about 1000 free numbers, whose errors are correlated.
    pull = ((found.level - sky) / np.sqrt(found.variance))[blank]
    assert 0.9 < np.std(pull) < 1.2
    assert abs(np.mean(pull)) < 0.25


def test_rows_that_all_sample_lines_at_the_same_places():
    data, variance, _, sky, objects, true = frame(tilt=0.0)
    waves = np.broadcast_to(4000 + 1.2 * np.arange(400.0), data.shape)
    flat = np.broadcast_to(np.median(sky, axis=0), data.shape)
    data = data - sky + flat
    good = objects < 0.1
    found = fit_spline(data, variance, good, waves, degree=0, spacing=0.75)
    assert np.std(((data - found.level) / np.sqrt(true))[good]) < 1.05


def test_cosmic_rays_and_flagged_pixels_do_not_matter():
    data, variance, waves, sky, objects, _ = frame(seed=3)
    rng = np.random.default_rng(5)
    hit = rng.random(data.shape) < 0.01
    data, variance = np.where(hit, data + 5000, data), np.where(hit, 6000, variance)
    good = np.ones(data.shape, bool)
    good[40:60, 100:110] = False
    data[40:60, 100:110] = 1e6
    found = fit_spline(data, variance, good & (objects < 0.1), waves, degree=1)
    assert not found.used[hit].any()
    assert np.max(np.abs((found.level - sky) / np.sqrt(found.variance))) < 7


def test_columns_follow_the_slit_and_a_column_without_pixels_is_unknown():
    rng = np.random.default_rng(2)
    slit = np.linspace(-1, 1, 60)[:, np.newaxis]
    sky = np.broadcast_to(100 + 20 * slit + 5 * slit**2, (60, 300))
    data = rng.poisson(sky).astype(float)
    good = np.ones(data.shape, bool)
    good[:, 17] = False
    good[:, 18] = np.arange(60) == 5
    found = fit_columns(data, np.maximum(data, 1.0), good, degree=2)
    unknown = np.flatnonzero(~np.isfinite(found.level).all(axis=0))
    assert unknown.tolist() == [17, 18]
    known = np.isfinite(found.level)
    pull = ((found.level - sky) / np.sqrt(found.variance))[known]
    # 298 columns of three numbers each: the width is known to 2.4 percent.
    assert 0.9 < np.std(pull) < 1.1
    assert abs(np.mean(pull)) < 0.15


def test_weights_do_not_favour_low_counts():
    rng = np.random.default_rng(4)
    sky = np.full((100, 500), 8.0)
    data = rng.poisson(sky) + rng.normal(0, 1.0, sky.shape)
    variance = 1.0 + np.maximum(data, 0)
    good = np.ones(data.shape, bool)
    model = variance_of_model(data, variance, sky, good)
    np.testing.assert_allclose(model, 9.0, rtol=1e-6)
    found = fit_columns(data, variance, good, degree=0)
    # Weights of the data's own variance are 8 percent too low here.
    assert abs(np.mean(found.level) / 8 - 1) < 0.01


def test_objects_are_found_beside_each_other_and_not_in_an_empty_slit():
    data, variance, *_ = frame(star=0.0, seed=6)
    good = np.ones(data.shape, bool)
    assert np.mean(find_sky_rows(data, variance, good)) > 0.97
    rows = np.arange(120)[:, np.newaxis]
    for centre in (25, 90):
        data = data + 200 * np.exp(-0.5 * ((rows - centre) / 3) ** 2)
    sky = find_sky_rows(data, variance, good)
    assert not sky[[25, 90]].any()
    assert sky[50:70].mean() > 0.95
