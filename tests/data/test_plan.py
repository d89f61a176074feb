import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Table
from astropy.wcs import WCS
from shared_helpers import hdu_bytes, hdu_names

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import (
    FormatError,
)
from ndmapper.io.digest import differences
from ndmapper.io.filemap import map_file
from ndmapper.testing import make_mef

# ---- what is untouched


def test_save_untouched_is_byte_for_byte(two_groups):
    DataFile(two_groups).save("b.fits")
    assert Path("b.fits").read_bytes() == two_groups.read_bytes()


def test_save_only_looked_at_is_byte_for_byte(two_groups):
    df = DataFile(two_groups)
    for ndd in df:
        _ = (
            ndd.data.sum(),
            ndd.variance,
            ndd.flags,
            ndd.mask,
            ndd.meta["BUNIT"],
            ndd.unit,
        )
    _ = df.tables["MDF"], df.meta["OBJECT"], df.info()
    df.save("b.fits")
    assert Path("b.fits").read_bytes() == two_groups.read_bytes()


@pytest.mark.parametrize("name", ["b.fits", "b.fits.gz"])
def test_save_one_pixel_edited_leaves_the_other_hdus(two_groups, name):
    df = DataFile(two_groups)
    df[1].data[0, 0] = -1
    df.save(name)
    same = [a == b for a, b in zip(hdu_bytes(two_groups), hdu_bytes(name), strict=True)]
    assert same == [True] * 5 + [False] + [True] * 2


def test_save_edited_pixel_leaves_its_header(two_groups):
    df = DataFile(two_groups, mode="update")
    before = map_file(two_groups).hdus[5].raw
    df[1].data[0, 0] = -1
    df.save()
    assert map_file(two_groups).hdus[5].raw == before


def test_save_edited_header_leaves_all_other_cards(two_groups):
    df = DataFile(two_groups, mode="update")
    df[0].meta["NEW"] = 1
    df.save()
    found = differences(two_groups, make_mef("b.fits"))
    assert len(found) == 1
    assert "NEW" in found[0]


def test_save_order_of_unknown_hdus_is_kept(tmp_path):
    path = tmp_path / "a.fits"
    columns = [fits.Column("A", "J", array=[1])]
    hdus = [fits.PrimaryHDU()]
    for name, version in [("OBJMASK", 1), ("SCI", 1), ("T", 1), ("SCI", 2), ("DQ", 1),
                          ("X", 1), ("VAR", 2), ("DQ", 2)]:  # fmt: skip
        if name == "T":
            hdus.append(fits.BinTableHDU.from_columns(columns, name=name))
        else:
            hdus.append(fits.ImageHDU(np.zeros((2, 3), "i2"), name=name, ver=version))
    hdus.append(fits.ImageHDU(name="EMPTY"))
    fits.HDUList(hdus).writeto(path)
    df = DataFile(path, mode="update")
    assert list(df.extras) == ["OBJMASK", "X"]
    df[0].data[...] = 1
    df[1].meta["NEW"] = 1
    before = hdu_bytes(path)
    df.save()
    same = [a == b for a, b in zip(before, hdu_bytes(path), strict=True)]
    assert same == [i not in (2, 4) for i in range(10)]


def test_save_real_files_come_back_byte_for_byte(real_data, tmp_path):
    count = 0
    for path in real_data.rglob("*.fit*"):
        if path.suffix in (".Z", ".bz2"):
            continue
        df = DataFile(path)
        df.save(tmp_path / "b.fits")
        (tmp_path / "b.fits").rename(tmp_path / f"{count}.fits")
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        assert (tmp_path / f"{count}.fits").read_bytes() == content, path
        count += 1
    assert count > 20


def test_save_real_product_with_an_edit_leaves_the_other_hdus(real_data, tmp_path):
    path = real_data / "gemini" / "processed" / "ngc3998-sfin.fits"
    df = DataFile(path)
    assert len(df) == 6
    df[2].data[...] *= 2
    df.meta["NEW"] = 1
    df.save(tmp_path / "b.fits")
    same = [
        a == b
        for a, b in zip(hdu_bytes(path), hdu_bytes(tmp_path / "b.fits"), strict=True)
    ]
    assert same == [i not in (0, 7) for i in range(19)]


