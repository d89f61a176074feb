"""Parse the rules in the TOML of an instrument."""

from collections.abc import Mapping
from typing import Any

from ndmapper.instruments.descriptors import Descriptor
from ndmapper.instruments.rules import Rule, Tolerance
from ndmapper.instruments.toml_checks import Checker

__all__ = ["RULE_KEYS", "parse_rule"]

RULE_KEYS = {
    "type", "select", "when", "where", "match", "tolerance", "covers", "window",
    "period", "group", "min", "max", "values", "order", "levels", "raw",
    "optional",
}  # fmt: skip
# What a kind of frame is and what the rule is for cannot be relaxed.
_LEVEL_KEYS = (RULE_KEYS - {"type", "select", "when", "levels", "raw", "optional"}) | {
    "warn"
}
_TOLERANCE = {
    "max", "cases", "relative", "at_least", "over_cos", "circle", "skip_missing",
}  # fmt: skip

_Known = Mapping[str, Descriptor]


def parse_rule(
    check: Checker, key: str, given: Mapping[str, Any], known: _Known
) -> Rule:
    """Make a Rule of a table in the TOML."""
    kind = check.required(f"{key}.type", given, "type")
    levels = given.get("levels", [])
    if not isinstance(levels, list) or not all(isinstance(v, dict) for v in levels):
        problem = f"expected tables, found {levels!r}"
        raise check.error(key=f"{key}.levels", problem=problem)
    # Each level is the rule with what the levels before, and itself, say otherwise.
    relaxed: list[Rule] = []
    so_far = {k: v for k, v in given.items() if k != "levels"}
    for i, level in enumerate(levels):
        check.known(f"{key}.levels[{i}]", level, _LEVEL_KEYS)
        before = so_far.get("tolerance", {})
        so_far = {**so_far, **{k: v for k, v in level.items() if k != "warn"}}
        if isinstance(before, dict) and isinstance(level.get("tolerance"), dict):
            so_far["tolerance"] = {**before, **level["tolerance"]}
        warn = check.text("warn", level, f"{key}.levels[{i}].warn")
        relaxed.append(
            _one(check, f"{key}.levels[{i}]", kind, so_far, known, warn=warn)
        )
    return _one(check, key, kind, given, known, warn=None, levels=tuple(relaxed))


def _one(
    check: Checker,
    key: str,
    kind: str,
    rule: Mapping[str, Any],
    known: _Known,
    *,
    warn: str | None,
    levels: tuple[Rule, ...] = (),
) -> Rule:
    raw = rule.get("raw", False)
    if not isinstance(raw, bool) or (raw and rule.get("max", 1) != 1):
        problem = f"expected true or false, and max = 1 with true, found {raw!r}"
        raise check.error(key=f"{key}.raw", problem=problem)
    optional = rule.get("optional", False)
    if not isinstance(optional, bool):
        problem = f"expected true or false, found {optional!r}"
        raise check.error(key=f"{key}.optional", problem=problem)
    window, night = _window(check, f"{key}.window", rule.get("window"), known)
    period = check.text("period", rule, f"{key}.period")
    if period is not None:
        check.names(f"{key}.period", period, known)
    return Rule(
        type=kind,
        select=check.texts(f"{key}.select", rule.get("select", kind)),
        when=check.where(f"{key}.when", rule, known, "when"),
        where=check.where(f"{key}.where", rule, known),
        match=check.names(f"{key}.match", rule.get("match", []), known),
        tolerance=_tolerances(check, f"{key}.tolerance", rule, known),
        covers=check.names(f"{key}.covers", rule.get("covers", []), known),
        window=window,
        night=night,
        period=period,
        group=check.names(f"{key}.group", rule.get("group", []), known),
        minimum=check.count(f"{key}.min", rule.get("min", 1)),
        maximum=(
            check.count(f"{key}.max", rule["max"])
            if "max" in rule
            else 1
            if raw
            else None
        ),
        raw=raw,
        optional=optional,
        values=_values(check, f"{key}.values", rule, known),
        order=_order(check, f"{key}.order", rule.get("order", ["dt"]), known),
        warn=warn,
        levels=levels,
    )


