"""Look up the calibrations of frames recursively, and note them in the document."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ndmapper.calibrations.entries import note_matches, note_target, types_of
from ndmapper.calibrations.folders import note_folders
from ndmapper.calibrations.lookup_result import Answer, Matches, matched_files
from ndmapper.calibrations.names import frame_name, known_key
from ndmapper.calibrations.products import product_label
from ndmapper.calibrations.provenance import (
    EARLIER,
    answer_of,
    bad_frames,
    good_frames,
    is_locked,
    note_answer,
)
from ndmapper.calibrations.schema import ANSWERS, ASSOCIATIONS, CALIBRATIONS
from ndmapper.errors import NdmapperError, ParameterError

__all__ = [
    "Change",
    "Dependencies",
    "LookUp",
    "check_dependencies",
    "walk_dependencies",
]

log = logging.getLogger(__name__)

Dependencies = Mapping[str, Sequence[str]]
"""Types of calibration that each type of frame needs."""

LookUp = Callable[[str, str], Matches]
"""Callable that returns the matches of a frame for a type of calibration."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """An association that a look-up changed."""

    name: str
    cal_type: str
    # Raw frames or the processed calibration; empty for none.
    before: tuple[str, ...]
    after: tuple[str, ...]

    def __str__(self) -> str:
        before, after = (", ".join(x) or "none" for x in (self.before, self.after))
        return f"{self.cal_type} of {self.name}: {after} instead of {before}"


def check_dependencies(dependencies: object) -> None:
    """Raise ParameterError unless `dependencies` maps types to lists of types."""
    if not isinstance(dependencies, Mapping):
        msg = (
            "dependencies must be a mapping such as {'target': ['bias', 'flat'], "
            f"'flat': ['bias']}}, not {dependencies!r}"
        )
        raise ParameterError(msg)
    for kind, types in dependencies.items():
        if isinstance(types, str) or not all(isinstance(name, str) for name in types):
            msg = f"dependencies[{kind!r}] must be a list of types, not {types!r}"
            raise ParameterError(msg)


def walk_dependencies(
    frames: Iterable[tuple[str, str]],
    dependencies: Dependencies,
    look_up: LookUp,
    cal_dict: dict[str, Any],
    *,
    refresh: bool = False,
    bad: Mapping[str, str] | None = None,
    raw_types: Collection[str] = (),
) -> list[Change]:
    """
    Note the calibrations of frames and, recursively, those of the calibrations.

    Entries made or locked by the user are never changed. Empty results, and those with
    frames marked bad since, are looked up again (and kept if no service can be
    reached); with `refresh`, all results are. A single raw frame of one of `raw_types`
    is the calibration itself.
    """
    pending = list(frames)[::-1]
    for name, _ in pending:
        note_target(name, cal_dict)
    bad = bad_frames(cal_dict) if bad is None else bad
    walk = _Walk(look_up, cal_dict, bad, refresh=refresh, raw_types=raw_types)
    done = set()
    while pending:
        name, kind = pending.pop()
        if (name, kind) in done:
            continue
        done.add((name, kind))
        for cal_type in dependencies.get(kind, ()):
            walk.visit(name, cal_type)
            files = walk.raw_frames_of(name, cal_type)
            pending += [(file, cal_type) for file in reversed(files)]
    return walk.changes


class _Walk:
    """State of one recursive look-up."""

    def __init__(
        self,
        look_up: LookUp,
        cal_dict: dict[str, Any],
        bad: Mapping[str, str],
        *,
        refresh: bool,
        raw_types: Collection[str],
    ) -> None:
        self.look_up = look_up
        self.raw_types = raw_types
        self.bad = bad
        self.cal_dict = cal_dict
        self.refresh = refresh
        self.changes: list[Change] = []

    def visit(self, name: str, cal_type: str) -> None:
        types = types_of(self.cal_dict, name)
        if is_locked(name, cal_type, self.cal_dict):
            return
        if cal_type not in types:
            self.note(name, cal_type, self.ask(name, cal_type))
        elif self.is_open(name, cal_type):
            self.ask_again(name, cal_type)

    def is_open(self, name: str, cal_type: str) -> bool:
        """Whether an association may be looked up again."""
        key = known_key(self.cal_dict[ASSOCIATIONS], name)
        label = self.cal_dict[ASSOCIATIONS][key][cal_type]
        noted = answer_of(key, cal_type, self.cal_dict)
        if noted is None and (label is not None or ANSWERS in self.cal_dict):
            return False
        if noted is None or noted.get("source") == EARLIER:
            # The null may come from a look-up, or from a user who wants none.
            return self.refresh
        files = self.cal_dict[CALIBRATIONS].get(label, [label])
        return (
            self.refresh
            or label is None
            # An earlier version took the files of a processed set for raw frames.
            or bool(noted.get("made") and label in self.cal_dict[CALIBRATIONS])
            or any(frame_name(file) in self.bad for file in files)
        )

    def ask(self, name: str, cal_type: str) -> Answer:
        found = self.look_up(name, cal_type)
        if not isinstance(found, Answer):
            found = Answer(files=tuple(matched_files(found)))
        if found.product is not None and len(found.paths) == 1:
            label = product_label(found.paths[0], self.cal_dict)
            found = replace(found, product=label)
        if cal_type in self.raw_types and found.product is None:
            found = replace(found, is_raw=True)
        return found.without(self.bad)

    def ask_again(self, name: str, cal_type: str) -> None:
        before = self.frames_of(name, cal_type)
        try:
            answer = self.ask(name, cal_type)
        except (NdmapperError, OSError) as err:
            if self.refresh:
                raise
            # Not fatal: there is an earlier result.
            log.info("%s of %s was not asked for again: %s", cal_type, name, err)
            return
        after = tuple(answer.names) or (() if not answer.product else (answer.product,))
        if set(after) != set(before):
            self.note(name, cal_type, answer)
            change = Change(name=name, cal_type=cal_type, before=before, after=after)
            self.changes.append(change)

    def note(self, name: str, cal_type: str, answer: Answer) -> None:
        if answer.product is None or "/" not in answer.product:
            note_folders(answer.paths, self.cal_dict)
        note_matches(name, cal_type, answer, self.cal_dict)
        key = known_key(self.cal_dict[ASSOCIATIONS], name)
        note_answer(key, cal_type, answer, self.cal_dict)

    def raw_frames_of(self, name: str, cal_type: str) -> list[str]:
        """Return the raw frames of a calibration, to be calibrated themselves."""
        associations = self.cal_dict[ASSOCIATIONS]
        key = known_key(associations, name)
        label = associations.get(key, {}).get(cal_type)
        noted = answer_of(key, cal_type, self.cal_dict)
        if label is None or (noted is not None and noted.get("made")):
            return []
        files = self.cal_dict[CALIBRATIONS].get(label, ())
        return good_frames(files, self.cal_dict)

    def frames_of(self, name: str, cal_type: str) -> tuple[str, ...]:
        label = types_of(self.cal_dict, name)[cal_type]
        if label is None:
            return ()
        files = self.cal_dict[CALIBRATIONS].get(label, [label])
        return tuple(good_frames(files, self.cal_dict))
