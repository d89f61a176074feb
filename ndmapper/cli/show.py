"""``ndmapper show``: the images of a file, in a display or as a PNG."""

import argparse
from pathlib import Path
from typing import Any

from ndmapper.cli.output import print_json, say
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="FITS file")
    parser.add_argument(
        "idents", nargs="*", metavar="IDENT",
        help="extensions to draw, by ident, in the PNG (default: all)",
    )  # fmt: skip
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-o", "--output", metavar="PNG", type=Path,
        help="write a PNG of this name, whatever displays run",
    )  # fmt: skip
    where.add_argument(
        "--png", action="store_true",
        help="write a PNG, named as the file, in outdir, whatever displays run",
    )  # fmt: skip
    where.add_argument(
        "--samp", action="store_true",
        help="send the file to DS9 or another display; an error where none runs",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing PNG"
    )
    parser.add_argument(
        "--no-flags", action="store_true", help="do not mark flagged pixels"
    )
    parser.add_argument(
        "--labels", metavar="PRESET",
        help="whose names of extensions to go by, for instance muse (default: the "
        "configured ones, else recognised)",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from ndmapper.data import DataFile
    from ndmapper.plot.samp import image_displays, send_image

    df = DataFile(args.file, labels=args.labels)  # an error, before anything is sent
    wants_png = args.png or args.output is not None or bool(args.idents)
    if args.samp or (not wants_png and image_displays()):
        programs = send_image(args.file)
        found: dict[str, Any] = {"file": str(args.file), "sent_to": programs}
        text = f"{args.file} was sent to {', '.join(programs)}"
    else:
        picture = df.preview(*map(_ident, args.idents), flags=not args.no_flags)
        target = picture.save(_target(args, df), overwrite=args.overwrite)
        found = {"file": str(args.file), "picture": str(target)}
        text = str(target)
    if args.json:
        print_json(found)
    else:
        say(text)
    return 0


def _ident(word: str) -> int | str:
    return int(word) if word.lstrip("-").isdecimal() else word


def _target(args: argparse.Namespace, df: Any) -> Path:
    from ndmapper.config import config

    if args.output is not None:
        return args.output  # type: ignore[no-any-return]
    folder = Path(config["outdir"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{df.filename.root}.png"


VERB = Verb(
    description="""\
Show the images of a FITS file. Where DS9, or another display that talks SAMP, runs,
the file is sent there; else a PNG is written: all extensions side by side, with the
levels of zscale and the flagged pixels marked; spectra with their errors, and
wavelengths with the lines of the arc that they are from. Of large images it has every
so many pixels.""",
    examples=(
        ("ndmapper show bS20120827S0066.fits", "in DS9, or bS20120827S0066.png"),
        ("ndmapper show -o flat.png flat.fits 1 2", "two extensions, in this PNG"),
        ("ndmapper show --samp cube.fits", "in DS9, or say that none runs"),
    ),
    exit_codes={
        0: "shown, or the PNG is written",
        1: "a file that cannot be read, a PNG that exists, or no display",
    },
    add_arguments=_add_arguments,
    run=_run,
)
