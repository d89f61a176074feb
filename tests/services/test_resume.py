"""Downloads that break, are killed or interrupted: the next one goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ndmapper.errors import (
    ServiceError,
    ServiceUnreachableError,
)
from ndmapper.services import download_files
from ndmapper.services.transfer.partial import PartialDownload, RemoteFile
from ndmapper.testing import LoopbackArchives
from ndmapper.testing.archives.content import fits_bytes, md5_of

NAMES = [f"S20120827S006{n}.fits" for n in range(4)]
DATASET = "MUSE.2017-06-18T01:02:03.456"
LARGE = fits_bytes("large", size=400)


@pytest.fixture(autouse=True)
def held(archives: LoopbackArchives) -> None:
    for name in NAMES:
        archives.gemini.add(name)
    archives.eso.add(DATASET, LARGE, kind="fits")


def left(folder: Path) -> list[str]:
    """List what is in a folder, but for the notes."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".ndmapper")


def test_broken_file_goes_on_where_it_stopped(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("cut", path="/file/", times=1, after=200_000)
    (path,) = download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert path.read_bytes() == LARGE
    first, second = (a for a in archives.asked if "/file/" in a.path)
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=200000-"
    assert second.headers["if-range"] == f'"{md5_of(LARGE)}"'


def test_next_run_goes_on_where_it_stopped(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("cut", path="/file/", times=3, after=100_000)
    with pytest.raises(ServiceUnreachableError):
        download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert not (tmp_path / f"{DATASET}.fits").exists()
    (path,) = download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert path.read_bytes() == LARGE
    assert archives.asked[-1].headers["range"].startswith("bytes=")
    assert left(tmp_path) == [path.name]


@pytest.mark.parametrize("word", ["total", "validator", "path"])
@pytest.mark.parametrize("value", ["5", [1], {}, True, 1.5, None])
def test_note_of_a_part_that_says_nothing_sensible_is_not_believed(
    tmp_path: Path, word: str, value: object
) -> None:
    remote = RemoteFile(path="/a/b.fits")
    part = PartialDownload.of(tmp_path, remote)
    part.path.write_bytes(b"abc")
    known = {"path": part.path_digest, "validator": "v", "total": 5}
    part.note.write_text(json.dumps(known))
    assert PartialDownload.of(tmp_path, remote).total == 5
    part.note.write_text(json.dumps(known | {word: value}))
    found = PartialDownload.of(tmp_path, remote)
    if (word, value) == ("validator", "5"):
        assert found.validator == "5"
    else:
        assert (found.validator, found.total) == (None, None)


def test_file_that_changed_meanwhile_begins_anew(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("cut", path="/file/", times=3, after=100_000)
    with pytest.raises(ServiceUnreachableError):
        download_files([f"{DATASET}.fits"], "eso", tmp_path)
    newer = fits_bytes("newer", size=400)
    archives.eso.add(DATASET, newer, kind="fits")
    (path,) = download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert path.read_bytes() == newer


def test_wrong_range_is_not_put_together(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("cut", path="/file/", times=1, after=100_000)
    archives.switch("wrong-range", path="/nothing")
    switches = archives._switches  # the second answer is wrong, and the third right
    archives.switch("wrong-range", path="/file/", times=2)
    switches[-1].times = None
    with pytest.raises(ServiceError, match="goes on at another place than asked"):
        download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert left(tmp_path) == []
    switches.clear()
    (path,) = download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert path.read_bytes() == LARGE


def test_range_that_is_refused_begins_anew(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("cut", path="/file/", times=3, after=100_000)
    with pytest.raises(ServiceUnreachableError):
        download_files([f"{DATASET}.fits"], "eso", tmp_path)
    archives.switch("status", path="/file/", times=1, status=416)
    (path,) = download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert path.read_bytes() == LARGE


@pytest.mark.slow
def test_killed_download_leaves_nothing_that_looks_whole(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("slow", path="/file/", seconds=600.0)
    script = (
        "from ndmapper.services import download_files\n"
        f"download_files(['{DATASET}.fits'], 'eso', {str(tmp_path)!r})\n"
    )
    urls = "{" + ", ".join(f'"{k}": "{v}"' for k, v in archives.urls.items()) + "}"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "NDMAPPER_ARCHIVE_URLS": urls},
    )
    part = tmp_path / f".{DATASET}.part"
    while process.poll() is None and not (
        part.exists() and part.stat().st_size > 50_000
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert [name for name in left(tmp_path) if not name.startswith(".")] == []
    archives._switches.clear()
    (path,) = download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert path.read_bytes() == LARGE
    assert archives.asked[-1].headers["range"].startswith("bytes=")


@pytest.mark.slow
def test_interrupt_does_not_wait_for_a_silent_server(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("slow", path="/file/", seconds=600.0)
    script = (
        "import signal\n"
        "from ndmapper.services import download_files\n"
        # A shell starts what runs in the background with interrupts ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        f"    download_files(['{DATASET}.fits'], 'eso', {str(tmp_path)!r})\n"
        "except KeyboardInterrupt:\n"
        "    raise SystemExit(7)\n"
    )
    urls = "{" + ", ".join(f'"{k}": "{v}"' for k, v in archives.urls.items()) + "}"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "NDMAPPER_ARCHIVE_URLS": urls,
            "NDMAPPER_ARCHIVE_TIMEOUT": "1000",
        },
    )
    part = tmp_path / f".{DATASET}.part"
    while process.poll() is None and not (
        part.exists() and part.stat().st_size > 50_000
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    # The server would be silent, and it would wait, for longer than this.
    assert process.wait(timeout=300) == 7
    assert [name for name in left(tmp_path) if not name.startswith(".")] == []
