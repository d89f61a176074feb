"""Processed calibrations in several files (the IFUs of a master), as one frame each."""

import glob
import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ndmapper.calibrations.copies import warn_once
from ndmapper.calibrations.frames import PROCESSED, Frame, read_frame
from ndmapper.calibrations.names import product_name
from ndmapper.calibrations.products import find_product, product_folders
from ndmapper.data.name_pattern import Key, NamePattern, in_order, without_key
from ndmapper.instruments.conditions import Value
from ndmapper.io.filetypes import is_fits, split_ext

__all__ = ["find_in_any_form", "gathered", "joined", "lacking"]

_SHOWN = 3
"""Number of values that are listed where the files of a set differ."""


def gathered(frames: Sequence[Frame]) -> list[Frame]:
    """
    Join the files of processed calibrations that differ in their key only.

    They lie in one folder, have one pattern of names, and agree in class, and in all
    that rules compare; files of one pattern that do not agree are declassified.
    """
    found: dict[int, Frame | None] = {}
    places: dict[Hashable, dict[str, list[tuple[Key, Frame]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for frame in frames:
        if frame.instrument is None or not frame.is_processed or frame.members:
            continue
        place = frame.folder, frame.instrument.name
        for pattern, key in _patterns(frame):
            places[place][pattern].append((key, frame))
    for patterns in places.values():
        for pattern, files in _chosen(patterns):
            one = joined(pattern, files)
            found |= dict.fromkeys((id(f) for _, f in files), None)
            found |= {id(f): new for (_, f), new in zip(files, one, strict=False)}
    result = (found.get(id(frame), frame) for frame in frames)
    return [frame for frame in result if frame is not None]


def _patterns(frame: Frame) -> Iterator[tuple[str, Key]]:
    """Yield the patterns that the name of a file may be of, with its key."""
    if "{" in frame.name or "}" in frame.name:
        return
    for field, keys in frame.parts.items():
        if len(keys) != 1:
            continue
        key = keys[0]
        text = r"\d+" if isinstance(key, int) else re.escape(str(key))
        for match in re.finditer(text, split_ext(frame.name)[0]):
            start, end = match.span()
            digits = match.group()
            if not isinstance(key, int):
                forms = [f"{{{field}}}"]
            elif int(digits) != key or len(digits) > _WIDEST:
                continue
            elif digits.startswith("0"):
                forms = [f"{{{field}:0{len(digits)}d}}"]
            else:
                forms = [f"{{{field}:0{len(digits)}d}}", f"{{{field}:d}}"]
            for form in forms:
                yield frame.name[:start] + form + frame.name[end:], key


_WIDEST = 9
_FAR = 1.0
"""Members of a set that are further apart than this are warned of [days]."""
_NUMBERED = re.compile(r"[-_.]\{\w+:0[2-9]d\}(\.|$)", re.ASCII)


def _chosen(
    patterns: Mapping[str, Sequence[tuple[Key, Frame]]],
) -> Iterator[tuple[str, list[tuple[Key, Frame]]]]:
    """Choose the pattern of each file: the one that most others have, too."""
    taken: set[int] = set()
    for pattern in sorted(patterns, key=lambda p: (-len(patterns[p]), p)):
        left = [(key, f) for key, f in patterns[pattern] if id(f) not in taken]
        # A file alone is one of a set only where its name is numbered at the end.
        if len(left) > 1 or (left and _NUMBERED.search(pattern)):
            taken |= {id(frame) for _, frame in left}
            yield pattern, left


def joined(pattern: str, files: Sequence[tuple[Key, Frame]]) -> list[Frame]:
    """Make one frame of the files of a pattern; of each one where they do not agree."""
    frames = [frame for _, frame in files]
    against = _differences(frames)
    if against:
        why = f"the files of {pattern} differ in {against}; move one kind elsewhere"
        warn_once(f"{frames[0].folder / pattern} is not used, since {why}")
        return [replace(f, frame_class=None, why=why) for f in frames]
    members = in_order({key: frame.name for key, frame in files})
    first = _of_middle_date(pattern, frames)
    fields = NamePattern(pattern).fields
    parts = {fields[0]: tuple(members)} if len(fields) == 1 else {}
    one = replace(
        first,
        name=pattern,
        why=f"{first.why}; {len(members)} files",
        parts={**first.parts, **parts},
        members=members,
    )
    return [one]


def _of_middle_date(pattern: str, frames: Sequence[Frame]) -> Frame:
    """Choose the file by whose date a set is matched; warn of dates that differ."""
    days = sorted(f.days for f in frames if f.days is not None)
    if not days:
        return min(frames, key=lambda f: f.name)
    middle = days[len(days) // 2]
    found = min(
        (f for f in frames if f.days is not None),
        key=lambda f: (abs((f.days or 0.0) - middle), f.name),
    )
    if days[-1] - days[0] > _FAR:
        warn_once(
            f"the files of {found.folder / pattern} are up to {days[-1] - days[0]:.0f} "
            f"days apart; the set is matched by the date of {found.name}"
        )
    return found


def _differences(frames: Sequence[Frame]) -> str:
    """Say in what the files of a pattern differ that rules compare."""
    first = frames[0]
    names = ["class"]
    if first.instrument is not None and first.frame_class is not None:
        cal_type = first.frame_class.removeprefix(PROCESSED)
        rules = [r for r in first.instrument.rules if r.type == cal_type]
        names += [n for rule in rules for n in (*rule.match, *rule.group)]
    for name in dict.fromkeys(names):
        kinds: dict[Value, list[str]] = {}
        for frame in frames:
            value = frame.frame_class if name == "class" else frame.values.get(name)
            kinds.setdefault(value, []).append(frame.name)
        if len(kinds) > 1:
            texts = [
                f"{value!r} ({files[0]}{', ...' if len(files) > 1 else ''})"
                for value, files in list(kinds.items())[:_SHOWN]
            ]
            return f"{name}: {' and '.join(texts)}"
    return ""


def find_in_any_form(label: str, cal_dict: Mapping[str, Any]) -> Path | None:
    """
    Find a processed calibration as one file, or in a file for each key.

    A step that is split by key names its products ``x_bias-{ifu:02d}.fits`` where the
    label is ``x_bias.fits``; headers tell what the key is.
    """
    path = find_product(label, cal_dict)
    if path is not None or "{" in label:
        return path
    name = product_name(label)
    stem = split_ext(name)[0]
    for folder in product_folders(cal_dict):
        place = (folder / name).parent
        files = sorted(place.glob(f"{glob.escape(Path(stem).name)}[-_.]*"))
        frames = [
            read_frame(path) for path in files if is_fits(split_ext(path.name)[1])
        ]
        for frame in gathered(frames):
            if frame.members and without_key(frame.name) == Path(name).name:
                return frame.path
    return None


def lacking(target: Frame, frame: Frame) -> dict[str, tuple[Key, ...]]:
    """List the members that a frame has and its calibration has not."""
    found = {}
    for field, wanted in target.parts.items():
        there = frame.parts.get(field, ())
        missing = tuple(key for key in wanted if key not in there)
        if there and missing:
            found[field] = missing
    return found
