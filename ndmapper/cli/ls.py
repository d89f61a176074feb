"""``ndmapper ls``: what a folder of frames holds."""

import argparse
import contextlib
import io
import os
from pathlib import Path
from typing import Any

from ndmapper.cli.output import format_columns, print_json
from ndmapper.cli.verb import Verb
from ndmapper.errors import OutputExistsError

__all__ = ["VERB"]


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
        "--save", metavar="FILE", type=Path,
        help="write the table (.ecsv), to be edited and given back to look_up_cals",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from ndmapper.calibrations import survey

    if args.save is not None and args.save.exists():
        # It may hold classes that the user corrected.
        msg = f"{args.save} already exists; name another file, or delete it first"
        raise OutputExistsError(msg)
    table = survey(args.folder, instrument=args.instrument)
    if args.save is not None:
        _save(table, args.save)
    if args.json:
        print_json([dict(zip(table.colnames, row, strict=True)) for row in table])
        return 0
    # The reason is the longest by far, and the least often wanted.
    names = [*(name for name in table.colnames if name != "why"), "why"]
    cells = [[_shown(row[name]) for name in names] for row in table]
    print(format_columns(cells, names))
    if args.save is not None:
        print(f"\nwritten to {args.save}")
    return 0


def _save(table: Any, path: Path) -> None:
    """Write a table whole, or not at all."""
    from ndmapper.io.leftovers import staging_name
    from ndmapper.io.write import clear_write_errors, publish

    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    temporary = staging_name(path)
    try:
        with clear_write_errors(path), temporary.open("x", encoding="utf-8") as stream:
            stream.write(text.getvalue())
            stream.flush()
            os.fsync(stream.fileno())
        publish(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _shown(cell: object) -> object:
    return None if str(cell) in ("", "--") else cell


VERB = Verb(
    name="ls",
    summary="list the frames of a folder: what each is, and why",
    description="""\
List the frames of a folder: the class of each (bias, flat, arc, object ...), the
reason, and the keywords that matter for its instrument. Only headers are read.

The classes can be corrected: save the table, edit it, and hand it to look_up_cals.""",
    examples=(
        ("ndmapper ls raw", "a table"),
        ("ndmapper ls raw --instrument kast", "by the rules of one instrument"),
        ("ndmapper ls raw --save night.ecsv", "a table that can be edited"),
    ),
    exit_codes={
        0: "listed",
        1: "a folder or instrument that cannot be read, or a table not written",
    },
    add_arguments=_add_arguments,
    run=_run,
)
