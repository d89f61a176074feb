import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import empty_primary

from ndmapper.errors import (
    FileAccessError,
    FormatError,
    MissingFileError,
    OutputExistsError,
)
from ndmapper.io.filemap import map_file
from ndmapper.io.hdu import HduOut, array_header
from ndmapper.io.headers import Header
from ndmapper.io.write import (
    append_hdu,
    publish,
    stored_form,
    write_hdus,
)
from ndmapper.testing import make_mef

DTYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">f4", ">i2"]


def image(array):
    header = array_header(Header(), stored_form(array), primary=False, name="SCI")
    return HduOut(header, array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_write_hdus_array_is_read_back_by_astropy(tmp_path, dtype):
    path = tmp_path / "a.fits"
    kind = np.dtype(dtype)
    ends = (
        [np.iinfo(kind).min, np.iinfo(kind).max]
        if kind.kind in "iu"
        else [-1e38, np.nan]
    )
    array = np.array([[0, 1, 2], [*ends, 3]], dtype)
    write_hdus(path, [HduOut(empty_primary(Header())), image(array)])
    found = fits.getdata(path, 1)
    np.testing.assert_array_equal(found, array)
    assert found.dtype.newbyteorder("=") == kind.newbyteorder("=")
    with fits.open(path) as hdus:
        hdus.verify("exception")


def test_write_hdus_bool_and_half_are_widened(tmp_path):
    path = tmp_path / "a.fits"
    write_hdus(
        path,
        [HduOut(empty_primary(Header())), image(np.array([True, False])),
         image(np.array([1.5, 2], "f2"))],
    )  # fmt: skip
    assert [fits.getdata(path, i).tolist() for i in (1, 2)] == [[1, 0], [1.5, 2.0]]


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["a"]), np.zeros(2, "f16")])
def test_stored_form_impossible_type_is_an_error(array):
    with pytest.raises(FormatError, match="convert it"):
        stored_form(array)


def test_write_hdus_large_strided_array_is_whole(tmp_path):
    # Larger than one chunk of writing, and not contiguous.
    array = np.arange(3_000_000, dtype="i4").reshape(1500, 2000)[::-1, ::2]
    path = tmp_path / "a.fits"
    write_hdus(path, [HduOut(empty_primary(Header())), image(array)])
    np.testing.assert_array_equal(fits.getdata(path, 1), array)


def test_write_hdus_mapped_hdus_are_copied_byte_for_byte(tmp_path):
    source = make_mef(tmp_path / "a.fits")
    write_hdus(tmp_path / "b.fits", map_file(source).hdus)
    assert (tmp_path / "b.fits").read_bytes() == source.read_bytes()


def test_write_hdus_odd_padding_is_copied(tmp_path):
    source = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros(10, "u1")).writeto(source)
    content = source.read_bytes()[:-2870] + b"\x01" * 2870
    source.write_bytes(content)
    write_hdus(tmp_path / "b.fits", map_file(source).hdus)
    assert (tmp_path / "b.fits").read_bytes() == content


def test_write_hdus_gz_name_is_compressed_the_same_each_time(tmp_path):
    source = map_file(make_mef(tmp_path / "a.fits"))
    first, second = tmp_path / "b.fits.gz", tmp_path / "c.fits.gz"
    for path in (first, second):
        write_hdus(path, source.hdus)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[:2] == b"\x1f\x8b"


def test_append_hdu_adds_one_at_the_end(tmp_path):
    source = map_file(make_mef(tmp_path / "a.fits"))
    path = tmp_path / "b.fits"
    write_hdus(path, source.hdus[:3])
    append_hdu(path, source.hdus[3].read_bytes())
    assert [h.name for h in map_file(path).hdus] == [h.name for h in source.hdus[:4]]


def test_write_hdus_existing_file_is_never_overwritten(tmp_path):
    path = tmp_path / "a.fits"
    path.write_text("mine")
    with pytest.raises(OutputExistsError):
        write_hdus(path, [empty_primary(Header())])
    assert path.read_text() == "mine"


def test_write_hdus_missing_folder_is_an_error(tmp_path):
    with pytest.raises(MissingFileError, match="folder"):
        write_hdus(tmp_path / "no" / "a.fits", [empty_primary(Header())])


def test_write_hdus_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileAccessError, match="No space left"):
        write_hdus(tmp_path / "a.fits", [empty_primary(Header())])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_write_hdus_disk_full_at_the_flush_leaves_nothing(tmp_path, monkeypatch, name):
    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    # Small files stay in the buffer, so the error comes when that is flushed.
    monkeypatch.setattr(
        Path, "open", lambda self, mode: io.BufferedWriter(Full(self, "xb"))
    )
    with pytest.raises(FileAccessError, match="No space left"):
        write_hdus(tmp_path / name, [empty_primary(Header())])
    assert list(tmp_path.iterdir()) == []


def test_publish_replaces_and_keeps_permissions(tmp_path):
    old, new = tmp_path / "a.fits", tmp_path / ".new"
    old.write_text("old")
    old.chmod(0o640)
    new.write_text("new")
    publish(new, old)
    assert old.read_text() == "new"
    assert old.stat().st_mode & 0o777 == 0o640
    assert not new.exists()


def test_publish_write_protected_file_is_not_replaced(tmp_path):
    old, new = tmp_path / "a.fits", tmp_path / ".new"
    old.write_text("old")
    old.chmod(0o444)
    new.write_text("new")
    with pytest.raises(FileAccessError, match="write-protected"):
        publish(new, old)
    assert old.read_text() == "old"


def test_publish_failing_rename_changes_nothing(tmp_path, monkeypatch):
    old, new = tmp_path / "a.fits", tmp_path / ".new"
    old.write_text("old")
    new.write_text("new")

    def refuse(*args):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(type(old), "replace", refuse)
    with pytest.raises(FileAccessError, match="Read-only"):
        publish(new, old)
    assert old.read_text() == "old"
