"""Results that are computed some rows at a time."""

import errno
import os

import numpy as np
import pytest

from ndmapper.data import DataFile, NDLater, deferred
from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
)
from ndmapper.io.digest import differences
from ndmapper.testing import count_reads, make_mef

pytestmark = pytest.mark.usefixtures("loops")


@pytest.mark.parametrize("block", [7, 40, 1 << 20])
def test_blocks_of_rows_change_nothing(raw_folder, monkeypatch, block):
    for name in "xyz":
        make_mef(raw_folder / f"{name}.fits", n_ext=1, shape=(30, 9))
    x, y, z = (DataFile(f"{name}.fits") for name in "xyz")
    for ndd in (x[0], y[0], z[0]):
        _ = ndd.data, ndd.variance, ndd.flags
    eager = (x - y) / z
    monkeypatch.setattr(deferred, "_BLOCK", block)
    x, y, z = (DataFile(f"{name}.fits") for name in "xyz")
    later = (x - y) / z
    for part in ("data", "variance", "flags"):
        np.testing.assert_array_equal(getattr(later[0], part), getattr(eager[0], part))
    ((x - y) / z).save("later.fits")
    eager.save("eager.fits")
    assert differences("later.fits", "eager.fits") == []


def test_rows_that_cannot_be_written_leave_the_file_that_was_there(
    raw_folder, monkeypatch
):
    make_mef(raw_folder / "x.fits", n_ext=1, shape=(30, 9))
    before = (raw_folder / "x.fits").read_bytes()
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    result = DataFile("x.fits") / DataFile("x.fits")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(FileAccessError, match="No space left"):
        result.save("x.fits", overwrite=True)
    assert (raw_folder / "x.fits").read_bytes() == before
    assert sorted(p.name for p in raw_folder.iterdir()) == ["raw", "x.fits"]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_groups_of_other_shapes_and_parts_are_written_together(
    raw_folder, monkeypatch, threads
):
    for name in "xy":
        df = DataFile(mode="new")
        for shape, parts in (
            ((30, 9), {"variance", "flags"}), ((20, 8), {"flags"}), ((40, 5), set()),
            ((2, 2), {"variance"}), ((20, 8), {"variance", "flags"}),
        ):  # fmt: skip
            rng = np.random.default_rng(len(df) + ord(name))
            df.append(NDLater(
                rng.random(shape, dtype="f4") + 1,
                variance=rng.random(shape, dtype="f4") if "variance" in parts else None,
                flags=rng.integers(0, 9, shape, "u2") if "flags" in parts else None,
            ))  # fmt: skip
        df.save(f"{name}.fits")
    x, y = DataFile("x.fits"), DataFile("y.fits")
    for ndd in (*x, *y):
        _ = ndd.data, ndd.variance, ndd.flags
    (x / y * y).save("eager.fits")
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    monkeypatch.setattr(deferred, "count_threads", lambda: threads)
    x, y = DataFile("x.fits"), DataFile("y.fits")
    (x / y * y).save("rows.fits")
    assert differences("rows.fits", "eager.fits") == []


def test_rows_of_standard_deviations_are_written_where_they_belong(
    raw_folder, monkeypatch
):
    make_mef(raw_folder / "x.fits", n_ext=2, shape=(30, 9))
    labels = {"data": "SCI", "uncertainty": "VAR", "flags": "DQ",
              "uncertainty_is": "std"}  # fmt: skip

    def result():
        return DataFile("x.fits", labels=labels) * DataFile("raw.fits", labels=labels)

    (raw_folder / "raw.fits").symlink_to("x.fits")
    result().save("whole.fits")
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    result().save("rows.fits")
    assert (raw_folder / "rows.fits").read_bytes() == (
        raw_folder / "whole.fits"
    ).read_bytes()


def big_files(folder):
    for name in "xyz":
        if not (folder / f"{name}.fits").exists():
            make_mef(folder / f"{name}.fits", n_ext=1, shape=(30, 9))
    return [DataFile(f"{name}.fits") for name in "xyz"]


def test_blocks_open_each_file_once_for_each_thread(raw_folder, monkeypatch):
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    monkeypatch.setattr(deferred, "count_threads", lambda: 2)
    x, y, _ = big_files(raw_folder)
    opened = []
    enter = deferred.PositionedReader.__enter__

    def counted(pieces):
        opened.append(pieces._source.path.name)
        return enter(pieces)

    result = x - y
    monkeypatch.setattr(deferred.PositionedReader, "__enter__", counted)
    with count_reads() as reads:
        _ = result[0].data
    assert reads.bytes == 2 * 30 * 9 * 4
    assert {*opened} == {"x.fits", "y.fits"}
    assert 2 <= len(opened) <= 4


def test_file_that_is_written_to_between_blocks_is_noticed(raw_folder, monkeypatch):
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    x, y, _ = big_files(raw_folder)
    result = x - y
    compute = deferred.combine

    def disturbed(*args, **options):
        with (raw_folder / "y.fits").open("r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            stream.write(b"x")
        os.utime(raw_folder / "y.fits", (1, 1))
        return compute(*args, **options)

    monkeypatch.setattr(deferred, "combine", disturbed)
    with pytest.raises(FileChangedError, match=r"y\.fits"):
        _ = result[0].data


def test_blocks_of_a_result_with_a_broadcast_row_inside(raw_folder, monkeypatch):
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    x, y, _ = big_files(raw_folder)
    row = np.arange(9, dtype="f4")
    row.flags.writeable = False
    expected = (x[0].data - row) / y[0].data
    x, y, _ = big_files(raw_folder)
    result = (x - row) / y
    with count_reads() as reads:
        np.testing.assert_array_equal(result[0].data, expected)
    assert reads.bytes == 2 * 30 * 9 * 4  # and not the whole for every block


def test_blocks_take_flags_of_another_operation(raw_folder, monkeypatch):
    x, y, z = big_files(raw_folder)
    _ = y[0].data, y[0].variance, y[0].flags
    result = x * 3
    # Its flags are those of another result, which waits as well.
    result[0].content.arrays["flags"] = (z * z)[0].content.arrays["flags"]
    expected = result[0].copy().data / y[0].data
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    made = result / y
    np.testing.assert_array_equal(made[0].data, expected)
    np.testing.assert_array_equal(made[0].flags, z[0].flags | y[0].flags)


def test_disk_that_is_full_in_the_middle_is_not_blamed_on_what_is_read(
    raw_folder, monkeypatch
):
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    x, y, _ = big_files(raw_folder)
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
    assert not (raw_folder / "new.fits").exists()


def test_error_inside_a_block_is_never_taken_for_the_end(raw_folder, monkeypatch):
    monkeypatch.setattr(deferred, "_BLOCK", 40)
    x, y, _ = big_files(raw_folder)

    def wrong(*args, **options):
        raise IndexError("inside")

    result = x / y
    monkeypatch.setattr(deferred, "combine", wrong)
    with pytest.raises(IndexError, match="inside"):
        _ = result[0].data
