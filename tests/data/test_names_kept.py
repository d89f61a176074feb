"""Extensions keep their names, whatever is put in their place."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from shared_helpers import hdu_names

from ndmapper.data import DataFile


def test_name_survives_a_new_header(two_groups):
    before = hdu_names(two_groups)
    df = DataFile(two_groups, mode="update")
    df[0].meta = {"OBJECT": "z"}
    df.save()
    assert hdu_names(two_groups) == before
    again = DataFile(two_groups)
    assert (again.idents, list(again.extras)) == ([1, 2], [])
    assert (again[0].meta["OBJECT"], again[0].has("flags")) == ("z", True)
    assert df[0].meta["EXTNAME"] == "SCI"


@pytest.mark.parametrize("change", ["EXTNAME", "EXTVER"])
def test_name_survives_its_card(two_groups, change):
    before = hdu_names(two_groups)
    df = DataFile(two_groups, mode="update")
    del df[0].meta[change]
    df.save()
    assert hdu_names(two_groups) == before


def test_name_survives_an_image_of_another_name(two_groups):
    before = hdu_names(two_groups)
    df = DataFile(two_groups, mode="update")
    df[0] = df[1]
    assert not df.unloaded
    df.save()
    assert hdu_names(two_groups) == before
    again = DataFile(two_groups)
    assert np.array_equal(again[0].data, again[1].data)


def test_name_of_a_raw_file_survives_a_new_header(tmp_path):
    path = tmp_path / "raw.fits"
    hdus = [fits.ImageHDU(np.zeros(3), name=f"CHAN{n:02}") for n in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    df = DataFile(path, mode="update")
    df["CHAN01"].meta = {}
    df.save()
    assert hdu_names(path)[1:] == [("CHAN01", None), ("CHAN02", None)]


def test_unnamed_extensions_stay_unnamed(two_groups):
    other = two_groups.with_name("b.fits")
    hdus = [fits.ImageHDU(np.zeros(3)), fits.ImageHDU(np.zeros(3))]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(other)
    df = DataFile(other, mode="update")
    df[0] = DataFile(two_groups)[1].replace(variance=None, flags=None)
    df[1] = NDData(np.ones(4))
    df.save()
    assert [name for name, _ in hdu_names(other)] == ["", "", ""]
    assert DataFile(other).idents == [1, 2]


def test_image_beside_extensions_is_saved_after_an_edit(tmp_path):
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU(np.ones((2, 2))), fits.ImageHDU(np.zeros(3), name="SCI")]
    fits.HDUList(hdus).writeto(path)
    df = DataFile(path, mode="update")
    df.meta["OBJECT"] = "z"
    df.save()
    df.extras["PRIMARY"].data[0, 0] = 7
    df.save()
    with fits.open(path) as found:
        assert (found[0].header["OBJECT"], found[0].data[0, 0]) == ("z", 7)
        assert found[1].name == "SCI"
    assert list(DataFile(path).extras) == ["PRIMARY"]


def test_name_in_small_letters_survives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hdus = [fits.ImageHDU(np.full((2, 2), n), name=f"im{n}") for n in (1, 2)]
    for n, hdu in enumerate(hdus, start=1):
        hdu.header["EXTNAME"] = f"im{n}"
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto("raw.fits")
    df = DataFile("raw.fits")
    df[0] = df[1].copy()
    df[0].ident = "im1"
    df.save("new.fits")
    assert df.idents == DataFile("new.fits").idents == ["im1", "im2"]
