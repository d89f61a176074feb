"""Rules: which frames calibrate another one, as frozen data."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ndmapper.instruments.conditions import Condition, Value

__all__ = [
    "Conditions",
    "Period",
    "Rule",
    "Setup",
    "Tolerance",
    "all_met",
    "values_of",
]

Conditions = Mapping[str, tuple[Condition, ...]]
"""Descriptors, and what is asked of each."""


def all_met(where: Conditions, values: Mapping[str, Value]) -> bool:
    """Whether descriptors meet all conditions."""
    for name, conditions in where.items():
        value = values.get(name)
        for condition in conditions:
            if not condition.is_met(value):
                return False
    return True


@dataclass(frozen=True)
class Setup:
    """Values that hold for frames whose descriptors meet all conditions."""

    values: Mapping[str, Any]
    where: Conditions = field(default_factory=dict)


def values_of(
    setups: Sequence[Setup], described: Callable[[], Mapping[str, Value]]
) -> dict[str, Any]:
    """Join the values that hold for a frame; those of the last setup count."""
    known = described() if any(setup.where for setup in setups) else {}
    found: dict[str, Any] = {}
    for setup in setups:
        if all_met(setup.where, known):
            found |= setup.values
    return found


@dataclass(frozen=True, kw_only=True)
class Period:
    """A run of observations."""

    name: str
    # The first and the last of its nights.
    begin: date
    end: date


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a descriptor of a calibration may differ from that of the frame."""

    limit: float | None = None  # the largest difference; None where only the cases say
    # Conditions on the frame, and the limit where they are met (None: any difference
    # will do); the first that fits goes before `limit`.
    cases: tuple[tuple[Conditions, float | None], ...] = ()
    relative: bool = False  # whether the limit is a fraction of the frame's value
    # Whether a calibration with a larger value will do, whatever the difference.
    at_least: bool = False
    # Descriptor of the frame, an angle [degree] by whose cosine the limit is divided;
    # from 85 degrees on any difference will do.
    over_cos: str | None = None
    circle: float | None = None  # what is added in a full circle, for angles
    # Whether a value that is missing in either is no objection.
    skip_missing: bool = False

    def limit_for(self, values: Mapping[str, Value]) -> float | None:
        """Return the limit that holds for a frame."""
        limit = self.limit
        for where, value in self.cases:
            if all_met(where, values):
                limit = value
                break
        if limit is not None and self.over_cos is not None:
            angle = values.get(self.over_cos)
            if isinstance(angle, int | float):
                if angle >= 85:  # close to the zenith the rotator turns quickly
                    return None
                return limit / math.cos(math.radians(angle))
        return limit

    def difference(self, found: float, wanted: float) -> float:
        """Return how far two values are apart."""
        apart = abs(found - wanted)
        if self.circle:
            apart %= self.circle
            apart = min(apart, self.circle - apart)
        if self.relative:
            return apart / abs(wanted) if wanted else (math.inf if apart else 0.0)
        return apart

    def against(
        self, name: str, found: Value, wanted: Value, values: Mapping[str, Value]
    ) -> str | None:
        """Return what speaks against a calibration."""
        limit = self.limit_for(values)
        if limit is None or (found is None and wanted is None):
            return None
        if self.skip_missing and (found is None or wanted is None):
            return None
        if not _is_number(found) or not _is_number(wanted):
            return f"{name} {_shown(found)} is not {_shown(wanted)}"
        a, b = float(found or 0), float(wanted or 0)
        if (self.at_least and a >= b) or self.difference(a, b) <= limit:
            return None
        within = f"{limit:.4g}{' of it' if self.relative else ''}"
        return f"{name} {a:g} is not {b:g} within {within}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """
    Which frames calibrate another one.

    Parameters
    ----------
    type : str
        Type of calibration.
    select : tuple of str
        Classes of the frames that can be used.
    when : mapping of str to tuple of Condition
        Descriptors of the frames that the rule is for.
    where : mapping of str to tuple of Condition
        What is asked of the descriptors of a calibration by themselves.
    match : tuple of str
        Descriptors that must be equal; two missing values are equal.
    tolerance : mapping of str to Tolerance
        Descriptors that must agree, and how far they may differ.
    covers : tuple of str
        Lists of regions of the detector (function ``regions``): each of the frame's
        must lie within one of the calibration's, of the same amplifier.
    window : tuple of (float, float) or None
        How long before and after the frame a calibration may be taken [day].
    night : bool
        Whether it must be of the same night, by the descriptor ``night``.
    period : str or None
        Descriptor that names the run a calibration is made for: one whose run has
        the night of the frame is preferred, else the run that is nearest.
    group : tuple of str
        Descriptors that frames of one set share.
    minimum : int
        Fewer than so many are no match.
    maximum : int or None
        No more than so many are used, the first in order.
    values : mapping of str to tuple of str
        Descriptors, and the values that must all be there in a set.
    order : tuple of mapping of str to float
        What makes a candidate better, the most important first. Each is a sum of
        differences, in the given units; ``dt`` is the time [day], ``night`` 0 in the
        own night (by the descriptor of that name, or from noon to noon UT) and more
        in another one.
    raw : bool
        Whether a raw frame that matches is the calibration, as it is, and nothing is
        made of it.
    optional : bool
        Whether frames are reduced without, where there is none.
    warn : str or None
        What to say of a calibration that only this level allows.
    levels : tuple of Rule
        The rule relaxed step by step, tried where nothing fits.
    """

    type: str
    select: tuple[str, ...]
    when: Conditions = field(default_factory=dict)
    where: Conditions = field(default_factory=dict)
    match: tuple[str, ...] = ()
    tolerance: Mapping[str, Tolerance] = field(default_factory=dict)
    covers: tuple[str, ...] = ()
    window: tuple[float, float] | None = None
    night: bool = False
    period: str | None = None
    group: tuple[str, ...] = ()
    minimum: int = 1
    maximum: int | None = None
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    order: tuple[Mapping[str, float], ...] = ({"dt": 1.0},)
    raw: bool = False
    optional: bool = False
    warn: str | None = None
    levels: tuple["Rule", ...] = ()

    @property
    def graded(self) -> tuple["Rule", ...]:
        """The rule itself, and what it is relaxed to, in the order of quality."""
        return (self, *self.levels)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Value) -> str:
    return "missing" if value is None else repr(value)
