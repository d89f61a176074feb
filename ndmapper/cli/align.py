"""``ndmapper align``: correct the coordinates of images by their stars."""

import argparse
from typing import Any

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="the images")
    parser.add_argument(
        "--reference", metavar="FILE",
        help="an image of the same field, or a table with columns ra and dec [degree] "
        "(default: the first image)",
    )  # fmt: skip
    parser.add_argument(
        "--near", type=float, metavar="PIXELS",
        help="how wrong the coordinates are at most (default: 30, then anything)",
    )  # fmt: skip
    parser.add_argument(
        "--fit", choices=("similarity", "shift"), default="similarity",
        help="correct shift, rotation and scale (the default), or the shift alone",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, default=10.0, metavar="SIGMA",
        help="least signal-to-noise ratio of the stars (default: 10)",
    )  # fmt: skip
    parser.add_argument("--outdir", metavar="DIR", help="where the products go")


def _run(args: argparse.Namespace) -> int:
    from ndmapper.lib.image import align_images

    keywords: dict[str, Any] = {
        "reference": args.reference or args.files[0],
        "near": args.near,
        "fit": args.fit,
        "threshold": args.threshold,
        "reprocess": "auto",
    }
    if args.outdir:
        keywords["outdir"] = args.outdir
    made = align_images(args.files, **keywords)
    found = [(df, ndd) for df in made for ndd in df]
    keys = ("ALNSTARS", "ALNRMS", "ALNFLUX", "ALNSKY")
    if args.json:
        print_json(
            [
                {"product": str(df), "extension": ndd.ident}
                | {key: ndd.meta[key] for key in keys if key in ndd.meta}
                for df, ndd in found
            ]
        )
        return 0
    rows = [
        (f"{df.filename.name}[{ndd.ident}]", *(ndd.meta.get(key, "") for key in keys))
        for df, ndd in found
    ]
    head = ("product", "stars", "rms [pixel]", "flux ratio", "sky")
    say(format_columns([tuple(map(str, row)) for row in rows], head))
    return 0


VERB = Verb(
    description="""\
Correct the world coordinates of images by their stars, so that they agree with those
of a reference image, or of a catalogue such as an extract of Gaia. Pixels stay as they
are; the products, with the prefix a, can be stacked: 'ndmapper step stack_images
a*.fits'.""",
    examples=(
        ("ndmapper align r*.fits --reference r1.fits", "by the stars of one of them"),
        ("ndmapper align r*.fits --reference gaia.ecsv", "by a catalogue"),
    ),
    exit_codes={0: "made, or there already", 1: "an error, such as no stars in common"},
    add_arguments=_add_arguments,
    run=_run,
)
