"""Match frames with their calibrations by the rules of the instrument."""

import functools
import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ndmapper.calibrations.frame_index import FrameIndex, classes_for
from ndmapper.calibrations.frames import Frame
from ndmapper.calibrations.mismatch import (
    days_after,
    meets_other_conditions,
    objections,
    order_of,
)
from ndmapper.calibrations.sets import lacking
from ndmapper.data.name_pattern import keys_text
from ndmapper.instruments import Rule

__all__ = ["Match", "Verdict", "match_frames"]

# Number of candidates that a one-line summary explains; others are counted.
_SHOWN = 12
# Of more frames than this, no candidates are explained: that would take longer than the
# match.
_MANY = 1000


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Why one candidate is used, or not used."""

    name: str
    # 'used', 'lost' (matches, but others are better), 'failed' (does not match) or
    # 'bad' (marked bad).
    status: str
    # Quality level of the rule at which the frame matches.
    quality: int | None
    # Why it is not used; empty if it is.
    why: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Match:
    """Result of matching one target, with the reasons."""

    target: Frame
    # None if the instrument has no rule.
    rule: Rule | None = None
    # The matching frames, sorted by name.
    used: tuple[Frame, ...] = ()
    # Quality level; 0 is best, None for no match.
    quality: int | None = None
    summary: str
    # All frames that were considered.
    pool: FrameIndex = field(repr=False)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the matching frames."""
        return tuple(frame.name for frame in self.used)

    @property
    def product(self) -> Frame | None:
        """The processed calibration; None for raw frames."""
        return self.used[0] if self.used and self.used[0].is_processed else None

    @property
    def warning(self) -> str | None:
        """What to warn of: a match of lower quality, or members that are missing."""
        found = []
        if self.rule is not None and self.quality:
            warn = self.rule.graded[self.quality].warn
            found.append(warn or f"of quality {self.quality}")
        if self.product is not None and (lacks := _missing(self.target, self.product)):
            found.append(lacks)
        return "; ".join(found) or None

    @functools.cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Verdicts on all candidates, sorted by name."""
        found = [self.verdict(f) for f in self.candidates]
        return tuple(sorted(found, key=lambda v: v.name))

    @functools.cached_property
    def candidates(self) -> tuple[Frame, ...]:
        """All frames of the right class."""
        if self.rule is None or self.target.instrument is None:
            return ()
        name = self.target.instrument.name
        frames = self.pool.of_classes(name, classes_for(self.rule))
        return tuple(f for f in frames if f.plain != self.target.plain)

    def verdict(self, frame: Frame) -> Verdict:
        """Explain why a candidate is used or not."""
        if self.rule is None:
            why = self.summary
            return Verdict(name=frame.name, status="failed", quality=None, why=why)
        return _verdict(self, self.rule, frame, self.used)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The summary, and for every candidate that is not used the reason."""
        against = [f"{v.name}: {v.why}" for v in self.verdicts if v.status != "used"]
        return (self.summary, *against)

    @property
    def why(self) -> str:
        """The reasons in one line, for the candidates nearest in time."""
        if len(self.pool.frames) > _MANY:
            # Too slow for a season: thousands of candidates for thousands of frames.
            return f"{self.summary}; 'ndmapper cals why' explains the others"
        others = [f for f in self.candidates if f not in self.used]
        shown = heapq.nsmallest(_SHOWN, others, key=self._nearness)
        verdicts = sorted((self.verdict(f) for f in shown), key=lambda v: v.name)
        parts = [self.summary, *(f"{v.name}: {v.why}" for v in verdicts)]
        if len(others) > len(shown):
            more = len(others) - len(shown)
            parts.append(f"and {more} others, which 'ndmapper cals why' explains")
        return "; ".join(parts)

    def _nearness(self, frame: Frame) -> tuple[float, str]:
        days = days_after(self.target, frame)
        return (math.inf if days is None else abs(days), frame.name)


def match_frames(
    target: Frame, cal_type: str, frames: Sequence[Frame] | FrameIndex
) -> Match:
    """Find the frames that calibrate a target."""
    pool = frames if isinstance(frames, FrameIndex) else FrameIndex(frames)
    if target.instrument is None:
        why = f"the instrument of {target.name} is not known ({target.why})"
        return Match(target=target, summary=why, pool=pool)
    name = target.instrument.name
    rule = target.instrument.rule(cal_type, target.values)
    if rule is None:
        of_these = "" if target.instrument.rule(cal_type) is None else " of such frames"
        why = f"{name} has no rule for {cal_type}{of_these}"
        return Match(target=target, summary=why, pool=pool)
    most = 0
    for quality, level in enumerate(rule.graded):
        fitting = [
            frame
            for frame in pool.near(target, level)
            if frame.plain != target.plain
            and frame.plain not in pool.bad
            and meets_other_conditions(target, level, frame)
        ]
        sets = _sets(target, level, fitting)
        most = max([most, *(len(one) for one in sets)])
        chosen = next((one for one in sets if not _lacks(level, one)), None)
        if chosen is not None:
            used = chosen[: level.maximum]
            return Match(
                target=target,
                rule=rule,
                used=tuple(sorted(used, key=lambda frame: frame.name)),
                quality=quality,
                summary=_summary(target, level, quality, used),
                pool=pool,
            )
    classes = rule.select or (f"processed_{rule.type}",)
    found = f"{most} of class {' or '.join(classes)}"
    lacking = f", with {', '.join(rule.values)} complete" if rule.values else ""
    summary = f"{found}, but at least {rule.minimum} needed{lacking}"
    return Match(target=target, rule=rule, summary=summary, pool=pool)


