"""Variances that float32 does not hold, though it holds the data."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import InverseVariance, StdDevUncertainty

from ndmapper.data import DataFile, DataFileList, NDLater, deferred
from ndmapper.numerics import arith
from ndmapper.numerics.arith import Pixels, combine

SHAPE = (40, 30)


def write(path, name, value, error):
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
    path = write(tmp_path / "a.fits", "ERR", 10 * error, error)
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
    path = write(tmp_path / "a.fits", "VAR", 1e-18, 1e-37)
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
    df = DataFile(write(tmp_path / "a.fits", "VAR", 1, 1e-30))
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
