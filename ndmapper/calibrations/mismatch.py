"""Reasons why a frame does not calibrate another one, and their distance."""

import functools
import math
import re
from datetime import date, timedelta

from ndmapper.calibrations.frames import Frame, moment_of
from ndmapper.instruments import Rule
from ndmapper.instruments.conditions import Value

__all__ = [
    "days_after",
    "meets_other_conditions",
    "objections",
    "order_of",
]


def objections(target: Frame, rule: Rule, frame: Frame) -> list[str]:
    """List all reasons why a frame does not match."""
    against = []
    for name in rule.match:
        found, wanted = frame.values.get(name), target.values.get(name)
        if found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
            against.append(f"{name} {_shown(found)} is not {_shown(wanted)}")
    against += _beyond_equality(target, rule, frame)
    if rule.night:
        found, wanted = frame.values.get("night"), target.values.get("night")
        if found != wanted:
            against.append(f"night {_shown(found)} is not {_shown(wanted)}")
    if rule.window is not None:
        days = days_after(target, frame)
        before, after = rule.window
        if days is None:
            unknown = (f for f in (target, frame) if f.days is None)
            against += [
                f"the time of {f.name} is not known ({f.why_no_time})" for f in unknown
            ]
        elif not -before <= days <= after:
            side, limit = ("before", before) if days < 0 else ("after", after)
            against.append(f"{abs(days):.1f} d {side}, more than {limit:g} d")
    return against


def meets_other_conditions(target: Frame, rule: Rule, frame: Frame) -> bool:
    """
    Whether a frame matches, given that its descriptors are equal and it is near in
    time.
    """
    return not _beyond_equality(target, rule, frame)


def _beyond_equality(target: Frame, rule: Rule, frame: Frame) -> list[str]:
    against = []
    for name, conditions in rule.where.items():
        for condition in conditions:
            met, text = condition.test(name, frame.values.get(name))
            if not met:
                against.append(f"{text} is not what the rule asks for")
    for name, tolerance in rule.tolerance.items():
        text_ = tolerance.against(
            name, frame.values.get(name), target.values.get(name), target.values
        )
        if text_ is not None:
            against.append(text_)
    for name in rule.covers:
        found, wanted = frame.values.get(name), target.values.get(name)
        if found == wanted or wanted is None:
            continue
        missing = _uncovered(str(wanted), str(found or ""))
        if missing is not None:
            against.append(f"{name} do not cover {missing}")
    return against


def days_after(target: Frame, frame: Frame) -> float | None:
    """Return the days from a target to a frame; None if a time is unknown."""
    if target.days is None or frame.days is None:
        return None
    return frame.days - target.days


def order_of(target: Frame, rule: Rule, frame: Frame) -> tuple[float, ...]:
    """Return the sort key of a matching frame: smaller is better."""
    period = _period(target, rule, frame)
    found = []
    for units in rule.order:
        total = 0.0
        for name, unit in units.items():
            if name == "dt" and period is not None:
                total += period[0] / unit
            elif name == "dt":
                days = days_after(target, frame)
                total += math.inf if days is None else abs(days) / unit
            elif name == "night" and "night" not in target.values:
                total += 0.0 if _night(frame) == _night(target) is not None else 1.0
            else:
                total += _apart(rule, name, frame, target) / unit
        found.append(total)
    return (*found, 0.0 if period is None else period[1])


def _apart(rule: Rule, name: str, frame: Frame, target: Frame) -> float:
    a, b = frame.values.get(name), target.values.get(name)
    if isinstance(a, int | float) and isinstance(b, int | float):
        tolerance = rule.tolerance.get(name)
        return tolerance.difference(a, b) if tolerance else abs(a - b)
    return 0.0 if a == b else math.inf


def _period(target: Frame, rule: Rule, frame: Frame) -> tuple[float, float] | None:
    """Return distance to and length of the observing run of a calibration [day]."""
    if rule.period is None or frame.instrument is None:
        return None
    name = frame.values.get(rule.period)
    period = frame.instrument.periods.get(str(name))
    night = _night(target)
    if period is None or night is None:
        return None
    outside = max((period.begin - night).days, (night - period.end).days, 0)
    return float(outside), float((period.end - period.begin).days)


def _night(frame: Frame) -> date | None:
    for name in ("night", "time"):
        moment = moment_of(frame.values.get(name))
        if moment is not None:
            # By default a night ends at noon.
            return (moment if name == "night" else moment - timedelta(hours=12)).date()
    return None


def _shown(value: Value) -> str:
    return "missing" if value is None else repr(value)


_SECTION = re.compile(r"\[\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*\]")

Box = tuple[int, int, int, int]


@functools.lru_cache(maxsize=4096)
def _uncovered(inner: str, outer: str) -> str | None:
    """Return a detector region that no region of the same amplifier covers."""
    boxes = _parsed(outer)
    for name, box in _parsed(inner):
        if not any(name == other and _within(box, wide) for other, wide in boxes):
            shown = f"[{box[0]}:{box[1]},{box[2]}:{box[3]}]"
            return f"{name} {shown}".strip()
    return None


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[tuple[str, Box], ...]:
    found = []
    for item in text.split(";"):
        name, _, section = item.rpartition("@")
        match = _SECTION.search(section)
        if match:
            x1, x2, y1, y2 = (int(number) for number in match.groups())
            found.append((name, (x1, x2, y1, y2)))
        else:
            # A region that cannot be parsed must be equal.
            found.append((item, (0, 0, 0, 0)))
    return tuple(found)


def _within(box: Box, wide: Box) -> bool:
    return (
        wide[0] <= box[0]
        and box[1] <= wide[1]
        and wide[2] <= box[2]
        and box[3] <= wide[3]
    )
