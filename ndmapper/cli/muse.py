"""``ndmapper muse``: reduce nights of MUSE."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]

INCOMPLETE = 3
"""The exit code of --status where something is not done."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", nargs="?", default="muse.toml", metavar="CONFIG",
        help="the configuration (default: muse.toml)",
    )  # fmt: skip
    parser.add_argument(
        "--ob", action="append", metavar="NAME",
        help="an observation block; may be given several times (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--only", action="append", metavar="STEP",
        help="run this step only; may be given several times",
    )  # fmt: skip
    parser.add_argument("--from", dest="start", metavar="STEP", help="the first step")
    parser.add_argument("--until", dest="stop", metavar="STEP", help="the last step")
    parser.add_argument(
        "--dry-run", action="store_true",
        help="show files and command lines of all steps, and run nothing",
    )  # fmt: skip
    parser.add_argument(
        "--status", action="store_true", help="show what is done, and what is not"
    )
    parser.add_argument(
        "--table", metavar="FILE", type=Path,
        help="with --status, write it as ECSV; otherwise the table of raw frames, "
        "which can be corrected and named in the configuration",
    )  # fmt: skip
    parser.add_argument(
        "--init", action="store_true", help="write a configuration with comments"
    )
    parser.add_argument("--workers", help="processes, or 'all'")


def _run(args: argparse.Namespace) -> int:
    path = Path(args.config)
    if args.init:
        return _init(args, path)
    from ndmapper.config import config
    from ndmapper.lib.muse.musereduce_config import read_config
    from ndmapper.lib.muse.reduction import MuseReduction, reduce_muse

    chosen = read_config(path)
    if args.status:
        return _status(args, chosen)
    if args.table is not None:
        table = MuseReduction(chosen).night.table
        table.write(args.table, format="ascii.ecsv")
        say(f"{args.table}: {len(table)} raw frames")
        return 0
    words: dict[str, Any] = {"dry_run": args.dry_run}
    if args.workers is not None:
        words["workers"] = args.workers
        chosen = dataclasses.replace(chosen, workers=args.workers)
    with config.using(**words):
        made = reduce_muse(
            chosen, args.ob, only=args.only, start=args.start, stop=args.stop
        )
    if args.json:
        print_json({name: repr(result) for name, result in made.items()})
    return 0


def _init(args: argparse.Namespace, path: Path) -> int:
    """Write a configuration that is not there yet."""
    from ndmapper.errors import OutputExistsError
    from ndmapper.lib.muse.settings import TEMPLATE

    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(TEMPLATE)
    except FileExistsError as err:
        msg = f"{path} exists already; give another name, or remove it"
        raise OutputExistsError(msg) from err
    if args.json:
        print_json({"config": str(path)})
    else:
        say(f"wrote {path}; edit it, and run 'ndmapper muse {path}'")
    return 0


def _status(args: argparse.Namespace, chosen: Any) -> int:
    """Show what is done, and what is not."""
    from ndmapper.lib.muse.status import muse_status

    table = muse_status(chosen, args.ob)
    if args.table is not None:
        table.write(args.table, format="ascii.ecsv")
    rows = [tuple(str(cell) for cell in row) for row in table]
    if args.json:
        print_json([dict(zip(table.colnames, row, strict=True)) for row in rows])
    else:
        say(format_columns(rows, tuple(table.colnames)))
    done = all(state in ("done", "none") for state in table["state"])
    return 0 if done else INCOMPLETE


VERB = Verb(
    description="""\
Reduce nights of MUSE by the recipes of ESO's pipeline, from raw frames to the combined
cube of each observation block. Masters are made or found, and nothing is made again
that is there already and would be the same.""",
    examples=(
        ("ndmapper muse --init", "write muse.toml, to be edited"),
        ("ndmapper muse", "reduce all that it names"),
        ("ndmapper muse --dry-run --until flat", "show what would be run"),
        ("ndmapper muse --status", "what is done, stale, failed or pending"),
        ("ndmapper muse --table night.ecsv", "write how raw frames are sorted"),
    ),
    exit_codes={
        0: "done", 1: "an error, or an observation block that failed",
        3: "--status, and something is not done",
    },
    add_arguments=_add_arguments,
    run=_run,
)  # fmt: skip
