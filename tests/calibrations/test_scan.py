"""Scanning folders: what is remembered, and what is read again."""

import os
import re
import time
from pathlib import Path

import pytest

from ndmapper.calibrations import scan, survey
from ndmapper.calibrations.frames import Frame
from ndmapper.calibrations.header_cache import FrameCache
from ndmapper.calibrations.scan import find_frames
from ndmapper.config import config
from ndmapper.io.quickheader import QuickHeader
from ndmapper.testing import write_headers

COUNT = 30


@pytest.fixture
def biases_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a folder of simulated biases, as old as those of a night."""
    place = tmp_path / "raw"
    place.mkdir()
    for i in range(COUNT):
        write_frame(place / f"b{i:02d}.fits", "BIAS")
    monkeypatch.setitem(config._script, "outdir", str(tmp_path / "out"))
    config.reload()
    return place


def write_frame(path: Path, kind: str, seconds: int = 1_000_000) -> None:
    cards = {"INSTRUME": "SIMCAM", "OBSTYPE": kind, "EXPTIME": 0.0, "FILTER": "R"}
    cards["DATE-OBS"] = "2016-01-12T01:02:03"
    write_headers(path, [cards])
    os.utime(path, (seconds, seconds))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the files whose headers are read."""
    found: list[str] = []
    read_frame = scan.read_frame

    def noting(path: Path, *rest: object) -> Frame:
        found.append(path.name)
        return read_frame(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(scan, "read_frame", noting)
    return found


def same(a: list[Frame], b: list[Frame]) -> bool:
    return [vars(f) for f in a] == [vars(f) for f in b]


def test_second_scan_reads_no_header(biases_folder: Path, reads: list[str]) -> None:
    first = find_frames(biases_folder)
    assert len(reads) == COUNT
    reads.clear()
    assert same(find_frames(biases_folder), first)
    assert reads == []


def test_scan_with_a_new_frame_costs_one_header(
    biases_folder: Path, reads: list[str]
) -> None:
    find_frames(biases_folder)
    reads.clear()
    write_frame(biases_folder / "new.fits", "BIAS")
    assert len(find_frames(biases_folder)) == COUNT + 1
    assert reads == ["new.fits"]


def test_scan_reads_what_changed(biases_folder: Path, reads: list[str]) -> None:
    find_frames(biases_folder)
    reads.clear()
    write_frame(biases_folder / "b03.fits", "OBJECT", seconds=2_000_000)
    (biases_folder / "b04.fits").unlink()
    frames = {
        frame.name: frame.values["obstype"] for frame in find_frames(biases_folder)
    }
    assert reads == ["b03.fits"]
    assert frames["b03.fits"] == "OBJECT"
    assert "b04.fits" not in frames


def test_scan_reads_a_file_of_this_moment_again(
    biases_folder: Path, reads: list[str]
) -> None:
    write_frame(biases_folder / "b03.fits", "BIAS", seconds=int(time.time()) + 3600)
    find_frames(biases_folder)
    reads.clear()
    find_frames(biases_folder)
    assert reads == ["b03.fits"]


def test_scan_by_another_version_of_the_rules_reads_all(
    biases_folder: Path, reads: list[str], tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    text = 'schema = 1\n[applies]\nINSTRUME = "SIMCAM"\n[descriptors]\n'
    own.write_text(text + 'kind = "OBSTYPE"\n')
    assert find_frames(biases_folder, own)[0].values == {"kind": "BIAS"}
    own.write_text(text + 'kind = "FILTER"\n')
    assert find_frames(biases_folder, own)[0].values == {"kind": "R"}
    assert len(reads) == 2 * COUNT


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: "{",
        lambda text: "[]",
        lambda text: re.sub(r'"version":\d+', '"version":0', text),
        lambda text: text.replace('"values":[', '"values":[],"other":['),
        lambda text: text.replace('"columns":[[', '"columns":[["more",'),
    ],
)
def test_scan_with_broken_memory_reads_all(
    biases_folder: Path, reads: list[str], edit: object
) -> None:
    first = find_frames(biases_folder)
    memory = FrameCache(biases_folder, None).path
    memory.write_text(edit(memory.read_text()))  # type: ignore[operator]
    reads.clear()
    assert same(find_frames(biases_folder), first)
    assert len(reads) == COUNT


def test_scan_that_cannot_remember_goes_on(biases_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("no folder")
    assert len(find_frames(biases_folder)) == len(find_frames(biases_folder)) == COUNT


def test_scan_in_several_processes_gives_the_same(biases_folder: Path) -> None:
    serial = find_frames(biases_folder, workers=1)
    FrameCache(biases_folder, None).path.unlink()
    assert same(find_frames(biases_folder, workers=2), serial)


def test_survey_again_keeps_edits_and_adds_new_frames(biases_folder: Path) -> None:
    table = survey(biases_folder)
    table["class"][table["file"] == "b03.fits"] = "dark"
    table.remove_row(4)
    table.write(biases_folder / "night.ecsv")
    write_frame(biases_folder / "new.fits", "OBJECT")
    again = survey(biases_folder, known=biases_folder / "night.ecsv")
    classes = dict(zip(again["file"], again["class"], strict=True))
    assert classes["b03.fits"] == "dark"
    assert "b04.fits" not in classes  # it was taken out, and stays out
    assert classes["new.fits"] == "?"
    assert len(again) == COUNT


def test_survey_again_without_news_is_the_same(biases_folder: Path) -> None:
    table = survey(biases_folder)
    assert survey(biases_folder, known=table) is table


def test_quick_header_reads_what_astropy_reads(real_data: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    checked = 0
    for name in ("kast_blue_longslit/b27.fits.gz", "muse/minicube_cut.fits"):
        with fits.open(real_data / name) as hdus:
            for hdu in hdus:
                header = hdu.header
                quick = QuickHeader(header.tostring().encode("latin-1"))
                for key in dict.fromkeys(header.keys()):
                    if key in ("", "COMMENT", "HISTORY"):
                        continue
                    value = header[key]
                    expected = value.strip() if isinstance(value, str) else value
                    assert quick.get(key) == expected, key
                    checked += 1
    assert checked > 100


def test_quick_header_joins_a_long_text() -> None:
    fits = pytest.importorskip("astropy.io.fits")
    header = fits.Header({"LONG": "x" * 200, "HIERARCH ESO LONG A": "y" * 90, "B": 1})
    quick = QuickHeader(header.tostring().encode())
    assert quick.get("LONG") == "x" * 200
    assert quick.get("ESO LONG A") == "y" * 90
    assert quick.get("NONE") is None
