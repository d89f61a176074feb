"""``ndmapper completion``: what makes a shell complete verbs, options and files."""

import argparse
from typing import Any

from ndmapper.cli.output import print_json, say
from ndmapper.cli.verb import Verb, VerbParser
from ndmapper.errors import MissingPackageError

__all__ = ["VERB"]

_FOLDERS = ("FOLDER", "DIR")
_FILES = ("A", "B", "ECSV", "FILE", "FILE|SCRIPT", "JSON", "PNG", "SCRIPT", "TOML")
"""How the verbs call arguments that are paths of folders, and of files."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh"), help="which shell")


def _run(args: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError as err:
        msg = "completion needs shtab; get it by: pip install shtab"
        raise MissingPackageError(msg) from err
    _mark_paths(args.parser, files=shtab.FILE, folders=shtab.DIRECTORY)
    text = shtab.complete(args.parser, args.shell)
    if args.json:
        print_json({"shell": args.shell, "script": text})
    else:
        say(text)
    return 0


def _mark_paths(parser: argparse.ArgumentParser, *, files: Any, folders: Any) -> None:
    """Tell shtab, in all verbs, which arguments are paths."""
    if isinstance(parser, VerbParser):
        parser.fill()
    # argparse offers no public way to its arguments; shtab takes this one too.
    for action in parser._actions:
        if action.metavar in _FOLDERS:
            action.complete = folders  # type: ignore[attr-defined]
        elif action.metavar in _FILES:
            action.complete = files  # type: ignore[attr-defined]
        if action.nargs == argparse.PARSER and isinstance(action.choices, dict):
            for child in action.choices.values():
                _mark_paths(child, files=files, folders=folders)


VERB = Verb(
    description="""\
Print the script by which bash or zsh completes verbs, options, choices and the names
of files and folders. It knows the verbs of this version; print it again after an
update.""",
    examples=(
        ("ndmapper completion bash > FILE", "and 'source FILE' in ~/.bashrc"),
        ("ndmapper completion zsh > FOLDER/_ndmapper", "a folder that is in fpath"),
    ),
    exit_codes={0: "printed", 1: "shtab is not installed"},
    add_arguments=_add_arguments,
    run=_run,
)
