"""``ndmapper info``: what files hold, from their headers alone."""

import argparse
import sys
from pathlib import Path
from typing import Any

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.cli.verb import Verb
from ndmapper.errors import NdmapperError
from ndmapper.terminal import one_line

__all__ = ["VERB", "describe_file"]

_HEADS = ("no", "name", "ver", "ident", "part", "shape", "dtype")
_NAME_PARTS = ("dir", "prefix", "base", "suffix", "ext")


def describe_file(path: Path, labels: str | None = None) -> dict[str, Any]:
    """Say what a file holds, reading no pixels."""
    from ndmapper.data import FileName
    from ndmapper.data.plainfile import opens_plain
    from ndmapper.io.filemap import map_file
    from ndmapper.io.layout import find_layout
    from ndmapper.io.record import read_records

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


def _show(found: dict[str, Any]) -> str:
    rows = []
    for extension in found.get("extensions", ()):
        cells = dict(extension)
        if extension["part"] in ("table", "record"):
            is_whole = len(extension["shape"]) == 2  # a damaged one may say otherwise
            rows_in_table = extension["shape"][0] if is_whole else 0
            cells["shape"] = f"{rows_in_table} row{'s' if rows_in_table != 1 else ''}"
        elif extension["shape"] is not None:
            cells["shape"] = " x ".join(map(str, extension["shape"]))
        rows.append([cells[head] for head in _HEADS])
    name = ", ".join(
        f"{part} {found['name'][part]!r}" for part in _NAME_PARTS if found["name"][part]
    )
    steps = found["record"]
    record = "none"
    if steps:
        count = f"{len(steps)} steps" if len(steps) > 1 else "1 step"
        record = f"{count}, the last is {steps[-1]}"
    lines = [found["file"], f"  name: {name}", f"  record: {record}"]
    lines = [one_line(line) for line in lines]
    if "size" in found:
        return "\n".join([*lines, f"  not FITS, {found['size']} bytes"])
    table = format_columns(rows, _HEADS).splitlines()
    return "\n".join([*lines, *(f"  {line}" for line in table)])


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path, help="a file")
    parser.add_argument(
        "--labels",
        metavar="PRESET",
        help="whose names of extensions to go by, for instance muse (default: the "
        "configured ones, else recognised)",
    )


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
        say("\n\n".join(map(_show, found)))
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
