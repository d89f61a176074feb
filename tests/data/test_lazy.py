"""What is lazy stays lazy: each claim is counted, not believed."""

import copy
import gc
import pickle
import sys
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import StdDevUncertainty

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, FileName
from ndmapper.errors import FileChangedError
from ndmapper.testing import count_reads, make_mef

SHAPE = (30, 40)
ITEM = {"data": 4, "variance": 4, "flags": 2}
"""Bytes of a stored pixel of each part."""


@pytest.fixture
def large_file(tmp_path):
    return make_mef(tmp_path / "N20260101S0001.fits", shape=SHAPE)


@pytest.fixture
def extras(tmp_path):
    """A file with a table and an image that plays no part."""
    path = make_mef(tmp_path / "extras.fits", shape=SHAPE)
    fits.append(path, np.zeros((5, 6)), fits.Header({"EXTNAME": "MASK"}))
    return path


LOOKS = {
    "file": DataFile,
    "file to update": lambda path: DataFile(path, mode="update"),
    "list": lambda path: DataFileList([path, path]),
    "pattern": lambda path: DataFileList(str(path.parent / "*.fits")),
    "length": lambda path: len(DataFile(path)),
    "idents": lambda path: DataFile(path).idents,
    "iteration": lambda path: list(DataFile(path)),
    "copy of a file": lambda path: DataFile(data=DataFile(path)),
    "deep copy of a file": lambda path: copy.deepcopy(DataFile(path)),
    "copy of a file that was looked at": lambda path: DataFile(path)[:].copy(),
    "slice of a file": lambda path: DataFile(path)[::-1],
    "slice of a list": lambda path: DataFileList([path, path])[1:],
    "append": lambda path: DataFile(path).append(DataFile(path)[0]),
    "section": lambda path: DataFile(path)[0][3:9, ::-2],
    "section of a section": lambda path: DataFile(path)[0][3:9][1, 2:4],
    "copy of an image": lambda path: DataFile(path)[0].copy(),
    "deep copy of an image": lambda path: copy.deepcopy(DataFile(path)[0]),
    "replace": lambda path: DataFile(path)[0].replace(unit="electron"),
    "repr of a file": lambda path: repr(DataFile(path)),
    "repr of a list": lambda path: repr(DataFileList([path])),
    "repr of an image": lambda path: repr(DataFile(path)[0]),
    "html of a file": lambda path: getattr(DataFile(path), "_repr_html_", str)(),
    "html of an image": lambda path: getattr(DataFile(path)[0], "_repr_html_", str)(),
    "info": lambda path: DataFile(path).info(),
    "shape": lambda path: DataFile(path)[0].shape,
    "dtype": lambda path: DataFile(path)[0].dtype,
    "size and axes": lambda path: (DataFile(path)[0].size, DataFile(path)[0].ndim),
    "primary header": lambda path: DataFile(path).meta["OBJECT"],
    "extension header": lambda path: DataFile(path)[0].meta["EXTNAME"],
    "set a card": lambda path: DataFile(path)[0].meta.set("OBJECT", "other"),
    "unit": lambda path: DataFile(path)[0].unit,
    "coordinates": lambda path: DataFile(path)[0].wcs,
    "parts that there are": lambda path: DataFile(path)[0].has("flags"),
    "names of tables": lambda path: list(DataFile(path).tables),
    "extras": lambda path: list(DataFile(path).extras.values()),
    "selection": lambda path: DataFileList([path]).where(OBJECT="test"),
    "table of headers": lambda path: DataFileList([path]).table("OBJECT", "EXTVER"),
    "unloaded": lambda path: DataFile(path).unloaded,
    "pickle of a file": lambda path: pickle.loads(pickle.dumps(DataFile(path))),
    "pickle of an image": lambda path: pickle.loads(pickle.dumps(DataFile(path)[0])),
    "reload": lambda path: DataFile(path).reload(),
    "free": lambda path: DataFile(path)[0].__delattr__("data"),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_look_reads_no_pixels(extras, look):
    with count_reads() as reads:
        look(extras)
    assert reads.reads == 0


@pytest.mark.parametrize("part", ITEM)
def test_part_reads_nothing_but_itself(large_file, part):
    ndd = DataFile(large_file)[0]
    with count_reads() as reads:
        getattr(ndd, part)
    assert (reads.reads, reads.bytes) == (1, ITEM[part] * 30 * 40)


@pytest.mark.parametrize("part", ITEM)
def test_part_of_a_section_reads_nothing_but_the_section(large_file, part):
    ndd = DataFile(large_file)[0][10:20, 5:10]
    with count_reads() as reads:
        getattr(ndd, part)
    assert (reads.reads, reads.bytes) == (1, ITEM[part] * 10 * 5)


@pytest.fixture
def packed(tmp_path):
    """A file of two images that are compressed in tiles of 20 x 20 pixels."""
    pixels = np.random.default_rng(1).integers(0, 1000, (200, 300), "i4")
    hdus = [fits.PrimaryHDU()]
    for name in ("SCI", "DQ"):
        hdu = fits.CompImageHDU(pixels, name=name, tile_shape=(20, 20))
        hdu.header["EXTVER"] = 1
        hdus.append(hdu)
    path = tmp_path / "packed.fits.fz"
    fits.HDUList(hdus).writeto(path)
    return path


def test_compressed_image_is_looked_at_without_pixels(packed):
    with count_reads() as reads:
        ndd = DataFile(packed)[0]
        section = ndd[10:30, 50:60]
        assert (ndd.shape, section.shape) == ((200, 300), (20, 10))
        _ = ndd.dtype, ndd.meta["EXTNAME"], repr(section), ndd.copy()
        pickle.loads(pickle.dumps(section))
    assert reads.reads == 0


@pytest.mark.parametrize("part", ["data", "flags"])
def test_section_of_a_compressed_image_reads_only_its_tiles(packed, part):
    ndd = DataFile(packed)[0]
    with count_reads() as few:
        pixels = getattr(ndd[105:115, 205:215], part)
    with count_reads() as all_tiles:
        whole = getattr(ndd, part)
    np.testing.assert_array_equal(pixels, whole[105:115, 205:215])
    assert few.bytes < all_tiles.bytes / 20  # one tile of 150, and its row of the table


def test_part_looked_at_again_is_not_read_again(large_file):
    ndd = DataFile(large_file)[0]
    _ = ndd.data, ndd.uncertainty, ndd.mask
    with count_reads() as reads:
        _ = ndd.data, ndd.uncertainty, ndd.variance, ndd.flags, ndd.mask
    assert reads.reads == 0


def test_section_of_what_is_in_memory_is_not_read(large_file):
    ndd = DataFile(large_file)[0]
    _ = ndd.data
    with count_reads() as reads:
        _ = ndd[1:3].data
    assert reads.reads == 0


def test_section_of_an_extension_of_another_file_reads_that_file_alone(
    large_file, tmp_path
):
    other = make_mef(tmp_path / "other.fits")
    files = DataFileList([large_file, other])
    with count_reads() as reads:
        _ = files[1][0].data
    assert reads.paths == [other]


SETTERS = {
    "data": lambda ndd: setattr(ndd, "data", np.zeros(SHAPE)),
    "variance": lambda ndd: setattr(ndd, "variance", np.ones(SHAPE)),
    "no variance": lambda ndd: setattr(ndd, "variance", None),
    "uncertainty": lambda ndd: setattr(
        ndd, "uncertainty", StdDevUncertainty(np.ones(SHAPE))
    ),
    "no uncertainty": lambda ndd: setattr(ndd, "uncertainty", None),
    "flags": lambda ndd: setattr(ndd, "flags", np.zeros(SHAPE, "u2")),
    "no flags": lambda ndd: setattr(ndd, "flags", None),
    "unit": lambda ndd: setattr(ndd, "unit", "electron"),
    "ident": lambda ndd: setattr(ndd, "ident", 7),
}


@pytest.mark.parametrize("set_part", SETTERS.values(), ids=SETTERS)
def test_set_part_reads_nothing(large_file, set_part):
    ndd = DataFile(large_file)[0]
    with count_reads() as reads:
        set_part(ndd)
    assert reads.reads == 0


def test_set_mask_reads_the_flags_alone(large_file):
    ndd = DataFile(large_file)[0]
    with count_reads() as reads:
        ndd.mask = np.zeros(SHAPE, bool)
    assert reads.bytes == ITEM["flags"] * 30 * 40


@pytest.mark.parametrize("part", ["data", "uncertainty", "flags"])
def test_delete_frees_the_array_and_reads_it_again(large_file, part):
    ndd = DataFile(large_file)[0]

    def look():
        return ndd.uncertainty.array if part == "uncertainty" else getattr(ndd, part)

    array = weakref.ref(look())
    delattr(ndd, part)
    gc.collect()
    assert array() is None
    with count_reads() as reads:
        look()
    assert reads.reads == 1


def open_files(folder):
    """List the files of a folder that this process holds open, or has mapped."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.exists()]
    held = [str(link.readlink()) for link in links]
    held += Path("/proc/self/maps").read_text(encoding="utf-8").split()
    return [target for target in held if target.startswith(str(folder))]


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for open files")
def test_file_looked_at_in_every_way_is_not_held_open(extras):
    df = DataFile(extras)
    ndd = df[0][5:10]
    kept = [ndd.data, df[1].data, df[1].variance, ndd.meta, df.tables["MDF"]]
    assert len(kept) == 5
    assert open_files(extras.parent) == []


def test_file_that_was_looked_at_can_be_renamed_and_its_name_used_again(large_file):
    df = DataFile(large_file)
    pixels = df[0][:3].data
    large_file.rename(large_file.with_name("old.fits"))
    make_mef(large_file, n_ext=1, shape=(2, 2))
    assert pixels[0, 1] == 1001
    assert DataFile(large_file)[0].shape == (2, 2)


@pytest.mark.parametrize(
    "look",
    [
        lambda df: df[0],
        lambda df: df.extras,
        lambda df: df.copy()[0],
        lambda df: df.tables["MDF"],
    ],
)
def test_file_replaced_before_it_is_looked_at_is_noticed(extras, look):
    df = DataFile(extras)
    make_mef(extras.with_name("b.fits")).replace(extras)
    with pytest.raises(FileChangedError, match="changed or replaced"):
        look(df)


@pytest.mark.parametrize("part", ["data", "variance", "flags"])
def test_file_replaced_after_the_header_was_seen_is_noticed(large_file, part):
    ndd = DataFile(large_file)[0]
    _ = ndd.meta
    make_mef(large_file.with_name("b.fits"), shape=SHAPE).replace(large_file)
    with pytest.raises(FileChangedError, match="changed or replaced"):
        getattr(ndd, part)


def test_bad_flags_are_those_of_the_moment_of_opening(large_file):
    with config.using(bad_flags=2):
        df = DataFile(large_file)
    assert [df[0].bad_flags, df.copy()[0].bad_flags] == [2, 2]


def test_extras_are_those_of_the_file_and_of_the_copy(extras):
    df = DataFile(extras)
    assert [*df.extras] == [*df.copy().extras] == ["MASK"]
    assert df.extras["MASK"].shape == (5, 6)


def test_reload_after_changes_gives_what_is_in_the_file(extras):
    df = DataFile(extras)
    df[0].data = np.zeros(SHAPE)
    df.extras.clear()
    del df[1]
    df.reload()
    assert (len(df), [*df.extras], df[0].data[0, 1]) == (2, ["MASK"], 1001)


def test_pickle_of_a_file_holds_no_pixels(tmp_path):
    df = DataFile(make_mef(tmp_path / "a.fits", n_ext=1, shape=(300, 300)))
    pixels = df[0].data
    assert len(pickle.dumps(df)) < pixels.nbytes / 10


def test_list_of_files_takes_little_memory(tmp_path):
    path = make_mef(tmp_path / "a.fits", n_ext=6, table=False)  # 19 HDUs
    names = [tmp_path / f"a{n}.fits" for n in range(40)]
    for name in names:
        name.hardlink_to(path)
    DataFileList(names)[0].idents  # noqa: B018  # what is imported late
    tracemalloc.start()
    try:
        files = DataFileList(names)
        assert [df.idents for df in files] == [[1, 2, 3, 4, 5, 6]] * 40
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used / 40 < 50_000  # bytes; the promise is 50 MB for 1000 files


def test_section_of_a_large_image_takes_the_memory_of_the_section(tmp_path):
    path = make_mef(tmp_path / "a.fits", n_ext=1, shape=(2000, 2000), var=False)
    df = DataFile(path)
    _ = df[0][:2, :2].data
    tracemalloc.start()
    try:
        pixels = df[0][1000:1100, 1000:1100].data
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pixels.nbytes == 40_000
    assert most < 200_000  # bytes; the image has 16 million


def test_filename_of_a_listed_file_is_known_without_opening_anything_else(large_file):
    files = DataFileList([large_file])
    (df,) = files
    large_file.unlink()
    assert files.where(OBJECT="test") == files
    assert (str(df.filename), df.idents, len(df)) == (
        str(FileName(large_file)),
        [1, 2],
        2,
    )
