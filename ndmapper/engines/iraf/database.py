"""IRAF's text databases, as identify, apextract and other tasks write them."""

import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ndmapper.errors import FormatError, MissingFileError, ParameterError

__all__ = [
    "DbEntry",
    "add_db_entry",
    "db_path",
    "join_entries",
    "read_db",
    "split_entries",
]

_PREFIXES = {"identify": "id", "aperture": "ap", "fitcoords": "fc"}
_KEY = re.compile(r"[A-Za-z]\w*")

Path_ = str | os.PathLike[str]


@dataclass(frozen=True)
class DbEntry:
    """
    One entry of a text database.

    Parameters
    ----------
    kind : str
        Kind of entry: ``'identify'``, ``'aperture'``, ...
    name : str
        Name of the entry, such as ``'arc - Ap 1'``.
    fields : mapping of str to str or tuple of tuple of str
        Values as written; for keys followed by rows, the words of each row.
    text : str
        The lines in the file.
    """

    kind: str
    name: str
    fields: Mapping[str, str | tuple[tuple[str, ...], ...]]
    text: str

    def numbers(self, key: str) -> list[float]:
        """
        Return all numbers of a field, row by row.

        Parameters
        ----------
        key : str
            The field.

        Returns
        -------
        list of float
            The numbers; INDEF is NaN.

        Raises
        ------
        FormatError
            If the field is missing or has words.
        """
        value = self.fields.get(key)
        if value is None:
            msg = (
                f"the entry {self.kind} {self.name} has no {key!r}; it has "
                f"{', '.join(self.fields)}"
            )
            raise FormatError(msg)
        words = value.split() if isinstance(value, str) else sum(value, ())
        try:
            return [math.nan if word == "INDEF" else float(word) for word in words]
        except ValueError as err:
            msg = f"{key!r} of the entry {self.kind} {self.name} holds no numbers alone"
            raise FormatError(msg) from err


def db_path(kind: str, image: Path_, folder: Path_ = "database") -> Path:
    """
    Return the file in which IRAF looks for the entries of an image.

    Parameters
    ----------
    kind : {'identify', 'aperture', 'fitcoords'}
        Kind of entries.
    image : str or path
        The image, as given to the task.
    folder : str or path
        The database folder.

    Returns
    -------
    Path
        Such as ``database/idarc``.

    Raises
    ------
    ParameterError
        If the kind is unknown.
    """
    if kind not in _PREFIXES:
        msg = f"kind must be one of {', '.join(map(repr, _PREFIXES))}, not {kind!r}"
        raise ParameterError(msg)
    stem = re.sub(r"\.(fits|fit|fts|imh)$", "", Path(image).name)
    return Path(folder) / (_PREFIXES[kind] + re.sub(r"[\[\],:*]", "_", stem))


def read_db(path: Path_) -> list[DbEntry]:
    """
    Read the entries of a file.

    Parameters
    ----------
    path : str or path
        The file, such as ``database/idarc``.

    Returns
    -------
    list of DbEntry
        In the order of the file. Of two entries with the same name, IRAF takes the
        last.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is not a text database.
    """
    return [_parse(part, path) for part in _split(_text(path))[1]]


def add_db_entry(
    path: Path_,
    kind: str,
    name: str,
    fields: Mapping[str, Any],
) -> None:
    """
    Add an entry, replacing those of the same kind and name.

    Parameters
    ----------
    path : str or path
        The file, which is created if missing, and replaced atomically. All other lines
        are kept.
    kind : str
        Kind of entry: ``'identify'``, ``'aperture'``, ...
    name : str
        Name of the entry, such as ``'arc - Ap 1'``.
    fields : mapping of str to object
        Numbers and text; a sequence becomes a count and rows, which may be sequences
        themselves, and a mapping becomes rows of keys and values.

    Raises
    ------
    ParameterError
        If a value cannot be written on one line.
    FormatError
        If the file is not a text database.
    """
    _one_line(kind, "the kind")
    _one_line(name, "the name")
    lines = [f"begin\t{kind} {name}"]
    for key, value in fields.items():
        lines += _written(key, value)
    new = "\n".join(lines) + "\n"
    target = Path(path)
    head, parts = _split(_text(target)) if target.exists() else ("", [])
    kept = [part for part in parts if _title(part) != (kind, name)]
    temp = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        temp.write_text("".join([head, *kept, "# ndmapper\n", new]))
        temp.replace(target)
    finally:
        temp.unlink(missing_ok=True)


