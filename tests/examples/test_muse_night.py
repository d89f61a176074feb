"""The night of MUSE by its real recipes, of which two IFUs are simulated."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shared_helpers import REPOSITORY, assert_same_data, read_events

from ndmapper import config, run_task
from ndmapper.data import DataFile, FileSet
from ndmapper.errors import StepError

pytestmark = pytest.mark.slow
RUN = ("-m", "ndmapper.cli", "run")
TABLES = [f"MUSE.SIM_OBJECT0{n}-0{ifu}.fits" for n in (1, 2) for ifu in (1, 2)]
AFTER_SKY = {
    "cube.fits", "offsets.fits", "MUSE.SIM_OBJECT01_reduced_combined-white.fits",
    *(f"MUSE.SIM_SKY01_{tag}.fits" for tag in ("sky", "skyfit", "skymask")),
    *(f"MUSE.SIM_OBJECT0{n}_{tag}.fits" for n in (1, 2)
      for tag in ("cube", "image-white", "reduced")),
}  # fmt: skip


@pytest.fixture(scope="module")
def night(muse_night):
    return muse_night


@pytest.fixture(scope="module")
def reduced(make_once, night, run_example):
    def reduce(folder):
        run_example("muse_night.py", night, folder=folder, verb=RUN)

    return make_once("muse_reduced", reduce)


@pytest.fixture
def again(reduced, night, run_example, tmp_path):
    """Give a copy of the reduced night, and a function that names what a run makes."""
    folder = tmp_path / "again"
    # The document names the folder of the raw frames relative to itself.
    shutil.copytree(reduced, folder, ignore=shutil.ignore_patterns("calibrations.json"))

    def run(*arguments):
        before = len(read_events(folder))
        run_example("muse_night.py", night, *arguments, folder=folder, verb=RUN)
        return made_since(folder, before)

    run.folder = folder
    return run


def made_since(folder, count):
    """Name what was made after so many events."""
    events = read_events(folder)[count:]
    return {p for e in events if e["event"] == "made" for p in e["products"]}


def test_pixels_are_those_of_the_bare_recipes(night, reduced, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    from muse_bare import Bare

    names = json.loads((night / "files.json").read_text())
    files = {tag: [Path(name) for name in paths] for tag, paths in names.items()}
    made = Bare(files, tmp_path, together=False).reduce()
    for table, path in zip(TABLES, made["PIXTABLE_OBJECT"], strict=True):
        assert_same_data(reduced / table, path)
    for name, tag in (("cube", "DATACUBE_FINAL"), ("offsets", "OFFSET_LIST")):
        assert_same_data(reduced / f"{name}.fits", made[tag][0])
    # The positions in the headers were wrong by this much.
    offsets = next(iter(DataFile(reduced / "offsets.fits").tables.values()))
    assert offsets["DEC_OFFSET"][1] * 3600 == pytest.approx(0.4, abs=0.05)


def test_only_what_follows_a_changed_parameter_is_made_again(again):
    assert again() == set()
    assert again("0.6") == AFTER_SKY


def test_killed_in_the_middle(again, reduced, night):
    for path in again.folder.glob("*.fits"):
        if path.name.startswith("MUSE.SIM_OBJECT") or path.name == "cube.fits":
            path.unlink()
    line = [sys.executable, *RUN, REPOSITORY / "examples" / "muse_night.py", night]
    before = len(read_events(again.folder))
    with subprocess.Popen(
        line, cwd=again.folder, start_new_session=True, stdout=subprocess.DEVNULL
    ) as process:
        until = time.monotonic() + 200
        while not made_since(again.folder, before):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    stands = made_since(again.folder, before)
    assert stands < set(TABLES)
    made = again()
    assert not made & stands
    assert made | stands >= {*TABLES, "cube.fits"}
    assert_same_data(again.folder / "cube.fits", reduced / "cube.fits")


@run_task(
    "esorex:muse_scibasic", inputs="OBJECT", by="ifu", each="file", skylines="none",
    outputs={"PIXTABLE_OBJECT": "{base}-{ifu:02d}.fits"}, saveimage=False,
    cals={"MASTER_BIAS": "bias", "MASTER_FLAT": "flat", "TRACE_TABLE": "trace",
          "WAVECAL_TABLE": "arc", "GEOMETRY_TABLE": "geometry"},
)  # fmt: skip
def reduce_object():
    """Reduce an exposure to a pixel table for each IFU."""


def test_one_ifu_is_broken_and_mended(reduced, night, folder):
    config["reprocess"] = "auto"
    shutil.copytree(night / "masters", "arcs")
    broken = Path("arcs/WAVECAL_TABLE-02.fits")
    df = DataFile(broken, mode="update")
    df.tables["WAVECAL_TABLE"] = df.tables["WAVECAL_TABLE"]["SliceNo", "MSE"]
    df.save()

    def reduce(**words):
        return reduce_object(
            night / "raw" / "MUSE.SIM_OBJECT01.fits",
            bias=FileSet(reduced / "MUSE.SIM_BIAS01_bias-{ifu:02d}.fits"),
            flat=FileSet(reduced / "MUSE.SIM_FLAT01_flat-{ifu:02d}.fits"),
            trace=FileSet(reduced / "MUSE.SIM_FLAT01_trace-{ifu:02d}.fits"),
            arc=FileSet("arcs/WAVECAL_TABLE-{ifu:02d}.fits"),
            geometry=night / "static" / "geometry_table_wfm.fits",
            **words,
        )

    with pytest.raises(StepError, match=r"1 of 2.*ifu 2"):
        reduce()
    whole = Path(TABLES[0])
    stamp = whole.stat().st_mtime_ns
    made = reduce(on_error="continue")
    assert list(made) == [1]
    assert list(made.missing) == [2]
    shutil.copy(night / "masters" / broken.name, broken)
    made = reduce()
    assert list(made) == [1, 2]
    assert whole.stat().st_mtime_ns == stamp
