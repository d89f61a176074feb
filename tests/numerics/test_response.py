"""Means in bands, and the spline of a response."""

import numpy as np
import pytest

from ndmapper.numerics.response import band_means, fit_response

pytest.importorskip("scipy", reason="the extra ccd is not installed")


def fitted(centres, values, variance, **words):
    words = {"spacing": 100.0, "clip": 3.0, "spectrum": np.zeros(centres.size, int)} | (
        words
    )
    return fit_response(
        centres, values, variance, limits=(centres[0], centres[-1]), **words
    )


def test_band_means_of_parts_of_pixels():
    edges = np.array([0.0, 1.0, 2.0, 4.0])
    found = band_means(
        edges, np.array([1.0, 3.0, 5.0]), np.array([1.0, 1.0, 1.0]),
        np.array([True, True, True]),
        low=np.array([0.5, 1.0, 5.0]), high=np.array([1.5, 4.0, 6.0]),
    )  # fmt: skip
    assert found.values[:2] == pytest.approx([2.0, 13 / 3])
    # Of pixels of width 1 and 2: (1 + 4) / 9.
    assert found.variance[1] == pytest.approx(5 / 9)
    assert found.covered == pytest.approx([1, 1, 0])
    assert np.isnan(found.values[2])


def test_bad_pixels_are_left_out_of_bands():
    found = band_means(
        np.arange(5.0), np.array([1.0, 100.0, 1.0, 1.0]), np.ones(4),
        np.array([True, False, True, True]), low=np.array([0.0]), high=np.array([4.0]),
    )  # fmt: skip
    assert found.values == pytest.approx([1.0])
    assert found.covered == pytest.approx([0.75])


def test_a_cubic_is_found_without_error():
    x = np.linspace(4000, 5000, 60)
    y = 1e-9 * (x - 4300) ** 3 + 0.2
    fit = fitted(x, y, np.full(60, 1e-4))
    at = np.linspace(4000, 5000, 777)
    assert fit.at(at)[0] == pytest.approx(1e-9 * (at - 4300) ** 3 + 0.2, abs=1e-9)
    assert np.isnan(fit.at(np.array([3999.0, 5001.0]))).all()


def test_errors_are_those_of_many_fits():
    rng = np.random.default_rng(1)
    x = np.linspace(4000, 5000, 60)
    at = np.linspace(4000, 5000, 50)
    found = [fitted(x, rng.normal(0, 0.02, 60), np.full(60, 4e-4)) for _ in range(100)]
    values = np.array([fit.at(at)[0] for fit in found])
    claimed = np.mean([fit.at(at)[1] for fit in found], axis=0)
    # The standard deviation of 100 is known to 7 percent, and here of some ten places.
    assert np.mean(values.std(axis=0) / np.sqrt(claimed)) == pytest.approx(1, abs=0.07)


def test_outliers_and_offsets():
    rng = np.random.default_rng(2)
    x = np.tile(np.linspace(4000, 5000, 50), 2)
    which = np.repeat([0, 1], 50)
    y = np.sin(x / 200) + 0.3 * which + rng.normal(0, 0.01, 100)
    y[[10, 70]] += 1
    fit = fitted(x[:50], y[:50], np.full(50, 1e-4))
    both = fit_response(
        x, y, np.full(100, 1e-4), limits=(4000, 5000), spacing=100, clip=4,
        spectrum=which,
    )  # fmt: skip
    assert not both.kept[[10, 70]].any()
    assert both.kept.sum() >= 96
    assert both.offsets == pytest.approx([0, 0.3], abs=0.01)
    assert not fit.kept[10]


def test_few_bands_have_few_knots():
    x = np.array([4000.0, 4100, 4200, 4300, 4400])
    fit = fitted(x, x / 1000, np.full(5, 1e-4))
    assert fit.at(x)[0] == pytest.approx(x / 1000, abs=1e-6)
