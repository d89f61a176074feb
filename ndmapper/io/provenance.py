"""
Tables of provenance as DRAGONS keeps them, written from a record.

PROVENANCE has a row for every file that went into a step, HISTORY one for every step
(astrodata reads both as tables of the file, by these names and columns). They are for
programs that do not know the record, and are never read back. A card marks both as
ours; like the record they are not part of the content.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table

from ndmapper.io.record import MARK
from ndmapper.io.tables.convert import encode_table

__all__ = ["provenance_hdus"]


def provenance_hdus(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """
    Encode both tables as HDUs, to be put before the record.

    The column md5 is empty, since the record has digests of another kind.
    """
    used: dict[tuple[str, ...], None] = {}
    steps = []
    for row in rows:
        started, ended = (_time(row["run"].get(n)) for n in ("started", "ended"))
        step = str(row["step"])
        for name in _files(row):
            used[ended, name, "", step] = None
        steps.append((step, _arguments(row), started, ended))
    names = ("timestamp", "filename", "md5", "provenance_added_by")
    provenance = _table(list(used), names)
    history = _table(steps, ("primitive", "args", "timestamp_start", "timestamp_stop"))
    return encode_table(provenance, "PROVENANCE") + encode_table(history, "HISTORY")


def _files(row: Mapping[str, Any]) -> list[str]:
    """List the files that went in: inputs, calibrations, those named by parameters."""
    values = [row["inputs"], *row["calibrations"].values(), *row["references"].values()]
    listed = [v if isinstance(v, list) else [v] for v in values]
    return [str(ref["name"]) for refs in listed for ref in refs if ref is not None]


def _arguments(row: Mapping[str, Any]) -> str:
    """Encode what a step was given as JSON."""
    task = row.get("task") or {}
    calibrations = {
        name: [ref["name"] for ref in value]
        if isinstance(value, list)
        else value and value["name"]
        for name, value in row["calibrations"].items()
    }
    given = row["parameters"] | task.get("parameters", {}) | calibrations
    return json.dumps({"inputs": [ref["name"] for ref in row["inputs"]]} | given)


def _time(text: Any) -> str:
    """Strip the offset from a time in UTC, as DRAGONS has it."""
    return str(text or "").removesuffix("+00:00")


def _table(rows: Sequence[tuple[str, ...]], names: tuple[str, ...]) -> Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    texts = [
        np.array([cell.encode("ascii", "backslashreplace") for cell in column], "S")
        for column in columns
    ]
    return Table(texts, names=names, meta={MARK: True})
