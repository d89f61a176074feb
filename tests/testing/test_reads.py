import pytest

from ndmapper.data import DataFile
from ndmapper.testing import count_reads, make_mef


def test_count_reads_counts_each_array_and_its_bytes(tmp_path):
    df = DataFile(make_mef(tmp_path / "a.fits"))
    with count_reads() as reads:
        _ = df[0].data
        _ = df[1].flags
    assert (reads.reads, reads.bytes) == (2, 6 * 8 * (4 + 2))
    assert reads.paths == [tmp_path / "a.fits"] * 2


def test_count_reads_counts_a_table(tmp_path):
    df = DataFile(make_mef(tmp_path / "a.fits"))
    with count_reads() as reads:
        df.tables["MDF"]
    assert reads.reads == 1


def test_count_reads_stops_at_the_end_also_after_an_error(tmp_path):
    df = DataFile(make_mef(tmp_path / "a.fits"))
    with pytest.raises(ZeroDivisionError), count_reads() as reads:
        1 / 0  # noqa: B018
    _ = df[0].data
    assert reads.reads == 0


def test_make_mef_has_predictable_pixels(tmp_path):
    df = DataFile(make_mef(tmp_path / "a.fits", n_ext=3, shape=(2, 3)))
    assert df[2].data.tolist() == [[3000, 3001, 3002], [3003, 3004, 3005]]
    assert df[2].variance.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert df[2].flags.tolist() == [[0, 1, 2], [0, 1, 2]]
