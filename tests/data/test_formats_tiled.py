"""Files whose images are compressed in tiles: opened, changed and saved."""

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile, NDLater
from ndmapper.testing import count_reads, make_mef

SHAPE = (40, 60)


def pixels(dtype="f4"):
    return np.random.default_rng(5).normal(100, 10, SHAPE).astype(dtype)


def packed_mef(path):
    """Write SCI, VAR and DQ, compressed as fpack would."""
    hdus = [fits.PrimaryHDU(header=fits.Header({"OBJECT": "star"}))]
    for name, data in (("SCI", pixels()), ("VAR", pixels()), ("DQ", pixels("i2"))):
        hdu = fits.CompImageHDU(data, name=name)
        hdu.header["EXTVER"] = 1
        hdu.header["CHIP"] = "ccd"
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def packed_single(path, dtype="u2"):
    """Write one compressed image that was in the primary HDU."""
    header = fits.PrimaryHDU(pixels(dtype)).header
    header["OBJECT"] = "star"
    hdu = fits.CompImageHDU(pixels(dtype), header=header)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def kinds(path):
    """Say of each HDU whether it is compressed."""
    with fits.open(path, disable_image_compression=True) as hdus:
        hdus.verify("exception")
        return [bool(hdu.header.get("ZIMAGE")) for hdu in hdus]


def test_open_compressed_groups_reads_no_pixels(tmp_path):
    path = packed_mef(tmp_path / "a.fits.fz")
    with count_reads() as reads:
        df = DataFile(path)
        assert df.idents == [1]
        assert df.filename.ext == "fits.fz"
        assert (df[0].shape, df[0].dtype, df[0].flags.dtype) == (
            SHAPE, np.float32, np.int16
        )  # fmt: skip
        assert df[0].meta["CHIP"] == "ccd"
        assert "ZTILE1" not in df[0].meta
    assert reads.reads == 2  # the flags: rows and heap of their table
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(df[0].data, hdus[1].data)
        np.testing.assert_array_equal(df[0].flags, hdus[3].data)


def test_save_unchanged_is_byte_for_byte_what_it_was(tmp_path):
    path = packed_mef(tmp_path / "a.fits.fz")
    DataFile(path).save(tmp_path / "b.fits.fz")
    assert (tmp_path / "b.fits.fz").read_bytes() == path.read_bytes()


def test_save_edited_header_keeps_the_tiles(tmp_path):
    path = packed_mef(tmp_path / "a.fits.fz")
    with fits.open(path) as hdus:
        before = hdus[1].data.copy()
    df = DataFile(path, mode="update")
    df[0].meta["CHIP"] = "new"
    with count_reads() as reads:
        df.save()
    assert kinds(path) == [False, True, True, True]
    assert reads.reads <= 6  # copied, not decoded
    with fits.open(path) as hdus:
        assert hdus[1].header["CHIP"] == "new"
        np.testing.assert_array_equal(hdus[1].data, before)
    assert DataFile(path)[0].meta["CHIP"] == "new"


@pytest.mark.parametrize("part", ["data", "flags"])
def test_save_edited_pixels_are_compressed_without_loss(tmp_path, part):
    path = packed_mef(tmp_path / "a.fits.fz")
    df = DataFile(path, mode="update")
    array = getattr(df[0], part)
    array[3, 4] = 17
    df.save()
    assert kinds(path) == [False, True, True, True]
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(hdus[1 if part == "data" else 3].data, array)
    assert df.unloaded


def test_save_under_plain_name_of_packed_file_is_plain(tmp_path):
    path = packed_mef(tmp_path / "a.fits.fz")
    df = DataFile(path)
    df.save(tmp_path / "b.fits")
    assert kinds(tmp_path / "b.fits") == [False] * 4
    with fits.open(path) as old, fits.open(tmp_path / "b.fits") as new:
        for one, other in zip(old, new, strict=True):
            np.testing.assert_array_equal(one.data, other.data)


def test_save_compressed_extension_of_plain_name_stays_compressed(tmp_path):
    df = DataFile(packed_mef(tmp_path / "a.fits"))
    df.append(NDLater(pixels()))
    df.save(tmp_path / "b.fits")
    assert kinds(tmp_path / "b.fits") == [False, True, True, True, False]


