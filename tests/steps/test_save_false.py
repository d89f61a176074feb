"""save=False goes the way of save=True: workers, log, events, errors, limits, QC."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from shared_helpers import read_events
from shared_steps import double

import ndmapper
from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.errors import StepError, UnknownParameterError
from ndmapper.io.digest import differences
from ndmapper.steps import chain, run_task
from ndmapper.steps.record.summary import summary


@run_task(prefix="n", cals=["flat"], outputs=("low", "high"))
def flatten(ndd, flat):
    """Tell which process works, and how many threads it may have."""
    ndmapper.qc(mean=float(ndd.data.mean()))
    factor = ndmapper.decide("factor", lambda old: old, 2.0)
    low = ndd / flat * factor
    low.meta["PROCESS"] = os.getpid()
    low.meta["THREADS"] = os.environ.get("OMP_NUM_THREADS", "")
    return {"low": low, "high": ndd * 2}


@pytest.fixture
def raws(make_raw):
    return [make_raw(f"x{n}.fits", (n + 1.0, 3.0)) for n in range(3)]


def products():
    return sorted(path.name for path in Path().rglob("*.fits") if path.name[0] != "x")


def test_unsaved_products_come_back_from_workers(raws, make_raw):
    flat = make_raw("xflat.fits", (0.5, 0.25))
    one = flatten(raws, flat=flat, save=False)
    two = flatten(raws, flat=flat, save=False, workers=2)
    assert products() == []
    for output in ("low", "high"):
        for first, second in zip(one[output], two[output], strict=True):
            for a, b in zip(first, second, strict=True):
                np.testing.assert_array_equal(a.data, b.data)
            a, b = first.record[-1], second.record[-1]
            assert {n for n in a if a[n] != b[n]} <= {"run"}
    found = {df[0].meta["PROCESS"] for df in two["low"]}
    assert os.getpid() not in found
    assert {df[0].meta["THREADS"] for df in two["low"]} != {""}


def test_unsaved_products_of_workers_are_saved_as_those_of_one(raws):
    for folder, workers in (("one", 1), ("two", 2)):
        for df in double(raws, outdir=folder, save=False, workers=workers):
            df.save()
    for name in ("dx0.fits", "dx1.fits", "dx2.fits"):
        assert differences(f"one/{name}", f"two/{name}") == []
        entry = DataFile(f"two/{name}").record[-1]
        assert (entry["step"], entry["key"]) == (
            "double", DataFile(f"one/{name}").record[-1]["key"],
        )  # fmt: skip


def test_unsaved_products_of_workers_edited_before_save_say_so(raws):
    for df in double(raws, save=False, workers=2):
        df[0].data[0, 0] = -1
        df.save()
        steps = [entry["step"] for entry in DataFile(str(df)).record]
        assert steps == ["double", "edited"]


def test_unsaved_products_of_a_tool_come_back_from_workers(raws):
    @run_task("command:cp", inputs="a", outputs="b", prefix="c", argv=["{in}", "{out}"])
    def copy():
        """Copy the file."""

    made = copy(raws, save=False, workers=2)
    assert [df[0].data[0, 0] for df in made] == [1, 2, 3]
    assert products() == []


def test_calibrations_go_along_with_unsaved_products_of_workers(raws, make_raw):
    files = [DataFile(name) for name in raws]
    bias = DataFile(make_raw("xb.fits"))
    for df in files:
        df.cals["bias"] = bias
    made = double(files, save=False, workers=2)
    assert all(df.cals["bias"] is bias for df in made)


def test_a_chain_that_is_not_saved_has_workers(raws, make_raw):
    flat = make_raw("xflat.fits", (0.5, 0.25))
    way = chain(double, flatten)
    made = way(raws, flat=flat, save=False, workers=2)
    assert products() == []
    assert [str(df) for df in made["low"]] == [f"ndx{n}_low.fits" for n in range(3)]
    assert os.getpid() not in {df[0].meta["PROCESS"] for df in made["low"]}
    assert [e["step"] for e in made["low"][0].record] == ["double", "flatten"]
    one = way(raws, flat=flat, save=False)
    assert one["low"][0].record[-1]["key"] == made["low"][0].record[-1]["key"]


@pytest.mark.parametrize("workers", [1, 2])
def test_log_file_of_unsaved_products(raws, workers):
    with config.using(logfile="run.log"):
        double(raws, save=False, workers=workers)
    text = Path("run.log").read_text()
    assert "START double" in text
    assert "double: x1.fits -> dx1.fits: kept in memory" in text
    assert "END   double: 3 made, 0 re-used" in text


def test_events_of_unsaved_products(raws):
    double(raws[0], save=False)
    start, made, end = read_events()
    assert (start["event"], start["step"], start["units"]) == ("start", "double", 1)
    assert (made["products"], made["why"]) == (["dx0.fits"], "kept in memory")
    assert (end["event"], end["made"]) == ("end", 1)


def test_unsaved_products_do_not_count_as_made(raws):
    double(raws, save=False)
    assert str(summary) == "no step has run"


@run_task(prefix="p")
def picky(ndd):
    """Refuse what is less than two."""
    if ndd.data.flat[0] < 2:
        raise ValueError("too little")
    return ndd


@pytest.mark.parametrize("workers", [1, 2])
def test_on_error_of_unsaved_products(raws, workers, caplog):
    with config.using(logfile="run.log"):
        made = picky(raws, save=False, on_error="continue", workers=workers)
        assert [str(df) for df in made] == ["px1.fits", "px2.fits"]
        assert summary.failed == ["px0.fits"]
        with pytest.raises(StepError, match="too little"):
            picky(raws, save=False, workers=workers)
    assert "too little" in Path("run.log").read_text()
    failed = [event for event in read_events() if event["event"] == "failed"]
    assert "too little" in failed[0]["error"]


def test_progress_of_unsaved_products(raws, monkeypatch):
    seen = []

    def progress(items, title):
        seen.append(title)
        return items

    monkeypatch.setattr("ndmapper.parallel.pool.progress", progress)
    double(raws, save=False)
    assert "double" in seen


@pytest.mark.parametrize("workers", [1, 2])
def test_timeout_of_unsaved_products(raws, workers):
    @run_task("command:sleep", inputs="a", outputs="b", prefix="c", argv=["30"])
    def wait():
        """Wait, and make nothing."""

    with pytest.raises(StepError, match="longer than"):
        wait(raws[:2], save=False, timeout=0.2, workers=workers)


def test_parameters_of_a_tool_are_checked_before_it_runs(raws, fake):
    step = run_task("fake:add", inputs="a", outputs="b", prefix="f")(
        lambda: {"rdnoise": 3}
    )
    fake.known = ["gain"]
    with pytest.raises(UnknownParameterError, match="rdnoise"):
        step(raws, save=False)
    with pytest.raises(UnknownParameterError, match="rdnoise"):
        chain(step, double)(raws)
    assert fake.jobs == []


@pytest.mark.parametrize("workers", [1, 2])
def test_findings_and_decisions_of_unsaved_products(raws, make_raw, workers):
    flat = make_raw("xflat.fits")
    kept = flatten(raws, flat=flat, save=False, workers=workers)
    saved = flatten(raws, flat=flat, workers=workers)
    for first, second in zip(kept["low"], saved["low"], strict=True):
        a, b = first.record[-1], second.record[-1]
        assert {n for n in b if a.get(n) != b[n]} == {"run", "content"}
        assert set(a["qc"]) == {"mean[1]", "mean[2]"}
        assert a["decisions"] == {"factor[1]": 2.0, "factor[2]": 2.0}
        assert set(a["run"]) == set(b["run"])


def test_interact_of_unsaved_products_works_here(raws, make_raw):
    flat = make_raw("xflat.fits")
    made = flatten(raws, flat=flat, save=False, workers=2, interact=True)
    assert {df[0].meta["PROCESS"] for df in made["low"]} == {os.getpid()}


def test_extensions_of_one_unsaved_file_are_worked_on_at_once(raws, make_raw):
    flat = make_raw("xflat.fits")
    made = flatten(raws[0], flat=flat, save=False, workers=2)
    assert os.getpid() not in {ndd.meta["PROCESS"] for ndd in made["low"]}


def test_an_unsaved_product_may_have_any_name(raws, caplog):
    other = Path("other/x0.fits")
    other.parent.mkdir()
    Path(raws[0]).rename(other)
    DataFile(raws[1]).save(filename="x0.fits")
    with caplog.at_level(logging.INFO):
        made = double(["x0.fits", other], save=False)
    assert [str(df) for df in made] == ["dx0.fits", "dx0.fits"]


SCRIPT = """
import signal, sys, time
from pathlib import Path
from ndmapper import run_task

signal.signal(signal.SIGINT, signal.default_int_handler)

@run_task(prefix="s")
def wait(ndd):
    Path(f"started-{ndd.meta['EXTVER']}-{ndd.data.flat[0]}").touch()
    time.sleep(60)
    return ndd

wait(sys.argv[1:], save=False, workers=2)
"""


def test_interrupt_of_unsaved_products_leaves_no_process(raws, folder):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *raws[:2]],
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while len(list(folder.glob("started-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    assert [e["event"] for e in read_events()] == ["start", "failed", "end"]
    assert products() == []
