"""What follows the last HDU of a file: it is nobody's to throw away."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile, NDLater
from ndmapper.io.filemap import map_file
from ndmapper.steps import run_task

SECOND = b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800)
TAILS = {
    "another file": SECOND,
    "special records": b"records of their own".ljust(5760),
    "blocks of padding": bytes(2880 * 3),
    "less than a block": b"\r\n",
}


@pytest.fixture(params=TAILS)
def tail(request):
    return TAILS[request.param]


def write(path, tail):
    plain = path.with_name("plain.fits")
    fits.PrimaryHDU(np.arange(12, dtype="i2").reshape(3, 4)).writeto(plain)
    raw = plain.read_bytes() + tail
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def content(path):
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_it_survives_every_kind_of_save(tmp_path, tail, name):
    path = write(tmp_path / name, tail)
    size = len(content(path))
    df = DataFile(path, mode="update")
    df.meta["NEW"] = 1
    df.save()
    assert content(path).endswith(tail)
    assert len(content(path)) == size
    df[0].data[0, 0] = 7
    df.append(NDLater(np.ones((2, 2), "f4")))
    df.save(checksum=True)
    assert content(path).endswith(tail)
    df.save(tmp_path / "other.fits")
    assert (tmp_path / "other.fits").read_bytes().endswith(tail)
    assert [ndd.shape for ndd in DataFile(tmp_path / "other.fits")] == [(3, 4), (2, 2)]


def test_a_record_goes_before_it(tmp_path, monkeypatch, tail):
    monkeypatch.chdir(tmp_path)

    @run_task(each="file", prefix="d")
    def doubled(df):
        """Double."""
        df[0].data = df[0].data * 2
        return df

    write(tmp_path / "a.fits", tail)
    made = doubled("a.fits")
    assert made.record[-1]["step"] == "doubled"
    again = DataFile("da.fits", mode="update")
    again[0].data[0, 0] = 1
    again.save()
    assert [row["step"] for row in DataFile("da.fits").record][-1] == "edited"


def test_results_take_it_along_as_all_that_is_not_understood(tmp_path, tail):
    (DataFile(write(tmp_path / "a.fits", tail)) * 2).save(tmp_path / "b.fits")
    assert (tmp_path / "b.fits").read_bytes().endswith(tail)
    assert map_file(tmp_path / "b.fits").tail is not None
