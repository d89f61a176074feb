"""The log of events: one line of JSON for each, which programs can read."""

import json
import logging
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["now", "write_event"]

log = logging.getLogger(__name__)


def now() -> str:
    """
    Tell the time.

    Returns
    -------
    str
        UTC in ISO 8601, to the millisecond.
    """
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_event(outdir: str | os.PathLike[str], event: str, **what: Any) -> None:
    """
    Add a line to ``outdir/.ndmapper/log.jsonl``.

    Several processes, on several hosts that share the folder, may do so at once. Where
    the line cannot be written nothing else happens: a log never stops a reduction.

    Parameters
    ----------
    outdir : str or path
        Folder of the products.
    event : str
        What happened: start, made, reused, failed, end.
    **what : object
        More about it, as far as JSON can hold it.
    """
    from filelock import FileLock  # slow to import

    path = Path(outdir) / ".ndmapper" / "log.jsonl"
    line = json.dumps(
        {"time": now(), "event": event, "host": platform.node(), "pid": os.getpid()}
        | what,
        default=str,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Appending is one step on a local disk only; over a network a lock is needed.
        with FileLock(path.with_suffix(".lock"), timeout=5), path.open("ab") as stream:
            stream.write(line.encode() + b"\n")
    except OSError as err:  # also where the lock takes too long
        log.debug("an event is not logged: %s", err)
