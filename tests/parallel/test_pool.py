import logging
import os
import signal
import subprocess
import sys
import time

import pytest
from shared_helpers import is_running, wait_until

from ndmapper.config import config
from ndmapper.errors import MissingFileError, WorkerError
from ndmapper.parallel import count_cores, map_parallel
from ndmapper.parallel.cores import resolve_workers


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_the_order_of_the_items(workers):
    def slow_first(i):
        time.sleep(0.2 if i == 0 else 0)
        return i * i

    assert map_parallel(slow_first, range(6), workers=workers) == [0, 1, 4, 9, 16, 25]


def test_workers_are_other_processes():
    assert os.getpid() not in map_parallel(lambda _: os.getpid(), range(4), workers=2)


def test_one_worker_is_this_process():
    assert set(map_parallel(lambda _: os.getpid(), range(2))) == {os.getpid()}


def test_one_item_stays_in_this_process():
    assert map_parallel(lambda _: os.getpid(), [0], workers=2) == [os.getpid()]


def test_nothing_to_do_gives_nothing():
    assert map_parallel(str, [], workers=2) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_error_keeps_type_and_message(workers):
    def fail(i):
        if i:
            raise MissingFileError(f"no file {i}")

    with pytest.raises(MissingFileError, match="no file 1"):
        map_parallel(fail, range(3), workers=workers)


def test_error_of_the_first_item_is_raised():
    def fail(i):
        time.sleep(0.3 if i == 0 else 0)
        raise ValueError(f"item {i}")

    with pytest.raises(ValueError, match="item 0"):
        map_parallel(fail, range(2), workers=2)


def test_error_says_where_in_the_worker():
    def fail(i):
        raise ValueError(i)

    with pytest.raises(ValueError, match="0") as caught:
        map_parallel(fail, range(2), workers=2)
    assert "in fail" in caught.value.__notes__[0]


def test_error_that_cannot_travel_keeps_its_text():
    class Untidy(Exception):  # noqa: N818  # as careless people write them
        """One that cannot be pickled back."""

        def __init__(self, first, second):
            super().__init__(f"{first} and {second}")

    def fail(_):
        raise Untidy("this", "that")

    with pytest.raises(WorkerError, match=r"Untidy.*this and that"):
        map_parallel(fail, range(2), workers=2)


def test_error_stops_what_has_not_begun(tmp_path):
    def work(i):
        if i == 0:
            raise ValueError(i)
        time.sleep(0.1)
        (tmp_path / str(i)).touch()

    with pytest.raises(ValueError, match="0"):
        map_parallel(work, range(1000), workers=2)
    # Those that were handed out already: running, and in the queue of the workers.
    assert len(list(tmp_path.iterdir())) < 500


def test_worker_that_dies_is_an_error_and_the_next_call_works():
    with pytest.raises(WorkerError, match="ended by itself"):
        map_parallel(lambda _: os.kill(os.getpid(), signal.SIGKILL), [0, 1], workers=2)
    assert map_parallel(abs, [-1, -2], workers=2) == [1, 2]


def test_worker_has_the_configuration_of_the_caller():
    with config.using(bad_flags=6, labels={"data": "A"}):
        seen = map_parallel(
            lambda _: (config["bad_flags"], dict(config["labels"])), [0, 1], workers=2
        )
    assert seen == [(6, {"data": "A"})] * 2


def test_worker_has_the_folder_of_the_caller(tmp_path, monkeypatch):
    map_parallel(abs, [1, 2], workers=2)  # workers that were started elsewhere
    monkeypatch.chdir(tmp_path)
    assert map_parallel(lambda _: os.getcwd(), [0, 1], workers=2) == [str(tmp_path)] * 2  # noqa: PTH109


def test_messages_of_workers_reach_the_log(caplog):
    def work(i):
        logging.getLogger("ndmapper.test").info("doing %s", i)

    with caplog.at_level(logging.INFO, logger="ndmapper"):
        map_parallel(work, range(2), workers=2)
    assert sorted(caplog.messages) == ["doing 0", "doing 1"]


def test_threads_are_shared_among_workers():
    threads = map_parallel(lambda _: os.environ["NUMBA_NUM_THREADS"], [0, 1], workers=2)
    assert threads == [str(max(1, count_cores() // 2))] * 2


def test_worker_makes_no_workers_of_its_own():
    def nested(_):
        return os.getpid(), map_parallel(lambda _: os.getpid(), [0, 1], workers=2)

    for outer, inner in map_parallel(nested, [0, 1], workers=2):
        assert inner == [outer, outer]


def test_all_is_what_is_granted(monkeypatch):
    assert resolve_workers("all") == count_cores()
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert resolve_workers("all") == 1


@pytest.mark.parametrize("workers", [0, -1, True, "some", 1.5, None])
def test_other_numbers_of_workers_are_an_error(workers):
    with pytest.raises(ValueError, match="'all' or a number"):
        map_parallel(abs, [1], workers=workers)


SCRIPT = """
import os, sys
print("script", flush=True)
from ndmapper.parallel import map_parallel
factor = 3
class Thing:
    def __init__(self, x): self.x = x
def work(i):
    return Thing(i * factor)
print([t.x for t in map_parallel(work, range(4), workers=2)], flush=True)
"""


def start_script(path, text, **kwargs):
    path.write_text(text)
    return subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, **kwargs
    )


def test_flat_script_is_not_imported_by_workers(tmp_path):
    with start_script(tmp_path / "script.py", SCRIPT) as process:
        out, _ = process.communicate(timeout=300)
    assert out.splitlines() == ["script", "[0, 3, 6, 9]"]


SLEEPER = """
import os, signal, time
from ndmapper.parallel import map_parallel
# A shell starts what runs in the background with interrupts ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
def work(i):
    with open(f"{i}.pid", "w") as f:
        f.write(str(os.getpid()) + " ")
    time.sleep(600)
map_parallel(work, range(2), workers=2)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs /proc")  # noqa: PTH110
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_children_die_with_the_parent(tmp_path, signum):
    with start_script(
        tmp_path / "script.py", SLEEPER, cwd=tmp_path, stderr=subprocess.DEVNULL
    ) as process:
        files = [tmp_path / "0.pid", tmp_path / "1.pid"]
        wait_until(lambda: all(f.exists() and f.read_text()[-1:] == " " for f in files))
        pids = [int(f.read_text()) for f in files]
        process.send_signal(signum)
        process.wait(timeout=120)
        wait_until(lambda: not any(is_running(pid) for pid in pids))


@pytest.mark.parametrize(("title", "shown"), [("files", True), (None, False)])
def test_bar_is_shown_on_a_terminal_unless_there_is_no_title(
    title, shown, monkeypatch, capsys
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    map_parallel(str, range(2), title=title)
    assert ("files" in capsys.readouterr().err) is shown
