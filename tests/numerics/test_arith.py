import numpy as np
import pytest

from ndmapper.numerics.arith import OPERATIONS, Pixels
from ndmapper.numerics.formulas import as_float

NAMES = ["add", "divide", "multiply", "subtract"]


def reference(name, x, y):
    return {"add": x + y, "subtract": x - y, "multiply": x * y, "divide": x / y}[name]


@pytest.mark.parametrize("name", NAMES)
def test_operation_variance_agrees_with_monte_carlo(name):
    rng = np.random.default_rng(1)
    shape, draws = (40, 50), 2000
    left, right = rng.uniform(50, 100, shape), rng.uniform(20, 40, shape)
    # Relative errors of 2 %, so that terms of second order are below 0.1 %.
    var_left, var_right = (0.02 * left) ** 2, (0.02 * right) ** 2
    total = np.zeros(shape)
    truth = reference(name, left, right)
    for _ in range(draws):
        x = left + np.sqrt(var_left) * rng.standard_normal(shape)
        y = right + np.sqrt(var_right) * rng.standard_normal(shape)
        total += (reference(name, x, y) - truth) ** 2
    result = OPERATIONS[name](Pixels(left, var_left), Pixels(right, var_right))
    pull = np.sqrt((total / draws / result.variance).mean())
    # 4 million numbers: the width has a standard error of 1 / sqrt(2 * 4e6) = 3.5e-4.
    # Second order adds up to 1e-3 to a quotient.
    assert pull == pytest.approx(1, abs=3e-3)


@pytest.mark.parametrize("name", NAMES)
def test_operation_pull_is_standard_normal(name):
    rng = np.random.default_rng(2)
    shape = (500, 500)
    x, y = np.full(shape, 80.0), np.full(shape, 30.0)
    left = Pixels(x + rng.standard_normal(shape), np.ones(shape))
    right = Pixels(y + 0.3 * rng.standard_normal(shape), np.full(shape, 0.09))
    result = OPERATIONS[name](left, right)
    pull = (result.data - reference(name, x, y)) / np.sqrt(result.variance)
    # 250 000 pixels: errors 2e-3 of the mean and 1.4e-3 of the width, taken five
    # times. A product's variance is taken at the noisy values, which skews the mean
    # by at most the relative error, 1 %.
    assert abs(pull.mean()) < 0.02
    assert pull.std() == pytest.approx(1, abs=7e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", ["left", "right"])
def test_operation_variance_of_one_operand_is_that_term_alone(name, which):
    x, y, zero = np.full(4, 8.0), np.full(4, 3.0), np.zeros(4)
    v = np.full(4, 0.5)
    one = {"left": (Pixels(x, v), Pixels(y)), "right": (Pixels(x), Pixels(y, v))}[which]
    both = {
        "left": (Pixels(x, v), Pixels(y, zero)),
        "right": (Pixels(x, zero), Pixels(y, v)),
    }[which]
    np.testing.assert_array_equal(
        OPERATIONS[name](*one).variance, OPERATIONS[name](*both).variance
    )


@pytest.mark.parametrize("name", NAMES)
def test_operation_without_variance_and_flags_has_none(name):
    result = OPERATIONS[name](Pixels(np.ones(3)), Pixels(np.ones(3)))
    assert result.variance is None
    assert result.flags is None


@pytest.mark.parametrize("name", NAMES)
def test_operation_float32_stays_float32(name):
    one = Pixels(np.ones(3, "f4"), np.ones(3, "f4"))
    for other in (one, Pixels(2.0)):
        result = OPERATIONS[name](one, other)
        assert (result.data.dtype, result.variance.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_operation_flags_are_joined(name):
    one = Pixels(np.ones(3), None, np.array([0, 1, 2], "u2"))
    other = Pixels(np.ones(3), None, np.array([4, 1, 0], "u2"))
    assert OPERATIONS[name](one, other).flags.tolist() == [4, 1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_operation_shares_no_memory_with_its_operands(name):
    one = Pixels(np.ones(3), np.ones(3), np.ones(3, "u2"))
    result = OPERATIONS[name](one, Pixels(1.0))
    for mine, theirs in zip(result, one, strict=True):
        assert not np.shares_memory(mine, theirs)


def test_operation_row_of_variance_is_broadcast():
    result = OPERATIONS["add"](
        Pixels(np.ones((2, 3))), Pixels(np.ones(3), np.arange(3.0), np.arange(3))
    )
    assert result.variance.tolist() == [[0, 1, 2]] * 2
    assert result.flags.tolist() == [[0, 1, 2]] * 2


def test_divide_by_zero_is_infinite_and_silent():
    one = Pixels(np.array([1.0, 0.0]), np.ones(2))
    result = OPERATIONS["divide"](one, Pixels(np.zeros(2), np.ones(2)))
    assert np.isinf(result.data[0])
    assert np.isnan(result.data[1])
    assert not np.isfinite(result.variance).any()


def test_divide_large_float32_does_not_overflow():
    large = np.array([1e12], "f4")
    result = OPERATIONS["divide"](Pixels(large, large), Pixels(large, large))
    # (1e12 + 1e12) / 1e24, to the precision of float32
    np.testing.assert_allclose(result.variance, 2e-12, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("u1", "f4"), ("i2", "f4"), ("u2", "f4"), ("i4", "f8"), ("f2", "f4"), ("f4", "f4"),
     ("f8", "f8"), ("?", "f4")],
)  # fmt: skip
def test_as_float_is_as_narrow_as_holds_the_numbers(dtype, expected):
    assert as_float(np.zeros(3, dtype)).dtype == expected


def test_subtract_unsigned_does_not_wrap():
    small, large = as_float(np.array([1], "u2")), as_float(np.array([3], "u2"))
    assert OPERATIONS["subtract"](Pixels(small), Pixels(large)).data.tolist() == [-2]
