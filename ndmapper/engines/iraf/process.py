"""A PyRAF worker process, as the main process sees it."""

import contextlib
import json
import os
import select
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ndmapper.engines.iraf.cl_cache import ClCache
from ndmapper.engines.iraf.installation import Installation
from ndmapper.errors import StepError, TimeLimitError
from ndmapper.io.temporary import make_scratch_folder

__all__ = ["Worker", "WorkerDiedError"]

_SCRIPT = Path(__file__).with_name("worker.py")
_START = 60.0
"""Time limit for PyRAF to start [s]."""
_LOG_LIMIT = 10_000_000
"""Maximum output of a task that is kept, at its end [bytes]."""


class WorkerDiedError(StepError):
    """A worker process ended, or failed to start."""


class Worker:
    """A process that runs tasks one after the other."""

    def __init__(self, installation: Installation, *, terminal: bool = False) -> None:
        self.calls = 0
        self.owner = os.getpid()
        self._is_leader = not terminal
        self._has_ended = False
        self._is_spoilt = False
        self.home = _make_home()
        for name in ("uparm", "tmp", "cache"):
            (self.home / name).mkdir()
        login = installation.login(terminal=terminal)
        (self.home / "login.cl").write_text(login)
        self._translations = ClCache(self.home, "\0".join(installation.maker))
        self._translations.fetch()
        self._said = (self.home / "said").open("wb")
        to_worker, self._requests = os.pipe()
        self._replies, from_worker = os.pipe()
        kind = "terminal" if terminal else "quiet"
        argv = [installation.python, str(_SCRIPT), str(to_worker), str(from_worker)]
        try:
            self._process = subprocess.Popen(
                [*argv, kind],
                cwd=self.home,
                env=_environment(self.home, installation, terminal=terminal),
                stdin=None if terminal else subprocess.DEVNULL,
                stdout=None if terminal else self._said,
                stderr=None if terminal else self._said,
                start_new_session=not terminal,
                pass_fds=(to_worker, from_worker),
            )
        except OSError as err:
            self._forget()
            msg = f"{installation.python} cannot be run ({err})"
            raise WorkerDiedError(msg) from err
        finally:
            os.close(to_worker)
            os.close(from_worker)
        self._rest = b""
        try:
            hello = self._receive(time.monotonic() + _START)
            if "failed" in hello:
                raise WorkerDiedError(hello["failed"]["text"])
        except BaseException as err:
            last = self.said()
            self.kill()
            if not isinstance(err, StepError):
                raise
            msg = f"PyRAF does not start in {installation.python}: {err}\n{last}"
            raise WorkerDiedError(msg.rstrip()) from err

    def request(self, message: dict[str, Any], timeout: float | None) -> dict[str, Any]:
        """
        Send a request and wait for the reply.

        Raises TimeLimitError (and kills the process) or WorkerDiedError.
        """
        self.calls += 1
        end = None if timeout is None else time.monotonic() + timeout
        try:
            line = json.dumps(message).encode() + b"\n"
            while line:
                line = line[os.write(self._requests, line) :]
            reply = self._receive(end)
        except BrokenPipeError as err:
            self._end_group()
            raise WorkerDiedError(self._how_it_ended()) from err
        except BaseException:
            # Also at Ctrl-C: the reply would be taken for that of the next request.
            self._end_group()
            raise
        # The next call would take a half-loaded package for loaded.
        self._is_spoilt = "failed" in reply
        if not self._is_spoilt:
            self._translations.keep()
        return reply

    def _receive(self, end: float | None) -> dict[str, Any]:
        while b"\n" not in self._rest:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                msg = "it took too long"
                raise TimeLimitError(msg)
            wait = 1.0 if left is None else min(left, 1.0)
            if not select.select([self._replies], [], [], wait)[0]:
                if self._process.poll() is None:
                    continue
                if not select.select([self._replies], [], [], 0)[0]:
                    raise WorkerDiedError(self._how_it_ended())
            chunk = os.read(self._replies, 1 << 16)
            if not chunk:
                raise WorkerDiedError(self._how_it_ended())
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _how_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.returncode
        if code is not None and code < 0:
            return f"the process that runs IRAF was ended by signal {-code}"
        return f"the process that runs IRAF ended by itself (status {code})"

    def printed(self) -> str:
        """Return the output of the last task."""
        return _tail(self.home / "log")

    def said(self) -> str:
        """Return the output of IRAF executables that bypassed PyRAF."""
        return _tail(self.home / "said")

    @property
    def is_usable(self) -> bool:
        """Whether it runs, belongs to this process, and is completely loaded."""
        if self.owner != os.getpid() or self._has_ended or self._is_spoilt:
            return False
        return self._process.poll() is None

    def _end_group(self) -> None:
        if self._has_ended:  # the process number may be re-used by now
            return
        self._has_ended = True
        if self._is_leader:
            # IRAF's executables are in the process group, and would survive otherwise.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """Kill the process with its children, and remove its folder."""
        if self.owner != os.getpid():
            return
        self._end_group()
        os.close(self._requests)
        os.close(self._replies)
        self._forget()

    def _forget(self) -> None:
        self._said.close()
        shutil.rmtree(self.home, ignore_errors=True)


def _make_home() -> Path:
    """Make a folder whose path has no blanks, as IRAF needs."""
    parent = tempfile.gettempdir()
    if any(c.isspace() for c in parent) or not parent.isascii():
        parent = "/tmp"  # a private folder is made in it
    return make_scratch_folder(Path(parent))


def _environment(
    home: Path, installation: Installation, *, terminal: bool
) -> dict[str, str]:
    env = dict(os.environ)
    # HOME is replaced, so tell Python where user packages are.
    base = site.getuserbase()
    if base:
        env.setdefault("PYTHONUSERBASE", base)
    if terminal:
        env.setdefault("XAUTHORITY", str(Path.home() / ".Xauthority"))
    else:
        env |= {"TERM": "dumb", "PYRAF_NO_DISPLAY": "1"}
    if installation.python != sys.executable:
        env.pop("PYTHONPATH", None)
        env.pop("PYTHONHOME", None)
    # IRAF takes 'host!file' for a remote file; forbid network access.
    env |= {"HOME": str(home), "USER": "ndmapper", "KSRSH": "/bin/false"}
    env |= {"PYTHONDONTWRITEBYTECODE": "1"}
    return env


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _LOG_LIMIT))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return text.replace("\x07", "").replace("\x00", "")
