"""
Who said what: answers of look-ups, edits of the user, locks, and bad frames.

The calibration document may have three maps beside the published ones:

``answers``
    Of each association that a look-up made: who was asked (``source``), by which rules,
    of what ``quality`` the answer is (0 is the best), ``why``, and which ``label`` and
    frames it was. Where the association says something else by now, somebody edited
    it, and so it is where there is no entry.
``locked``
    Types of calibration of a frame that no look-up changes.
``bad_frames``
    Frames that are not to be used: who says so, and why.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
    "Answer",
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
"""The source of what no look-up answered."""

EARLIER = "an earlier version"
"""The source of null in a document that did not say yet who said what."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a look-up gives, when it says more than names."""

    # Names of raw frames and their checksums; empty where none fit.
    files: tuple[tuple[str, str | None], ...] = ()
    # The file of a calibration that is made already, instead of raw frames.
    product: str | None = None
    # How good it is; 0 is the best, None where that is not known.
    quality: int | None = None
    # What speaks for it, or why there is none.
    why: str = ""
    # The table of rules that was gone by.
    rules: str | None = None
    # Who was asked.
    source: str = ""
    # Whether the files are a calibration that is made already, one for each part of the
    # instrument. Such files need no calibrations in turn.
    is_made: bool = False
    # Where the files lie, if on this machine.
    paths: tuple[Path, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of raw frames."""
        return [name for name, _ in self.files]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return not self.files and self.product is None

    def without(self, bad: Mapping[str, str]) -> "Answer":
        """Leave out what is not to be used."""
        kept = tuple(f for f in self.files if frame_name(f[0]) not in bad)
        product = self.product
        if product is not None and frame_name(product) in bad:
            product = None
        return replace(self, files=kept, product=product)


def note_answer(
    name: str, cal_type: str, answer: Answer, cal_dict: dict[str, Any]
) -> None:
    """Note that an association is what a look-up answered."""
    if ANSWERS not in cal_dict:
        # Of a document without answers, null may be that of a look-up, or of a person.
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
    """Note that an association is nobody's answer any more."""
    types = cal_dict.get(ANSWERS, {}).get(name)
    if types is not None:
        types.pop(cal_type, None)
        if not types:
            del cal_dict[ANSWERS][name]


def answer_of(
    name: str, cal_type: str, cal_dict: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return what is stored of an association, unless it was edited since."""
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
    """List the sets that are calibrations already, one file for each part."""
    return {
        str(noted["label"])
        for name, types in cal_dict.get(ANSWERS, {}).items()
        for cal_type in types
        if (noted := answer_of(name, cal_type, cal_dict)) and noted.get("made")
    }


def source_of(name: str, cal_type: str, cal_dict: Mapping[str, Any]) -> str:
    """Say who an association is of."""
    noted = answer_of(name, cal_type, cal_dict)
    if noted is None:
        return USER
    rules = noted.get("rules")
    source = str(noted.get("source") or "a look-up")
    return f"{source} ({rules})" if rules else source


def is_locked(name: str, cal_type: str, cal_dict: Mapping[str, Any]) -> bool:
    """Say whether no look-up may change an association."""
    locked = cal_dict.get(LOCKED, {})
    return any(cal_type in locked.get(key, ()) for key in name_variants(name))


def bad_frames(cal_dict: Mapping[str, Any]) -> dict[str, str]:
    """List the frames that are not to be used."""
    found = {}
    for name, given in cal_dict.get(BAD_FRAMES, {}).items():
        said = given if isinstance(given, Mapping) else {"why": given}
        parts = (said.get("who"), said.get("why"))
        found[frame_name(name)] = ": ".join(str(part) for part in parts if part)
    return found


def good_frames(files: Iterable[str], cal_dict: Mapping[str, Any]) -> list[str]:
    """Leave out the frames that are not to be used."""
    if not cal_dict.get(BAD_FRAMES):
        return list(files)
    bad = bad_frames(cal_dict)
    return [name for name in files if frame_name(name) not in bad]


def _mark(files: Iterable[str]) -> str:
    """Make a short mark by which an edit of a list of frames is noticed."""
    names = "\n".join(sorted(frame_name(name) for name in files))
    return hashlib.sha256(names.encode()).hexdigest()[:8]
