"""``ndmapper run``: run a reduction script, with settings from the command line."""

import argparse

from ndmapper.cli.output import print_json
from ndmapper.cli.run_script import READER_LEFT, run_script
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]


_SETTINGS = (
    "reprocess", "outdir", "workers", "cluster", "on_error", "timeout", "engine",
    "interact", "dry_run",
)  # fmt: skip


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
        choices=("true", "false", "auto", "error"),
        help="what to do where a product exists: make it again (true), make it again "
        "if it differs from what would be made now (auto), re-use it and warn where it "
        "does (false), or stop (error). Without this option the script's own setting "
        "holds, and else auto",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        help="how many files are worked on at once: a number, or 'all'",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="a dask scheduler that does the work, such as tcp://host:8786",
    )
    parser.add_argument(
        "--on-error",
        choices=("stop", "continue"),
        help="what a step does with its other files when one fails",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        help="the most time that an external tool may take for one unit of work",
    )
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help="the engine of steps that have several, such as iraf",
    )
    parser.add_argument(
        "--interact",
        action="store_true",
        default=None,
        help="let steps that can ask the user do so",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        default=None,
        help="only say what each step would do, with the exact parameters and command "
        "lines; see also 'ndmapper why'",
    )
    parser.add_argument(
        "--outdir",
        metavar="DIR",
        help="folder of products, log and side data (default: the script's, else the "
        "current folder)",
    )


def _run(args: argparse.Namespace) -> int:
    settings = {name: getattr(args, name) for name in _SETTINGS}
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
    description="""\
Run a reduction script, here and now, as 'python SCRIPT' would.

Products that exist are made again only if they differ from what would be made now,
unless the script or --reprocess says otherwise, so a second run does only what is
needed. What the command line says wins over the script.
With --json, what the script prints goes to standard error.""",
    examples=(
        ("ndmapper run night.py raw/", "the script finds raw/ in sys.argv[1]"),
        ("ndmapper run night.py raw/ --reprocess true", "make every product again"),
        ("ndmapper run night.py --outdir reduced", "products go to another folder"),
        ("ndmapper run night.py -- --fast", "--fast is an option of the script"),
    ),
    exit_codes={
        0: "the script ran to its end",
        1: "an error in the script or in a step, or products that failed",
        130: "interrupted from the keyboard",
        READER_LEFT: "stopped, since nobody reads its output (as in '| head')",
    },
    add_arguments=_add_arguments,
    run=_run,
)
