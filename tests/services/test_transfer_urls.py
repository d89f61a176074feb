"""Downloads from addresses that a function gives, and other checksums."""

import hashlib
import re
from pathlib import Path

import pytest

from ndmapper.calibrations import add_cal_entry, init_cal_dict
from ndmapper.config import config
from ndmapper.errors import (
    ParameterError,
    ServiceError,
)
from ndmapper.services import download_files
from ndmapper.testing import LoopbackArchives
from ndmapper.testing.archives.content import fits_bytes

NAMES = ["S20120827S0060.fits"]
DATASET = "MUSE.2017-06-18T01:02:03.456"


@pytest.fixture(autouse=True)
def held(archives: LoopbackArchives) -> None:
    for name in NAMES:
        archives.gemini.add(name)
    archives.eso.add(DATASET, fits_bytes("large", size=400), kind="fits")


def test_url_of_a_function(archives: LoopbackArchives, tmp_path: Path) -> None:
    place = archives.url

    def url_of(name: str) -> str:
        return f"{place}/gemini/file/{name}.bz2"

    paths = download_files(NAMES, url_of, tmp_path)
    assert [path.read_bytes() for path in paths] == [fits_bytes(n) for n in NAMES]
    archives.stop()
    assert download_files(NAMES, url_of, tmp_path) == paths


def test_key_in_a_url_is_written_nowhere(
    archives: LoopbackArchives, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = archives.url
    archives.switch("cut", path="/file/", after=1000)
    archives.eso.add("MUSE.x", kind="fits")

    def url_of(name: str) -> str:
        return f"{place}/eso/dataPortal/file/{name}?signature=very-secret-{name}"

    names = ["MUSE.x", DATASET]
    with (
        config.using(archive_record=tmp_path / "answers"),
        pytest.raises(ServiceError) as caught,
    ):
        download_files(names, url_of, tmp_path / "raw")
    archives._switches.clear()
    with config.using(archive_record=tmp_path / "answers"):
        paths = download_files(names, url_of, tmp_path / "raw")
    assert [path.name for path in paths] == ["MUSE.x.fits", f"{DATASET}.fits"]
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(found) >= 6
    texts = [str(path).encode() + path.read_bytes() for path in found]
    assert not [text for text in texts if b"very-secret" in text]
    assert "very-secret" not in f"{caught.value}{caplog.text}"


@pytest.mark.parametrize("url", ["x", "https://x:port/a", "https://[x/a", "https:///a",
                                 "https://x:70000/a", "file:///etc/hosts"])  # fmt: skip
def test_function_that_gives_no_url_is_an_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(f"no https URL, but {url!r}")):
        download_files(["a.fits"], lambda _: url, tmp_path)


def test_server_of_another_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="server must be the name of a service"):
        download_files(["a.fits"], 7, tmp_path)  # type: ignore[arg-type]


def with_checksum(checksum: str) -> dict[str, object]:
    cals = init_cal_dict()
    add_cal_entry("x.fits", "bias", [(NAMES[0], checksum)], cals)
    return cals


def test_checksum_of_another_kind_is_checked_and_known_off_line(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    right = hashlib.sha256(fits_bytes(NAMES[0])).hexdigest()
    download_files(with_checksum(right), "gemini", tmp_path)
    archives.stop()
    assert download_files(with_checksum(right), "gemini", tmp_path)


def test_wrong_checksum_of_another_kind_is_an_error(tmp_path: Path) -> None:
    wrong = with_checksum("0" * 64)
    with pytest.raises(ServiceError, match=r"the calibration document says 0{64}"):
        download_files(wrong, "gemini", tmp_path)
    assert not list(tmp_path.glob("*.fits"))
    download_files(NAMES[:1], "gemini", tmp_path)
    with pytest.raises(ServiceError, match=r"has another one; correct the document"):
        download_files(wrong, "gemini", tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {".ndmapper", NAMES[0]}
