"""What is logged of a call: every unit in the log file, and a line on the terminal."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ndmapper.data.fold_names import list_names
from ndmapper.log import FILE_ONLY, TERMINAL_ONLY
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.call.describe import (
    describe_units,
    group_units,
    reason_of,
)
from ndmapper.steps.call.plan import Plan
from ndmapper.steps.record.summary import summary, write_event
from ndmapper.terminal import one_line

__all__ = ["CallLog", "outcome_of"]

log = logging.getLogger(__name__)

_MOST = 3
"""Largest number of errors, and of reasons, that the terminal shows of a call."""

Kind = Literal["made", "memory", "done", "reused", "stale", "cleaned", "again",
               "differs", "failed"]  # fmt: skip

_WORDS: dict[Kind, str] = {
    "made": "made",
    "memory": "kept in memory",
    "done": "done",
    "reused": "re-used",
    "stale": "re-used but stale",
    "cleaned": "removed by clean, and not needed until now",
    "again": "made again",
    "differs": "re-used, but it differs from what would be made now",
    "failed": "failed",
}
"""What became of products, in the order of the line; the last ones have a reason."""


class CallLog:
    """Logs what one call does, for the user, the log of events and the summary."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._outdir = plan.settings["outdir"]
        self._kinds: dict[Kind, list[PlanItem]] = {}
        self._told: set[str] = set()
        self._warnings: dict[str, list[PlanItem]] = {}
        self._is_stopped = False
        # The terminal shows the line of a unit where there is one only.
        self._extra = None if len(plan.items) == 1 else FILE_ONLY

    def start(self) -> None:
        """Log that the call begins."""
        log.info("START %s", _title(self._plan), extra=FILE_ONLY)
        self._write("start", units=len(self._plan.items))

    def reused(self, item: PlanItem) -> None:
        """Log that the products of a unit are re-used, and how they differ."""
        names = item.products
        summary.add(reused=names)
        if item.reason != "exists":
            summary.cleaned += [n for n in names if not Path(n).exists()]
        kind: Kind = "reused" if item.reason == "exists" else "cleaned"
        if not item.changes:
            if log.isEnabledFor(logging.INFO):  # else it would be worded for nothing
                words = item.line
                log.info("%s: %s", words, _WORDS[kind], extra=self._extra)
        else:
            # A reason that an earlier call has told is not told again.
            differing = item.edited or names
            if summary.note_stale(differing, item.causes, kept=item.is_kept):
                self._told.update(item.causes)
            is_told = item.is_kept or not self._told.isdisjoint(item.causes)
            kind = "differs" if is_told else "stale"
            log.warning(
                "%s: re-used, but it differs from what would be made now: %s",
                item.line,
                reason_of([item]),
                extra=self._extra if kind == "differs" else FILE_ONLY,
            )
        self._kinds.setdefault(kind, []).append(item)

    def made(self, item: PlanItem, warnings: Sequence[str] = ()) -> None:
        """Log that a unit is done, and what a tool warned of."""
        for text in warnings:
            log.warning("%s: %s", item.line, text, extra=self._extra)
            self._warnings.setdefault(text, []).append(item)
        kinds: dict[str, Kind] = {"run": "made", "memory": "memory"}
        kind = kinds.get(item.action, "again") if item.targets else "done"
        log.info("%s: %s", item.line, outcome_of(item), extra=self._extra)
        self._kinds.setdefault(kind, []).append(item)
        if not item.in_memory:
            summary.add(made=item.products)
        self._write(
            "made", products=item.products, inputs=item.sources, why=item.reason
        )

    def failed(self, item: PlanItem, error: str) -> None:
        """Log why a unit failed, while the others go on."""
        names = item.products
        summary.add(failed=names or [item.sources])
        earlier = self._kinds.setdefault("failed", [])
        # What ends the call with an error need not be told twice.
        goes_on = self._plan.settings["on_error"] == "continue"
        is_shown = goes_on and len(earlier) < _MOST
        log.error("%s", error, extra=None if is_shown else FILE_ONLY)
        earlier.append(item)
        self._write("failed", products=names, error=error)

    def stopped(self, err: BaseException) -> None:
        """Log what ends the whole call."""
        self._is_stopped = True
        ended = {id(item) for items in self._kinds.values() for item in items}
        items = [item for item in self._plan.items if id(item) not in ended]
        names = [name for item in items for name in item.products]
        self._write("failed", products=names, error=str(err))

    def end(self) -> None:
        """Log the counts, and a line on the terminal where there are several units."""
        counts = self._counts()
        log.info(
            "END   %s: %d made, %d re-used, %d of these differ",
            _title(self._plan), *counts, extra=FILE_ONLY,
        )  # fmt: skip
        if self._extra is not None:
            self._warn()
        names = ("made", "reused", "differing")
        self._write("end", **dict(zip(names, counts, strict=True)))
        # Of one unit, the terminal has the line of the file, unless the log of the
        # reason has it already.
        if self._kinds and (self._extra is not None or "stale" in self._kinds):
            levels = {"failed": logging.ERROR, "differs": logging.WARNING}
            level = max(levels.get(kind, logging.INFO) for kind in self._kinds)
            if log.isEnabledFor(level):
                log.log(level, "%s", self._line(), extra=TERMINAL_ONLY)

    def _warn(self) -> None:
        """Show warnings on the terminal, each once for all units that have it."""
        shown = [*self._warnings.items()][:_MOST]
        for text, items in shown:
            log.warning("%s: %s", describe_units(items), text, extra=TERMINAL_ONLY)
        if more := len(self._warnings) - len(shown):
            log.warning(
                "%s: %d more warnings; see the log", self._plan.step, more,
                extra=TERMINAL_ONLY,
            )  # fmt: skip

    def _line(self) -> str:
        """Word how many products were made, re-used and so on, and why."""
        items = [item for items in self._kinds.values() for item in items]
        order = {id(item.unit): place for place, item in enumerate(self._plan.items)}
        items.sort(key=lambda item: order[id(item.unit)])
        counts = [
            _counted(kind, self._kinds[kind]) if self._extra else words
            for kind, words in _WORDS.items()
            if kind in self._kinds
        ]
        reasons = [
            reason
            for kind in _WORDS
            for reason in self._reasons(kind, self._kinds.get(kind, []))
        ]
        between = ", "
        if len(reasons) == 1:
            between, counts[-1:], reasons = "; ", reasons, []
        counts += ["stopped by an error"] if self._is_stopped else []
        line = f"{describe_units(items)}: {between.join(counts)}"
        return "\n    ".join(map(one_line, [line, *reasons]))

    def _reasons(self, kind: Kind, items: list[PlanItem]) -> list[str]:
        """Word why products were made again or not at all, and which."""
        if kind == "failed" and items:
            more = "; see the log" if len(items) > _MOST else ""
            return [_counted(kind, items) + self._named(items) + more]
        if kind not in {"again", "differs"}:
            return []
        groups = group_units(items)
        between = ", " if kind == "again" else ": "
        reasons = [
            _counted(kind, group) + between + reason_of(group) + self._named(group)
            for group in groups[:_MOST]
        ]
        if rest := [item for group in groups[_MOST:] for item in group]:
            reasons.append(f"{_counted(kind, rest)} for other reasons; see the log")
        return reasons

    def _named(self, items: list[PlanItem]) -> str:
        """Name the products of some of the units."""
        names = [name for item in items for name in item.products]
        is_part = names and len(items) < len(self._plan.items)
        return f" ({list_names(names)})" if is_part else ""

    def _counts(self) -> tuple[int, int, int]:
        """Count the products that were made, re-used, and that differ of the latter."""

        def count(*kinds: Kind) -> int:
            items = [item for kind in kinds for item in self._kinds.get(kind, ())]
            return sum(len(item.targets) for item in items)

        differing = count("stale", "differs")
        made = count("made", "again", "memory")
        return made, count("reused", "cleaned") + differing, differing

    def _write(self, event: str, **what: Any) -> None:
        write_event(self._outdir, event, step=self._plan.step, **what)


def outcome_of(item: PlanItem) -> str:
    """Word what was done with a unit that ran."""
    if not item.targets:
        return "done"
    if item.action == "run":
        return "made"
    return item.reason if item.in_memory else f"made again, {reason_of([item])}"


def _counted(kind: Kind, items: list[PlanItem]) -> str:
    count = sum(len(item.targets) or 1 for item in items)
    words = (
        _WORDS[kind]
        if count == 1
        else _WORDS[kind].replace("it differs", "they differ")
    )
    return f"{count} {words}"


def _title(plan: Plan) -> str:
    """Name the step, and its task in full."""
    task = plan.declaration.task
    if plan.declaration.is_python or task.name is None:
        return plan.step
    full = task.name if task.engine == "iraf" else f"{task.engine}:{task.name}"
    is_short = plan.step == task.name.rpartition(".")[2]
    return full if is_short else f"{plan.step} ({full})"
