"""Bounds on what a damaged file may cost."""

import contextlib
import resource
import signal

import pytest

SECONDS = 20
MEMORY = 1 << 30
"""Bytes beyond what the process had, and the file itself."""


@pytest.fixture
def bounds():
    """Give a context that fails where its block takes too long or too much memory."""

    def stop(*_):
        msg = f"it took longer than {SECONDS} s"
        raise TooMuchError(msg)

    @contextlib.contextmanager
    def bounded():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        old = signal.signal(signal.SIGALRM, stop)
        signal.alarm(SECONDS)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old)
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        if taken > MEMORY:
            msg = f"it took {taken >> 20} MB of memory"
            raise TooMuchError(msg)

    return bounded


class TooMuchError(BaseException):
    """A bound was passed; nothing catches it on the way."""
