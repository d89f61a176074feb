"""How the verbs print: aligned columns for people, JSON for programs."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = ["format_columns", "print_json"]


def format_columns(rows: Iterable[Sequence[object]], heads: Sequence[str]) -> str:
    """
    Align rows of text in columns.

    Parameters
    ----------
    rows : iterable of sequences
        The cells; None is shown as a dash.
    heads : sequence of str
        The heads of the columns.

    Returns
    -------
    str
        The lines, without blanks at their ends.
    """
    table = [[str(h) for h in heads]]
    table += [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def print_json(value: object) -> None:
    """
    Print a value as JSON.

    Parameters
    ----------
    value : object
        Mappings, sequences, numbers, text, None, and NumPy's forms of them; anything
        else is shown as text.
    """
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    """Turn a value into what JSON knows; NaN and masked values become null."""
    if value is np.ma.masked:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return str(value)
