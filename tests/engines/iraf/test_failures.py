"""Every way in which IRAF fails becomes an error that names the file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import write_image

from ndmapper.engines import Outcome
from ndmapper.engines.iraf.failures import failure_lines, failure_reason
from ndmapper.errors import DeclarationError, StepError
from ndmapper.testing import make_mef

RunTask = Callable[..., Outcome]
Case = tuple[str, Mapping[str, str], Mapping[str, str], Mapping[str, Any], str]


LOUD: list[Case] = [
    # The parameters name files that are not there, as strings do that users pass.
    ("images.imutil.imcopy", {}, {"output": "x"}, {"input": "absent.fits"}, "827"),
    ("images.imutil.imexpr", {"a": "f"}, {"output": "x"}, {"expr": "a+b",
     "b": "absent.fits"}, "827"),
    ("images.imutil.imexpr", {"a": "f"}, {"output": "x"}, {"expr": "a|b", "b": "1"},
     "ERROR"),
    ("images.immatch.imcombine", {"input": "f"}, {"output": "x"},
     {"reject": "minmax", "nlow": 5, "nhigh": 5}, "ERROR|did not make"),
    ("noao.imred.ccdred.ccdproc", {"images": "f"}, {"output": "x"},
     {"ccdtype": "", "zero": "absent", "fixpix": False, "overscan": False,
      "trim": False, "darkcor": False, "flatcor": False}, "absent"),
    ("noao.artdata.mkobjects", {"input": "f"}, {"output": "x"}, {}, "objects lists"),
    ("noao.onedspec.splot", {"images": "f"}, {}, {}, "it asked for"),
]  # fmt: skip

QUIET: list[Case] = [
    ("images.imutil.imarith", {"operand1": "f"}, {"result": "x"},
     {"op": "+", "operand2": "absent.fits"}, "is not an image or a number"),
    ("images.imutil.imarith", {"operand1": "f", "operand2": "other"}, {"result": "x"},
     {"op": "+"}, "different dimensions"),
    ("images.immatch.imcombine", {}, {"output": "x"},
     {"input": "absent.fits,gone.fits"}, "Cannot open image|Can't make"),
    ("images.imutil.imstat", {}, {}, {"images": "absent.fits"},
     "Error reading image"),
    ("images.imutil.hselect", {}, {}, {"images": "absent.fits", "fields": "$I",
     "expr": "yes"}, "Cannot open image"),
    ("images.imutil.hedit", {}, {}, {"images": "absent.fits", "fields": "A",
     "value": "1", "verify": False}, "Cannot open image"),
    ("proto.fixpix", {"images": "f"}, {"images": "x"}, {"masks": "absent.pl"},
     "absent"),
    ("noao.onedspec.dispcor", {}, {"output": "x"}, {"input": "absent.fits"},
     "Cannot open image"),
    ("noao.onedspec.identify", {}, {}, {"images": "absent.fits"}, "Cannot open image"),
    ("noao.onedspec.reidentify", {"images": "f", "reference": "f"}, {},
     {"interactive": "no"}, "Cannot open|not found"),
    ("images.imfit.fit1d", {}, {"output": "x"}, {"input": "absent.fits",
     "type": "fit", "interactive": False}, "Cannot open image"),
    # Nothing is said at all: there just is no product.
    ("noao.imred.ccdred.ccdproc", {"images": "f"}, {"output": "x"},
     {"ccdtype": "object", "fixpix": False, "overscan": False, "trim": False,
      "zerocor": False, "darkcor": False, "flatcor": False}, "did not make f_x"),
    ("images.imutil.imarith", {"operand1": "f"}, {"result": "x"},
     {"op": "+", "operand2": 1, "noact": True}, "did not make f_x"),
]  # fmt: skip


@pytest.mark.iraf
@pytest.mark.parametrize("case", LOUD + QUIET, ids=lambda case: case[0])
def test_failures_are_errors(run_iraf: RunTask, tmp_path: Path, case: Case) -> None:
    task, roles, outputs, parameters, words = case
    files = {
        "f": write_image(tmp_path / "f.fits", np.ones((6, 8))),
        "other": write_image(tmp_path / "other.fits", np.ones((5, 8))),
    }
    with pytest.raises(StepError, match=words) as caught:
        run_iraf(
            task,
            {name: files[key] for name, key in roles.items()},
            {name: f"{stem}.fits" for name, stem in outputs.items()},
            **parameters,
        )
    assert task in str(caught.value)
    assert all(str(files[key]) in str(caught.value) for key in roles.values())
    # The next call is not harmed.
    outcome = run_iraf("images.imutil.imstat", {"images": files["f"]}, format=False)
    assert "1." in outcome.log


@pytest.mark.iraf
def test_the_extension_is_named(run_iraf: RunTask, tmp_path: Path) -> None:
    one = make_mef(tmp_path / "one.fits")
    with fits.open(one, mode="update") as hdus:
        hdus["SCI", 2].data = np.ones((3, 3), "float32")
        del hdus["VAR", 2], hdus["DQ", 2]
    other = make_mef(tmp_path / "two.fits")
    with pytest.raises(StepError, match="in extension 2: Input images have diff"):
        run_iraf(
            "images.imutil.imarith",
            {"operand1": one, "operand2": other},
            {"result": "x.fits"},
            op="+",
        )


@pytest.mark.iraf
def test_what_was_printed_is_told(run_iraf: RunTask, tmp_path: Path) -> None:
    path = write_image(tmp_path / "f.fits", np.ones((6, 8)))
    with pytest.raises(StepError) as caught:
        run_iraf(
            "images.imutil.imarith", {"operand1": path}, {"result": "x.fits"}, op="+",
            operand2="absent.fits",
        )  # fmt: skip
    assert "\n  absent.fits is not an image" in str(caught.value)
    assert caught.value.log == "absent.fits is not an image or a number\n"


@pytest.mark.iraf
def test_a_question_is_an_error(run_iraf: RunTask, tmp_path: Path) -> None:
    path = write_image(tmp_path / "f.fits", np.ones((40, 50)))
    with pytest.raises(StepError, match="it asked for 'Number of apertures"):
        run_iraf(
            "noao.twodspec.apextract.apall", {"input": path}, {"output": "x.fits"},
            interactive=False,
        )  # fmt: skip


@pytest.mark.iraf
def test_questions_that_nothing_answers(run_iraf: RunTask, tmp_path: Path) -> None:
    # A text without a value is no empty text, and what was asked has its name.
    with pytest.raises(StepError, match="it asked for the parameter 'images'"):
        run_iraf("images.imutil.sections")
    with pytest.raises(StepError, match="it asked for 'year'"):
        run_iraf("noao.astutil.asttimes", observatory="kpno")


@pytest.mark.iraf
def test_a_question_without_end(run_iraf: RunTask, tmp_path: Path) -> None:
    # Its own answer is no observatory, so it asks for one for ever.
    path = write_image(tmp_path / "f.fits", np.ones((6, 8)))
    with pytest.raises(StepError, match="'override' again and again"):
        run_iraf("noao.observatory", {"images": path}, command="images", timeout=300)


@pytest.mark.iraf
def test_unknown_tasks(run_iraf: RunTask, tmp_path: Path) -> None:
    path = write_image(tmp_path / "f.fits", np.ones((6, 8)))
    with pytest.raises(DeclarationError, match=r"there is immatch\.imcombine"):
        run_iraf("images.imutil.imcombine", {"input": path}, {"output": "x.fits"})
    with pytest.raises(DeclarationError, match="no package 'nowhere'"):
        run_iraf("nowhere.imcombine", {"input": path}, {"output": "x.fits"})


@pytest.mark.parametrize(
    "line",
    [
        "ERROR - GEMARITH: input image does not exist",
        "Warning: Cannot open image (x.fits)",
        "Warning: Operation would overwrite existing image (x.fits)",
        "Warning: Can't make temporary stack images",
        "x.fits is not an image or a number",
        "Error reading image x.fits ...",
        "Input images have different dimensions",
    ],
)
def test_failure_lines(line: str) -> None:
    assert failure_lines(f"first\n{line}\nlast\n") == [line]


@pytest.mark.parametrize(
    "line", ["no error here", "OBJECT = 'ERROR'", "Warning: setting CD2_2 to 1."]
)
def test_other_lines(line: str) -> None:
    assert failure_lines(f"{line}\n") == []


@pytest.mark.parametrize(
    ("said", "printed", "error", "words"),
    [
        ("", "a line\nWrite to the database (yes)? \n", "", "'Write to the database"),
        ("How many (3): ", "", "", "'How many (3)'"),
        ("PANIC in `x': no reader:\n", "", "", "something"),
        ("x: ", "", "EOF while reading list structured parameter (list)", "'list'"),
    ],
)
def test_what_was_asked(said: str, printed: str, error: str, words: str) -> None:
    reply: dict[str, Any] = {"asked": True, "error": None}
    if error:
        reply["error"] = {"type": "IrafError", "text": error}
    wrong = failure_reason(reply, printed, said)
    assert wrong is not None
    assert f"it asked for {words}" in wrong


def test_status_of_a_task() -> None:
    assert failure_reason({"error": None, "status": 0}, "", "") is None
    assert failure_reason({"error": None, "status": None}, "", "") is None
    assert "status 1" in str(failure_reason({"error": None, "status": 1}, "", ""))
