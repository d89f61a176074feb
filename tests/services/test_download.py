"""Getting files: from folders of this machine they must be there, and be whole."""

import bz2
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ndmapper.calibrations import add_cal_entry, init_cal_dict
from ndmapper.errors import MissingFileError, ParameterError, ServiceError
from ndmapper.services import download_files

CONTENT = b"SIMPLE  = " + b"x" * 5000
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for name in ("b.fits", "a.fits", "c.fits"):
        (tmp_path / name).write_bytes(CONTENT)
    (tmp_path / "d.fits.gz").write_bytes(gzip.compress(CONTENT))
    (tmp_path / "e.fits.bz2").write_bytes(bz2.compress(CONTENT))
    return tmp_path


def document(*files: Any) -> dict[str, Any]:
    cal_dict = init_cal_dict()
    add_cal_entry("x.fits", "bias", files, cal_dict)
    return cal_dict


def test_download_gives_paths_in_the_order_asked(raw: Path) -> None:
    names = ["b.fits", "c.fits", "a.fits"]
    assert download_files(names, dirname=raw) == [raw / name for name in names]


def test_download_of_one_name(raw: Path) -> None:
    assert download_files("b.fits", dirname=str(raw)) == [raw / "b.fits"]


def test_download_without_dirname_takes_names_as_paths(raw: Path) -> None:
    assert download_files([raw / "a.fits"]) == [raw / "a.fits"]


def test_download_of_document_gives_each_frame_once(raw: Path) -> None:
    cal_dict = document("c.fits", "a.fits")
    add_cal_entry("y.fits", "bias", ["a.fits", "b.fits"], cal_dict)
    found = download_files(cal_dict, dirname=raw)
    assert found == [raw / "a.fits", raw / "c.fits", raw / "b.fits"]


def test_download_missing_files_are_all_named(raw: Path) -> None:
    with pytest.raises(MissingFileError, match=r"2 of 3 .*n1\.fits, .*n2\.fits;"):
        download_files(["n1.fits", "a.fits", "n2.fits"], dirname=raw)


def test_download_missing_file_hints_at_another_compression(raw: Path) -> None:
    with pytest.raises(MissingFileError, match=r"d\.fits \(but there is d\.fits\.gz\)"):
        download_files("d.fits", dirname=raw)


@pytest.mark.parametrize(
    "checksum", [MD5, SHA256, f"md5:{MD5}", f"sha256:{SHA256}", MD5.upper()]
)
@pytest.mark.parametrize("name", ["a.fits", "d.fits.gz", "e.fits.bz2"])
def test_download_right_checksum_is_taken(raw: Path, name: str, checksum: str) -> None:
    assert download_files(document((name, checksum)), dirname=raw) == [raw / name]


def test_download_checksum_of_the_file_as_stored_is_taken(raw: Path) -> None:
    stored = hashlib.md5((raw / "e.fits.bz2").read_bytes()).hexdigest()
    cal_dict = document(("e.fits.bz2", stored))
    assert download_files(cal_dict, dirname=raw) == [raw / "e.fits.bz2"]


def test_download_wrong_checksums_are_all_named(raw: Path) -> None:
    cal_dict = document(("a.fits", "0" * 32), ("b.fits", MD5), ("c.fits", "0" * 64))
    with pytest.raises(ServiceError, match=r"2 of 3 .*a\.fits, .*c\.fits;"):
        download_files(cal_dict, dirname=raw)


def test_download_strange_checksum_is_an_error(raw: Path) -> None:
    with pytest.raises(ParameterError, match="neither MD5 nor SHA-256"):
        download_files(document(("a.fits", "12")), dirname=raw)


@pytest.mark.parametrize("name", ["../a.fits", "/etc/passwd", "x/../../a.fits"])
def test_download_out_of_the_folder_is_refused(raw: Path, name: str) -> None:
    with pytest.raises(ParameterError, match="leads out of dirname"):
        download_files([name], dirname=raw)


def test_download_unknown_service_says_which_there_are(raw: Path) -> None:
    with pytest.raises(
        ServiceError, match=r"no service 'locale'; did you mean 'local'"
    ):
        download_files("a.fits", server="locale", dirname=raw)


def test_download_from_an_object_hands_over_what_is_known(raw: Path) -> None:
    class Archive:
        def look_up(self, *_: str) -> None:
            return None

        def fetch(
            self, files: Sequence[str], dirname: Path, checksums: Mapping[str, str]
        ) -> list[Path]:
            assert (list(files), checksums) == (["a.fits"], {"a.fits": MD5})
            return [dirname / name for name in files]

    cal_dict = document(("a.fits", MD5))
    assert download_files(cal_dict, Archive(), raw) == [raw / "a.fits"]


def test_download_of_something_else_is_an_error() -> None:
    with pytest.raises(ParameterError, match="takes names"):
        download_files(5)
