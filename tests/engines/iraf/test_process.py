"""Processes that hold PyRAF: time limits, kills, several at once, and no orphans."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.engines import Outcome
from ndmapper.engines.iraf import pool
from ndmapper.engines.iraf.installation import Installation
from ndmapper.engines.iraf.pool import close_workers
from ndmapper.engines.iraf.process import WorkerDiedError
from ndmapper.errors import StepError, TimeLimitError

pytestmark = pytest.mark.iraf

RunTask = Callable[..., Outcome]
LONG: dict[str, Any] = {"xwindow": 61, "ywindow": 61}

SCRIPT = """
import sys
from pathlib import Path
from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import Job, Task
from ndmapper.engines.iraf import IrafEngine

name, source, folder = sys.argv[1:4]
Path(folder).mkdir()
task = Task(engine="iraf", name=name, inputs=("input",), outputs=("output",))
parameters = {} if name.endswith("imcopy") else {"xwindow": 61, "ywindow": 61}
job = Job(step=name, task=task, each="file", roles={"input": [DataFile(source)]},
          parameters=parameters, outputs=("output",), targets={"output": "x.fits"},
          settings=config.snapshot(), folder=Path(folder))
"""


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Start with new processes, whose folders are here."""
    close_workers()
    folder = tmp_path / "homes"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    close_workers()


def processes(homes: Path) -> dict[int, str]:
    """All that run with a HOME in a folder: workers, and executables of IRAF."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"HOME={homes}/".encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "comm").read_text().strip()
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 120  # the machine may be busy
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def big(path: Path, size: int = 2000) -> Path:
    pixels = np.random.default_rng(1).normal(size=(size, size)).astype("float32")
    fits.PrimaryHDU(pixels).writeto(path)
    return path


def is_busy(homes: Path) -> bool:
    return any(comm.startswith("x_") for comm in processes(homes).values())


def test_time_limit(run_iraf: RunTask, tmp_path: Path, homes: Path) -> None:
    path = big(tmp_path / "f.fits")
    with pytest.raises(TimeLimitError, match=r"median failed on .*f\.fits.*longer tha"):
        run_iraf(
            "images.imfilter.median", {"input": path}, {"output": "x.fits"}, timeout=2,
            **LONG,
        )  # fmt: skip
    assert processes(homes) == {}
    assert list(homes.iterdir()) == []
    run_iraf("images.imutil.imcopy", {"input": path}, {"output": "x.fits"})


def test_processes_are_used_again(
    run_iraf: RunTask, tmp_path: Path, homes: Path
) -> None:
    path = big(tmp_path / "f.fits", 20)
    seen = []
    for _ in range(2):
        run_iraf("images.imutil.imcopy", {"input": path}, {"output": "x.fits"})
        seen.append(processes(homes))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2
    close_workers()
    assert processes(homes) == {}
    assert list(homes.iterdir()) == []


def test_killed_worker(run_iraf: RunTask, tmp_path: Path, homes: Path) -> None:
    path = big(tmp_path / "f.fits")

    def kill() -> None:
        assert wait_for(lambda: is_busy(homes))
        leader = [p for p, c in processes(homes).items() if not c.startswith("x_")]
        os.kill(leader[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StepError, match=r"f\.fits: the process .* by signal 9"):
        run_iraf(
            "images.imfilter.median", {"input": path}, {"output": "x.fits"}, **LONG
        )
    killer.join()
    assert wait_for(lambda: processes(homes) == {})
    run_iraf("images.imutil.imcopy", {"input": path}, {"output": "x.fits"})


def test_killed_executable(run_iraf: RunTask, tmp_path: Path, homes: Path) -> None:
    path = big(tmp_path / "f.fits")

    def kill() -> None:
        assert wait_for(lambda: is_busy(homes))
        child = [p for p, c in processes(homes).items() if c.startswith("x_")]
        os.kill(child[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StepError, match="median"):
        run_iraf(
            "images.imfilter.median", {"input": path}, {"output": "x.fits"}, **LONG
        )
    killer.join()
    run_iraf("images.imutil.imcopy", {"input": path}, {"output": "x.fits"})


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_it_dies_with_its_parent(
    need_iraf: None, tmp_path: Path, homes: Path, sent: signal.Signals
) -> None:
    path = big(tmp_path / "f.fits")
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT + "IrafEngine().run(job)",
         "images.imfilter.median", path, tmp_path / "job"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert wait_for(lambda: is_busy(homes))
    finally:
        parent.send_signal(sent)
        parent.wait(120)
    assert wait_for(lambda: processes(homes) == {})
    assert wait_for(lambda: not list(homes.iterdir()))


def test_threads_have_processes_of_their_own(
    run_iraf: RunTask, tmp_path: Path, homes: Path
) -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        try:
            for n in range(5):
                path = tmp_path / f"f{number}_{n}.fits"
                fits.PrimaryHDU(np.full((5, 6), number, "float32")).writeto(path)
                outcome = run_iraf(
                    "images.imutil.imarith", {"operand1": path}, {"result": "x.fits"},
                    op="*", operand2=10,
                )  # fmt: skip
                if not (outcome.products["result"][0].data == 10 * number).all():
                    wrong.append(number)
        except Exception as err:  # told by the assertion below
            wrong.append(err)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_forked_processes_keep_apart(need_iraf: None, tmp_path: Path) -> None:
    path = big(tmp_path / "f.fits", 20)
    code = SCRIPT + (
        "import os, dataclasses\n"
        "def go(name):\n"
        "    other = Path(f'{folder}{name}')\n"
        "    other.mkdir()\n"
        "    out = IrafEngine().run(dataclasses.replace(job, folder=other))\n"
        "    assert out.products['output'][0].shape == (20, 20)\n"
        "go('before')\n"
        "if (child := os.fork()) == 0:\n"
        "    go('child')\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "go('parent')\n"
    )
    argv = [sys.executable, "-c", code, "images.imutil.imcopy", path, tmp_path / "job"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_is_left_elsewhere(
    run_iraf: RunTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    # What a user may have lying about is not looked at either.
    (here / "login.cl").write_text("this is no CL (\n")
    (home / ".iraf").mkdir()
    (home / ".iraf" / "login.cl").write_text("this is no CL (\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(here)
    path = big(tmp_path / "f.fits", 20)
    before = path.read_bytes()
    run_iraf("images.imutil.imcopy", {"input": path}, {"output": "x.fits"})
    close_workers()
    assert [p.name for p in here.iterdir()] == ["login.cl"]
    assert [p.name for p in home.rglob("*")] == [".iraf", "login.cl"]
    assert path.read_bytes() == before


def test_text_after_many_calls(run_iraf: RunTask, tmp_path: Path) -> None:
    path = big(tmp_path / "f.fits", 20)
    for _ in range(3):
        outcome = run_iraf("images.imutil.imstat", {"images": path}, format=False)
        assert len(outcome.log.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "starts"),
    [("Child process '/bin/ls x' exited with return code 2", 3), ("no PyRAF", 1)],
)
def test_a_start_that_lost_a_race_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, text: str, starts: int
) -> None:
    started = []

    def start(installation: Installation, *, terminal: bool) -> None:
        started.append(installation)
        msg = f"PyRAF does not start in python: {text}"
        raise WorkerDiedError(msg)

    monkeypatch.setattr(pool, "Worker", start)
    with (
        pytest.raises(WorkerDiedError, match="PyRAF does not start"),
        pool.worker(Installation("no python", "none")),
    ):
        pass
    assert len(started) == starts
