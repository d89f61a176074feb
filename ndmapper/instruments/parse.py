"""Check the TOML of an instrument, and make an `Instrument` of it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ndmapper.errors import InstrumentError, did_you_mean
from ndmapper.instruments.conditions import Condition, parse_condition
from ndmapper.instruments.conventions import load_flags
from ndmapper.instruments.descriptors import Descriptor, parse_descriptor
from ndmapper.instruments.model import (
    Amplifier,
    FixedAmplifier,
    FrameClass,
    Instrument,
    Rule,
)

__all__ = ["SCHEMA", "parse_instrument"]

SCHEMA = 1

_TOP = {
    "schema", "description", "fallback", "filename_regex", "survey", "applies",
    "labels", "flags", "descriptors", "class", "dependencies", "rule", "amplifier_keys",
    "amplifier",
}  # fmt: skip
_LABELS = {"data", "uncertainty", "flags", "uncertainty_is"}
_PARTS = {"name", "data", "overscan", "gain", "read_noise", "saturation"}
_RULE = {"type", "select", "match", "tolerance", "window", "group", "min", "max"}
# 1-based and both ends included, as in a FITS header: [x1:x2,y1:y2].
_SECTION = re.compile(r"\[\d+:\d+,\d+:\d+\]")


def parse_instrument(document: Mapping[str, Any], name: str, source: str) -> Instrument:
    """
    Make an instrument of its TOML.

    Parameters
    ----------
    document : mapping
        What the TOML holds.
    name : str
        Short name of the instrument.
    source : str
        Path of the TOML, for error messages.

    Returns
    -------
    Instrument
        The instrument.

    Raises
    ------
    InstrumentError
        If a key is unknown or its value is wrong; names the file and the key.
    """
    return _Parser(document, name, source).instrument()


class _Parser:
    """The TOML of one instrument, taken apart key by key."""

    def __init__(self, document: Mapping[str, Any], name: str, source: str) -> None:
        self.document = document
        self.name = name
        self.source = source

    def error(self, key: str, problem: str) -> InstrumentError:
        msg = f"the instrument file {self.source} is wrong at {key}: {problem}"
        return InstrumentError(msg)

    def instrument(self) -> Instrument:
        self.known("(top)", self.document, _TOP)
        if self.document.get("schema") != SCHEMA:
            found = self.document.get("schema")
            raise self.error(
                key="schema", problem=f"expected {SCHEMA}, found {found!r}"
            )
        descriptors = self.descriptors()
        return Instrument(
            name=self.name,
            description=self.text("description", self.document) or self.name,
            source=self.source,
            applies={
                key: self.texts(f"applies.{key}", value)
                for key, value in self.table("applies").items()
            },
            fallback=bool(self.document.get("fallback", False)),
            filename_regex=self.regex(),
            labels=self.labels(),
            flags=self.flags(),
            descriptors=descriptors,
            survey=self.names("survey", self.document.get("survey", []), descriptors),
            classes=tuple(
                FrameClass(name=self.required(f"class[{i}].name", c, "name"),
                           where=self.where(f"class[{i}].where", c, descriptors))
                for i, c in enumerate(self.tables("class", {"name", "where"}))
            ),
            dependencies={
                key: self.texts(f"dependencies.{key}", value)
                for key, value in self.table("dependencies").items()
            },
            rules=tuple(
                self.rule(f"rule[{i}]", rule, descriptors)
                for i, rule in enumerate(self.tables("rule", _RULE))
            ),
            amplifier_keys=self.amplifier_keys(),
            fixed_amplifiers=tuple(
                FixedAmplifier(
                    amplifier=self.amplifier(f"amplifier[{i}]", given),
                    where=self.where(f"amplifier[{i}].where", given, descriptors),
                )
                for i, given in enumerate(
                    self.tables("amplifier", _PARTS | {"where"})
                )
            ),
        )  # fmt: skip

    def regex(self) -> str | None:
        text = self.text("filename_regex", self.document)
        if text is not None:
            try:
                re.compile(text)
            except re.error as err:
                problem = f"not a regular expression: {err}"
                raise self.error(key="filename_regex", problem=problem) from err
        return text

    def labels(self) -> dict[str, Any] | None:
        labels = self.table("labels")
        self.known("labels", labels, _LABELS)
        for key in labels:
            self.text(key, labels, f"labels.{key}")
        if labels.get("uncertainty_is", "variance") not in {"variance", "std"}:
            found = labels["uncertainty_is"]
            expected = f"expected 'variance' or 'std', found {found!r}"
            raise self.error(key="labels.uncertainty_is", problem=expected)
        return dict(labels) or None

    def flags(self) -> str | None:
        given = self.text("flags", self.document)
        if given is not None and given.endswith(".toml"):
            # Of one's own, and found from the file that names it.
            given = str(Path(self.source).parent / given)
        if given is not None:
            try:
                load_flags(given)
            except InstrumentError as err:
                raise self.error(key="flags", problem=str(err)) from err
        return given

    def descriptors(self) -> dict[str, Descriptor]:
        return {
            name: self.attempt(f"descriptors.{name}", parse_descriptor, spec)
            for name, spec in self.table("descriptors").items()
        }

    def where(
        self, key: str, given: Mapping[str, Any], known: Mapping[str, Descriptor]
    ) -> dict[str, tuple[Condition, ...]]:
        where = given.get("where", {})
        if not isinstance(where, dict):
            raise self.error(key, f"expected a table of conditions, found {where!r}")
        self.names(key, list(where), known)
        return {
            name: self.attempt(f"{key}.{name}", parse_condition, spec)
            for name, spec in where.items()
        }

    def rule(
        self, key: str, rule: Mapping[str, Any], known: Mapping[str, Descriptor]
    ) -> Rule:
        kind = self.required(f"{key}.type", rule, "type")
        tolerance = rule.get("tolerance", {})
        if not isinstance(tolerance, dict):
            raise self.error(
                key=f"{key}.tolerance", problem=f"expected a table, found {tolerance!r}"
            )
        self.names(f"{key}.tolerance", list(tolerance), known)
        return Rule(
            type=kind,
            select=self.texts(f"{key}.select", rule.get("select", kind)),
            match=self.names(f"{key}.match", rule.get("match", []), known),
            tolerance={
                name: self.number(f"{key}.tolerance.{name}", value)
                for name, value in tolerance.items()
            },
            window=self.window(f"{key}.window", rule.get("window"), known),
            group=self.names(f"{key}.group", rule.get("group", []), known),
            minimum=self.count(f"{key}.min", rule.get("min", 1)),
            maximum=(
                self.count(f"{key}.max", rule["max"]) if "max" in rule else None
            ),
        )  # fmt: skip

    def window(
        self, key: str, value: object, known: Mapping[str, Descriptor]
    ) -> tuple[float, float] | None:
        if value is None:
            return None
        if "time" not in known:
            raise self.error(key, "a window needs a descriptor called time")
        pair = value if isinstance(value, list) else [value, value]
        if len(pair) != 2:
            raise self.error(key, f"expected days, or [before, after], found {value!r}")
        return self.number(key, pair[0]), self.number(key, pair[1])

    def amplifier_keys(self) -> dict[str, str]:
        keys = self.table("amplifier_keys")
        self.known("amplifier_keys", keys, _PARTS)
        return {
            part: self.required(f"amplifier_keys.{part}", keys, part) for part in keys
        }

    def amplifier(self, key: str, given: Mapping[str, Any]) -> Amplifier:
        for part in ("data", "overscan"):
            if part in given and not (
                isinstance(given[part], str) and _SECTION.fullmatch(given[part])
            ):
                expected = (
                    f"expected a section like '[1:1024,1:350]', found {given[part]!r}"
                )
                raise self.error(key=f"{key}.{part}", problem=expected)
        numbers = {
            part: self.number(f"{key}.{part}", given[part]) if part in given else None
            for part in ("gain", "read_noise", "saturation")
        }
        return Amplifier(
            name=self.required(f"{key}.name", given, "name"),
            data=self.required(f"{key}.data", given, "data"),
            overscan=given.get("overscan"),
            **numbers,
        )

    def attempt(self, key: str, parse: Callable[[Any], Any], spec: object) -> Any:
        try:
            return parse(spec)
        except ValueError as err:
            raise self.error(key, str(err)) from err

    def known(self, key: str, found: Mapping[str, Any], known: set[str]) -> None:
        for name in found:
            if name not in known:
                raise self.error(
                    key, f"there is no key {name!r}{did_you_mean(name, known)}"
                )

    def table(self, key: str) -> dict[str, Any]:
        value = self.document.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"expected a table, found {value!r}")
        return value

    def tables(self, key: str, known: set[str]) -> list[dict[str, Any]]:
        value = self.document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.error(key, f"expected tables, [[{key}]], found {value!r}")
        for i, found in enumerate(value):
            self.known(f"{key}[{i}]", found, known)
        return value

    def text(self, key: str, table: Mapping[str, Any], path: str = "") -> str | None:
        value = table.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.error(path or key, f"expected a text, found {value!r}")

    def required(self, path: str, table: Mapping[str, Any], key: str) -> str:
        value = self.text(key, table, path)
        if not value:
            raise self.error(path, "expected a text, found nothing")
        return value

    def texts(self, key: str, value: object) -> tuple[str, ...]:
        given = [value] if isinstance(value, str) else value
        if isinstance(given, list) and all(isinstance(v, str) for v in given):
            return tuple(given)
        raise self.error(key, f"expected a text or a list of texts, found {value!r}")

    def names(
        self, key: str, value: object, known: Mapping[str, Descriptor]
    ) -> tuple[str, ...]:
        found = self.texts(key, value)
        for name in found:
            if name not in known:
                hint = did_you_mean(name, known)
                raise self.error(key, f"there is no descriptor {name!r}{hint}")
        return found

    def number(self, key: str, value: object) -> float:
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and value >= 0
        ):
            return float(value)
        raise self.error(key, f"expected a number >= 0, found {value!r}")

    def count(self, key: str, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        raise self.error(key, f"expected a number of frames >= 1, found {value!r}")
