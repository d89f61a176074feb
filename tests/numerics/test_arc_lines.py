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


@pytest.mark.parametrize("fwhm", [1.8, 3.2, 7.0])
def test_flat_tops_are_saturated_without_a_flag(fwhm):
    rng = np.random.default_rng(4)
    places = np.arange(40, 2000, 60) + rng.uniform(-0.5, 0.5, 33)
    peaks = np.where(np.arange(33) % 2, 1e4, 4e5)
    data, _ = noisy(gaussians(2048, places, peaks, fwhm) + 20, rng)
    data = np.minimum(data, 60000)
    found = find_lines(data, data + 16)
    nearest = np.argmin(np.abs(found.pixel[:, None] - places), axis=1)
    saturated = (found.flags & LineFlag.SATURATED) != 0
    np.testing.assert_array_equal(saturated, peaks[nearest] > 60000)
    # Others are where they were: their errors are below .01 pixel.
    off = (found.pixel - places[nearest])[found.good]
    assert np.max(np.abs(off)) < 0.05


@pytest.mark.parametrize("fwhm", [1.8, 3.2, 10.0])
def test_no_gaussian_has_a_flat_top(fwhm):
    rng = np.random.default_rng(5)
    places = np.arange(40, 4000, 60) + rng.uniform(-0.5, 0.5, 66)
    for peak in (1.2e4, 3e4, 2e5):  # from where tops are looked at
        clean = gaussians(4096, places, np.full(66, peak), fwhm) + 20
        found = find_lines(*noisy(clean, rng), fwhm=fwhm)
        assert not np.any(found.flags & LineFlag.SATURATED)


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
