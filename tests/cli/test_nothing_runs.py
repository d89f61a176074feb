"""Looking at a file runs nothing that the file says."""

from pathlib import Path

import pytest
from shared_steps import copied

from ndmapper.testing import make_mef

LOOKS = (
    ("info",), ("log", "--full"), ("graph",), ("qc",), ("script",), ("why",), ("diff",),
)  # fmt: skip


def probe(row):
    row["task"]["words"]["version"] = ["sh", "-c", f"touch '{Path.cwd()}/PWNED'"]


def program(row):
    row["task"]["name"] = f"{Path.cwd()}/evil"


def other_engine(row):
    row["engine"], row["task"]["name"] = "esorex", "--recipe-dir=/tmp/evil"


def iraf(row):
    row["engine"] = "iraf"
    row["task"] |= {"name": "!evil", "words": {"iraf_python": f"{Path.cwd()}/evil"}}


def module(row):
    row["module"] = "beside"
    row["task"] = None


def tool(row):
    row["task"], row["tool"] = None, {"name": "beside", "version": "1"}


@pytest.mark.parametrize("change", [probe, program, other_engine, iraf, module, tool])
def test_no_verb_that_looks_runs_what_a_record_names(
    command, forge, folder, monkeypatch, change
):
    make_mef("x.fits", n_ext=1, shape=(4, 4))
    copied("x.fits")
    mark = f"touch '{folder}/PWNED'"
    (folder / "evil").write_text(f"#!/bin/sh\n{mark}\n")
    (folder / "evil").chmod(0o755)
    (folder / "beside.py").write_text(f"open({str(folder / 'PWNED')!r}, 'w')\n")
    monkeypatch.syspath_prepend(folder)
    forge("cx.fits", "evil.fits", change)
    for verb in LOOKS:
        files = ("evil.fits", "cx.fits") if verb == ("diff",) else ("evil.fits",)
        assert command(*verb, *files).code in (0, 3)
    assert not (folder / "PWNED").exists()


def test_why_says_that_a_version_is_told_by_the_script_alone(
    command, forge, folder, caplog
):
    make_mef("x.fits", n_ext=1, shape=(4, 4))
    copied("x.fits")
    forge("cx.fits", "evil.fits", probe)
    assert command("why", "evil.fits").code == 0
    assert "can only be told by 'ndmapper why SCRIPT'" in caplog.text
