"""Tables of the QC values and figures that steps recorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Figure", "Number", "collect_figures", "collect_numbers", "number_text"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Number:
    """One QC value."""

    # File name of the product.
    product: str
    # Step that recorded it.
    step: str
    # Name of the value.
    name: str
    # Number or text.
    value: Any
    # Unit.
    unit: str | None


@dataclass(frozen=True)
class Figure:
    """One QC figure."""

    # File name of the product.
    product: str
    # Step that recorded it.
    step: str
    # Path relative to the folder of the product.
    path: str


def collect_numbers(records: Iterable[Sequence[Row]]) -> list[Number]:
    """Collect the QC values in records."""
    found: list[Number] = []
    for row in _each_once(records):
        numbers: Mapping[str, Any] = row.get("qc") or {}
        for name, given in numbers.items():
            pair = given if isinstance(given, Mapping) else {"value": given}
            value, unit = pair.get("value"), pair.get("unit")
            found.append(Number(row["product"], row["step"], name, value, unit))
    return found


def collect_figures(records: Iterable[Sequence[Row]]) -> list[Figure]:
    """Collect the QC figures in records."""
    return [
        Figure(row["product"], row["step"], str(path))
        for row in _each_once(records)
        for path in row["run"].get("figures") or ()
    ]


def number_text(value: Any) -> str:
    """Format a number for people."""
    if isinstance(value, Mapping):
        return f"{number_text(value.get('value'))} {value.get('unit') or ''}".rstrip()
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _each_once(records: Iterable[Sequence[Row]]) -> Iterable[Row]:
    found: dict[tuple[str, str], Row] = {}
    for rows in records:
        for row in rows:
            found.setdefault((row["key"], row["product"]), row)
    return found.values()
