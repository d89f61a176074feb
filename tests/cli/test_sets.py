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


def test_why_of_a_set_tells_what_differs_of_each_file(capsys):
    assert main(["why", "tm-{ifu:02d}.fits"]) == 0
    assert "tm-{ifu:02d}.fits are what their records say" in capsys.readouterr().out
    df = DataFile("tm-02.fits", mode="update")
    df[0].data[:] = 0
    df.save()
    assert main(["why", "tm-{ifu:02d}.fits"]) == 3
    out = capsys.readouterr().out
    assert "tm-02.fits: it was edited" in out
    assert "tm-01.fits" not in out
    assert main(["why", "tm-{ifu:02d}.fits", "--json"]) == 3
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_sets_are_compared_member_by_member(capsys):
    files = FileSet("m-{ifu:02d}.fits")
    (files * 1).save("n-{ifu:02d}.fits")
    assert main(["diff", "m-{ifu:02d}.fits", "n-{ifu:02d}.fits"]) == 0
    assert "m-03.fits and n-03.fits are identical" in capsys.readouterr().out
    DataFile(data=np.zeros((2, 2)), filename="n-02.fits", mode="overwrite").save()
    assert main(["diff", "m-{ifu:02d}.fits", "n-{ifu:02d}.fits"]) == 4
    assert "m-02.fits and n-02.fits differ" in capsys.readouterr().out
    DataFile(data=np.zeros((2, 2))).save("n-04.fits")
    assert main(["diff", "m-{ifu:02d}.fits", "n-{ifu:02d}.fits"]) == 1
    assert "m-{ifu:02d}.fits has no member 4" in capsys.readouterr().err
    assert main(["diff", "m-{ifu:02d}.fits", "n-02.fits"]) == 1
    assert "are a set and a file" in capsys.readouterr().err


def test_files_of_other_types_are_shown_by_themselves(tmp_path, capsys):
    (tmp_path / "lines.ecsv").write_text("x")
    (tmp_path / "plot.png").write_text("y")
    assert main(["info", "lines.ecsv", "plot.png"]) == 0
    assert "ext 'png'" in capsys.readouterr().out
    assert main(["diff", "lines.ecsv", "plot.png"]) == 4
    assert "\ntext\n" in capsys.readouterr().out
