"""Layouts of real observatories, opened, changed and saved."""

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import write_extensions

from ndmapper.data import DataFile, NDLater
from ndmapper.io.filemap import map_file
from ndmapper.io.labels import Labels, make_labels
from ndmapper.testing import count_reads, make_mef


def pixels(n):
    return np.arange(6, dtype="f4").reshape(2, 3) + n


def merged_muse(path, ifus=(7, 12)):
    """Write a merged MUSE master: CHANnn.DATA, .DQ, .STAT."""
    extensions = []
    for n in ifus:
        extensions += [
            (f"CHAN{n:02}.DATA", None, pixels(n)),
            (f"CHAN{n:02}.DQ", None, np.zeros((2, 3), "i4")),
            (f"CHAN{n:02}.STAT", None, pixels(n) ** 2),
        ]
    return write_extensions(path, *extensions, cards={"INSTRUME": "MUSE"})


def raw_muse(path, ifus=(1, 2, 3)):
    extensions = [
        (f"CHAN{n:02}", None, np.full((2, 3), n, "u2")) for n in ifus
    ]  # fmt: skip
    return write_extensions(path, *extensions, cards={"INSTRUME": "MUSE"})


def names_in(path):
    with fits.open(path) as hdus:
        return [(hdu.name, hdu.header.get("EXTVER")) for hdu in hdus[1:]]


# ---- MUSE: groups with names


def test_open_merged_muse_finds_groups_by_name(tmp_path):
    df = DataFile(merged_muse(tmp_path / "m.fits"))
    assert df.idents == ["CHAN07", "CHAN12"]
    assert (df["CHAN12"].data == pixels(12)).all()
    assert (df["CHAN12"].variance == pixels(12) ** 2).all()
    assert df["CHAN12"].flags.dtype == np.int32


def test_save_merged_muse_is_byte_for_byte_what_it_was(tmp_path):
    path = merged_muse(tmp_path / "m.fits")
    DataFile(path).save(tmp_path / "n.fits")
    assert (tmp_path / "n.fits").read_bytes() == path.read_bytes()


def test_save_merged_muse_without_a_group_keeps_the_names(tmp_path):
    df = DataFile(merged_muse(tmp_path / "m.fits"), mode="update")
    del df[0]
    df.save()
    assert names_in(tmp_path / "m.fits") == [
        ("CHAN12.DATA", None), ("CHAN12.DQ", None), ("CHAN12.STAT", None),
    ]  # fmt: skip


def test_save_group_with_a_name_is_found_again(tmp_path):
    df = DataFile(tmp_path / "a.fits", mode="new", labels="muse")
    df.append(
        NDLater(pixels(1), variance=pixels(2), flags=[[0] * 3] * 2, ident="CHAN24")
    )
    df.append(NDLater(pixels(3), ident="CHAN01"))
    df.save()
    assert names_in(tmp_path / "a.fits") == [
        ("CHAN24.DATA", None), ("CHAN24.STAT", None), ("CHAN24.DQ", None),
        ("CHAN01.DATA", None),
    ]  # fmt: skip
    again = DataFile(tmp_path / "a.fits")
    assert again.idents == ["CHAN24", "CHAN01"]
    assert again.labels == make_labels("muse")


def test_save_names_and_numbers_in_one_file(tmp_path):
    df = DataFile(tmp_path / "a.fits", data=[NDLater([1]), NDLater([2], ident="sky")])
    df.save()
    assert names_in(tmp_path / "a.fits") == [("SCI", 1), ("sky.SCI", None)]
    assert DataFile(tmp_path / "a.fits").idents == [1, "sky"]


def test_open_raw_muse_takes_the_names_of_extensions(tmp_path):
    df = DataFile(raw_muse(tmp_path / "r.fits"))
    assert df.idents == ["CHAN01", "CHAN02", "CHAN03"]
    assert df.labels == make_labels("muse")


def test_save_part_of_raw_muse_keeps_the_names(tmp_path):
    df = DataFile(raw_muse(tmp_path / "r.fits"))[1:]
    df.save(tmp_path / "s.fits")
    assert names_in(tmp_path / "s.fits") == [("CHAN02", None), ("CHAN03", None)]


def test_save_raw_muse_with_variance_names_all_of_them_alike(tmp_path):
    df = DataFile(raw_muse(tmp_path / "r.fits", (1, 2)), mode="update")
    df["CHAN02"].variance = np.ones((2, 3), "f4")
    df.save()
    assert names_in(tmp_path / "r.fits") == [
        ("CHAN01.DATA", None), ("CHAN02.DATA", None), ("CHAN02.STAT", None),
    ]  # fmt: skip
    assert DataFile(tmp_path / "r.fits").idents == ["CHAN01", "CHAN02"]


