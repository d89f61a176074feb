"""Saving the calibration document where that cannot be done."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shared_helpers import read_document, write_document

from ndmapper.calibrations import add_cal_entry, init_cal_dict, save_cal_dict
from ndmapper.errors import FileAccessError

SMALL: dict[str, Any] = {
    "associations": {"a.fits": {"bias": "b.fits", "flat": None}},
    "calibrations": {"b.fits": ["c.fits", "d.fits"]},
    "checksums": {"c.fits": "9d377b10ce778c4938b3c7e2c63a229a"},
}


def test_save_leaves_no_temporary_file(document_path: Path) -> None:
    save_cal_dict(init_cal_dict(), document_path)
    names = {p.name for p in document_path.parent.iterdir()}
    assert names == {"calibrations.json", ".ndmapper"}


def test_save_failing_half_way_keeps_the_old_file(
    document_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_document(document_path, SMALL)
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("new.fits", "bias", None, cal_dict)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileAccessError, match="No space left"):
        save_cal_dict(cal_dict, document_path)
    assert read_document(document_path) == SMALL
    assert not list(document_path.parent.glob(".*.part"))


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """Give a folder that this process cannot write to, even where it runs as root."""
    folder = Path(tempfile.mkdtemp())
    write_document(folder / "calibrations.json", SMALL)
    # What is imported by it may be out of reach for the other user.
    init_cal_dict(folder / "calibrations.json")
    (folder / "calibrations.json").chmod(0o444)
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_save_in_read_only_folder_is_an_access_error(read_only_folder: Path) -> None:
    path = read_only_folder / "calibrations.json"
    cal_dict = init_cal_dict(path)
    cal_dict["associations"]["new.fits"] = {"bias": None}
    with pytest.raises(FileAccessError, match=r"cannot be written \(Permission denied"):
        save_cal_dict(cal_dict, path)
    assert read_document(path) == SMALL


def test_save_unchanged_in_read_only_folder_is_no_error(read_only_folder: Path) -> None:
    path = read_only_folder / "calibrations.json"
    save_cal_dict(init_cal_dict(path), path)
    assert {p.name for p in read_only_folder.iterdir()} == {"calibrations.json"}


def test_save_into_missing_folder_is_an_access_error(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="is its folder there"):
        save_cal_dict(init_cal_dict(), tmp_path / "none" / "calibrations.json")
