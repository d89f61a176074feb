import numpy as np
import pytest

from ndmapper.numerics.lamp_response import fit_response

pytest.importorskip("scipy", reason="the extra ccd is not installed")

X = np.arange(800.0)


def columns(lamp, error=1e-3, seed=1):
    """Means of columns of a lamp with errors of a thousandth of its brightest."""
    rng = np.random.default_rng(seed)
    size = error * np.sqrt(lamp * lamp.max())
    return lamp + size * rng.normal(size=lamp.size), size


def test_fit_response_of_a_smooth_lamp_has_its_errors():
    lamp = 1000 * np.exp(-(((X - 400) / 300) ** 2))
    ratios = []
    for seed in range(20):
        fit = fit_response(*columns(lamp, seed=seed))
        assert not fit.missed.any()
        ratios.append((fit.values / lamp - 1) / np.sqrt(fit.relative_variance))
    # 20 fits of 28 coefficients: 3 per cent.
    assert np.std(ratios) == pytest.approx(1, abs=0.1)


def test_fit_response_where_the_lamp_ends_is_dark():
    lamp = np.where(X < 200, 1e-9, 1000.0)
    fit = fit_response(lamp, np.full(X.size, 5.0))
    assert fit.dark[:200].all()
    assert not fit.dark[200:].any()
    np.testing.assert_allclose(fit.values, 1000, rtol=1e-3)


def test_fit_response_of_an_edge_is_told_and_does_not_bend_the_rest():
    mean, error = columns(np.where(X < 300, 1000.0, 500.0))
    fit = fit_response(mean, error)
    (where,) = np.nonzero(fit.missed)
    assert 285 < where.min() <= 300 <= where.max() < 315
    off = fit.values / np.where(X < 300, 1000.0, 500.0) - 1
    assert np.abs(off[~fit.missed]).max() < 5e-3


def test_fit_response_in_the_dark_raises():
    with pytest.raises(ValueError, match="lit at 0 pixels"):
        fit_response(np.zeros(50), np.ones(50))
