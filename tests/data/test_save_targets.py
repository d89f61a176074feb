"""Odd targets of a save: the file itself by other names, folders, links, names."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import files_in

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
    FormatError,
    ModeError,
    NdmapperError,
)
from ndmapper.testing import make_mef


def same_pixels(path, before):
    with fits.open(path) as hdus:
        for hdu, data in zip(hdus, before, strict=True):
            if isinstance(hdu, fits.ImageHDU):
                np.testing.assert_array_equal(hdu.data, data)


@pytest.fixture
def before(two_groups):
    with fits.open(two_groups) as hdus:
        return [None if hdu.data is None else hdu.data.copy() for hdu in hdus]


def test_save_onto_itself_unread(two_groups, before):
    df = DataFile(two_groups)
    df.save(overwrite=True)
    same_pixels(two_groups, before)


def test_save_onto_itself_by_another_path(two_groups, before, monkeypatch):
    monkeypatch.chdir(two_groups.parent)
    df = DataFile(two_groups)
    df.save(f"../{two_groups.parent.name}/./a.fits", overwrite=True)
    same_pixels(two_groups, before)
    assert files_in(two_groups.parent) == ["a.fits"]


def test_save_onto_itself_through_a_linked_folder(two_groups, before, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    df = DataFile(two_groups)
    df.save(tmp_path / "link" / "a.fits", overwrite=True)
    same_pixels(two_groups, before)
    assert df[0].data is not None


def test_save_onto_a_link_to_itself_keeps_the_link(two_groups, before, tmp_path):
    (tmp_path / "link.fits").symlink_to("a.fits")
    df = DataFile(two_groups)
    df.save(tmp_path / "link.fits", overwrite=True)
    assert (tmp_path / "link.fits").is_symlink()
    same_pixels(two_groups, before)


def test_save_onto_a_link_to_nothing_makes_the_file(two_groups, tmp_path):
    (tmp_path / "link.fits").symlink_to("new.fits")
    DataFile(two_groups).save(tmp_path / "link.fits", overwrite=True)
    assert (tmp_path / "link.fits").is_symlink()
    assert len(DataFile(tmp_path / "new.fits")) == 2


def test_save_onto_a_hard_link_leaves_the_other_name_alone(two_groups, tmp_path):
    os.link(two_groups, tmp_path / "other.fits")
    content = two_groups.read_bytes()
    df = DataFile(two_groups, mode="update")
    df[0].data[0, 0] = 99
    df.save()
    assert (tmp_path / "other.fits").read_bytes() == content


def test_save_onto_the_input_of_a_section(two_groups):
    part = DataFile(two_groups)[0][1:3, 2:5]
    wanted = fits.getdata(two_groups, 2 - 1)
    DataFile(two_groups, data=[part], mode="overwrite").save()
    df = DataFile(two_groups)
    assert df[0].shape == (2, 3)
    assert wanted is not None
    np.testing.assert_array_equal(df[0].data, part.data)


def test_save_onto_a_file_that_another_one_reads_is_noticed_there(two_groups):
    reader = DataFile(two_groups)
    writer = DataFile(two_groups, mode="update")
    writer[0].data[0, 0] = 99
    writer.save()
    with pytest.raises(FileChangedError, match="changed or replaced"):
        _ = reader[1].data


def test_save_onto_a_folder_is_an_error(tmp_path):
    (tmp_path / "x.fits").mkdir()
    df = DataFile(data=[NDLater([1.0])])
    with pytest.raises((FileAccessError, FormatError), match=r"x\.fits"):
        df.save(tmp_path / "x.fits", overwrite=True)
    assert files_in(tmp_path) == ["x.fits"]


@pytest.mark.parametrize("name", ["späť.fits", "with space.fits", "x" * 240 + ".fits"])
def test_save_under_an_odd_name(tmp_path, name):
    DataFile(data=[NDLater([1.0, 2.0])]).save(tmp_path / name)
    assert DataFile(tmp_path / name)[0].data.tolist() == [1, 2]
    assert files_in(tmp_path) == [name]


def test_save_larger_than_allowed_keeps_the_old_file(two_groups):
    resource = pytest.importorskip("resource", reason="only on Unix")
    content = two_groups.read_bytes()
    df = DataFile(two_groups, mode="update")
    df.append(NDLater(np.zeros((200, 200))))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(FileAccessError, match="cannot be written"):
            df.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert two_groups.read_bytes() == content
    assert files_in(two_groups.parent) == ["a.fits"]
    df.save()
    assert len(DataFile(two_groups)) == 3


def test_copying_more_than_allowed_is_not_blamed_on_what_is_read(tmp_path):
    resource = pytest.importorskip("resource", reason="only on Unix")
    DataFile(data=[NDLater(np.zeros((200, 200)))]).save(tmp_path / "big.fits")
    df = DataFile(tmp_path / "big.fits")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(FileAccessError, match=r"new\.fits cannot be written"):
            df.save(tmp_path / "new.fits")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_in(tmp_path) == ["big.fits"]


def test_save_onto_a_link_to_itself_is_an_error(tmp_path):
    (tmp_path / "x.fits").symlink_to("x.fits")
    df = DataFile(data=[NDLater([1.0])])
    with pytest.raises(FileAccessError, match=r"x\.fits is a link that leads to"):
        df.save(tmp_path / "x.fits", overwrite=True)
    assert files_in(tmp_path) == ["x.fits"]


@pytest.mark.parametrize("name", ["gone/x.fits", "x.fits.Z"])
def test_errors_name_the_file_that_was_asked_for(tmp_path, name):
    df = DataFile(data=[NDLater([1.0])])
    with pytest.raises(NdmapperError) as caught:
        df.save(tmp_path / name)
    assert f"{tmp_path / name} cannot be written" in str(caught.value)
    assert ".ndm-" not in str(caught.value)


def test_save_after_a_change_of_folder_writes_the_file_that_was_opened(
    tmp_path, monkeypatch
):
    (tmp_path / "other").mkdir()
    path = make_mef(tmp_path / "a.fits")
    monkeypatch.chdir(tmp_path)
    df = DataFile("a.fits", mode="update")
    read_only = DataFile("a.fits")
    df.meta["NEW"] = 1
    monkeypatch.chdir(tmp_path / "other")
    df.save()
    assert not Path("a.fits").exists()
    assert DataFile(path).meta["NEW"] == 1
    assert df.filename == path
    df.meta["NEW"] = 2
    df.reload()
    assert df.meta["NEW"] == 1
    with pytest.raises(ModeError):
        read_only.save()
    read_only.reload()
    read_only.save("a.fits")
    assert Path("a.fits").exists()
