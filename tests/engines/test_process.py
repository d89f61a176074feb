import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ndmapper.engines import process
from ndmapper.engines.process import (
    describe_end,
    find_program,
    last_lines,
    printable,
    read_log,
    run_program,
)
from ndmapper.errors import MissingToolError, StepError


def run(tmp_path: Path, *argv: str, **options: float) -> process.Finished:
    return run_program(argv, cwd=tmp_path, log=tmp_path / "log", **options)


def gone(pid: int) -> bool:
    """Wait until a process has ended; an unreaped one counts as ended."""
    for _ in range(1200):  # the machine may be busy
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.05)
    return False


def test_arguments_are_data(tmp_path: Path) -> None:
    odd = ["a b", "$(touch x)", "`touch y`", "; touch z", "-n", "'\"", "l1\nl2", "*"]
    code = "import sys; print(sys.argv[1:] == " + repr(odd) + ")"
    end = run(tmp_path, sys.executable, "-c", code, *odd)
    assert end.returncode == 0
    assert read_log(end.log).strip() == "True"
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_folder_environment_and_empty_input(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['X'], repr(sys.stdin.read()))"
    end = run_program(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        log=tmp_path / "log",
        env={"X": "1", "PATH": os.environ["PATH"]},
    )
    assert read_log(end.log).split() == [str(tmp_path), "1", "''"]


def test_what_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"30000 arguments\); give it fewer files"):
        run(tmp_path, "/bin/echo", *["x" * 300] * 30_000)  # more than Linux ever takes
    with pytest.raises(StepError, match=r"cannot be started in .*nowhere"):
        run_program(["/bin/echo"], cwd=tmp_path / "nowhere", log=tmp_path / "log")


def test_thread_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "count_threads", lambda: 4)
    for own, limit in (("", "4"), ("2", "2"), ("9", "4"), ("0", "4"), ("x", "4")):
        monkeypatch.setenv("OMP_NUM_THREADS", own)
        assert process.thread_limit() == {"OMP_NUM_THREADS": limit}


def test_both_channels_in_one_log(tmp_path: Path) -> None:
    end = run(tmp_path, "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
    assert end.returncode == 7
    assert read_log(end.log) == "out\nerr\n"
    assert not end.timed_out


def test_time_limit(tmp_path: Path) -> None:
    end = run(tmp_path, "/bin/sleep", "600", timeout=0.2)
    assert end.timed_out
    assert end.returncode == -signal.SIGTERM


def test_time_limit_where_the_request_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 0.2)
    # It begins so: a trap of its own might be set later than the request comes.
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        end = run(tmp_path, "/bin/sleep", "600", timeout=0.3)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert end.timed_out
    assert end.returncode == -signal.SIGKILL


def test_what_it_leaves_running_is_ended(tmp_path: Path) -> None:
    end = run(tmp_path, "/bin/sh", "-c", "sleep 600 & echo $!")
    assert end.returncode == 0
    assert gone(int(read_log(end.log)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_whoever_started_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    pids = tmp_path / "pids"
    code = (
        "from pathlib import Path\n"
        "from ndmapper.engines.process import run_program\n"
        f"here = Path({str(tmp_path)!r})\n"
        f"run_program(['/bin/sh', '-c', 'sleep 600 & echo $! $$ > t; mv t pids; wait'],"
        " cwd=here, log=here / 'log')\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    while parent.poll() is None and not pids.exists():
        time.sleep(0.05)
    parent.send_signal(number)
    parent.wait()
    found = [int(pid) for pid in pids.read_text().split()]
    assert len(found) == 2
    assert all(gone(pid) for pid in found)


def test_an_interrupt_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        monkeypatch.undo()
        started.append(self.pid)
        raise KeyboardInterrupt

    started: list[int] = []
    monkeypatch.setattr(subprocess.Popen, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "/bin/sleep", "600")
    assert gone(started[0])


def test_bad_bytes_and_control_characters(tmp_path: Path) -> None:
    end = run(tmp_path, "/usr/bin/printf", r"na\357ve \033[31mred\033[0m \007x\r\nend")
    assert printable(read_log(end.log)) == "na\N{REPLACEMENT CHARACTER}ve red x\nend"


def test_long_log_keeps_both_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_LONGEST_LOG", 1000)
    path = tmp_path / "log"
    path.write_text("first\n" + "x" * 5000 + "\nlast\n")
    text = read_log(path)
    assert text.startswith("first")
    assert text.endswith("last\n")
    assert "bytes are left out" in text
    assert len(text) < 1100


def test_last_lines() -> None:
    text = last_lines("one\n\n" + "\n".join(f"line {n}" for n in range(20)) + "\n\n", 2)
    assert text.splitlines()[1:] == ["    line 18", "    line 19"]
    assert last_lines(" \n\n") == "it printed nothing"
    assert len(last_lines("x" * 10_000)) < 400


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "ended with exit code 3"),
        (-signal.SIGSEGV, "crashed (SIGSEGV)"),
        (-signal.SIGKILL, "was killed (SIGKILL"),
        (-signal.SIGTERM, "was ended by a signal (SIGTERM)"),
        (-99, "was ended by a signal (signal 99)"),
    ],
)
def test_words_for_the_end(code: int, words: str) -> None:
    assert describe_end(code).startswith(words)


def test_find_program(tmp_path: Path) -> None:
    assert find_program("sh", "").is_absolute()
    with pytest.raises(MissingToolError, match=r"nowhere is not installed.*get it"):
        find_program("nowhere", "get it")
    plain = tmp_path / "plain"
    plain.touch(mode=0o644)
    with pytest.raises(MissingToolError, match="is not a program"):
        find_program(str(plain), "")
