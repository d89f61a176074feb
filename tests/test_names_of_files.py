"""Names that no file can have are told as such, wherever they are given."""

import json

import numpy as np
import pytest
from shared_steps import double

from ndmapper import config
from ndmapper.calibrations import init_cal_dict, save_cal_dict, survey
from ndmapper.data import DataFile, DataFileList, NDLater, load_file_list
from ndmapper.errors import NdmapperError
from ndmapper.iraf_task import run_task
from ndmapper.services import download_files, look_up_cals
from ndmapper.testing import make_mef

NAMES = ["a\0b", "a\ud800b", "\0"]


def save_as(name):
    df = DataFile(data=NDLater(np.ones(3)))
    df.filename = name
    df.save()


PLACES = {
    "read": DataFile,
    "save": lambda x: DataFile(data=NDLater(np.ones(3))).save(x),
    "filename": save_as,
    "list": lambda x: DataFileList([x]),
    "dirname": lambda x: DataFileList(["in.fits"], dirname=x),
    "config outdir": lambda x: config.update(outdir=x),
    "config logfile": lambda x: config.update(logfile=x),
    "outdir": lambda x: double(DataFile("in.fits"), outdir=x),
    "out_names": lambda x: double(DataFile("in.fits"), out_names=x),
    "document": init_cal_dict,
    "saved document": lambda x: save_cal_dict(init_cal_dict(), x),
    "cache": lambda x: look_up_cals(
        DataFileList(["in.fits"]), dependencies={"target": ["bias"]}, server="gemini",
        cache=x, obs_type="target",
    ),
    "folder": survey,
    "text file": load_file_list,
    "download": lambda x: download_files(["a.fits"], server="gemini", dirname=x),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACES)
def test_no_such_name(tmp_path, monkeypatch, place, name):
    monkeypatch.chdir(tmp_path)
    make_mef(tmp_path / "in.fits", n_ext=1)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(NdmapperError, match=r"called|can be the name"):
        PLACES[place](name)
    assert [p for p in sorted(tmp_path.iterdir()) if p.suffix == ".fits"] == before


def test_document_with_such_a_name(tmp_path):
    path = tmp_path / "calibrations.json"
    path.write_text(json.dumps({"associations": {"a.fits": {"bias": "x\0.fits"}}}))
    with pytest.raises(NdmapperError, match="file name"):
        init_cal_dict(path)


def test_such_a_log_is_told_and_stops_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    step = run_task(prefix="e", logfile="a\0b")(double.func)
    assert step(make_mef(tmp_path / "in.fits", n_ext=1))
    assert "log file" in caplog.text
