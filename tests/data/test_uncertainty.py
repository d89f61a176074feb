"""Standard deviations and variances in files: their units, and odd values."""

import logging

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance, StdDevUncertainty

from ndmapper.data import DataFile, DataFileList, NDLater, deferred
from ndmapper.errors import UnitError
from ndmapper.io.units import unit_from_text
from ndmapper.numerics import arith
from ndmapper.numerics.arith import Pixels, combine

STD = {"data": "SCI", "uncertainty": "ERR", "flags": "DQ", "uncertainty_is": "std"}
UNITS = {"std": "electron", "variance": "electron2"}


def with_uncertainty(path, kind, unit="electron", *, states_unit=True):
    """Write a file whose ERR or VAR has a unit, and give the labels that it has."""
    labels = {**STD, "uncertainty": "ERR" if kind == "std" else "VAR"}
    labels["uncertainty_is"] = kind
    hdus = [fits.PrimaryHDU()]
    for name, text in (("SCI", unit), (labels["uncertainty"], UNITS[kind])):
        hdus.append(fits.ImageHDU(np.full((2, 3), 4, "f4"), name=name, ver=1))
        if text and (name == "SCI" or states_unit):
            hdus[-1].header["BUNIT"] = text
    fits.HDUList(hdus).writeto(path)
    return labels


