"""``ndmapper qc``: the numbers that steps and recipes measured of what they made."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ndmapper.cli.output import FilesOfSets, format_columns, print_json, say
from ndmapper.cli.records import read_all
from ndmapper.cli.verb import Verb
from ndmapper.terminal import one_line

if TYPE_CHECKING:
    from ndmapper.report.qc import Number

__all__ = ["VERB"]

_WIDE = 12
"""More numbers than these are listed below each other, products beside each other."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, action=FilesOfSets,
        help="a product, or a set, as 'x-{ifu:02d}.fits'",
    )  # fmt: skip
    parser.add_argument(
        "--step", metavar="NAME", action="append",
        help="only the numbers of this step (may be given several times)",
    )  # fmt: skip
    parser.add_argument(
        "--details", action="store_true",
        help="of recipes, also the numbers for each slice, input and source",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from ndmapper.data import DataFile
    from ndmapper.report.qc import (
        collect_figures,
        collect_numbers,
        numbers_in_header,
    )

    records = read_all(args.files)
    steps: Sequence[str] | None = args.step
    found = collect_numbers(records.values())
    for name, rows in records.items():
        found += numbers_in_header(
            Path(name).name, rows[-1]["step"], DataFile(name).meta, details=args.details
        )
    numbers = [n for n in found if not steps or n.step in steps]
    figures = [
        f for f in collect_figures(records.values()) if not steps or f.step in steps
    ]
    if args.json:
        print_json(
            {
                "numbers": [vars(n) for n in numbers],
                "figures": [vars(f) for f in figures],
            }
        )
        return 0
    blocks = [_table(step, numbers) for step in dict.fromkeys(n.step for n in numbers)]
    if figures:
        cells = [(f.product, f.step, f.path) for f in figures]
        blocks.append(format_columns(cells, ["product", "step", "figure"]))
    say("\n\n".join(blocks) or "no step recorded any number")
    return 0


def _table(step: str, numbers: "Sequence[Number]") -> str:
    """Make the table of one step: products below each other, numbers beside."""
    from ndmapper.report.qc import number_text

    ours = [n for n in numbers if n.step == step]
    heads = dict.fromkeys((n.name, n.unit) for n in ours)
    cells: dict[str, dict[tuple[str, str | None], str]] = {}
    for n in ours:
        cells.setdefault(n.product, {})[n.name, n.unit] = number_text(n.value)
    names = [f"{name} [{unit}]" if unit else name for name, unit in heads]
    if len(heads) > _WIDE:
        lines = [
            [name, *(row.get(head) for row in cells.values())]
            for name, head in zip(names, heads, strict=True)
        ]
        return f"{one_line(step)}\n{format_columns(lines, ['number', *cells])}"
    rows = [[product, *map(row.get, heads)] for product, row in cells.items()]
    return f"{one_line(step)}\n{format_columns(rows, ['product', *names])}"


VERB = Verb(
    description="""\
Show the numbers that steps recorded with ndmapper.qc(), from the records of products: a
table for each step, back to the raw frames, each number once; and of the products
themselves what recipes of ESO wrote into their headers (ESO QC ...). Figures are listed
below; their paths start at the folder of the product.""",
    examples=(
        ("ndmapper qc final*.fits", "everything that was measured on the way"),
        ("ndmapper qc --step fit_waves *.fits", "of one step"),
        ("ndmapper qc --json final.fits", "for another program"),
    ),
    exit_codes={0: "shown", 1: "a file that cannot be read, or has no record"},
    add_arguments=_add_arguments,
    run=_run,
)
