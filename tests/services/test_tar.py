"""Tar files: taken apart as they arrive, and nothing in them believed."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ndmapper.errors import MissingFileError, ServiceAccessError, ServiceError
from ndmapper.services import download_files
from ndmapper.testing import LoopbackArchives
from ndmapper.testing.archives.content import fits_bytes

NAMES = [f"S20120827S006{n}.fits" for n in range(4)]


@pytest.fixture(autouse=True)
def held(archives: LoopbackArchives) -> None:
    for name in NAMES:
        archives.gemini.add(name)


def fetch(folder: Path, names: list[str] = NAMES) -> list[Path]:
    return download_files(names, "gemini", folder, tar=True)


def test_tar_gives_all_in_one_request(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    paths = fetch(tmp_path)
    assert [path.read_bytes() for path in paths] == [fits_bytes(n) for n in NAMES]
    assert archives.paths("/file/") == []
    assert archives.paths("/download") == ["/gemini/download"]


def test_tar_asks_only_for_what_is_missing(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    download_files(NAMES[:3], "gemini", tmp_path)
    fetch(tmp_path)
    (asked,) = (a for a in archives.asked if a.path.endswith("/download"))
    assert asked.form == [("files", f"{NAMES[3]}.bz2")]


def test_tar_of_what_is_there_asks_nothing(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    fetch(tmp_path)
    archives.stop()
    assert fetch(tmp_path) == [tmp_path / name for name in NAMES]


def test_tar_with_folders_gives_the_names(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.gemini.tar_names = {f"{n}.bz2": f"path/{n}.bz2" for n in NAMES}
    assert [path.parent for path in fetch(tmp_path)] == [tmp_path] * 4
    assert archives.paths("/file/") == []


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_tar_that_is_cut_is_completed_file_by_file(
    archives: LoopbackArchives, tmp_path: Path, framing: str
) -> None:
    archives.switch("cut", path="/download", after=5000, framing=framing)
    paths = fetch(tmp_path)
    assert [path.read_bytes() for path in paths] == [fits_bytes(n) for n in NAMES]
    assert 0 < len(archives.paths("/file/")) < 4


def test_tar_without_its_checksums_is_noticed(
    archives: LoopbackArchives, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archives.gemini.tar_trailer = False
    fetch(tmp_path)
    assert "ends without its checksums" in caplog.text


def test_files_that_are_withheld_are_named(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.gemini.denied = {f"{NAMES[1]}.bz2"}
    with pytest.raises(ServiceAccessError, match=rf"left out: {NAMES[1]}\.bz2: "):
        fetch(tmp_path)
    assert (tmp_path / NAMES[0]).exists()


def test_no_files_to_download_is_said(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    text = b"\nNo files to download\n"
    archives.switch("body", path="/download", body=text, content_type="text/plain")
    with pytest.raises(ServiceError, match="sends no tar file, but says: 'No files"):
        fetch(tmp_path)


def test_files_that_there_are_not_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"1 of 2 .*S20120827S0099\.fits"):
        fetch(tmp_path, [NAMES[0], "S20120827S0099.fits"])
    assert (tmp_path / NAMES[0]).exists()


def test_damaged_member_is_got_by_itself(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    held = archives.gemini.held(NAMES[1])
    good = archives.gemini.answer

    def answer(asked):
        found = good(asked)
        if asked.path.endswith("/download"):
            at = found.body.index(held.stored) + 500
            body = bytearray(found.body)
            body[at] ^= 255
            return replace(found, body=bytes(body))
        return found

    archives.gemini.answer = answer
    paths = fetch(tmp_path)
    assert paths[1].read_bytes() == fits_bytes(NAMES[1])
    assert archives.paths("/file/") == [f"/gemini/file/{NAMES[1]}.bz2"]


@pytest.mark.parametrize(
    "name",
    ["../evil.fits", "/etc/evil.fits", "a/../../evil.fits", "a\\..\\evil.fits",
     ".hidden", "line\nbreak.fits", "bell\x07.fits"],
)  # fmt: skip
def test_hostile_names_are_refused(
    archives: LoopbackArchives, tmp_path: Path, name: str
) -> None:
    archives.gemini.tar_names = {f"{NAMES[0]}.bz2": name}
    folder = tmp_path / "a" / "raw"
    with pytest.raises(ServiceError, match=r"gives a file the name .* is not taken"):
        fetch(folder)
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    outside = [path for path in found if folder not in path.parents]
    assert outside == []


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_what_is_no_plain_file_is_refused(
    archives: LoopbackArchives, tmp_path: Path, kind: bytes
) -> None:
    link = tarfile.TarInfo(f"{NAMES[0]}.bz2")
    link.type = kind
    link.linkname = "/etc/passwd"
    archives.gemini.tar_extra = [link]
    with pytest.raises(ServiceError, match="which is no plain file"):
        fetch(tmp_path / "raw")
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_member_that_nobody_asked_for_is_not_taken(
    archives: LoopbackArchives, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archives.gemini.tar_extra = [tarfile.TarInfo("startup.py")]
    fetch(tmp_path)
    assert "'startup.py', which nobody asked for" in caplog.text
    assert not (tmp_path / "startup.py").exists()


def test_member_larger_than_listed_is_not_taken(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    good = archives.gemini.held(NAMES[0]).stored
    object.__setattr__(archives.gemini.held(NAMES[0]), "stored", good + b"\0" * 99_999)
    with pytest.raises(
        ServiceError, match=r"announces .* bytes, but the archive lists"
    ):
        fetch(tmp_path)
    assert not (tmp_path / NAMES[0]).exists()


def test_tar_without_end_is_not_read_for_ever(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("endless", path="/download", size=20 << 20)
    huge = tarfile.TarInfo("huge.fits")
    huge.size = 1 << 40
    archives.gemini.tar_extra = [huge]
    archives.gemini.tar_trailer = False
    with pytest.raises(ServiceError, match="far more than the files asked for"):
        fetch(tmp_path)
