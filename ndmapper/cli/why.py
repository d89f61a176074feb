"""``ndmapper why``: what would be made again, and for which reason."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ndmapper.cli.output import add_all, members_named, print_json, say, say_line
from ndmapper.cli.verb import Verb

if TYPE_CHECKING:
    from ndmapper.cli.planning import ScriptPlan
    from ndmapper.steps.call.decide import PlanItem

__all__ = ["VERB"]

DIFFERS = 3

_FEW = 3
"""Up to so many units of the same step and reason have a line each."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE|SCRIPT", type=Path,
        help="a product, a set of them as 'x-{ifu:02d}.fits', or a script (*.py)",
    )  # fmt: skip
    parser.add_argument(
        "arguments", nargs="*", metavar="ARGUMENT", help="handed to the script"
    )
    parser.add_argument(
        "--outdir", metavar="DIR", help="folder of products (default: the script's)"
    )
    parser.add_argument(
        "--reprocess",
        choices=("true", "false", "auto", "error"),
        help="plan as a run with this option (default: the script's, else auto)",
    )
    add_all(parser, "each file by itself, where many are made for the same reason")


def _run(args: argparse.Namespace) -> int:
    if args.file.suffix != ".py":
        return _run_file(args)
    from ndmapper.cli.planning import plan_script

    given = {"outdir": args.outdir, "reprocess": args.reprocess}
    settings = {name: value for name, value in given.items() if value is not None}
    plan = plan_script(args.file, args.arguments, settings)
    todo = [item for item in plan.items if item.action != "reuse"]
    if args.json:
        print_json(
            {
                "script": args.file,
                "steps": [
                    {
                        "step": item.step,
                        "action": "perhaps" if item.is_open else item.action,
                        "inputs": [str(df) for df in item.units[0].inputs],
                        "products": item.products,
                        "reasons": [item.reason, *item.changes],
                    }
                    for item in plan.items
                ],
                "ended": plan.ended,
            }
        )
    else:
        for line in _lines(plan, each=args.all):
            say_line(line)
    return DIFFERS if todo else int(plan.ended is not None)


def _lines(plan: "ScriptPlan", *, each: bool) -> list[str]:
    """Say what is done, what is stale, and how much there is of each."""
    from ndmapper.steps.call.describe import group_units
    from ndmapper.steps.record.summary import stale_line

    todo = [item for item in plan.items if item.action != "reuse"]
    there = [item for item in plan.items if item.action == "reuse"]
    kept = [item for item in there if item.is_kept]
    stale = [item for item in there if item.changes and not item.is_kept]
    cleaned = [item for item in there if item.reason != "exists"]
    lines = [
        line
        for group in group_units([*todo, *kept])
        for line in _group_lines(group, each=each)
    ]
    if stale:
        count = sum(len(item.products) for item in stale)
        causes = list(dict.fromkeys(c for item in stale for c in item.causes))
        remedy = "--reprocess auto makes them again"
        lines.append(f"{stale_line(count, causes)}; {remedy}")
    perhaps = sum(item.is_open for item in todo)
    current = len(there) - len({id(item) for item in (*stale, *kept, *cleaned)})
    counts = {
        "that nobody can tell": perhaps,
        "cleaned": len(cleaned),
        "stale": len(stale),
        "kept": len(kept),
    }
    words = [f"{len(todo) - perhaps} to do", f"{current} current"]
    words += [f"{count} {word}" for word, count in counts.items() if count]
    if plan.ended:
        return [*lines, f"before that: {', '.join(words)}", plan.ended]
    return [*lines, ", ".join(words)]


def _group_lines(items: "Sequence[PlanItem]", *, each: bool) -> list[str]:
    """Give a line for each unit, but one for many that have the same reason."""
    from ndmapper.steps.call.describe import describe_units, reason_of

    first = items[0]
    verb = {"run": "made", "replace": "made again"}.get(first.action, "kept")
    verb = f"perhaps {verb}" if first.is_open else verb
    parts = [items] if len(items) > _FEW and not each else [[item] for item in items]
    lines = []
    for part in parts:
        products = "" if first.products else " -> no product"
        count = f" ({len(part)})" if len(part) > 1 else ""
        why = reason_of(part)
        lines.append(f"{describe_units(part)}{products}{count}: {verb}: {why}")
    return lines


def _run_file(args: argparse.Namespace) -> int:
    from ndmapper.cli.catalogue import revision_now
    from ndmapper.steps.record.freshness import why_stale

    members = members_named(args.file).values()
    found = {
        path: why_stale(path, revision_now=revision_now)
        for path in members or [args.file]
    }
    is_stale = any(found.values())
    if args.json:
        told = [{"file": path, "reasons": reasons} for path, reasons in found.items()]
        print_json(told if members else told[0])
        return DIFFERS if is_stale else 0
    for path, reasons in found.items():
        for reason in reasons:
            say_line(f"{path}: {reason}")
    if not is_stale:
        is_ = "are what their records say" if members else "is what its record says"
        say(f"{args.file} {is_}, and would be the same today")
    record = "their records" if members else "its record"
    say(f"(by {record} alone; the script was not looked at: 'ndmapper why SCRIPT')")
    return DIFFERS if is_stale else 0


VERB = Verb(
    description="""\
Of a script: run it with steps that only plan, and list what 'ndmapper run' would make,
and for which reason, with the script's own settings; what the script does outside of
steps is done. Where it looks at pixels that are not made yet, nothing can be told of
what comes beyond that line, and the line is named. What follows from a step whose code
has changed is made again only if that comes out otherwise, so it is called 'perhaps'.

Of a product: what has changed since it was made (inputs, calibrations, versions), by
its record alone; the script is not looked at.""",
    examples=(
        ("ndmapper why night.py raw/", "what a run would do now"),
        ("ndmapper why sci.fits", "is it still what its inputs make?"),
    ),
    exit_codes={
        0: "nothing to do",
        1: "an error, also of the script",
        DIFFERS: "something would be made",
    },
    add_arguments=_add_arguments,
    run=_run,
)
