"""Parse the TOML of an instrument."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from ndmapper.errors import InstrumentError
from ndmapper.instruments.amplifiers import (
    LIMITS,
    PARTS,
    Amplifier,
    AmplifierKeys,
    FixedAmplifier,
    why_not,
)
from ndmapper.instruments.conventions import load_flags
from ndmapper.instruments.descriptors import Descriptor, parse_descriptor
from ndmapper.instruments.members import parse_member_key
from ndmapper.instruments.model import FrameClass, Instrument
from ndmapper.instruments.parse_rules import RULE_KEYS, parse_rule
from ndmapper.instruments.rules import Period, Setup
from ndmapper.instruments.spectrograph import check_spectrograph
from ndmapper.instruments.toml_checks import Checker

__all__ = ["SCHEMA", "parse_instrument"]

SCHEMA = 1

_TOP = {
    "schema", "description", "fallback", "filename_regex", "survey", "applies",
    "labels", "flags", "descriptors", "class", "dependencies", "rule", "amplifier_keys",
    "amplifier", "period", "members", "products", "spectrograph", "steps",
}  # fmt: skip
_LABELS = {"data", "uncertainty", "flags", "uncertainty_is"}
_PARTS = set(PARTS)
# 1-based and both ends included, as in a FITS header: [x1:x2,y1:y2]; * is a whole axis.
_RANGE = r"(?:\d{1,9}:\d{1,9}|\*)"
_SECTION = re.compile(rf"\[{_RANGE},{_RANGE}\]", re.ASCII)


def parse_instrument(
    document: Mapping[str, Any], name: str, source: str, digest: str = ""
) -> Instrument:
    """Make an Instrument of its TOML; an error names the file and the key."""
    return replace(_Parser(document, name, source).instrument(), digest=digest)


class _Parser(Checker):
    """The TOML of one instrument, parsed key by key."""

    def instrument(self) -> Instrument:
        self.known("(top)", self.document, _TOP)
        found = self.document.get("schema")
        if found != SCHEMA or type(found) is not int:
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
            fallback=self.fallback(),
            filename_regex=self.regex(),
            labels=self.labels(),
            flags=self.flags(),
            descriptors=descriptors,
            survey=self.names("survey", self.document.get("survey", []), descriptors),
            classes=tuple(
                FrameClass(name=self.required(f"class[{i}].name", c, "name"),
                           where=self.where(f"class[{i}].where", c, descriptors),
                           tag=self.text("tag", c, f"class[{i}].tag"))
                for i, c in enumerate(self.tables("class", {"name", "where", "tag"}))
            ),
            dependencies={
                key: self.texts(f"dependencies.{key}", value)
                for key, value in self.table("dependencies").items()
            },
            products=self.products(),
            rules=tuple(
                parse_rule(self, f"rule[{i}]", rule, descriptors)
                for i, rule in enumerate(self.tables("rule", RULE_KEYS))
            ),
            periods=self.periods(),
            members={
                name: self.attempt(f"members.{name}", parse_member_key, spec)
                for name, spec in self.table("members").items()
            },
            spectrograph=self.spectrograph(descriptors),
            steps=self.steps(descriptors),
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

    def fallback(self) -> bool:
        given = self.document.get("fallback", False)
        if not isinstance(given, bool):
            expected = f"expected true or false, found {given!r}"
            raise self.error(key="fallback", problem=expected)
        return given

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
        if labels.get("uncertainty_is", "variance") not in {"variance", "std", "ivar"}:
            found = labels["uncertainty_is"]
            expected = f"expected 'variance', 'std' or 'ivar', found {found!r}"
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

    def products(self) -> dict[str, dict[str, str]]:
        found = {}
        for cal_type, given in self.table("products").items():
            key = f"products.{cal_type}"
            if not isinstance(given, dict) or not all(
                isinstance(tag, str) and tag for tag in given.values()
            ):
                expected = (
                    f"expected a table of types and output names, found {given!r}"
                )
                raise self.error(key, expected)
            found[cal_type] = dict(given)
        return found

    def periods(self) -> dict[str, Period]:
        found: dict[str, Period] = {}
        for i, given in enumerate(self.tables("period", {"name", "begin", "end"})):
            name = self.required(f"period[{i}].name", given, "name")
            begin, end = given.get("begin"), given.get("end", given.get("begin"))
            if type(begin) is not date or type(end) is not date or end < begin:
                expected = f"expected dates, begin and end, found {begin!r}, {end!r}"
                raise self.error(key=f"period[{i}]", problem=expected)
            # The first of a name counts: that of a table which extends another.
            found.setdefault(name, Period(name=name, begin=begin, end=end))
        return found

    def spectrograph(self, known: Mapping[str, Any]) -> tuple[Setup, ...]:
        given = dict(self.table("spectrograph"))
        special = given.pop("setup", [])
        if not isinstance(special, list) or not all(
            isinstance(table, dict) for table in special
        ):
            expected = f"expected tables, [[spectrograph.setup]], found {special!r}"
            raise self.error(key="spectrograph.setup", problem=expected)
        found = [Setup(self.attempt("spectrograph", check_spectrograph, given))]
        for i, table in enumerate(special):
            key = f"spectrograph.setup[{i}]"
            values = {name: v for name, v in table.items() if name != "where"}
            found.append(
                Setup(
                    self.attempt(key, check_spectrograph, values),
                    self.where(f"{key}.where", table, known),
                )
            )
        return tuple(found) if self.table("spectrograph") else ()

    def steps(self, known: Mapping[str, Any]) -> dict[str, tuple[Setup, ...]]:
        found = {}
        for step, given in self.table("steps").items():
            several = given if isinstance(given, list) else [given]
            if not all(isinstance(table, dict) for table in several):
                problem = f"expected a table of parameters, found {given!r}"
                raise self.error(key=f"steps.{step}", problem=problem)
            found[step] = tuple(
                Setup(
                    {name: v for name, v in table.items() if name != "where"},
                    self.where(f"steps.{step}.where", table, known),
                )
                for table in several
            )
        return found

    def amplifier_keys(self) -> AmplifierKeys:
        keys = self.table("amplifier_keys")
        self.known("amplifier_keys", keys, _PARTS | {"amplifiers"})
        parts = {
            part: self.texts(f"amplifier_keys.{part}", value)
            for part, value in keys.items()
        }
        names = parts.pop("amplifiers", ())
        if names and not all("{}" in key for key in parts.get("data", ("",))):
            problem = (
                "expected keywords with {}, where each name of amplifiers goes, such "
                f"as 'DATASEC{{}}', found {keys.get('data')!r}"
            )
            raise self.error(key="amplifier_keys.data", problem=problem)
        return AmplifierKeys(parts, names)

    def amplifier(self, key: str, given: Mapping[str, Any]) -> Amplifier:
        for part in ("data", "overscan"):
            if part in given and not (
                isinstance(given[part], str) and _SECTION.fullmatch(given[part])
            ):
                expected = (
                    f"expected a section like '[1:1024,1:350]', found {given[part]!r}"
                )
                raise self.error(key=f"{key}.{part}", problem=expected)
        numbers: dict[str, Any] = {
            part: self.number(f"{key}.{part}", given[part]) if part in given else None
            for part in LIMITS
        }
        for part, number in numbers.items():
            if number is not None and (why := why_not(part, number)) is not None:
                problem = f"{why}, found {number!r}"
                raise self.error(key=f"{key}.{part}", problem=problem)
        return Amplifier(
            name=self.required(f"{key}.name", given, "name"),
            data=self.required(f"{key}.data", given, "data"),
            overscan=given.get("overscan"),
            **numbers,
        )
