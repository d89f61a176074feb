"""Arrays that somebody holds: they stay the pixels, whatever else is done."""

import copy
import gc
import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, NDLater, array
from ndmapper.errors import FileChangedError, MissingFileError, ModeError
from ndmapper.io.record import encode
from ndmapper.testing import count_reads, make_mef

WHAT_IS_DONE = {
    "section": lambda df: df[0][1:3],
    "section of file": lambda df: df[:1],
    "copy": lambda df: df[0].copy(),
    "copy of file": lambda df: DataFile(data=df),
    "NDLater": lambda df: NDLater(df[0]),
    "replace": lambda df: df[0].replace(unit="adu"),
    "pickle": pickle.dumps,
    "arithmetic": lambda df: df + 1,
    "repr": lambda df: df._repr_html_(),
}


@pytest.mark.parametrize("what", WHAT_IS_DONE)
def test_array_that_was_handed_out_stays_the_pixels(folder, what):
    make_mef("a.fits")
    df = DataFile("a.fits", mode="update")
    data, variance, flags = df[0].data, df[0].variance, df[0].flags
    uncertainty = df[0].uncertainty
    taken = WHAT_IS_DONE[what](df)
    assert df[0].data is data
    data[0, 0] = 555
    uncertainty.array[0, 0] = 556
    variance[0, 1] = 557
    flags[0, 0] = 8
    df.save()
    with fits.open("a.fits") as hdus:
        assert hdus["SCI", 1].data[0, 0] == 555
        assert hdus["VAR", 1].data[0, :2].tolist() == [556, 557]
        assert hdus["DQ", 1].data[0, 0] == 8
    del taken


@pytest.mark.parametrize("take", ["copy", "section", "NDLater"])
def test_array_of_the_user_does_not_show_in_what_was_taken(take):
    array = np.ones((3, 4))
    ndd = NDLater(array, variance=array)
    taken = {
        "copy": ndd.copy,
        "section": lambda: ndd[:2],
        "NDLater": lambda: NDLater(ndd),
    }[take]()
    array[0, 0] = 5
    assert ndd.data is array
    assert taken.data[0, 0] == 1
    assert taken.variance[0, 0] == 1


def test_result_of_arithmetic_is_copied_only_once_it_was_handed_out():
    result = NDLater(np.ones((3, 4))) + 1
    copy = result.copy()
    its, own = (one.content.arrays["data"] for one in (copy, result))
    assert its.read_only() is own.read_only()
    assert result.data is not its.read_only()
    assert result.copy().content.arrays["data"].read_only() is not result.data


@pytest.mark.parametrize("is_read", [True, False])
def test_in_place_operator_on_a_new_ndlater_leaves_the_old_one(folder, is_read):
    make_mef("a.fits")
    old = DataFile("a.fits")[0]
    if is_read:
        _ = old.data, old.variance
    new = NDLater(old)
    new += 1
    assert old.data[0, 0] == 1000
    assert new.data[0, 0] == 1001


SIZES = {"small": (3, 4), "large": (1024, 1025)}


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
def test_in_place_operator_where_data_and_variance_are_one_array(shape):
    array = np.full(shape, 10.0)
    ndd = NDLater(array, variance=array)
    ndd *= 2
    assert set(np.unique(ndd.data)) == {20}
    assert set(np.unique(ndd.variance)) == {40}


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
def test_in_place_operator_where_the_variance_is_a_view_of_the_data(shape):
    array = np.arange(float(np.prod(shape))).reshape(shape)
    expected = 4 * array[::-1]
    ndd = NDLater(array, variance=array[::-1])
    ndd *= 2
    np.testing.assert_array_equal(ndd.variance, expected)


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
def test_in_place_operator_where_two_operands_share_arrays(shape):
    array, factor = np.full(shape, 10.0), np.full(shape, 3.0)
    ndd = NDLater(array, variance=factor)
    ndd *= NDLater(factor, variance=array)
    assert set(np.unique(ndd.data)) == {30}
    assert set(np.unique(ndd.variance)) == {3 * 9 + 10 * 100}


