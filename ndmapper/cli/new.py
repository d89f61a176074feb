"""``ndmapper new``: a first version of something, to be gone over by hand."""

import argparse
from collections import Counter
from pathlib import Path

from ndmapper.cli.output import format_columns, print_json, say, write_text
from ndmapper.cli.verb import Verb
from ndmapper.errors import OutputExistsError

__all__ = ["VERB"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["instrument"], help="what is to be made")
    parser.add_argument("name", metavar="NAME", help="what it is called")
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, help="frames of every kind"
    )
    parser.add_argument(
        "-o", "--output", metavar="TOML", type=Path,
        help="the file to write (default: NAME.toml here)",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from ndmapper.calibrations.draft import draft_from_folder
    from ndmapper.calibrations.scan import find_frames
    from ndmapper.instruments import load

    path = args.output or Path(f"{args.name}.toml")
    if path.exists():
        msg = f"{path} already exists; name another file with -o, or delete it first"
        raise OutputExistsError(msg)
    write_text(draft_from_folder(args.name, args.folder), path)
    instrument = load(path)
    frames = find_frames(args.folder, instrument)
    counts = Counter(frame.frame_class or "?" for frame in frames)
    if args.json:
        print_json({"file": str(path), "classes": dict(counts)})
        return 0
    say(f"{path} is written; by it, {args.folder} has")
    say(format_columns(sorted(counts.items()), ("class", "frames")))
    say(
        f"\nGo over it, then try: ndmapper ls {args.folder} --instrument {path} --rules"
    )
    return 0


VERB = Verb(
    description="""\
Draft the description of an instrument (a TOML) from the headers of frames: by what its
files are known, which keywords say what, the kinds of frames, and what calibrates
what. It is a start: what is to be decided by a person is marked with CHECK.

Give its path wherever an instrument's name is asked for, or put it into the folder
'instruments' of your configuration, where it is found by name and by header.""",
    examples=(
        ("ndmapper new instrument mycam raw", "writes mycam.toml"),
        ("ndmapper ls raw --instrument mycam.toml --rules", "what it makes of them"),
    ),
    exit_codes={0: "written", 1: "no frames, or a file that exists"},
    add_arguments=_add_arguments,
    run=_run,
)
