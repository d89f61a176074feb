"""The actions of ``ndmapper cals`` that only look."""

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.documents import is_file
from ndmapper.errors import MissingFileError

__all__ = [
    "INCOMPLETE",
    "add_check",
    "add_graph",
    "add_show",
    "add_where",
    "add_why",
    "read",
]

INCOMPLETE = 3
"""The exit code where files or calibrations are missing."""


def read(args: argparse.Namespace) -> dict[str, Any]:
    """Read the calibration document that is named on the command line."""
    from ndmapper.calibrations import init_cal_dict

    if not is_file(args.document):
        msg = (
            f"{args.document} is a folder, not a calibration document; name its file "
            "with --document"
            if os.path.isdir(args.document)  # noqa: PTH112  (the name may be anything)
            else f"there is no calibration document {args.document}; name it with "
            "--document, or make one with 'ndmapper cals update FILE...'"
        )
        raise MissingFileError(msg)
    return init_cal_dict(args.document)


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where raw frames are, and of which instrument."""
    parser.add_argument(
        "--dirname", metavar="FOLDER", action="append", type=Path, default=[],
        help="where raw frames are; may be given several times (default: beside FILE)",
    )  # fmt: skip
    parser.add_argument(
        "--instrument", metavar="NAME",
        help="an instrument's name or the path of a TOML (default: headers tell)",
    )  # fmt: skip
    parser.add_argument(
        "--survey", metavar="ECSV", help="a survey, as somebody corrected it"
    )


def _files(parser: argparse.ArgumentParser, number: str = "*") -> None:
    which = "" if number == "+" else " (default: those that are part of no calibration)"
    parser.add_argument(
        "files", nargs=number, metavar="FILE",
        help=f"raw frames, or what was made of them{which}",
    )  # fmt: skip


def _keys(args: argparse.Namespace, cals: dict[str, Any]) -> list[str]:
    from ndmapper.calibrations.listing import keys_of, top_frames

    return keys_of(cals, args.files) if args.files else top_frames(cals)


def add_show(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``cals show``."""
    _files(parser)
    parser.set_defaults(act=_show)


def _show(args: argparse.Namespace) -> int:
    from ndmapper.calibrations.listing import entries_of

    cals = read(args)
    keys = _keys(args, cals) if args.files else list(cals["associations"])
    entries = entries_of(cals, keys)
    if args.json:
        print_json([dataclasses.asdict(entry) for entry in entries])
        return 0
    rows = []
    for entry in entries:
        n = str(len(entry.frames)) if entry.frames else None
        marks = [f"{len(entry.bad)} bad"] if entry.bad else []
        marks += ["locked"] if entry.locked else []
        rows.append(
            (entry.frame, entry.cal_type, entry.label, n, entry.source,
             entry.quality, ", ".join(marks) or None, entry.why or None)
        )  # fmt: skip
    heads = ("frame", "type", "calibration", "n", "source", "quality", "marks", "why")
    say(format_columns(rows, heads))
    for name, said in cals.get("bad_frames", {}).items():
        text = (
            said if isinstance(said, str) else f"{said.get('why')} ({said.get('who')})"
        )
        say(f"bad: {name}: {text}")
    return 0


