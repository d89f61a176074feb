"""``ndmapper script``: a script that makes products again."""

import argparse
import os
import sys
from pathlib import Path

from ndmapper.cli.output import FilesOfSets, print_json, say
from ndmapper.cli.records import read_all
from ndmapper.cli.verb import Verb
from ndmapper.errors import FileAccessError, OutputExistsError

__all__ = ["INCOMPLETE", "VERB"]

INCOMPLETE = 3
"""Exit code where the script cannot make everything."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, action=FilesOfSets,
        help="a product, or a set, as 'x-{ifu:02d}.fits'",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="SCRIPT", type=Path,
        help="write it to a new file (default: print it)",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from ndmapper.report.script import write_script

    script = write_script(read_all(args.files))
    if args.output is not None:
        _save(script.text, args.output)
    if args.json:
        print_json(
            {"script": script.text, "raw": script.raws, "problems": script.problems}
        )
    elif args.output is None:
        say(script.text, end="")
    for problem in script.problems:
        say(f"ndmapper: it cannot be made again: {problem}", file=sys.stderr)
    return INCOMPLETE if script.problems else 0


def _save(text: str, path: Path) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError as err:
        msg = f"{path} already exists; name another file, or delete it first"
        raise OutputExistsError(msg) from err
    except OSError as err:
        msg = f"{path} cannot be written ({err.strerror})"
        raise FileAccessError(msg) from err


VERB = Verb(
    description="""\
Write a script that makes products again, from the raw files on, as their records tell:
steps of packages and of your own scripts with the helpers and constants they use, IRAF
tasks, esorex recipes and other programs. It checks the content of the raw files first.

The script holds code that the records hold; look at it before you run it, as at any
program that came with a file. What was edited, or was only in memory, cannot be made
again: the script stops there and says so.""",
    examples=(
        ("ndmapper script final.fits > again.py", "then: python again.py raw/"),
        ("ndmapper script -o again.py a.fits b.fits", "for two products"),
    ),
    exit_codes={
        0: "written",
        1: "a file that cannot be read, or has no record",
        INCOMPLETE: "written, but it stops where something cannot be made again",
    },
    add_arguments=_add_arguments,
    run=_run,
)
