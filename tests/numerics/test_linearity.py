import numpy as np
import pytest

from ndmapper.numerics.linearity import curve_of_points, curve_of_polynomial

MEASURED = np.linspace(-50, 60000, 301)


def test_polynomial_is_that_of_irlincor():
    x = MEASURED[MEASURED > 0] / 32767
    true, slope = curve_of_polynomial([1.0, 0.03, 0.002], scale=32767).correct(
        x * 32767
    )
    np.testing.assert_allclose(true, x * 32767 * (1 + 0.03 * x + 0.002 * x**2))
    np.testing.assert_allclose(slope, 1 + 0.06 * x + 0.006 * x**2)


def test_below_zero_is_the_tangent_there():
    true, slope = curve_of_polynomial([1.02, 1e-6]).correct([-50.0])
    assert true == pytest.approx([-51])
    assert slope == pytest.approx([1.02])


def test_above_the_limit_is_the_tangent_there():
    curve = curve_of_polynomial([1.0, 1e-6], limit=50000)
    true, slope = curve.correct([60000.0])
    assert slope == pytest.approx([1.1])
    assert true == pytest.approx([50000 * 1.05 + 10000 * 1.1])


# measured = true (1 - 1e-6 true) has the exact inverse (1 - sqrt(1 - 4e-6 m)) / 2e-6.
def test_inverse_of_a_parabola_is_exact():
    measured = np.linspace(0, 200000, 1001)
    true, slope = curve_of_polynomial([1.0, -1e-6], is_inverse=True).correct(measured)
    root = np.sqrt(1 - 4e-6 * measured)
    np.testing.assert_allclose(true, (1 - root) / 2e-6, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(slope, 1 / root, rtol=1e-7)


@pytest.mark.parametrize("terms", [[1.0], [0.9, 1e-6], [1, 2e-6, -3e-12, 1e-17]])
def test_inverse_undoes_a_polynomial(terms):
    true = np.linspace(0, 60000, 401)
    measured = sum(c * true ** (k + 1) for k, c in enumerate(terms))
    found, slope = curve_of_polynomial(terms, is_inverse=True).correct(measured)
    np.testing.assert_allclose(found, true, rtol=1e-9, atol=1e-6)
    steps = np.diff(found) / np.diff(measured)
    np.testing.assert_allclose((slope[1:] + slope[:-1]) / 2, steps, rtol=1e-3)


def test_curve_ends_before_the_polynomial_turns_round():
    # The slope 1 - 4e-5 m is a tenth at 22500.
    curve = curve_of_polynomial([1.0, -2e-5])
    assert curve.limit == pytest.approx(22500)
    true, slope = curve.correct(np.linspace(0, 65535, 100))
    assert (np.diff(true) > 0).all()
    assert (slope > 0.0999).all()
    inverse = curve_of_polynomial([1.0, -2e-5], is_inverse=True)
    assert inverse.limit == pytest.approx(22500 * (1 - 0.45))


def test_points_are_joined_by_straight_lines():
    curve = curve_of_points([(1000, 1000), (3000, 3100)])
    true, slope = curve.correct([-10.0, 500.0, 2000.0, 3000.0, 4000.0])
    assert true == pytest.approx([-10, 500, 2050, 3100, 4150])
    assert slope == pytest.approx([1, 1, 1.05, 1.05, 1.05])
    assert curve.limit == 3000


def test_limit_is_above_zero():
    with pytest.raises(ValueError, match="cannot end at -5"):
        curve_of_polynomial([1.0], limit=-5)
    with pytest.raises(ValueError, match="cannot end at 0"):
        curve_of_points([(1, 1)], limit=0.0)


@pytest.mark.parametrize(
    ("make", "given", "match"),
    [
        (curve_of_polynomial, [], "does not rise"),
        (curve_of_polynomial, [-1.0], "does not rise"),
        (curve_of_polynomial, [np.nan], "does not rise"),
        (curve_of_points, [(1, 2, 3)], "pairs"),
        (curve_of_points, [], "pairs"),
        (curve_of_points, [(2, 2), (1, 3)], "rise"),
        (curve_of_points, [(1, 1), (2, 1)], "rise"),
        (curve_of_points, [(-1, -1), (2, 1)], "rise"),
        (curve_of_points, [(0, 0)], "at least one point"),
    ],
)
def test_what_is_no_curve_is_refused(make, given, match):
    with pytest.raises(ValueError, match=match):
        make(given)
