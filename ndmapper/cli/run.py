"""``ndmapper run``: run a reduction script, with settings from the command line."""

import argparse

from ndmapper.cli.output import print_json
from ndmapper.cli.script import READER_LEFT, run_script
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT", help="the Python script")
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="ARGUMENT",
        help="handed to the script in sys.argv; options of its own follow after ' -- '",
    )
    parser.add_argument(
        "--reprocess",
        choices=("true", "false", "error"),
        help="what to do where a product exists: make it again (true), re-use it and "
        "warn where it is out of date (false), or stop (error). Without this option "
        "the script's own setting holds, and else products are re-used",
    )
    parser.add_argument(
        "--outdir",
        metavar="DIR",
        help="folder of products, log and side data (default: the script's, else the "
        "current folder)",
    )


def _run(args: argparse.Namespace) -> int:
    settings = {"reprocess": args.reprocess, "outdir": args.outdir}
    result = run_script(
        args.script,
        args.arguments,
        settings={key: value for key, value in settings.items() if value is not None},
        output_to_stderr=args.json,
        debug=args.debug,
    )
    if args.json:
        print_json(
            {
                "script": args.script,
                "arguments": args.arguments,
                "exit_code": result.code,
                "error": result.error,
                **result.products,
            }
        )
    return result.code


VERB = Verb(
    name="run",
    summary="run a reduction script",
    description="""\
Run a reduction script, here and now, as 'python SCRIPT' would.

Products that exist are re-used unless the script or --reprocess says otherwise, so a
second run does only what is missing. What the command line says wins over the script.
With --json, what the script prints goes to standard error.""",
    examples=(
        ("ndmapper run night.py raw/", "the script finds raw/ in sys.argv[1]"),
        ("ndmapper run night.py raw/ --reprocess true", "make every product again"),
        ("ndmapper run night.py --outdir reduced", "products go to another folder"),
        ("ndmapper run night.py -- --fast", "--fast is an option of the script"),
    ),
    exit_codes={
        0: "the script ran to its end",
        1: "an error in the script or in a step",
        130: "interrupted from the keyboard",
        READER_LEFT: "stopped, since nobody reads its output (as in '| head')",
    },
    add_arguments=_add_arguments,
    run=_run,
)
