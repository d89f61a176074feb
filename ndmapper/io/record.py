"""
The record of a product: its schema, and its place in a FITS file or beside it.

A record is a list of entries, oldest first, one for every step between raw data and
the product. An entry is a JSON object::

    schema        2
    step          name of the step, e.g. "subtract_bias"
    module        where the step is defined; null for one that lives in a script
    engine        what ran it, e.g. "python"
    tool          {"name": ..., "version": ...} of the package or program that ran
    revision      number of the results of a step that lives in a package, which is
                  raised where it makes other numbers; absent for other steps, and in
                  schema 1, where the version of the package counted instead
    product       file name of the product
    output        name of the output, where the step has named ones, else null
    key           identity of what was asked for (see `entry_key`)
    content       digest of the product without its record
    inputs        [{"name": ..., "digest" or "key": ...}, ...]; with "memory": true
                  where it was not what lies on disk, for a tool with "role", the
                  parameter or tag that it was given for, and with "set" where it is a
                  member of one
    task          {"name": ..., "parameters": {...}, "words": {...}} of the tool that
                  ran; null, or absent, for a function
    calibrations  {type: reference like an input, list of them, or null if not applied}
    parameters    {name: value}
    config        {"use_uncert": ..., "use_flags": ..., "bad_flags": ...}
    references    {parameter: reference like an input, or list of them} of files that
                  parameters name
    tags          {parameter or tag: reference like an input, or list of them} of all
                  files that a tool was given by a parameter, calibrations among them:
                  a calibration that no tag has was not handed to the tool; absent for
                  a function, and in records that are older than it
    qc            {name: number, text or {"value": ..., "unit": ...}} of the product,
                  as reported by the step; absent where there is none
    decisions     {name: value} that the user decided, with ``interact``; absent where
                  nothing was to be decided. Part of the key, but not in old records
    interactive   digest of the product, where the user worked in a tool by hand; part
                  of the key, since no parameter says what was done
    instrument    what a table of an instrument gave: "table" and "origin" (packaged,
                  user, script or given), "amplifiers" ([[ident, [{"name": ...,
                  part: value}, ...]], ...]), "keywords" ({part: keyword}) and "flags";
                  empty where the step asked and the headers said it all, absent where
                  it did not ask, or in older records
    unit          {name: key} of the part of a call that made it, where a call is split;
                  absent where not
    unit_parameter  name of the parameter that was given that key; absent where none was
    keys          {input or calibration: keys of members of sets} of a function, where
                  neither names nor headers of the members say these; absent elsewhere
    set           name of the set that it is a member of, with the key in braces; absent
                  where it is none
    members       names of all members that were made together, where their number is
                  not declared
    source        text of a step that lives in a script, else null
    code          digest of what that text and its helpers do, without comments
    script        what a script needs to call the step again: "each", "outputs",
                  "names" (pattern of the name of each output, where declared), "by"
                  (what calls are split by, or {that: parameter given the key}),
                  "wrapped" (whether the module has the plain function, of which
                  another one made a step), and where there is any "context" ([[name,
                  text], ...] of what the source refers to), "files" (modules that are
                  no packages, which it imports), "parameters" (exact text of values
                  that JSON cannot hold) and "missing" ({name: why there is no text})
    run           all that is volatile: times, host, paths, versions of the libraries

In FITS the record is a binary table named NDM_RECORD, the last HDU, one row per
entry: the step, the product and canonical JSON in a variable-length array of
characters (FITS standard 4.0, section 7.3.5). Up to schema 2 the text is the whole
entry; since then what an earlier row says is not repeated (`ndmapper.io.stored_rows`).
A side record in ``.ndmapper/records/`` beside the product is a JSON list of the same
rows, after ``{"schema": 3}``. Entries keep the schema that they were written with.

More than ten names, since it is one document in three places: entries and their keys
(`entry_key`, `identity`, `edited`), the table (`encode`, `decode`, `is_record`), and
files (`read_records`, `read_side`, `read_cleaned` and where these lie).
"""

