"""Downloads: whole and verified, or not at all; and what is done when they break."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ndmapper.config import config
from ndmapper.errors import (
    MissingFileError,
    NdmapperError,
    ParameterError,
    ServiceAccessError,
    ServiceError,
    ServiceUnreachableError,
)
from ndmapper.services import download_files
from ndmapper.services.transfer.manifest import find_note
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


def test_files_come_in_the_order_asked(tmp_path: Path) -> None:
    names = [NAMES[2], NAMES[0], NAMES[2], NAMES[3]]
    paths = download_files(names, "gemini", tmp_path / "raw")
    assert paths == [tmp_path / "raw" / name for name in names]
    assert left(tmp_path / "raw") == sorted(set(names))


def test_files_come_as_they_are(tmp_path: Path) -> None:
    for path in download_files(NAMES, "gemini", tmp_path):
        assert path.read_bytes() == fits_bytes(path.name)


def test_what_is_there_is_not_asked_for(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    download_files(NAMES[:2], "gemini", tmp_path)
    asked = len(archives.asked)
    download_files(NAMES[:2], "gemini", tmp_path)
    assert len(archives.asked) == asked
    download_files(NAMES[:3], "gemini", tmp_path)
    assert len(archives.paths("/file/")) == 3


def test_what_is_there_needs_no_server(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    paths = download_files(NAMES, "gemini", tmp_path)
    archives.stop()
    assert download_files(NAMES, "gemini", tmp_path) == paths


def test_file_that_was_copied_with_another_time_is_verified_by_its_content(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    (path,) = download_files(NAMES[:1], "gemini", tmp_path)
    os.utime(path, (1, 1))
    archives.stop()
    assert download_files(NAMES[:1], "gemini", tmp_path) == [path]


def test_file_from_elsewhere_is_compared_with_the_archive(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    (tmp_path / NAMES[0]).write_bytes(fits_bytes(NAMES[0]))
    download_files(NAMES[:1], "gemini", tmp_path)
    assert archives.paths("/file/") == []
    archives.stop()
    assert download_files(NAMES[:1], "gemini", tmp_path)


def test_file_that_differs_is_not_replaced(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    mine = fits_bytes(NAMES[0], OBSERVER="corrected by hand")
    (tmp_path / NAMES[0]).write_bytes(mine)
    with pytest.raises(ServiceError, match=r"is not what the archive has; move it"):
        download_files(NAMES[:1], "gemini", tmp_path)
    assert (tmp_path / NAMES[0]).read_bytes() == mine


def test_file_that_was_edited_after_it_came_is_not_replaced(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    (path,) = download_files(NAMES[:1], "gemini", tmp_path)
    mine = fits_bytes(NAMES[0], OBSERVER="corrected by hand")
    path.write_bytes(mine)
    with pytest.raises(ServiceError, match="is not what the archive has"):
        download_files(NAMES[:1], "gemini", tmp_path)
    assert path.read_bytes() == mine


def test_overwrite_replaces_what_differs(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    (tmp_path / NAMES[0]).write_bytes(fits_bytes(NAMES[1]))
    (path,) = download_files(NAMES[:1], "gemini", tmp_path, overwrite=True)
    assert path.read_bytes() == fits_bytes(NAMES[0])


def test_half_a_file_is_replaced(archives: LoopbackArchives, tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).write_bytes(fits_bytes(NAMES[0])[:5000])
    (path,) = download_files(NAMES[:1], "gemini", tmp_path)
    assert path.read_bytes() == fits_bytes(NAMES[0])


def test_whole_file_is_taken_where_nobody_can_be_asked(
    archives: LoopbackArchives, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAMES[0]).write_bytes(fits_bytes(NAMES[0]))
    archives.stop()
    assert download_files(NAMES[:1], "gemini", tmp_path) == [tmp_path / NAMES[0]]
    assert "the archive cannot be asked whether it is the same" in caplog.text


@pytest.mark.parametrize("form", ["plain", "stored"])
def test_checksum_of_a_document_may_be_of_either_form(
    archives: LoopbackArchives, tmp_path: Path, form: str
) -> None:
    checksum = md5_of(getattr(archives.gemini.held(NAMES[0]), form))
    document = {"associations": {}, "calibrations": {"x_bias.fits": NAMES[:1]},
                "checksums": {NAMES[0]: checksum}}  # fmt: skip
    paths = download_files(document, "gemini", tmp_path)
    archives.stop()
    assert download_files(document, "gemini", tmp_path) == paths
    assert download_files(document, "local", tmp_path) == paths


def test_damage_is_found_by_the_local_service_as_well(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    checksum = md5_of(archives.gemini.held(NAMES[0]).stored)
    document = {"associations": {}, "calibrations": {"x_bias.fits": NAMES[:1]},
                "checksums": {NAMES[0]: checksum}}  # fmt: skip
    (path,) = download_files(document, "gemini", tmp_path)
    content = bytearray(path.read_bytes())
    content[-3000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ServiceError, match="do not have the checksum"):
        download_files(document, "local", tmp_path)


def test_file_that_was_replaced_at_the_archive_is_an_error(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    document = {"associations": {}, "calibrations": {"x_bias.fits": NAMES[:1]},
                "checksums": {NAMES[0]: "1" * 32}}  # fmt: skip
    with pytest.raises(ServiceError, match="it was replaced there since"):
        download_files(document, "gemini", tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("times", [1, 2])
def test_damaged_file_is_got_again(
    archives: LoopbackArchives, tmp_path: Path, times: int
) -> None:
    archives.switch("damaged", path="/file/", times=times)
    (path,) = download_files(NAMES[:1], "gemini", tmp_path)
    assert path.read_bytes() == fits_bytes(NAMES[0])


def test_file_that_is_always_damaged_is_not_kept(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("damaged", path="/file/")
    with pytest.raises(ServiceError) as caught:
        download_files(NAMES[:1], "gemini", tmp_path)
    expected = md5_of(archives.gemini.held(NAMES[0]).stored)
    assert f"but the archive publishes {expected}; it was not kept" in str(caught.value)
    assert len(archives.paths("/file/")) == 3
    assert left(tmp_path) == []


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_file_that_is_cut_is_got_again(
    archives: LoopbackArchives, tmp_path: Path, framing: str
) -> None:
    archives.switch("cut", path="/file/", times=1, framing=framing)
    (path,) = download_files(NAMES[:1], "gemini", tmp_path)
    assert path.read_bytes() == fits_bytes(NAMES[0])


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_file_that_is_always_cut_is_not_kept(
    archives: LoopbackArchives, tmp_path: Path, framing: str
) -> None:
    archives.switch("cut", path="/file/", framing=framing)
    with pytest.raises(ServiceUnreachableError):
        download_files(NAMES[:1], "gemini", tmp_path)
    assert left(tmp_path) == []


def test_file_of_unknown_size_that_is_cut_silently_is_seen_by_its_blocks(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    # ESO publishes neither size nor checksum, and the end of the connection is the end.
    archives.switch("no-ranges", path="/file/")
    archives.switch("cut", path="/file/", after=50_000, framing="close")
    with pytest.raises(ServiceError, match="no whole FITS file"):
        download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert left(tmp_path) == []


def test_silence_in_the_middle_is_got_over(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("slow", path="/file/", times=1, seconds=60.0)
    with config.using(archive_timeout=1.0):
        (path,) = download_files(NAMES[:1], "gemini", tmp_path)
    assert path.read_bytes() == fits_bytes(NAMES[0])


def test_busy_archive_is_asked_again_for_files(
    archives: LoopbackArchives, tmp_path: Path, waits: list[float]
) -> None:
    archives.switch("busy", path="/file/", times=2, retry_after="3")
    download_files(NAMES[:1], "gemini", tmp_path)
    assert len(archives.paths("/file/")) == 3
    assert all(wait >= 3 for wait in waits)


def test_login_page_is_no_file(archives: LoopbackArchives, tmp_path: Path) -> None:
    archives.switch("login-page", path="/file/")
    with pytest.raises(ServiceAccessError, match="sends a web page in place of MUSE"):
        download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert left(tmp_path) == []


def test_something_else_is_no_file(archives: LoopbackArchives, tmp_path: Path) -> None:
    archives.switch("body", path="/file/", body=b"Sorry, the disk is being changed")
    with pytest.raises(ServiceError, match=r"sends no FITS file in place of .* 'Sorry"):
        download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert left(tmp_path) == []


def test_failures_are_listed_and_the_rest_is_kept(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("proprietary", path=f"/file/{NAMES[1]}")
    archives.switch("damaged", path=f"/file/{NAMES[2]}")
    with pytest.raises(ServiceError) as caught:
        download_files([*NAMES, "S20120827S0099.fits"], "gemini", tmp_path)
    text = str(caught.value)
    assert text.startswith("3 of 5 files could not be got (the other 2 in ")
    assert f"{NAMES[1]}: the Gemini archive does not give proprietary data" in text
    assert f"{NAMES[2]} came with the checksum" in text
    assert "S20120827S0099.fits: the archive has no such file" in text
    assert left(tmp_path) == [NAMES[0], NAMES[3]]


def test_bytes_are_counted_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    download_files(NAMES, "gemini", tmp_path)
    assert "from gemini" in terminal.getvalue()
    assert "B/s" in terminal.getvalue()


def test_nothing_is_counted_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download_files(NAMES, "gemini", tmp_path)
    assert capsys.readouterr() == ("", "")


def test_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("mine")
    with pytest.raises(NdmapperError, match="raw"):
        download_files(NAMES, "gemini", tmp_path / "raw")


def test_missing_files_are_an_error_of_missing_files(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"2 of 3 .*X1\.fits, X2\.fits"):
        download_files(["X1.fits", NAMES[0], "X2.fits"], "gemini", tmp_path)


def test_dead_archive_is_not_asked_for_every_file(
    archives: LoopbackArchives, tmp_path: Path, waits: list[float]
) -> None:
    archives.stop()
    with config.using(archive_transfers=1), pytest.raises(ServiceUnreachableError):
        download_files([f"S20120827S1{n:03d}.fits" for n in range(50)], "gemini",
                       tmp_path)  # fmt: skip
    assert len(waits) == 3


def test_transfers_are_limited(archives: LoopbackArchives, tmp_path: Path) -> None:
    archives.switch("silent", path="/file/", seconds=0.5)
    with config.using(archive_transfers=2):
        download_files(NAMES, "gemini", tmp_path)
    assert archives.most_at_once == 2


def test_one_file_for_many_threads_comes_once(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("silent", path="/file/", seconds=0.1)
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.extend(download_files(NAMES[:1], "gemini", tmp_path))
        )
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / NAMES[0]] * 5
    assert len(archives.paths("/file/")) == 1


def test_one_file_that_always_breaks_does_not_keep_the_others(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("cut", path=f"/file/{NAMES[0]}")
    with (
        config.using(archive_transfers=1),
        pytest.raises(ServiceUnreachableError, match="1 of 4 files"),
    ):
        download_files(NAMES, "gemini", tmp_path)
    assert left(tmp_path) == NAMES[1:]


def test_names_with_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="give names without folder"):
        download_files(["raw/S20120827S0066.fits"], "gemini", tmp_path)


def test_nothing_is_left_of_a_note_that_is_broken(
    archives: LoopbackArchives, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = download_files(NAMES[:1], "gemini", tmp_path)
    (tmp_path / ".ndmapper" / "downloads" / f"{NAMES[0]}.json").write_text("{")
    assert find_note(path) is None
    assert download_files(NAMES[:1], "gemini", tmp_path) == [path]
    assert find_note(path) is not None
    assert len(archives.paths("/file/")) == 1


# ---- downloads that break, are killed or interrupted: the next one goes on


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
