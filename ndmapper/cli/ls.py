"""``ndmapper ls``: what a folder of frames holds."""

import argparse
from pathlib import Path

from ndmapper.cli.output import check_new, format_columns, print_json, save_table
from ndmapper.cli.verb import Verb

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

    if args.save is not None:
        check_new(args.save)
    table = survey(args.folder, instrument=args.instrument)
    if args.save is not None:
        save_table(table, args.save)
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
