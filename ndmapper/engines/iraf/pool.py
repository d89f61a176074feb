"""Processes that hold PyRAF, kept for the next call."""

import atexit
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ndmapper.engines.iraf.installation import Installation
from ndmapper.engines.iraf.process import Worker, WorkerDiedError

__all__ = ["close_workers", "worker"]

_MAX_CALLS = 500
"""A process is replaced after so many calls, whatever it may have gathered."""

_STARTS = 3
# IRAF lists its folder for external packages, which ls ends with status 2 where there
# are none. On a busy machine it has ended before PyRAF looks, which takes that for a
# failure of its own.
_LOST_RACE = re.compile(r"Child process .* exited with return code")

_idle: dict[tuple[str, str], list[Worker]] = {}
_lock = threading.Lock()


@contextmanager
def worker(installation: Installation, *, terminal: bool = False) -> Iterator[Worker]:
    """Lend a process that nobody else uses."""
    lent = None if terminal else _take(installation)
    if lent is None:
        lent = _start(installation, terminal=terminal)
    try:
        yield lent
    finally:
        if terminal or not lent.is_usable or lent.calls >= _MAX_CALLS:
            lent.kill()
        else:
            with _lock:
                _idle.setdefault(installation.key, []).append(lent)


def _start(installation: Installation, *, terminal: bool) -> Worker:
    """Start a process, once more where PyRAF lost a race."""
    for _ in range(_STARTS - 1):
        try:
            return Worker(installation, terminal=terminal)
        except WorkerDiedError as err:
            if _LOST_RACE.search(str(err)) is None:
                raise
    return Worker(installation, terminal=terminal)


def _take(installation: Installation) -> Worker | None:
    with _lock:
        kept = _idle.get(installation.key, [])
        while kept:
            found = kept.pop()
            if found.is_usable:
                return found
            found.kill()
    return None


@atexit.register
def close_workers() -> None:
    """End all processes that wait for work."""
    with _lock:
        for kept in _idle.values():
            while kept:
                kept.pop().kill()


def _forget_workers() -> None:
    """Leave the processes to the parent: one pipe has no two users."""
    global _lock  # noqa: PLW0603  # a thread of the parent may have held it
    _idle.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
