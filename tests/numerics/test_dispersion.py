"""Fits of the wavelength to lines."""

import numpy as np
import pytest

from ndmapper.numerics.dispersion import best_order, fit_dispersion, fit_surface

N = 2048
DOMAIN = (0.0, N - 1.0)


def curve(x):
    u = 2 * x / (N - 1) - 1
    return 5000 + 1000 * u + 55 * u**2 - 8 * u**3


def lines(seed, count=30, error=0.03):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(20, N - 20, count))
    return x, curve(x) + rng.normal(0, error, count), np.full(count, error**2)


@pytest.mark.parametrize(("kind", "order"), [("polynomial", 3), ("spline", 3)])
def test_errors_of_the_solution_are_those_of_many_fits(kind, order):
    at = np.linspace(50, N - 50, 40)
    pulls = []
    for seed in range(60):
        fit = fit_dispersion(*lines(seed), domain=DOMAIN, kind=kind, order=order)
        pulls.append((fit(at) - curve(at)) / np.sqrt(fit.variance(at)))
    # A few of 30 lines are clipped or decide alone about an end; the error of this
    # width from 60 fits of 4 to 6 coefficients is .05.
    assert 0.8 < np.std(pulls) < 1.15
    assert abs(np.mean(pulls)) < 0.2


def test_left_out_lines_are_what_fits_without_them_miss():
    x, w, variance = lines(3, count=12)
    fit = fit_dispersion(x, w, variance, domain=DOMAIN, order=3)
    for i in range(12):
        rest = np.arange(12) != i
        without = np.polynomial.Polynomial.fit(x[rest], w[rest], 3)
        assert fit.left_out[i] == pytest.approx(w[i] - without(x[i]), abs=1e-6)
    assert fit.loo > fit.rms


def test_line_that_decides_alone_about_an_end_is_no_sure_one():
    x, w, variance = lines(4, count=14, error=0.01)
    x[-1] = N - 5.0
    x[:-1] *= 0.6
    w = curve(x)
    w[-1] += 2.0  # taken for its neighbour
    fit = fit_dispersion(x, w, variance, domain=DOMAIN, order=4)
    assert fit.used[-1]
    assert fit.rms < 0.1
    assert fit.loo > 0.3
    assert np.sqrt(fit.variance(N - 5.0)) > 0.5


def test_best_order_follows_the_curve_and_no_noise():
    orders = [
        best_order(*lines(seed, count=20), domain=DOMAIN).order for seed in range(20)
    ]
    assert np.mean(np.equal(orders, 3)) >= 0.8


def test_outliers_are_left_out():
    x, w, variance = lines(5)
    w[[4, 17]] += [3.0, -2.0]
    fit = fit_dispersion(x, w, variance, domain=DOMAIN, order=3)
    assert np.flatnonzero(~fit.used).tolist() == [4, 17]
    assert abs(fit(1000.0) - curve(1000.0)) < 0.03


def test_too_few_lines():
    x, w, variance = lines(6, count=6)
    with pytest.raises(ValueError, match=r"6 lines are too few .* order 4, .* needs 8"):
        fit_dispersion(x, w, variance, domain=DOMAIN, order=4)


def test_surface_of_tilted_and_curved_lines():
    rng = np.random.default_rng(8)
    x = np.repeat(np.linspace(30, N - 30, 25), 20)
    y = np.tile(np.linspace(0, 300, 20), 25)

    def truth(x, y):
        v = y / 150 - 1
        return curve(x - 1.5 * v * (1 + 0.1 * (x / 1024 - 1)) - 0.7 * v**2)

    w = truth(x, y)
    seen = x + rng.normal(0, 0.02, x.size)
    fit = fit_surface(
        seen, y, w, np.full(x.size, 0.02**2), domain=(*DOMAIN, 0.0, 300.0), order=4
    )
    yy, xx = np.mgrid[0:301:20, 0:N:50].astype(float)
    off = (fit(xx, yy) - truth(xx, yy)) / fit.slope(xx, yy)
    assert np.sqrt(np.mean(off**2)) < 0.01  # pixel
    wavelengths, variances = fit.on_image(300, N)
    np.testing.assert_allclose(wavelengths[::20, ::50], fit(xx, yy)[:15], rtol=1e-12)
    np.testing.assert_allclose(
        variances[::20, ::50], fit.variance(xx, yy)[:15], rtol=1e-6
    )