def test_arithmetic_pairs_groups_by_name(tmp_path):
    one = DataFile(merged_muse(tmp_path / "m.fits", (7, 12)))
    other = DataFile(merged_muse(tmp_path / "n.fits", (12, 7)))
    assert not (one - other)["CHAN07"].data.any()


def test_open_product_of_muse_without_instrument_is_recognised(tmp_path):
    path = write_extensions(
        tmp_path / "a.fits", ("DATA", None, pixels(0)), ("STAT", None, pixels(1))
    )
    assert DataFile(path)[0].variance is not None


def test_open_same_name_twice_gets_numbers(tmp_path):
    df = DataFile(merged_muse(tmp_path / "m.fits", (7, 7)))
    assert df.idents == ["CHAN07_1", "CHAN07_2"]
    assert all(ndd.has("uncertainty") for ndd in df)


# ---- HST and JWST: standard deviations


@pytest.mark.parametrize("telescope", ["HST", "JWST"])
def test_open_err_extension_is_a_standard_deviation(tmp_path, telescope):
    path = write_extensions(
        tmp_path / "a.fits",
        ("SCI", 1, pixels(0)), ("ERR", 1, pixels(2)), ("DQ", 1, np.zeros((2, 3), "i2")),
        ("VAR_POISSON", 1, pixels(3)), cards={"TELESCOP": telescope},
    )  # fmt: skip
    df = DataFile(path)
    assert (df[0].variance == pixels(2) ** 2).all()
    assert list(df.extras) == ["VAR_POISSON"]


def test_save_changed_variance_is_written_as_err(tmp_path):
    path = write_extensions(
        tmp_path / "a.fits", ("SCI", 1, pixels(0)), ("ERR", 1, pixels(2))
    )
    df = DataFile(path, mode="update")
    df[0].variance = np.full((2, 3), 9, "f4")
    df.save()
    with fits.open(path) as hdus:
        assert (hdus["ERR"].data == 3).all()


