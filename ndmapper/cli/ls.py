"""``ndmapper ls``: what a folder of frames holds."""

import argparse
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ndmapper.cli.output import (
    add_all,
    check_new,
    format_columns,
    print_json,
    save_table,
    say,
)
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]

_LEAST = 3
"""Least number of frames of one kind that are shown in one row."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]|$)")
"""The start of a time."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", default=".", type=Path, metavar="FOLDER",
        help="where the frames are (default: here)",
    )  # fmt: skip
    parser.add_argument(
        "--instrument", metavar="NAME",
        help="an instrument's name or the path of a TOML file (default: each frame's "
        "header tells)",
    )  # fmt: skip
    parser.add_argument(
        "--rules", action="store_true",
        help="show the classes and why, what each calibrates, and what has no class",
    )  # fmt: skip
    add_all(parser, "each frame by itself, where many differ in name and time only")
    save = parser.add_mutually_exclusive_group()
    save.add_argument(
        "--save", metavar="FILE", type=Path,
        help="write the table (.ecsv), to be edited and given back to look_up_cals",
    )  # fmt: skip
    save.add_argument(
        "--update", metavar="FILE", type=Path,
        help="add new frames to a table that was saved before, as it was edited",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from ndmapper.calibrations import survey

    if args.save is not None:
        check_new(args.save)
    table = survey(args.folder, instrument=args.instrument, known=args.update)
    written = args.save or args.update
    if written is not None:
        save_table(table, written)
    others = _other_products(args.folder)
    if args.json:
        rows = [dict(zip(table.colnames, row, strict=True)) for row in table]
        print_json([*rows, *({**dict.fromkeys(table.colnames), **o} for o in others)])
        return 0
    if args.rules:
        _print_rules(table, every=args.all)
        _advise(table, args.folder)
        return 0
    # The reason is the longest by far, and the least often wanted.
    names = [*(name for name in table.colnames if name != "why"), "why"]
    cells = [[_shown(row[name]) for name in names] for row in table]
    cells += [[other.get(name) for name in names] for other in others]
    say(format_columns(cells if args.all else _folded(cells), names))
    if written is not None:
        say(f"\nwritten to {written}")
    _advise(table, args.folder)
    return 0


def _advise(table: Any, folder: Path) -> None:
    """Say what to do about frames that no table describes."""
    if len(table) and not any(str(name) for name in table["instrument"]):
        say(
            f"\nno table describes these frames; draft one with:\n"
            f"  ndmapper new instrument NAME {shlex.quote(str(folder))}\n"
            f"or name one with --instrument"
        )


def _folded(rows: Sequence[list[Any]]) -> Iterator[list[Any]]:
    """Show frames that differ in name and time only in one row."""
    from ndmapper.data.fold_names import list_names

    groups: dict[tuple[str, ...], list[list[Any]]] = {}
    for row in rows:
        kind = tuple("time" if _TIME.match(str(c)) else str(c) for c in row[1:])
        groups.setdefault(kind, []).append(row)
    for alike in groups.values():
        if len(alike) < _LEAST:
            yield from alike
            continue
        first, *others = zip(*alike, strict=True)
        cells = [c[0] if len({*map(str, c)}) == 1 else f"{c[0]} ..." for c in others]
        yield [list_names(map(str, first), most=1), *cells]


def _other_products(folder: Path) -> list[dict[str, str]]:
    """List the products that are not FITS, which have their records beside them."""
    from ndmapper.io.filetypes import is_plain
    from ndmapper.io.record import read_side

    found = []
    for place in (folder, folder / "database"):
        for side in sorted((place / ".ndmapper" / "records").glob("*.json")):
            path = place / side.name.removesuffix(".json")
            if is_plain(path) and path.is_file() and (rows := read_side(path)):
                name = str(path.relative_to(folder))
                why = f"a product of ndmapper ({rows[-1]['step']}), not FITS"
                found.append({"file": name, "class": "?", "why": why})
    return found


def _print_rules(table: Any, *, every: bool) -> None:
    """Show what the rules make of each frame, class by class."""
    from ndmapper.instruments import load

    for name in dict.fromkeys(str(n) for n in table["instrument"]):
        rows = table[[str(n) == name for n in table["instrument"]]]
        if not name:
            continue
        instrument = load(name)
        say(f"{instrument.name}: {instrument.description}\n")
        counts = Counter(str(c) for c in rows["class"])
        cells = []
        for kind in dict.fromkeys([*(c.name for c in instrument.classes), *counts]):
            if kind == "?":
                continue
            types = (instrument.needs(kind), instrument.serves(kind))
            listed = (", ".join(some) or None for some in types)
            cells.append((kind, counts.get(kind, 0), *listed))
        say(format_columns(cells, ("class", "frames", "needs", "serves as")) + "\n")
        known = [[r["file"], r["class"], r["why"]] for r in rows if r["class"] != "?"]
        say(
            format_columns(known if every else _folded(known), ("file", "class", "why"))
            + "\n"
        )
    unknown = [[r["file"], r["why"]] for r in table if r["class"] == "?"]
    say(f"{len(unknown)} of {len(table)} without a class")
    if unknown:
        say(format_columns(unknown if every else _folded(unknown), ("file", "why")))


def _shown(cell: object) -> object:
    return None if str(cell) in ("", "--") else cell


VERB = Verb(
    description="""\
List the frames of a folder: the class of each (bias, flat, arc, object ...), the
reason, and the keywords that matter for its instrument. Only headers are read. Products
that are not FITS are listed as such. Frames that differ in name and time only are one
row.

The classes can be corrected: save the table, edit it, and hand it to look_up_cals.""",
    examples=(
        ("ndmapper ls raw", "a table"),
        ("ndmapper ls raw --instrument kast", "by the rules of one instrument"),
        ("ndmapper ls raw --rules", "what calibrates what, and what is unknown"),
        ("ndmapper ls raw --save night.ecsv", "a table that can be edited"),
        ("ndmapper ls raw --update night.ecsv", "the same, with new frames"),
    ),
    exit_codes={
        0: "listed",
        1: "a folder or instrument that cannot be read, or a table not written",
    },
    add_arguments=_add_arguments,
    run=_run,
)
