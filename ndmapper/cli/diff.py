"""``ndmapper diff``: how two products differ, and since which step."""

import argparse
import math
from pathlib import Path
from typing import Any

from ndmapper.cli.output import members_named, print_json, say, say_line
from ndmapper.cli.verb import Verb
from ndmapper.errors import MissingMemberError

__all__ = ["DIFFERS", "VERB", "WITHIN"]

WITHIN = 3
"""Exit code where values differ by less than the tolerance."""

DIFFERS = 4
"""Exit code where the files differ."""

_MOST = 20


def _number(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError
    return value


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "first", metavar="A", type=Path, help="a file, or a set, as 'x-{ifu:02d}.fits'"
    )
    parser.add_argument(
        "second", metavar="B", type=Path, help="another one, or another set"
    )
    parser.add_argument(
        "--tolerance", metavar="T", type=_number,
        help="by how much values may differ (default: not at all)",
    )  # fmt: skip
    parser.add_argument(
        "--in", dest="kind", choices=("units", "relative", "sigma"), default="units",
        help="what T counts: units of the values (default), parts of the larger of two "
        "values, or standard deviations of A",
    )  # fmt: skip
    parser.add_argument(
        "--ignore", metavar="KEYWORD", action="append", default=[],
        help="a keyword that does not count, or a pattern such as 'ESO QC *' (may be "
        "given several times)",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from ndmapper.report.array_differences import Tolerance
    from ndmapper.report.compare import compare

    kind: Any = "absolute" if args.kind == "units" else args.kind
    tolerance = None if args.tolerance is None else Tolerance(args.tolerance, kind)
    members = _members(args.first, args.second)
    pairs = members or [(args.first, args.second)]
    found = [(*pair, compare(*pair, tolerance, ignore=args.ignore)) for pair in pairs]
    if args.json:
        told = [
            {
                "files": [str(first), str(second)],
                "verdict": one.verdict,
                "records": one.records,
                "headers": one.headers,
                "values": {where: vars(v) for where, v in one.values.items()},
            }
            for first, second, one in found
        ]
        print_json(told if members else told[0])
    else:
        words = {
            "identical": "are identical",
            "within": f"agree within {tolerance}",
            "differs": "differ",
        }
        for number, (first, second, one) in enumerate(found):
            if number:
                say("")
            say(f"{first} and {second} {words[one.verdict]}")
            _section("records (first -> second)", one.records)
            _section("text" if one.is_text else "headers", one.headers)
            _section("values", [f"{where}: {v}" for where, v in one.values.items()])
    codes = {"identical": 0, "within": WITHIN, "differs": DIFFERS}
    return max(codes[one.verdict] for *_, one in found)


def _members(first: Path, second: Path) -> list[tuple[Path, Path]]:
    """Pair the members of two sets by key; MissingMemberError where one has none."""
    ours, theirs = members_named(first), members_named(second)
    if bool(ours) != bool(theirs):
        msg = f"{first} and {second} are a set and a file, or one of them is not there"
        raise MissingMemberError(msg)
    for key in (*ours, *theirs):
        if (key in ours) != (key in theirs):
            lacks = second if key in ours else first
            msg = f"{lacks} has no member {key}; compare the members that both have"
            raise MissingMemberError(msg)
    return [(path, theirs[key]) for key, path in ours.items()]


def _section(head: str, lines: list[str]) -> None:
    if not lines:
        return
    say(f"\n{head}")
    for line in lines[:_MOST]:
        say_line(f"  {line}")
    if len(lines) > _MOST:
        say(f"  and {len(lines) - _MOST} more (--json shows all)")


VERB = Verb(
    description="""\
Compare two files, such as one product of two runs, or two sets member by member: since
which step their records differ, and in what (inputs, calibrations, parameters,
versions); then the cards of their headers, and their values. What changes from run to
run (DATE, CHECKSUM ...) and the records themselves do not count for the verdict. Two
values that are both NaN are equal.

With --tolerance, values within it are told from others. Flags must be equal in any
case; with '--in sigma' pixels without an uncertainty must be equal, and uncertainties
may differ by that part of their value. Cards of headers are compared exactly.""",
    examples=(
        ("ndmapper diff a/final.fits b/final.fits", "identical or not, and why"),
        ("ndmapper diff --tolerance 0.01 a.fits b.fits", "0.01 adu, for pixels in adu"),
        (
            "ndmapper diff --tolerance 0.1 --in sigma a.fits b.fits",
            "parts of the noise",
        ),
        ("ndmapper diff --ignore 'ESO QC *' a.fits b.fits", "leave out some keywords"),
    ),
    exit_codes={
        0: "identical",
        1: "a file that cannot be read",
        WITHIN: "values differ, by no more than the tolerance",
        DIFFERS: "they differ",
    },
    add_arguments=_add_arguments,
    run=_run,
)