def test_save_real_kast_frame_keeps_its_duplicate_cards(real_data, tmp_path):
    df = DataFile(real_data / "kast_blue_longslit" / "b27.fits.gz")
    df.meta["NEW"] = 1
    df.save(tmp_path / "b.fits")
    header = DataFile(tmp_path / "b.fits").meta
    assert [header["OBSTYPE", i] for i in (0, 1)] == ["OBJECT", 1]


# ---- what is edited


def test_save_everything_edited_is_read_back(two_groups):
    df = DataFile(two_groups, mode="update")
    df[0].data = df[0].data * 2
    df[0].variance[...] = 5
    df[0].flags[...] = 3
    df[0].unit = "electron"
    df.meta["NEW"] = "x"
    df.tables["MDF"]["NO"][1] = 77
    df.tables["NEW"] = Table({"A": [1.5]})
    df.save()
    again = DataFile(two_groups)
    assert (again[0].data[0, 1], again[0].variance[0, 0], again[0].flags[0, 0]) == (
        2002,
        5,
        3,
    )
    assert (again[0].unit, again[1].unit, again.meta["NEW"]) == (u.electron, u.adu, "x")
    assert again.tables["MDF"]["NO"].tolist() == [0, 77, 2]
    assert again.tables["NEW"]["A"].tolist() == [1.5]


def test_save_keeps_objects_that_the_user_holds(two_groups):
    df = DataFile(two_groups, mode="update")
    ndd, data, meta = df[0], df[0].data, df[0].meta
    data[0, 0] = -1
    meta["NEW"] = 1
    df.save()
    assert (df[0] is ndd, ndd.data is data, ndd.meta is meta) == (True, True, True)
    data[0, 0] = -2
    meta["NEW"] = 2
    df.save()
    again = DataFile(two_groups)
    assert (again[0].data[0, 0], again[0].meta["NEW"]) == (-2, 2)


def test_save_what_was_not_loaded_is_read_from_the_new_file(two_groups):
    df = DataFile(two_groups, mode="update")
    df[0].data[0, 0] = -1
    df.save()
    assert df[1].data[0, 1] == 2001
    assert df.tables["MDF"]["NO"][2] == 2


@pytest.mark.parametrize(
    "dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
)
def test_save_other_type_of_pixels(two_groups, dtype):
    df = DataFile(two_groups, mode="update")
    df[0].data = df[0].data.astype("i8").astype(dtype)
    expected = df[0].data.copy()
    df.save()
    again = DataFile(two_groups)[0].data
    np.testing.assert_array_equal(again, expected)
    assert again.dtype == dtype
    np.testing.assert_array_equal(fits.getdata(two_groups, 2), expected)


def test_save_groups_deleted_added_and_moved(two_groups):
    df = DataFile(two_groups, mode="update")
    df.append(df[0])
    df.insert(0, NDLater(np.zeros(3), variance=np.ones(3)))
    del df[1]
    df.save()
    assert hdu_names(two_groups) == [
        ("", None), ("MDF", None), ("SCI", 4), ("VAR", 4), ("SCI", 2), ("VAR", 2),
        ("DQ", 2), ("SCI", 3), ("VAR", 3), ("DQ", 3),
    ]  # fmt: skip
    again = DataFile(two_groups)
    assert (again.idents, again[2].data[0, 1]) == ([4, 2, 3], 1001)


def test_save_reversed_writes_in_that_order(two_groups):
    df = DataFile(two_groups, mode="update")
    df.reverse()
    df.save()
    assert DataFile(two_groups).idents == [2, 1]
    assert DataFile(two_groups)[0].data[0, 0] == 2000


def test_save_renumbered_changes_every_extver(two_groups):
    df = DataFile(two_groups, mode="update")
    df.renumber(5)
    df.save()
    assert hdu_names(two_groups)[2:5] == [("SCI", 5), ("VAR", 5), ("DQ", 5)]


