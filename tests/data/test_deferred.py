"""Results that wait until somebody looks at them."""

import copy
import gzip
import pickle

import numpy as np
import pytest

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import (
    FileChangedError,
)
from ndmapper.testing import count_reads, make_mef


def test_result_of_unread_files_reads_nothing_until_somebody_looks(raw_folder):
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
def test_look_at_one_part_reads_what_that_needs(raw_folder, part, count):
    result = DataFile("raw/a.fits") * DataFile("raw/b.fits")
    with count_reads() as reads:
        getattr(result[0], part)
        getattr(result[0], part)
    assert reads.reads == count


def test_section_of_a_result_reads_that_section(raw_folder):
    result = DataFile("raw/a.fits") + DataFile("raw/b.fits")
    whole = (DataFile("raw/a.fits") + DataFile("raw/b.fits"))[0].data
    with count_reads() as reads:
        np.testing.assert_array_equal(result[0][2:4, 1:3].data, whole[2:4, 1:3])
    assert reads.bytes == 2 * 4 * 4


def test_section_of_a_result_with_a_broadcast_row(raw_folder):
    df = DataFileList("raw/*.fits") - np.arange(8)
    np.testing.assert_array_equal(df[0][0][1:3, 2:4].data, df[0][0].data[1:3, 2:4])


def test_flags_of_one_operand_stay_unread_and_are_saved(raw_folder):
    result = DataFile("raw/a.fits") * 2
    with count_reads() as reads:
        _ = result[0].data, result[0].variance
    result.save("new.fits")
    assert reads.reads == 3
    np.testing.assert_array_equal(
        DataFile("new.fits")[0].flags, DataFile("raw/a.fits")[0].flags
    )


def test_result_is_that_of_when_it_was_written(raw_folder):
    df, other = DataFile("raw/a.fits"), DataFile("raw/b.fits")
    result = df - other
    df[0].data[...] = 7
    other[0].variance[...] = 7
    assert result[0].data.max() == 0
    assert result[0].variance[0, 0] == 2


def test_result_of_what_is_in_memory_is_computed_at_once(raw_folder):
    df = DataFile("raw/a.fits")
    df[0].data[...] = 5
    result = df * 2
    df[0].data[...] = 0
    assert result[0].data[0, 0] == 10


def test_result_of_a_file_that_was_replaced_is_an_error(raw_folder):
    result = DataFile("raw/a.fits") * 2
    make_mef(raw_folder / "raw" / "other.fits", n_ext=2, shape=(6, 9)).replace(
        "raw/a.fits"
    )
    with pytest.raises(FileChangedError):
        _ = result[0].data


def test_result_travels_as_names(raw_folder):
    make_mef(raw_folder / "big.fits", n_ext=1, shape=(400, 400))
    result = (DataFile("big.fits") - DataFile("big.fits")) / 2
    packed = pickle.dumps(result)
    assert len(packed) < 30_000  # the pixels are 640 kB
    for other in (pickle.loads(packed), copy.deepcopy(result)):
        assert other[0].variance[3, 3] == result[0].variance[3, 3]


def test_result_can_be_an_operand_in_memory_too(raw_folder):
    difference = DataFile("raw/a.fits") - DataFile("raw/b.fits")
    assert (difference[0] + 1).data[0, 0] == 1
    assert (difference[0] + 1).variance[0, 0] == 2


def test_saved_result_is_mapped_from_its_file(raw_folder):
    result = DataFile("raw/a.fits") - DataFile("raw/b.fits")
    result.save("new.fits")
    assert result.unloaded
    with count_reads() as reads:
        _ = result[0].data
    assert reads.reads == 1


def test_std_file_gets_standard_deviations(raw_folder):
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


def test_file_method_names_the_result(raw_folder):
    result = DataFile("raw/a.fits").power(2, filename="p.fits")
    assert (str(result), result.mode) == ("p.fits", "new")
    assert NDLater(result[0]).data[0, 0] == 1e6


def test_arithmetic_of_compressed_files_waits(raw_folder):
    for name in "ab":
        (raw_folder / f"{name}.fits.gz").write_bytes(
            gzip.compress((raw_folder / "raw" / f"{name}.fits").read_bytes())
        )
    files = DataFileList(["a.fits.gz", "b.fits.gz"])
    with count_reads() as reads:
        result = (files - files[1]) * 2
    assert reads.reads == 0
    assert not any(
        p.is_loaded for df in result for n in df for p in n.content.arrays.values()
    )
    result.save(filename=["x.fits", "y.fits"])
    assert not any(
        p.is_loaded for df in result for n in df for p in n.content.arrays.values()
    )
    plain = DataFileList(["raw/a.fits", "raw/b.fits"])
    for one, two in zip(result, (plain - plain[1]) * 2, strict=True):
        np.testing.assert_array_equal(one[0].data, two[0].data)
        np.testing.assert_array_equal(one[1].variance, two[1].variance)
        np.testing.assert_array_equal(one[1].flags, two[1].flags)


def test_sum_made_in_a_long_loop(raw_folder):
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


def test_result_that_is_used_twice_again_and_again(raw_folder):
    total = DataFile("raw/a.fits")
    for _ in range(40):
        total = total + total
    assert total[0].data[0, 0] == 1000 * 2.0**40
    assert len(pickle.dumps(total)) < 1_000_000
