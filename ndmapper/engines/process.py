"""Running a program so that it can be stopped, and leaves nothing behind."""

import contextlib
import errno
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ndmapper.data import DataFile
from ndmapper.engines.base import Job
from ndmapper.errors import MissingToolError, StepError, TimeLimitError
from ndmapper.parallel.cores import count_threads

__all__ = [
    "Finished",
    "describe_end",
    "exit_error",
    "find_program",
    "last_lines",
    "printable",
    "read_log",
    "run_program",
    "thread_limit",
    "tool_error",
]


GRACE = 3.0
"""Seconds between the request to end and the end by force."""

_LONGEST_LOG = 2_000_000
_LONGEST_LINE = 300

# The program waits until it is watched. What it reads from then on is empty.
_START = 'read -r go || exit 1; exec "$@" </dev/null'
# It ends when this process ends, however that comes about: then the pipe that it
# reads from is closed. No part of the program's group survives that.
_WATCH = 'read -r go; kill -s KILL -- "-$1"'

# Escape sequences, and other characters that would act on a terminal.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended."""

    # Its exit code; negative where a signal ended it.
    returncode: int
    # The file with all that it printed.
    log: Path
    # How long it took.
    seconds: float
    # Whether it was ended since it took too long.
    timed_out: bool = False


def find_program(name: str, advice: str) -> Path:
    """
    Find a program.

    Raises MissingToolError if there is no such program.
    """
    found = shutil.which(Path(name).expanduser())
    if found is None:
        what = "is not a program" if Path(name).exists() else "is not installed"
        msg = f"{name} {what} (it was looked for on the path); {advice}"
        raise MissingToolError(msg)
    return Path(found).absolute()


def run_program(
    argv: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Finished:
    """
    Run a program to its end, in a session of its own.

    It cannot read anything from the terminal, and dies with this process, also where
    that is killed. When it ends, what it started and left running is ended too.

    Raises StepError if it cannot be started.
    """
    started = time.monotonic()
    with log.open("wb") as stream, _watched(argv, cwd, stream.fileno(), env) as child:
        timed_out = not _wait(child, timeout)
        if timed_out:
            _signal(child, signal.SIGTERM)
            _wait(child, GRACE)
    return Finished(
        returncode=child.returncode,
        log=log,
        seconds=time.monotonic() - started,
        timed_out=timed_out,
    )


@contextlib.contextmanager
def _watched(
    argv: Sequence[str], cwd: Path, output: int, env: Mapping[str, str] | None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a program and its watcher, and end both together."""
    try:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _START, "sh", *argv],
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as err:
        msg = f"{argv[0]} cannot be started in {cwd}: {err.strerror}"
        if err.errno == errno.E2BIG:
            msg += f" ({len(argv) - 1} arguments); give it fewer files at a time"
        raise StepError(msg) from err
    watcher = None
    try:
        watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(child.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(b"\n")
            child.stdin.flush()
        yield child
    finally:
        _signal(child, signal.SIGKILL)
        child.wait()
        assert child.stdin is not None
        child.stdin.close()
        if watcher is not None:
            watcher.kill()
            watcher.wait()
            assert watcher.stdin is not None
            watcher.stdin.close()


def thread_limit() -> dict[str, str]:
    """Say how many threads a program may use."""
    own = os.environ.get("OMP_NUM_THREADS", "")
    limit = int(own) if own.isdecimal() and int(own) else count_threads()
    return {"OMP_NUM_THREADS": str(min(count_threads(), limit))}


def _wait(child: "subprocess.Popen[bytes]", timeout: float | None) -> bool:
    """Wait for the end, and say whether it came in time."""
    # `wait` with a time looks up to 20 times a second, which is late for quick ones;
    # where the kernel has handles of processes, it can tell at once.
    if timeout is not None and hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(child.pid)
            try:
                poller = select.poll()
                poller.register(handle, select.POLLIN)
                if not poller.poll(timeout * 1000):
                    return False
                timeout = None
            finally:
                os.close(handle)
    try:
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    return True


def _signal(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def read_log(path: Path) -> str:
    """Read what a program printed, whatever bytes that are."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        content = stream.read(min(size, _LONGEST_LOG))
        if size > _LONGEST_LOG:
            half = _LONGEST_LOG // 2
            stream.seek(-half, os.SEEK_END)
            left_out = f"\n... {size - 2 * half} bytes are left out ...\n"
            content = content[:half] + left_out.encode() + stream.read()
    return content.decode("utf-8", "replace")


def printable(text: str) -> str:
    """Make text safe to show on a terminal."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def last_lines(text: str, count: int = 8) -> str:
    """Give the end of a log, as the end of an error message."""
    lines = [line.rstrip() for line in printable(text).splitlines()]
    lines = [line for line in lines if line][-count:]
    if not lines:
        return "it printed nothing"
    cut = [
        line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."
        for line in lines
    ]
    return "the last lines it printed are\n" + "\n".join(f"    {line}" for line in cut)


def describe_end(returncode: int) -> str:
    """Say how a program ended."""
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    if -returncode in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE):
        return f"crashed ({name})"
    if -returncode == signal.SIGKILL:
        return f"was killed ({name}; the machine may have run out of memory)"
    return f"was ended by a signal ({name})"


def _name_files(files: Iterable[DataFile]) -> str:
    """Name files in a message."""
    names = [printable(str(df) or "unnamed file") for df in files]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "no files") + more


def tool_error(
    job: Job, tool: str, what: str, log: str, kind: type[StepError] = StepError
) -> StepError:
    """Make the error of a job whose program failed."""
    where = _name_files(job.inputs)
    err = kind(f"{job.step}: {tool} {what}, on {where}; {last_lines(log)}")
    err.log = log
    return err


def exit_error(
    job: Job, tool: str, end: Finished, log: str, hint: str = ""
) -> StepError:
    """Make the error of a job whose program ended as it must not."""
    if end.timed_out:
        what = (
            f"was ended since it took longer than {job.timeout:g} s; raise timeout= or "
            "config['timeout'] if that is too little"
        )
        return tool_error(job, tool, what, log, TimeLimitError)
    return tool_error(job, tool, describe_end(end.returncode) + hint, log)
