"""Checks of the options of the functions in the TOML of an instrument."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from ndmapper.instruments.conditions import parse_condition

__all__ = ["check_options"]

_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "word": {"n": int},
    "before": {"mark": str},
    "joined": {"drop": list},
    "above": {"limit": (int, float, list), "yes": str, "no": str},
    "switched_on": {"names": list, "on": list},
    "cases": {"cases": list},
    "in_name": {"pattern": str},
    "night": {"cut": (str, list)},
}
_OPTIONAL: Mapping[str, Mapping[str, Any]] = {
    "above": {"by": str, "majority": bool},
    "night": {"by": str},
}
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def check_options(fn: str, options: Mapping[str, Any], n_keys: int) -> None:
    """Check the options of a function."""
    wanted = _OPTIONS.get(fn, {})
    known = {**wanted, **_OPTIONAL.get(fn, {})}
    if set(options) - set(known) or set(wanted) - set(options):
        expected = ", ".join(known) or "none"
        msg = f"expected the options of {fn} ({expected}), found {sorted(options)}"
        raise ValueError(msg)
    value: Any
    for name, value in options.items():
        if not isinstance(value, known[name]):
            msg = f"{name} has the wrong type: found {value!r}"
            raise ValueError(msg)
        is_texts = name in {"names", "on", "drop"}
        if is_texts and not all(isinstance(v, str) for v in value):
            msg = f"expected {name} to be a list of texts, found {value!r}"
            raise ValueError(msg)
    check = _CHECKS.get(fn)
    if check is not None:
        check(options, n_keys)


def _check_switched_on(options: Mapping[str, Any], n_keys: int) -> None:
    if len(options["names"]) != n_keys:
        msg = f"expected as many names as keys ({n_keys})"
        raise ValueError(msg)


def _check_cases(options: Mapping[str, Any], n_keys: int) -> None:
    for case in options["cases"]:
        if not isinstance(case, dict) or not isinstance(case.get("is"), str):
            msg = f"expected tables of keywords, conditions, and 'is', found {case!r}"
            raise ValueError(msg)
        for key, spec in case.items():
            if key != "is":
                parse_condition(spec)


def _check_in_name(options: Mapping[str, Any], n_keys: int) -> None:
    try:
        groups = re.compile(options["pattern"]).groups
    except re.error as err:
        msg = f"expected a regular expression: {err}"
        raise ValueError(msg) from err
    if groups != 1:
        msg = f"expected a pattern with one group, found {options['pattern']!r}"
        raise ValueError(msg)


def _check_pairs(name: str, kind: Any) -> Any:
    def check(options: Mapping[str, Any], n_keys: int) -> None:
        value: Any = options[name]
        if not isinstance(value, list):
            value = [["*", value]]
        elif "by" not in options:
            msg = f"a list of cases in {name} needs by, the keyword they depend on"
            raise ValueError(msg)
        pair: Any
        for pair in value:
            fits = isinstance(pair, list) and len(pair) == 2
            if (
                not fits
                or not isinstance(pair[0], str)
                or not isinstance(pair[1], kind)
                or (kind is str and not _CLOCK.fullmatch(pair[1]))
            ):
                expected = "'hh:mm'" if kind is str else "a number"
                msg = f"expected {name} as [pattern, {expected}], found {pair!r}"
                raise ValueError(msg)

    return check


_CHECKS: Mapping[str, Callable[[Mapping[str, Any], int], None]] = {
    "switched_on": _check_switched_on,
    "cases": _check_cases,
    "in_name": _check_in_name,
    "above": _check_pairs("limit", (int, float)),
    "night": _check_pairs("cut", str),
}
