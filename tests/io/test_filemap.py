import bz2
import gzip
import logging

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import open_descriptors

from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
    FormatError,
    MissingFileError,
    TruncatedFileError,
)
from ndmapper.io import source
from ndmapper.io.filemap import map_file
from ndmapper.testing import count_reads, make_mef


@pytest.fixture
def mef(tmp_path):
    return make_mef(tmp_path / "a.fits")


def test_map_file_mef_agrees_with_astropy(mef):
    fmap = map_file(mef)
    with fits.open(mef) as hdus:
        assert [
            (h.name, h.fileinfo()["datLoc"], h.header.tostring().encode()) for h in hdus
        ] == [(h.name or "PRIMARY", h.data_offset, h.raw) for h in fmap.hdus]


def test_map_file_mef_reads_no_data(mef):
    with count_reads() as reads:
        map_file(mef)
    assert reads.reads == 0


def test_map_file_leaves_no_file_open(mef):
    before = open_descriptors()
    fmap = map_file(mef)
    fmap.hdus[2].read_data()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("compress", "name"), [(gzip.compress, "a.fits.gz"), (bz2.compress, "a.fits.bz2")]
)
def test_map_file_compressed_has_the_same_map(mef, compress, name):
    packed = mef.with_name(name)
    packed.write_bytes(compress(mef.read_bytes()))
    assert [h.data_offset for h in map_file(packed).hdus] == [
        h.data_offset for h in map_file(mef).hdus
    ]


def test_map_file_gzip_single_image_is_not_decompressed(tmp_path, monkeypatch):
    path = tmp_path / "a.fits.gz"
    fits.PrimaryHDU(np.zeros((1000, 1000), "i2")).writeto(path)
    seeks = []
    seek = gzip.GzipFile.seek
    monkeypatch.setattr(
        gzip.GzipFile, "seek", lambda self, *a: seeks.append(a) or seek(self, *a)
    )
    assert len(map_file(path).hdus) == 1
    assert seeks == []


@pytest.mark.parametrize("cut", [2880, 5760, 8640])
def test_map_file_gzip_of_several_members_is_read_to_its_end(tmp_path, cut):
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros(10, "f4"), name="SCI")]
    fits.HDUList([*hdus, hdus[1].copy()]).writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(content[:cut]) + gzip.compress(content[cut:]))
    assert [hdu.name for hdu in map_file(packed).hdus] == ["", "SCI", "SCI"]


def test_ends_at_finds_a_member_across_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "_CHUNK", 7)
    noise = np.random.default_rng(1).bytes(500)
    for cut in range(1, 15):
        first, last = gzip.compress(noise[:cut]), gzip.compress(noise[cut:])
        (tmp_path / "a.gz").write_bytes(first + last)
        assert not source.ends_at(tmp_path / "a.gz", 500 - cut)
    # What looks like the start of one may stand in the data.
    (tmp_path / "a.gz").write_bytes(gzip.compress(noise + b"\x1f\x8b\x08\xff" * 9, 0))
    assert source.ends_at(tmp_path / "a.gz", 536)


@pytest.mark.parametrize("keep", [100, 2879, 2880 + 100, 2 * 2880 + 1, 3 * 2880 + 100])
def test_map_file_truncated_says_so(mef, keep):
    content = mef.read_bytes()
    assert keep < len(content)
    mef.write_bytes(content[:keep])
    with pytest.raises((TruncatedFileError, FormatError), match="truncated") as caught:
        map_file(mef)
    assert str(mef) in str(caught.value)


def test_map_file_truncated_data_names_expected_and_found(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((100, 100), "f4")).writeto(path)
    path.write_bytes(path.read_bytes()[:10000])
    with pytest.raises(TruncatedFileError, match="42880 bytes, but it has 10000"):
        map_file(path)


def test_map_file_truncated_gzip_says_so(mef):
    packed = mef.with_name("a.fits.gz")
    packed.write_bytes(gzip.compress(mef.read_bytes())[:-300])
    with pytest.raises(TruncatedFileError):
        map_file(packed)


