"""The record of a product as readable text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from ndmapper.data.fold_names import list_names
from ndmapper.io.record import identity
from ndmapper.report.lineage import Lineage, Row, UsedFile, kind_of_work
from ndmapper.report.qc import number_text
from ndmapper.steps.instrument_block import block_of, describe_block

__all__ = ["history"]

_MOST = 6
"""Maximum number of files, or sets of them, that are listed by name."""


def history(
    records: Mapping[str, Sequence[Row]], *, each: bool = False, full: bool = False
) -> str:
    """
    Describe how products were made, from raw data on.

    What was done alike with several files is described once, unless `each` file is to
    be shown, or all is to be said in full.
    """
    kinds: dict[str, list[str]] = {}
    for name, rows in records.items():
        kind = "none" if not rows else name if each or full else kind_of_work(rows[-1])
        kinds.setdefault(kind, []).append(name)
    texts = []
    for names in kinds.values():
        listed, is_one = _listed(names, full=each or full), len(names) == 1
        if records[names[0]]:
            lineage = Lineage.of(records[name] for name in names)
            made = f"{listed} {'was' if is_one else 'were'} made"
            texts.append(_describe(lineage, made, each=each, full=full))
        else:
            have, them = ("has", "it") if is_one else ("have", "them")
            text = f"{listed} {have} no record: no step of ndmapper made {them}"
            texts.append(_clean(text))
    return "\n\n".join(texts)


def _describe(lineage: Lineage, made: str, *, each: bool, full: bool) -> str:
    groups = lineage.group(kind_of_work)
    if each or full:
        groups = [[row] for row in lineage.rows]
    raw = sorted({use.name for use in lineage.raws.values() if not use.in_memory})
    count = len(groups)
    head = (
        f"{made} by {count} step{'s' if count > 1 else ''} from "
        f"{len(raw)} raw file{'s' if len(raw) != 1 else ''}: {_listed(raw, full=full)}"
    )
    paragraphs = [_clean(head)]
    before: Any = None
    for number, rows in enumerate(groups, 1):
        sets = {row["product"]: row.get("set", "") for row in rows}
        products = _listed([*sets], full=full, sets=sets)
        lines = [f"{number:3}. {products}  by {rows[0]['step']} ({_maker(rows[0])})"]
        lines += [f"     {line}" for line in _details(rows, before, full=full)]
        before = rows[-1]["run"].get("versions", before)
        paragraphs.append("\n".join(map(_clean, lines)))
    return "\n\n".join(paragraphs)


def _maker(row: Row) -> str:
    tool = " ".join(str(v) for v in row["tool"].values() if v is not None)
    task = row.get("task")
    if task:
        return f"{row['engine']} {task['name']}, {tool}"
    return f"{row['module']}, {tool}" if row["module"] else tool


def _details(rows: Sequence[Row], before: Any, *, full: bool) -> Iterator[str]:
    """List what went into entries that were made alike, and how."""
    row = rows[0]
    roles: dict[str, list[Any]] = {}
    for one in rows:
        for reference in one["inputs"]:
            roles.setdefault(reference.get("role") or "", []).append(reference)
    for role, references in roles.items():
        yield f"from {role + ': ' if role else ''}{_files(references, full=full)}"
    yield from _calibrations(rows, full=full)
    parameters = [_parameters(one) for one in rows]
    for name in parameters[0]:
        if name not in row["references"]:
            values = [given.get(name) for given in parameters]
            if any(value is not None for value in values):
                yield f"{name} = {_together(map(_value, values))}"
    for name, value in (row.get("config") or {}).items():
        if value is False:
            yield f"{name} = {_value(value)}"
    if table := block_of(row):
        yield f"from {describe_block(table)}"
    yield from _measured(rows)
    yield from _run([one["run"] for one in rows], before, full=full)
    if full and row["source"]:
        context = (row.get("script") or {}).get("context") or ()
        texts = [row["source"], *(text for _, text in context)]
        for head, text in zip(["its text:", *["with:"] * len(context)], texts,
                              strict=True):  # fmt: skip
            yield from _block(head, text)


def _calibrations(rows: Sequence[Row], *, full: bool) -> Iterator[str]:
    """List calibrations, and files that parameters named."""
    row, tags = rows[0], _tags(rows[0])
    for part in ("calibrations", "references"):
        for name in row[part]:
            references = []
            for one in rows:
                value = one[part].get(name)
                references += value if isinstance(value, list) else [value]
            if not references:  # all that it names are calibrations
                continue
            as_what = ""
            if references[0] is not None and part == "calibrations" and "tags" in row:
                as_what = f" (as {tags[name]})" if tags[name] else " (not handed to it)"
            yield f"{name}: {_files(references, full=full)}{as_what}"


def _parameters(row: Row) -> dict[str, Any]:
    task: Mapping[str, Any] = row.get("task") or {}
    given = [
        row.get("unit"),
        row["parameters"],
        task.get("parameters"),
        task.get("words"),
    ]
    return {name: value for some in given for name, value in (some or {}).items()}


def _measured(rows: Sequence[Row]) -> Iterator[str]:
    """List the numbers that steps recorded; of many products, the range of each."""
    numbers: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in (row.get("qc") or {}).items():
            numbers.setdefault(name, []).append(value)
    for name, values in numbers.items():
        with suppress(TypeError):  # texts beside numbers
            values.sort(key=_plain_value)
        ends = dict.fromkeys(number_text(value) for value in (values[0], values[-1]))
        yield f"measured {name} = {' ... '.join(ends)}"


def _plain_value(number: Any) -> Any:
    return number.get("value") if isinstance(number, Mapping) else number


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


def _run(
    runs: Sequence[Mapping[str, Any]], before: Any, *, full: bool
) -> Iterator[str]:
    ended = sorted((r for r in runs if "ended" in r), key=lambda r: str(r["ended"]))
    if ended:
        hosts = ", ".join(dict.fromkeys(str(run["host"]) for run in ended))
        times = dict.fromkeys(str(run["ended"]) for run in (ended[0], ended[-1]))
        lasted = _seconds(ended[0]) if len(runs) == 1 else ""
        yield f"on {hosts}, {' ... '.join(times)}{lasted}"
        versions = runs[-1].get("versions") or {}
        if versions != before:
            yield "with " + ", ".join(f"{n} {v}" for n, v in versions.items())
    figures = [str(figure) for run in runs for figure in run.get("figures") or ()]
    if len(runs) == 1:
        yield from (f"figure {figure}" for figure in figures)
    elif figures:
        yield f"figures {_listed(figures, full=full)}"
    if not full:
        return
    for paths in (path for run in runs for path in (run.get("paths") or {}).values()):
        for path in [paths] if isinstance(paths, str) else paths:
            yield f"used {path}"
    for log in (run.get("log") for run in runs):
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


def _together(values: Iterable[str]) -> str:
    """Write the values of a parameter that several units were given."""
    return list_names(dict.fromkeys(values), most=_MOST)


def _files(references: Iterable[Any], *, full: bool) -> str:
    sets = {}
    for reference in references:
        name = "not applied" if reference is None else _named(reference)
        sets[name] = (reference or {}).get("set", "")
    return _listed([*sets], full=full, sets=sets)


def _listed(
    names: Sequence[str], *, full: bool, sets: Mapping[str, str] | None = None
) -> str:
    return ", ".join(names) if full else list_names(names, sets, most=_MOST)


def _named(reference: Mapping[str, Any]) -> str:
    """Return the name of a file, and whether it was only in memory."""
    use = UsedFile("", reference)
    return f"{use.name} (as it was in memory)" if use.in_memory else use.name
