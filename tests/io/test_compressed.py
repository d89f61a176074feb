"""Files that are compressed as a whole."""

import bz2
import gzip
from pathlib import Path

import astropy
import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile
from ndmapper.errors import FormatError, TruncatedFileError
from ndmapper.io.converted import open_array
from ndmapper.io.filemap import map_file
from ndmapper.testing import make_mef

SAMPLES = Path(astropy.__path__[0]) / "io/fits/tests/data"
LZW = SAMPLES / "lzw.fits.Z"


def same_content(packed, plain):
    for one, other in zip(map_file(packed).hdus, map_file(plain).hdus, strict=True):
        assert one.raw == other.raw
        assert one.read_data() == other.read_data()


@pytest.mark.parametrize("kind", ["gz", "bz2"])
def test_map_compressed_file_is_as_the_plain_one(tmp_path, kind):
    path = make_mef(tmp_path / "a.fits")
    pack = {"gz": gzip.compress, "bz2": bz2.compress}[kind]
    (tmp_path / f"a.fits.{kind}").write_bytes(pack(path.read_bytes()))
    same_content(tmp_path / f"a.fits.{kind}", path)


def test_map_file_of_the_old_compress(tmp_path):
    df = DataFile(LZW)
    assert df.filename.ext == "fits.Z"
    assert len(df.meta) > 5
    df.save(tmp_path / "a.fits")
    same_content(LZW, tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus.verify("exception")
        data = hdus[df[0].content.origin[1]].data if len(df) else None
    for ndd in df:
        np.testing.assert_array_equal(ndd.data, data)


def test_map_short_file_of_the_old_compress_is_truncated(tmp_path):
    content = LZW.read_bytes()
    (tmp_path / "a.fits.Z").write_bytes(content[: len(content) // 2])
    with pytest.raises(TruncatedFileError, match="truncated"):
        map_file(tmp_path / "a.fits.Z")


def test_map_damaged_file_of_the_old_compress_is_a_format_error(tmp_path):
    content = bytearray(LZW.read_bytes())
    content[100:104] = b"\xff\xff\xff\xff"
    (tmp_path / "a.fits.Z").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.fits\.Z"):
        map_file(tmp_path / "a.fits.Z").hdus[-1].read_data()


def test_map_real_file_of_the_old_compress(real_data):
    assert map_file(real_data / "archives/eso/testfile.fits.Z").hdus


@pytest.mark.parametrize("kind", ["gz", "bz2"])
def test_section_of_compressed_file(tmp_path, kind):
    path = make_mef(tmp_path / "a.fits", shape=(30, 40))
    pack = {"gz": gzip.compress, "bz2": bz2.compress}[kind]
    (tmp_path / f"a.fits.{kind}").write_bytes(pack(path.read_bytes()))
    hdus = map_file(tmp_path / f"a.fits.{kind}").hdus
    image = next(hdu for hdu in hdus if hdu.is_image)
    whole = open_array(image).read()
    np.testing.assert_array_equal(open_array(image)[3:5, ::7], whole[3:5, ::7])


@pytest.mark.parametrize("magic", [b"\xfd7zXZ\0", b"PK\x03\x04xx"], ids=["xz", "zip"])
def test_map_other_compression_says_what_to_do(tmp_path, magic):
    (tmp_path / "a.fits.xz").write_bytes(magic + bytes(100))
    with pytest.raises(FormatError, match="decompress it"):
        map_file(tmp_path / "a.fits.xz")