@pytest.mark.parametrize("unit", ["electron", None, "furlongs/fortnite"])
@pytest.mark.parametrize(("kind", "other"), [("std", "variance"), ("variance", "std")])
def test_unit_of_the_uncertainty_follows_what_it_is(tmp_path, kind, other, unit):
    labels = with_uncertainty(tmp_path / "a.fits", kind, unit)
    df = DataFile(tmp_path / "a.fits", labels=labels)
    df.labels = {**labels, "uncertainty_is": other}
    df.save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert u.Unit(hdus[2].header["BUNIT"]) == u.Unit(UNITS[other])
        assert hdus[2].data[0, 0] == (2 if other == "std" else 16)
    df.labels = labels
    df.save(tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits") as hdus:
        assert u.Unit(hdus[2].header["BUNIT"]) == u.Unit(UNITS[kind])
        assert hdus[2].data[0, 0] == 4


def test_unit_of_the_uncertainty_stays_in_results_of_arithmetic(tmp_path):
    labels = with_uncertainty(tmp_path / "a.fits", "std", None)
    df = DataFile(tmp_path / "a.fits", labels=labels)
    for result in (df * 2, DataFile(data=df * 2, labels=labels)):
        result.save(tmp_path / "b.fits", overwrite=True)
        with fits.open(tmp_path / "b.fits") as hdus:
            assert hdus[2].header["BUNIT"] == "electron"
            assert hdus[2].data[0, 0] == 8
    apart = DataFile(data=[df[0] * 2])
    apart.save(tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits") as hdus:
        assert hdus["VAR"].header["BUNIT"] == "electron2"
        assert hdus["VAR"].data[0, 0] == 64


def test_unit_that_no_uncertainty_states_is_not_made_up(tmp_path):
    labels = with_uncertainty(tmp_path / "a.fits", "std", states_unit=False)
    df = DataFile(tmp_path / "a.fits", labels=labels)
    df.labels = {**labels, "uncertainty_is": "variance"}
    df.save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert "BUNIT" not in hdus[2].header


def test_variances_without_a_root_and_errors_that_are_large_to_square(tmp_path):
    ndd = NDLater(np.ones((2, 3)), variance=np.full((2, 3), -1.0))
    DataFile(data=[ndd], labels="hst").save(tmp_path / "a.fits")
    assert np.isnan(fits.getdata(tmp_path / "a.fits", "ERR")).all()
    large = NDLater(np.ones((2, 3), "f4"), variance=np.full((2, 3), np.inf, "f4"))
    DataFile(data=[large], labels="hst").save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits", mode="update") as hdus:
        hdus["ERR"].data[...] = 1e30
    df = DataFile(tmp_path / "b.fits", mode="update")
    np.testing.assert_allclose(df[0].variance, 1e60, rtol=1e-6)
    df.meta["NEW"] = 1
    df.save()
    assert (fits.getdata(tmp_path / "b.fits", "ERR") == np.float32(1e30)).all()


# ---- what the header of an uncertainty says of its unit


def write_with_units(path, data_unit, unit, name="VAR", value=4e6, *, tiled=False):
    kind = fits.CompImageHDU if tiled else fits.ImageHDU
    hdus = [kind(np.full((16, 16), v, "f4"), name=n)
            for n, v in (("SCI", 10), (name, value))]  # fmt: skip
    for hdu, text in zip(hdus, (data_unit, unit), strict=True):
        if text:
            hdu.header["BUNIT"] = text
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, overwrite=True)
    return path


CASES = [
    ("Jy", "mJy2", "VAR", 4), ("Jy", "(mJy)**2", "VAR", 4), ("JY", "mJy", "ERR", 16e6),
    ("adu", "ADU**2", "VAR", 4e6), ("adu", None, "VAR", 4e6),
    (None, "adu2", "VAR", 4e6),
]  # fmt: skip


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_uncertainty_is_in_the_unit_of_the_data(tmp_path, case, tiled):
    data, unit, name, expected = case
    path = write_with_units(tmp_path / "a.fits", data, unit, name, tiled=tiled)
    ndd = DataFile(path)[0]
    np.testing.assert_allclose(ndd.variance, expected, rtol=1e-6)
    np.testing.assert_allclose(ndd[2:4, 3].variance, expected, rtol=1e-6)
    (DataFile(path) * 2).save(tmp_path / "b.fits")
    made = DataFile(tmp_path / "b.fits")[0]
    np.testing.assert_allclose(made.variance, 4 * expected, rtol=1e-6)
    stored = fits.getheader(tmp_path / "b.fits", name).get("BUNIT")
    if data and unit:
        wanted = made.unit if name == "ERR" else made.unit**2
        assert unit_from_text(stored) == wanted


@pytest.mark.parametrize("name", ["VAR", "ERR"])
def test_copied_uncertainty_stays_as_it_is_stored(tmp_path, name):
    unit = "mJy" if name == "ERR" else "mJy2"
    df = DataFile(
        write_with_units(tmp_path / "a.fits", "Jy", unit, name), mode="update"
    )
    before = df[0].variance.copy()
    df.meta["NEW"] = 1
    df.save()
    with fits.open(tmp_path / "a.fits") as hdus:
        assert hdus[2].header["BUNIT"] == unit
        assert hdus[2].data[0, 0] == np.float32(4e6)
    np.testing.assert_array_equal(df[0].variance, before)
    np.testing.assert_array_equal(DataFile(tmp_path / "a.fits")[0].variance, before)


def test_data_that_are_called_otherwise_take_their_variance_along(tmp_path):
    df = DataFile(write_with_units(tmp_path / "a.fits", "Jy", "mJy2"), mode="update")
    df[0].meta["BUNIT"] = "adu"
    df.save()
    assert fits.getheader(tmp_path / "a.fits", "VAR")["BUNIT"] == "adu2"
    np.testing.assert_allclose(DataFile(tmp_path / "a.fits")[0].variance, 4)


def test_units_that_do_not_go_together_are_named_once(tmp_path, caplog):
    path = write_with_units(tmp_path / "a.fits", "adu", "electron2")
    with caplog.at_level(logging.WARNING, "ndmapper"):
        for _ in range(2):
            assert DataFile(path)[0].variance[0, 0] == np.float32(4e6)
    (message,) = caplog.messages
    assert "a.fits" in message
    assert "'electron2' beside data in 'adu'" in message


def test_unit_of_an_uncertainty_object_is_checked():
    std = StdDevUncertainty(np.ones(2, "f4"), unit="mJy")
    assert NDLater(np.ones(2), uncertainty=std, unit="Jy").variance[0] == 1e-6
    ivar = InverseVariance(np.full(2, 4.0), unit=u.Jy**-2)
    assert NDLater(np.ones(2), uncertainty=ivar, unit="Jy").variance[0] == 0.25
    with pytest.raises(UnitError, match="electron2 does not go with data in Jy"):
        NDLater(
            np.ones(2), uncertainty=StdDevUncertainty(np.ones(2), unit="electron"),
            unit="Jy",
        )  # fmt: skip


# ---- variances that float32 does not hold, though it holds the data


SHAPE = (40, 30)


def write_values(path, name, value, error):
    hdus = [fits.ImageHDU(np.full(SHAPE, v, "f4"), name=n)
            for n, v in (("SCI", value), (name, error))]  # fmt: skip
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, overwrite=True)
    return path


