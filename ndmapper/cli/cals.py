"""``ndmapper cals``: what calibrates what, why, and what a person says of it."""

import argparse
from collections.abc import Callable

from ndmapper.cli import cals_edit, cals_look
from ndmapper.cli.verb import Verb, add_common_options

__all__ = ["VERB"]

_ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "show": ("what is associated, and who says so", cals_look.add_show),
    "why": ("which rule each candidate failed, or by how much it lost",
            cals_look.add_why),
    "graph": ("draw the tree of calibrations", cals_look.add_graph),
    "check": ("whether every file is there, with its checksum", cals_look.add_check),
    "update": ("look up what is missing, as a script does", cals_edit.add_update),
    "override": ("replace one calibration, or lock it", cals_edit.add_override),
    "bad": ("mark frames that are not to be used", cals_edit.add_bad),
}  # fmt: skip


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True,
        parser_class=argparse.ArgumentParser,
    )  # fmt: skip
    for name, (summary, add) in _ACTIONS.items():
        child = actions.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + ".",
            allow_abbrev=False,
        )  # fmt: skip
        add_common_options(child, default=argparse.SUPPRESS)
        child.add_argument(
            "-d", "--document", metavar="JSON", default="calibrations.json",
            help="the calibration document (default: calibrations.json)",
        )  # fmt: skip
        add(child)


def _run(args: argparse.Namespace) -> int:
    code: int = args.act(args)
    return code


VERB = Verb(
    description="""\
Look at a calibration document, and change it: which calibration each frame uses and
who says so, why others do not fit, whether all files are there. What you say here or
in the file wins over every look-up. 'ndmapper cals ACTION --help' explains one.""",
    examples=(
        ("ndmapper cals show", "all that is associated"),
        ("ndmapper cals why raw/b27.fits --type bias", "each candidate, and its fate"),
        ("ndmapper cals override b27.fits arc b2.fits", "another arc"),
        ("ndmapper cals bad b22.fits --why stripes", "never use it"),
        ("ndmapper cals check --dirname raw", "are all files there, and whole?"),
        ("ndmapper cals graph --form mermaid", "the tree, to be drawn"),
    ),
    exit_codes={
        0: "done; all files are there, all calibrations were found",
        1: "an error, such as a malformed document or an unknown file",
        3: "files (check) or calibrations (why, update) are missing or damaged",
    },
    add_arguments=_add_arguments,
    run=_run,
)
