"""Extensions of one file, worked on by several processes."""

import os

import numpy as np
import pytest

from ndmapper import decide, qc
from ndmapper.errors import StepError
from ndmapper.io.digest import differences
from ndmapper.steps import run_task


@run_task(prefix="p")
def note(ndd, *, factor: float = 2.0):
    qc(pid=os.getpid(), mean=float(ndd.data.mean()))
    return ndd * factor * decide("times", lambda old: old, 3)


def test_extensions_of_one_file_are_worked_on_at_once(make_raw, pixels):
    name = make_raw("x.fits", (1.0, 2.0, 3.0, 4.0))
    df = note(name, workers=2)
    assert pixels("px.fits") == [6.0, 12.0, 18.0, 24.0]
    said = df.record[-1]["qc"]
    assert [said[f"mean[{n}]"] for n in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert os.getpid() not in {said[f"pid[{n}]"] for n in (1, 2, 3, 4)}


def test_extensions_give_the_same_as_one_after_the_other(make_raw):
    name = make_raw("x.fits", (1.0, 2.0, 3.0))
    note(name, outdir="one")
    note(name, outdir="two", workers=2)
    assert differences("one/px.fits", "two/px.fits") == []


def test_extensions_replay_decisions_in_workers(make_raw, pixels):
    name = make_raw("x.fits", (1.0, 2.0))

    @run_task(prefix="p")
    def ask(ndd):
        return ndd * decide("times", lambda old: 5, 3)

    ask(name, interact=True)
    ask(name, reprocess=True, workers=2)
    assert pixels("px.fits") == [5.0, 10.0]


def test_extensions_that_fail_name_the_first_one(make_raw):
    @run_task(prefix="p")
    def broken(ndd):
        if ndd.ident > 1:
            raise ValueError(ndd.ident)
        return ndd

    with pytest.raises(
        StepError, match=r"broken failed on x\.fits\[2\]: ValueError: 2"
    ):
        broken(make_raw("x.fits", np.arange(4.0)), workers=2)
