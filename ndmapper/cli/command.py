"""Read the command line, call the verb, and turn errors into messages."""

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ndmapper._version import __version__
from ndmapper.cli import (
    cals,
    clean,
    config,
    demo,
    diff,
    doctor,
    fetch,
    find,
    graph,
    info,
    log,
    ls,
    new,
    qc,
    run,
    script,
    show,
    step,
    steps,
    verify,
    why,
)
from ndmapper.cli.output import say
from ndmapper.cli.verb import Verb
from ndmapper.config import config as configuration
from ndmapper.errors import NdmapperError
from ndmapper.log import log_to_terminal
from ndmapper.terminal import printable

__all__ = ["VERBS", "main", "make_parser"]

VERBS: tuple[Verb, ...] = (
    info.VERB,
    show.VERB,
    ls.VERB,
    find.VERB,
    fetch.VERB,
    cals.VERB,
    new.VERB,
    log.VERB,
    graph.VERB,
    qc.VERB,
    diff.VERB,
    script.VERB,
    run.VERB,
    why.VERB,
    verify.VERB,
    clean.VERB,
    steps.VERB,
    step.VERB,
    config.VERB,
    demo.VERB,
    doctor.VERB,
)
"""The verbs, in the order of the help text."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the ``ndmapper`` command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after the command's name; those of the process by default.

    Returns
    -------
    int
        The exit code: 0 when all went well, 1 after an error, 2 for a wrong command
        line, 130 when interrupted. A script that runs may exit with its own.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parse(words)
    except SystemExit as stop:  # argparse has printed the help or the message
        return int(stop.code or 0)
    warnings.formatwarning = _warning
    log_to_terminal(logging.DEBUG if args.debug else logging.INFO)
    if args.trust_folder:
        configuration.trust(Path.cwd())
    code = 0
    try:
        code = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _say("interrupted; finished products are kept, and the next run goes on")
        code = 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more
        # when it flushes standard output at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (NdmapperError, OSError) as err:
        _say(str(err), debug=args.debug)
        code = 1
    except Exception as err:
        _say(
            f"ndmapper itself failed ({type(err).__name__}: {err}); please report it, "
            f"with what the same command prints with --debug",
            debug=args.debug,
        )
        code = 1
    return code


def make_parser() -> argparse.ArgumentParser:
    """
    Make the parser of the whole command line.

    Returns
    -------
    argparse.ArgumentParser
        The parser; each verb's own is among its subparsers.
    """
    parser = argparse.ArgumentParser(
        prog="ndmapper",
        description="Reduce astronomical data with short Python scripts, and look at "
        "what they made.",
        epilog="'ndmapper VERB --help' explains a verb.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"ndmapper {__version__}"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON, for other programs"
    )
    parser.add_argument(
        "--debug", action="store_true", help="show details, and tracebacks of errors"
    )
    parser.add_argument(
        "--trust-folder",
        action="store_true",
        help="let ndmapper.toml of this folder name programs and archives with logins",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        child = verbs.add_parser(
            verb.name,
            help=verb.summary,
            description=verb.description,
            epilog=verb.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        # Both may stand before the verb as well, which the verb's default must keep.
        child.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print JSON, for other programs",
        )
        child.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="show details, and tracebacks of errors",
        )
        child.add_argument(
            "--trust-folder",
            action="store_true",
            default=argparse.SUPPRESS,
            help="let ndmapper.toml of this folder name programs and archives with "
            "logins",
        )
        verb.add_arguments(child)
        child.set_defaults(run=verb.run)
    return parser


def _parse(words: list[str]) -> argparse.Namespace:
    """Parse the command line; what a script is given may stand anywhere after it."""
    parser = make_parser()
    verb = next((word for word in words if not word.startswith("-")), None)
    if verb == step.VERB.name:
        args, rest = parser.parse_known_args(words)
        args.rest = rest
        return args
    if verb != run.VERB.name:
        return parser.parse_args(words)
    end = words.index("--") if "--" in words else len(words)
    args, rest = parser.parse_known_args(words[:end])
    unknown = [word for word in rest if word.startswith("-") and not _is_number(word)]
    if unknown:
        parser.error(
            f"unrecognized arguments: {' '.join(unknown)} (options of the script "
            f"itself follow after ' -- ')"
        )
    args.arguments = [*args.arguments, *rest, *words[end + 1 :]]
    return args


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


_format_warning = warnings.formatwarning


def _warning(*words: Any, **options: Any) -> str:
    """Write a warning of any package, which may quote the card of a header."""
    return printable(_format_warning(*words, **options))


def _say(message: str, *, debug: bool = False) -> None:
    if debug:
        say(traceback.format_exc(), file=sys.stderr)
    say(f"ndmapper: {message}", file=sys.stderr)
