"""Calibrations that are made already: found, preferred or not, and used again."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from ndmapper import run_task
from ndmapper.calibrations import cal_entries, init_cal_dict, save_cal_dict
from ndmapper.calibrations.edits import mark_bad, replace_cals
from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList
from ndmapper.services import download_files, look_up_cals
from ndmapper.testing import write_headers

TIME = "2017-06-16T{}"


def muse(folder: Path, name: str, clock: str, **cards: Any) -> Path:
    header = {"INSTRUME": "MUSE", "DATE-OBS": TIME.format(clock), "OBJECT": "x",
              "ESO INS MODE": "WFM-NOAO-N", "ESO DET READ CURID": 1}  # fmt: skip
    keys = {"catg": "ESO DPR CATG", "type": "ESO DPR TYPE", "product": "ESO PRO CATG"}
    header |= {keys.get(key, key): value for key, value in cards.items()}
    write_headers(folder / name, [header])
    return folder / name


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return muse(tmp_path, "o.fits", "03:00:00", catg="SCIENCE", type="OBJECT")


DEPENDENCIES = {"target": ["bias", "flat"], "flat": ["bias"]}


def test_merged_master_is_taken_by_its_name(target: Path) -> None:
    muse(target.parent, "MASTER_BIAS.fits", "11:00:00", product="MASTER_BIAS")
    found = look_up_cals(target, {"target": ["bias"]})
    assert found["associations"] == {"o.fits": {"bias": "MASTER_BIAS.fits"}}
    assert found["calibrations"] == {}
    # It is found beside the raw frames, and has none to make it of.
    assert cal_entries(found, "bias") == [("MASTER_BIAS.fits", [])]


def test_masters_of_parts_are_one_set_that_needs_nothing(target: Path) -> None:
    names = [f"MASTER_FLAT-{n:02d}.fits" for n in (1, 2, 3)]
    for name in names:
        muse(target.parent, name, "11:00:00", product="MASTER_FLAT")
    found = look_up_cals(target, DEPENDENCIES)
    assert found["associations"]["o.fits"]["flat"] == "MASTER_FLAT-{ifu:02d}.fits"
    assert found["calibrations"] == {}
    assert set(found["associations"]) == {"o.fits"}
    assert look_up_cals(target, DEPENDENCIES) == found
    # An archive of raw frames need not be asked for them.
    assert download_files(found, "eso", target.parent / "raw") == []


def test_master_competes_with_raw_frames_by_time(target: Path) -> None:
    muse(target.parent, "MASTER_BIAS.fits", "10:00:00", product="MASTER_BIAS")
    raws = [
        muse(target.parent, f"b{i}.fits", f"11:0{i}:00", catg="CALIB", type="BIAS",
             **{"ESO TPL START": "11"}).name
        for i in (1, 2, 3)
    ]  # fmt: skip
    nearer = look_up_cals(target, {"target": ["bias"]})
    assert nearer["associations"]["o.fits"]["bias"] == "MASTER_BIAS.fits"
    (target.parent / "MASTER_BIAS.fits").unlink()
    muse(target.parent, "MASTER_BIAS.fits", "12:00:00", product="MASTER_BIAS")
    further = look_up_cals(target, {"target": ["bias"]})
    assert further["calibrations"] == {"b1_bias.fits": raws}


def test_master_of_another_read_mode_does_not_fit(
    target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    muse(target.parent, "m.fits", "11:00:00", product="MASTER_BIAS",
         **{"ESO DET READ CURID": 2})  # fmt: skip
    found = look_up_cals(target, {"target": ["bias"]})
    assert found["associations"]["o.fits"]["bias"] is None
    assert "m.fits: read_mode 2 is not 1" in caplog.text


def test_match_of_lower_quality_warns_and_is_noted(
    target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    muse(target.parent, "s.fits", "15:00:00", catg="CALIB", type="STD")
    (target.parent / "t").mkdir()
    late = muse(target.parent, "late.fits", "03:00:00", catg="SCIENCE", type="OBJECT")
    muse(target.parent, "late.fits", "03:00:00", catg="SCIENCE", type="OBJECT",
         **{"DATE-OBS": "2017-06-19T03:00:00"})  # fmt: skip
    found = look_up_cals(late, {"target": ["standard"]})
    assert found["answers"]["late.fits"]["standard"]["quality"] == 2
    assert "standard star more than a day away" in caplog.text


def test_gmos_processed_bias_and_bpm_are_found(tmp_path: Path) -> None:
    def gmos(name: str, date: str, **cards: Any) -> Path:
        primary = {"INSTRUME": "GMOS-N", "DATE-OBS": date, "TIME-OBS": "09:00:00",
                   "DETTYPE": "S10892-N", "AMPINTEG": 11880, "OBSTYPE": "BIAS",
                   "GRATING": "MIRROR", "FILTER1": "g_G0301", "FILTER2": "open2-8",
                   "MASKNAME": "None", "MASKTYP": 0, **cards}  # fmt: skip
        amplifier = {"CCDSUM": "2 2", "AMPNAME": "a", "DETSEC": "[1:512,1:4224]",
                     "GAIN": 1.6}  # fmt: skip
        write_headers(tmp_path / name, [primary, amplifier])
        return tmp_path / name

    target = gmos("N20180501S0001.fits", "2018-05-01", OBSTYPE="OBJECT",
                  OBSCLASS="science", OBJECT="M31")  # fmt: skip
    gmos("N20180430S0100_bias.fits", "2018-04-30", PROCBIAS="2018-05-02T00:00:00")
    gmos("bpm_20170306_gmos-n.fits", "2017-03-06", OBSTYPE="BPM")
    gmos("bpm_20180601_gmos-n.fits", "2018-06-01", OBSTYPE="BPM")
    found = look_up_cals(target)
    assert found["associations"] == {
        "N20180501S0001.fits": {
            "bias": "N20180430S0100_bias.fits",
            "bpm": "bpm_20170306_gmos-n.fits",
            "flat": None,
        }
    }


@pytest.fixture
def science_of_night(tmp_path: Path) -> Path:
    """Write three biases, a science frame, and a product of the biases."""
    raw = tmp_path / "raw"
    raw.mkdir()
    for i in (1, 2, 3):
        muse(raw, f"b{i}.fits", f"11:0{i}:00", catg="CALIB", type="BIAS",
             **{"ESO TPL START": "11"})  # fmt: skip
    with config.using(outdir=tmp_path):
        combine(DataFileList([raw / f"b{i}.fits" for i in (1, 2, 3)]),
                out_names=["b1_bias.fits"])  # fmt: skip
    return muse(raw, "o.fits", "13:00:00", catg="SCIENCE", type="OBJECT")


@run_task(each="list")
def combine(files: DataFileList) -> DataFile:
    """Take the first."""
    return files[0]


def test_product_of_a_frame_marked_bad_is_not_taken(
    science_of_night: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for i in (1, 2, 3):
        (science_of_night.parent / f"b{i}.fits").unlink()
    cache = tmp_path / "calibrations.json"
    folders = [science_of_night.parent, tmp_path]
    with config.using(outdir=tmp_path / "other"):
        found = look_up_cals(
            science_of_night, {"target": ["bias"]}, cache=cache, dirname=folders
        )
        assert found["associations"]["o.fits"]["bias"] == "b1_bias.fits"
        mark_bad("b2.fits", found, "stripes", "me")
        save_cal_dict(found, cache)
        again = look_up_cals(
            science_of_night, {"target": ["bias"]}, cache=cache, dirname=folders
        )
    assert again["associations"]["o.fits"]["bias"] is None
    assert "b1_bias.fits: marked bad (made with b2.fits: me: stripes)" in caplog.text


def test_product_of_a_bad_frame_stays_where_the_user_named_it(
    science_of_night: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "calibrations.json"
    cals = init_cal_dict(cache)
    replace_cals("o.fits", "bias", cals, product="b1_bias.fits")
    mark_bad("b2.fits", cals, "stripes")
    save_cal_dict(cals, cache)
    found = look_up_cals(
        science_of_night, {"target": ["bias"]}, cache=cache, refresh=True
    )
    assert found["associations"]["o.fits"]["bias"] == "b1_bias.fits"


def test_frame_in_two_folders_is_in_its_set_once(
    science_of_night: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for i in (1, 2, 3):
        content = (science_of_night.parent / f"b{i}.fits").read_bytes()
        (other / f"b{i}.fits.gz").write_bytes(gzip.compress(content))
    folders = [other, science_of_night.parent]
    found = look_up_cals(science_of_night, {"target": ["bias"]}, dirname=folders)
    assert found["calibrations"] == {"b1_bias.fits": ["b1.fits", "b2.fits", "b3.fits"]}
