"""Powers, bits, forms in place: of images, files and lists."""

import operator

import numpy as np
import pytest
from astropy import units as u
from astropy.utils.masked import Masked

from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import IdentError, ParameterError, ShapeError, UnitError
from ndmapper.testing import make_mef

IN_PLACE = {
    "add": (operator.add, operator.iadd),
    "subtract": (operator.sub, operator.isub),
    "multiply": (operator.mul, operator.imul),
    "divide": (operator.truediv, operator.itruediv),
    "power": (operator.pow, operator.ipow),
}
BITS = {
    "bitwise_and": (operator.and_, operator.iand, 2),
    "bitwise_or": (operator.or_, operator.ior, 7),
    "bitwise_xor": (operator.xor, operator.ixor, 5),
}


def image(value=6, dtype="f4", **kwargs):
    return NDLater(np.full((2, 3), value, dtype), **kwargs)


@pytest.fixture
def three_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        make_mef(tmp_path / f"{name}.fits", n_ext=2)
    return tmp_path


# ---- powers and bits


@pytest.mark.parametrize("number", [2, 2.0, np.float32(2), 2 * u.one])
def test_power_with_a_number_on_either_side(number):
    ndd = image(3, variance=np.ones((2, 3), "f4"))
    assert (ndd**number).data[0, 0] == 9
    assert (ndd**number).variance[0, 0] == 36
    assert (2**ndd).data[0, 0] == 8
    assert (ndd**number).dtype == (2**ndd).dtype == np.float32


def test_power_changes_the_unit():
    ndd = image(3, unit="adu")
    assert (ndd**2).unit == u.adu**2
    assert (ndd**0.5).unit == u.adu**0.5
    assert (image(3) ** 2).unit is None


@pytest.mark.parametrize("exponent", [image(2), 2 * u.s, image(2, unit="s")])
def test_power_with_units_that_make_no_sense_is_an_error(exponent):
    with pytest.raises(UnitError):
        image(3, unit="adu") ** exponent


def test_power_exponent_in_percent_is_a_number():
    assert (image(9, "f8") ** (50 * u.percent)).data[0, 0] == 3


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4"])
def test_bits_of_integers(name, dtype):
    op, _, expected = BITS[name]
    left, right = image(6, dtype, variance=np.ones((2, 3))), image(3, dtype)
    for result in (op(left, right), op(left, 3), op(3, left), getattr(left, name)(3)):
        assert result.data[0, 0] == expected
        assert (result.dtype, result.variance) == (np.dtype(dtype), None)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "?"])
def test_bits_are_turned_over_as_numpy_does(dtype):
    ndd = image(1, dtype)
    np.testing.assert_array_equal((~ndd).data, ~ndd.data)
    np.testing.assert_array_equal(ndd.invert().data, ~ndd.data)


@pytest.mark.parametrize("other", [1.0, image(1), np.ones((2, 3))])
def test_bits_of_other_numbers_are_an_error(other):
    with pytest.raises(TypeError, match="bits of integers"):
        image(1, "u2") & other
    with pytest.raises(TypeError, match="bits of integers"):
        ~image(1)


def test_bits_of_two_units_are_an_error():
    with pytest.raises(UnitError):
        image(1, "u2", unit="m") | image(1, "u2", unit="km")


# ---- in place


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_is_the_same_object_and_the_same_numbers(name):
    op, op_in_place = IN_PLACE[name]
    ndd = image(6, variance=np.ones((2, 3), "f4"), flags=np.ones((2, 3), "u2"))
    other = image(2, variance=np.ones((2, 3), "f4"), flags=np.full((2, 3), 4, "u2"))
    fresh, same = op(ndd, other), ndd
    ndd = op_in_place(ndd, other)
    assert ndd is same
    for part in ("data", "variance", "flags"):
        np.testing.assert_array_equal(getattr(ndd, part), getattr(fresh, part))


