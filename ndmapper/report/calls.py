"""Reconstruct the calls of steps from the records of their products."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ndmapper.documents import canonical
from ndmapper.report.lineage import Lineage, Row

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
        return is_one_by_one(self.first)


def find_calls(lineage: Lineage) -> list[Call]:
    """Return calls that make all products again."""
    calls: list[Call] = []
    for rows in lineage.group(_call_mark):
        units = _units(rows)
        if is_one_by_one(rows[0]):
            calls.append(Call(units))
        else:
            calls += [Call([unit]) for unit in units]
    return calls


def _units(rows: Sequence[Row]) -> list[ProductGroup]:
    """Sort the products of a call by unit of work."""
    units: list[ProductGroup] = []
    latest: dict[str, ProductGroup] = {}
    for row in rows:
        mark, output = _mark(row, _UNIT), row.get("output")
        if mark in latest and output not in latest[mark].rows:
            latest[mark].rows[output] = row
        else:
            latest[mark] = ProductGroup({output: row})
            units.append(latest[mark])
    return units


def is_one_by_one(row: Row) -> bool:
    """Whether a step takes files one by one, so that one call takes many."""
    script: Mapping[str, Any] = row.get("script") or {}
    return not row.get("task") and script.get("each") in ("ndd", "file")


def _call_mark(row: Row) -> str:
    if not is_one_by_one(row):
        return _mark(row, _UNIT)
    # The units of a call that was split are those of one set.
    return _mark(row, (*_CALL, "set") if row.get("unit") else _CALL)


def _mark(row: Row, names: tuple[str, ...]) -> str:
    return canonical([row.get(name) for name in names])
