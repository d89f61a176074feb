"""The published GMOS script: its look-up and its downloads, word by word."""

import json
from pathlib import Path
from typing import Any

import pytest

import ndmapper
from ndmapper.config import config
from ndmapper.testing import LoopbackArchives

# What `from ndmapper.lib.gmos.spec.ifu import *` gives the published script.
CAL_DEPS = {
    "target": ["specphot", "flat", "arc", "bias"],
    "specphot": ["flat", "arc", "bias"],
    "flat": ["arc", "bias"],
    "arc": ["bias"],
    "bias": [],
}

SCRIPT = """
import ndmapper
from ndmapper.data import FileName, DataFile, DataFileList
from ndmapper.services import look_up_cals, download_files
from ndmapper.calibrations import cal_entries, associate_cals

ndmapper.config['logfile'] = 'example.log'
ndmapper.config['reprocess'] = False
ndmapper.config['interact'] = False

rawdir = 'raw'

# Download specified raw science exposures & open them as DataFiles:
obj_spec = DataFileList(
    download_files(['S20120827S0066.fits', 'S20120827S0067.fits',
                    'S20120827S0068.fits'], server='gemini', dirname=rawdir)
)

# Look up the corresponding calibration files (& their calibrations in turn)
# in the Gemini archive.
cal_dict = look_up_cals(obj_spec, dependencies=CAL_DEPS, server='gemini',
                        cache='calibrations.json')

# Download the matching calibrations:
download_files(cal_dict, server='gemini', dirname=rawdir)

# Process the biases:
made = {}
for name, flist in cal_entries(cal_dict, 'bias'):
    made[name] = DataFileList(flist, dirname=rawdir)
    bias_im = DataFile(name, data=made[name][0], mode='overwrite')
    bias_im.save()

biases = DataFileList([name for name, _ in cal_entries(cal_dict, 'bias')])
associate_cals(biases, obj_spec, 'bias', cal_dict=cal_dict)
"""

SCIENCE = [f"S20120827S006{n}.fits" for n in (6, 7, 8)]
FLAT, ARC, STANDARD = (
    "S20120827S0069.fits",
    "S20120829S0062.fits",
    "S20120828S0005.fits",
)
BIASES = [f"S20120826S01{n}.fits" for n in range(10, 15)]


@pytest.fixture
def gmos(archives: LoopbackArchives) -> LoopbackArchives:
    held = archives.gemini
    for name in (*SCIENCE, STANDARD, FLAT, ARC, *BIASES):
        held.add(name)
    for name in (*SCIENCE, STANDARD):
        held.associate(name, "flat", [FLAT])
        held.associate(name, "arc", [ARC])
    for name in SCIENCE:
        held.associate(name, "standard", [STANDARD])
    held.associate(FLAT, "arc", [ARC])
    for name in (*SCIENCE, STANDARD, FLAT, ARC):
        held.associate(name, "bias", BIASES)
    return archives


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"CAL_DEPS": CAL_DEPS}
    with config.scope():
        exec(compile(SCRIPT, "example.py", "exec"), names)
    assert ndmapper.config is config
    return names


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def test_script_finds_and_gets_everything(
    gmos: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run(tmp_path, monkeypatch)
    document = json.loads((tmp_path / "calibrations.json").read_text())
    label = "S20120826S0110_bias.fits"
    assert document["calibrations"] == {
        label: BIASES,
        "S20120827S0069_flat.fits": [FLAT],
        "S20120828S0005_specphot.fits": [STANDARD],
        "S20120829S0062_arc.fits": [ARC],
    }
    assert set(document["associations"]) == {*SCIENCE, STANDARD, FLAT, ARC}
    assert document["associations"][FLAT] == {
        "arc": "S20120829S0062_arc.fits",
        "bias": label,
    }
    assert set(document["checksums"]) == {STANDARD, FLAT, ARC, *BIASES}
    raws = {path.name for path in (tmp_path / "raw").iterdir() if path.is_file()}
    assert raws == {*SCIENCE, STANDARD, FLAT, ARC, *BIASES}
    assert [str(df) for df in names["made"][label]] == [f"raw/{n}" for n in BIASES]
    assert [str(df.cals["bias"]) for df in names["obj_spec"]] == [label] * 3


def test_script_asks_for_nothing_twice(
    gmos: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, monkeypatch)
    asked = gmos.paths()
    assert len(asked) == len(set(asked))
    run(tmp_path, monkeypatch)
    assert gmos.paths() == asked


def test_script_runs_again_without_the_server_and_does_nothing(
    gmos: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, monkeypatch)
    before = {k: v for k, v in state(tmp_path).items() if not k.endswith("_bias.fits")}
    gmos.stop()
    run(tmp_path, monkeypatch)
    after = {k: v for k, v in state(tmp_path).items() if not k.endswith("_bias.fits")}
    assert after == before


def test_trace_that_was_added_by_hand_stays(
    gmos: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, monkeypatch)
    path = tmp_path / "calibrations.json"
    document = json.loads(path.read_text())
    document["associations"][ARC]["trace"] = "S20120827S0069_flat.fits"
    path.write_text(json.dumps(document))
    edited = path.read_bytes()
    cal_dict = run(tmp_path, monkeypatch)["cal_dict"]
    assert cal_dict["associations"][ARC]["trace"] == "S20120827S0069_flat.fits"
    assert path.read_bytes() == edited
    gmos.stop()
    run(tmp_path, monkeypatch)
    assert path.read_bytes() == edited


def test_look_up_that_breaks_goes_on_where_it_stopped(
    gmos: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gmos.switch("busy", path=f"arc/filename={FLAT}", times=4)
    with pytest.raises(ConnectionError):
        run(tmp_path, monkeypatch)
    known = json.loads((tmp_path / "calibrations.json").read_text())
    assert known["calibrations"]
    asked = len(gmos.paths("jsoncalmgr"))
    run(tmp_path, monkeypatch)
    again = gmos.paths("jsoncalmgr")[asked:]
    done = set(gmos.paths("jsoncalmgr")[: asked - 4])
    assert not done & set(again)


def test_files_that_lie_elsewhere_are_got_again(
    gmos: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, monkeypatch)
    (tmp_path / "raw" / FLAT).unlink()
    asked = len(gmos.paths("/file/"))
    run(tmp_path, monkeypatch)
    assert gmos.paths("/file/")[asked:] == [f"/gemini/file/{FLAT}.bz2"]
