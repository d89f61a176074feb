"""Arithmetic of lists of files: results that wait, and methods that save."""

import gc
import tracemalloc

import numpy as np
import pytest

from ndmapper.data import DataFile, DataFileList, deferred
from ndmapper.errors import (
    ModeError,
    OutputExistsError,
    PlanError,
    ShapeError,
)
from ndmapper.io.digest import differences
from ndmapper.testing import count_reads, make_mef


def test_list_results_take_memory_when_they_are_looked_at(raw_folder):
    make_mef(raw_folder / "big.fits", n_ext=1, shape=(512, 512))
    for i in range(20):
        (raw_folder / f"x{i:02}.fits").symlink_to("big.fits")
    files = DataFileList("x*.fits")
    one = 512 * 512 * 10  # bytes of a group
    _ = (files[0][:] - 1)[0].data
    gc.collect()
    tracemalloc.start()
    try:
        files.subtract(DataFile("big.fits"), prefix="s")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * one


def test_list_with_one_file_reads_that_once(raw_folder):
    files, one = DataFileList("raw/*.fits"), DataFile("raw/a.fits")
    with count_reads() as reads:
        for df in files - one:
            _ = df[0].data
    assert reads.reads == len(files) + 1


def test_list_expression_reads_what_stands_in_it_once(raw_folder, monkeypatch):
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    for name in ("x1", "x2", "x3", "bias", "flat"):
        make_mef(raw_folder / f"{name}.fits", n_ext=1, shape=(30, 9))
    files = DataFileList("x*.fits")
    bias, flat = DataFile("bias.fits"), DataFile("flat.fits")
    expected = (DataFile("x1.fits") - bias) / flat
    with count_reads() as reads:
        result = (files - DataFile("bias.fits")) / DataFile("flat.fits")
        result.save(filename=["r1.fits", "r2.fits", "r3.fits"])
    names = [path.name for path in reads.paths]
    assert names.count("bias.fits") == names.count("flat.fits") == 3  # for each part
    np.testing.assert_array_equal(DataFile("r1.fits")[0].variance, expected[0].variance)


def test_list_with_one_file_takes_it_as_it_is_now(raw_folder):
    one = DataFile("raw/a.fits")
    one[0].data[...] = 1
    result = DataFileList("raw/*.fits") * one
    one[0].data[...] = 0
    assert [df[0].data[0, 0] for df in result] == [1000] * 3


def test_list_with_an_array_takes_it_as_it_is_now(raw_folder):
    array = np.ones((6, 8), "f4")
    result = DataFileList("raw/*.fits") * array
    array[...] = 0
    assert [df[0].data[0, 0] for df in result] == [1000] * 3


@pytest.mark.parametrize("workers", [1, 2])
def test_list_method_with_prefix_saves_and_gives_the_files(raw_folder, workers):
    files = DataFileList("raw/*.fits")
    result = files.subtract(DataFile("raw/a.fits"), prefix="s", workers=workers)
    assert [str(df) for df in result] == ["sa.fits", "sb.fits", "sc.fits"]
    assert [df.mode for df in result] == ["read"] * 3
    assert all(df.unloaded for df in result)
    assert [df[0].variance[0, 0] for df in result] == [2] * 3


def test_list_method_gives_the_same_files_with_any_number_of_workers(raw_folder):
    files = DataFileList("raw/*.fits")
    files.divide(files[::-1], filename=["1.fits", "2.fits", "3.fits"])
    files.divide(files[::-1], filename=["4.fits", "5.fits", "6.fits"], workers=2)
    for one, other in zip("123", "456", strict=True):
        assert differences(f"{one}.fits", f"{other}.fits") == []


def test_list_method_puts_results_into_outdir_or_dirname(raw_folder):
    files = DataFileList("raw/a.fits")
    (raw_folder / "made").mkdir()
    result = files.multiply(2, suffix="_x", dirname="made")
    assert [str(df) for df in result] == ["made/a_x.fits"]


def test_list_method_refuses_before_it_computes(raw_folder):
    files = DataFileList("raw/*.fits")
    (raw_folder / "sc.fits").touch()
    with count_reads() as reads:
        with pytest.raises(OutputExistsError, match=r"sc.fits exists"):
            files.add(1, prefix="s")
        with pytest.raises(ShapeError, match="1 names for 3"):
            files.add(1, filename="x.fits")
        with pytest.raises(PlanError, match=r"x.fits"):
            files.add(1, filename=["x.fits"] * 3)
        with pytest.raises(PlanError, match="no name"):
            (files + 1).add(1, prefix="s")
        with pytest.raises(PlanError, match="workers"):
            files.add(1, workers=2)
        with pytest.raises(TypeError):
            files.add("x", prefix="s")
    assert reads.reads == 0
    assert sorted(p.name for p in raw_folder.glob("*.fits")) == ["sc.fits"]


def test_list_method_overwrites_when_asked(raw_folder):
    files = DataFileList("raw/*.fits")
    files.add(1, prefix="s")
    files.add(2, prefix="s", overwrite=True)
    assert DataFile("sa.fits")[0].data[0, 0] == 1002


@pytest.mark.parametrize("workers", [1, 2])
def test_list_of_results_is_saved_under_names(raw_folder, workers):
    result = DataFileList("raw/*.fits") * 2
    result.save(filename=["x.fits", "y.fits", "z.fits"], workers=workers)
    assert [str(df) for df in result] == ["x.fits", "y.fits", "z.fits"]
    assert [df.mode for df in result] == ["update"] * 3
    assert all(df.unloaded for df in result)
    assert result[2][0].data[0, 0] == 2000


@pytest.mark.parametrize("workers", [1, 2])
def test_list_of_changed_files_is_saved_in_their_place(raw_folder, workers):
    files = DataFileList("raw/*.fits", mode="update")
    files -= 1000
    files.save(workers=workers)
    assert [DataFile(df.filename)[0].data[0, 0] for df in files] == [0] * 3


def test_list_of_results_without_names_is_not_saved(raw_folder):
    result = DataFileList("raw/*.fits") * 2
    with pytest.raises(ModeError, match=r"3 of 3 files have no name"):
        result.save()
    assert [p.name for p in raw_folder.iterdir()] == ["raw"]
