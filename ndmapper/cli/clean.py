"""``ndmapper clean``: remove intermediate products that can be made again."""

import argparse
from pathlib import Path

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", type=Path,
        help="where the products are (default: the configured outdir)",
    )  # fmt: skip
    parser.add_argument(
        "--keep", choices=("calibs", "final"), default="calibs",
        help="keep calibrations too (calibs, the default), or only what nothing else "
        "is made of (final)",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be removed"
    )


def _run(args: argparse.Namespace) -> int:
    from ndmapper.config import config
    from ndmapper.steps.clean import find_removable, finish_removals, remove

    folder = args.folder or Path(config["outdir"])
    candidates = find_removable(folder, args.keep)
    gone = [c for c in candidates if c.kept is None]
    if not args.dry_run:
        for candidate in gone:
            remove(candidate.path)
        finish_removals(folder)
    if args.json:
        print_json(
            {
                "folder": folder,
                "dry_run": args.dry_run,
                "removed": [c.path.name for c in gone],
                "kept": {c.path.name: c.kept for c in candidates if c.kept},
                "bytes": sum(c.size for c in gone),
            }
        )
        return 0
    if not candidates:
        say(f"there are no products in {folder}")
        return 0
    verb = "would be removed" if args.dry_run else "removed"
    rows = [(c.path.name, f"kept: {c.kept}" if c.kept else verb) for c in candidates]
    say(format_columns(rows, ("product", "what becomes of it")))
    megabytes = sum(c.size for c in gone) / 1e6
    say(f"{len(gone)} of {len(candidates)} products {verb}, {megabytes:.1f} MB")
    return 0


VERB = Verb(
    description="""\
Remove products of which others were made, and leave their records in .ndmapper/cleaned.
A run of the whole script treats them as current, and makes one again only when a step
that must run reads it. Kept are final products, calibrations (unless --keep final),
what somebody edited, and what could not be made again.""",
    examples=(
        ("ndmapper clean --dry-run", "what would go"),
        ("ndmapper clean reduced --keep final", "calibrations go as well"),
    ),
    exit_codes={0: "done", 1: "a folder or file that cannot be read or removed"},
    add_arguments=_add_arguments,
    run=_run,
)