def test_save_parts_taken_away_and_added(two_groups):
    df = DataFile(two_groups, mode="update")
    df[0].variance = None
    df[1].flags = None
    df[1].mask = np.eye(6, 8, dtype=bool)
    df.save()
    again = DataFile(two_groups)
    assert again[0].variance is None
    assert again[1].flags[:2, :2].tolist() == [[1, 0], [0, 1]]


def test_save_new_variance_has_coordinates_and_unit(tmp_path):
    cards = {
        "CTYPE1": "LINEAR",
        "CRPIX1": 3.0,
        "CRVAL1": 7.0,
        "CDELT1": 2.0,
        "EXPTIME": 3,
    }
    path = make_mef(tmp_path / "a.fits", var=False, extension=cards)
    df = DataFile(path, mode="update")
    df[0].variance = np.ones((6, 8), "f4")
    df.save()
    header = fits.getheader(path, ("VAR", 1))
    assert (header["CRVAL1"], u.Unit(header["BUNIT"]), "EXPTIME" in header) == (
        7,
        u.adu**2,
        False,
    )


def test_save_section_has_its_coordinates(tmp_path):
    cards = {"CTYPE1": "LINEAR", "CRPIX1": 3.0, "CRVAL1": 7.0, "CDELT1": 2.0}
    df = DataFile(make_mef(tmp_path / "a.fits", extension=cards))
    DataFile(tmp_path / "b.fits", data=[df[0][1:4, 2:]]).save()
    again = DataFile(tmp_path / "b.fits")[0]
    assert again.data.tolist() == df[0].data[1:4, 2:].tolist()
    assert again.variance.tolist() == df[0].variance[1:4, 2:].tolist()
    assert again.meta["CRPIX1"] == 1


def test_save_wcs_that_was_set(two_groups):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = (
        ["RA---TAN", "DEC--TAN"],
        [10, 20],
        [3, 4],
    )
    wcs.wcs.cdelt = [-1e-3, 1e-3]
    df = DataFile(two_groups, mode="update")
    df[0].wcs = wcs
    df.save()
    again = DataFile(two_groups)[0].wcs
    np.testing.assert_allclose(
        again.pixel_to_world_values(1, 2), wcs.pixel_to_world_values(1, 2)
    )


def test_save_header_of_plain_nddata(tmp_path):
    df = DataFile(
        tmp_path / "a.fits", mode="new", meta={"OBJECT": "x", "long keyword": 2}
    )
    df.append(NDData([1.0], meta={"FILTER": "r"}, unit="Jy"))
    df.save()
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus.verify("exception")
        assert (hdus[0].header["OBJECT"], hdus[0].header["long keyword"]) == ("x", 2)
        assert (hdus[1].header["FILTER"], hdus[1].header["BUNIT"]) == ("r", "Jy")


@pytest.mark.parametrize("ident", [" ", 1.5, None], ids=repr)
def test_save_ident_that_names_nothing_is_refused(tmp_path, ident):
    df = DataFile(tmp_path / "a.fits", data=[NDLater([1])])
    df[0].ident = ident
    with pytest.raises(FormatError, match="cannot be saved"):
        df.save()
    assert list(tmp_path.iterdir()) == []


# ---- extras


def test_extras_edited_added_and_deleted(tmp_path):
    path = make_mef(tmp_path / "a.fits", n_ext=1)
    with fits.open(path, mode="append") as hdus:
        hdus.append(fits.ImageHDU(np.zeros(3), name="ONE"))
        hdus.append(fits.ImageHDU(np.zeros(3), name="TWO"))
    df = DataFile(path, mode="update")
    df.extras["ONE"].data[0] = 7
    del df.extras["TWO"]
    df.extras["THREE"] = NDLater([1, 2])
    df.save()
    again = DataFile(path)
    assert {n: x.data.tolist() for n, x in again.extras.items()} == {
        "ONE": [7, 0, 0], "THREE": [1, 2],
    }  # fmt: skip


def test_extras_with_variance_are_refused(two_groups):
    df = DataFile(two_groups, mode="update")
    df.extras["NEW"] = NDLater([1.0], variance=[1.0])
    with pytest.raises(FormatError, match="append"):
        df.save()


# ---- extensions keep their names, whatever is put in their place


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
