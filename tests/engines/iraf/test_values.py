"""Parameters are checked before a task runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ndmapper.engines import Job
from ndmapper.engines.iraf import IrafEngine
from ndmapper.engines.iraf.parameters import Parameter
from ndmapper.engines.iraf.values import check_names, check_required, to_iraf
from ndmapper.errors import ParameterError, UnknownParameterError
from ndmapper.testing import make_mef

JobFor = Callable[..., Job]


def par(kind: str, **other: Any) -> Parameter:
    given = {"name": "par", "type": kind, "mode": "h", "default": None, "min": None,
             "max": None, "choices": None, "prompt": "what it is"}  # fmt: skip
    return Parameter(**(given | other))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("b", True, True), ("b", "no", False), ("b", np.bool_(False), False),
        ("i", 3, 3), ("i", np.int16(3), 3), ("i", 3.0, 3), ("i", "7", 7),
        ("i", "INDEF", "INDEF"), ("r", 2, 2.0), ("r", "1.5", 1.5),
        ("r", "12:30:00", "12:30:00"), ("r", np.float32(0.5), 0.5), ("s", "x", "x"),
        ("s", 5, "5"), ("s", True, "yes"), ("f", Path("/a/b"), "/a/b"),
        ("*struct", "x", "x"),
    ],
)  # fmt: skip
def test_good_values(kind: str, value: Any, expected: Any) -> None:
    made = to_iraf("a.b", "p", value, par(kind))
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("b", 2, "True or False"), ("b", "maybe", "True or False"),
        ("i", 2.5, "an integer, not 2.5"), ("i", True, "an integer"),
        ("i", "x", "an integer"), ("i", 2**40, "32 bits"), ("r", "x", "a number"),
        ("r", float("nan"), "INDEF"), ("r", float("inf"), "INDEF"),
        ("s", None, "leave it out"), ("s", ["a", "b"], "join names"),
        ("s", ("a",), "join names"), ("s", {}, "pass a number"),
        ("pset", "x", "by their own names"), ("s", "x" * 901, "@"),
    ],
)  # fmt: skip
def test_wrong_values(kind: str, value: Any, words: str) -> None:
    with pytest.raises(ParameterError, match=words) as caught:
        to_iraf("a.b", "p", value, par(kind))
    assert "p of the IRAF task a.b" in str(caught.value)


def test_limits_and_choices() -> None:
    limited = par("r", min=0.0, max=1.0)
    assert to_iraf("a.b", "p", 1, limited) == 1
    with pytest.raises(ParameterError, match=r"from 0\.0 up to 1\.0, not 2"):
        to_iraf("a.b", "p", 2, limited)
    choice = par("s", choices=["average", "median"])
    assert to_iraf("a.b", "p", "median", choice) == "median"
    # An abbreviation may mean another one in the next version.
    with pytest.raises(ParameterError, match="did you mean 'median'"):
        to_iraf("a.b", "p", "med", choice)


def test_names_are_whole() -> None:
    known = {"verbose": par("b"), "pixtype": par("s"), "operand1": par("s", mode="a")}
    with pytest.raises(UnknownParameterError, match="in full: 'verbose'"):
        check_names("a.b", {"verb": True}, known)
    with pytest.raises(UnknownParameterError, match="did you mean 'pixtype'"):
        check_names("a.b", {"pixtipe": "x"}, known)
    check_required("a.b", {"operand1": "x"}, known)
    with pytest.raises(ParameterError, match=r"a value for 'operand1' \(what it is\)"):
        check_required("a.b", {}, known)


@pytest.mark.iraf
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"op": "+", "verb": True}, "'verbose'"),
        ({"op": "plus", "operand2": 1}, "op of the IRAF task"),
        ({"op": "+", "operand2": 1, "divzero": "x"}, "divzero"),
        ({"op": "+"}, "a value for 'operand2'"),
        ({"op": "+", "operand2": None}, "operand2"),
        ({"op": "+", "operand2": 1, "operand1": "x"}, "given twice"),
        ({"op": "+", "operand2": 1, "result": "x"}, "given twice"),
    ],
)
def test_check_of_a_job(
    need_iraf: None,
    job_for: JobFor,
    tmp_path: Path,
    parameters: dict[str, Any],
    words: str,
) -> None:
    job = job_for(
        "images.imutil.imarith", None, {"operand1": make_mef(tmp_path / "x.fits")},
        {"result": "y.fits"}, **parameters,
    )  # fmt: skip
    with pytest.raises(ParameterError, match=words):
        IrafEngine().check(job)


@pytest.mark.iraf
def test_parameters_of_tasks(need_iraf: None, job_for: JobFor) -> None:
    engine = IrafEngine()
    task = job_for("noao.onedspec.identify", None).task
    names = engine.parameters(task)
    assert names is not None
    # Its own, those of its pset aidpars, and those of its package.
    assert {"images", "coordlist", "crpix", "onedspec_dispaxis"} <= set(names)
    assert not {"mode", "$nargs"} & set(names)
