"""What the doctor finds, and what it says where something is missing."""

import sys
from importlib import metadata

import pytest

from ndmapper.config import config
from ndmapper.report import doctor_tools
from ndmapper.report.doctor import examine
from ndmapper.report.doctor_tools import find_tools

BANNER = "***** ESO Recipe Execution Tool, version 3.99.1  *****"
RECIPES = (
    "List :\n\n  muse_bias    : Bias.\n  gimasterbias : Bias.\n  newinst_dark : Dark.\n"
)


def found(name):
    return next(f for f in examine() if f.name == name)


def tool(name, **settings):
    defaults = {"iraf_python": None, "esorex": "esorex", "esorex_plugins": None}
    return next(t for t in find_tools(defaults | settings) if t.name == name)


@pytest.fixture
def program(tmp_path):
    """Write a program that prints what it is told."""

    def write(text, name="program"):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nimport sys, time\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture(autouse=True)
def _quick(monkeypatch, request):
    """Leave the tools out where a test is about something else."""
    if "tool" not in request.node.name:
        monkeypatch.setattr("ndmapper.report.doctor.find_tools", lambda settings: ())


def test_doctor_finds_what_these_tests_run_with():
    for name in ("python", "ndmapper", "astropy", "keys", "scratch", "cores"):
        assert found(name).state == "ok"


def test_doctor_names_the_extra_of_a_missing_package(monkeypatch):
    version = metadata.version

    def without(name):
        if name == "specreduce":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without)
    missing = found("specreduce")
    assert (missing.state, missing.found) == ("missing", "not installed")
    assert missing.advice.endswith("'ndmapper[spec]'")


@pytest.mark.parametrize(("name", "state"), [("numpy", "wrong"), ("scipy", "missing")])
def test_doctor_names_a_package_that_is_too_old(monkeypatch, name, state):
    version = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda n: "0.9" if n == name else version(n)
    )
    old = found(name)
    assert old.state == state
    assert old.found.startswith("0.9, but it must be ")


def test_doctor_outdir_that_cannot_be_written_is_wrong(tmp_path):
    (tmp_path / "file").write_text("")
    with config.using(outdir=str(tmp_path / "file" / "below")):
        outdir = found("outdir")
    assert outdir.state == "wrong"
    assert "cannot be written" in outdir.found


def test_doctor_outdir_that_is_not_there_yet_is_fine_and_stays_away(tmp_path):
    with config.using(outdir=str(tmp_path / "new" / "folder")):
        assert found("outdir").state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_doctor_wrong_configuration_is_named(monkeypatch):
    monkeypatch.setattr(config, "_environ", {"NDMAPPER_WORKERS": "many"})
    config.reload()
    wrong = found("workers")
    assert wrong.state == "wrong"
    assert "NDMAPPER_WORKERS" in wrong.found


def test_tool_esorex_and_its_pipelines(program):
    path = program(
        f"print({BANNER!r} if '--version' in sys.argv else {RECIPES!r})", "esorex"
    )
    assert tool("esorex", esorex=path).found == f"3.99.1 ({path})"
    assert tool("esorex muse", esorex=path).found == "1 recipe"
    assert tool("esorex giraf", esorex=path).found == "1 recipe"
    assert tool("esorex newinst", esorex=path).found == "1 recipe"
    missing = tool("esorex hawki", esorex=path)
    assert (missing.found, missing.problem) == ("", "no recipe is found")
    assert "apt install cpl-plugin-hawki" in missing.advice


def test_tool_esorex_looks_in_the_folders_of_the_configuration(program):
    path = program(
        "print('  muse_x : X' if '--recipe-dir=/my/plugins' in sys.argv else 'x')"
    )
    found = tool("esorex muse", esorex=path, esorex_plugins="/my/plugins")
    assert found.found == "1 recipe"


def test_tool_esorex_missing_says_how_to_get_it():
    missing = tool("esorex", esorex="no-such-esorex")
    assert missing.problem == "there is no program no-such-esorex"
    assert "apt install esorex" in missing.advice


@pytest.mark.parametrize(
    "text", ["sys.exit(1)", "time.sleep(60)"], ids=["fails", "hangs"]
)
def test_tool_esorex_that_does_not_run_is_missing(monkeypatch, program, text):
    monkeypatch.setattr(doctor_tools, "_PATIENCE", 2)
    assert tool("esorex", esorex=program(text)).problem == "it does not run"


def test_tool_iraf_in_the_folder_of_the_environment(monkeypatch, tmp_path):
    hlib = tmp_path / "unix" / "hlib"
    hlib.mkdir(parents=True)
    (hlib / "zzsetenv.def").write_text('set\tversion\t\t= "Community IRAF V9.9"\n')
    monkeypatch.setenv("iraf", str(tmp_path))
    assert tool("IRAF").found == f"Community IRAF V9.9 ({tmp_path})"
    noao = tool("IRAF noao")
    assert (noao.found, noao.advice) == ("", "apt install iraf-noao")


def test_tool_iraf_missing_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("iraf", str(tmp_path / "nowhere"))
    missing = tool("IRAF")
    assert missing.found == ""
    assert "apt install iraf" in missing.advice


def test_tool_pyraf_is_asked_of_the_python_of_the_configuration(program):
    path = program("print('7.7')")
    assert tool("PyRAF", iraf_python=path).found == f"7.7 (in {path})"
    missing = tool("PyRAF", iraf_python="/no/such/python")
    assert missing.problem == "not in /no/such/python"
    assert "iraf_python" in missing.advice
