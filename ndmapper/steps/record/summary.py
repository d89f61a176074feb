"""What happened: the log of events in a folder, and the summary at the end."""

import atexit
import json
import logging
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from ndmapper.data.fold_names import list_names
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.source import absolute
from ndmapper.parallel import end_workers

__all__ = [
    "Summary",
    "now",
    "stale_line",
    "summary",
    "write_event",
]


log = logging.getLogger(__name__)

_MOST = 5
"""Largest number of reasons in a line."""


@dataclass
class Summary:
    """
    Products that the steps of a script made and re-used.

    Parameters
    ----------
    made : list of str
        Products that were made.
    reused : list of str
        Products that were current, as they are there or as ``ndmapper clean`` removed
        them.
    cleaned : list of str
        Those of them that were removed, and not needed.
    differing : list of str
        Those of them that differ from what would be made now.
    kept : list of str
        Those of the latter that 'auto' keeps as well, for instance as they were edited.
    failed : list of str
        Products that could not be made, while others went on.
    """

    made: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    cleaned: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _causes: dict[str, bool] = field(default_factory=dict, init=False)

    def add(
        self,
        *,
        made: Sequence[str] = (),
        reused: Sequence[str] = (),
        failed: Sequence[str] = (),
    ) -> None:
        """Count products of one call."""
        if not self.made and not self.reused and not self.failed:
            atexit.unregister(_report_at_exit)
            atexit.register(_report_at_exit, os.getpid())
        self.made += made
        self.reused += reused
        self.failed += failed

    def note_stale(
        self, names: Sequence[str], causes: Sequence[str], *, kept: bool
    ) -> bool:
        """Count products that are re-used although they differ."""
        self.differing += names
        is_new = any(cause not in self._causes for cause in causes)
        self.kept += names if kept else []
        self._causes |= dict.fromkeys(causes, kept)
        return is_new

    def __str__(self) -> str:
        if not self.made and not self.reused and not self.failed:
            return "no step has run"
        words = f"{_products(self.made)} made, {len(self.reused)} re-used"
        there = len(self.reused) - len(self.cleaned)
        if not (self.made or self.failed or self.differing):
            words = f"nothing to do: all {_products(self.reused)} exist already"
            if self.cleaned:
                words = f"nothing to do: {there} of {_products(self.reused)} exist"
        if self.cleaned:
            words += f", {len(self.cleaned)} removed by clean and not needed"
        if self.failed:
            words += f"; {_products(self.failed)} failed: {list_names(self.failed)}"
        return words

    def stale_lines(self, remedy: str) -> list[str]:
        """Word what is stale and why, and what differs and is kept: a line each."""
        lines = []
        causes: dict[bool, list[str]] = {True: [], False: []}
        for cause, kept in self._causes.items():
            causes[kept].append(cause)
        stale = len(self.differing) - len(self.kept)
        if stale:
            lines.append(f"{stale_line(stale, causes[False])}; {remedy}")
        if self.kept:
            are = "product is" if len(self.kept) == 1 else "products are"
            why = " and ".join(causes[True])
            if len(self.kept) == 1:
                why = why.replace("they were", "it was").replace("they have", "it has")
            lines.append(f"{len(self.kept)} {are} kept although {why}")
        return lines

    def report(
        self,
        *,
        failed: bool = False,
        remedy: str = "reprocess='auto' makes them again",
    ) -> None:
        """Log the counts, once, and start anew."""
        if failed:
            words = "stopped by an error; %s made before that, %d re-used"
            log.info(words, _products(self.made), len(self.reused))
        elif self.made or self.reused or self.failed:
            log.log(logging.ERROR if self.failed else logging.INFO, "%s", self)
        for line in self.stale_lines(remedy):
            log.warning("%s", line)
        self.clear()

    def clear(self) -> None:
        """Forget all counts."""
        self.made, self.reused, self.cleaned = [], [], []
        self.differing, self.kept, self.failed = [], [], []
        self._causes = {}


def stale_line(count: int, causes: Sequence[str]) -> str:
    """Word in a line how many products are stale, and since what."""
    words = [*causes[:_MOST]]
    if len(causes) > _MOST:
        words.append(f"{len(causes) - _MOST} more reasons (see the log)")
    since = f" since {' and '.join(words)}" if words else ""
    return f"{count} product{' is' if count == 1 else 's are'} stale{since}"


def _products(names: Sequence[str]) -> str:
    return f"{len(names)} product{'' if len(names) == 1 else 's'}"


def _report_at_exit(pid: int) -> None:
    # A forked child inherits the call, but not the work that was done.
    if os.getpid() == pid:
        # Set by the interpreter where an error ended the script.
        stopped = getattr(sys, "last_value", None) is not None
        failed = bool(summary.failed) and not stopped
        summary.report(failed=stopped)
        if failed:
            # The script went on, and has ended as if all were well; only the exit code
            # can tell the shell now.
            end_workers()
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)


summary = Summary()
"""The counts of this process."""


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