def test_in_place_uses_the_memory_that_is_there():
    ndd = image(6, variance=np.ones((2, 3), "f4"))
    data, variance, uncertainty = ndd.data, ndd.variance, ndd.uncertainty
    ndd *= 2
    assert ndd.data is data
    assert ndd.variance is variance
    assert data[0, 0] == 12
    assert ndd.uncertainty.array[0, 0] == uncertainty.array[0, 0] == 4


def test_in_place_leaves_a_copy_alone():
    ndd = image(6)
    copy = ndd.copy()
    copy *= 2
    assert (ndd.data[0, 0], copy.data[0, 0]) == (6, 12)


def test_in_place_of_integers_becomes_floating_point():
    ndd = image(6, "u2")
    ndd -= 7
    assert (ndd.data[0, 0], ndd.dtype) == (-1, np.float32)


def test_in_place_with_a_turned_view_of_itself():
    ndd = NDLater(np.arange(6.0).reshape(2, 3))
    ndd -= ndd.data[::-1]
    assert ndd.data.tolist() == [[-3, -3, -3], [3, 3, 3]]


def test_in_place_changes_the_unit():
    ndd = image(6, unit="adu", variance=np.ones((2, 3)))
    ndd *= 2 * u.electron / u.adu
    assert (ndd.unit, ndd.uncertainty.unit) == (u.electron, u.electron**2)


def test_in_place_error_changes_nothing():
    ndd = image(6, unit="adu")
    with pytest.raises(UnitError):
        ndd += 1 * u.s
    with pytest.raises(ShapeError):
        ndd += np.ones((5, 2, 3))
    with pytest.raises(TypeError):
        ndd += "x"
    assert (ndd.data[0, 0], ndd.unit) == (6, u.adu)


@pytest.mark.parametrize("name", BITS)
def test_in_place_bits(name):
    _, op, expected = BITS[name]
    ndd = image(6, "u2", variance=np.ones((2, 3)))
    ndd = op(ndd, 3)
    assert (ndd.data[0, 0], ndd.variance) == (expected, None)


@pytest.mark.parametrize("is_read", [False, True])
def test_in_place_of_a_file_is_saved_under_its_name(three_files, is_read):
    df = DataFile("a.fits", mode="update")
    same, header = df, df[0].meta["EXTNAME"]
    if is_read:
        _ = [(ndd.data, ndd.variance) for ndd in df]
    df -= DataFile("b.fits")
    assert df is same
    df.save()
    again = DataFile("a.fits")
    assert [ndd.data.max() for ndd in again] == [0, 0]
    assert [ndd.variance[0, 0] for ndd in again] == [2, 2]
    assert (again[0].meta["EXTNAME"], list(again.tables)) == (header, ["MDF"])


def test_in_place_of_a_file_checks_all_before_it_changes_one(three_files):
    df, other = DataFile("a.fits"), DataFile("b.fits")
    other[1] = NDLater(np.ones((3, 3)))
    with pytest.raises(ShapeError):
        df += other
    short = df[:1]
    with pytest.raises(IdentError):
        short += DataFile("b.fits")
    assert df.unloaded


def test_in_place_of_a_list_changes_its_files(three_files):
    files = DataFileList("*.fits", mode="update")
    same, members = files, list(files)
    files /= files[0]
    files **= 2
    assert files is same
    assert all(a is b for a, b in zip(files, members, strict=True))
    files.save()
    assert [DataFile(n)[1].data[2, 2] for n in ["a.fits", "b.fits", "c.fits"]] == [
        1
    ] * 3


def test_in_place_of_a_list_that_would_grow_is_an_error(three_files):
    files = DataFileList("a.fits")
    with pytest.raises(ShapeError, match="3 results"):
        files += DataFileList("*.fits")


@pytest.mark.parametrize("kind", ["file", "list"])
def test_files_and_lists_have_every_operator(three_files, kind):
    one = DataFile("a.fits") if kind == "file" else DataFileList("*.fits")

    def value(result):
        return (result if kind == "file" else result[-1])[0].data[0, 0]

    assert value(one**2) == 1e6
    assert value(2 ** (one / (1000 * u.adu))) == 2
    assert value(one.power(2)) == 1e6
    assert value(-one) == -1000
    whole = DataFile(data=image(6, "u2"))
    bits = whole if kind == "file" else DataFileList(data=[whole])
    assert value(bits & 3) == value(3 & bits) == value(bits.bitwise_and(3)) == 2
    assert value(~bits) == value(bits.invert()) == 65529
    assert value(bits | 1) == 7
    assert value(bits ^ 3) == 5


