import operator

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, NDData, StdDevUncertainty

from ndmapper.data import NDLater
from ndmapper.errors import ShapeError, UnitError

pytestmark = pytest.mark.usefixtures("loops")

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv]


@pytest.fixture
def left():
    return NDLater(
        np.full((2, 3), 8, "f4"), variance=np.full((2, 3), 2, "f4"),
        flags=np.array([[0, 1, 2]] * 2, "u2"), meta={"OBJECT": "left"}, ident=4,
    )  # fmt: skip


@pytest.fixture
def right():
    return NDLater(np.full((2, 3), 4, "f4"), variance=np.ones((2, 3), "f4"),
                   flags=np.array([[4, 0, 0]] * 2, "u2"))  # fmt: skip


@pytest.mark.parametrize("op", OPERATORS)
def test_two_images_give_numbers_variance_and_flags(left, right, op):
    result = op(left, right)
    variance = {
        operator.add: 3, operator.sub: 3,
        operator.mul: 2 * 4**2 + 1 * 8**2, operator.truediv: 2 / 4**2 + 8**2 / 4**4,
    }[op]  # fmt: skip
    assert result.data[0, 0] == op(8, 4)
    np.testing.assert_allclose(result.variance, variance)
    assert result.flags.tolist() == [[4, 1, 2]] * 2
    assert result.data.dtype == result.variance.dtype == np.float32


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize(
    "number",
    [4, 4.0, np.float64(4), np.float32(4), np.int64(4), u.Quantity(4)],
)  # fmt: skip
def test_numbers_on_either_side_keep_float32(left, op, number):
    assert op(left, number).data.tolist() == [[op(8.0, 4)] * 3] * 2
    assert op(number, left).data.tolist() == [[op(4, 8.0)] * 3] * 2
    assert op(number, left).dtype == op(left, number).dtype == np.float32


@pytest.mark.parametrize("op", OPERATORS)
def test_arrays_on_either_side(left, op):
    array = np.full((2, 3), 4, "f4")
    for result in (op(left, array), op(array, left)):
        assert isinstance(result, NDLater)
        assert result.variance is not None
    assert op(array, left).data[0, 0] == op(4, 8)


def test_row_is_broadcast(left):
    assert (left - np.arange(3)).data.tolist() == [[8, 7, 6]] * 2


def test_negative(left):
    assert (-left).data[0, 0] == -8
    assert (-left).variance[0, 0] == 2


def test_integers_do_not_wrap():
    small, large = NDLater(np.array([1], "u2")), NDLater(np.array([3], "u2"))
    result = small - large
    assert (result.data.tolist(), result.dtype) == ([-2], np.float32)


def test_header_ident_and_file_are_those_of_the_left(left, right):
    result = left - right
    assert (result.meta["OBJECT"], result.ident) == ("left", 4)
    assert (3 - left).ident == 4
    result.meta["OBJECT"] = "changed"
    assert left.meta["OBJECT"] == "left"


def test_operands_are_left_as_they_were(left, right):
    result = left * right
    result.data[...] = result.variance[...] = 0
    result.flags[...] = 9
    assert (left.data[0, 0], left.variance[0, 0], left.flags[0, 0]) == (8, 2, 0)


@pytest.mark.parametrize("kind", [NDData, CCDData])
def test_other_nddata_are_operands(left, kind):
    other = kind(np.full((2, 3), 4.0), uncertainty=StdDevUncertainty(np.ones((2, 3))),
                 unit="adu", mask=np.array([[True, False, False]] * 2))  # fmt: skip
    left.unit = "adu"
    result = left + other
    np.testing.assert_allclose(result.variance, 3)
    assert result.flags.tolist() == [[1, 1, 2]] * 2


@pytest.mark.parametrize(
    ("op", "first", "second", "unit", "value"),
    [
        (operator.add, "adu", "adu", "adu", 12),
        (operator.add, "m", "km", "m", 4008),
        (operator.add, "adu", None, "adu", 12),
        (operator.sub, None, "adu", "adu", 4),
        (operator.mul, "adu", "electron/adu", "electron", 32),
        (operator.mul, "adu", None, "adu", 32),
        (operator.truediv, "adu", "s", "adu/s", 2),
        (operator.truediv, None, "adu", None, 2),
        (operator.truediv, None, None, None, 2),
    ],
)
def test_units_of_two_images(  # noqa: PLR0917
    left, right, op, first, second, unit, value
):
    left.unit, right.unit = first, second
    result = op(left, right)
    assert result.unit == (None if unit is None else u.Unit(unit))
    assert result.data[0, 0] == value


def test_units_converted_with_their_variance(left, right):
    left.unit, right.unit = "m", "km"
    np.testing.assert_allclose((left + right).variance, 2 + 1e6)


def test_units_that_do_not_match_are_an_error(left, right):
    left.unit, right.unit = "adu", "s"
    with pytest.raises(UnitError, match="adu and s"):
        left + right


def test_quantity_changes_the_unit(left):
    left.unit = "adu"
    gain = 1.5 * u.electron / u.adu
    for result in (left * gain, gain * left):
        assert isinstance(result, NDLater)
        assert (result.unit, result.data[0, 0]) == (u.electron, 12)
    assert (2 / left).unit == u.adu**-1


@pytest.mark.parametrize("other", [np.zeros(4), np.zeros((3, 2)), np.zeros((5, 2, 3))])
def test_shapes_that_do_not_match_are_an_error(left, other):
    with pytest.raises(ShapeError, match="do not match"):
        left - other


@pytest.mark.parametrize("other", ["x", None, object(), [1, 2, 3]])
def test_other_things_are_a_type_error(left, other):
    with pytest.raises(TypeError):
        left + other
    with pytest.raises(TypeError):
        left.add(other)


@pytest.mark.parametrize(
    ("name", "op"),
    list(zip(["add", "subtract", "multiply", "divide"], OPERATORS, strict=True)),
)
def test_methods_do_as_operators(left, right, name, op):
    np.testing.assert_array_equal(getattr(left, name)(right).data, op(left, right).data)


def test_comparison_is_never_elementwise(left):
    assert (left == left.copy()) is False
    assert left == left  # noqa: PLR0124  # identity is the claim


@pytest.mark.parametrize(
    ("result", "data", "variance"),
    [
        (lambda n: n + 1, 6, 4),
        (lambda n: 2 * n, 10, 16),
        (lambda n: n * n, 25, 200),
        (lambda n: 10 / n, 2, 0.64),
        (lambda n: n**2, 25, 400),
        (lambda n: n - n, 0, 8),
    ],
)
def test_images_without_axes_are_combined(result, data, variance):
    made = result(NDLater(np.float32(5), variance=np.float32(4), flags=np.uint16(8)))
    assert made.shape == ()
    assert float(made.data) == pytest.approx(data)
    assert float(made.variance) == pytest.approx(variance)
    assert made.dtype.kind == "f"


def test_mean_is_a_number_that_does_not_widen():
    ndd = NDLater(np.full((2, 3), 4, "f4"), variance=np.ones((2, 3), "f4"))
    assert (ndd / (ndd.mean() * 2)).dtype == np.float32
    assert (ndd / (ndd.mean() * 2)).data.tolist() == [[0.5] * 3] * 2
