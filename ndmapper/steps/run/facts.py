"""What is volatile about a run, and what its step said of the products."""

import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import astropy
import numpy as np

from ndmapper._version import __version__
from ndmapper.data import DataFile
from ndmapper.engines.base import Outcome
from ndmapper.engines.decisions import Decisions, collect_decisions
from ndmapper.engines.quality import Findings
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.temporary import staging_name
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.paths import absolute
from ndmapper.steps.record.decisions import decisions_path, read_decisions
from ndmapper.steps.record.entry import Entry
from ndmapper.steps.record.event_log import now
from ndmapper.steps.record.values import recordable

__all__ = ["qc_and_decisions", "recorded_decisions", "run_block", "save_decisions"]

_LINES = 40
"""So many of the last lines that a tool printed are kept in the record."""


def run_block(
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
    side = absolute(item.unit.settings["outdir"]) / ".ndmapper"
    stem = next((Path(name).name for name in item.products), item.unit.declaration.name)
    facts: Entry = {
        "started": started,
        "ended": now(),
        "host": platform.node(),
        "platform": platform.platform(),
        "paths": _paths([*item.unit.used, *item.unit.named]),
        "workers": item.unit.settings["workers"],
        "versions": {
            "ndmapper": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "astropy": astropy.__version__,
        },
    }
    if item.unit.table.block and item.unit.table.instrument is not None:
        facts["table"] = str(absolute(item.unit.table.instrument.source))
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


def _paths(files: Sequence[DataFile | Path]) -> dict[str, str | list[str]]:
    """Give the place of each file; a list where several have the same name."""
    places: dict[str, list[str]] = {}
    names = [str(file) for file in files]
    for path in dict.fromkeys(absolute(name) for name in names if name):
        places.setdefault(path.name, []).append(str(path))
    return {n: p[0] if len(p) == 1 else p for n, p in places.items()}


def _keep(path: Path, text: str) -> str:
    make_side_folder(path)
    path.write_text(text, encoding="utf-8", errors="replace")
    return f"{path.parent.name}/{path.name}"


def _draw(figure: Any, path: Path) -> str:
    make_side_folder(path)
    if hasattr(figure, "savefig"):
        figure.savefig(path)
    else:
        path = path.with_suffix(Path(figure).suffix)
        make_side_folder(path)
        path.write_bytes(Path(figure).read_bytes())
    return f"{path.parent.name}/{path.name}"


def qc_and_decisions(findings: Findings, decisions: Decisions) -> Entry:
    """
    Turn what a step said of its products into what the record can hold.

    Parameters
    ----------
    findings : Findings
        What it found of their quality.
    decisions : Decisions
        What was decided.

    Returns
    -------
    dict
        ``qc`` and ``decisions`` of an entry, as far as there are any.
    """
    said: Entry = {}
    if findings.numbers:
        said["qc"] = {n: recordable(v, n) for n, v in findings.numbers.items()}
    if decisions.made:
        said["decisions"] = decisions.made
    return said


@contextmanager
def recorded_decisions(item: PlanItem) -> Iterator[Decisions]:
    """
    Know, while a ``with`` block lasts, what was decided the last time.

    Parameters
    ----------
    item : PlanItem
        The unit of work.

    Yields
    ------
    Decisions
        What is decided now.
    """
    known = read_decisions(_decisions_path(item))
    with collect_decisions(known, interact=item.unit.settings["interact"]) as made:
        yield made


def save_decisions(item: PlanItem, decisions: Decisions) -> None:
    """
    Save what was decided, beside the product.

    Parameters
    ----------
    item : PlanItem
        The unit of work.
    decisions : Decisions
        What was decided.
    """
    if not decisions.made or decisions.made == decisions.known:
        return
    path = _decisions_path(item)
    make_side_folder(path)
    temporary = staging_name(path)
    text = json.dumps(decisions.made, indent=1, sort_keys=True)
    temporary.write_text(f"{text}\n", encoding="utf-8")
    temporary.replace(path)


def _decisions_path(item: PlanItem) -> Path:
    side = absolute(item.unit.settings["outdir"]) / ".ndmapper"
    for product in map(absolute, item.products):
        return decisions_path(product)
    return side / "decisions" / f"{item.unit.declaration.name}.json"
