"""What a step says and decides for one extension, wherever that is worked on."""

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
    """What was said and decided for one extension."""

    # Of the quality of the product.
    findings: Findings
    # What was decided.
    decisions: Decisions


def known_decisions() -> Decisions:
    """Give what was decided before, and whether the user is asked."""
    now = current_decisions()
    return Decisions(False, {}) if now is None else Decisions(now.interact, now.known)


@contextmanager
def collect_notes(where: str, known: Decisions) -> Iterator[ExtensionNotes]:
    """Collect what is said and decided for one extension."""
    with (
        about(where),
        collect_findings() as findings,
        collect_decisions(known.known, interact=known.interact) as decisions,
    ):
        yield ExtensionNotes(findings, decisions)


def replay_notes(said: ExtensionNotes) -> None:
    """Say once more, here, what was said and decided for one extension."""
    findings, decisions = current_findings(), current_decisions()
    if findings is not None:
        findings.numbers.update(said.findings.numbers)
        findings.figures.extend(said.findings.figures)
    if decisions is not None:
        decisions.made.update(said.decisions.made)
