"""Wavelengths as the world coordinates of spectra."""

import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.lib.spec.axis import wavelengths_of, with_wavelengths
from ndmapper.steps import run_task

PIXELS = np.arange(200.0)
CURVED = 3400 + PIXELS + 2e-4 * PIXELS**2


def spectrum(n=200):
    return NDLater(data=np.ones(n, np.float32), variance=np.ones(n, np.float32))


@pytest.mark.parametrize("medium", ["air", "vacuum"])
@pytest.mark.parametrize(
    "values", [3400 + 0.7 * PIXELS, CURVED, CURVED[::-1]], ids=["line", "table", "fall"]
)
def test_wavelengths_are_kept_in_memory_and_in_files(tmp_path, values, medium):
    made = with_wavelengths(spectrum(), values, medium)
    df = DataFile(tmp_path / "one.fits", mode="new")
    df.append(made)
    df.append(made[20:50] * 2)
    df.save()
    df.save()  # nothing has changed
    for one in (made, made.copy(), df[0], DataFile(df.filename)[0]):
        found = wavelengths_of(one)
        np.testing.assert_allclose(found.values, values, rtol=1e-13)
        assert found.medium == medium
    for one in (made[20:50], df[1], DataFile(df.filename)[1]):
        np.testing.assert_allclose(
            wavelengths_of(one).values, values[20:50], rtol=1e-13
        )


def test_astropy_reads_a_table_of_wavelengths(tmp_path):
    df = DataFile(tmp_path / "one.fits", mode="new")
    df.append(with_wavelengths(spectrum(), CURVED, "air"))
    df.append(with_wavelengths(spectrum(), CURVED + 7, "air"))
    df.save()
    with fits.open(df.filename) as hdus:
        assert [h.name for h in hdus if h.name.startswith("WCS")] == [
            "WCS-TABLE", "WCS-TABLE_2",
        ]  # fmt: skip
        for number, values in ((1, CURVED), (2, CURVED + 7)):
            header = hdus["SCI", number].header
            assert header["CTYPE1"] == "AWAV-TAB"
            wcs = WCS(header, hdus)
            found = wcs.wcs_pix2world(PIXELS, 0)[0]  # in metres, as wcslib has it
            scale = 1e10 if str(wcs.wcs.cunit[0]) == "m" else 1.0
            np.testing.assert_allclose(found * scale, values, rtol=1e-12)


def test_spectra_of_several_files_join_in_one(tmp_path):
    paths = []
    for shift in (0.0, 5.0):
        df = DataFile(tmp_path / f"{shift}.fits", mode="new")
        df.append(with_wavelengths(spectrum(), CURVED + shift, "vacuum"))
        df.save()
        paths.append(df.filename)
    both = DataFile(tmp_path / "both.fits", mode="new")
    both.append(DataFile(paths[0])[0])
    both.append(DataFile(paths[1])[0][10:])
    both.append(with_wavelengths(spectrum(), CURVED + 9, "vacuum"))
    both.save()
    found = [wavelengths_of(ndd).values for ndd in DataFile(both.filename)]
    for one, wanted in zip(found, (CURVED, CURVED[10:] + 5, CURVED + 9), strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-13)


def test_steps_hand_wavelengths_on(tmp_path):
    @run_task(prefix="d")
    def double(ndd: NDLater) -> NDLater:
        return ndd * 2

    df = DataFile(tmp_path / "one.fits", mode="new")
    df.append(with_wavelengths(spectrum(), CURVED, "air"))
    df.save()
    made = double(double(df, outdir=tmp_path), outdir=tmp_path)
    np.testing.assert_allclose(wavelengths_of(made[0]).values, CURVED, rtol=1e-13)
    assert np.all(made[0].data == 4)


def test_what_has_no_wavelengths_is_refused():
    with pytest.raises(ParameterError, match="has no wavelengths"):
        wavelengths_of(spectrum())
    with pytest.raises(ShapeError, match="one axis"):
        wavelengths_of(NDLater(data=np.ones((2, 3))))
    with pytest.raises(ShapeError, match=r"shape \(3,\), and the data \(200,\)"):
        with_wavelengths(spectrum(), [1, 2, 3], "air")
    with pytest.raises(ParameterError, match="rise or fall"):
        with_wavelengths(spectrum(), np.zeros(200), "air")
    ndd = spectrum()
    ndd.meta.update(CTYPE1="FREQ", CUNIT1="Hz", CRVAL1=1e9, CDELT1=1e6, CRPIX1=1.0)
    with pytest.raises(ParameterError, match="and no wavelengths"):
        wavelengths_of(ndd)


def test_linear_coordinates_of_iraf_are_wavelengths():
    ndd = spectrum()
    ndd.meta.update(CTYPE1="LINEAR", CRVAL1=5000.0, CD1_1=2.0, CRPIX1=1.0)
    found = wavelengths_of(ndd)
    np.testing.assert_allclose(found.values, 5000 + 2 * PIXELS)
    ndd = spectrum()
    ndd.meta.update(CTYPE1="WAVE", CUNIT1="nm", CRVAL1=500.0, CDELT1=0.2, CRPIX1=1.0)
    np.testing.assert_allclose(wavelengths_of(ndd).values, 5000 + 2 * PIXELS)


def test_logarithms_and_units_that_are_none_are_refused():
    ndd = spectrum()
    ndd.meta.update({"CTYPE1": "LINEAR", "CRVAL1": 3.6, "CDELT1": 1e-4, "DC-FLAG": 1})
    with pytest.raises(ParameterError, match="are logarithms"):
        wavelengths_of(ndd)
    ndd = spectrum()
    ndd.meta.update(CRVAL1=1.0, CDELT1=1.0, CRPIX1=1.0)
    with pytest.raises(ParameterError):
        wavelengths_of(ndd)


def test_spectra_with_wavelengths_in_memory_are_pickled_for_workers():
    values = np.sort(np.random.default_rng(1).uniform(4000, 5000, 50))
    whole = with_wavelengths(NDLater(np.arange(50.0)), values, "air")
    forms = (whole, values), (whole[3:20], values[3:20])
    for ndd, truth in forms:
        there = pickle.loads(pickle.dumps(ndd))
        axis = wavelengths_of(there)
        np.testing.assert_array_equal(axis.values, truth)
        assert axis.medium == "air"
        again = pickle.loads(pickle.dumps(there))
        np.testing.assert_array_equal(wavelengths_of(again).values, truth)
    file = pickle.loads(pickle.dumps(DataFile(data=[whole])))
    np.testing.assert_array_equal(wavelengths_of(file[0]).values, values)
