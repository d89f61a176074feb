"""Results that wait until somebody looks at them, and lists of them."""

import copy
import errno
import gc
import gzip
import os
import pickle
import tracemalloc

import numpy as np
import pytest

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.data import _blocks as blocks
from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
    ModeError,
    OutputExistsError,
    PlanError,
    ShapeError,
)
from ndmapper.io.digest import differences
from ndmapper.testing import count_reads, make_mef


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    for name in "abc":
        make_mef(tmp_path / "raw" / f"{name}.fits", n_ext=2)
    return tmp_path


# ---- files


def test_result_of_unread_files_reads_nothing_until_somebody_looks(folder):
    with count_reads() as reads:
        result = (DataFile("raw/a.fits") - DataFile("raw/b.fits")) / DataFile(
            "raw/c.fits"
        )
        assert (result[0].shape, result[0].dtype, len(result)) == (
            (6, 8),
            np.float32,
            2,
        )
        repr(result), result.info(), result[0][2:4], result.copy()
    assert reads.reads == 0
    assert result[0].data[0, 0] == 0


@pytest.mark.parametrize(
    ("part", "count"), [("data", 2), ("flags", 2), ("variance", 4)]
)
def test_look_at_one_part_reads_what_that_needs(folder, part, count):
    result = DataFile("raw/a.fits") * DataFile("raw/b.fits")
    with count_reads() as reads:
        getattr(result[0], part)
        getattr(result[0], part)
    assert reads.reads == count


def test_section_of_a_result_reads_that_section(folder):
    result = DataFile("raw/a.fits") + DataFile("raw/b.fits")
    whole = (DataFile("raw/a.fits") + DataFile("raw/b.fits"))[0].data
    with count_reads() as reads:
        np.testing.assert_array_equal(result[0][2:4, 1:3].data, whole[2:4, 1:3])
    assert reads.bytes == 2 * 4 * 4


def test_section_of_a_result_with_a_broadcast_row(folder):
    df = DataFileList("raw/*.fits") - np.arange(8)
    np.testing.assert_array_equal(df[0][0][1:3, 2:4].data, df[0][0].data[1:3, 2:4])


def test_flags_of_one_operand_stay_unread_and_are_saved(folder):
    result = DataFile("raw/a.fits") * 2
    with count_reads() as reads:
        _ = result[0].data, result[0].variance
    result.save("new.fits")
    assert reads.reads == 3
    np.testing.assert_array_equal(
        DataFile("new.fits")[0].flags, DataFile("raw/a.fits")[0].flags
    )


def test_result_is_that_of_when_it_was_written(folder):
    df, other = DataFile("raw/a.fits"), DataFile("raw/b.fits")
    result = df - other
    df[0].data[...] = 7
    other[0].variance[...] = 7
    assert result[0].data.max() == 0
    assert result[0].variance[0, 0] == 2


def test_result_of_what_is_in_memory_is_computed_at_once(folder):
    df = DataFile("raw/a.fits")
    df[0].data[...] = 5
    result = df * 2
    df[0].data[...] = 0
    assert result[0].data[0, 0] == 10


def test_result_of_a_file_that_was_replaced_is_an_error(folder):
    result = DataFile("raw/a.fits") * 2
    make_mef(folder / "raw" / "other.fits", n_ext=2, shape=(6, 9)).replace("raw/a.fits")
    with pytest.raises(FileChangedError):
        _ = result[0].data


def test_result_travels_as_names(folder):
    make_mef(folder / "big.fits", n_ext=1, shape=(400, 400))
    result = (DataFile("big.fits") - DataFile("big.fits")) / 2
    packed = pickle.dumps(result)
    assert len(packed) < 30_000  # the pixels are 640 kB
    for other in (pickle.loads(packed), copy.deepcopy(result)):
        assert other[0].variance[3, 3] == result[0].variance[3, 3]


def test_result_can_be_an_operand_in_memory_too(folder):
    difference = DataFile("raw/a.fits") - DataFile("raw/b.fits")
    assert (difference[0] + 1).data[0, 0] == 1
    assert (difference[0] + 1).variance[0, 0] == 2


