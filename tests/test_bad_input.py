"""Bad input to a whole script: a helpful message, no traceback, and nothing lost."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.cli import main

SCRIPT = """
from ndmapper.lib.ccd import subtract_bias
from ndmapper.services import look_up_cals
{body}
"""


@pytest.fixture
def folder_of_a_user(tmp_path, monkeypatch):
    """A folder with a frame, a bias, an older product and a calibration document."""
    monkeypatch.chdir(tmp_path)
    for name, shape in (
        ("x.fits", (8, 9)),
        ("bias.fits", (8, 9)),
        ("old.fits", (8, 9)),
    ):
        fits.PrimaryHDU(np.ones(shape, np.float32)).writeto(name)
    fits.PrimaryHDU(np.ones((8, 7), np.float32)).writeto("narrow.fits")
    Path("notes.fits").write_text("Dear diary, this is no FITS file.\n" * 200)
    Path("short.fits").write_bytes(Path("x.fits").read_bytes()[:3000])
    Path("calibrations.json").write_text('{"associations": {"x.fits": {"bias": 3}}}')
    return tmp_path


def contents(folder):
    """Digest of every file that is the user's."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("ndmapper.log", "script.py")
        and ".ndmapper" not in path.parts
    }  # fmt: skip


CASES = {
    "missing file": (
        "subtract_bias('none.fits', bias='bias.fits')",
        ["none.fits", "does not exist", "check its name"],
    ),
    "not FITS": (
        "subtract_bias('notes.fits', bias='bias.fits')",
        ["notes.fits", "FITS"],
    ),
    "truncated": (
        "subtract_bias('short.fits', bias='bias.fits')",
        ["short.fits is truncated", "3168", "3000", "again"],
    ),
    "truncated calibration": (
        "subtract_bias('x.fits', bias='short.fits')",
        ["short.fits is truncated"],
    ),
    "mismatched shapes": (
        "subtract_bias('x.fits', bias='narrow.fits')",
        ["x.fits", "narrow.fits", "(8, 9)", "(8, 7)", "same trim and binning"],
    ),
    "missing calibration": (
        "subtract_bias('x.fits')",
        ["needs a bias for x.fits", "associate_cals", "bias=None"],
    ),
    "unknown parameter": (
        "subtract_bias('x.fits', bais='bias.fits')",
        ["no parameter 'bais'", "did you mean 'bias'"],
    ),
    "existing output": (
        "subtract_bias('x.fits', bias='bias.fits', out_names='old.fits', "
        "reprocess='error')",
        ["old.fits already exists", "reprocess=True", "reprocess=False"],
    ),
    "output over its input": (
        "subtract_bias('x.fits', bias='bias.fits', out_names='x.fits', reprocess=True)",
        ["x.fits, which is its input"],
    ),
    "malformed calibration document": (
        "look_up_cals('x.fits', dependencies={'target': ['bias']}, "
        "cache='calibrations.json')",
        ["calibrations.json", "associations"],
    ),
}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.replace(" ", "_"))
def test_script_with_bad_input_says_what_to_do_and_loses_nothing(
    folder_of_a_user, capsys, case
):
    body, words = CASES[case]
    Path("script.py").write_text(SCRIPT.format(body=body))
    before = contents(folder_of_a_user)
    code = main(["run", "script.py"])
    error = capsys.readouterr().err
    assert code == 1
    assert [word for word in words if word not in error] == []
    assert "script.py, line " in error
    assert "Traceback" not in error
    assert contents(folder_of_a_user) == before


def test_script_with_debug_shows_the_traceback(folder_of_a_user, capsys):
    Path("script.py").write_text(SCRIPT.format(body="subtract_bias('none.fits')"))
    assert main(["--debug", "run", "script.py"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_script_with_broken_json_names_the_line_and_keeps_the_file(
    folder_of_a_user, capsys
):
    broken = '{\n  "associations": {,}\n}\n'
    Path("calibrations.json").write_text(broken)
    body = CASES["malformed calibration document"][0]
    Path("script.py").write_text(SCRIPT.format(body=body))
    assert main(["run", "script.py"]) == 1
    error = capsys.readouterr().err
    assert "calibrations.json" in error
    assert "line 2" in error
    assert Path("calibrations.json").read_text() == broken


def test_document_with_a_wrong_value_names_its_json_path(folder_of_a_user, capsys):
    document = {"associations": {"x.fits": {"bias": 3}}, "calibrations": {}}
    text = json.dumps(document, indent=2)
    Path("calibrations.json").write_text(text)
    body = CASES["malformed calibration document"][0]
    Path("script.py").write_text(SCRIPT.format(body=body))
    assert main(["run", "script.py"]) == 1
    assert "x.fits" in capsys.readouterr().err
    assert Path("calibrations.json").read_text() == text


# Permissions mean nothing to the super-user, so the child gives that up first; all is
# imported before, because others may not be able to read the environment.
AS_NOBODY = """
import os, sys
import ndmapper.lib.ccd
from ndmapper.cli import main
from ndmapper.data import DataFile
from ndmapper.services import look_up_cals
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
os.chdir(sys.argv[1])
sys.exit(main(["run", "script.py"]))
"""


@pytest.fixture
def open_folder():
    """A folder that others may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_script_in_a_read_only_folder_says_what_to_do(open_folder):
    work = open_folder / "work"
    work.mkdir()
    fits.PrimaryHDU(np.ones((8, 9), np.float32)).writeto(work / "x.fits")
    (work / "script.py").write_text(
        SCRIPT.format(body="subtract_bias('x.fits', bias=None)")
    )
    before = contents(work)
    work.chmod(0o555)
    try:
        result = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(work)],
            capture_output=True, text=True, timeout=600, check=False,
            env={**os.environ, "XDG_CONFIG_HOME": str(open_folder)},
        )  # fmt: skip
    finally:
        work.chmod(0o755)
    assert result.returncode == 1, result.stderr
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    assert contents(work) == before
