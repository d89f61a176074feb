"""What is volatile about a run, and what its step said of the products."""

import platform
from pathlib import Path
from typing import Any

import astropy
import numpy as np

from ndmapper._version import __version__
from ndmapper.engines.base import Outcome
from ndmapper.engines.findings import Findings
from ndmapper.steps.decide import PlanItem
from ndmapper.steps.entry import Entry
from ndmapper.steps.events import now
from ndmapper.steps.paths import absolute
from ndmapper.steps.recordable import recordable

__all__ = ["numbers", "run_facts"]

_LINES = 40
"""So many of the last lines that a tool printed are kept in the record."""


def run_facts(
    item: PlanItem, outcome: Outcome, findings: Findings, started: str
) -> Entry:
    """
    Describe what is volatile about a run, which never counts in comparisons.

    The log of a tool and the figures of a step are kept beside the products, and the
    record says where.

    Parameters
    ----------
    item : PlanItem
        The unit of work.
    outcome : Outcome
        What came of it.
    findings : Findings
        What the step said.
    started : str
        When the work began; UTC, ISO 8601.

    Returns
    -------
    dict
        The ``run`` block of an entry.
    """
    side = absolute(item.work.settings["outdir"]) / ".ndmapper"
    stem = next((Path(name).name for name in item.products), item.work.declaration.name)
    facts: Entry = {
        "started": started,
        "ended": now(),
        "host": platform.node(),
        "platform": platform.platform(),
        "paths": {Path(str(df)).name: str(absolute(str(df))) for df in item.work.used},
        "workers": item.work.settings["workers"],
        "versions": {
            "ndmapper": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "astropy": astropy.__version__,
        },
    }
    if outcome.log:
        lines = outcome.log.splitlines()
        facts["log"] = "\n".join(lines[-_LINES:])
        if len(lines) > _LINES:
            facts["log_file"] = _keep(side / "logs" / f"{stem}.log", outcome.log)
    if findings.figures:
        facts["figures"] = [
            _draw(figure, side / "figures" / f"{stem}-{n}.png")
            for n, figure in enumerate(findings.figures, 1)
        ]
    return facts


def _keep(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="replace")
    return f"{path.parent.name}/{path.name}"


def _draw(figure: Any, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if hasattr(figure, "savefig"):
        figure.savefig(path)
    else:
        path = path.with_suffix(Path(figure).suffix)
        path.write_bytes(Path(figure).read_bytes())
    return f"{path.parent.name}/{path.name}"


def numbers(findings: Findings) -> dict[str, Any]:
    """
    Turn what a step said of its product into what the record can hold.

    Parameters
    ----------
    findings : Findings
        What it said.

    Returns
    -------
    dict
        Name to number, text, or value and unit.
    """
    return {name: recordable(value, name) for name, value in findings.numbers.items()}