def test_saved_result_is_mapped_from_its_file(folder):
    result = DataFile("raw/a.fits") - DataFile("raw/b.fits")
    result.save("new.fits")
    assert result.unloaded
    with count_reads() as reads:
        _ = result[0].data
    assert reads.reads == 1


def test_std_file_gets_standard_deviations(folder):
    labels = {"data": "SCI", "uncertainty": "VAR", "flags": "DQ",
              "uncertainty_is": "std"}  # fmt: skip
    df = DataFile("raw/a.fits", labels=labels)
    expected = 2 * df[0].copy().variance
    result = DataFile("raw/a.fits", labels=labels) + DataFile(
        "raw/b.fits", labels=labels
    )
    result.save("new.fits")
    stored = DataFile("new.fits", labels=labels | {"uncertainty_is": "variance"})
    # A square and a root, of float32
    np.testing.assert_allclose(stored[0].variance ** 2, expected, rtol=1e-6)


@pytest.mark.parametrize("block", [7, 40, 1 << 20])
def test_blocks_of_rows_change_nothing(folder, monkeypatch, block):
    for name in "xyz":
        make_mef(folder / f"{name}.fits", n_ext=1, shape=(30, 9))
    x, y, z = (DataFile(f"{name}.fits") for name in "xyz")
    for ndd in (x[0], y[0], z[0]):
        _ = ndd.data, ndd.variance, ndd.flags
    eager = (x - y) / z
    monkeypatch.setattr(blocks, "_BLOCK", block)
    x, y, z = (DataFile(f"{name}.fits") for name in "xyz")
    later = (x - y) / z
    for part in ("data", "variance", "flags"):
        np.testing.assert_array_equal(getattr(later[0], part), getattr(eager[0], part))
    ((x - y) / z).save("later.fits")
    eager.save("eager.fits")
    assert differences("later.fits", "eager.fits") == []


def test_rows_that_cannot_be_written_leave_the_file_that_was_there(folder, monkeypatch):
    make_mef(folder / "x.fits", n_ext=1, shape=(30, 9))
    before = (folder / "x.fits").read_bytes()
    monkeypatch.setattr(blocks, "_BLOCK", 40)
    result = DataFile("x.fits") / DataFile("x.fits")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(FileAccessError, match="No space left"):
        result.save("x.fits", overwrite=True)
    assert (folder / "x.fits").read_bytes() == before
    assert sorted(p.name for p in folder.iterdir()) == ["raw", "x.fits"]


def test_rows_of_standard_deviations_are_written_where_they_belong(folder, monkeypatch):
    make_mef(folder / "x.fits", n_ext=2, shape=(30, 9))
    labels = {"data": "SCI", "uncertainty": "VAR", "flags": "DQ",
              "uncertainty_is": "std"}  # fmt: skip

    def result():
        return DataFile("x.fits", labels=labels) * DataFile("raw.fits", labels=labels)

    (folder / "raw.fits").symlink_to("x.fits")
    result().save("whole.fits")
    monkeypatch.setattr(blocks, "_BLOCK", 40)
    result().save("rows.fits")
    assert (folder / "rows.fits").read_bytes() == (folder / "whole.fits").read_bytes()


# ---- lists


def test_list_results_take_memory_when_they_are_looked_at(folder):
    make_mef(folder / "big.fits", n_ext=1, shape=(512, 512))
    for i in range(20):
        (folder / f"x{i:02}.fits").symlink_to("big.fits")
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


def test_list_with_one_file_reads_that_once(folder):
    files, one = DataFileList("raw/*.fits"), DataFile("raw/a.fits")
    with count_reads() as reads:
        for df in files - one:
            _ = df[0].data
    assert reads.reads == len(files) + 1


def test_list_with_one_file_takes_it_as_it_is_now(folder):
    one = DataFile("raw/a.fits")
    one[0].data[...] = 1
    result = DataFileList("raw/*.fits") * one
    one[0].data[...] = 0
    assert [df[0].data[0, 0] for df in result] == [1000] * 3


def test_list_with_an_array_takes_it_as_it_is_now(folder):
    array = np.ones((6, 8), "f4")
    result = DataFileList("raw/*.fits") * array
    array[...] = 0
    assert [df[0].data[0, 0] for df in result] == [1000] * 3


