"""How many units of work are done at once, and that it makes no difference."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ndmapper
from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.errors import ConfigError
from ndmapper.io import temporary
from ndmapper.io.digest import differences
from ndmapper.parallel import cores
from ndmapper.parallel.cores import parse_memory
from ndmapper.steps import run_task
from ndmapper.steps.record.summary import summary
from ndmapper.steps.run.execute import count_workers


def plan_of(make_raw, func=None, **options):
    step = run_task(func or (lambda ndd: ndd), prefix="d", options=options)
    return step.plan(make_raw("x1.fits"))


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("4 GB", 4e9), ("1.5gb", 1.5e9), ("200 MB", 2e8), ("10kB", 1e4), (5e8, 5e8),
        ("1e3", 1e3), ("2 T", 2e12), ("7 B", 7), (1024, 1024),
        (1e16, 1e16),
    ],
)  # fmt: skip
def test_memory_is_read(text, amount):
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["much", "4 XB", "", "-1 GB", 0, "1..2 GB", None])
def test_memory_of_another_form_says_how(text):
    with pytest.raises(ConfigError, match="for instance '4 GB'"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("memory", "count"), [("3 GB", 3), ("10 GB", 1), ("100 GB", 1), ("1 MB", 8)]
)
def test_workers_are_as_many_as_fit_into_memory(make_raw, monkeypatch, memory, count):
    monkeypatch.setattr(cores, "_available", lambda: 10e9)
    with config.using(workers=8):
        assert count_workers(plan_of(make_raw, memory=memory)) == count


def test_workers_without_memory_are_those_asked_for(make_raw, monkeypatch):
    monkeypatch.setattr(cores, "_available", lambda: 1.0)
    with config.using(workers=8):
        assert count_workers(plan_of(make_raw)) == 8


def test_workers_of_the_declaration_are_overridden_by_the_call(make_raw):
    assert count_workers(plan_of(make_raw, workers=3)) == 3
    step = run_task(lambda ndd: ndd, prefix="d", options={"workers": 3})
    assert count_workers(step.plan("x1.fits", workers=2)) == 2


def test_workers_fit_the_memory_of_the_machine():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 1e7 < cores._available() <= total


def test_workers_are_one_where_the_user_is_asked(make_raw):
    def ask(ndd, *, interact):
        return ndd

    with config.using(workers=8, interact=True):
        # Also a function that does not name interact may ask, through decide.
        assert count_workers(plan_of(make_raw, ask)) == 1
        Path("x1.fits").unlink()
        assert count_workers(plan_of(make_raw)) == 1


def test_workers_are_one_for_a_tool_that_asks(make_raw, fake):
    step = run_task("fake:add", inputs="a", outputs="b", prefix="f")(lambda: {})
    with config.using(workers=8):
        assert count_workers(step.plan(make_raw("x1.fits"))) == 8
        assert count_workers(step.plan("x1.fits", interact=True)) == 1


# Serial and parallel.


FACTOR = 3


@run_task(prefix="n", cals=["flat"], outputs=("low", "high"))
def work(ndd, flat, *, table: np.ndarray, path: Path):
    """Use a bit of everything that has to travel."""
    ndmapper.qc(mean=float(ndd.data.mean()))
    factor = FACTOR * float(path.read_text())
    low = ndd / flat * factor + table.sum()
    low.meta["WHERE"] = "somewhere"
    return {"low": low, "high": ndd * 2}


@pytest.mark.parametrize("place", ["file", "side"])
def test_products_of_workers_are_those_of_one(make_raw, place):
    names = [make_raw(f"x{n}.fits", (n + 1.0, 3.0), shape=(30, 40)) for n in range(5)]
    flat = make_raw("flat.fits", (0.7, 0.9), shape=(30, 40))
    Path("number.txt").write_text("1.25")
    given = {"flat": flat, "table": np.arange(4.0), "path": "number.txt"}
    with config.using(record=place):
        one = work(names, outdir="one", **given)
        two = work(names, outdir="two", workers=2, **given)
    for output in ("low", "high"):
        for first, second in zip(one[output], two[output], strict=True):
            assert differences(str(first), str(second)) == []
            a, b = first.record[-1], second.record[-1]
            assert {n for n in a if a[n] != b[n]} == {"run"}


def test_products_of_workers_are_reused_by_one(make_raw):
    names = [make_raw(f"x{n}.fits") for n in range(3)]
    step = run_task(lambda ndd: ndd * 2, prefix="d")
    step(names, workers=2)
    summary.clear()
    step(names, reprocess="auto")
    assert summary.reused == ["dx0.fits", "dx1.fits", "dx2.fits"]


def test_inputs_in_memory_travel_to_workers(make_raw, pixels):
    files = [DataFile(make_raw(f"x{n}.fits", (1.0,))) for n in range(2)]
    for df in files:
        df[0].data[:] = 7
    run_task(lambda ndd: ndd * 2, prefix="d")(files, workers=2)
    assert [pixels("dx0.fits"), pixels("dx1.fits")] == [[14.0], [14.0]]


def test_unsaved_products_travel_to_workers(make_raw, pixels):
    step = run_task(lambda ndd: ndd * 2, prefix="d")
    names = [make_raw(f"x{n}.fits", (1.0,)) for n in range(2)]
    made = step(step(names, save=False), workers=2)
    assert pixels("ddx0.fits") == [4.0]
    assert len(made[0].record) == 2


def test_run_that_does_nothing_sweeps_what_a_killed_one_left(make_raw):
    @run_task(prefix="d")
    def double(ndd):
        return ndd * 2

    double(make_raw("x1.fits"))
    process = subprocess.Popen(["true"])
    process.wait()
    mark = temporary.staging_mark().replace(str(os.getpid()), str(process.pid), 1)
    left = Path(".ndmapper/stage") / mark
    left.mkdir(parents=True)
    temporary._swept.clear()
    double("x1.fits", reprocess="auto")
    assert not left.exists()
