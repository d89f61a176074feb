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
from ndmapper.cli.output import say
from ndmapper.cli.verb import LazyVerb, VerbParser, add_common_options
from ndmapper.config import config as configuration
from ndmapper.errors import NdmapperError, did_you_mean
from ndmapper.log import log_to_terminal
from ndmapper.terminal import printable

__all__ = ["VERBS", "main", "make_parser"]

VERBS: tuple[LazyVerb, ...] = (
    LazyVerb("info", "show what files hold: extensions, their parts, names, record"),
    LazyVerb("show", "show the images of a file, in DS9 or as a PNG"),
    LazyVerb("ls", "list the frames of a folder: what each is, and why"),
    LazyVerb("find", "find files in an archive"),
    LazyVerb("fetch", "get files from an archive"),
    LazyVerb("cals", "calibrations: show, explain, correct, check and draw them"),
    LazyVerb("new", "draft the description of an instrument from real headers"),
    LazyVerb("log", "show how products were made, back to the raw frames"),
    LazyVerb("graph", "draw what products were made of, back to the raw frames"),
    LazyVerb("qc", "show the numbers that steps recorded about what they made"),
    LazyVerb("diff", "compare two products, and say since which step they differ"),
    LazyVerb("script", "write a script that makes products again"),
    LazyVerb("run", "run a reduction script"),
    LazyVerb("why", "say what would be made again, and why"),
    LazyVerb("verify", "say if a script, as it stands, would make these files"),
    LazyVerb("clean", "remove intermediate products; later runs make them if needed"),
    LazyVerb("steps", "list the steps that there are, or show one"),
    LazyVerb("step", "run one step on files"),
    LazyVerb("muse", "reduce nights of MUSE, from raw frames to combined cubes"),
    LazyVerb("align", "correct the coordinates of images by their stars"),
    LazyVerb("config", "show the configuration: keys, values, where each comes from"),
    LazyVerb("completion", "print what makes a shell complete the command"),
    LazyVerb("simulate", "write raw frames of an instrument, to try things on"),
    LazyVerb("demo", "simulate a night, reduce it, show what came out"),
    LazyVerb(
        "doctor", "say which tools and packages are there, and how to get the others"
    ),
)
"""The verbs, in the order of the help text."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the ``ndmapper`` command, and return its exit code.

    It is 0 when all went well, 1 after an error, 2 for a wrong command line, 130 when
    interrupted. A script that runs may exit with its own.
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
    """Make the parser of the whole command line, with one for each verb."""
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
    add_common_options(parser)
    verbs = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=VerbParser
    )
    for verb in VERBS:
        verbs.add_parser(verb.name, help=verb.summary, verb=verb)
    parser.set_defaults(parser=parser)  # which completion describes as a whole
    return parser


def _parse(words: list[str]) -> argparse.Namespace:
    """Parse the command line; what a script is given may stand anywhere after it."""
    parser = make_parser()
    verb = next((word for word in words if not word.startswith("-")), None)
    names = [known.name for known in VERBS]
    if verb is not None and verb not in names:
        parser.error(f"there is no verb {verb!r}{did_you_mean(verb, names)}")
    if verb == "step":
        args, rest = parser.parse_known_args(words)
        args.rest = rest
        return args
    if verb != "run":
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
