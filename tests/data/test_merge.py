import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from shared_helpers import hdu_names

from ndmapper.data import DataFile


def single(path, **cards):
    hdu = fits.PrimaryHDU(np.arange(12, dtype="u2").reshape(3, 4))
    hdu.header.update({"OBJECT": "x", "CRPIX1": 2.0, "CTYPE1": "LINEAR", **cards})
    hdu.writeto(path)
    return path


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_single_image_edited_stays_one(tmp_path, name):
    df = DataFile(single(tmp_path / name), mode="update")
    assert df[0].meta is df.meta
    df[0].data = df[0].data * 0.5
    df.meta["NEW"] = 1
    df.save()
    assert hdu_names(tmp_path / name) == [("", None)]
    again = DataFile(tmp_path / name)
    assert (again[0].data[0, 3], again.meta["NEW"], again.meta["OBJECT"]) == (
        1.5,
        1,
        "x",
    )


def test_single_image_with_variance_becomes_an_extension(tmp_path):
    df = DataFile(single(tmp_path / "a.fits"), mode="update")
    df[0].variance = np.ones((3, 4))
    df.save()
    assert hdu_names(tmp_path / "a.fits") == [("", None), ("SCI", 1), ("VAR", 1)]
    again = DataFile(tmp_path / "a.fits")
    assert again.meta["OBJECT"] == "x"
    assert "CRPIX1" not in again.meta
    assert again[0].meta["CRPIX1"] == 2
    assert again[0].data.tolist() == np.arange(12).reshape(3, 4).tolist()
    assert df[0].meta["EXTNAME"] == "SCI"
    assert df.unloaded


@pytest.mark.parametrize(
    "variance", [None, np.ones((3, 4))], ids=["image", "extension"]
)
def test_single_image_changed_by_a_step_and_its_file_by_the_user(tmp_path, variance):
    raw = DataFile(single(tmp_path / "a.fits", DATASEC="[1:4,1:3]", FILTER="r"))
    result = raw[0].replace(variance=variance)
    result.meta["OVSCLEV1"] = 3.5
    del result.meta["DATASEC"]
    result.meta["HISTORY"] = "overscan taken off"
    product = DataFile(tmp_path / "b.fits", data=raw, mode="new")
    del product[:]
    product.append(result)
    product.meta["OBSERVER"] = "me"
    product.save()
    again = DataFile(tmp_path / "b.fits")
    assert again[0].meta["OVSCLEV1"] == 3.5
    assert (again.meta["OBSERVER"], again.meta["FILTER"]) == ("me", "r")
    assert "DATASEC" not in again.meta
    assert "DATASEC" not in again[0].meta
    assert list(again[0].meta["HISTORY"]) == ["overscan taken off"]


def test_single_image_with_company_becomes_an_extension(tmp_path):
    df = DataFile(single(tmp_path / "a.fits"), mode="update")
    df.append(NDData([1]))
    df.save()
    assert hdu_names(tmp_path / "a.fits") == [("", None), ("SCI", 1), ("SCI", 2)]


def test_unnamed_extensions_get_names_when_they_need_them(tmp_path):
    path = tmp_path / "a.fits"
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(np.zeros(3)), fits.ImageHDU(np.ones(3))]
    ).writeto(path)
    df = DataFile(path, mode="update")
    df[0].data += 5
    df.save()
    assert hdu_names(path)[1:] == [("", None), ("", None)]
    df[1].variance = np.ones(3)
    df.save()
    assert hdu_names(path)[1:] == [("SCI", 1), ("SCI", 2), ("VAR", 2)]
