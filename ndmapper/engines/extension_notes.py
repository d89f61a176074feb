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

__all__ = ["Said", "known_decisions", "repeat", "said_about"]


@dataclass(frozen=True)
class Said:
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
def said_about(where: str, known: Decisions) -> Iterator[Said]:
    """Collect what is said and decided for one extension."""
    with (
        about(where),
        collect_findings() as findings,
        collect_decisions(known.known, interact=known.interact) as decisions,
    ):
        yield Said(findings, decisions)


def repeat(said: Said) -> None:
    """Say once more, here, what was said and decided for one extension."""
    findings, decisions = current_findings(), current_decisions()
    if findings is not None:
        findings.numbers.update(said.findings.numbers)
        findings.figures.extend(said.findings.figures)
    if decisions is not None:
        decisions.made.update(said.decisions.made)