def split_entries(text: str) -> tuple[str, dict[str, str]]:
    """Split the text of a database into its head and entries."""
    if text and not text.endswith("\n"):
        text += "\n"
    head, parts = _split(text)
    return head, {" ".join(_title(part)): part for part in parts}


def join_entries(head: str, entries: Mapping[str, str]) -> str:
    """Join head and entries to the text of a database."""
    return "".join([head, *entries.values()])


def _text(path: Path_) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as err:
        msg = f"{path} does not exist; IRAF names such a file after task and image"
        raise MissingFileError(msg) from err
    if "\0" in text:
        msg = f"{path} is not a text database of IRAF"
        raise FormatError(msg)
    return text if not text or text.endswith("\n") else f"{text}\n"


def _split(text: str) -> tuple[str, list[str]]:
    """Split before each entry; comments belong to the following entry."""
    head, parts, waiting = "", [], ""
    for line in text.splitlines(keepends=True):
        if line.startswith("#"):
            waiting += line
        elif line.startswith("begin"):
            parts.append(waiting + line)
            waiting = ""
        elif parts:
            parts[-1] += waiting + line
            waiting = ""
        else:
            head, waiting = head + waiting + line, ""
    if parts:
        parts[-1] += waiting
    else:
        head += waiting
    return head, parts


def _title(part: str) -> tuple[str, str]:
    for line in part.splitlines():
        if line.startswith("begin"):
            _, _, rest = line.partition("begin")
            kind, _, name = rest.strip().partition(" ")
            return kind, name.strip()
    return "", ""


def _parse(part: str, path: Path_) -> DbEntry:
    kind, name = _title(part)
    fields: dict[str, Any] = {}
    last = ""
    for line in part.splitlines():
        if line.startswith(("#", "begin")) or not line.strip():
            continue
        depth = len(line) - len(line.lstrip("\t"))
        words = line.split()
        # Numbers are no keys, even after indentation.
        if depth <= 1 and _KEY.fullmatch(words[0]) and words[0] != "INDEF":
            last = words[0]
            fields[last] = line.strip()[len(last) :].strip()
        elif not last:
            msg = f"{path} is not a text database of IRAF: it has the line {line!r}"
            raise FormatError(msg)
        else:
            before = fields[last] if isinstance(fields[last], tuple) else ()
            fields[last] = (*before, tuple(words))
    return DbEntry(kind, name, fields, part)


def _written(key: str, value: Any) -> Iterator[str]:
    if not _KEY.fullmatch(key):
        msg = f"a field of a text database cannot be called {key!r}"
        raise ParameterError(msg)
    if isinstance(value, Mapping):
        yield f"\t{key}"
        for name, one in value.items():
            yield f"\t\t{_one_line(name, key)} {_one_line(_word(one), key)}"
    elif _is_rows(value):
        yield f"\t{key}\t{len(value)}"
        for row in value:
            words = [_word(w) for w in row] if _is_rows(row) else [_word(row)]
            yield f"\t\t{_one_line(' '.join(words), key)}"
    else:
        yield f"\t{key}\t{_one_line(_word(value), key)}"


def _is_rows(value: Any) -> bool:
    if isinstance(value, Sequence):
        return not isinstance(value, str)
    return hasattr(value, "__array__") and value.ndim > 0


def _word(value: Any) -> str:
    if value is None:
        return "INDEF"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    number = float(value)
    return "INDEF" if math.isnan(number) else f"{number:.16g}"


def _one_line(text: str, what: str) -> str:
    if not text.isprintable():
        msg = f"{what} of an entry must be one line of text, not {text!r}"
        raise ParameterError(msg)
    return text