def _sets(target: Frame, level: Rule, fitting: Iterable[Frame]) -> list[list[Frame]]:
    """Group matching frames into sets, best first, each sorted by preference."""
    ranked = sorted(
        fitting,
        key=lambda f: (
            *order_of(target, level, f), f.is_processed, _lack_count(target, f), f.name
        ),
    )  # fmt: skip
    sets: dict[tuple[object, ...], list[Frame]] = {}
    for frame in ranked:
        sets.setdefault(_set_of(level, frame), []).append(frame)
    return list(sets.values())


def _set_of(level: Rule, frame: Frame) -> tuple[object, ...]:
    if not frame.is_processed:
        return tuple(frame.values.get(name) for name in level.group)
    return ("\0processed", frame.path)


def _lack_count(target: Frame, frame: Frame) -> int:
    """Count the members that a processed calibration lacks."""
    if not frame.is_processed:
        return 0
    return sum(len(keys) for keys in lacking(target, frame).values())


def _missing(target: Frame, frame: Frame) -> str:
    """Say which members a processed calibration lacks; empty for none."""
    return ", ".join(
        f"{field} {keys_text(keys)} missing"
        for field, keys in lacking(target, frame).items()
    )


def _lacks(level: Rule, one_set: Sequence[Frame]) -> str | None:
    """Say what a set lacks; None if it is complete."""
    if one_set[0].is_processed:
        return None
    if len(one_set) < level.minimum:
        return f"its set has {len(one_set)} of at least {level.minimum}"
    for name, wanted in level.values.items():
        there = "+".join(str(f.values.get(name) or "") for f in one_set).split("+")
        missing = [value for value in wanted if value not in there]
        if missing:
            return f"its set has no {name} {', '.join(missing)}"
    return None


def _summary(target: Frame, level: Rule, quality: int, used: Sequence[Frame]) -> str:
    kind = used[0].frame_class if used[0].is_processed else " or ".join(level.select)
    parts = [f"{len(used)} of class {kind}"]
    if level.match:
        parts.append(f"same {', '.join(level.match)}")
    days = days_after(target, used[0])
    if days is not None:
        parts.append(f"{abs(days):.2g} d {'before' if days < 0 else 'after'}")
    if used[0].members:
        parts.append(f"{len(used[0].members)} files")
    if used[0].is_processed and (lacks := _missing(target, used[0])):
        parts.append(lacks)
    if quality:
        parts.append(f"quality {quality}" + (f": {level.warn}" if level.warn else ""))
    return ", ".join(parts)


def _verdict(match: Match, rule: Rule, frame: Frame, used: Sequence[Frame]) -> Verdict:
    name, target = frame.name, match.target
    if frame in used:
        return Verdict(name=name, status="used", quality=match.quality, why="")
    if frame.plain in match.pool.bad:
        why = f"marked bad ({match.pool.bad[frame.plain]})"
        return Verdict(name=name, status="bad", quality=None, why=why)
    against: list[str] = []
    for quality, level in enumerate(rule.graded):
        against = objections(target, level, frame)
        if not against:
            why = _lost(match, level, quality, frame, used)
            return Verdict(name=name, status="lost", quality=quality, why=why)
    why = ", ".join(against)
    return Verdict(name=name, status="failed", quality=None, why=why)


def _lost(
    match: Match, level: Rule, quality: int, frame: Frame, used: Sequence[Frame]
) -> str:
    """Say why a matching frame is not used."""
    if match.quality is not None and quality > match.quality:
        return f"fits only with quality {quality}, and others with {match.quality}"
    its_set = [
        other
        for other in match.pool.near(match.target, level)
        if _set_of(level, other) == _set_of(level, frame)
        and other.plain != match.target.plain
        and other.plain not in match.pool.bad
        and meets_other_conditions(match.target, level, other)
    ]
    lacks = _lacks(level, its_set) if its_set else None
    if lacks is not None or not used:
        return lacks or "not enough of them"
    best = min(used, key=lambda f: order_of(match.target, level, f))
    in_set = _set_of(level, best) == _set_of(level, frame)
    rival = (
        max(used, key=lambda f: order_of(match.target, level, f)) if in_set else best
    )
    what = f"beyond the {level.maximum} that are used" if in_set else "of another set"
    mine, theirs = (order_of(match.target, level, f) for f in (frame, rival))
    if (
        mine == theirs
        and frame.is_processed
        and (lacks := _missing(match.target, frame))
    ):
        return f"{what}, equally near, but {lacks}"
    labels = [" and ".join(units) for units in level.order]
    for label, a, b in zip([*labels, "length of the run"], mine, theirs, strict=True):
        if a != b:
            unit = " d" if label == "dt" else ""
            return f"{what}, {label} {a:.3g}{unit} and not {b:.3g}{unit}"
    return f"{what}, equally good, but later by name"
