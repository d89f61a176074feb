"""``ndmapper fetch``: files from an archive, into a folder."""

import argparse
from pathlib import Path
from typing import Any

from ndmapper.cli.output import print_json, say_line
from ndmapper.cli.verb import Verb

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "archive", metavar="ARCHIVE",
        help="gemini, eso, local (only check), or what an installed package offers",
    )  # fmt: skip
    parser.add_argument(
        "names", nargs="+", metavar="NAME",
        help="file of the archive, or a calibration document (.json) or table (.ecsv) "
        "that names some",
    )  # fmt: skip
    parser.add_argument(
        "--dir", metavar="FOLDER", default="raw", help="where they go (default: raw)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--decompress", action="store_true", help="without compression, whatever name"
    )
    form.add_argument(
        "--as-stored", action="store_true", help="compressed as the archive has them"
    )
    parser.add_argument(
        "--overwrite", action="store_true",
        help="replace files that differ from those of the archive",
    )  # fmt: skip
    parser.add_argument(
        "--tar", action="store_true", help="all in one piece, where the archive can"
    )


def _run(args: argparse.Namespace) -> int:
    from ndmapper.errors import MissingFileError, ServiceError
    from ndmapper.services import download_files

    decompress = {(True, False): True, (False, True): False}
    paths: list[Path] = []
    failed: list[str] = []
    for given in _given(args.names):
        try:
            paths += download_files(
                given,
                server=args.archive,
                dirname=args.dir,
                decompress=decompress.get((args.decompress, args.as_stored)),
                overwrite=args.overwrite,
                tar=args.tar,
            )
        except (ServiceError, MissingFileError) as err:
            failed.append(str(err))
    if failed:
        raise ServiceError("; ".join(failed))
    if args.json:
        print_json([str(path) for path in paths])
    else:
        for path in paths:
            say_line(path)
    return 0


def _given(names: list[str]) -> list[Any]:
    """Read documents and tables; the other names are got together."""
    from astropy.table import Table

    from ndmapper.calibrations import init_cal_dict
    from ndmapper.errors import FormatError, MissingFileError

    plain = [n for n in names if Path(n).suffix not in {".json", ".ecsv"}]
    found: list[Any] = [plain] if plain else []
    for name in names:
        if name in plain:
            continue
        if not Path(name).is_file():
            msg = f"there is no {name}, which would say what to fetch"
            raise MissingFileError(msg)
        if name.endswith(".json"):
            found.append(init_cal_dict(name))
            continue
        try:
            found.append(Table.read(name, format="ascii.ecsv"))
        except Exception as err:  # it is any file of the user
            msg = f"{name} is no ECSV table that can be read ({err})"
            raise FormatError(msg) from err
    return found


VERB = Verb(
    description="""\
Get files from an archive into a folder. What is there and verified stays; the rest
comes in parallel, is verified while it arrives, and goes on where it stopped if the
archive can do that. All that fails is listed at the end; the rest is kept.""",
    examples=(
        ("ndmapper fetch gemini S20120827S0066.fits", "raw/S20120827S0066.fits"),
        ("ndmapper fetch gemini calibrations.json", "all raw frames of a document"),
        ("ndmapper fetch eso muse.ecsv --dir night1", "what 'ndmapper find' saved"),
    ),
    exit_codes={
        0: "all files are there",
        1: "some are not; each is named with the reason",
    },
    add_arguments=_add_arguments,
    run=_run,
)
