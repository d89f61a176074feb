"""What a damaged file may cost, and how it may fail."""

import contextlib
import re
import resource
import signal
import traceback
import warnings
from pathlib import Path

import pytest

from ndmapper.errors import NdmapperError

SECONDS = 20
MEMORY = 1 << 30
"""Bytes beyond what the process had, and the file itself."""
_STATUS = Path("/proc/self/status")


@pytest.fixture
def bounds():
    """Give a context that fails where its block takes too long or too much memory."""

    def stop(*_):
        msg = f"it took longer than {SECONDS} s"
        raise TooMuchError(msg)

    @contextlib.contextmanager
    def bounded():
        _forget_peak()
        before = _memory("VmRSS")
        old = signal.signal(signal.SIGALRM, stop)
        signal.alarm(SECONDS)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old)
        taken = _memory("VmHWM") - before
        if taken > MEMORY:
            msg = f"it took {taken >> 20} MB of memory"
            raise TooMuchError(msg)

    return bounded


@pytest.fixture
def failure_of(bounds):
    """Give a function that does something, and says what may not be of how it fails."""

    def failure(call, *names):
        try:
            with warnings.catch_warnings(), bounds():
                warnings.simplefilter("ignore")
                call()
        except NdmapperError as err:
            if not any(name in str(err) for name in names):
                return f"no file in {type(err).__name__} {err} ({_place(err)})"
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as err:  # that is what is looked for
            return f"{type(err).__name__} {err} ({_place(err)})"
        return None

    return failure


def _place(err):
    frames = traceback.extract_tb(err.__traceback__)
    ours = [f for f in frames if "/ndmapper/" in f.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}"


def _forget_peak():
    # Where the kernel cannot, the peak of what went before counts as taken by nobody.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(word):
    if not _STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = re.search(rf"{word}:\s+(\d+) kB", _STATUS.read_text())
    return int(found[1]) * 1024


class TooMuchError(BaseException):
    """A bound was passed; nothing catches it on the way."""
