import tempfile
from pathlib import Path

import numpy as np
import pytest

from ndmapper.errors import FileAccessError
from ndmapper.io.spool import Spool, SpooledArray


def spooled(spool, array, made):
    def make():
        made.append(1)
        return array

    return SpooledArray(spool, make, array.shape)


def test_arrays_of_one_spool_are_made_once_and_read_by_rows():
    rng = np.random.default_rng(3)
    arrays = [
        rng.normal(size=(9, 5)),
        rng.integers(0, 2**16, (9, 5)).astype("u2"),
        rng.normal(size=(4, 3, 2)).astype("f4").transpose(0, 2, 1),
        rng.normal(size=7),
    ]
    made = []
    spool = Spool()
    rows = [spooled(spool, array, made) for array in arrays]
    for span in (slice(2, 4), slice(0, 3), slice(3, 100), slice(5, 5)):
        for array, one in zip(arrays, rows, strict=True):
            found = one[span]
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array[span])
    assert len(made) == len(arrays)


def test_nothing_is_made_before_rows_are_read():
    made = []
    one = spooled(Spool(), np.zeros((3, 2)), made)
    assert one.shape == (3, 2)
    assert not made


def test_full_disk_is_told_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    full = Path("/dev/full").open("w+b", buffering=0)  # noqa: SIM115
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: full)
    one = spooled(Spool(), np.zeros((30, 20)), [])
    with pytest.raises(FileAccessError, match=f"{tmp_path}.*TMPDIR"):
        one[0:2]
    del one
    assert full.closed