def test_array_held_over_an_in_place_operator_stays_the_pixels():
    ndd = NDLater(np.ones((3, 4)))
    array = ndd.data
    ndd += 1
    copy = ndd.copy()
    array[0, 0] = 7
    assert ndd.data[0, 0] == 7
    assert copy.data[0, 0] == 2


@pytest.mark.parametrize("is_read", [True, False])
def test_in_place_operator_on_what_was_appended_leaves_the_original(folder, is_read):
    make_mef("a.fits")
    section = DataFile("a.fits")[0][:2]
    if is_read:
        _ = section.data
    df = DataFile(data=[section])
    df += 1
    assert section.data[0, 0] == 1000
    assert df[0].data[0, 0] == 1001
    section += 2
    assert df[0].data[0, 0] == 1001


def test_augmented_assignment_to_data_keeps_the_array(folder):
    make_mef("a.fits")
    df = DataFile("a.fits")
    array = df[0].data
    df[0].data += 5
    assert df[0].data is array
    assert df[0].copy().data[0, 0] == 1005


ROW = {
    "schema": 1, "step": "s", "module": None, "engine": "python", "code": None,
    "tool": {"name": "x", "version": "1"}, "product": "p.fits", "output": None,
    "key": "sha256:k", "content": "sha256:c", "inputs": [], "calibrations": {},
    "parameters": {}, "config": {}, "references": {}, "source": None, "run": {},
}  # fmt: skip


GONE = {
    "deleted": Path.unlink,
    "replaced": lambda path: Path(make_mef("other.fits", n_ext=1)).replace(path),
}


@pytest.fixture
def edited(folder):
    """Give a file of which all is in memory, and some changed."""
    make_mef("a.fits", n_ext=1, table=False)
    df = DataFile("a.fits", mode="update")
    df.tables["T"] = Table({"x": [1, 2]})
    df.save()
    _ = df[0].flags
    df[0].data[0, 0] = 555
    df[0].variance[0, 0] = 556
    df.tables["T"]["x"][0] = 7
    return df


@pytest.mark.parametrize("how", GONE)
def test_pixels_in_memory_can_be_saved_when_their_file_is_gone(edited, how):
    GONE[how](Path("a.fits"))
    edited.save("b.fits")
    saved = DataFile("b.fits")
    assert saved[0].data[0, 0] == 555
    assert saved[0].variance[0, 0] == 556
    assert saved.tables["T"]["x"].tolist() == [7, 2]
    assert edited.unloaded


@pytest.mark.parametrize("how", GONE)
def test_pixels_in_memory_can_be_pickled_when_their_file_is_gone(edited, how):
    GONE[how](Path("a.fits"))
    again = pickle.loads(pickle.dumps(edited))
    assert again[0].data[0, 0] == 555
    assert again[0].flags.shape == again[0].shape
    one = pickle.loads(pickle.dumps(edited[0]))
    assert one.variance[0, 0] == 556


def test_pixels_not_in_memory_cannot_be_saved_when_their_file_is_gone(folder):
    make_mef("a.fits")
    df = DataFile("a.fits")
    df[0].data[0, 0] = 555
    Path("a.fits").unlink()
    with pytest.raises(MissingFileError, match=r"a\.fits"):
        df.save("b.fits")
    assert not list(folder.iterdir())


def test_what_is_in_memory_only_cannot_be_freed(edited):
    Path("a.fits").unlink()
    with pytest.raises(ModeError, match="would be lost"):
        del edited[0].data


def test_pixels_are_saved_without_the_record_that_went_with_their_file(folder, caplog):
    make_mef("a.fits", n_ext=1, table=False)
    with Path("a.fits").open("ab") as stream:
        stream.write(encode([ROW]))
    df = DataFile("a.fits", mode="update")
    _ = df[0].variance, df[0].flags
    df[0].data[0, 0] = 555
    Path("a.fits").unlink()
    df.save("b.fits")
    assert "record of a.fits" in caplog.text
    saved = DataFile("b.fits")
    assert saved.record == []
    assert saved[0].data[0, 0] == 555


