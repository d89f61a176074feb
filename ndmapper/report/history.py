"""The record of a product as readable text."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ndmapper.io.record import identity
from ndmapper.report.lineage import Lineage, Row, UsedFile
from ndmapper.report.qc import number_text
from ndmapper.steps.instrument_block import block_of, describe_block

__all__ = ["history"]

_MOST = 6
"""Maximum number of files that are listed by name."""


def history(rows: Sequence[Row], name: str, *, full: bool = False) -> str:
    """Describe how a product was made, from raw data on."""
    if not rows:
        return f"{name} has no record: no step of ndmapper made it"
    lineage = Lineage.of([rows])
    raw = sorted({use.name for use in lineage.raws.values() if not use.in_memory})
    count = len(lineage.rows)
    head = (
        f"{name} was made by {count} step{'s' if count > 1 else ''} from "
        f"{len(raw)} raw file{'s' if len(raw) != 1 else ''}: {_listed(raw, full=full)}"
    )
    paragraphs = [_clean(head)]
    before: Any = None
    for number, row in enumerate(lineage.rows, 1):
        lines = [f"{number:3}. {row['product']}  by {row['step']} ({_maker(row)})"]
        lines += [f"     {line}" for line in _details(row, before, full=full)]
        before = row["run"].get("versions", before)
        paragraphs.append("\n".join(map(_clean, lines)))
    return "\n\n".join(paragraphs)


def _maker(row: Row) -> str:
    tool = " ".join(str(v) for v in row["tool"].values() if v is not None)
    task = row.get("task")
    if task:
        return f"{row['engine']} {task['name']}, {tool}"
    return f"{row['module']}, {tool}" if row["module"] else tool


def _details(row: Row, before: Any, *, full: bool) -> Iterator[str]:
    roles: dict[str, list[str]] = {}
    for reference in row["inputs"]:
        roles.setdefault(reference.get("role") or "", []).append(_named(reference))
    for role, names in roles.items():
        yield f"from {role + ': ' if role else ''}{_listed(names, full=full)}"
    tags = _tags(row)
    for name, value in (*row["calibrations"].items(), *row["references"].items()):
        as_what = ""
        if value is not None and name in row["calibrations"] and "tags" in row:
            as_what = f" (as {tags[name]})" if tags[name] else " (not handed to it)"
        yield f"{name}: {_files(value, full=full)}{as_what}"
    task: Mapping[str, Any] = row.get("task") or {}
    parameters = row["parameters"] | task.get("parameters", {}) | task.get("words", {})
    for name, value in parameters.items():
        if value is not None and name not in row["references"]:
            yield f"{name} = {_value(value)}"
    for name, value in (row.get("config") or {}).items():
        if value is False:
            yield f"{name} = {_value(value)}"
    if table := block_of(row):
        yield f"from {describe_block(table)}"
    for name, value in (row.get("qc") or {}).items():
        yield f"measured {name} = {number_text(value)}"
    yield from _run(row["run"], before, full=full)
    if full and row["source"]:
        context = (row.get("script") or {}).get("context") or ()
        texts = [row["source"], *(text for _, text in context)]
        for head, text in zip(["its text:", *["with:"] * len(context)], texts,
                              strict=True):  # fmt: skip
            yield from _block(head, text)


def _tags(row: Row) -> dict[str, str]:
    """Describe the tags or tool parameters of the calibrations."""
    given: dict[str | None, list[str]] = {}
    for tag, value in (row.get("tags") or {}).items():
        for reference in value if isinstance(value, list) else [value]:
            given.setdefault(identity(reference), []).append(str(tag))
    found = {}
    for name, value in row["calibrations"].items():
        references = value if isinstance(value, list) else [value]
        names = [tag for r in references for tag in given.get(identity(r), ())]
        found[name] = ", ".join(dict.fromkeys(names))
    return found


def _run(run: Mapping[str, Any], before: Any, *, full: bool) -> Iterator[str]:
    if "ended" in run:
        yield f"on {run['host']}, {run['ended']}{_seconds(run)}"
        versions = run.get("versions") or {}
        if versions != before:
            yield "with " + ", ".join(f"{n} {v}" for n, v in versions.items())
    for figure in run.get("figures") or ():
        yield f"figure {figure}"
    if not full:
        return
    for paths in (run.get("paths") or {}).values():
        for path in [paths] if isinstance(paths, str) else paths:
            yield f"used {path}"
    log = run.get("log")
    if log:
        yield from _block(
            "it printed:", log if isinstance(log, str) else "\n".join(map(str, log))
        )


def _seconds(run: Mapping[str, Any]) -> str:
    try:
        started, ended = (datetime.fromisoformat(run[n]) for n in ("started", "ended"))
    except (KeyError, ValueError, TypeError):
        return ""
    return f" (after {(ended - started).total_seconds():.3g} s)"


def _block(head: str, text: str) -> Iterator[str]:
    yield head
    for line in text.rstrip("\n").split("\n"):
        yield f"    | {line}"


def _value(value: Any) -> str:
    """Format the value of a parameter; a function by its name."""
    if isinstance(value, Mapping) and set(value) == {"function", "code"}:
        return str(value["function"])
    return str(value)


def _clean(line: str) -> str:
    """Remove control characters, which could act on the terminal."""
    return "".join(c if c.isprintable() else "?" for c in line)


def _files(value: Any, *, full: bool) -> str:
    if value is None:
        return "not applied"
    references = value if isinstance(value, list) else [value]
    names = ["not applied" if ref is None else _named(ref) for ref in references]
    return _listed(names, full=full)


def _listed(names: Sequence[str], *, full: bool) -> str:
    if full or len(names) <= _MOST:
        return ", ".join(names)
    return f"{names[0]}, {names[1]} ... {names[-1]} ({len(names)} files)"


def _named(reference: Mapping[str, Any]) -> str:
    """Return the name of a file, and whether it was only in memory."""
    use = UsedFile("", reference)
    return f"{use.name} (as it was in memory)" if use.in_memory else use.name
