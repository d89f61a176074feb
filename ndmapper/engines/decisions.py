"""Interactive decisions in a step: saved, and replayed; the notes of an extension."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ndmapper.engines.quality import (
    Findings,
    about,
    collect_findings,
    current_findings,
    where_now,
)
from ndmapper.errors import ParameterError

__all__ = [
    "Decisions",
    "ExtensionNotes",
    "collect_decisions",
    "collect_notes",
    "current_decisions",
    "decide",
    "known_decisions",
    "replay_notes",
]


@dataclass
class Decisions:
    """Decisions of one unit of work."""

    # Whether the user is asked.
    interact: bool
    # Saved decisions.
    known: Mapping[str, Any]
    # Decisions of this run.
    made: dict[str, Any] = field(default_factory=dict)


_decisions: ContextVar[Decisions | None] = ContextVar("decisions", default=None)


def decide(name: str, ask: Callable[[Any], Any], default: Any) -> Any:
    """
    Ask the user for a decision, from within a running step.

    With ``interact=True`` the user is asked, and the decision is saved beside the
    product and in its record. Otherwise the saved decision is replayed, so that a
    reduction tuned by hand can run unattended.

    Parameters
    ----------
    name : str
        Name of the decision. For a step that works on extensions, each has its own.
    ask : callable
        Takes the current value (the last decision, or the default), asks the user, and
        returns the decision: a value that JSON can hold.
    default : object
        Value if nothing was decided before.

    Returns
    -------
    object
        The decision.

    Raises
    ------
    ParameterError
        If JSON cannot hold the decision.

    Examples
    --------
    >>> def order_of(ndd):
    ...     return decide("order", lambda old: int(input(f"order [{old}]: ")), 3)
    """
    state = _decisions.get()
    if state is None:
        return default
    key = f"{name}{where_now()}"
    value = state.known.get(key, default)
    if state.interact:
        value = ask(value)
    try:
        value = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as err:
        msg = (
            f"the decision {name} is {value!r}, which cannot be kept ({err}); give "
            "numbers, text, lists or mappings"
        )
        raise ParameterError(msg) from err
    state.made[key] = value
    return value


def current_decisions() -> Decisions | None:
    """Return the decisions that are being collected; None outside of a step."""
    return _decisions.get()


@contextmanager
def collect_decisions(
    known: Mapping[str, Any], *, interact: bool
) -> Iterator[Decisions]:
    """Collect the decisions made within a ``with`` block."""
    state = Decisions(interact, known)
    token = _decisions.set(state)
    try:
        yield state
    finally:
        _decisions.reset(token)


@dataclass(frozen=True)
class ExtensionNotes:
    """QC values and decisions of one extension."""

    # QC values and figures.
    findings: Findings
    # Decisions.
    decisions: Decisions


def known_decisions() -> Decisions:
    """Return the saved decisions, and whether the user is asked."""
    now = current_decisions()
    return Decisions(False, {}) if now is None else Decisions(now.interact, now.known)


@contextmanager
def collect_notes(where: str, known: Decisions) -> Iterator[ExtensionNotes]:
    """Collect the QC values and decisions of one extension."""
    with (
        about(where),
        collect_findings() as findings,
        collect_decisions(known.known, interact=known.interact) as decisions,
    ):
        yield ExtensionNotes(findings, decisions)


def replay_notes(said: ExtensionNotes) -> None:
    """Add the notes of an extension, made in a worker, to those of this process."""
    findings, decisions = current_findings(), current_decisions()
    if findings is not None:
        findings.numbers.update(said.findings.numbers)
        findings.figures.extend(said.findings.figures)
    if decisions is not None:
        decisions.made.update(said.decisions.made)