def test_array_that_was_put_into_the_uncertainty_is_saved(folder):
    make_mef("a.fits", n_ext=1)
    df = DataFile("a.fits", mode="update")
    df[0].uncertainty.array = np.full(df[0].shape, 3, "f4")
    df.save()
    assert fits.getdata("a.fits", ("VAR", 1))[0, 0] == 3
    assert df.unloaded


# ---- copies, sections and results of a file that is saved in its place


@pytest.fixture
def two_groups(two_groups, monkeypatch):
    """Write a file of two groups, while no file is open."""
    monkeypatch.setattr(array, "_registry", {})
    return two_groups


HOLDERS = {
    "copy of the file": lambda df: df.copy(),
    "copy of the file, looked at": lambda df: (len(df[:]), df.copy())[1],
    "slice of the file": lambda df: df[0:1],
    "file of it": lambda df: DataFile(data=df),
    "copy of an image": lambda df: [df[0].copy()],
    "deep copy": lambda df: [copy.deepcopy(df[0])],
    "NDLater of it": lambda df: [NDLater(df[0])],
    "pickle": lambda df: [pickle.loads(pickle.dumps(df[0]))],
    "section": lambda df: [df[0][:]],
    "section of a section": lambda df: [df[0][:, :][:, :]],
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("way", ["file", "list", "workers", "method"])
def test_what_was_taken_of_a_file_outlives_its_save(two_groups, holder, way):
    expected = DataFile(two_groups)[0].copy()
    expected = (expected.data, expected.variance, expected.flags)
    df = DataFile(two_groups, mode="update")
    with count_reads() as reads:
        held = HOLDERS[holder](df)
    assert reads.reads == 0
    if way == "method":
        DataFileList(data=[df]).multiply(3, filename=["a.fits"], overwrite=True)
    else:
        df *= 3
        if way == "file":
            df.save()
        else:
            DataFileList(data=[df]).save(workers=2 if way == "workers" else 1)
    np.testing.assert_array_equal(DataFile(two_groups)[0].data, 3 * expected[0])
    for found, right in zip(
        (held[0].data, held[0].variance, held[0].flags), expected, strict=True
    ):
        np.testing.assert_array_equal(found, right)


def test_result_that_waits_outlives_the_save_of_an_operand(two_groups):
    make_mef(two_groups.parent / "b.fits", n_ext=2)
    a, b = DataFile(two_groups, mode="update"), DataFile("b.fits")
    expected = (a.copy() - b.copy() * 2)[0].data
    result, files = a - b * 2, DataFileList([two_groups, "b.fits"]) + 1
    plus_one = a[1].copy().data + 1
    a[0].data[...] = 100
    a.save()
    np.testing.assert_array_equal(result[0].data, expected)
    np.testing.assert_array_equal(files[0][1].data, plus_one)


def test_copy_of_a_file_is_saved_whole(two_groups):
    before = DataFile(two_groups).copy()
    content = two_groups.read_bytes()
    df = DataFile(two_groups, mode="update")
    df[0].data *= 2
    df.save()
    before.save("before.fits")
    old, new = DataFile("before.fits"), df
    np.testing.assert_array_equal(2 * old[0].data, new[0].data)
    assert two_groups.read_bytes() != content
    assert old.tables.keys() == new.tables.keys()


def test_nothing_is_read_for_what_the_new_file_is_made_of(two_groups):
    df = DataFile(two_groups, mode="update")
    df -= 1
    with count_reads() as reads:
        df.save()
    size = 2 * 6 * 8 * (4 + 4 + 2)
    assert reads.bytes <= size + 100  # each part once, and the table


def test_file_of_another_process_is_noticed_as_before(two_groups):
    held = DataFile(two_groups).copy()
    other = two_groups.with_name("other.fits")
    make_mef(other, n_ext=2)
    other.replace(two_groups)
    with pytest.raises(FileChangedError):
        _ = held[0].data


def test_what_nobody_holds_is_forgotten(two_groups, monkeypatch):
    monkeypatch.setattr(array, "_MANY", 2)
    for name in "wxyz":
        make_mef(two_groups.parent / f"{name}.fits", n_ext=1)
        _ = DataFile(f"{name}.fits")[0][1:]
        gc.collect()
    assert len(array._registry) <= 3


def with_tables(path):
    hdus = [fits.PrimaryHDU()]
    for i in (1, 2):
        hdus += [
            fits.ImageHDU(np.full((9, 9), i, "f4"), name="SCI", ver=i),
            fits.BinTableHDU(Table({"a": np.arange(3) + i}), name="OBJCAT", ver=i),
        ]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return DataFile(path, mode="update")


@pytest.mark.parametrize(
    "take", [lambda df: df[0].copy(), lambda df: df[0][2:], lambda df: NDLater(df[0])]
)
def test_tables_of_a_group_outlive_the_save(two_groups, take):
    df, other = with_tables("t.fits"), with_tables("o.fits")
    taken = take(df)
    taken.ident = 3
    other.append(taken)
    df[0].data[:] = 5
    df[0].tables["OBJCAT"]["a"] = 7
    df.save()
    other.save("new.fits")
    stored = DataFile("new.fits")
    assert list(stored[2].tables["OBJCAT"]["a"]) == [1, 2, 3]
    assert (stored[2].data == 1).all()


@pytest.mark.parametrize(
    "other",
    [
        lambda df: df.copy(), lambda df: copy.deepcopy(DataFileList(data=[df]))[0],
        lambda df: pickle.loads(pickle.dumps(df)), lambda df: df + 0,
    ],
)  # fmt: skip
def test_result_that_waits_twice_is_saved_once(two_groups, other):
    expected = DataFile(two_groups)[0].data.copy() * 2
    df = DataFile(two_groups, mode="update")
    df *= 2
    held = other(df)
    df.save()
    np.testing.assert_array_equal(held[0].data, expected)


def test_file_of_another_name_is_the_same_file(two_groups):
    (two_groups.parent / "link.fits").symlink_to("a.fits")
    expected = DataFile(two_groups)[0].data.copy()
    df = DataFile("link.fits", mode="update")
    held, section = df.copy(), df[0][2:5]
    df[0].data[:] = 7
    df.save()
    np.testing.assert_array_equal(held[0].data, expected)
    np.testing.assert_array_equal(section.data, expected[2:5])


@pytest.mark.parametrize("look", [False, True])
def test_pickle_of_a_file_outlives_its_save(two_groups, look):
    expected = DataFile(two_groups)[0].data.copy()
    df = DataFile(two_groups, mode="update")
    if look:
        _ = df[0]
    held = pickle.loads(pickle.dumps(df))
    df[0].data[:] = 1
    df.save()
    np.testing.assert_array_equal(held[0].data, expected)
    held.save("new.fits")
    assert DataFile("new.fits").tables.keys() == df.tables.keys()


def test_copy_that_was_freed_outlives_a_save(two_groups):
    df = DataFile(two_groups, mode="update")
    expected = df[0].data.copy()
    copied = df[0].copy()
    del copied.data
    df *= 3
    df.save()
    np.testing.assert_array_equal(copied.data, expected)


def test_image_that_was_put_into_a_file_outlives_the_next_one_of_its_name(two_groups):
    section = DataFile(two_groups)[0][:]
    expected = fits.getdata(two_groups, ("SCI", 1))
    df = DataFile(data=[section])
    df.save("b.fits")
    (DataFile(two_groups) * 3).save("b.fits", overwrite=True)
    np.testing.assert_array_equal(section.data, expected)