def _window(
    check: Checker, key: str, value: object, known: _Known
) -> tuple[tuple[float, float] | None, bool]:
    if value is None:
        return None, False
    needed = "night" if value == "night" else "time"
    if needed not in known:
        raise check.error(key, f"a window needs a descriptor called {needed}")
    if value == "night":
        return None, True
    pair = value if isinstance(value, list) else [value, value]
    if len(pair) != 2:
        expected = f"expected days, [before, after] or 'night', found {value!r}"
        raise check.error(key, expected)
    return (check.number(key, pair[0]), check.number(key, pair[1])), False


def _tolerances(
    check: Checker, key: str, rule: Mapping[str, Any], known: _Known
) -> dict[str, Tolerance]:
    given = rule.get("tolerance", {})
    if not isinstance(given, dict):
        raise check.error(key, f"expected a table, found {given!r}")
    check.names(key, list(given), known)
    return {n: _tolerance(check, f"{key}.{n}", v, known) for n, v in given.items()}


def _tolerance(check: Checker, key: str, given: object, known: _Known) -> Tolerance:
    if not isinstance(given, dict):
        return Tolerance(limit=check.number(key, given))
    check.known(key, given, _TOLERANCE)
    cases = given.get("cases", [])
    if not isinstance(cases, list) or not all(isinstance(c, dict) for c in cases):
        problem = f"expected tables, found {cases!r}"
        raise check.error(key=f"{key}.cases", problem=problem)
    for i, case in enumerate(cases):
        check.known(f"{key}.cases[{i}]", case, {"when", "max"})
    over_cos = check.text("over_cos", given, f"{key}.over_cos")
    if over_cos is not None:
        check.names(f"{key}.over_cos", over_cos, known)
    if "max" not in given and not cases and not given.get("at_least"):
        raise check.error(key, "expected max, the largest difference")
    switches = {}
    for word in ("relative", "at_least", "skip_missing"):
        switches[word] = given.get(word, False)
        if not isinstance(switches[word], bool):
            problem = f"expected true or false, found {given[word]!r}"
            raise check.error(key=f"{key}.{word}", problem=problem)
    limit = check.number(f"{key}.max", given["max"]) if "max" in given else None
    if limit is None and switches["at_least"]:
        limit = 0.0
    return Tolerance(
        limit=limit,
        cases=tuple(
            (
                check.where(f"{key}.cases[{i}]", case, known, "when"),
                check.number(f"{key}.cases[{i}].max", case["max"])
                if "max" in case
                else None,
            )
            for i, case in enumerate(cases)
        ),
        over_cos=over_cos,
        circle=(
            check.number(f"{key}.circle", given["circle"])
            if "circle" in given
            else None
        ),
        **switches,
    )


def _values(
    check: Checker, key: str, rule: Mapping[str, Any], known: _Known
) -> dict[str, tuple[str, ...]]:
    given = rule.get("values", {})
    if not isinstance(given, dict):
        raise check.error(key, f"expected a table, found {given!r}")
    check.names(key, list(given), known)
    return {n: check.texts(f"{key}.{n}", v) for n, v in given.items()}


def _order(
    check: Checker, key: str, given: object, known: _Known
) -> tuple[dict[str, float], ...]:
    items = given if isinstance(given, list) else [given]
    found = []
    for item in items:
        if isinstance(item, str):
            item = {item: 1.0}  # noqa: PLW2901  # the same, with a unit
        if not isinstance(item, dict) or not item:
            expected = "expected descriptors or dt, or tables of their units"
            raise check.error(key, f"{expected}, found {item!r}")
        check.names(key, [n for n in item if n not in ("dt", "night")], known)
        units = {n: check.number(f"{key}.{n}", v) for n, v in item.items()}
        if not all(units.values()):
            raise check.error(key, f"expected units above 0, found {item!r}")
        found.append(units)
    if not any("dt" in item for item in found):
        found.append({"dt": 1.0})
    return tuple(found)
