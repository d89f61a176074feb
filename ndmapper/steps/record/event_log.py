"""The event log: one line of JSON per event, for programs to read."""

import json
import logging
import os
import platform
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from ndmapper.io.sidedata import make_side_folder
from ndmapper.steps.paths import absolute

__all__ = ["now", "write_event"]

log = logging.getLogger(__name__)


def now() -> str:
    """Give the time: UTC in ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@lru_cache(maxsize=64)
def _lock(path: Path, _pid: int) -> Any:
    """Make the lock of a log; a forked process must not use its parent's."""
    from filelock import FileLock  # slow to import

    make_side_folder(path.with_suffix(".lock"))
    return FileLock(path.with_suffix(".lock"), timeout=5)


def write_event(outdir: str | os.PathLike[str], event: str, **what: Any) -> None:
    """
    Add a line to ``outdir/.ndmapper/log.jsonl``.

    Several processes, on several hosts that share the folder, may do so at once. Where
    the line cannot be written nothing else happens: a log never stops a reduction.
    """
    path = absolute(outdir) / ".ndmapper" / "log.jsonl"
    line = json.dumps(
        {"time": now(), "event": event, "host": platform.node(), "pid": os.getpid()}
        | what,
        default=str,
    )
    try:
        # Appending is one step on a local disk only; over a network a lock is needed.
        make_side_folder(path)
        with _lock(path, os.getpid()), path.open("ab", buffering=0) as stream:
            stream.write(line.encode() + b"\n")
    except Exception as err:  # also where the lock takes too long
        log.debug("an event is not logged: %s", err)