import hashlib
import os
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ndmapper.documents import LARGEST, canonical, load_json
from ndmapper.errors import FormatError, RecordError
from ndmapper.io.cards import header_size, join_cards
from ndmapper.io.filemap import FileMap, HduMap, map_file, padded
from ndmapper.io.filetypes import is_plain
from ndmapper.io.quickheader import QuickHeader
from ndmapper.io.sidedata import make_side_folder, read_side_data
from ndmapper.io.stored_rows import Unpacker, pack
from ndmapper.io.temporary import staging_name

__all__ = [
    "EXTNAME",
    "MARK",
    "SCHEMA",
    "MadeAs",
    "StoredRecord",
    "cleaned_path",
    "decode",
    "edited",
    "encode",
    "entry_key",
    "identity",
    "is_of_library",
    "is_record",
    "made_as",
    "open_record",
    "output_keys",
    "pending_path",
    "read_cleaned",
    "read_pending",
    "read_records",
    "read_side",
    "side_path",
    "side_text",
    "write_side",
]


EXTNAME = "NDM_RECORD"

MARK = "NDMTABLE"
"""Keyword of tables that only repeat what the record says."""

Identify = Callable[[Mapping[str, Any] | None], str | None]
"""What tells the identity of a file that goes in."""

_REPEATED = ("PROVENANCE", "HISTORY")

# What decides whether a product would be the same. The names of files are left out
# (a renamed input is the same input), and so are the module, the text of the source and
# the run.
_KEYED = ("step", "engine", "tool", "output", "parameters", "config", "code")


def is_record(hdu: HduMap) -> bool:
    """Whether an HDU is the record, or a table that repeats it for other programs."""
    if hdu.index == 0:
        return False  # which holds no table, whatever its name
    return hdu.name == EXTNAME or (
        hdu.name in _REPEATED and MARK.encode().ljust(8) + b"=" in hdu.raw
    )


def identity(reference: Mapping[str, Any] | None) -> str | None:
    """Return the identity of an input: its key if a step made it, else its digest."""
    if reference is None:
        return None
    return str(reference.get("key") or reference.get("digest"))


def is_of_library(tool: Mapping[str, Any]) -> bool:
    """Whether a step comes from ndmapper itself, so that it has a revision."""
    return bool(tool["name"] == "ndmapper")


def _identities(reference: Any, identify: Identify) -> Any:
    if isinstance(reference, list):
        return [identify(ref) for ref in reference]
    return identify(reference)


def entry_key(entry: Mapping[str, Any], *, identify: Identify = identity) -> str:
    """
    Compute the key of the product of an entry.

    It covers what decides whether the product would be the same; ``content``,
    ``source`` and ``run`` do not count, nor does the version of a package whose step
    has a revision.
    """
    return _hash_of(_keyed_texts(entry, identify))


def output_keys(
    entry: Mapping[str, Any], outputs: Iterable[str | None]
) -> dict[str | None, str]:
    """Compute the keys of all products of one run, which differ in the output only."""
    texts = _keyed_texts(entry, identity)
    return {o: _hash_of(texts | {"output": canonical(o)}) for o in outputs}


def _hash_of(texts: Mapping[str, str]) -> str:
    # The canonical JSON of all parts together.
    text = ",".join(f'"{name}":{texts[name]}' for name in sorted(texts))
    return "sha256:" + hashlib.sha256(f"{{{text}}}".encode()).hexdigest()


def _keyed_texts(entry: Mapping[str, Any], identify: Identify) -> dict[str, str]:
    """Encode each part of an entry that counts."""
    calibrations = {
        name: _identities(ref, identify) for name, ref in entry["calibrations"].items()
    }
    parts = {name: entry[name] for name in _KEYED} | {
        "inputs": [identify(ref) for ref in entry["inputs"]],
        "calibrations": calibrations,
        "references": {
            n: _identities(r, identify) for n, r in entry["references"].items()
        },
    }
    if isinstance(table := entry.get("instrument"), Mapping) and table:
        # Not which table it was, but what it said.
        parts["instrument"] = {
            n: v for n, v in table.items() if n not in ("table", "origin")
        }
    if entry.get("unit"):
        parts["unit"] = entry["unit"]
    if entry.get("decisions"):
        parts["decisions"] = entry["decisions"]
    if entry.get("keys"):
        parts["keys"] = entry["keys"]
    if entry.get("interactive") is not None:
        parts["interactive"] = entry["interactive"]
    if entry.get("revision") is not None:
        parts["revision"] = entry["revision"]
        if entry["engine"] == "python":
            parts["tool"] = entry["tool"]["name"]
    if entry.get("task") is not None:
        # What was given for what counts as well, since a tool has several inputs.
        parts["task"] = entry["task"]
        parts["roles"] = [ref.get("role") for ref in entry["inputs"]]
        # Those that the references do not tell already, as calibrations.
        tags = {n: _identities(r, identify) for n, r in entry.get("tags", {}).items()}
        if more := {n: i for n, i in tags.items() if i != parts["references"].get(n)}:
            parts["tags"] = more
    return {name: canonical(part) for name, part in parts.items()}