# ---- masked arrays, whose mask becomes the flag BAD


MASKED = {
    "numpy": lambda: np.ma.array(np.full((2, 3), 2.0), mask=[[1, 0, 0], [0, 0, 0]]),
    "astropy": lambda: Masked(np.full((2, 3), 2.0), mask=[[1, 0, 0], [0, 0, 0]]),
    "quantity": lambda: Masked(
        np.full((2, 3), 2.0) * u.adu, mask=[[1, 0, 0], [0, 0, 0]]
    ),
}


@pytest.mark.parametrize("kind", MASKED)
def test_mask_of_a_masked_operand_counts(kind):
    masked = MASKED[kind]()
    ndd = NDLater(np.full((2, 3), 6.0), unit="adu")
    for result in (ndd + masked, masked + ndd, NDLater(masked) + 6 * ndd.unit):
        assert isinstance(result, NDLater)
        assert (result.data == 8).all()
        assert result.mask.tolist() == [[True, False, False], [False] * 3]
    ndd *= masked.value if kind == "quantity" else masked
    assert ndd.mask.tolist() == [[True, False, False], [False] * 3]


def test_mask_of_a_masked_operand_is_said_in_the_convention_of_the_file():
    ndd = NDLater(np.ones((2, 3)), flags=np.zeros((2, 3), "i2"))
    ndd.flag_table = "hst"
    ndd.bad_flags = "BAD"
    result = ndd + MASKED["numpy"]()
    assert result.flags[0, 0] == ndd.flag_table.like_own(Flag.BAD)
    assert result.mask.sum() == 1


def test_mask_of_a_masked_operand_counts_for_each_file_of_a_list():
    files = DataFileList(data=[NDLater(np.ones((2, 3))), NDLater(np.ones((2, 3)))])
    for df in files - MASKED["numpy"]():
        assert df[0].mask.sum() == 1
    files -= MASKED["numpy"]()
    assert [df[0].mask.sum() for df in files] == [1, 1]


# ---- numbers as bits


@pytest.mark.parametrize(
    ("dtype", "name", "number", "expected"),
    [
        ("u2", "and", ~4, 0xFFF3 & ~4),
        ("u2", "or", ~4, 0xFFFB),
        ("u1", "and", -1, 0xF3),
        ("u1", "and", 0x1FF, 0xF3),
        ("i2", "and", ~4, 0xFFF3 - 0x10000 & ~4),
        ("i2", "and", 0xFFFF, 0xFFF3 - 0x10000),
        ("i2", "xor", 0x8000, 0x7FF3),
        ("u8", "xor", -1, 12),
        ("?", "and", ~4, True),
        ("?", "and", 4, False),
    ],
)
def test_numbers_are_bits_of_the_type_of_the_array(dtype, name, number, expected):
    value = 1 if dtype == "?" else ~12 & (1 << 8 * np.dtype(dtype).itemsize) - 1
    bits = np.array([value], "u8").astype(dtype)
    ndd = NDLater(bits)
    operator = {"and": ndd.bitwise_and, "or": ndd.bitwise_or, "xor": ndd.bitwise_xor}
    result = operator[name](number)
    assert result.dtype == bits.dtype
    assert result.data.tolist() == [expected]


@pytest.mark.parametrize(("dtype", "number"), [("u1", 256), ("i2", 1 << 16), ("?", 2)])
def test_bits_that_the_type_has_not_are_a_clear_error(dtype, number):
    ndd = NDLater(np.ones(3, dtype))
    with pytest.raises(ParameterError, match="bits"):
        _ = ndd | number
    with pytest.raises(ParameterError, match="astype"):
        _ = number ^ ndd
