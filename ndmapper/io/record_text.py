"""The text form of a record: canonical JSON with the number of its schema."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ndmapper.documents import check_length, load_json
from ndmapper.errors import RecordError

__all__ = ["SCHEMA", "canonical", "check_entries", "read_entries"]

SCHEMA = 2
"""Number of the schema that is written; older ones are read for ever."""

_LONGEST_NAME = 1024

_MAYBE_TEXT = (str, type(None))
_KINDS: dict[str, Any] = {
    "schema": int, "step": str, "product": str, "key": str, "inputs": list,
    "calibrations": dict, "references": dict, "run": dict, "engine": str,
    "module": _MAYBE_TEXT, "tool": dict, "output": _MAYBE_TEXT,
    "content": _MAYBE_TEXT, "parameters": dict, "config": dict,
    "source": _MAYBE_TEXT, "code": _MAYBE_TEXT,
    "task": (dict, type(None)), "script": (dict, type(None)),
    "qc": (dict, type(None)), "decisions": (dict, type(None)), "tags": dict,
    "revision": (int, type(None)), "instrument": (dict, type(None)),
}  # fmt: skip
_EMPTY: dict[str, Any] = {
    "engine": "unknown", "module": None, "tool": {"name": "unknown", "version": None},
    "output": None, "content": None, "parameters": {}, "config": {}, "source": None,
    "code": None,
}  # fmt: skip
_OPTIONAL = frozenset((
    "schema", "task", "script", "qc", "decisions", "tags", "revision", "instrument",
))  # fmt: skip

# What is read within a part: the value, its kind, and the kind of the items in it.
_PARTS = (
    ("tool", "name", str, str), ("tool", "version", str, str),
    ("task", "name", str, str), ("task", "parameters", dict, object),
    ("task", "words", dict, object), ("script", "each", str, str),
    ("script", "outputs", list, _MAYBE_TEXT), ("script", "context", list, list),
    ("script", "files", list, str), ("script", "parameters", dict, str),
    ("script", "missing", dict, str), ("run", "paths", dict, (str, list)),
    ("run", "versions", dict, _MAYBE_TEXT), ("run", "figures", list, str),
    ("run", "started", str, str), ("run", "ended", str, str), ("run", "log", str, str),
    ("run", "host", str, str),
)  # fmt: skip


def canonical(value: Any) -> str:
    """
    Write a value as JSON in the one form that is compared and hashed.

    Parameters
    ----------
    value : object
        Anything JSON can hold.

    Returns
    -------
    str
        ASCII JSON with sorted keys and no spaces. Infinities and NaN, which JSON
        does not have, are refused.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_entries(texts: Sequence[str], schema: Any) -> list[dict[str, Any]]:
    """
    Read entries from their text.

    Parameters
    ----------
    texts : sequence of str
        JSON, an entry each.
    schema : int
        Number of the schema that they were written with.

    Returns
    -------
    list of dict
        The entries.

    Raises
    ------
    RecordError
        If the schema is a newer one, or a text is not JSON.
    """
    _check_schema(schema)
    try:
        check_length("".join(texts))
        rows = [load_json(text, finite=True) for text in texts]
    except ValueError as err:
        msg = f"the record holds text that is not JSON of an entry ({err})"
        raise RecordError(msg) from err
    return check_entries(rows, schema)


def check_entries(rows: Any, schema: Any) -> list[dict[str, Any]]:
    """
    See that entries have the parts that are read of them, of the right kinds.

    Parameters
    ----------
    rows : object
        What JSON held.
    schema : int
        Number of the schema that they were written with.

    Returns
    -------
    list of dict
        The entries. What an old or foreign one may lack is empty.

    Raises
    ------
    RecordError
        If the schema is a newer one, or an entry is none.
    """
    _check_schema(schema)
    if not isinstance(rows, list):
        msg = "the record is no list of entries"
        raise RecordError(msg)
    for number, row in enumerate(rows, 1):
        if (problem := _problem(row)) is not None:
            msg = f"entry {number} of the record cannot be understood: {problem}"
            raise RecordError(msg)
    return [_completed({"schema": schema} | row) for row in rows]


def _completed(row: dict[str, Any]) -> dict[str, Any]:
    row = _EMPTY | row
    row["tool"] = _EMPTY["tool"] | row["tool"]
    if row.get("task") is not None:
        row["task"] = {"name": "unknown", "parameters": {}, "words": {}} | row["task"]
    return row


def _check_schema(schema: Any) -> None:
    if isinstance(schema, bool) or not isinstance(schema, int) or schema > SCHEMA:
        msg = (
            f"the record has schema {schema!r}, but this version of ndmapper knows "
            f"schemas up to {SCHEMA}; update ndmapper to read it"
        )
        raise RecordError(msg)


def _problem(row: Any) -> str | None:
    """Say what is wrong with an entry, which anybody may have written."""
    if not isinstance(row, dict):
        return "it is no object"
    for part, kinds in _KINDS.items():
        if part not in row:
            if part in _EMPTY or part in _OPTIONAL:
                continue
            return f"{part} is missing"
        if not isinstance(row[part], kinds):
            return f"{part} is a {type(row[part]).__name__}"
    problems = [_name_problem(row["product"])]
    listed = [*row["calibrations"].values(), *row["references"].values()]
    listed += row.get("tags", {}).values()
    for value in [row["inputs"], *listed]:
        references = value if isinstance(value, list) else [value]
        problems += [_reference_problem(r) for r in references if r is not None]
    problems += [_part_problem(row, *part) for part in _PARTS]
    if row["step"] == "edited":
        problems.append(_part_problem(row, "parameters", "edited", list, str))
    context = (row.get("script") or {}).get("context") or ()
    if any([type(item) for item in pair] != [str, str] for pair in context):
        problems.append("context in script is not what belongs there")
    return next(filter(None, problems), None)


def _reference_problem(reference: Any) -> str | None:
    if not isinstance(reference, dict) or not isinstance(reference.get("name"), str):
        return "a file is referred to without a name"
    if not isinstance(reference.get("key") or reference.get("digest") or "", str):
        return f"{reference['name']!r} has a digest that is no text"
    return _name_problem(reference["name"])


def _name_problem(name: str) -> str | None:
    try:
        is_name = "\0" not in name and len(os.fsencode(name)) <= _LONGEST_NAME
    except UnicodeEncodeError:
        is_name = False
    return None if is_name else f"{name[:40]!r} is no name of a file"


def _part_problem(
    row: Mapping[str, Any], part: str, name: str, kinds: Any, inner: Any
) -> str | None:
    """See to one value within a part, and to the items that it holds."""
    value = (row.get(part) or {}).get(name)
    if value is None:
        return None
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, kinds) or not (
        isinstance(value, str) or all(isinstance(item, inner) for item in items)
    ):
        return f"{name} in {part} is not what belongs there"
    return None
