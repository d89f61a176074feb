"""What a verb imports: no more than it needs, so that the command starts at once."""

import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.cli import command as module
from ndmapper.cli.catalogue import library_steps
from ndmapper.cli.step_list import list_steps

LARGE = (
    "numpy", "astropy", "scipy", "numba", "requests", "loky", "cloudpickle", "tqdm",
    "matplotlib", "shtab", "ndmapper.data", "ndmapper.io", "ndmapper.steps",
    "ndmapper.services", "ndmapper.calibrations",
)  # fmt: skip


def imported(*words):
    """Give the names of the modules that a command has imported at its end."""
    code = (
        "import sys\n"
        "from ndmapper.cli import main\n"
        f"code = main({[str(word) for word in words]!r})\n"
        "print(*sys.modules, file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "words", [["--help"], ["config"], ["config", "--json"], ["steps"]], ids=" ".join
)
def test_small_verbs_import_no_library(words, folder):
    assert not imported(*words) & set(LARGE)


def test_completion_imports_shtab_alone(folder):
    pytest.importorskip("shtab", reason="shtab is not installed")
    assert imported("completion", "bash") & set(LARGE) == {"shtab"}


@pytest.mark.parametrize("verb", module.VERBS, ids=lambda verb: verb.name)
def test_verb_is_imported_without_its_libraries(verb):
    code = f"import sys, ndmapper.cli.{verb.name}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & set(LARGE)


def test_info_imports_astropy_for_headers_only(folder):
    image = np.zeros((4, 4), "f4")
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(image), fits.CompImageHDU(image)]
    fits.HDUList(hdus).writeto("a.fits")
    names = imported("info", "a.fits")
    assert "astropy.io.fits" in names
    unwanted = {*LARGE, "astropy.nddata", "astropy.wcs", "ndmapper.data.ndlater"}
    assert names & unwanted == {"numpy", "astropy", "ndmapper.data", "ndmapper.io"}


def test_list_of_steps_is_that_of_the_imported_ones():
    listed, steps = list_steps(), library_steps()
    assert list(listed) == list(steps)
    for name, step in steps.items():
        assert tuple(listed[name].engines) == step.engines
        assert listed[name].summary == step.func.__doc__.strip().partition("\n")[0]


@pytest.mark.parametrize("wrong", ["sho", "--json sho", "sho --json"])
def test_unknown_verb_has_a_suggestion(command, wrong):
    result = command(*wrong.split())
    assert result.code == 2
    assert "there is no verb 'sho'; did you mean 'show'?" in result.err


def test_unknown_verb_like_no_other_lists_them(command):
    assert "there are: align, cals, clean, completion" in command("xxxxxxxx").err
