"""``ndmapper verify``: whether a script, as it stands, would make files."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ndmapper.cli.output import FilesOfSets, add_all, print_json, say_line
from ndmapper.cli.verb import Verb
from ndmapper.cli.why import DIFFERS

if TYPE_CHECKING:
    from ndmapper.cli.planning import ScriptPlan

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT", type=Path, help="the script")
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        type=Path,
        action=FilesOfSets,
        help="products to verify, or a set, as 'x-{ifu:02d}.fits'",
    )
    parser.add_argument(
        "--arg", action="append", default=[], metavar="WORD", dest="arguments",
        help="handed to the script in sys.argv; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--outdir", metavar="DIR", help="folder of products (default: the script's)"
    )
    add_all(parser, "each file by itself, where the same holds for many")


def _run(args: argparse.Namespace) -> int:
    from ndmapper.cli.planning import ScriptPlan, plan_script

    # Whatever the script does where a product exists, what differs is told.
    settings = {"reprocess": "auto", "code": "make"}
    if args.outdir is not None:
        settings["outdir"] = args.outdir
    plan = plan_script(args.script, args.arguments, settings)

    def judge(path: Path, plan: ScriptPlan) -> list[str]:
        item = plan.find(path)
        if item is None:
            return [plan.ended or f"{args.script} makes no such file"]
        if item.is_open:
            return [f"cannot tell: it is made again {item.reason}"]
        if item.action == "run":
            return ["it is not there"]
        if item.action == "replace":
            return item.reason.split("; ")
        return list(item.changes)

    found = {str(path): judge(path, plan) for path in args.files}
    if args.json:
        print_json({"script": args.script, "files": found})
    else:
        short = {n: _in_short(plan, n) or reasons for n, reasons in found.items()}
        for name, words in _lines(short, each=args.all):
            say_line(f"{name}: {words}")
    return DIFFERS if any(found.values()) else 0


def _in_short(plan: "ScriptPlan", name: str) -> Sequence[str]:
    """Give the reasons for a product, where many files are named as one."""
    item = plan.find(Path(name))
    if item is None or item.is_open or item.action == "run":
        return ()
    return item.in_short


def _lines(
    found: Mapping[str, Sequence[str]], *, each: bool
) -> Iterator[tuple[str, str]]:
    """Give the verdict on each file, and on files that are alike one."""
    from ndmapper.data.fold_names import fold_names

    groups: dict[str, list[str]] = {}
    for name, reasons in found.items():
        words = "; ".join(reasons) if reasons else "as the script makes it"
        if each:
            yield name, words
        else:
            groups.setdefault(words, []).append(name)
    for words, names in groups.items():
        for name in fold_names(names):
            yield name, words


VERB = Verb(
    description="""\
Run a script with steps that only plan, and compare what they would make with what the
records of the files say: inputs by content, parameters, calibrations, versions, and
the code of the script's own steps. Where the script looks at pixels that are not made
yet nothing can be told of what it does beyond that line, and the line is named.""",
    examples=(
        ("ndmapper verify night.py sci.fits", "was it made by this script?"),
        ("ndmapper verify night.py --arg raw/ *.fits", "the script takes a folder"),
    ),
    exit_codes={0: "it would make all of them", 1: "an error", DIFFERS: "not all"},
    add_arguments=_add_arguments,
    run=_run,
)