def test_map_file_without_final_padding_is_read_with_a_warning(tmp_path, caplog):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.arange(10, dtype="i2")).writeto(path)
    path.write_bytes(path.read_bytes()[: 2880 + 20])
    with caplog.at_level(logging.WARNING):
        assert len(map_file(path).primary.read_data()) == 20
    assert "ends within a block" in caplog.text


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG" + bytes(5000)])
def test_map_file_not_fits_is_an_error(tmp_path, content):
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="not a FITS file"):
        map_file(path)


def test_map_file_missing_is_an_error(tmp_path):
    with pytest.raises(MissingFileError, match="does not exist"):
        map_file(tmp_path / "a.fits")


def test_map_file_folder_is_an_error(tmp_path):
    with pytest.raises(FormatError, match="folder"):
        map_file(tmp_path)


def test_map_file_without_permission_is_an_error(mef, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(FileAccessError, match="permissions"):
        map_file(mef)


@pytest.mark.parametrize("content", [b"S", b"SIMPLE", b"SIMPLE  "])
def test_map_file_that_ends_in_the_first_card_is_truncated(tmp_path, content):
    (tmp_path / "a.fits").write_bytes(content)
    with pytest.raises(TruncatedFileError, match=f"it has {len(content)} bytes"):
        map_file(tmp_path / "a.fits")


def test_map_file_rubbish_at_the_end_is_ignored(mef):
    count = len(map_file(mef).hdus)
    mef.write_bytes(mef.read_bytes() + b"rubbish" * 1000)
    assert len(map_file(mef).hdus) == count


@pytest.mark.parametrize(
    "card", ["NAXIS1  =                   -8", "BITPIX  =                   17"]
)
def test_map_file_impossible_size_is_an_error(tmp_path, card):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros(8, "i2")).writeto(path)
    content = path.read_bytes()
    at = content.index(card[:8].encode())
    path.write_bytes(content[:at] + card.ljust(80).encode() + content[at + 80 :])
    with pytest.raises(FormatError, match="does not give its size"):
        map_file(path)


def test_read_data_replaced_file_is_noticed(mef):
    fmap = map_file(mef)
    content = mef.read_bytes()
    new = mef.with_name("new.fits")
    new.write_bytes(content)
    new.replace(mef)
    with pytest.raises(FileChangedError, match="open it again"):
        fmap.hdus[2].read_data()


def test_read_data_deleted_file_is_noticed(mef):
    fmap = map_file(mef)
    mef.unlink()
    with pytest.raises(MissingFileError):
        fmap.hdus[2].read_data()


def test_map_file_random_groups_have_their_size(tmp_path):
    path = tmp_path / "a.fits"
    data = fits.GroupData(
        np.zeros((3, 1, 4)), bitpix=-32, parnames=["U"], pardata=[[1.0] * 3]
    )
    fits.GroupsHDU(data).writeto(path)
    with fits.open(path) as hdus:
        assert map_file(path).primary.data_size == hdus[0].size


def test_map_file_headers_of_extensions_are_read_when_wanted(mef):
    fmap = map_file(mef)
    assert [hdu.kept is not None for hdu in fmap.hdus][:2] == [True, False]
    with fits.open(mef) as hdus:
        assert fmap.hdus[2].raw == hdus[2].header.tostring().encode()


def test_keep_headers_needs_the_file_no_more(mef):
    fmap = map_file(mef)
    raws = [hdu.raw for hdu in fmap.hdus]
    fmap.keep_headers()
    mef.unlink()
    assert [hdu.raw for hdu in fmap.hdus] == raws


def test_header_of_a_replaced_file_is_an_error(mef):
    fmap = map_file(mef)
    make_mef(mef.with_name("b.fits"), n_ext=1).replace(mef)
    with pytest.raises(FileChangedError, match="changed or replaced"):
        _ = fmap.hdus[2].raw
    with pytest.raises(FileChangedError, match="changed or replaced"):
        fmap.keep_headers()


def test_map_file_folder_says_so(tmp_path):
    with pytest.raises(FormatError, match="is a folder"):
        map_file(tmp_path)