@pytest.mark.parametrize("stored", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_squares_of_errors_are_in_double_precision(tmp_path, stored):
    errors = np.full((2, 3), 250 if stored == "u1" else 300).astype(stored)
    path = write_extensions(
        tmp_path / "a.fits", ("SCI", 1, pixels(0)), ("ERR", 1, errors)
    )
    ndd = DataFile(path)[0]
    assert ndd.content.arrays["uncertainty"].dtype == np.float64
    assert ndd.variance.dtype == np.float64
    assert (ndd.variance == float(errors[0, 0]) ** 2).all()
    assert isinstance(ndd[0, 0].variance, np.ndarray)
    df = DataFile(path, mode="update")
    df[0].variance[0, 0] = 16
    df.save()
    assert fits.getdata(path, ("ERR", 1)).tolist()[0] == [4, *errors[0, 1:]]


@pytest.mark.parametrize("preset", ["hst", "jwst"])
def test_labels_preset_of_an_observatory(preset):
    assert make_labels(preset) == Labels(uncertainty="ERR", uncertainty_is="std")


# ---- other multi-extension files


def test_open_amplifiers_with_names_of_their_own(tmp_path):
    path = write_extensions(
        tmp_path / "a.fits", *((f"im{i}", None, pixels(i)) for i in (1, 2))
    )
    assert DataFile(path).idents == ["IM1", "IM2"]


def test_open_one_name_in_several_versions_is_the_name_of_data(tmp_path):
    path = write_extensions(
        tmp_path / "a.fits",
        *(("FLUX", i, pixels(i)) for i in (1, 2)),
        ("DQ", 2, pixels(0)),
    )
    df = DataFile(path, mode="update")
    assert df.idents == [1, 2]


# ---- tables that belong to a group


def dragons(path, versions=(1, 2)):
    """Write a DRAGONS product: a catalogue for each group, and one table for all."""
    hdus = [fits.PrimaryHDU()]
    for n in versions:
        hdus.append(fits.ImageHDU(pixels(n), name="SCI", ver=n))
        rows = fits.BinTableHDU.from_columns(
            [fits.Column("NUMBER", "J", array=[10 * n, 10 * n + 1])], name="OBJCAT"
        )
        rows.header["EXTVER"] = n
        hdus.append(rows)
    columns = [fits.Column("NOTE", "5A", array=["a"])]
    hdus.append(fits.BinTableHDU.from_columns(columns, name="HISTORY"))
    fits.HDUList(hdus).writeto(path)
    return path


def test_tables_of_a_group_are_reached_from_it(tmp_path):
    df = DataFile(dragons(tmp_path / "a.fits"))
    assert list(df.tables) == ["OBJCAT_1", "OBJCAT_2", "HISTORY"]
    assert [list(ndd.tables) for ndd in df] == [["OBJCAT"], ["OBJCAT"]]
    assert df[1].tables["OBJCAT"] is df.tables["OBJCAT_2"]
    assert df[1].tables["OBJCAT"]["NUMBER"].tolist() == [20, 21]


def test_tables_of_a_group_are_those_of_its_copy(tmp_path):
    df = DataFile(dragons(tmp_path / "a.fits"))
    copy = DataFile(data=df)
    copy[0].tables["OBJCAT"]["NUMBER"][0] = 99
    assert df[0].tables["OBJCAT"]["NUMBER"][0] == 10
    assert list((df - 1)[1].tables) == ["OBJCAT"]


def test_tables_go_with_the_image_that_comes_in_the_place_of_another(tmp_path):
    df = DataFile(dragons(tmp_path / "d.fits"), mode="update")
    df[0] = df[1]
    assert df[0].tables["OBJCAT"]["NUMBER"].tolist() == [20, 21]
    df.save()
    again = DataFile(tmp_path / "d.fits")
    assert [ndd.tables["OBJCAT"]["NUMBER"][0] for ndd in df] == [20, 20]
    assert [ndd.tables["OBJCAT"]["NUMBER"][0] for ndd in again] == [20, 20]


def test_tables_of_a_group_follow_its_number(tmp_path):
    df = DataFile(dragons(tmp_path / "a.fits"), mode="update")
    df.renumber(5)
    df.save()
    again = DataFile(tmp_path / "a.fits")
    assert again.idents == [5, 6]
    assert again[1].tables["OBJCAT"]["NUMBER"].tolist() == [20, 21]
    assert list(again.tables) == ["OBJCAT_5", "OBJCAT_6", "HISTORY"]


@pytest.mark.parametrize(("gone", "number", "left"), [(0, 1, 20), (1, 2, 10)])
def test_tables_of_a_group_that_is_gone_are_not_those_of_another(
    tmp_path, gone, number, left
):
    df = DataFile(dragons(tmp_path / "a.fits"), mode="update")
    del df[gone]
    df.renumber(number)
    df.save()
    again = DataFile(tmp_path / "a.fits")
    assert again[0].tables["OBJCAT"]["NUMBER"].tolist() == [left, left + 1]
    assert list(again.tables) == ["OBJCAT", "HISTORY"]


def test_extras_of_a_group_follow_its_number(tmp_path):
    path = dragons(tmp_path / "a.fits", (1, 2, 3, 4))
    with fits.open(path, mode="append") as hdus:
        for n in (1, 2, 3, 4, 9):
            hdus.append(fits.ImageHDU(pixels(n), name="OBJMASK", ver=n))
    df = DataFile(path, mode="update")
    del df[:2]
    df.renumber()
    for _ in range(2):  # the second time nothing may move
        df.save()
        with fits.open(path) as hdus:
            found = {(h.name, h.ver): h.data for h in hdus[1:]}
        assert len(found) == 8  # HISTORY and OBJMASK,9 are of the file
        for ver, number in ((1, 3), (2, 4)):
            assert found["OBJCAT", ver]["NUMBER"][0] == 10 * number
            np.testing.assert_array_equal(found["OBJMASK", ver], pixels(number))
        assert ("OBJMASK", 9) in found
        df[0].meta["AGAIN"] = True


def test_tables_of_a_group_with_a_name(tmp_path):
    path = merged_muse(tmp_path / "a.fits")
    with fits.open(path, mode="append") as hdus:
        for name in ("CHAN07", "CHAN12.TRACE"):
            columns = [fits.Column("N", "J", array=[1])]
            hdus.append(fits.BinTableHDU.from_columns(columns, name=name))
    df = DataFile(path)
    assert list(df["CHAN07"].tables) == ["CHAN07"]
    assert list(df["CHAN12"].tables) == ["TRACE"]


# ---- arrays that are not there


def raw_hst(path):
    """Write a raw file of HST, in which ERR and DQ have one value everywhere."""
    hdus = [fits.PrimaryHDU()]
    for n in (1, 2):
        hdus.append(fits.ImageHDU(pixels(n), name="SCI", ver=n))
        for name in ("ERR", "DQ"):
            hdu = fits.ImageHDU(name=name, ver=n)
            hdu.header.update(NPIX1=3, NPIX2=2, PIXVALUE=0)
            hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def test_open_raw_hst_has_no_arrays_where_none_are(tmp_path):
    df = DataFile(raw_hst(tmp_path / "a.fits"))
    assert df.labels.uncertainty_is == "std"
    assert not any(ndd.has("uncertainty") or ndd.has("flags") for ndd in df)


def test_save_array_into_an_empty_place_takes_it(tmp_path):
    path = raw_hst(tmp_path / "a.fits")
    df = DataFile(path, mode="update")
    df[1].variance = np.full((2, 3), 4, "f4")
    df.save()
    assert sorted(names_in(path)) == sorted(
        (name, n) for n in (1, 2) for name in ("SCI", "ERR", "DQ")
    )
    assert (fits.getdata(path, ("ERR", 2)) == 2).all()
    assert (DataFile(path)[1].variance == 4).all()


def test_image_with_number_zero_keeps_its_variance(tmp_path):
    df = DataFile(tmp_path / "a.fits", mode="new")
    for ident in (0, 1):
        df.append(NDLater(pixels(1), variance=pixels(100 + ident), ident=ident))
    df.save()
    again = DataFile(tmp_path / "a.fits")
    assert [(n.ident, n.variance.min()) for n in again] == [(0, 100), (1, 101)]


def test_image_with_a_long_name_keeps_its_variance(tmp_path):
    name = "VERY-LONG-" * 8
    df = DataFile(tmp_path / "a.fits", mode="new")
    df.append(NDLater(pixels(1), variance=pixels(2), ident=name))
    df.save()
    again = DataFile(tmp_path / "a.fits")
    assert again.idents == [name]
    assert (again[name].variance == pixels(2)).all()


@pytest.mark.parametrize(
    ("gone", "left", "idents"),
    [
        ("BAR", ["FOO", "FOO"], ["FOO_1", "FOO_2"]),
        ("FOO_1", ["BAR", "FOO"], ["BAR", "FOO"]),
    ],
)
def test_save_without_one_of_names_that_repeat_keeps_the_others(
    tmp_path, gone, left, idents
):
    names = ["FOO", "BAR", "FOO"]
    path = write_extensions(
        tmp_path / "a.fits", *[(name, None, pixels(n)) for n, name in enumerate(names)]
    )
    before = [hdu.read_bytes() for hdu in map_file(path).hdus]
    df = DataFile(path, mode="update")
    place = df.idents.index(gone)
    del df[place]
    df.save()
    after = [hdu.read_bytes() for hdu in map_file(path).hdus]
    assert after == before[: place + 1] + before[place + 2 :]
    assert [name for name, _ in names_in(path)] == left
    assert df.idents == DataFile(path).idents == idents
    assert df.unloaded


def test_save_without_one_of_groups_that_repeat_keeps_the_other(tmp_path):
    path = merged_muse(tmp_path / "m.fits", (7, 7))
    df = DataFile(path, mode="update")
    del df[0]
    df.save()
    assert [name for name, _ in names_in(path)] == [
        "CHAN07.DATA", "CHAN07.DQ", "CHAN07.STAT",
    ]  # fmt: skip
    assert df.idents == DataFile(path).idents == ["CHAN07"]


# ---- files whose images are compressed in tiles: opened, changed and saved


SHAPE = (40, 60)


def random_pixels(dtype="f4"):
    return np.random.default_rng(5).normal(100, 10, SHAPE).astype(dtype)


def packed_mef(path):
    """Write SCI, VAR and DQ, compressed as fpack would."""
    hdus = [fits.PrimaryHDU(header=fits.Header({"OBJECT": "star"}))]
    for name, data in (
        ("SCI", random_pixels()),
        ("VAR", random_pixels()),
        ("DQ", random_pixels("i2")),
    ):
        hdu = fits.CompImageHDU(data, name=name)
        hdu.header["EXTVER"] = 1
        hdu.header["CHIP"] = "ccd"
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def packed_single(path, dtype="u2"):
    """Write one compressed image that was in the primary HDU."""
    header = fits.PrimaryHDU(random_pixels(dtype)).header
    header["OBJECT"] = "star"
    hdu = fits.CompImageHDU(random_pixels(dtype), header=header)
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
    df.append(NDLater(random_pixels()))
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
    data = random_pixels("f8").astype(dtype)
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
    np.testing.assert_array_equal(df[0].data, random_pixels("u2"))


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
        np.testing.assert_array_equal(hdus[0].data, random_pixels("u2"))


def test_save_primary_image_packed_and_edited(tmp_path):
    header = fits.Header({"OBJECT": "star"})
    fits.PrimaryHDU(random_pixels(), header).writeto(tmp_path / "a.fits")
    DataFile(tmp_path / "a.fits").save(tmp_path / "b.fits.fz")
    df = DataFile(tmp_path / "b.fits.fz", mode="update")
    assert df.meta["OBJECT"] == "star"
    np.testing.assert_array_equal(df[0].data, random_pixels())
    df.meta["OBJECT"] = "galaxy"
    df[0].variance = np.ones(SHAPE, "f4")
    df.save()
    again = DataFile(tmp_path / "b.fits.fz")
    assert again.meta["OBJECT"] == "galaxy"
    assert kinds(tmp_path / "b.fits.fz") == [False, True, True]
    np.testing.assert_array_equal(again[0].data, random_pixels())


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
