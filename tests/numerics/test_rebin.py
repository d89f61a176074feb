"""Rebinning against sums that are known, and against its own noise."""

import numpy as np
import pytest

from ndmapper.numerics.correlated_noise import variance_of_sum
from ndmapper.numerics.rebin import pixel_edges, rebin

CENTRES = 4000 + 1.1 * np.arange(300) + 3e-4 * np.arange(300) ** 2


def rows(values):
    return np.atleast_2d(np.asarray(values, float))


@pytest.mark.parametrize("width", [0.7, 1.1, 2.0, 5.3])
@pytest.mark.parametrize("falls", [False, True])
def test_flux_is_conserved(width, falls):
    rng = np.random.default_rng(1)
    values = rng.uniform(1, 9, (3, 300))
    edges = np.stack([pixel_edges(CENTRES + shift) for shift in (0, 0.4, -3)])
    wanted = np.arange(3990, edges.max() + 10, width)
    if falls:
        edges, values = edges[:, ::-1], values[:, ::-1]
    found = rebin(values, values, edges, wanted)
    inside = found.known.sum(axis=1)
    assert inside.min() > 0.9 * 300 * 1.1 / width
    # All but the pixels that the first and last new one cut.
    low = np.array([wanted[:-1][k].min() for k in found.known])
    high = np.array([wanted[1:][k].max() for k in found.known])
    for n in range(3):
        row = edges[n] if not falls else edges[n, ::-1]
        flux = np.concatenate(
            [[0], np.cumsum(values[n] if not falls else values[n, ::-1])]
        )
        true = np.interp(high[n], row, flux) - np.interp(low[n], row, flux)
        assert found.values[n].sum() == pytest.approx(true, rel=1e-12)


def test_a_density_stays_what_it_is():
    edges = rows(pixel_edges(CENTRES))
    wanted = np.arange(4005, 4300, 2.3)
    slope = rows(0.02 * (CENTRES - 4000))
    found = rebin(slope, np.ones((1, 300)), edges, wanted, density=True)
    middle = (wanted[1:] + wanted[:-1]) / 2
    # Within a pixel the input is flat, so that a slope is met to a part of that.
    np.testing.assert_allclose(found.values[0], 0.02 * (middle - 4000), atol=0.012)
    assert np.mean(found.values[0] - 0.02 * (middle - 4000)) == pytest.approx(
        0, abs=1e-3
    )


@pytest.mark.parametrize("width", [0.6, 1.3, 3.0])
def test_variance_and_covariance_are_those_of_the_noise(width):
    rng = np.random.default_rng(2)
    variance = np.full((4000, 300), 4.0)
    values = rng.normal(0, 2, variance.shape)
    edges = np.broadcast_to(pixel_edges(CENTRES), (4000, 301))
    found = rebin(values, variance, edges, np.arange(4005, 4300, width))
    pull = found.values / np.sqrt(found.variance)
    assert np.std(pull) == pytest.approx(1, abs=0.01)
    for size in (2, 5, 20):
        sums = np.add.reduceat(found.values, np.arange(0, pull.shape[1], size), axis=1)
        claimed = [
            variance_of_sum(
                np.sqrt(found.variance[:1, n : n + size]), found.covariances
            )
            for n in range(0, pull.shape[1], size)
        ]
        ratio = np.std(sums[:, 1:-1] / np.sqrt(claimed[1:-1]))
        # The phase of pixels to each other varies, so that single sums do.
        assert ratio == pytest.approx(1, abs=0.03)
        naive = np.add.reduceat(found.variance[0], np.arange(0, pull.shape[1], size))
        if width < 2:
            assert np.std(sums[:, 1:-1] / np.sqrt(naive[1:-1])) > 1.1


def test_flags_follow_and_what_is_outside_is_not_known():
    flags = np.zeros((1, 300), np.uint16)
    flags[0, 100], flags[0, 101] = 8, 1
    edges = rows(pixel_edges(CENTRES))
    wanted = np.linspace(edges[0, 0] - 2, edges[0, -1] + 2, 500)
    values = np.ones((1, 300))
    values[0, 100] = np.nan
    found = rebin(values, values, edges, wanted, flags)
    marked = np.flatnonzero(found.flags[0])
    low, high = edges[0, 100], edges[0, 102]
    overlaps = (wanted[1:] > low) & (wanted[:-1] < high)
    assert marked.tolist() == np.flatnonzero(overlaps).tolist()
    assert np.all(np.isfinite(found.values))
    assert not found.known[0, [0, 1, -2, -1]].any()
    assert found.known[0, 5:-5].all()
    assert not found.values[~found.known].any()


def test_the_same_pixels_are_left_as_they_are():
    edges = pixel_edges(CENTRES)
    values = np.random.default_rng(3).uniform(0, 1, (1, 300))
    found = rebin(values, values, rows(edges), edges)
    np.testing.assert_allclose(found.values, values, rtol=1e-9)
    np.testing.assert_allclose(found.variance, values, rtol=1e-9)
    assert found.covariances[0, 0] == 1
    assert all(v < 1e-5 for lag, v in found.covariances.items() if lag != (0, 0))
