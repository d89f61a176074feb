"""The steps that there are, and running one."""

import textwrap
from pathlib import Path

import pytest
from astropy.io import fits

from ndmapper.testing import make_mef


@pytest.fixture
def script(folder):
    make_mef("x.fits", n_ext=1)
    path = folder / "mine.py"
    path.write_text(
        textwrap.dedent("""
            from ndmapper import run_task

            @run_task(prefix="a", cals=["dark"])
            def add(ndd, dark=None, *, number: float = 1.0, word: str = "no"):
                '''Add a number.'''
                return ndd + number if dark is None else ndd - dark
            """)
    )
    return path


def test_steps_lists_those_of_the_libraries(command):
    listed = command("steps", "--json").json
    assert listed["ccd.subtract_bias"]["calibrations"] == ["bias"]
    assert "ccd.subtract_bias" in command("steps").out


def test_steps_says_in_words_what_an_instrument_is(command):
    out = command("steps", "show", "ccd.add_variance").out
    assert "instrument: name or path of an instrument table = None" in out
    assert "FromTable" not in out


def test_steps_shows_one(command, script):
    out = command("steps", "show", f"{script}:add").out
    assert out.startswith("add(ndd, dark=None, *, number: float = 1.0")
    assert "prefix 'a'" in out
    assert "Add a number." in out
    shown = command("steps", "show", "subtract_bias", "--json").json
    assert shown["module"] == "ndmapper.lib.ccd.bias"


def test_steps_unknown_one_has_a_suggestion(command):
    result = command("steps", "show", "subtract_bais")
    assert result.code == 1
    assert "did you mean 'subtract_bias'?" in result.err
    assert command("steps", "show").code == 1


def test_step_runs_with_parameters(command, script, caplog):
    result = command("step", f"{script}:add", "x.fits", "--number", "2.5", "--json")
    assert result.json["products"] == ["ax.fits"]
    assert fits.getdata("ax.fits", ("SCI", 1)).flat[0] == 1002.5
    caplog.clear()
    command("step", f"{script}:add", "x.fits", "--number=2.5")
    assert "re-used" in caplog.text


def test_step_takes_calibrations_and_words(command, script):
    make_mef("d.fits", n_ext=1)
    result = command(
        "step", f"{script}:add", "x.fits", "--dark", "d.fits", "--outdir", "out",
        "--word", "12",
    )  # fmt: skip
    assert result.code == 0
    assert fits.getdata("out/ax.fits", ("SCI", 1)).max() == 0


def test_step_dry_run_writes_no_product(command, script, caplog):
    result = command("step", f"{script}:add", "x.fits", "--dry-run")
    assert result.code == 0
    assert "run     x.fits -> ax.fits (new)" in caplog.text
    assert not Path("ax.fits").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--numbr", "2"], "did you mean 'number'?"),
        (["--number", "two"], "number = 'two' must be float"),
        (["--number"], "--number needs a value"),
        (["-n", "3"], "'-n' is no parameter"),
    ],
)
def test_step_wrong_words_are_errors(command, script, words, message):
    result = command("step", f"{script}:add", "x.fits", *words)
    assert result.code == 1
    assert message in result.err
    assert not Path("ax.fits").exists()


def test_step_unknown_places_are_errors(command, script):
    for name in ("nowhere.py:add", "no.such.module:add", f"{script}:nothing"):
        assert command("step", name, "x.fits").code == 1


def test_steps_show_has_plain_names_of_types_and_the_limits_that_there_are(command):
    shown = command("steps", "show", "subtract_overscan").out
    assert "degree: Annotated[int, Range(ge=0)] = 3" in shown
    assert "(ndd: NDLater, " in shown
