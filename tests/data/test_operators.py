"""Powers, bits, forms in place: of images, files and lists."""

import itertools
import operator

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, NDData, UnknownUncertainty
from astropy.utils.masked import Masked

from ndmapper.data import DataFile, DataFileList, Flag, NDLater, deferred
from ndmapper.errors import IdentError, ParameterError, ShapeError, UnitError
from ndmapper.numerics.overlaps import Overlaps
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


# ---- units of operands and results, and operands that are refused


A = np.arange(1, 7, dtype="f4").reshape(2, 3)


def image_of_unit(unit=None, **options):
    return NDLater(A, variance=A, flags=A.astype("u2"), unit=unit, **options)


def unreadable(folder, name="odd.fits"):
    ndd = image_of_unit()
    ndd.meta["BUNIT"] = "ergish/s"
    DataFile(data=ndd).save(name, overwrite=True)
    return DataFile(name)


@pytest.mark.parametrize("dtype", ["i2", "u2", "u1", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("block", [None, 5])
@pytest.mark.parametrize("swapped", [False, True])
def test_scaled_operand_of_any_type_from_files(
    raw_folder, monkeypatch, dtype, block, swapped
):
    whole = np.arange(1, 101).reshape(20, 5)
    DataFile(data=NDLater(whole.astype(dtype), unit="mJy")).save("m.fits")
    DataFile(data=NDLater(whole.astype("f4"), unit="Jy")).save("j.fits")
    if block:
        monkeypatch.setattr(deferred, "_BLOCK", block)
    m, j = DataFile("m.fits"), DataFile("j.fits")
    result = m + j if swapped else j - m
    expected = 1001 * whole if swapped else 0.999 * whole
    promised = result[0].dtype
    assert promised == (np.float64 if dtype in ("i4", "u4", "f8") else np.float32)
    result.save("new.fits")
    stored = DataFile("new.fits")[0]
    assert stored.dtype == promised
    assert stored.unit == (u.mJy if swapped else u.Jy)
    np.testing.assert_allclose(stored.data, expected, rtol=1e-6)


@pytest.mark.parametrize("make", [lambda n: n, lambda n: DataFile(data=n)])
def test_bare_unit_multiplies_and_divides(make):
    x = make(image_of_unit("adu"))
    for result, unit in ((x * u.s, u.adu * u.s), (u.s * x, u.adu * u.s),
                         (x / u.s, u.adu / u.s), (u.s / x, u.s / u.adu)):  # fmt: skip
        assert type(result) is type(x)
        ndd = result[0] if isinstance(result, DataFile) else result
        assert ndd.unit == unit
        assert ndd.has("flags")
        assert ndd.has("uncertainty")
    x /= u.s
    assert (x[0] if isinstance(x, DataFile) else x).unit == u.adu / u.s
    with pytest.raises(TypeError, match=r"\+ takes no bare unit"):
        x + u.s


def test_bare_unit_goes_with_a_list_and_its_methods():
    files = DataFileList(data=[DataFile(data=image_of_unit("adu"))] * 2)
    assert {df[0].unit for df in files / u.s} == {u.adu / u.s}
    assert image_of_unit("adu").multiply(u.s).unit == u.adu * u.s


@pytest.mark.parametrize(
    "operation",
    [
        lambda mag: image_of_unit("Jy") + mag, lambda mag: mag - image_of_unit("Jy"),
        lambda mag: mag + [1, 2, 3] * u.ABmag, lambda mag: mag - mag,
        lambda mag: mag * 2, lambda mag: mag**2, lambda mag: mag / image_of_unit("s"),
        lambda mag: image_of_unit("Jy") * u.ABmag,
    ],
)  # fmt: skip
def test_logarithmic_units_are_no_factors(operation):
    with pytest.raises(UnitError, match=r"mag\(AB\) is logarithmic"):
        operation(image_of_unit(u.ABmag))


def test_number_without_unit_is_added_to_magnitudes():
    result = image_of_unit(u.ABmag) - 25
    assert result.unit == u.ABmag
    np.testing.assert_array_equal(result.data, A - 25)
    assert result.uncertainty.unit is None


def test_unreadable_unit_stays_where_it_is_right(raw_folder):
    odd = unreadable(raw_folder)
    for result in (odd * 2, odd + odd, odd - 3, odd + image_of_unit(), odd / A, odd**1):
        assert result[0].meta["BUNIT"] == "ergish/s"
        assert result[0].unit is None


def test_unreadable_unit_goes_where_it_is_wrong(raw_folder):
    odd = unreadable(raw_folder)
    for result in (odd * odd, odd / odd, odd**2, 1 / odd, odd * (2 * u.s),
                   odd * image_of_unit("adu"), odd / u.s):  # fmt: skip
        result.save("new.fits", overwrite=True)
        stored = DataFile("new.fits")[0]
        assert "BUNIT" not in stored.meta
        assert stored.unit is None
    odd *= odd
    assert "BUNIT" not in odd[0].meta


@pytest.mark.parametrize(
    "value",
    [
        A * 1j, np.complex64(1j), np.array(1j), np.array(["2020-01-01"], "M8"),
        np.str_("3"), np.array([None, 1, 2]), np.array(["a", "b", "c"]),
        (A * 1j) * u.adu,
    ],
)  # fmt: skip
def test_operand_of_no_real_numbers_is_refused(value):
    with pytest.raises(TypeError, match=r"\* takes real numbers, not"):
        NDLater(A) * value
    with pytest.raises(TypeError, match=r"\* takes real numbers, not"):
        DataFile(data=NDLater(A)) * value


def test_other_odd_operands_are_explained():
    with pytest.raises(ParameterError, match="308 digits"):
        NDLater(A) + 10**400
    with pytest.raises(TypeError, match="variance cannot be made of a Unknown"):
        NDLater(A) + NDData(A, uncertainty=UnknownUncertainty(A))
    for power in (np.nan, np.inf):
        with pytest.raises(UnitError, match="adu to the power of"):
            image_of_unit("adu") ** power
    files = DataFileList(
        data=[DataFile(data=image_of_unit()), DataFile(data=image_of_unit())]
    )
    for rest in ([[1, 2], [3, 4]], ["a", "b"], [None, 1]):
        with pytest.raises(TypeError, match="for each of them, not"):
            files + rest
    one, other = (
        DataFile(data=[image_of_unit(), image_of_unit()]),
        DataFile(data=[image_of_unit(), image_of_unit()]),
    )
    other[0].ident, other[1].ident = "A", "B"
    with pytest.raises(IdentError, match=r"DataFile .* has the extensions \[1, 2\]"):
        one + other


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
def test_bits_of_signed_and_unsigned_of_64_bits(name):
    left, right = np.array([1, 6], "u8"), np.array([-2, 3], "i8")
    result = getattr(NDLater(left), name)(NDLater(right))
    assert result.dtype == np.int64
    expected = getattr(np, name)(left.astype("i8"), right)
    np.testing.assert_array_equal(result.data, expected)


def test_masked_functions_of_numpy_see_the_pixels():
    ndd = NDLater(A)
    np.testing.assert_array_equal(np.ma.getdata(ndd), A)
    np.testing.assert_array_equal(np.ma.add(A, ndd), 2 * A)
    assert np.ma.masked_greater(ndd, 3).count() == 3


def test_method_of_an_image_names_a_file(raw_folder):
    made = image_of_unit("adu").divide(2, filename="half.fits")
    assert isinstance(made, DataFile)
    assert str(made.filename) == "half.fits"
    made.save()
    np.testing.assert_array_equal(DataFile("half.fits")[0].data, A / 2)


# ---- what a result is like


def described(name, shapes, **cards):
    groups = []
    for number, shape in enumerate(shapes, start=1):
        ndd = NDLater(np.full(shape, 2.0, "f4"))
        ndd.meta["GAIN"], ndd.meta["WHO"] = number, name
        groups.append(ndd)
    df = DataFile(data=groups)
    df.meta["OBJECT"] = name
    df.save(f"{name}.fits")
    return DataFile(f"{name}.fits")


def test_single_extension_lends_no_headers(raw_folder):
    one, three = described("one", [(2, 3)]), described("three", [(2, 3)] * 3)
    for result in (one - three, three - one, NDLater(A) - three, A - three,
                   CCDData(A, unit="") - three):  # fmt: skip
        assert result.meta["OBJECT"] == "three"
        assert [ndd.meta["GAIN"] for ndd in result] == [1, 2, 3]
        assert {ndd.meta["WHO"] for ndd in result} == {"three"}


def test_row_may_stand_on_either_side(raw_folder):
    row, whole = described("row", [(3,)]), described("whole", [(2, 3)])
    np.testing.assert_array_equal((row[0] / whole[0]).data, np.ones((2, 3)))
    assert (row[0] / whole[0]).meta["WHO"] == "whole"
    assert (row - whole)[0].shape == (2, 3)
    assert (row - whole)[0].meta["WHO"] == "whole"


# ---- arithmetic in place, where an operand is among the things that are changed


def write_groups(name, *factors):
    groups = [
        NDLater(A * f, variance=A, flags=np.full(A.shape, 1 << i, "u2"))
        for i, f in enumerate(factors)
    ]
    DataFile(data=groups).save(name, overwrite=True)
    return DataFile(name)


def look(df, what):
    for position, name in what:
        getattr(df[position], name)
    return df


LOOKS = [(), ((0, "data"),), ((0, "variance"),), ((1, "data"), (0, "flags"))]


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize(
    "operand", [lambda a: a[0], lambda a: a[1], lambda a: a[0].data, lambda a: a]
)
@pytest.mark.parametrize("name", ["__iadd__", "__isub__", "__imul__", "__itruediv__"])
def test_operand_of_the_file_itself_is_what_it_was(raw_folder, looks, operand, name):
    def result(in_place):
        a = look(write_groups(f"{in_place}.fits", 10, 20, 40), looks)
        other = operand(a)
        return getattr(a, name if in_place else name.replace("__i", "__"))(other)

    for changed, new in zip(result(True), result(False), strict=True):
        np.testing.assert_array_equal(changed.data, new.data)
        np.testing.assert_array_equal(changed.variance, new.variance)
        np.testing.assert_array_equal(changed.flags, new.flags)


def test_array_that_is_held_takes_the_result_all_the_same(raw_folder):
    a = write_groups("q.fits", 10, 20)
    held = a[0].data
    a -= a[0]
    assert a[0].data is held
    np.testing.assert_array_equal(held, 0 * A)
    np.testing.assert_array_equal(a[1].data, 10 * A)


def test_array_of_the_file_in_another_view(raw_folder):
    a = write_groups("q.fits", 10, 20)
    flat = a[0].data.reshape(-1)[::-1].reshape(2, 3)
    expected = [10 * A - 10 * A[::-1, ::-1], 20 * A - 10 * A[::-1, ::-1]]
    a -= flat
    for ndd, right in zip(a, expected, strict=True):
        np.testing.assert_array_equal(ndd.data, right)


@pytest.mark.parametrize("looked", [*itertools.product([False, True], repeat=3)])
def test_files_of_a_list_in_another_order(raw_folder, looked):
    files = [write_groups(f"p{i}.fits", i + 3) for i in range(3)]
    for df, look_at in zip(files, looked, strict=True):
        if look_at:
            _ = df[0].data
    changed = DataFileList(data=files)
    changed -= [files[1], files[2], files[0]]
    for df, factor in zip(files, (-1, -1, 2), strict=True):
        np.testing.assert_array_equal(df[0].data, factor * A)


def test_overlaps_are_found_among_many():
    whole = np.zeros((50, 10))
    parts = [(whole[10 * i : 10 * i + 5], i) for i in range(5)]
    parts.append((whole[:, 3], 9))
    other = np.zeros(7)
    overlaps = Overlaps(parts[:5])
    assert [overlaps.last(a) for a, _ in parts[:5]] == [0, 1, 2, 3, 4]
    assert overlaps.last(whole) == 4
    assert overlaps.last(whole[::-1]) == 4
    assert overlaps.last(whole[12:24]) == 2
    assert overlaps.last(whole[5:10]) == -1
    assert overlaps.last(other) == -1
    assert Overlaps(parts).last(whole[5:10]) == 9
    assert Overlaps([(other, 3)]).last(whole) == -1
    assert Overlaps([]).last(whole) == -1
