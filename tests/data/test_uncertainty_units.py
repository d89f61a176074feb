"""What the header of an uncertainty says of its unit."""

import logging

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance, StdDevUncertainty

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import UnitError
from ndmapper.io.units import unit_from_text


def write(path, data_unit, unit, name="VAR", value=4e6, *, tiled=False):
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
    path = write(tmp_path / "a.fits", data, unit, name, tiled=tiled)
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
    df = DataFile(write(tmp_path / "a.fits", "Jy", unit, name), mode="update")
    before = df[0].variance.copy()
    df.meta["NEW"] = 1
    df.save()
    with fits.open(tmp_path / "a.fits") as hdus:
        assert hdus[2].header["BUNIT"] == unit
        assert hdus[2].data[0, 0] == np.float32(4e6)
    np.testing.assert_array_equal(df[0].variance, before)
    np.testing.assert_array_equal(DataFile(tmp_path / "a.fits")[0].variance, before)


def test_data_that_are_called_otherwise_take_their_variance_along(tmp_path):
    df = DataFile(write(tmp_path / "a.fits", "Jy", "mJy2"), mode="update")
    df[0].meta["BUNIT"] = "adu"
    df.save()
    assert fits.getheader(tmp_path / "a.fits", "VAR")["BUNIT"] == "adu2"
    np.testing.assert_allclose(DataFile(tmp_path / "a.fits")[0].variance, 4)


def test_units_that_do_not_go_together_are_named_once(tmp_path, caplog):
    path = write(tmp_path / "a.fits", "adu", "electron2")
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
