"""``ndmapper log``: how products were made, from their records."""

import argparse
from pathlib import Path

from ndmapper.cli.output import FilesOfSets, add_all, print_json, say
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, action=FilesOfSets,
        help="a product, or a set, as 'x-{ifu:02d}.fits'",
    )  # fmt: skip
    parser.add_argument(
        "--full", action="store_true",
        help="also every input, paths, the text of steps, and what tools printed",
    )  # fmt: skip
    add_all(parser, "each file by itself, where the same was done with many")


def _run(args: argparse.Namespace) -> int:
    from ndmapper.io.record import read_records
    from ndmapper.report.history import history

    records = {str(path): read_records(path) for path in args.files}
    if args.json:
        print_json(records)
        return 0
    say(history(records, each=args.all, full=args.full))
    return 0


VERB = Verb(
    description="""\
Show the record of products: each step back to the raw frames, with its inputs,
calibrations, parameters, the numbers that it measured, and versions (where they differ
from those of the step before). The record is in the file itself, or in
.ndmapper/records/ beside it. A file without one is said to have none.

What was done alike with several files is one step, and files whose names differ in a
number are written as one: x-{01..24}.fits.""",
    examples=(
        ("ndmapper log xfgvbtob27.fits", "the history of one product"),
        ("ndmapper log --full xfgvbtob27.fits", "with texts, paths, logs of tools"),
        ("ndmapper log --json *.fits", "the records as they are stored"),
    ),
    exit_codes={0: "shown", 1: "a file that cannot be read"},
    add_arguments=_add_arguments,
    run=_run,
)
