"""Flat scripts that define their own steps: errors, workers, interrupts, kills."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from shared_helpers import is_running, wait_until

from ndmapper.data import DataFile
from ndmapper.io.digest import differences

pytestmark = pytest.mark.slow

SCRIPT = """
import os, sys, time
from ndmapper import DataFileList, config, run_task

print("script runs", flush=True)
FACTOR = 2
class Helper:
    def __init__(self, ndd): self.ndd = ndd
    def scaled(self): return self.ndd * FACTOR

@run_task(prefix="s")
def scale(ndd, *, offset: float = 0.0):
    if ndd.data[0, 0] < 0:
        raise ValueError("it is negative")
    return Helper(ndd).scaled() + offset

@run_task(prefix="t")
def shift(ndd):
    return ndd + 1

made = shift(scale(DataFileList("x*.fits")))
print("made", *made, flush=True)
"""

RUNNERS = {
    "python": [sys.executable],
    "ndmapper run": [sys.executable, "-m", "ndmapper", "run"],
}


@pytest.fixture
def script(folder):
    Path("script.py").write_text(SCRIPT)
    return "script.py"


def run(runner, script, **settings):
    env = os.environ | {f"NDMAPPER_{n.upper()}": str(v) for n, v in settings.items()}
    return subprocess.run(
        [*RUNNERS[runner], script],
        env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def made():
    return sorted(path.name for path in Path().glob("[st]*.fits"))


both = pytest.mark.parametrize("runner", RUNNERS)


@both
def test_script_in_workers_runs_once_and_makes_the_same(script, make_raw, runner):
    for n in range(3):
        make_raw(f"x{n}.fits", (float(n),))
    serial = run(runner, script, outdir="serial")
    parallel = run(runner, script, outdir="parallel", workers=2)
    assert (serial.returncode, parallel.returncode) == (0, 0), parallel.stderr
    assert parallel.stdout.count("script runs") == 1
    for n in range(3):
        one, two = (f"{folder}/tsx{n}.fits" for folder in ("serial", "parallel"))
        assert differences(one, two) == []
        keys = [[e["key"] for e in DataFile(name).record] for name in (one, two)]
        assert keys[0] == keys[1]
        assert "Helper(ndd)" in DataFile(two).record[0]["source"]


@both
@pytest.mark.parametrize("workers", [1, 2])
def test_script_goes_on_after_an_error_and_says_so(script, make_raw, runner, workers):
    for n, value in enumerate((1.0, -1.0, 3.0)):
        make_raw(f"x{n}.fits", (value,))
    end = run(runner, script, on_error="continue", workers=workers)
    assert end.returncode == 1
    assert "made tsx0.fits tsx2.fits" in end.stdout
    assert made() == ["sx0.fits", "sx2.fits", "tsx0.fits", "tsx2.fits"]
    assert "scale failed on x1.fits[1]: ValueError: it is negative" in end.stderr
    assert "4 products made, 0 re-used; 1 product failed: sx1.fits" in end.stderr


@both
def test_script_stops_at_an_error_by_default(script, make_raw, runner):
    for n, value in enumerate((1.0, -1.0, 3.0)):
        make_raw(f"x{n}.fits", (value,))
    end = run(runner, script)
    assert end.returncode == 1
    assert made() == ["sx0.fits"]
    assert "scale failed on x1.fits[1]: ValueError: it is negative" in end.stderr
    assert "made tsx" not in end.stdout


def test_script_that_failed_in_part_makes_the_rest_later(script, make_raw):
    for n, value in enumerate((1.0, -1.0)):
        make_raw(f"x{n}.fits", (value,))
    assert run("python", script, on_error="continue").returncode == 1
    Path("x1.fits").unlink()
    make_raw("x1.fits", (5.0,))
    end = run("python", script, on_error="continue", reprocess="auto")
    assert end.returncode == 0
    assert "2 products made, 2 re-used" in end.stderr


SLEEPER = """
import os, time
from ndmapper import DataFileList, run_task

@run_task(prefix="s")
def rest(ndd):
    with open(f"{ndd.meta['NAXIS']}-{os.getpid()}.pid", "w"):
        pass
    time.sleep(600)
    return ndd

rest(DataFileList("x*.fits"))
"""


def descendants(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [p for c in children for p in (int(c), *descendants(int(c)))]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@both
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("workers", [1, 2])
def test_script_that_ends_leaves_no_process_and_no_half_product(
    folder, make_raw, runner, signum, workers
):
    Path("script.py").write_text(SLEEPER)
    for n in range(2):
        make_raw(f"x{n}.fits", (1.0,))
    process = subprocess.Popen(
        [*RUNNERS[runner], "script.py"],
        env=os.environ | {"NDMAPPER_WORKERS": str(workers)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(lambda: len(list(Path().glob("*.pid"))) == workers)
        pids = [process.pid, *descendants(process.pid)]
        assert len(pids) >= workers
        if signum == signal.SIGINT:  # as a terminal does: to all of them
            os.killpg(process.pid, signum)
        else:
            process.send_signal(signum)
        process.communicate(timeout=240)
        wait_until(lambda: not any(is_running(pid) for pid in pids))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode != 0
    assert made() == []
    assert sorted(p.name for p in Path().glob("*.fits")) == ["x0.fits", "x1.fits"]
    if signum == signal.SIGINT and workers == 1:
        assert list(Path(".ndmapper/stage").iterdir()) == []


@both
def test_script_interrupted_says_so(folder, make_raw, runner):
    Path("script.py").write_text(SLEEPER)
    make_raw("x0.fits", (1.0,))
    process = subprocess.Popen(
        [*RUNNERS[runner], "script.py"], stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: list(Path().glob("*.pid")))
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=240) in {130, -signal.SIGINT}
