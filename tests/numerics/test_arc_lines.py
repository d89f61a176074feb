"""Lines of an arc: found, measured, and what is wrong with them."""

import numpy as np
import pytest
from shared_arcs import gaussians, noisy

from ndmapper.numerics.arc_lines import LineFlag, find_lines


@pytest.mark.parametrize("fwhm", [2.2, 3.5, 6.0])
def test_centres_and_their_errors(fwhm):
    places = (
        np.arange(30, 1000, 40) + np.linspace(0, 0.9, 25)[: len(range(30, 1000, 40))]
    )
    pulls = []
    for seed in range(12):
        clean = gaussians(1024, places, np.full(len(places), 800.0), fwhm) + 30
        found = find_lines(*noisy(clean, np.random.default_rng(seed)))
        assert len(found) == len(places)
        assert found.width == pytest.approx(fwhm, rel=0.08)
        pulls.append((found.pixel - places) / found.error)
    # 300 pulls: their width is known to 4 percent, that of lines 2.2 pixels wide has
    # the sampling in it, too.
    assert 0.88 < np.std(pulls) < 1.15
    assert abs(np.mean(pulls)) < 0.2


def test_lines_near_each_other_are_resolved():
    places = [100.0, 106.0, 300.3, 304.5]
    clean = gaussians(400, places, [9000, 6000, 5000, 7000], 2.6) + 10
    found = find_lines(*noisy(clean, np.random.default_rng(1)), fwhm=2.6)
    np.testing.assert_allclose(found.pixel, places, atol=0.06)
    assert np.all(found.good)
    assert np.all(found.shift > 0.1)


def test_lines_that_are_not_resolved_are_wide():
    places = [50.0, 120, 200.0, 202.6, 280, 350.0]
    clean = gaussians(400, places, [8000, 5000, 6000, 6000, 7000, 4000], 3) + 10
    found = find_lines(*noisy(clean, np.random.default_rng(2)))
    assert len(found) == 5
    assert found.flags.tolist() == [0, 0, LineFlag.WIDE, 0, 0]


def test_saturated_lines_cosmic_rays_and_ends():
    clean = gaussians(500, [60, 150.3, 250, 400, 498.6], [9e3, 9e4, 7e3, 5e3, 6e3], 3.2)
    data, variance = noisy(clean, np.random.default_rng(3))
    bad = data > 65000
    data = np.minimum(data, 65000)
    data[330] += 8000
    found = find_lines(data, variance, bad=bad)
    flags = dict(
        zip(np.round(found.pixel).astype(int).tolist(), found.flags, strict=True)
    )
    assert flags[60] == flags[250] == flags[400] == 0
    assert flags[150] & LineFlag.SATURATED
    assert flags[330]
    assert all(flag for place, flag in flags.items() if place > 490)


def test_noise_without_variance_is_that_of_the_continuum():
    rng = np.random.default_rng(4)
    spectrum = gaussians(600, [100, 300, 500], [500, 900, 700], 3) + rng.normal(
        0, 5, 600
    )
    assert len(find_lines(spectrum)) == 3


def test_nothing_to_find():
    flat = np.full(300, 10.0)
    with pytest.raises(ValueError, match="no line has a peak of more than 10 standard"):
        find_lines(flat, flat)
    with pytest.raises(ValueError, match="no pixel of the spectrum is good"):
        find_lines(flat * np.nan)