def test_save_plain_file_as_fz_compresses_without_loss(tmp_path):
    path = make_mef(tmp_path / "a.fits", n_ext=2)
    df = DataFile(path)
    df.save(tmp_path / "b.fits.fz")
    assert sum(kinds(tmp_path / "b.fits.fz")) == 6
    again = DataFile(tmp_path / "b.fits.fz")
    assert again.idents == [1, 2]
    assert list(again.tables) == list(df.tables)
    for old, new in zip(DataFile(path), again, strict=True):
        np.testing.assert_array_equal(old.data, new.data)
        np.testing.assert_array_equal(old.variance, new.variance)
        np.testing.assert_array_equal(old.flags, new.flags)
        assert old.flags.dtype == new.flags.dtype


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8",
                                   "f4", "f8", ">f4", "?"])  # fmt: skip
def test_save_as_fz_keeps_every_type(tmp_path, dtype):
    data = pixels("f8").astype(dtype)
    DataFile(tmp_path / "a.fits.fz", data=[NDLater(data)]).save()
    found = DataFile(tmp_path / "a.fits.fz")[0].data
    np.testing.assert_array_equal(found, data)
    with fits.open(tmp_path / "a.fits.fz") as hdus:
        np.testing.assert_array_equal(hdus[1].data, data)


def test_save_scaled_integers_as_fz_keeps_their_scaling(tmp_path):
    hdu = fits.ImageHDU(np.arange(12, dtype="i2").reshape(3, 4), name="SCI")
    hdu.header.update(BSCALE=0.5, BZERO=10, BLANK=7)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits")
    df = DataFile(tmp_path / "a.fits")
    df.save(tmp_path / "b.fits.fz")
    np.testing.assert_array_equal(
        DataFile(tmp_path / "b.fits.fz")[0].data, DataFile(tmp_path / "a.fits")[0].data
    )


# ---- one image in the primary HDU


def test_open_packed_primary_image_is_one_file_with_one_header(tmp_path):
    df = DataFile(packed_single(tmp_path / "a.fits.fz"))
    assert (len(df), df.idents, df.meta["OBJECT"]) == (1, [1], "star")
    np.testing.assert_array_equal(df[0].data, pixels("u2"))


def test_save_packed_primary_image_unchanged_is_byte_for_byte(tmp_path):
    path = packed_single(tmp_path / "a.fits.fz")
    DataFile(path).save(tmp_path / "b.fits.fz")
    assert (tmp_path / "b.fits.fz").read_bytes() == path.read_bytes()


def test_save_packed_primary_image_unpacked(tmp_path):
    df = DataFile(packed_single(tmp_path / "a.fits.fz"))
    df.save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert len(hdus) == 1
        assert hdus[0].header["OBJECT"] == "star"
        np.testing.assert_array_equal(hdus[0].data, pixels("u2"))


def test_save_primary_image_packed_and_edited(tmp_path):
    header = fits.Header({"OBJECT": "star"})
    fits.PrimaryHDU(pixels(), header).writeto(tmp_path / "a.fits")
    DataFile(tmp_path / "a.fits").save(tmp_path / "b.fits.fz")
    df = DataFile(tmp_path / "b.fits.fz", mode="update")
    assert df.meta["OBJECT"] == "star"
    np.testing.assert_array_equal(df[0].data, pixels())
    df.meta["OBJECT"] = "galaxy"
    df[0].variance = np.ones(SHAPE, "f4")
    df.save()
    again = DataFile(tmp_path / "b.fits.fz")
    assert again.meta["OBJECT"] == "galaxy"
    assert kinds(tmp_path / "b.fits.fz") == [False, True, True]
    np.testing.assert_array_equal(again[0].data, pixels())


def test_section_of_packed_file_can_be_saved(tmp_path):
    df = DataFile(packed_mef(tmp_path / "a.fits.fz"))
    part = df[0][5:9, 10:30]
    DataFile(tmp_path / "b.fits", data=[part]).save()
    np.testing.assert_array_equal(
        DataFile(tmp_path / "b.fits")[0].data, df[0].data[5:9, 10:30]
    )


def test_single_pixel_of_a_compressed_image_has_no_axes(tmp_path):
    ndd = DataFile(packed_single(tmp_path / "a.fits"))[0]
    assert ndd[3, 4].data.shape == ndd[3, 4].shape == ()
    assert ndd[3, 4].data == ndd.data[3, 4]
    assert ndd[3, 4:6].data.shape == (2,)