def edited(
    rows: Sequence[Mapping[str, Any]], *, product: str, what: Sequence[str], digest: str
) -> list[dict[str, Any]]:
    """
    Append an entry that says that a product was edited outside any step.

    The digest of the edited file is part of its key, so that no older key is valid
    again.
    """
    last = rows[-1] if rows else None
    entry: dict[str, Any] = {
        "schema": SCHEMA,
        "step": "edited",
        "module": None,
        "engine": "user",
        "tool": {"name": "user", "version": None},
        "product": product,
        "output": None,
        "content": digest,
        "inputs": [
            {"name": last["product"], "key": last["key"]}
            if last
            else {"name": product, "digest": digest}
        ],
        "calibrations": {},
        "parameters": {"edited": sorted(what), "content": digest},
        "config": {},
        "references": {},
        "source": None,
        "code": None,
        "run": {},
    }
    entry["key"] = entry_key(entry)
    return [*map(dict, rows), entry]


def encode(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Encode a record as an HDU."""
    texts = [text.encode("ascii") for text in pack(rows)]
    steps = [str(row["step"]).encode("ascii", "replace") for row in rows]
    products = [str(row["product"]).encode("ascii", "replace") for row in rows]
    widths = [max([1, *map(len, column)]) for column in (steps, products)]
    table = np.zeros(
        len(rows),
        dtype=[("s", f"S{widths[0]}"), ("p", f"S{widths[1]}"), ("r", ">i4", (2,))],
    )
    table["s"], table["p"] = steps, products
    lengths = [len(text) for text in texts]
    table["r"][:, 0] = lengths
    table["r"][:, 1] = np.cumsum([0, *lengths[:-1]]) if rows else 0
    heap = b"".join(texts)
    cards = (
        ("XTENSION", "BINTABLE", "binary table extension"),
        ("BITPIX", 8),
        ("NAXIS", 2),
        ("NAXIS1", table.dtype.itemsize, "width of a row in bytes"),
        ("NAXIS2", len(rows), "one row per step, oldest first"),
        ("PCOUNT", len(heap), "size of the heap in bytes"),
        ("GCOUNT", 1),
        ("TFIELDS", 3),
        ("TTYPE1", "STEP", "name of the step"),
        ("TFORM1", f"{widths[0]}A"),
        ("TTYPE2", "PRODUCT", "file that the step made"),
        ("TFORM2", f"{widths[1]}A"),
        ("TTYPE3", "RECORD", "canonical JSON"),
        ("TFORM3", f"1PA({max([1, *lengths])})"),
        ("EXTNAME", EXTNAME, "how ndmapper made this file"),
        ("NDMSCHEM", SCHEMA, "number of the schema of RECORD"),
    )
    data = table.tobytes() + heap
    header = join_cards(_card(*card).encode("ascii") for card in cards)
    return header + data.ljust(padded(len(data)), b"\0")


def _card(keyword: str, value: int | str, comment: str = "") -> str:
    """Write a card in fixed format (FITS standard 4.0, section 4.2)."""
    shown = f"'{value:8}'".ljust(20) if isinstance(value, str) else f"{value:20d}"
    return f"{keyword:8}= {shown}{f' / {comment}' if comment else ''}".ljust(80)


def decode(hdu: bytes) -> list[dict[str, Any]]:
    """Decode the record from the bytes of its HDU."""
    return _stored(hdu).rows()


def _stored(hdu: bytes, place: str = "") -> "StoredRecord":
    """Find the texts of the entries in the bytes of the HDU of a record."""
    try:
        end = header_size(hdu) + 80
        header = QuickHeader(hdu[:end])  # a quarter of a re-run went into all cards
        schema = header.get("NDMSCHEM")
        texts = _texts(header, hdu[padded(end) :])
    except (KeyError, ValueError, TypeError, AttributeError, struct.error) as err:
        msg = f"{place}the {EXTNAME} table cannot be read ({err})"
        raise RecordError(msg) from err
    return StoredRecord(texts, schema, place)


def _texts(header: QuickHeader, data: bytes) -> list[str]:
    """
    Read the column RECORD, whose cells are strings of variable length.

    By hand, since astropy returns them as arrays of single characters.
    """
    width, rows, columns, heap = map(
        header.get, ("NAXIS1", "NAXIS2", "TFIELDS", "THEAP")
    )
    heap = width * rows if heap is None else heap
    offset = 0
    if any(type(number) is not int for number in (width, rows, heap)):
        msg = "its size is no whole number"
        raise ValueError(msg)
    if not 1 <= columns <= 999:
        msg = f"it has {columns} columns"
        raise ValueError(msg)
    for number in range(1, columns + 1):
        form = re.match(r"(\d{0,9})([APQ])", header.get(f"TFORM{number}"))
        repeat, kind = form.groups()  # type: ignore[union-attr]
        if header.get(f"TTYPE{number}") == "RECORD":
            break
        offset += int(repeat or 1) * {"A": 1, "P": 8, "Q": 16}[kind]
    place = struct.Struct(">qq" if kind == "Q" else ">ii")
    if not 0 <= offset <= offset + place.size <= width or not 0 <= rows * width <= heap:
        msg = "its rows have no place for texts"
        raise ValueError(msg)
    texts, left = [], len(data) - heap
    for row in range(rows):
        length, start = place.unpack_from(data, row * width + offset)
        left -= length
        # Each text has its own place: rows that share one take memory without end.
        if not 0 <= start <= start + length <= len(data) - heap or left < 0:
            msg = f"the text of row {row + 1} is not in its heap"
            raise ValueError(msg)
        texts.append(data[heap + start : heap + start + length].decode("ascii"))
    return texts


def read_records(file: str | Path | FileMap) -> list[dict[str, Any]]:
    """Read the record of a file, from it or from beside it; empty if there is none."""
    return open_record(file).rows()


def open_record(file: str | Path | FileMap) -> "StoredRecord":
    """Read the record of a file as it is stored, from it or from beside it."""
    try:
        fmap = file if isinstance(file, FileMap) else map_file(file)
    except FormatError:
        path = Path(str(file))
        stored = _open(side_path(path))
        if not stored and not is_plain(path):
            raise
        return stored
    for hdu in reversed(fmap.hdus):
        if hdu.name == EXTNAME:
            size = hdu.data_size
            if size > LARGEST:
                msg = (
                    f"{fmap.source.path}: the {EXTNAME} table has {size} bytes, which "
                    f"is more than any record ({LARGEST}); it is not read"
                )
                raise RecordError(msg)
            data = hdu.source.read(hdu.data_offset, size, counted=False)
            return _stored(hdu.raw + data, f"{fmap.source.path}: ")
    return _open(side_path(fmap.source.path))


class MadeAs(NamedTuple):
    """What tells whether a product is still what would be made now."""

    key: str
    # The digest of the product; None until it is saved.
    content: str | None
    # Whether the key covers all that counts: no entry may have decisions, which old
    # keys left out, or be older than the block of instrument tables.
    is_all: bool


class StoredRecord:
    """
    A record as it is stored; its entries are decoded when they are asked for.

    A re-run compares a key and a digest with those of the last entry, which each
    product states for itself, so that no other entry need be decoded: that took a third
    of the time (bench_sets.py).

    Parameters
    ----------
    texts : sequence of str
        The text of each entry.
    schema : int
        The number of the schema that they are stored by.
    place : str
        What error messages begin with.
    """

    def __init__(self, texts: Sequence[str], schema: Any, place: str = "") -> None:
        self._texts = texts
        self._schema = schema
        self._place = place

    def __len__(self) -> int:
        return len(self._texts)

    def rows(self) -> list[dict[str, Any]]:
        """
        Decode all entries, oldest first.

        Raises
        ------
        RecordError
            If one cannot be understood.
        """
        try:
            return _read_entries(self._texts, self._schema)
        except RecordError as err:
            msg = f"{self._place}{err}"
            raise RecordError(msg) from err

    @cached_property
    def made_as(self) -> MadeAs | None:
        """What the last entry says, read alone where it can be; None without any."""
        if not self._texts:
            return None
        if self._schema == SCHEMA:
            last = _parsed(self._texts[-1])
            key, content = map(last.get, _OWN) if isinstance(last, dict) else (0, 0)
            if isinstance(key, str) and isinstance(content, str):
                whole = "\n".join(self._texts)
                is_all = not any(word in whole for word in _UNKEYED)
                return MadeAs(key, content, is_all)
        return made_as(self.rows())


def made_as(rows: Sequence[Mapping[str, Any]]) -> MadeAs | None:
    """Find what the last entry of a decoded record says of its product."""
    if not rows:
        return None
    return MadeAs(str(rows[-1]["key"]), rows[-1].get("content"), is_all=False)


_OWN = ("key", "content")
"""What no product shares with another, so that the text of its entry has it."""

_UNKEYED = ('"decisions":', '"schema":1')
"""Texts of entries whose keys do not tell all."""

SCHEMA = 3
"""Number of the schema that is written; older ones are read for ever."""

_FIRST_PACKED = 3
"""The first schema whose rows point to earlier ones."""

_KEPT = 1 << 20
"""Records shorter than this are remembered, since siblings share most of theirs."""

_SHARED, _MANY = 32, 2048
"""Rows that records have in common are looked for in multiples of this, up to that."""

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
    "unit": dict, "unit_parameter": str, "keys": dict, "set": str, "members": list,
    "interactive": str,
}  # fmt: skip
_EMPTY: dict[str, Any] = {
    "engine": "unknown", "module": None, "tool": {"name": "unknown", "version": None},
    "output": None, "content": None, "parameters": {}, "config": {}, "source": None,
    "code": None,
}  # fmt: skip
_TASK: dict[str, Any] = {"name": "unknown", "parameters": {}, "words": {}}
_OPTIONAL = frozenset((
    "schema", "task", "script", "qc", "decisions", "tags", "revision", "instrument",
    "unit", "unit_parameter", "keys", "set", "members", "interactive",
))  # fmt: skip

# What is read within a part: the value, its kind, and the kind of the items in it.
_PARTS = (
    ("tool", "name", str, str), ("tool", "version", str, str),
    ("task", "name", str, str), ("task", "parameters", dict, object),
    ("task", "words", dict, object), ("script", "each", str, str),
    ("script", "outputs", list, _MAYBE_TEXT), ("script", "context", list, list),
    ("script", "by", (str, dict), str), ("script", "names", dict, str),
    ("script", "files", list, str), ("script", "parameters", dict, str),
    ("script", "missing", dict, str), ("run", "paths", dict, (str, list)),
    ("run", "versions", dict, _MAYBE_TEXT), ("run", "figures", list, str),
    ("run", "started", str, str), ("run", "ended", str, str), ("run", "log", str, str),
    ("run", "host", str, str),
)  # fmt: skip


def _read_entries(texts: Sequence[str], schema: Any) -> list[dict[str, Any]]:
    """Read entries, each from its own text, and check them."""
    _check_schema(schema)
    size = sum(map(len, texts))
    if size > LARGEST:
        msg = f"the record has {size} bytes, which is more than any ({LARGEST})"
        raise RecordError(msg)
    if schema < _FIRST_PACKED or not texts:
        return [
            _checked(number, _parsed(text), schema)
            for number, text in enumerate(texts, 1)
        ]
    read = _unpacked if size < _KEPT else _unpacked.__wrapped__
    unpacker = read(tuple(texts[:-1]), schema).copy()
    _unpack(unpacker, texts[-1], schema)
    return unpacker.rows


@lru_cache(maxsize=64)
def _unpacked(texts: tuple[str, ...], schema: int) -> Unpacker:
    """
    Read all entries but the last, which are the same for all products of a run.

    Those of other runs of a night begin alike.
    """
    start = (len(texts) - 1) // _SHARED * _SHARED if len(texts) < _MANY else 0
    unpacker = _unpacked(texts[:start], schema).copy() if start > 0 else Unpacker()
    for text in texts[max(start, 0) :]:
        _unpack(unpacker, text, schema)
    return unpacker


def _unpack(unpacker: Unpacker, text: str, schema: int) -> None:
    number, stated = len(unpacker.rows) + 1, _parsed(text)
    try:
        row = unpacker.restore(stated)
        unpacker.append(_checked(number, row, schema, unpacker.is_known))
    except ValueError as err:
        msg = f"entry {number} of the record cannot be understood: {err}"
        raise RecordError(msg) from err


def _parsed(text: str) -> Any:
    try:
        return load_json(text, finite=True)
    except ValueError as err:
        msg = f"the record holds text that is not JSON of an entry ({err})"
        raise RecordError(msg) from err


def _checked(
    number: int, row: Any, schema: int, is_known: Callable[[Any], bool] | None = None
) -> dict[str, Any]:
    """Check an entry, but for parts that earlier ones have, and complete old ones."""
    if (problem := _problem(row, is_known or (lambda _: False))) is not None:
        msg = f"entry {number} of the record cannot be understood: {problem}"
        raise RecordError(msg)
    return _completed({"schema": schema} | row)


def _completed(row: dict[str, Any]) -> dict[str, Any]:
    row = _EMPTY | row
    if "name" not in row["tool"] or "version" not in row["tool"]:
        row["tool"] = _EMPTY["tool"] | row["tool"]
    task = row.get("task")
    if task is not None and not _TASK.keys() <= task.keys():
        row["task"] = _TASK | task
    return row


def _check_schema(schema: Any) -> None:
    if isinstance(schema, bool) or not isinstance(schema, int) or schema > SCHEMA:
        msg = (
            f"the record has schema {schema!r}, but this version of ndmapper knows "
            f"schemas up to {SCHEMA}; update ndmapper to read it"
        )
        raise RecordError(msg)


def _problem(row: Any, is_known: Callable[[Any], bool]) -> str | None:
    """
    Return what is wrong with an entry, which may come from any program.

    Parts that are the very objects of earlier entries were looked at with these.
    """
    if not isinstance(row, dict):
        return "it is no object"
    for part, kinds in _KINDS.items():
        if part not in row:
            if part in _EMPTY or part in _OPTIONAL:
                continue
            return f"{part} is missing"
        if not isinstance(row[part], kinds):
            return f"{part} is a {type(row[part]).__name__}"
    new = {n: part for n, part in row.items() if not is_known(part)}
    problems = [_name_problem(row["product"]), _name_problem(row.get("set", ""))]
    listed = [new.get("inputs", [])]
    for part in ("calibrations", "references", "tags"):
        listed += new.get(part, {}).values()
    for value in listed:
        references = value if isinstance(value, list) else [value]
        new_ones = [r for r in references if r is not None and not is_known(r)]
        problems += map(_reference_problem, new_ones)
    problems += [_part_problem(row, *part) for part in _PARTS if part[0] in new]
    if not all(isinstance(name, str) for name in new.get("members", ())):
        problems.append("members are not names")
    listed_keys = new.get("keys", {}).values()
    if not all(isinstance(k, list) and all(isinstance(one, list) for one in k)
               for k in listed_keys):  # fmt: skip
        problems.append("keys are not lists")
    if not all(type(key) in (int, str) for key in row.get("unit", {}).values()):
        problems.append("unit is not of numbers and texts")
    if row["step"] == "edited":
        problems.append(_part_problem(row, "parameters", "edited", list, str))
    context = (new.get("script") or {}).get("context") or ()
    if any([type(item) for item in pair] != [str, str] for pair in context):
        problems.append("context in script is not what belongs there")
    return next(filter(None, problems), None)


def _reference_problem(reference: Any) -> str | None:
    if not isinstance(reference, dict) or not isinstance(reference.get("name"), str):
        return "a file is referred to without a name"
    if not isinstance(reference.get("key") or reference.get("digest") or "", str):
        return f"{reference['name']!r} has a digest that is no text"
    if not isinstance(reference.get("set", ""), str):
        return f"{reference['name']!r} has a set that is no text"
    names = (reference["name"], reference.get("set", ""))
    return next(filter(None, map(_name_problem, names)), None)


def _name_problem(name: str) -> str | None:
    try:
        is_name = "\0" not in name and len(os.fsencode(name)) <= _LONGEST_NAME
    except UnicodeEncodeError:
        is_name = False
    return None if is_name else f"{name[:40]!r} is no name of a file"


def _part_problem(
    row: Mapping[str, Any], part: str, name: str, kinds: Any, inner: Any
) -> str | None:
    """Check one value within a part, and the items that it holds."""
    value = (row.get(part) or {}).get(name)
    if value is None:
        return None
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, kinds) or not (
        isinstance(value, str) or all(isinstance(item, inner) for item in items)
    ):
        return f"{name} in {part} is not what belongs there"
    return None


_BETWEEN = ",\n"
"""What stands between the rows of a side record; within them are no line breaks."""


def side_path(product: Path) -> Path:
    """Return the path of the side record of a product."""
    return product.parent / ".ndmapper" / "records" / f"{product.name}.json"


def pending_path(product: Path) -> Path:
    """Return the path of a side record until its product is published."""
    side = side_path(product)
    return side.with_name(f"{side.name}.pending")


def read_side(product: Path) -> list[dict[str, Any]]:
    """Read the side record of a product; empty if there is none."""
    return _open(side_path(product)).rows()


def read_pending(product: Path) -> list[dict[str, Any]]:
    """Read a side record whose product was not published yet; empty if none."""
    return _open(pending_path(product)).rows()


def write_side(product: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the side record of a product, or remove it where there are no entries."""
    path = side_path(product)
    if not rows:
        path.unlink(missing_ok=True)
        return
    make_side_folder(path)
    temp = staging_name(path)
    try:
        temp.write_text(side_text(rows), encoding="utf-8")
        temp.replace(path)
    finally:
        temp.unlink(missing_ok=True)


def side_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Encode a record as the text of a side record: JSON, one row in each line."""
    lines = [canonical({"schema": SCHEMA}), *pack(rows)]
    return "[" + _BETWEEN.join(lines) + "]\n"


def cleaned_path(product: Path) -> Path:
    """Return the path of the record that `ndmapper clean` leaves of a product."""
    return product.parent / ".ndmapper" / "cleaned" / f"{product.name}.json"


def read_cleaned(product: Path) -> list[dict[str, Any]]:
    """Read the record that `ndmapper clean` left of a product; empty if none."""
    return _open(cleaned_path(product)).rows()


def _open(path: Path) -> StoredRecord:
    """Read a side record as it is stored; one without entries if there is no file."""
    try:
        text = read_side_data(path).decode()
        texts, schema = _lines(text)
    except (FileNotFoundError, NotADirectoryError):
        return StoredRecord((), SCHEMA)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as err:
        msg = (
            f"the side record {path} cannot be read ({err}); delete it if it is damaged"
        )
        raise RecordError(msg) from err
    return StoredRecord(texts, schema, f"the side record {path}: ")


def _lines(text: str) -> tuple[list[str], Any]:
    """Split the text of a side record into its rows; give the schema as well."""
    first, *lines = text.strip().removeprefix("[").removesuffix("]").split(_BETWEEN)
    if first == canonical({"schema": SCHEMA}):
        return lines, SCHEMA
    rows = load_json(text, finite=True)
    if rows and rows[0].keys() == {"schema"}:
        return [canonical(row) for row in rows[1:]], rows[0]["schema"]
    # As they were written up to schema 2.
    schema = max([0, *(row["schema"] for row in rows)])
    is_plain = schema < _FIRST_PACKED
    return [canonical(row if is_plain else {"plain": row}) for row in rows], schema
