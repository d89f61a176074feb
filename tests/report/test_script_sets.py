"""Scripts of products that are members of sets, or made of sets."""

import subprocess
import sys

import numpy as np
import pytest

from ndmapper import config, run_task
from ndmapper.data import DataFile, FileSet, NDLater
from ndmapper.io.digest import differences
from ndmapper.io.record import read_records
from ndmapper.report.script import write_script


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config["reprocess"] = "auto"
    for n in (1, 2, 3):
        _write(f"m-{n:02d}.fits", [n])
        _write(f"b-{n:02d}.fits", [10 * n])
    _write("whole.fits", [1, 2, 3])
    _write("more.fits", [4, 5, 6])


def _write(name, values):
    DataFile(data=[NDLater(np.full((4, 4), float(v))) for v in values]).save(name)


@pytest.fixture
def remake(tmp_path):
    """Make products again in another folder, from their records alone."""

    def run(*names, problems=()):
        folder = tmp_path / "again"
        folder.mkdir()
        made = write_script({name: read_records(name) for name in names})
        assert made.problems == list(problems)
        (folder / "script.py").write_text(made.text)
        subprocess.run(
            [sys.executable, "script.py", str(tmp_path)],
            cwd=folder, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        for name in names:
            assert differences(tmp_path / name, folder / name) == []

    return run


@run_task(prefix="s", cals=["bias"])
def subtract(ndd, bias):
    """Subtract a bias."""
    return ndd - bias


@run_task(each="file", suffix="_sum", cals=["bias"])
def total(files, bias=None):
    """Add the members up."""
    first, *others = files.members
    for df in others:
        first += df
    return first if bias is None else first - bias.members[0]


@run_task(each="file", by={"ident": "number"}, suffix="_e")
def times(df, *, number: int = 0):
    """Multiply an extension by its number."""
    return df * number


@run_task(each="list", by="ident", suffix="_l", outputs="sum")
def add(files):
    """Add up extensions."""
    return sum(files[1:], files[0])


@run_task(each="file", outputs={"part": "{base}-{CHIP}.fits"})
def parts(df, *, count: int = 3):
    """Give each extension as a file that says which chip it is of."""
    made = [DataFile(data=[ndd * 2]) for ndd in df[:count]]
    for number, one in enumerate(made):
        one.meta["CHIP"] = f"k{number}"
    return made


def test_member_and_what_is_made_of_all(remake):
    science = subtract("m-{ifu:02d}.fits", bias="b-{ifu:02d}.fits")
    total(science, bias="b-{ifu:02d}.fits")
    remake("sm-{ifu:02d}_sum.fits".replace("-{ifu:02d}", ""), "sm-02.fits")


def test_extension_that_a_call_was_split_by(remake):
    times("whole.fits")
    remake("whole_e-02.fits", "whole_e-03.fits")


def test_extensions_of_several_files(remake):
    add(["whole.fits", "more.fits"])
    remake("whole_l-02.fits")


def test_outputs_of_any_number(remake):
    total(parts("whole.fits", count=2))
    remake("whole_sum.fits", "whole-k1.fits")


def test_extension_that_a_tool_was_given(remake):
    @run_task(
        "command:cp", inputs="a", outputs="b", prefix="c", argv=["{a}", "{b}"],
        by="ident",
    )  # fmt: skip
    def copy():
        """Copy."""

    copy("whole.fits")
    remake("cwhole-02.fits")


def test_set_in_one_file_cannot_be_told():
    made = total(FileSet("whole.fits", by="ident"))
    script = write_script({"w.fits": made.record})
    assert "set of its parts" in script.problems[0]


@pytest.mark.parametrize(
    "name", ["../../m-{ifu:02d}.fits", "'+str(1)+'{a}", "{ifu:1000d}", "{a", ""]
)
def test_names_of_sets_are_only_data(tmp_path, name):
    made = total(subtract("m-{ifu:02d}.fits", bias="b-{ifu:02d}.fits"))
    rows = made.record
    for row in rows:
        row["set"] = name
        for reference in row["inputs"]:
            reference["set"] = name
    text = write_script({"sm_sum.fits": rows}).text
    assert "out_names='../" not in text
    compile(text, "script", "exec")
    assert "+str(1)+" not in text.replace("\"'+str(1)+'{a}\"", "")


@run_task(each="file", suffix="_w", cals=["bias"])
def weigh(files, bias):
    """Add members up, each times its key, less the bias of that key."""
    own = files - bias
    return sum(own[key] * key for key in own)


@run_task(each="list", outputs="sum")
def count(sets):
    """Add up the members of sets, each times the place of the set."""
    return sum(
        df * place for place, files in enumerate(sets, 1) for df in files.members
    )


def test_set_without_a_name_keeps_its_keys(remake):
    bias = FileSet({20: "b-01.fits", 10: "b-02.fits"}, by="ifu")
    weigh(FileSet({10: "m-01.fits", 20: "m-02.fits"}, by="ifu"), bias=bias,
          out_names="w.fits")  # fmt: skip
    remake("w.fits")


def test_sets_of_headers_and_of_several_keys(remake):
    for n, chip in ((1, "a"), (2, "b")):
        _write(f"h{n}.fits", [n])
        df = DataFile(f"h{n}.fits", mode="update")
        df.meta["CHIP"] = chip
        df.save()
    by = ["band", "n"]
    count(
        [
            FileSet(["h1.fits", "h2.fits"], by="CHIP"),
            FileSet({("V", 1): "m-01.fits", ("R", 2): "m-02.fits"}, by=by),
            FileSet({("V", 1): "m-03.fits"}, by=by),
        ],
        sum="c.fits",
    )
    remake("c.fits")
