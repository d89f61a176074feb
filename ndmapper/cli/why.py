"""``ndmapper why``: what would be made again, and for which reason."""

import argparse
from pathlib import Path

from ndmapper.cli.output import print_json
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]

DIFFERS = 3


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE|SCRIPT", type=Path, help="a product, or a script (*.py)"
    )
    parser.add_argument(
        "arguments", nargs="*", metavar="ARGUMENT", help="handed to the script"
    )
    parser.add_argument(
        "--outdir", metavar="DIR", help="folder of products (default: the script's)"
    )


def _run(args: argparse.Namespace) -> int:
    if args.file.suffix != ".py":
        return _run_file(args)
    from ndmapper.cli.planning import plan_script

    settings = {} if args.outdir is None else {"outdir": args.outdir}
    plan = plan_script(args.file, args.arguments, settings)
    todo = [item for item in plan.items if item.action != "reuse"]
    noted = [item for item in plan.items if item.action == "reuse" and item.changes]
    if args.json:
        print_json(
            {
                "script": args.file,
                "steps": [
                    {
                        "step": item.step,
                        "action": item.action,
                        "inputs": [str(df) for df in item.works[0].inputs],
                        "products": item.products,
                        "reasons": [item.reason, *item.changes],
                    }
                    for item in plan.items
                ],
                "ended": plan.ended,
            }
        )
    else:
        for item in (*todo, *noted):
            made = ", ".join(item.products) or "no product"
            verb = {"run": "made", "replace": "made again"}.get(item.action, "kept")
            reasons = item.changes if item.action == "reuse" else (item.reason,)
            print(
                f"{item.step}: {item.sources} -> {made}: {verb}: {'; '.join(reasons)}"
            )
        current = len(plan.items) - len(todo)
        print(f"{len(todo)} to do, {current} current")
        if plan.ended:
            print(f"the plan ends here: {plan.ended}")
    return DIFFERS if todo else 0


def _run_file(args: argparse.Namespace) -> int:
    from ndmapper.cli.catalogue import revision_now
    from ndmapper.steps.freshness import why_stale

    reasons = why_stale(args.file, revision_now=revision_now)
    if args.json:
        print_json({"file": args.file, "reasons": reasons})
    elif not reasons:
        print(f"{args.file} is what its record says, and would be the same today")
    else:
        print("\n".join(f"{args.file}: {reason}" for reason in reasons))
    return DIFFERS if reasons else 0


VERB = Verb(
    name="why",
    summary="say what would be made again, and why",
    description="""\
Of a script: run it with steps that only plan, and list what they would make, and for
which reason; what the script does outside of steps is done. Where it looks at pixels
that are not made yet, the plan ends, and the line is named.

Of a product: what has changed since it was made (inputs, calibrations, versions), by
its record alone.""",
    examples=(
        ("ndmapper why night.py raw/", "what a run would do now"),
        ("ndmapper why sci.fits", "is it still what its inputs make?"),
    ),
    exit_codes={0: "nothing to do", 1: "an error", DIFFERS: "something would be made"},
    add_arguments=_add_arguments,
    run=_run,
)
