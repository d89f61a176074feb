import errno
import operator
import os

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, NDData, StdDevUncertainty

from ndmapper.data import DataFile, NDLater, deferred
from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
    ShapeError,
    UnitError,
)
from ndmapper.io.digest import differences
from ndmapper.testing import count_reads, make_mef

pytestmark = pytest.mark.usefixtures("loops")

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv]


@pytest.fixture
def left():
    return NDLater(
        np.full((2, 3), 8, "f4"), variance=np.full((2, 3), 2, "f4"),
        flags=np.array([[0, 1, 2]] * 2, "u2"), meta={"OBJECT": "left"}, ident=4,
    )  # fmt: skip


@pytest.fixture
def right():
    return NDLater(np.full((2, 3), 4, "f4"), variance=np.ones((2, 3), "f4"),
                   flags=np.array([[4, 0, 0]] * 2, "u2"))  # fmt: skip


@pytest.mark.parametrize("op", OPERATORS)
def test_two_images_give_numbers_variance_and_flags(left, right, op):
    result = op(left, right)
    variance = {
        operator.add: 3, operator.sub: 3,
        operator.mul: 2 * 4**2 + 1 * 8**2, operator.truediv: 2 / 4**2 + 8**2 / 4**4,
    }[op]  # fmt: skip
    assert result.data[0, 0] == op(8, 4)
    np.testing.assert_allclose(result.variance, variance)
    assert result.flags.tolist() == [[4, 1, 2]] * 2
    assert result.data.dtype == result.variance.dtype == np.float32


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize(
    "number",
    [4, 4.0, np.float64(4), np.float32(4), np.int64(4), u.Quantity(4)],
)  # fmt: skip
def test_numbers_on_either_side_keep_float32(left, op, number):
    assert op(left, number).data.tolist() == [[op(8.0, 4)] * 3] * 2
    assert op(number, left).data.tolist() == [[op(4, 8.0)] * 3] * 2
    assert op(number, left).dtype == op(left, number).dtype == np.float32


@pytest.mark.parametrize("op", OPERATORS)
def test_arrays_on_either_side(left, op):
    array = np.full((2, 3), 4, "f4")
    for result in (op(left, array), op(array, left)):
        assert isinstance(result, NDLater)
        assert result.variance is not None
    assert op(array, left).data[0, 0] == op(4, 8)


def test_row_is_broadcast(left):
    assert (left - np.arange(3)).data.tolist() == [[8, 7, 6]] * 2


def test_negative(left):
    assert (-left).data[0, 0] == -8
    assert (-left).variance[0, 0] == 2


def test_integers_do_not_wrap():
    small, large = NDLater(np.array([1], "u2")), NDLater(np.array([3], "u2"))
    result = small - large
    assert (result.data.tolist(), result.dtype) == ([-2], np.float32)


def test_header_ident_and_file_are_those_of_the_left(left, right):
    result = left - right
    assert (result.meta["OBJECT"], result.ident) == ("left", 4)
    assert (3 - left).ident == 4
    result.meta["OBJECT"] = "changed"
    assert left.meta["OBJECT"] == "left"


def test_operands_are_left_as_they_were(left, right):
    result = left * right
    result.data[...] = result.variance[...] = 0
    result.flags[...] = 9
    assert (left.data[0, 0], left.variance[0, 0], left.flags[0, 0]) == (8, 2, 0)


@pytest.mark.parametrize("kind", [NDData, CCDData])
def test_other_nddata_are_operands(left, kind):
    other = kind(np.full((2, 3), 4.0), uncertainty=StdDevUncertainty(np.ones((2, 3))),
                 unit="adu", mask=np.array([[True, False, False]] * 2))  # fmt: skip
    left.unit = "adu"
    result = left + other
    np.testing.assert_allclose(result.variance, 3)
    assert result.flags.tolist() == [[1, 1, 2]] * 2


@pytest.mark.parametrize(
    ("op", "first", "second", "unit", "value"),
    [
        (operator.add, "adu", "adu", "adu", 12),
        (operator.add, "m", "km", "m", 4008),
        (operator.add, "adu", None, "adu", 12),
        (operator.sub, None, "adu", "adu", 4),
        (operator.mul, "adu", "electron/adu", "electron", 32),
        (operator.mul, "adu", None, "adu", 32),
        (operator.truediv, "adu", "s", "adu/s", 2),
        (operator.truediv, None, "adu", None, 2),
        (operator.truediv, None, None, None, 2),
    ],
)
def test_units_of_two_images(  # noqa: PLR0917
    left, right, op, first, second, unit, value
):
    left.unit, right.unit = first, second
    result = op(left, right)
    assert result.unit == (None if unit is None else u.Unit(unit))
    assert result.data[0, 0] == value


def test_units_converted_with_their_variance(left, right):
    left.unit, right.unit = "m", "km"
    np.testing.assert_allclose((left + right).variance, 2 + 1e6)


def test_units_that_do_not_match_are_an_error(left, right):
    left.unit, right.unit = "adu", "s"
    with pytest.raises(UnitError, match="adu and s"):
        left + right


def test_quantity_changes_the_unit(left):
    left.unit = "adu"
    gain = 1.5 * u.electron / u.adu
    for result in (left * gain, gain * left):
        assert isinstance(result, NDLater)
        assert (result.unit, result.data[0, 0]) == (u.electron, 12)
    assert (2 / left).unit == u.adu**-1


@pytest.mark.parametrize("other", [np.zeros(4), np.zeros((3, 2)), np.zeros((5, 2, 3))])
def test_shapes_that_do_not_match_are_an_error(left, other):
    with pytest.raises(ShapeError, match="do not match"):
        left - other


@pytest.mark.parametrize("other", ["x", None, object(), [1, 2, 3]])
def test_other_things_are_a_type_error(left, other):
    with pytest.raises(TypeError):
        left + other
    with pytest.raises(TypeError):
        left.add(other)


@pytest.mark.parametrize(
    ("name", "op"),
    list(zip(["add", "subtract", "multiply", "divide"], OPERATORS, strict=True)),
)
def test_methods_do_as_operators(left, right, name, op):
    np.testing.assert_array_equal(getattr(left, name)(right).data, op(left, right).data)


def test_comparison_is_never_elementwise(left):
    assert (left == left.copy()) is False
    assert left == left  # noqa: PLR0124  # identity is the claim


@pytest.mark.parametrize(
    ("result", "data", "variance"),
    [
        (lambda n: n + 1, 6, 4),
        (lambda n: 2 * n, 10, 16),
        (lambda n: n * n, 25, 200),
        (lambda n: 10 / n, 2, 0.64),
        (lambda n: n**2, 25, 400),
        (lambda n: n - n, 0, 8),
    ],
)
def test_images_without_axes_are_combined(result, data, variance):
    made = result(NDLater(np.float32(5), variance=np.float32(4), flags=np.uint16(8)))
    assert made.shape == ()
    assert float(made.data) == pytest.approx(data)
    assert float(made.variance) == pytest.approx(variance)
    assert made.dtype.kind == "f"


def test_mean_is_a_number_that_does_not_widen():
    ndd = NDLater(np.full((2, 3), 4, "f4"), variance=np.ones((2, 3), "f4"))
    assert (ndd / (ndd.mean() * 2)).dtype == np.float32
    assert (ndd / (ndd.mean() * 2)).data.tolist() == [[0.5] * 3] * 2


# ---- results that are computed some rows at a time


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
