"""Sets as arguments of the command: a name with the key in braces."""

import json

import numpy as np
import pytest

from ndmapper import config, run_task
from ndmapper.cli.command import main
from ndmapper.data import DataFile, FileSet


@run_task(prefix="t")
def twice(ndd):
    """Double."""
    return ndd * 2


@pytest.fixture(autouse=True)
def products(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config["reprocess"] = "auto"
    for n in (1, 2, 3):
        DataFile(data=np.full((2, 2), float(n))).save(f"m-{n:02d}.fits")
    return twice(FileSet("m-{ifu:02d}.fits"))


@pytest.mark.parametrize("verb", ["info", "log", "graph", "script"])
def test_set_is_shown(verb, capsys):
    assert main([verb, "tm-{ifu:02d}.fits"]) == 0
    assert "twice" in capsys.readouterr().out


def test_set_is_all_its_files(capsys):
    assert main(["info", "--json", "m-{ifu:02d}.fits", "tm-01.fits"]) == 0
    shown = [one["file"] for one in json.loads(capsys.readouterr().out)]
    assert shown == ["m-01.fits", "m-02.fits", "m-03.fits", "tm-01.fits"]


def test_history_of_a_set_is_one_step(capsys):
    assert main(["log", "tm-{ifu:02d}.fits"]) == 0
    out = capsys.readouterr().out
    assert "tm-{01..03}.fits" in out
    assert "tm-02.fits" not in out


def test_history_of_units_is_one_step_and_a_set_of_calibrations_is_one(capsys):
    @run_task(
        "command:sh", inputs="a", outputs=("b", "c"), by="ifu", prefix="c",
        cals={"bias": "bias"}, order=1,
        argv=["-c", 'cp "$1" "$2"; cp "$1" "$3"', "sh", "{a}", "{b}", "{c}", "{bias}",
              "{order}", "{ifu}"],
    )  # fmt: skip
    def copy():
        """Make two copies, with a calibration."""

    files = FileSet("m-{ifu:02d}.fits")
    made = copy(files, bias=FileSet("tm-{ifu:02d}.fits"))
    assert list(made["b"]) == [1, 2, 3]
    assert main(["log", *made["b"].names, *made["c"].names]) == 0
    out = capsys.readouterr().out
    assert out.count("by copy") == 1
    assert "order = 1\n" in out

    @run_task(
        "command:sh", inputs="a", outputs="b", prefix="d", cals={"bias": "bias"},
        argv=["-c", 'cp "$1" "$2"', "sh", "{a}", "{b}", "{bias}"],
    )  # fmt: skip
    def copy_beside():
        """Copy, with a set of calibrations."""

    copy_beside("m-01.fits", bias=files)
    assert main(["log", "dm-01.fits"]) == 0
    assert "bias: m-{01..03}.fits (as bias)" in capsys.readouterr().out


def test_set_without_files_is_named(capsys):
    assert main(["info", "x-{ifu:02d}.fits"]) == 1
    assert "x-{ifu:02d}.fits" in capsys.readouterr().err
