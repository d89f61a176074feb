"""Files under plain names for outside programs."""

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile
from ndmapper.engines.staging import (
    PlainNames,
    is_plain_file,
    plain_root,
    stage_file,
    write_image,
)
from ndmapper.testing import make_mef


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("raw/ergS20120827S0066.fits", "ergS20120827S0066"),
        ("N20-1+2_x.fits.gz", "N20-1+2_x"),
        ("a.fits", "f_a"),
        ("123.fits", "f_123"),
        ("-rf.fits", "f_-rf"),
        ("a b;c$(d).fits", "a_b_c_d"),
        ("..", "file"),
        ("é", "file"),
    ],
)
def test_plain_root(name: str, root: str) -> None:
    assert plain_root(name) == root


def test_names_are_plain_and_new() -> None:
    names = PlainNames()
    given = ["a b", "a_b", "A_B", "x" * 300, "\n", "a b"]
    made = [names.new(name, "_1") for name in given]
    assert len({name.lower() for name in made}) == len(given)
    for name in made:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]+\.fits", name)
        assert len(name) < 100


def test_a_file_as_it_is_is_linked_or_copied(tmp_path: Path) -> None:
    path = make_mef(tmp_path / "x.fits")
    df = DataFile(path)
    stage_file(df, tmp_path / "link.fits", link=True)
    stage_file(df, tmp_path / "copy.fits", link=False)
    assert (tmp_path / "link.fits").readlink() == path
    assert not (tmp_path / "copy.fits").is_symlink()
    assert (tmp_path / "copy.fits").read_bytes() == path.read_bytes()


def test_changes_in_memory_are_written(tmp_path: Path) -> None:
    df = DataFile(make_mef(tmp_path / "x.fits"))
    assert is_plain_file(df)
    df[0].data[...] = 3
    assert not is_plain_file(df)
    stage_file(df, tmp_path / "y.fits", link=True)
    assert (DataFile(tmp_path / "y.fits")[0].data == 3).all()
    assert not (tmp_path / "y.fits").is_symlink()


@pytest.mark.parametrize("name", ["x.fits.gz", "x.fits", "x.fits.fz"])
def test_compressed_files_are_written_plain(tmp_path: Path, name: str) -> None:
    pixels = np.arange(3000, dtype="int32").reshape(50, 60)
    if name.endswith("gz"):
        fits.PrimaryHDU(pixels).writeto(tmp_path / name)
    else:
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(pixels, name="SCI")]
        fits.HDUList(hdus).writeto(tmp_path / name)
    stage_file(DataFile(tmp_path / name), tmp_path / "plain.fits", link=True)
    raw = (tmp_path / "plain.fits").read_bytes()
    assert raw.startswith(b"SIMPLE")
    assert b"ZCMPTYPE" not in raw
    np.testing.assert_array_equal(DataFile(tmp_path / "plain.fits")[0].data, pixels)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "f4", "f8"])
def test_write_image(tmp_path: Path, dtype: str) -> None:
    pixels = np.arange(12, dtype=dtype).reshape(3, 4)
    header = fits.Header([("EXPTIME", 3.0), ("HIERARCH ESO A B", "x")])
    write_image(tmp_path / "x.fits", header, pixels)
    with fits.open(tmp_path / "x.fits") as hdus:
        hdus.verify("exception")
        np.testing.assert_array_equal(hdus[0].data, pixels)
        assert hdus[0].header["EXPTIME"] == 3
    assert (tmp_path / "x.fits").stat().st_size % 2880 == 0
