"""Copies, sections and results of a file that is saved in its place."""

import copy
import gc
import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, NDLater, array
from ndmapper.errors import FileChangedError
from ndmapper.testing import count_reads, make_mef


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
