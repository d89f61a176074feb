"""How the verbs print: aligned columns for people, JSON for programs."""

import argparse
import contextlib
import io
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from ndmapper.errors import OutputExistsError
from ndmapper.terminal import one_line, printable

__all__ = [
    "FilesOfSets",
    "add_all",
    "check_new",
    "format_columns",
    "members_named",
    "print_json",
    "save_table",
    "say",
    "say_line",
    "write_text",
]

# JSON itself escapes only the controls of ASCII.
_NOT_SHOWN = re.compile(
    "[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def format_columns(rows: Iterable[Sequence[object]], heads: Sequence[str]) -> str:
    """Align rows of text in columns; None is shown as a dash."""
    table = [[one_line(h) for h in heads]]
    table += [["-" if cell is None else one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def add_all(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that shows what is otherwise put together."""
    parser.add_argument("--all", action="store_true", help=f"show {what}")


def print_json(value: object) -> None:
    """Print a value as JSON."""
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    print(_NOT_SHOWN.sub(lambda found: json.dumps(found[0])[1:-1], text))


def say(*parts: object, end: str = "\n", file: TextIO | None = None) -> None:
    """Print text for a person, with control characters escaped."""
    print(*map(printable, parts), end=end, file=file)


def say_line(text: object) -> None:
    """Print a text in one line; line breaks and control characters are escaped."""
    print(one_line(text))


def check_new(path: Path) -> None:
    """Refuse a path that exists: it may be a table that the user corrected."""
    if path.exists():
        msg = f"{path} already exists; name another file, or delete it first"
        raise OutputExistsError(msg)


def save_table(table: Any, path: Path) -> None:
    """Write a table as ECSV, atomically; a file that is there is replaced."""
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    write_text(text.getvalue(), path)


def write_text(text: str, path: Path) -> None:
    """Write a text file atomically; a file that is there is replaced."""
    from ndmapper.io.temporary import staging_name
    from ndmapper.io.write import clear_write_errors, publish

    temporary = staging_name(path)
    try:
        with clear_write_errors(path), temporary.open("x", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        publish(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _plain(value: Any) -> Any:
    """Turn a value into what JSON knows; NaN and masked values become null."""
    if hasattr(value, "tolist"):  # of NumPy, which this need not import
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return str(value)


def members_named(path: Path) -> dict[Any, Path]:
    """List the files that a name with a key in braces stands for, by key."""
    from ndmapper.data.name_pattern import parse_pattern

    pattern = parse_pattern(path)
    return {} if pattern is None else {key: Path(n) for key, n in pattern.files()}


class FilesOfSets(argparse.Action):
    """Takes files, and for a name with a key in braces those that it stands for."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Put the files of sets in the place of these."""
        found: list[Path] = []
        for path in values:
            found += members_named(path).values() or [path]
        setattr(namespace, self.dest, found)
