"""Tables of the QC values and figures that steps recorded, or recipes wrote."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Figure",
    "Number",
    "collect_figures",
    "collect_numbers",
    "number_text",
    "numbers_in_header",
]

_OF_RECIPES = "ESO QC "
"""Begins the keywords of what recipes of ESO's pipelines measure."""

_DETAIL = re.compile(r"\b(?:SLICE|INPUT|POS|FWHM|NDET|NMATCH)\d+\b")
"""Words of keywords for each slice, input or source, of which there are many."""

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


def numbers_in_header(
    product: str, step: str, header: Mapping[str, Any], *, details: bool = False
) -> list[Number]:
    """
    List the QC values that a recipe wrote into the header of its product.

    Those for each slice, input or source are left out unless `details` are wanted.
    """
    return [
        Number(product, step, key.removeprefix(_OF_RECIPES), header[key], None)
        for key in header
        if key.startswith(_OF_RECIPES) and (details or not _DETAIL.search(key))
    ]


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
