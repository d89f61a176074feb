"""Pool of idle PyRAF worker processes."""

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
"""Number of calls after which a process is replaced, in case it leaks."""

_STARTS = 3
# At start IRAF lists the folder for external packages; ls returns 2 if there are none.
# On a busy machine ls may end before PyRAF looks, which PyRAF takes for a failure.
_LOST_RACE = re.compile(r"Child process .* exited with return code")

_idle: dict[tuple[str, str], list[Worker]] = {}
_lock = threading.Lock()


@contextmanager
def worker(installation: Installation, *, terminal: bool = False) -> Iterator[Worker]:
    """Context manager that lends an idle or new worker."""
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
    """Start a worker, with a second attempt if PyRAF lost a race."""
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
    """End all idle workers."""
    with _lock:
        for kept in _idle.values():
            while kept:
                kept.pop().kill()


def _forget_workers() -> None:
    """After a fork, leave the workers to the parent process."""
    global _lock  # noqa: PLW0603  # a thread of the parent may have held it
    _idle.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
