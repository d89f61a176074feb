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


def write_with_tail(path, tail):
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
    path = write_with_tail(tmp_path / name, tail)
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

    write_with_tail(tmp_path / "a.fits", tail)
    made = doubled("a.fits")
    assert made.record[-1]["step"] == "doubled"
    again = DataFile("da.fits", mode="update")
    again[0].data[0, 0] = 1
    again.save()
    assert [row["step"] for row in DataFile("da.fits").record][-1] == "edited"


def test_results_take_it_along_as_all_that_is_not_understood(tmp_path, tail):
    (DataFile(write_with_tail(tmp_path / "a.fits", tail)) * 2).save(tmp_path / "b.fits")
    assert (tmp_path / "b.fits").read_bytes().endswith(tail)
    assert map_file(tmp_path / "b.fits").tail is not None


def write_hidden(path, change):
    """Write a file of three extensions with something done to its bytes."""
    images = [fits.ImageHDU(np.ones((3, 4), "f4"), name=n) for n in ("A", "B", "C")]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path)
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"NAXIS2  =                    3",
                                b"NAXIS2  =                    0", 1),
        lambda raw: raw[: 2880 * 3] + bytes(2880) + raw[2880 * 3 :],
        lambda raw: raw[: 2880 * 3] + b"xtension" + raw[2880 * 3 + 8 :],
        lambda raw: raw + SECOND,
    ],
    ids=["wrong size", "padding between", "lower case", "another file"],
)  # fmt: skip
def test_extensions_that_cannot_be_reached_are_told_once(tmp_path, change, caplog):
    path = write_hidden(tmp_path / "a.fits", change)
    DataFile(path)
    DataFile(path)
    (said,) = (r.getMessage() for r in caplog.records)
    assert str(path) in said
    assert f"what follows HDU {len(map_file(path).hdus) - 1}, from byte" in said


@pytest.mark.parametrize("padding", [bytes(2880 * 3), b" " * 2880, b"\r\n", b"\x1a"])
def test_padding_is_not_worth_a_word(tmp_path, padding, caplog):
    path = write_hidden(tmp_path / "a.fits", lambda raw: raw + padding)
    assert len(DataFile(path)) == 3
    assert not caplog.records
