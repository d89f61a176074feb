"""Subprocesses that can be stopped and leave nothing behind, and their errors."""

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
"""Seconds between SIGTERM and SIGKILL."""

_LONGEST_LOG = 2_000_000
_LONGEST_LINE = 300

# The program starts when the watcher is ready. Its standard input is empty.
_START = 'read -r go || exit 1; exec "$@" </dev/null'
# The watcher reads from a pipe that closes when this process ends, however it ends, and
# then kills the program's process group.
_WATCH = 'read -r go; kill -s KILL -- "-$1"'

# Escape sequences and other terminal control characters.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended."""

    # Exit code; negative if ended by a signal.
    returncode: int
    # File with its output.
    log: Path
    # Run time [s].
    seconds: float
    # Whether it exceeded the time limit.
    timed_out: bool = False


def find_program(name: str, advice: str) -> Path:
    """Return the path of a program; raises MissingToolError."""
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
    Run a program in its own session until it ends.

    It has no standard input, and is killed when this process ends, even if that is
    killed. Its child processes are killed when it ends.
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
    """Start a program with its watcher, and end both together."""
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
    """Return how many threads a program may use."""
    own = os.environ.get("OMP_NUM_THREADS", "")
    limit = int(own) if own.isdecimal() and int(own) else count_threads()
    return {"OMP_NUM_THREADS": str(min(count_threads(), limit))}


def _wait(child: "subprocess.Popen[bytes]", timeout: float | None) -> bool:
    """Wait for the end; return False after the time limit."""
    # Popen.wait with a time-out polls, which is slow for short programs; use a pidfd
    # where the kernel has them.
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
    """Read the output of a program, in any encoding."""
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
    """Remove control characters, so that text can be shown on a terminal."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def last_lines(text: str, count: int = 8) -> str:
    """Return the last lines of a log, for an error message."""
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
    """Describe how a program ended."""
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
    """Return the names of files for a message, at most three."""
    names = [printable(str(df) or "unnamed file") for df in files]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "no files") + more


def tool_error(
    job: Job, tool: str, what: str, log: str, kind: type[StepError] = StepError
) -> StepError:
    """Build the error for a job whose program failed."""
    where = _name_files(job.inputs)
    err = kind(f"{job.step}: {tool} {what}, on {where}; {last_lines(log)}")
    err.log = log
    return err


def exit_error(
    job: Job, tool: str, end: Finished, log: str, hint: str = ""
) -> StepError:
    """Build the error for a program that ended with an error or was killed."""
    if end.timed_out:
        what = (
            f"was ended since it took longer than {job.timeout:g} s; raise timeout= or "
            "config['timeout'] if that is too little"
        )
        return tool_error(job, tool, what, log, TimeLimitError)
    return tool_error(job, tool, describe_end(end.returncode) + hint, log)