@pytest.mark.parametrize("workers", [1, 2])
def test_list_method_with_prefix_saves_and_gives_the_files(folder, workers):
    files = DataFileList("raw/*.fits")
    result = files.subtract(DataFile("raw/a.fits"), prefix="s", workers=workers)
    assert [str(df) for df in result] == ["sa.fits", "sb.fits", "sc.fits"]
    assert [df.mode for df in result] == ["read"] * 3
    assert all(df.unloaded for df in result)
    assert [df[0].variance[0, 0] for df in result] == [2] * 3


def test_list_method_gives_the_same_files_with_any_number_of_workers(folder):
    files = DataFileList("raw/*.fits")
    files.divide(files[::-1], filename=["1.fits", "2.fits", "3.fits"])
    files.divide(files[::-1], filename=["4.fits", "5.fits", "6.fits"], workers=2)
    for one, other in zip("123", "456", strict=True):
        assert differences(f"{one}.fits", f"{other}.fits") == []


def test_list_method_puts_results_into_outdir_or_dirname(folder):
    files = DataFileList("raw/a.fits")
    (folder / "made").mkdir()
    result = files.multiply(2, suffix="_x", dirname="made")
    assert [str(df) for df in result] == ["made/a_x.fits"]


def test_list_method_refuses_before_it_computes(folder):
    files = DataFileList("raw/*.fits")
    (folder / "sc.fits").touch()
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
    assert sorted(p.name for p in folder.glob("*.fits")) == ["sc.fits"]


def test_list_method_overwrites_when_asked(folder):
    files = DataFileList("raw/*.fits")
    files.add(1, prefix="s")
    files.add(2, prefix="s", overwrite=True)
    assert DataFile("sa.fits")[0].data[0, 0] == 1002


@pytest.mark.parametrize("workers", [1, 2])
def test_list_of_results_is_saved_under_names(folder, workers):
    result = DataFileList("raw/*.fits") * 2
    result.save(filename=["x.fits", "y.fits", "z.fits"], workers=workers)
    assert [str(df) for df in result] == ["x.fits", "y.fits", "z.fits"]
    assert [df.mode for df in result] == ["update"] * 3
    assert all(df.unloaded for df in result)
    assert result[2][0].data[0, 0] == 2000


@pytest.mark.parametrize("workers", [1, 2])
def test_list_of_changed_files_is_saved_in_their_place(folder, workers):
    files = DataFileList("raw/*.fits", mode="update")
    files -= 1000
    files.save(workers=workers)
    assert [DataFile(df.filename)[0].data[0, 0] for df in files] == [0] * 3


def test_list_of_results_without_names_is_not_saved(folder):
    result = DataFileList("raw/*.fits") * 2
    with pytest.raises(ModeError, match=r"3 of 3 files have no name"):
        result.save()
    assert [p.name for p in folder.iterdir()] == ["raw"]


def test_file_method_names_the_result(folder):
    result = DataFile("raw/a.fits").power(2, filename="p.fits")
    assert (str(result), result.mode) == ("p.fits", "new")
    assert NDLater(result[0]).data[0, 0] == 1e6


def test_arithmetic_of_compressed_files_waits(folder):
    for name in "ab":
        (folder / f"{name}.fits.gz").write_bytes(
            gzip.compress((folder / "raw" / f"{name}.fits").read_bytes())
        )
    files = DataFileList(["a.fits.gz", "b.fits.gz"])
    with count_reads() as reads:
        result = (files - files[1]) * 2
    assert reads.reads == 0
    assert not any(p.is_loaded for df in result for n in df for p in n._parts.values())
    result.save(filename=["x.fits", "y.fits"])
    assert not any(p.is_loaded for df in result for n in df for p in n._parts.values())
    plain = DataFileList(["raw/a.fits", "raw/b.fits"])
    for one, two in zip(result, (plain - plain[1]) * 2, strict=True):
        np.testing.assert_array_equal(one[0].data, two[0].data)
        np.testing.assert_array_equal(one[1].variance, two[1].variance)
        np.testing.assert_array_equal(one[1].flags, two[1].flags)


