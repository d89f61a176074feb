"""``ndmapper config``: every key of the configuration, its value and its source."""

import argparse

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.cli.verb import Verb
from ndmapper.config import KEYS, Refused, config

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", nargs="?", metavar="KEY", help="show this key alone")


def _run(args: argparse.Namespace) -> int:
    names = list(KEYS) if args.key is None else [args.key]
    rows = [(name, config[name], config.source(name)) for name in names]
    if args.json:
        print_json(
            {
                name: {"value": _plain(value), "source": source, "doc": KEYS[name].doc}
                for name, value, source in rows
            }
        )
        return 0
    shown = [(name, repr(value), source) for name, value, source in rows]
    say(format_columns(shown, ["key", "value", "source"]))
    if args.key is not None:
        say(f"\n{KEYS[args.key].doc}")
    return 0


def _plain(value: object) -> object:
    return repr(value) if isinstance(value, Refused) else value


VERB = Verb(
    description="""\
Show the configuration: every key, its value and where the value comes from.

The first of these places that gives a value wins: the argument of a call, the
command line, the script, an environment variable NDMAPPER_KEY, ndmapper.toml in the
working folder, the user's own ndmapper.toml, the default.

The file of a working folder may come from anybody. What it says of programs (esorex,
iraf_python ...) is used, and archives that it names get credentials, only where
trusted_folders in your own file, or the option --trust-folder, trusts the folder.""",
    examples=(
        ("ndmapper config", "all keys"),
        ("ndmapper config reprocess", "one key, and what it means"),
        ("ndmapper config --json", "for another program"),
    ),
    exit_codes={0: "shown", 1: "no such key, or a wrong value in one of the places"},
    add_arguments=_add_arguments,
    run=_run,
)
