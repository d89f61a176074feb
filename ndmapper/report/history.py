"""The record of a product as text that a person reads."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["history"]


def history(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """
    Tell how a product was made, from raw data on.

    Parameters
    ----------
    rows : sequence of mapping
        Its record, oldest first, as `ndmapper.io.record.read_records` gives it.
    name : str
        Name of the file.

    Returns
    -------
    str
        A paragraph for each step, oldest first, and the raw files that went in.
    """
    if not rows:
        return f"{name} has no record: no step of ndmapper made it"
    made = {row["key"] for row in rows}
    raw = sorted(
        {
            reference["name"]
            for row in rows
            for reference in _references(row)
            if reference.get("key") not in made and not reference.get("memory")
        }
    )
    count = len(rows)
    head = (
        f"{name} was made by {count} step{'s' if count > 1 else ''} from "
        f"{len(raw)} raw file{'s' if len(raw) > 1 else ''}: {', '.join(raw)}"
    )
    return "\n\n".join([head, *(_paragraph(n, row) for n, row in enumerate(rows, 1))])


def _references(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = list(row["inputs"])
    for value in row["calibrations"].values():
        found += [] if value is None else value if isinstance(value, list) else [value]
    return [*found, *row["references"].values()]


def _paragraph(number: int, row: Mapping[str, Any]) -> str:
    tool = " ".join(str(v) for v in row["tool"].values() if v is not None)
    where = f"{row['module']}, {tool}" if row["module"] else tool
    lines = [f"{number:3}. {row['product']}  by {row['step']} ({where})"]
    lines.append("     from " + ", ".join(_named(ref) for ref in row["inputs"]))
    for name, value in row["calibrations"].items():
        lines.append(f"     {name}: {_calibration(value)}")
    lines += [
        f"     {name} = {value}"
        for name, value in row["parameters"].items()
        if value is not None
    ]
    run = row["run"]
    if "ended" in run:
        versions = ", ".join(f"{n} {v}" for n, v in run["versions"].items())
        lines.append(f"     on {run['host']}, {run['ended']}, with {versions}")
    return "\n".join(lines)


def _calibration(value: Any) -> str:
    if value is None:
        return "not applied"
    references = value if isinstance(value, list) else [value]
    return ", ".join(_named(ref) for ref in references)


def _named(reference: Mapping[str, Any]) -> str:
    """Name a file, and say if what was used was only in memory."""
    memory = " (as it was in memory)" if reference.get("memory") else ""
    return f"{reference['name']}{memory}"
