"""``ndmapper simulate``: write raw frames of an instrument, to try things on."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ndmapper.cli.output import print_json, say
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]


def _numbers(text: str) -> list[int]:
    """Read numbers and ranges, such as 1-4,7."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            found += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            msg = f"{text!r} is no list of numbers, such as 1,2 or 1-24"
            raise argparse.ArgumentTypeError(msg) from None
    return found


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", choices=("ccd", "muse"),
        help="the instrument: a camera, or an integral-field spectrograph",
    )  # fmt: skip
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where they go")
    parser.add_argument(
        "--ifus", type=_numbers, default=[1, 2], metavar="LIST",
        help="of MUSE: which IFUs, as 1,2 (the default) or 1-24",
    )  # fmt: skip
    parser.add_argument(
        "--rows",
        type=int,
        metavar="N",
        help="of MUSE: rows of a detector (default: 96)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="the same gives the same frames (default: 1)",
    )


def _run(args: argparse.Namespace) -> int:
    from ndmapper.errors import OutputExistsError
    from ndmapper.lib.simulate import (
        MuseDetector,
        Night,
        simulate_muse_night,
        simulate_night,
    )

    folder: Path = args.folder
    if folder.is_dir() and any(folder.iterdir()):
        msg = f"{folder} is not empty; give another folder for the frames"
        raise OutputExistsError(msg)
    files: Any
    if args.what == "muse":
        words = {} if args.rows is None else {"rows": args.rows}
        files = simulate_muse_night(
            folder, ifus=args.ifus, detector=MuseDetector(**words), seed=args.seed
        )
    else:
        files = simulate_night(folder, Night(seed=args.seed)).files
    paths = [str(path) for path in _paths(files.values())]
    if args.json:
        print_json({"folder": str(folder), "files": sorted(paths)})
    else:
        say(f"{folder}: {len(paths)} files")
    return 0


def _paths(groups: Any) -> Iterator[Any]:
    """Yield the files of all kinds."""
    for group in groups:
        yield from group if isinstance(group, Sequence) else [group]


VERB = Verb(
    description="""\
Simulate raw frames of an instrument, with the headers of real ones: a night of a camera
with biases, flats and exposures of a field; or a small night of MUSE, with static
calibrations and the masters that recipes cannot make of small detectors.""",
    examples=(
        ("ndmapper simulate ccd night", "a night of a camera with two amplifiers"),
        ("ndmapper simulate muse night", "two IFUs: 32 MB, reduced in half a minute"),
        ("ndmapper simulate muse night --ifus 1-24", "all IFUs: 380 MB"),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