def stored(path, name):
    with fits.open(path) as hdus:
        return hdus[name].data.dtype.newbyteorder("="), float(hdus[name].data[3, 4])


@pytest.fixture(params=[None, 100], ids=["whole", "rows"])
def rows(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(deferred, "_BLOCK", request.param)


WAYS = {
    "saved": lambda path, out: (DataFile(path) * 1e-5).save(out),
    "compressed": lambda path, out: (DataFile(path) * 1e-5).save(out),
    "there and back": lambda path, out: (DataFile(path) * 1e-8 * 1e3).save(out),
    "list": lambda path, out: (DataFileList([path]) * 1e-5).save(filename=[out]),
    "method": lambda path, out: DataFileList([path]).multiply(1e-5, filename=[out]),
}


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [1e-23, 1e-15, 1e20])
@pytest.mark.parametrize("name", ["ERR", "VAR"])
def test_errors_of_any_size_survive(tmp_path, name, error, way):
    path = write_values(tmp_path / "a.fits", "ERR", 10 * error, error)
    if name == "VAR":
        DataFile(path, labels="hst").save(tmp_path / "x.fits")
        df = DataFile(tmp_path / "x.fits")
        path = tmp_path / "var.fits"
        DataFile(data=[NDLater(df[0].data, variance=df[0].variance)]).save(path)
    out = tmp_path / ("b.fits.gz" if way == "compressed" else "b.fits")
    WAYS[way](path, out)
    dtype, value = stored(out, name)
    expected = error * 1e-5 if name == "ERR" else (error * 1e-5) ** 2
    assert value == pytest.approx(expected, rel=1e-5)
    assert dtype == (np.float32 if name == "ERR" else np.float64)
    np.testing.assert_allclose(
        DataFile(out)[0].variance, (error * 1e-5) ** 2, rtol=1e-5
    )


@pytest.mark.usefixtures("rows")
def test_float32_is_left_only_where_it_must_be(tmp_path):
    path = write_values(tmp_path / "a.fits", "VAR", 1e-18, 1e-37)
    for factor, dtype in ((1.0, "f4"), (1e-4, "f8"), (1e4, "f4")):
        result = DataFile(path) * factor
        result.save(tmp_path / "b.fits", overwrite=True)
        found, value = stored(tmp_path / "b.fits", "VAR")
        assert found == dtype
        assert value == pytest.approx(1e-37 * factor**2, rel=1e-5)
        whole = (DataFile(path) * factor)[0].variance
        assert (whole.dtype, whole[0, 0]) == (found, value)


def test_errors_of_a_file_come_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(3)
    errors = (10.0 ** rng.uniform(-40, 37, SHAPE)).astype("f4")
    hdus = [fits.ImageHDU(np.ones(SHAPE, "f4"), name="SCI"),
            fits.ImageHDU(errors, name="ERR")]  # fmt: skip
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    (DataFile(tmp_path / "a.fits") + 1).save(tmp_path / "b.fits")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "b.fits", "ERR"), errors)


def test_in_place_in_memory(tmp_path):
    df = DataFile(write_values(tmp_path / "a.fits", "VAR", 1, 1e-30))
    assert df[0].variance.dtype == np.float32
    df *= 1e-10
    assert df[0].variance[0, 0] == pytest.approx(1e-50, rel=1e-6)
    ndd = NDLater(np.ones(3, "f4"), variance=np.ones(3, "f4"))
    ndd /= np.array([1, 1e22, 1e-22], "f4")
    np.testing.assert_allclose(ndd.variance, [1, 1e-44, 1e44], rtol=1e-6)


@pytest.mark.parametrize("kind", [StdDevUncertainty, InverseVariance])
@pytest.mark.parametrize("error", [1e-23, 1.0, 1e20])
def test_uncertainty_objects_of_any_size(kind, error):
    given = error if kind is StdDevUncertainty else error**-2
    dtype = "f4" if kind is StdDevUncertainty else "f8"
    ndd = NDLater(np.ones(2, "f4"), uncertainty=kind(np.full(2, given, dtype)))
    np.testing.assert_allclose(ndd.variance, error**2, rtol=1e-6)


