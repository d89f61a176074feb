"""Reconstruct the calls of steps from the records of their products."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ndmapper.documents import canonical
from ndmapper.report.lineage import Lineage, Row, references_of

__all__ = ["Call", "ProductGroup", "find_calls"]

_UNIT = (
    "step", "module", "engine", "task", "inputs", "calibrations", "parameters",
    "references", "tags", "config", "instrument", "code", "source", "script", "unit",
)  # fmt: skip
_CALL = tuple(name for name in _UNIT if name not in ("inputs", "unit"))


@dataclass
class ProductGroup:
    """Products of one unit of work."""

    # Record entries by output.
    rows: dict[str | None, Row]

    @property
    def first(self) -> Row:
        """Any entry, for what all have in common."""
        return next(iter(self.rows.values()))


@dataclass
class Call:
    """One call of a step."""

    # The products of the call.
    units: list[ProductGroup] = field(default_factory=list)

    @property
    def first(self) -> Row:
        """Any entry, for what all have in common."""
        return self.units[0].first

    @property
    def one_by_one(self) -> bool:
        """Whether the step takes files one by one, so that one call takes many."""
        row = self.first
        script: Mapping[str, Any] = row.get("script") or {}
        return not row.get("task") and script.get("each") in ("ndd", "file")


def find_calls(lineage: Lineage) -> list[Call]:
    """Return calls that make all products again."""
    calls: list[Call] = []
    place: dict[int, int] = {}
    latest: dict[str, int] = {}
    units: dict[str, ProductGroup] = {}
    for row in lineage.rows:
        mark = _mark(row, _UNIT)
        unit = units.get(mark)
        if unit is not None and row.get("output") not in unit.rows:
            unit.rows[row.get("output")] = row
            place[id(row)] = place[id(unit.first)]
            continue
        units[mark] = unit = ProductGroup({row.get("output"): row})
        makers = [lineage.maker(use) for use in references_of(row)]
        needed = max([-1, *(place[id(m)] for m in makers if m is not None)])
        # The units of a call that was split are those of one set.
        of_call = _mark(row, (*_CALL, "set") if row.get("unit") else _CALL)
        same = latest.get(of_call, -1)
        if same > needed and calls[same].one_by_one:
            calls[same].units.append(unit)
        else:
            same = len(calls)
            calls.append(Call([unit]))
            latest[of_call] = same
        place[id(row)] = same
    return calls


def _mark(row: Row, names: tuple[str, ...]) -> str:
    return canonical([row.get(name) for name in names])
