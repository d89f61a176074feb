"""
Origin of associations: results of look-ups, edits, locks and bad frames.

The calibration document may have three maps beside the published ones:

``answers``
    For each looked-up association: the service (``source``), the ``rules``, the
    ``quality`` of the match (0 is best), the reason (``why``), and the ``label`` and
    frames that were noted. An association that differs from its answer, or has
    none, was edited by the user.
``locked``
    Types of calibration of a frame that no look-up changes.
``bad_frames``
    Frames that must not be used, with author and reason.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ndmapper.calibrations.lookup_result import Answer
from ndmapper.calibrations.names import frame_name, name_variants
from ndmapper.calibrations.schema import (
    ANSWERS,
    ASSOCIATIONS,
    BAD_FRAMES,
    CALIBRATIONS,
    LOCKED,
)

__all__ = [
    "EARLIER",
    "Answer",  # services of other packages may import it from here
    "answer_of",
    "bad_frames",
    "forget_answer",
    "good_frames",
    "is_locked",
    "made_labels",
    "note_answer",
    "source_of",
]

USER = "user"
"""Source of associations that are not results of a look-up."""

EARLIER = "an earlier version"
"""Source of null in a document of an earlier version, which did not note sources."""


def note_answer(
    name: str, cal_type: str, answer: Answer, cal_dict: dict[str, Any]
) -> None:
    """Note the result of a look-up as the origin of an association."""
    if ANSWERS not in cal_dict:
        # In a document of an earlier version, null may come from a look-up or from the
        # user.
        cal_dict[ANSWERS] = {
            frame: {kind: {"source": EARLIER, "label": None} for kind in nulls}
            for frame, types in cal_dict[ASSOCIATIONS].items()
            if (nulls := [kind for kind, label in types.items() if label is None])
        }
    label = cal_dict[ASSOCIATIONS][name][cal_type]
    noted: dict[str, Any] = {"source": answer.source, "label": label}
    if answer.rules is not None:
        noted["rules"] = answer.rules
    if answer.quality is not None:
        noted["quality"] = answer.quality
    if answer.files:
        noted["frames"] = _mark(cal_dict[CALIBRATIONS].get(label, ()))
    if answer.is_made:
        noted["made"] = True
    if answer.why:
        noted["why"] = answer.why
    cal_dict[ANSWERS].setdefault(name, {})[cal_type] = noted


def forget_answer(name: str, cal_type: str, cal_dict: dict[str, Any]) -> None:
    """Remove the noted result of an association that is no longer that of a look-up."""
    types = cal_dict.get(ANSWERS, {}).get(name)
    if types is not None:
        types.pop(cal_type, None)
        if not types:
            del cal_dict[ANSWERS][name]


def answer_of(
    name: str, cal_type: str, cal_dict: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the noted result of an association, unless it was edited since."""
    noted = cal_dict.get(ANSWERS, {}).get(name, {}).get(cal_type)
    types = cal_dict.get(ASSOCIATIONS, {}).get(name, {})
    if noted is None or cal_type not in types:
        return None
    label = types[cal_type]
    if noted.get("label") != label:
        return None
    files = cal_dict.get(CALIBRATIONS, {}).get(label) if label is not None else None
    if (noted.get("frames") or None) != (None if files is None else _mark(files)):
        return None
    found: Mapping[str, Any] = noted
    return found


def made_labels(cal_dict: Mapping[str, Any]) -> set[str]:
    """Return the labels of processed calibrations that consist of several files."""
    return {
        str(noted["label"])
        for name, types in cal_dict.get(ANSWERS, {}).items()
        for cal_type in types
        if (noted := answer_of(name, cal_type, cal_dict)) and noted.get("made")
    }


def source_of(name: str, cal_type: str, cal_dict: Mapping[str, Any]) -> str:
    """Return the origin of an association: a service with its rules, or "user"."""
    noted = answer_of(name, cal_type, cal_dict)
    if noted is None:
        return USER
    rules = noted.get("rules")
    source = str(noted.get("source") or "a look-up")
    return f"{source} ({rules})" if rules else source


def is_locked(name: str, cal_type: str, cal_dict: Mapping[str, Any]) -> bool:
    """Whether an association is locked against look-ups."""
    locked = cal_dict.get(LOCKED, {})
    return any(cal_type in locked.get(key, ()) for key in name_variants(name))


def bad_frames(cal_dict: Mapping[str, Any]) -> dict[str, str]:
    """Return the frames marked bad, with the reason."""
    found = {}
    for name, given in cal_dict.get(BAD_FRAMES, {}).items():
        said = given if isinstance(given, Mapping) else {"why": given}
        parts = (said.get("who"), said.get("why"))
        found[frame_name(name)] = ": ".join(str(part) for part in parts if part)
    return found


def good_frames(files: Iterable[str], cal_dict: Mapping[str, Any]) -> list[str]:
    """Return files without those marked bad."""
    if not cal_dict.get(BAD_FRAMES):
        return list(files)
    bad = bad_frames(cal_dict)
    return [name for name in files if frame_name(name) not in bad]


def _mark(files: Iterable[str]) -> str:
    """Short digest of a list of frames, to detect edits."""
    names = "\n".join(sorted(frame_name(name) for name in files))
    return hashlib.sha256(names.encode()).hexdigest()[:8]