def test_other_units(tmp_path):
    ndd = NDLater(np.ones(2, "f4"), variance=np.ones(2, "f4"), unit="Jy")
    made = ndd.convert_unit_to("W / (m2 Hz)")
    np.testing.assert_allclose(made.variance, 1e-52, rtol=1e-6)
    total = NDLater(np.zeros(2, "f4"), variance=np.zeros(2, "f4"), unit=made.unit) + ndd
    np.testing.assert_allclose(total.variance, 1e-52, rtol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
def test_numbers_agree_with_double_precision(monkeypatch, name, order, compiled):
    monkeypatch.setattr(arith, "FUSED_FROM", 1 if compiled else 1 << 40)
    rng = np.random.default_rng(1)
    dtype = np.dtype("f4").newbyteorder(order)

    def image(value, variance):
        arrays = [v * (rng.random(500) + 0.5) for v in (value, variance)]
        for array in arrays:
            array[rng.random(500) < 0.1] = 0
        return Pixels(*(array.astype(dtype) for array in arrays))

    for one, two in (((1, 1), (2, 3)), ((1e-15, 1e-30), (1e-10, 1e-20)),
                     ((1e20, 1e37), (10, 1)), ((1, 1), (1e-23, 1e-36))):  # fmt: skip
        left, right = image(*one), image(*two)
        wide = [np.asarray(a, "f8") for p in (left, right) for a in p[:2]]
        with np.errstate(all="ignore"):
            exact = arith.FORMULAS[name](*wide)[1]
        made = combine(name, left, right).variance
        np.testing.assert_allclose(made, exact, rtol=1e-4, atol=0)
        out = Pixels(np.empty(500, dtype), np.empty(500, "f8"))
        assert combine(name, left, right, out=out).variance is out.variance
        np.testing.assert_array_equal(out.variance, made.astype("f8"))
        place = Pixels(left.data.copy(), left.variance.copy())
        again = combine(name, place, right, out=place).variance
        np.testing.assert_array_equal(again, made)


@pytest.mark.parametrize(
    ("dtype", "suffix"),
    [("i1", "fits"), ("i2", "fits"), ("u2", "fits"), ("f4", "fits"), ("i2", "fits.fz")],
)
@pytest.mark.parametrize("unit", ["Jy", "mJy"])
@pytest.mark.parametrize("kind", ["std", "variance", "ivar"])
def test_uncertainty_of_any_stored_type_is_read_as_variance(
    tmp_path, kind, unit, suffix, dtype
):
    stored = np.arange(2, 8).reshape(2, 3).astype(dtype)
    power = {"std": 1, "variance": 2, "ivar": -2}[kind]
    make = fits.CompImageHDU if suffix == "fits.fz" else fits.ImageHDU
    hdus = [fits.PrimaryHDU()]
    for name, array, n in (("SCI", np.ones((2, 3), "i2"), 1), ("ERR", stored, power)):
        hdus.append(make(array, name=name))
        hdus[-1].header["EXTVER"] = 1
        hdus[-1].header["BUNIT"] = f"{unit if name == 'ERR' else 'Jy'}{n}"
    fits.HDUList(hdus).writeto(tmp_path / f"a.{suffix}")
    labels = {"data": "SCI", "uncertainty": "ERR", "uncertainty_is": kind}
    df = DataFile(tmp_path / f"a.{suffix}", labels=labels)
    factor = 1 if unit == "Jy" or kind == "ivar" else 0.001**power
    values = factor * stored.astype(float)
    expected = {"std": values**2, "variance": values, "ivar": 1 / values}[kind]
    assert df[0][1].variance.dtype == df[0].copy().content.arrays["uncertainty"].dtype
    np.testing.assert_allclose(df[0][1].variance, expected[1], rtol=1e-6)
    np.testing.assert_allclose(df[0].variance, expected, rtol=1e-6)
    df[0].data += 1
    df.save(tmp_path / f"b.{suffix}")
    with fits.open(tmp_path / f"b.{suffix}") as saved:
        np.testing.assert_array_equal(saved["ERR"].data, stored)
