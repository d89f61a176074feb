"""
Conditions on the value of a descriptor, as the TOML of an instrument states them.

=========================  ==================================================
in the TOML                is met where the value
=========================  ==================================================
``"bias*"``                is text like this pattern; case does not matter
``["bias*", "zero*"]``     is like one of them
``{ not = ["*flat*"] }``   is like none of them
``{ max = 0.0 }``          is a number <= 0; also min, above, below
``{ present = false }``    is missing or empty
``600`` or ``true``        equals it
=========================  ==================================================

A table with several words asks for all of them. A value that is missing meets only
``present = false`` and ``not``.
"""

import fnmatch
import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Condition", "Value", "like", "parse_condition"]

Value = str | int | float | bool | None
"""What a descriptor can be; None is missing."""

_NUMERIC: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "min": (">=", operator.ge),
    "max": ("<=", operator.le),
    "above": (">", operator.gt),
    "below": ("<", operator.lt),
}


@dataclass(frozen=True)
class Condition:
    """One word of a condition."""

    word: str  # one of like, not, equals, present, min, max, above, below
    value: Any  # what the word compares with

    def test(self, name: str, value: Value) -> tuple[bool, str]:
        """Whether the value of a descriptor meets it."""
        met = self.is_met(value)
        text = f"{value:g}" if isinstance(value, float) else repr(value)
        shown = f"{name} {text}" if value not in (None, "") else f"no {name}"
        if self.word in _NUMERIC:
            sign = _NUMERIC[self.word][0]
            shown += f"{'' if met else ' not'} {sign} {self.value:g}"
        return met, shown

    def is_met(self, value: Value) -> bool:
        """Whether a value meets it."""
        if self.word == "present":
            return bool((value not in (None, "")) == self.value)
        if self.word == "not":
            return value is None or not any(like(value, p) for p in self.value)
        if self.word == "like":
            return value is not None and any(like(value, p) for p in self.value)
        if self.word == "equals":
            return value is not None and bool(value == self.value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        compare = _NUMERIC[self.word][1]
        return number and compare(float(value or 0), float(self.value))


# Headers of a night share most of their values. 1 and True are not the same.
@functools.lru_cache(maxsize=16384, typed=True)
def like(value: Value, pattern: str) -> bool:
    """Whether a value matches a pattern."""
    if value is None:
        return False
    return fnmatch.fnmatchcase(str(value).strip().casefold(), pattern.casefold())


def parse_condition(spec: object) -> tuple[Condition, ...]:
    """Parse a condition of a TOML."""
    if isinstance(spec, bool | int | float):
        return (Condition("equals", spec),)
    if isinstance(spec, str | list):
        return (Condition("like", _patterns(spec)),)
    if not isinstance(spec, dict) or not spec:
        msg = "expected a pattern, a list of them, a number or a table of conditions"
        raise ValueError(msg)
    return tuple(_one(word, value) for word, value in spec.items())


def _one(word: str, value: object) -> Condition:
    if word in {"like", "not"}:
        return Condition(word, _patterns(value))
    if word == "present" and isinstance(value, bool):
        return Condition(word, value)
    if (
        word in _NUMERIC
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    ):
        return Condition(word, value)
    known = "like, not (patterns), present (true or false), min, max, above, below"
    msg = f"expected {known} (numbers), found {word} = {value!r}"
    raise ValueError(msg)


def _patterns(value: object) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if isinstance(given, list) and given and all(isinstance(p, str) for p in given):
        return tuple(given)
    msg = f"expected a pattern or a list of patterns, found {value!r}"
    raise ValueError(msg)
