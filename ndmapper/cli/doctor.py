"""``ndmapper doctor``: what is there, what is missing, and how to get it."""

import argparse

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.cli.verb import Verb

__all__ = ["VERB", "WRONG"]

WRONG = 3
"""Exit code where something is wrong that everything needs."""

_SIGNS = {"ok": "ok", "missing": "missing", "wrong": "WRONG"}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--missing", action="store_true", help="show only what is missing or wrong"
    )


def _run(args: argparse.Namespace) -> int:
    from ndmapper.report.doctor import examine

    findings = examine()
    code = WRONG if any(f.state == "wrong" for f in findings) else 0
    if args.missing:
        findings = [f for f in findings if f.state != "ok"]
    if args.json:
        print_json([vars(finding) for finding in findings])
        return code
    cells = [(_SIGNS[f.state], f.topic, f.name, f.found) for f in findings]
    if cells:
        say(format_columns(cells, ["state", "topic", "what", "found"]))
    lacking = [f for f in findings if f.state != "ok"]
    for finding in lacking:
        say(f"\n{finding.name}, for {finding.used_for}:\n    {finding.advice}")
    if not lacking:
        say(f"{'' if args.missing else chr(10)}nothing is missing")
    return code


VERB = Verb(
    description="""\
Say what ndmapper finds here: Python packages and extras, the configuration, IRAF and
PyRAF, esorex and its pipelines, folders that must be writable, cores and memory; and
what is missing, for what it is needed, and how to get it. Nothing is installed, and no
archive is contacted.""",
    examples=(
        ("ndmapper doctor", "everything"),
        ("ndmapper doctor --missing", "only what is missing or wrong"),
    ),
    exit_codes={
        0: "all that every reduction needs is there",
        WRONG: "something is wrong that every reduction needs",
    },
    add_arguments=_add_arguments,
    run=_run,
)
