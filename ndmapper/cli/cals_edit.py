"""The actions of ``ndmapper cals`` that change the document."""

import argparse
import os
from pathlib import Path
from typing import Any

from ndmapper.cli.cals_look import INCOMPLETE, add_where, read
from ndmapper.cli.output import print_json, say, say_line

__all__ = ["add_bad", "add_override", "add_update"]


def add_update(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``cals update``."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="raw frames")
    parser.add_argument(
        "--server", metavar="NAME", action="append",
        help="a service; of several, each is asked what those before it do not have "
        "(default: local)",
    )  # fmt: skip
    parser.add_argument(
        "--refresh", action="store_true",
        help="ask again for all that no person said, and show what changed",
    )  # fmt: skip
    add_where(parser)
    parser.set_defaults(act=_update)


def _update(args: argparse.Namespace) -> int:
    from ndmapper.calibrations.listing import entries_of, keys_of
    from ndmapper.calibrations.names import as_list
    from ndmapper.services import look_up_cals

    cals = look_up_cals(
        args.files,
        server=args.server or "local",
        cache=args.document,
        dirname=args.dirname or None,
        survey=args.survey,
        instrument=args.instrument,
        refresh=args.refresh,
    )
    known = [f for f in as_list(args.files) if _is_known(f, cals)]
    entries = entries_of(cals, keys_of(cals, known))
    if args.json:
        print_json(cals)
    else:
        missing = [f"{e.cal_type} of {e.frame}" for e in entries if e.label is None]
        say(f"{args.document}: {len(entries)} calibrations of {len(known)} files")
        if missing:
            say(f"none was found: {', '.join(missing)}")
    # Where a person said that there is none, nothing is missing.
    lacking = any(e.label is None and e.source != "user" for e in entries)
    return INCOMPLETE if lacking else 0


def _is_known(file: str, cals: dict[str, Any]) -> bool:
    from ndmapper.calibrations.names import known_key, original_name

    associations = cals["associations"]
    return known_key(associations, original_name(file)) in associations


def add_override(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``cals override``."""
    parser.add_argument("file", metavar="FILE", help="the frame to be calibrated")
    parser.add_argument("type", metavar="TYPE", help="type of calibration")
    parser.add_argument(
        "frames", nargs="*", metavar="FRAME", help="the raw frames that it is made of"
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--product", metavar="NAME", help="instead, a calibration that is made already"
    )
    other.add_argument("--none", action="store_true", help="it is to have none")
    lock = parser.add_mutually_exclusive_group()
    lock.add_argument(
        "--lock", action="store_true",
        help="no look-up may change it, refresh or not; without frames, as it is",
    )  # fmt: skip
    lock.add_argument("--unlock", action="store_true", help="look-ups may change it")
    parser.set_defaults(act=_override)


def _override(args: argparse.Namespace) -> int:
    from ndmapper.calibrations import save_cal_dict
    from ndmapper.calibrations.edits import lock_cals, replace_cals
    from ndmapper.calibrations.listing import entries_of, keys_of
    from ndmapper.calibrations.provenance import is_locked
    from ndmapper.errors import ParameterError

    has_product = args.product is not None
    replaces = bool(args.frames or has_product or args.none)
    if not replaces and not args.lock and not args.unlock:
        msg = "say by what: frames, --product or --none; or --lock, --unlock"
        raise ParameterError(msg)
    if args.frames and (has_product or args.none):
        msg = "name frames, or --product, or --none, but not several of them"
        raise ParameterError(msg)
    cals = read(args)
    (key,) = keys_of(cals, [args.file])
    _check_type(args.type, cals)
    _check_frames(args, cals)
    _say_doubts(key, args, cals)
    if replaces:
        replace_cals(key, args.type, cals, frames=args.frames, product=args.product)
    if args.lock or args.unlock:
        lock_cals(key, args.type, cals, locked=args.lock)
    save_cal_dict(cals, args.document)
    found = [e for e in entries_of(cals, [key]) if e.cal_type == args.type]
    entry = found[0] if found else None
    label = None if entry is None else entry.label
    frames = [] if entry is None else list(entry.frames)
    locked = is_locked(key, args.type, cals)
    if args.json:
        print_json({"frame": key, "type": args.type, "label": label,
                    "frames": frames, "locked": locked})  # fmt: skip
    else:
        made_of = f" of {', '.join(frames)}" if frames else ""
        say_line(f"{args.type} of {key}: {label or 'none'}{made_of}"
                 f"{', locked' if locked else ''}")  # fmt: skip
    return 0


def _say_doubts(key: str, args: argparse.Namespace, cals: dict[str, Any]) -> None:
    """Warn of what speaks against what a person says, who may know better."""
    import logging

    from ndmapper.calibrations.doubts import doubts_of_frames, doubts_of_product

    doubts = doubts_of_frames(key, args.type, args.frames, cals)
    if args.product:
        doubts += doubts_of_product(key, args.type, args.product, cals)
    for doubt in doubts:
        logging.getLogger(__name__).warning("%s", doubt)


def _check_type(cal_type: str, cals: dict[str, Any]) -> None:
    """Refuse a type of calibration that neither document nor instruments know."""
    from ndmapper.errors import ParameterError, did_you_mean
    from ndmapper.instruments import load, names

    known = {kind for types in cals["associations"].values() for kind in types}
    if cal_type in known:
        return
    known |= {rule.type for name in names() for rule in load(name).rules}
    if cal_type not in known:
        msg = (
            f"no frame and no instrument has a calibration of type {cal_type!r}"
            f"{did_you_mean(cal_type, known)} (a type of your own comes into the "
            "document with add_cal_entry in Python, or by editing it)"
        )
        raise ParameterError(msg)


def _check_frames(args: argparse.Namespace, cals: dict[str, Any]) -> None:
    """Refuse frames that neither the document nor a folder has."""
    from ndmapper.calibrations.folders import find_frame
    from ndmapper.calibrations.names import file_name, frame_name
    from ndmapper.errors import ParameterError, did_you_mean

    names = {*cals["associations"]}
    names.update(name for files in cals["calibrations"].values() for name in files)
    known = {frame_name(name) for name in names}
    document = Path(args.document).parent
    folders = [Path(), document]
    folders += [document / folder for folder in set(cals.get("folders", {}).values())]
    for frame in args.frames:
        name = file_name(frame)
        if find_frame(frame, cals) or (frame == name and frame_name(name) in known):
            continue
        if os.path.isdir(frame):  # noqa: PTH112  (the name may be anything)
            msg = f"{frame} is a folder; name the frames in it"
            raise ParameterError(msg)
        there = {p.name for folder in folders if folder.is_dir()
                 for p in folder.iterdir() if p.is_file()}  # fmt: skip
        msg = (
            f"neither the document nor a folder has a frame {frame}"
            f"{did_you_mean(name, names | there)} (or give its path)"
        )
        raise ParameterError(msg)


def add_bad(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``cals bad``."""
    parser.add_argument("files", nargs="+", metavar="FRAME", help="raw frames")
    parser.add_argument("--why", metavar="TEXT", default="", help="what is wrong")
    parser.add_argument(
        "--who", metavar="NAME", help="who says so (default: the user of this machine)"
    )
    parser.add_argument("--undo", action="store_true", help="they are good after all")
    parser.set_defaults(act=_bad)


def _bad(args: argparse.Namespace) -> int:
    from ndmapper.calibrations import save_cal_dict
    from ndmapper.calibrations.edits import mark_bad, unmark_bad

    cals = read(args)
    if args.undo:
        unmark_bad(args.files, cals)
    else:
        mark_bad(args.files, cals, args.why, args.who)
        _hint_at_slips(args.files, cals)
    save_cal_dict(cals, args.document)
    bad = cals.get("bad_frames", {})
    if args.json:
        print_json(bad)
    else:
        say(f"bad frames: {', '.join(bad) or 'none'}")
    return 0


def _hint_at_slips(files: list[str], cals: dict[str, Any]) -> None:
    """Say which frames the document does not know: it may have been meant otherwise."""
    import logging

    from ndmapper.calibrations.names import file_name, frame_name
    from ndmapper.errors import did_you_mean

    sets = cals["calibrations"]
    known = {frame_name(n) for n in (*cals["associations"], *sets)}
    known |= {frame_name(n) for frames in sets.values() for n in frames}
    for name in map(file_name, files):
        if frame_name(name) not in known:
            hint = did_you_mean(frame_name(name), known)
            logging.getLogger(__name__).warning(
                "%s is marked bad, but no calibration of the document has it%s",
                name, hint,
            )  # fmt: skip
