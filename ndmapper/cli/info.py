"""``ndmapper info``: what files hold, from their headers alone."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ndmapper.cli.output import FilesOfSets, add_all, format_columns, print_json, say
from ndmapper.cli.verb import Verb
from ndmapper.errors import NdmapperError
from ndmapper.terminal import one_line

__all__ = ["VERB", "describe_file"]

_HEADS = ("no", "name", "ver", "ident", "part", "shape", "dtype")
_NAME_PARTS = ("dir", "prefix", "base", "suffix", "ext")
_TABLES = ("table", "record")


def describe_file(path: Path, labels: str | None = None) -> dict[str, Any]:
    """Say what a file holds, reading no pixels."""
    from ndmapper.data import FileName
    from ndmapper.io.filemap import map_file
    from ndmapper.io.layout import find_layout
    from ndmapper.io.record import read_records
    from ndmapper.io.source import opens_plain

    name = FileName(path)
    found: dict[str, Any] = {
        "file": str(path),
        "name": {part: getattr(name, part) for part in _NAME_PARTS}
        | {"standard": name.standard},
    }
    if opens_plain(path):
        steps = [row["step"] for row in read_records(path)]
        return found | {"size": path.stat().st_size, "record": steps}
    file_map = map_file(path)
    layout = find_layout(file_map, labels)
    parts: dict[int, tuple[Any, str]] = {}
    for group in layout.groups:
        for part, number in group.hdus.items():
            holds = layout.labels.uncertainty_is if part == "uncertainty" else None
            parts[number] = group.ident, f"{part} ({holds})" if holds else part
    parts.update((number, (None, "table")) for number in layout.tables.values())
    parts.update((number, (None, "extra")) for number in layout.extras.values())
    if layout.record is not None:
        parts[layout.record] = None, "record"
    return found | {
        "groups": len(layout.groups),
        "record": [row["step"] for row in read_records(path)],
        "extensions": [_describe_hdu(hdu, parts) for hdu in file_map.hdus],
    }


def _describe_hdu(hdu: Any, parts: dict[int, tuple[Any, str]]) -> dict[str, Any]:
    from ndmapper.io.converted import open_array

    ident, part = parts.get(hdu.index, (None, None))
    dtype = str(open_array(hdu).dtype) if hdu.is_image else None
    return {
        "no": hdu.index,
        "name": hdu.name or ("PRIMARY" if hdu.index == 0 else None),
        "ver": hdu.version,
        "ident": ident,
        "part": part,
        "shape": list(hdu.shape) if hdu.is_image or hdu.is_table else None,
        "dtype": dtype,
    }


def _show(alike: Sequence[dict[str, Any]]) -> str:
    """Show what a file holds, or several files that differ in their names only."""
    from ndmapper.data.fold_names import list_names

    first = alike[0]
    rows = []
    for extensions in zip(*(one.get("extensions", ()) for one in alike), strict=True):
        cells = extensions[0] | {"shape": _shape(extensions)}
        rows.append([cells[head] for head in _HEADS])
    names = {part: [one["name"][part] for one in alike] for part in _NAME_PARTS}
    parts = [
        f"{part} {_part(values)!r}" for part, values in names.items() if any(values)
    ]
    steps = first["record"]
    record = "none"
    if steps:
        count = f"{len(steps)} steps" if len(steps) > 1 else "1 step"
        record = f"{count}, the last is {steps[-1]}"
    files = list_names(one["file"] for one in alike)
    lines = [files, f"  name: {', '.join(parts)}", f"  record: {record}"]
    lines = [one_line(line) for line in lines]
    if "size" in first:
        sizes = _range([one["size"] for one in alike])
        return "\n".join([*lines, f"  not FITS, {sizes} bytes"])
    table = format_columns(rows, _HEADS).splitlines()
    return "\n".join([*lines, *(f"  {line}" for line in table)])


def _part(values: Sequence[Any]) -> Any:
    """Give a part that all names share, or those of the names in short."""
    from ndmapper.data.fold_names import list_names

    if all(value == values[0] for value in values):
        return values[0]
    return list_names("".join(value or "") for value in values)


def _shape(extensions: Sequence[dict[str, Any]]) -> str | None:
    """Write the shape of an extension; for tables, the number of rows in the files."""
    first = extensions[0]
    if first["part"] in _TABLES:
        # A damaged one may say otherwise.
        counts = [e["shape"][0] if len(e["shape"]) == 2 else 0 for e in extensions]
        return f"{_range(counts)} row{'s' if counts != [1] * len(counts) else ''}"
    return None if first["shape"] is None else " x ".join(map(str, first["shape"]))


def _range(counts: Sequence[int]) -> str:
    return " ... ".join(map(str, sorted({min(counts), max(counts)})))


def _alike(found: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Group files that hold the same; their tables may have more rows or fewer."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        kinds = [
            extension | {"shape": None} if extension["part"] in _TABLES else extension
            for extension in one.get("extensions", ())
        ]
        kind = one["name"]["ext"] if "size" in one else None
        groups.setdefault(repr([kinds, one["record"], kind]), []).append(one)
    return [*groups.values()]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, action=FilesOfSets,
        help="a file, or a set, as 'x-{ifu:02d}.fits'",
    )  # fmt: skip
    parser.add_argument(
        "--labels",
        metavar="PRESET",
        help="whose names of extensions to go by, for instance muse (default: the "
        "configured ones, else recognised)",
    )
    add_all(parser, "each file by itself, where many hold the same")


def _run(args: argparse.Namespace) -> int:
    found, failed = [], []
    for path in args.files:
        try:
            found.append(describe_file(path, args.labels))
        except NdmapperError as err:
            # The others are still worth showing.
            failed.append({"file": str(path), "error": str(err)})
    if args.json:
        print_json(found + failed)
    elif found:
        alike = [[one] for one in found] if args.all else _alike(found)
        say("\n\n".join(map(_show, alike)))
    for failure in failed:
        say(f"ndmapper: {failure['error']}", file=sys.stderr)
    return 1 if failed else 0


VERB = Verb(
    description="""\
Show what FITS files hold: a table of their extensions with ident, part (data,
uncertainty, flags, table, extra, record), shape (in the order of Python) and type; the
parts of the file's name; and whether it has a record. Only headers are read. Of other
files, such as tables in text, name, size and record are shown.""",
    examples=(
        ("ndmapper info bS20120827S0066.fits", "one file"),
        ("ndmapper info --labels muse cube.fits", "with the names of another layout"),
        ("ndmapper info --json raw/*.fits.gz", "for another program"),
    ),
    exit_codes={0: "shown", 1: "a file that cannot be read; the others are shown"},
    add_arguments=_add_arguments,
    run=_run,
)
