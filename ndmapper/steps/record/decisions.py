"""Decisions of the user on a product, in JSON files beside it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ndmapper.documents import load_json
from ndmapper.engines.decisions import Decisions, collect_decisions
from ndmapper.errors import RecordError
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.source import absolute
from ndmapper.io.temporary import staging_name
from ndmapper.steps.work_unit import WorkUnit

__all__ = [
    "collect_unit_decisions",
    "decided_otherwise",
    "decisions_path",
    "read_decisions",
    "save_decisions",
    "word_decisions",
]


def decisions_path(product: Path) -> Path:
    """Give the path of the decisions on a product."""
    return product.parent / ".ndmapper" / "decisions" / f"{product.name}.json"


def read_decisions(path: Path) -> dict[str, Any]:
    """
    Read decisions; none where there is no file.

    Raises
    ------
    RecordError
        If the file is damaged.
    """
    try:
        return dict(load_json(path.read_bytes(), finite=True))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as err:
        msg = (
            f"the decisions in {path} cannot be read ({err}); mend the file, or delete "
            "it to go by the defaults"
        )
        raise RecordError(msg) from err


def decided_otherwise(product: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """Find the decisions that were edited since a product was made, as they are now."""
    made = row.get("decisions")
    if not made:
        return {}
    known = read_decisions(decisions_path(product))
    return {n: known[n] for n, old in made.items() if n in known and known[n] != old}


def word_decisions(row: Mapping[str, Any], edited: Mapping[str, Any]) -> list[str]:
    """Word how decisions differ from those of a product."""
    made = row.get("decisions") or {}
    return [f"the decision {n} was {made[n]!r}, now {v!r}" for n, v in edited.items()]


@contextmanager
def collect_unit_decisions(
    unit: WorkUnit, products: Sequence[str]
) -> Iterator[Decisions]:
    """Collect decisions in a ``with`` block; those made before are the defaults."""
    known = read_decisions(_path_of(unit, products))
    with collect_decisions(known, interact=unit.settings["interact"]) as made:
        yield made


def save_decisions(
    unit: WorkUnit, products: Sequence[str], decisions: Decisions
) -> None:
    """Save new decisions beside the products."""
    if not decisions.made or decisions.made == decisions.known:
        return
    path = _path_of(unit, products)
    make_side_folder(path)
    temporary = staging_name(path)
    text = json.dumps(decisions.made, indent=1, sort_keys=True)
    temporary.write_text(f"{text}\n", encoding="utf-8")
    temporary.replace(path)


def _path_of(unit: WorkUnit, products: Sequence[str]) -> Path:
    for product in map(absolute, products):
        return decisions_path(product)
    side = absolute(unit.settings["outdir"]) / ".ndmapper"
    return side / "decisions" / f"{unit.declaration.name}.json"