def test_sum_made_in_a_long_loop(folder):
    total = DataFile("raw/a.fits")
    for _ in range(400):
        total = total + DataFile("raw/b.fits")
    assert total[0].data[0, 0] == 401 * 1000
    assert total[1][0].variance[0] == 401
    total = DataFile("raw/a.fits")
    for _ in range(400):
        total += 1
    assert total[0].data[0, 0] == 1400
    total.save("x.fits")
    assert DataFile("x.fits")[0].data[0, 0] == 1400


def test_result_that_is_used_twice_again_and_again(folder):
    total = DataFile("raw/a.fits")
    for _ in range(40):
        total = total + total
    assert total[0].data[0, 0] == 1000 * 2.0**40
    assert len(pickle.dumps(total)) < 1_000_000


def big_files(folder):
    for name in "xyz":
        if not (folder / f"{name}.fits").exists():
            make_mef(folder / f"{name}.fits", n_ext=1, shape=(30, 9))
    return [DataFile(f"{name}.fits") for name in "xyz"]


def test_blocks_open_each_file_once_for_each_thread(folder, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 40)
    monkeypatch.setattr(blocks, "count_threads", lambda: 2)
    x, y, _ = big_files(folder)
    opened = []
    enter = blocks.Pieces.__enter__

    def counted(pieces):
        opened.append(pieces._source.path.name)
        return enter(pieces)

    result = x - y
    monkeypatch.setattr(blocks.Pieces, "__enter__", counted)
    with count_reads() as reads:
        _ = result[0].data
    assert reads.bytes == 2 * 30 * 9 * 4
    assert {*opened} == {"x.fits", "y.fits"}
    assert 2 <= len(opened) <= 4


def test_file_that_is_written_to_between_blocks_is_noticed(folder, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 40)
    x, y, _ = big_files(folder)
    result = x - y
    compute = blocks.combine

    def disturbed(*args, **options):
        with (folder / "y.fits").open("r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            stream.write(b"x")
        os.utime(folder / "y.fits", (1, 1))
        return compute(*args, **options)

    monkeypatch.setattr(blocks, "combine", disturbed)
    with pytest.raises(FileChangedError, match=r"y\.fits"):
        _ = result[0].data


def test_blocks_of_a_result_with_a_broadcast_row_inside(folder, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 40)
    x, y, _ = big_files(folder)
    row = np.arange(9, dtype="f4")
    row.flags.writeable = False
    expected = (x[0].data - row) / y[0].data
    x, y, _ = big_files(folder)
    result = (x - row) / y
    with count_reads() as reads:
        np.testing.assert_array_equal(result[0].data, expected)
    assert reads.bytes == 2 * 30 * 9 * 4  # and not the whole for every block


def test_blocks_take_flags_of_another_operation(folder, monkeypatch):
    x, y, z = big_files(folder)
    _ = y[0].data, y[0].variance, y[0].flags
    result = x * 3
    # Its flags are those of another result, which waits as well.
    result[0]._parts["flags"] = (z * z)[0]._parts["flags"]
    expected = result[0].copy().data / y[0].data
    monkeypatch.setattr(blocks, "_BLOCK", 40)
    made = result / y
    np.testing.assert_array_equal(made[0].data, expected)
    np.testing.assert_array_equal(made[0].flags, z[0].flags | y[0].flags)


def test_disk_that_is_full_in_the_middle_is_not_blamed_on_what_is_read(
    folder, monkeypatch
):
    monkeypatch.setattr(blocks, "_BLOCK", 40)
    x, y, _ = big_files(folder)
    result = x / y
    write, done = os.pwrite, []

    def full(file, content, at):
        done.append(at)
        if len(done) > 12:  # the headers and what pads the data fit
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, content, at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(FileAccessError, match=r"new\.fits cannot .*No space"):
        result.save("new.fits")
    assert not (folder / "new.fits").exists()


def test_error_inside_a_block_is_never_taken_for_the_end(folder, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 40)
    x, y, _ = big_files(folder)

    def wrong(*args, **options):
        raise IndexError("inside")

    result = x / y
    monkeypatch.setattr(blocks, "combine", wrong)
    with pytest.raises(IndexError, match="inside"):
        _ = result[0].data
