"""Answers of archives, kept and played."""

import json
from pathlib import Path

import pytest

from ndmapper.config import config
from ndmapper.errors import ServiceError, ServiceUnreachableError
from ndmapper.services import download_files, find_files, look_up_cals
from ndmapper.testing import LoopbackArchives
from ndmapper.testing.archives.gemini import COOKIE

SCIENCE = "S20120827S0066.fits"
BIASES = [f"S20120826S020{n}.fits" for n in range(3)]
DATASET = "MUSE.2017-06-18T01:02:03.456"


@pytest.fixture
def kept(archives: LoopbackArchives, tmp_path: Path) -> Path:
    archives.gemini.add(SCIENCE)
    for name in BIASES:
        archives.gemini.add(name)
    archives.gemini.associate(SCIENCE, "bias", BIASES)
    archives.eso.add(DATASET)
    archives.eso.associate(DATASET, {"BIAS": [DATASET]})
    return tmp_path / "answers"


def everything(folder: Path) -> tuple[object, ...]:
    cals = look_up_cals(SCIENCE, {"target": ["bias"]}, "gemini")
    paths = download_files(cals, "gemini", folder)
    table = find_files("gemini", program="GS-2012B-Q-1")
    trees = look_up_cals(f"{DATASET}.fits", {"target": ["bias"]}, "eso")
    other = download_files([DATASET], "eso", folder)
    rows = find_files("eso", instrument="MUSE")
    contents = [path.read_bytes() for path in (*paths, *other)]
    return cals, contents, list(table["filename"]), trees, list(rows["filename"])


def test_what_was_kept_is_played(
    archives: LoopbackArchives, kept: Path, tmp_path: Path
) -> None:
    with config.using(archive_record=kept):
        first = everything(tmp_path / "one")
    asked = len(archives.asked)
    archives.stop()
    with config.using(archive_replay=kept, archive_urls={}):
        assert everything(tmp_path / "two") == first
    assert len(archives.asked) == asked


def test_what_was_not_kept_is_an_error(
    archives: LoopbackArchives, kept: Path, tmp_path: Path
) -> None:
    with config.using(archive_record=kept):
        look_up_cals(SCIENCE, {"target": ["bias"]}, "gemini")
    with (
        config.using(archive_replay=kept),
        pytest.raises(
            ServiceUnreachableError, match=r"does not hold this answer; record it anew"
        ),
    ):
        look_up_cals(SCIENCE, {"target": ["arc"]}, "gemini")
    assert len(archives.asked) == 1


def test_answers_say_what_was_asked(archives: LoopbackArchives, kept: Path) -> None:
    with config.using(archive_record=kept):
        look_up_cals(SCIENCE, {"target": ["bias"]}, "gemini")
    (path,) = kept.glob("*.json")
    found = json.loads(path.read_text())
    assert found["asked"][:2] == ["GET", f"/jsoncalmgr/bias/filename={SCIENCE}"]
    assert (found["archive"], found["status"], found["schema"]) == ("gemini", 200, 1)
    assert json.loads(path.with_suffix(".body").read_text())[0]["filename"] == SCIENCE


def test_answers_hold_no_credentials(
    archives: LoopbackArchives, kept: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("NDMAPPER_GEMINI_COOKIE", COOKIE)
    monkeypatch.setenv("NDMAPPER_ESO_USER", "observer")
    monkeypatch.setenv("NDMAPPER_ESO_PASSWORD", "starlight")
    with config.using(archive_record=kept):
        everything(tmp_path / "one")
    assert archives.paths("/sso/")
    text = b"".join(path.read_bytes() for path in kept.iterdir())
    assert COOKIE.encode() not in text
    assert b"starlight" not in text
    assert not [t for t in archives.eso.tokens if t.encode() in text]
    assert b"127.0.0.1" not in b"".join(p.read_bytes() for p in kept.glob("*.json"))


def test_answer_that_broke_is_not_kept(
    archives: LoopbackArchives, kept: Path, tmp_path: Path
) -> None:
    archives.switch("cut", path="/file/")
    with config.using(archive_record=kept), pytest.raises(ServiceUnreachableError):
        download_files([SCIENCE], "gemini", tmp_path / "raw")
    asked = [json.loads(path.read_text())["asked"][1] for path in kept.glob("*.json")]
    assert not [path for path in asked if "/file/" in path]
    assert not [path for path in kept.iterdir() if path.name.startswith(".")]


def test_download_that_went_on_is_kept_whole(
    archives: LoopbackArchives, kept: Path, tmp_path: Path
) -> None:
    archives.eso.add(DATASET, kind="fits")
    archives.switch("cut", path="/file/", times=1, after=3000)
    with config.using(archive_record=kept):
        (path,) = download_files([DATASET], "eso", tmp_path / "one")
    with config.using(archive_replay=kept):
        (again,) = download_files([DATASET], "eso", tmp_path / "two")
    assert again.read_bytes() == path.read_bytes()


def test_answer_that_is_broken_is_named(kept: Path, archives: LoopbackArchives) -> None:
    with config.using(archive_record=kept):
        look_up_cals(SCIENCE, {"target": ["bias"]}, "gemini")
    (path,) = kept.glob("*.json")
    path.write_text("{")
    with (
        config.using(archive_replay=kept),
        pytest.raises(ServiceError, match="cannot be read; delete it"),
    ):
        look_up_cals(SCIENCE, {"target": ["bias"]}, "gemini")
