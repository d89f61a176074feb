"""Masters of single IFUs by the real recipes: made now, or lying in a folder."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ndmapper import config, run_task
from ndmapper.calibrations import associate_cals, cal_entries
from ndmapper.data import DataFile, DataFileList
from ndmapper.lib.simulate.muse import simulate_muse
from ndmapper.services import look_up_cals

NEEDS = {"object": ["bias", "flat", "illum"], "flat": ["bias"]}
TYPES = ["bias", "flat", "trace", "illum"]


@run_task("esorex:muse_bias", inputs="BIAS", by="ifu",
          outputs={"MASTER_BIAS": "{base}_bias-{ifu:02d}.fits"})  # fmt: skip
def make_bias() -> None:
    """Combine biases."""


@run_task("esorex:muse_flat", inputs="FLAT", by="ifu", cals={"MASTER_BIAS": "bias"},
          outputs={"MASTER_FLAT": "{base}_flat-{ifu:02d}.fits",
                   "TRACE_TABLE": "{base}_trace-{ifu:02d}.fits"},
          order=1, nsum=8)  # fmt: skip
def make_flat() -> None:
    """Combine lamp flats, and trace the slices."""


def reduce_night() -> tuple[dict[str, Any], list[Any]]:
    """Look calibrations up, and make those that do not lie there."""
    folders = [name for name in ("raw", "masters") if Path(name).exists()]
    cals = look_up_cals("raw/object.fits", NEEDS, cache="c.json", obs_type="object",
                        dirname=folders)  # fmt: skip
    made: list[Any] = []
    for cal_type, step in (("bias", make_bias), ("flat", make_flat)):
        for _, files in cal_entries(cals, cal_type):
            if files:
                raws = DataFileList(files, dirname="raw")
                made.append(step(associate_cals(made, raws, cal_dict=cals)))
    return cals, made


def write_target(flat: Path, name: str, day: str, **cards: str) -> None:
    df = DataFile(flat)
    df.meta["DATE-OBS"] = day
    df.meta.update({f"HIERARCH ESO DPR {key}": text for key, text in cards.items()})
    df.save(flat.with_name(name))


@pytest.fixture
def night(
    need: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Write biases, lamp flats, an ILLUM and an object of two IFUs."""
    need("esorex", recipes=("muse_bias", "muse_flat"))
    monkeypatch.chdir(tmp_path)
    config["reprocess"] = "auto"
    raws = simulate_muse("raw", ("bias", "flat"), ifus=(1, 2))
    for files in raws.values():
        for df in DataFileList(files, mode="update"):
            df.meta["HIERARCH ESO TPL START"] = DataFile(files[0]).meta["DATE-OBS"]
            df.save()
    write_target(raws["flat"][0], "object.fits", "2016-01-01T01:00:00",
                 CATG="SCIENCE", TYPE="OBJECT")  # fmt: skip
    write_target(raws["flat"][0], "illum.fits", "2016-01-01T01:10:00",
                 TYPE="FLAT,LAMP,ILLUM")  # fmt: skip
    return tmp_path


def found_by(cals: dict[str, Any], made: list[Any], types: Any) -> dict[str, str]:
    df = DataFile("raw/object.fits")
    associate_cals(made, df, types, cal_dict=cals)
    return {cal_type: str(cal) for cal_type, cal in df.cals.items()}


def test_masters_made_now_and_masters_found_are_asked_for_alike(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cals, made = reduce_night()
    wanted = {
        "bias": "MUSE.SIM_BIAS01_bias-{ifu:02d}.fits",
        "flat": "MUSE.SIM_FLAT01_flat-{ifu:02d}.fits",
        "trace": "MUSE.SIM_FLAT01_trace-{ifu:02d}.fits",
        "illum": "raw/illum.fits",
    }
    assert found_by(cals, made, TYPES) == wanted
    assert found_by(cals, made, None) == wanted
    # The files are there, and the script of another day does not make them.
    assert found_by(cals, [], TYPES) == wanted

    other = night / "other"
    (other / "raw").mkdir(parents=True)
    (other / "masters").mkdir()
    for name in ("object.fits", "illum.fits"):
        shutil.copy(night / "raw" / name, other / "raw")
    for path in night.glob("*-0?.fits"):
        shutil.copy(path, other / "masters")
    monkeypatch.chdir(other)
    cals, made = reduce_night()
    assert made == []
    lying = {t: n if t == "illum" else f"masters/{n}" for t, n in wanted.items()}
    assert found_by(cals, made, TYPES) == lying
    assert found_by(cals, made, None) == lying
