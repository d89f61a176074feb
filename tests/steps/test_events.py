"""The log of events: whole lines of JSON, whoever writes at the same time."""

import subprocess
import sys
from pathlib import Path

import pytest
from shared_helpers import read_events

from ndmapper.steps import run_task
from ndmapper.steps.record.summary import write_event


@run_task(prefix="d")
def double(ndd):
    """Double the data."""
    if ndd.data[0, 0] < 0:
        raise ValueError("negative")
    return ndd * 2


def test_events_of_a_call(make_raw):
    double(make_raw("x1.fits"))
    start, made, end = read_events()
    assert (start["event"], start["step"], start["units"]) == ("start", "double", 1)
    assert (made["products"], made["why"]) == (["dx1.fits"], "new")
    assert (end["made"], end["reused"], end["differing"]) == (1, 0, 0)
    assert all({"time", "host", "pid"} <= set(event) for event in (start, made, end))


def test_events_of_a_rerun(make_raw):
    double(make_raw("x1.fits"))
    double("x1.fits", reprocess="auto")
    end = read_events()[-1]
    assert (end["event"], end["made"], end["reused"]) == ("end", 0, 1)


def test_events_of_a_failure(make_raw):
    names = [make_raw("x1.fits", (-1.0,)), make_raw("x2.fits", (1.0,))]
    with pytest.raises(RuntimeError):
        double(names)
    assert [e["event"] for e in read_events()][-2:] == ["failed", "end"]
    double(names, on_error="continue", reprocess=True)
    failed = [e for e in read_events() if e["event"] == "failed"][-1]
    assert failed["products"] == ["dx1.fits"]
    assert "ValueError: negative" in failed["error"]


def test_events_of_workers_are_all_there(make_raw):
    double([make_raw(f"x{n}.fits") for n in range(4)], workers=2)
    made = [e["products"] for e in read_events() if e["event"] == "made"]
    assert sorted(made) == [[f"dx{n}.fits"] for n in range(4)]


def test_events_are_in_outdir(make_raw):
    double(make_raw("x1.fits"), outdir="made")
    assert read_events("made")
    assert not Path(".ndmapper").exists()


WRITER = """
import sys
from ndmapper.steps.record.summary import write_event
outdir, number = sys.argv[1:]
for n in range(40):
    write_event(outdir, "made", number=int(number), n=n, text="x" * 3000)
"""


def test_events_of_many_writers_are_whole(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(number)])
        for number in range(8)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 8
    found = read_events(tmp_path)
    assert len(found) == 8 * 40
    for number in range(8):
        mine = [e["n"] for e in found if e["number"] == number]
        assert mine == list(range(40))


@pytest.mark.parametrize(
    "prepare",
    [
        lambda folder: (folder / ".ndmapper").write_text("a file"),
        lambda folder: (folder / ".ndmapper" / "log.jsonl").mkdir(parents=True),
        lambda folder: (folder / ".ndmapper" / "log.lock").mkdir(parents=True),
    ],
    ids=["no folder", "no file", "no lock"],
)
def test_events_that_cannot_be_written_are_left_out(tmp_path, prepare):
    prepare(tmp_path)
    write_event(tmp_path, "start", step="double")


def test_events_that_cannot_be_written_do_not_stop_a_step(make_raw, pixels):
    Path(".ndmapper/log.jsonl").mkdir(parents=True)
    double(make_raw("x1.fits"))
    assert pixels("dx1.fits") == [20.0, 40.0]


def test_events_hold_whatever_is_said(tmp_path):
    write_event(tmp_path, "made", path=Path("a"), text="\n\u2028é", odd={1, 2})
    (event,) = read_events(tmp_path)
    assert (event["path"], event["text"]) == ("a", "\n\u2028é")
