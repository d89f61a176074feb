"""``ndmapper graph``: what products were made of, as a graph."""

import argparse
from pathlib import Path

from ndmapper.cli.output import FilesOfSets, add_all, print_json, say
from ndmapper.cli.records import read_all
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, action=FilesOfSets,
        help="a product, or a set, as 'x-{ifu:02d}.fits'",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("tree", "mermaid", "dot"), default="tree",
        help="a tree of text (default), Mermaid for Markdown and web pages, or DOT for "
        "Graphviz",
    )  # fmt: skip
    add_all(parser, "each file by itself, where the same was done with many")


def _run(args: argparse.Namespace) -> int:
    from ndmapper.report.graph import make_graph

    graph = make_graph(read_all(args.files), each=args.all or args.json)
    if args.json:
        print_json(graph.as_dict())
    else:
        say(getattr(graph, args.format)())
    return 0


VERB = Verb(
    description="""\
Draw what products were made of, back to the raw frames: every file with the step that
made it, and what its inputs were to it (bias, flat, a parameter of the tool). Files
that were made alike, of one output, are one entry with their number.""",
    examples=(
        ("ndmapper graph xfgvbtob27.fits", "a tree of text"),
        ("ndmapper graph --format mermaid *.fits", "for a page in Markdown"),
        ("ndmapper graph --format dot a.fits | dot -Tsvg > a.svg", "a picture"),
    ),
    exit_codes={0: "drawn", 1: "a file that cannot be read, or has no record"},
    add_arguments=_add_arguments,
    run=_run,
)