def add_why(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``cals why``."""
    _files(parser, "+")
    parser.add_argument(
        "--type", metavar="TYPE", action="append", dest="types",
        help="only this type of calibration (default: all that the frame needs)",
    )  # fmt: skip
    add_where(parser)
    parser.set_defaults(act=_why)


def _why(args: argparse.Namespace) -> int:
    from ndmapper.calibrations import init_cal_dict
    from ndmapper.calibrations.entries import types_of
    from ndmapper.calibrations.folders import noted_file
    from ndmapper.calibrations.names import as_list, known_key, original_name
    from ndmapper.calibrations.provenance import bad_frames, source_of
    from ndmapper.services.local import LocalService

    cals = init_cal_dict(args.document)
    files = as_list(args.files)
    local = LocalService(
        [noted_file(Path(file), cals) for file in files],
        folders=args.dirname,
        survey=args.survey,
        instrument=args.instrument,
        bad=bad_frames(cals),
    )
    found = []
    for file in files:
        name = original_name(file)
        key = known_key(cals["associations"], name)
        frame = local.frame(name)
        for cal_type in args.types or _needed(frame):
            match = local.match(name, cal_type)
            label = types_of(cals, name).get(cal_type)
            found.append(
                {
                    "frame": name, "type": cal_type, "files": list(match.files),
                    "quality": match.quality, "summary": match.summary,
                    "candidates": [dataclasses.asdict(v) for v in match.verdicts],
                    "document": label,
                    "source": source_of(key, cal_type, cals) if label else None,
                }
            )  # fmt: skip
    if args.json:
        print_json(found)
    else:
        told = {one["frame"] for one in found}
        rest = [name for name in map(original_name, files) if name not in told]
        texts = [_explained(one) for one in found]
        texts += [f"{name} needs no calibrations" for name in rest]
        say("\n\n".join(texts))
    return INCOMPLETE if any(not one["files"] for one in found) else 0


def _needed(frame: Any) -> list[str]:
    instrument = frame.instrument
    if instrument is None:
        return []
    types = instrument.needs(frame.frame_class)
    if not types and not instrument.serves(frame.frame_class):
        # A table of one's own need not say what is needed.
        types = dict.fromkeys(rule.type for rule in instrument.rules)
    return list(types)


def _explained(one: dict[str, Any]) -> str:
    head = f"{one['type']} of {one['frame']}: {one['summary']}"
    lines = [head]
    if one["document"] is not None:
        lines.append(f"the document says {one['document']} ({one['source']})")
    cells = [
        (v["name"], v["status"], v["quality"], v["why"] or None)
        for v in one["candidates"]
    ]
    if cells:
        lines.append(format_columns(cells, ("candidate", "", "quality", "why")))
    return "\n".join(lines)


def add_graph(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``cals graph``."""
    _files(parser)
    parser.add_argument(
        "--form", choices=("text", "mermaid", "dot"), default="text",
        help="lines of text, or the language of Mermaid or Graphviz (default: text)",
    )  # fmt: skip
    parser.set_defaults(act=_graph)


def _graph(args: argparse.Namespace) -> int:
    from ndmapper.calibrations.tree import cal_tree, draw_tree

    cals = read(args)
    tree = cal_tree(cals, _keys(args, cals))
    if args.json:
        print_json([dataclasses.asdict(branch) for branch in tree])
    else:
        say(draw_tree(tree, args.form))
    return 0


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``cals check``."""
    parser.add_argument(
        "files", nargs="*", metavar="FILE",
        help="raw frames, or what was made of them (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--dirname", metavar="FOLDER", action="append", type=Path, default=[],
        help="where raw frames are; may be given several times (default: where the "
        "document says that they lay, then beside FILE and the document)",
    )  # fmt: skip
    parser.set_defaults(act=_check)


def _check(args: argparse.Namespace) -> int:
    from ndmapper.calibrations.schema import FOLDERS
    from ndmapper.services.check import check_cal_files

    cals = read(args)
    beside = [Path(file).parent for file in args.files]
    base = Path(args.document).parent
    noted = [base / folder for folder in cals.get(FOLDERS, {}).values()]
    folders = args.dirname or [*beside, base, *noted]
    folders = list(dict.fromkeys(folders))
    states = check_cal_files(
        cals, _all_frames(args, cals), folders, noted=not args.dirname
    )
    failed = [s for s in states if s.state in ("missing", "damaged")]
    if args.json:
        print_json([dataclasses.asdict(state) for state in states])
    else:
        rows = [(s.name, s.state, s.path, s.why or None) for s in states]
        say(format_columns(rows, ("file", "state", "where", "why")))
        say(f"\n{len(states)} files, {len(failed)} of them missing or damaged")
    return INCOMPLETE if failed else 0


def _all_frames(args: argparse.Namespace, cals: dict[str, Any]) -> list[str]:
    """List the frames that are named, or all: also those that nothing leads to."""
    from ndmapper.calibrations.listing import keys_of, top_frames
    from ndmapper.calibrations.provenance import good_frames

    sets = cals["calibrations"].values()
    frames: dict[str, Any] = {name: {} for files in sets for name in files}
    if args.files:
        return keys_of(
            {**cals, "associations": frames | cals["associations"]}, args.files
        )
    rest = good_frames([*cals["associations"], *frames], cals)
    return [*top_frames(cals), *rest]
