"""Processes that a user's script forks or spawns itself, after a step."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from multiprocessing import get_context
from ndmapper import config, run_task

config["reprocess"] = "auto"

@run_task(prefix="t")
def twice(ndd):
    return ndd * 2

def work(name):
    return str(twice(name))

if __name__ == "__main__":
    work("x0.fits")  # locks, logs and caches are those of the parent now
    with get_context(sys.argv[1]).Pool(2) as pool:
        print(*sorted(pool.map(work, [f"x{n}.fits" for n in range(6)])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pool_of_the_user_makes_all(make_raw, method):
    names = [make_raw(f"x{number}.fits") for number in range(6)]
    Path("script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", method],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"t{name}" for name in names]
    assert "Traceback" not in done.stderr
    events = Path(".ndmapper/log.jsonl").read_text().splitlines()
    assert sum('"event": "made"' in line for line in events) == len(names)


WORKERS = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from ndmapper import DataFileList, run_task

@run_task(prefix="t")
def twice(ndd):
    return ndd * 2

def work(names):
    return [str(df) for df in twice(DataFileList(names), workers=2, reprocess=True)]

if __name__ == "__main__":
    names = ["x0.fits", "x1.fits"]
    work(names)  # the workers of this process wait for more
    context = get_context("fork")
    pools = {"may have children": lambda: ProcessPoolExecutor(1, mp_context=context),
             "may not": lambda: context.Pool(1)}
    with pools[sys.argv[1]]() as pool:
        print(*list(pool.map(work, [names]))[0])
    print(*work(names))
"""


@pytest.mark.slow
@pytest.mark.parametrize("process", ["may have children", "may not"])
def test_workers_within_a_process_of_the_user(make_raw, process):
    for number in range(2):
        make_raw(f"x{number}.fits")
    Path("script.py").write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, "script.py", process],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["tx0.fits", "tx1.fits"] * 2
    assert "Traceback" not in done.stderr


def test_event_that_cannot_be_logged_stops_nothing(make_raw, monkeypatch):
    from ndmapper import run_task

    @run_task(prefix="t")
    def twice(ndd):
        """Double."""
        return ndd * 2

    def broken(*_):
        msg = "a lock of another process"
        raise RuntimeError(msg)

    monkeypatch.setattr("ndmapper.steps.record.summary._lock", broken)
    assert str(twice(make_raw("x.fits"))) == "tx.fits"
