"""QC values and decisions of one extension, also from a worker process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ndmapper.engines.decisions import Decisions, collect_decisions, current_decisions
from ndmapper.engines.quality import (
    Findings,
    about,
    collect_findings,
    current_findings,
)

__all__ = ["ExtensionNotes", "collect_notes", "known_decisions", "replay_notes"]


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
