"""Units of operands and results, and operands that are refused."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, NDData, UnknownUncertainty

from ndmapper.data import DataFile, DataFileList, NDLater, deferred
from ndmapper.errors import IdentError, ParameterError, UnitError

A = np.arange(1, 7, dtype="f4").reshape(2, 3)


def image(unit=None, **options):
    return NDLater(A, variance=A, flags=A.astype("u2"), unit=unit, **options)


def unreadable(folder, name="odd.fits"):
    ndd = image()
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
    x = make(image("adu"))
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
    files = DataFileList(data=[DataFile(data=image("adu"))] * 2)
    assert {df[0].unit for df in files / u.s} == {u.adu / u.s}
    assert image("adu").multiply(u.s).unit == u.adu * u.s


@pytest.mark.parametrize(
    "operation",
    [
        lambda mag: image("Jy") + mag, lambda mag: mag - image("Jy"),
        lambda mag: mag + [1, 2, 3] * u.ABmag, lambda mag: mag - mag,
        lambda mag: mag * 2, lambda mag: mag**2, lambda mag: mag / image("s"),
        lambda mag: image("Jy") * u.ABmag,
    ],
)  # fmt: skip
def test_logarithmic_units_are_no_factors(operation):
    with pytest.raises(UnitError, match=r"mag\(AB\) is logarithmic"):
        operation(image(u.ABmag))


def test_number_without_unit_is_added_to_magnitudes():
    result = image(u.ABmag) - 25
    assert result.unit == u.ABmag
    np.testing.assert_array_equal(result.data, A - 25)
    assert result.uncertainty.unit is None


def test_unreadable_unit_stays_where_it_is_right(raw_folder):
    odd = unreadable(raw_folder)
    for result in (odd * 2, odd + odd, odd - 3, odd + image(), odd / A, odd**1):
        assert result[0].meta["BUNIT"] == "ergish/s"
        assert result[0].unit is None


def test_unreadable_unit_goes_where_it_is_wrong(raw_folder):
    odd = unreadable(raw_folder)
    for result in (odd * odd, odd / odd, odd**2, 1 / odd, odd * (2 * u.s),
                   odd * image("adu"), odd / u.s):  # fmt: skip
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
            image("adu") ** power
    files = DataFileList(data=[DataFile(data=image()), DataFile(data=image())])
    for rest in ([[1, 2], [3, 4]], ["a", "b"], [None, 1]):
        with pytest.raises(TypeError, match="for each of them, not"):
            files + rest
    one, other = DataFile(data=[image(), image()]), DataFile(data=[image(), image()])
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
    made = image("adu").divide(2, filename="half.fits")
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
