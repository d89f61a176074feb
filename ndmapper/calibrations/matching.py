"""Match frames with their calibrations by the rules of the instrument."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ndmapper.calibrations.frames import Frame
from ndmapper.calibrations.names import frame_name
from ndmapper.instruments import Rule

__all__ = ["Match", "match_frames"]


@dataclass(frozen=True, kw_only=True)
class Match:
    """
    What a look-up found, and why.

    Parameters
    ----------
    files : tuple of str
        Names of the frames that match, sorted.
    reasons : tuple of str
        What was decided, and for every frame of the right class that is not used,
        why not.
    """

    files: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.reasons)


def match_frames(target: Frame, cal_type: str, frames: Sequence[Frame]) -> Match:
    """
    Find the frames that calibrate another one.

    Parameters
    ----------
    target : Frame
        The frame to be calibrated.
    cal_type : str
        Type of calibration.
    frames : sequence of Frame
        All frames that there are; their order does not matter.

    Returns
    -------
    Match
        Those that the rule of the instrument allows: of one set, the one that comes
        nearest in time, and of that the nearest frames; ties go by name.
    """
    if target.instrument is None:
        reason = f"the instrument of {target.name} is not known ({target.why})"
        return Match(reasons=(reason,))
    rule = target.instrument.rule(cal_type)
    if rule is None:
        reason = f"{target.instrument.name} has no rule for {cal_type}"
        return Match(reasons=(reason,))
    fitting, reasons = _fitting(target, rule, frames)
    chosen = _nearest_set(target, rule, fitting)
    outside = [frame.name for frame in fitting if frame not in chosen]
    if outside:
        reasons.append(f"{', '.join(sorted(outside))}: another set, or further in time")
    found = f"{len(chosen)} of class {' or '.join(rule.select)}"
    if len(chosen) < rule.minimum:
        needed = f"{found}, but at least {rule.minimum} needed"
        return Match(reasons=(needed, *sorted(reasons)))
    criteria = f", same {', '.join(rule.match)}" if rule.match else ""
    files = tuple(sorted(frame.name for frame in chosen))
    return Match(files=files, reasons=(found + criteria, *sorted(reasons)))


def _fitting(
    target: Frame, rule: Rule, frames: Sequence[Frame]
) -> tuple[list[Frame], list[str]]:
    fitting, reasons = [], []
    for frame in frames:
        if (
            frame.instrument is None
            or target.instrument is None
            or frame.instrument.name != target.instrument.name
            or frame.frame_class not in rule.select
            or frame_name(frame.name) == frame_name(target.name)
        ):
            continue
        against = _against(target, rule, frame)
        if against:
            reasons.append(f"{frame.name}: {', '.join(against)}")
        else:
            fitting.append(frame)
    return fitting, reasons


def _against(target: Frame, rule: Rule, frame: Frame) -> list[str]:
    """Say all that speaks against a frame."""
    against = []
    for name in rule.match:
        found, wanted = frame.values.get(name), target.values.get(name)
        if found != wanted:
            against.append(f"{name} {_shown(found)} is not {_shown(wanted)}")
    for name, limit in rule.tolerance.items():
        found, wanted = frame.values.get(name), target.values.get(name)
        if found is None and wanted is None:
            continue
        if not isinstance(found, int | float) or not isinstance(wanted, int | float):
            against.append(f"{name} {_shown(found)} is not {_shown(wanted)}")
        elif not abs(found - wanted) <= limit:
            against.append(f"{name} {found:g} is not {wanted:g} within {limit:g}")
    if rule.window is not None:
        days = _days_after(target, frame)
        before, after = rule.window
        if days is None:
            against.append("the time of one of the two is not known")
        elif not -before <= days <= after:
            side, limit = ("before", before) if days < 0 else ("after", after)
            against.append(f"{abs(days):.1f} d {side}, more than {limit:g} d")
    return against


def _nearest_set(target: Frame, rule: Rule, fitting: Sequence[Frame]) -> list[Frame]:
    if not fitting:
        return []

    def order(frame: Frame) -> tuple[float, str]:
        days = _days_after(target, frame)
        return (math.inf if days is None else abs(days), frame.name)

    ordered = sorted(fitting, key=order)
    shared = [ordered[0].values.get(name) for name in rule.group]
    one_set = [
        frame
        for frame in ordered
        if [frame.values.get(name) for name in rule.group] == shared
    ]
    return one_set[: rule.maximum]


def _days_after(target: Frame, frame: Frame) -> float | None:
    times = [frame.values.get("time"), target.values.get("time")]
    try:
        later, earlier = (datetime.fromisoformat(str(time)) for time in times)
    except ValueError:
        return None
    return (later - earlier).total_seconds() / 86400.0


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)
