"""``ndmapper find``: what an archive has."""

import argparse
from pathlib import Path

from ndmapper.cli.output import check_new, format_columns, print_json, save_table, say
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]

_SHOWN = ("filename", "date", "program", "object", "instrument", "class", "type",
          "exptime", "size")  # fmt: skip


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "archive", metavar="ARCHIVE",
        help="gemini, eso, or what an installed package offers",
    )  # fmt: skip
    parser.add_argument("--program", metavar="ID", help="observing programme")
    parser.add_argument(
        "--target", metavar="NAME", help="object; * stands for anything"
    )
    parser.add_argument(
        "--date", metavar="DAY", help="a day (UT), or two: 2012-08-27..2012-08-30"
    )
    parser.add_argument("--instrument", metavar="NAME", help="instrument")
    parser.add_argument(
        "--type", metavar="TYPE", help="type of observation, as the archive calls it"
    )
    parser.add_argument(
        "--class", metavar="CLASS", dest="obs_class",
        help="class of observation, as the archive calls it",
    )  # fmt: skip
    parser.add_argument("--limit", metavar="N", type=int, help="the most files")
    parser.add_argument(
        "--save", metavar="FILE", type=Path,
        help="write the table (.ecsv), for 'ndmapper fetch' or download_files",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from ndmapper.services import find_files

    if args.save is not None:
        check_new(args.save)
    table = find_files(
        args.archive,
        program=args.program,
        target=args.target,
        date=args.date,
        instrument=args.instrument,
        obs_type=args.type,
        obs_class=args.obs_class,
        limit=args.limit,
    )
    if args.save is not None:
        save_table(table, args.save)
    if args.json:
        print_json([dict(zip(table.colnames, row, strict=True)) for row in table])
        return 0
    if not len(table):
        say(f"{args.archive} has no such files")
        return 0
    cells = [[_cell(row[name]) for name in _SHOWN] for row in table]
    say(format_columns(cells, _SHOWN))
    say(f"\n{len(table)} files, {sum(table['size'].filled(0)) / 1e6:.1f} MB")
    if args.save is not None:
        say(f"written to {args.save}")
    return 0


def _cell(value: object) -> object:
    return None if str(value) in {"", "--"} else value


VERB = Verb(
    description="""\
Find files in an archive by program, target, date and instrument. The table can be
saved, edited (take out rows), and given to 'ndmapper fetch', download_files or
DataFileList.""",
    examples=(
        (
            "ndmapper find gemini --program GS-2012B-Q-1 --date 2012-08-27",
            "one night of a program",
        ),
        (
            "ndmapper find eso --target 'NGC 1*' --save muse.ecsv",
            "a table to be edited",
        ),
    ),
    exit_codes={
        0: "the archive answered, with files or without",
        1: "it cannot be asked, finds too many, or the table cannot be written",
    },
    add_arguments=_add_arguments,
    run=_run,
)
