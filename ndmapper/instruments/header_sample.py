"""The headers of some frames of a camera, keyword by keyword, to draft its TOML."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ndmapper.instruments.conditions import like

__all__ = [
    "Cards",
    "HeaderSample",
    "Lamps",
    "find_amplifier_keys",
    "find_lamps",
]

Cards = Mapping[str, Any]
_Value = str | int | float | None

# Parts of an amplifier, and the keywords that are commonly used for each, best first.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "name": ("AMPNAME", "CHIPNAME"),
    "data": ("DATASEC", "TRIMSEC", "DSEC"),
    "overscan": ("BIASSEC", "BSEC"),
    "gain": ("EGAIN", "E-GAIN", "GAINEFF", "EPERDN", "EPERADU", "CCDSENS", "GTGAIN",
             "GAIN", "CCDGAIN", "ESO DET OUT1 CONAD"),
    "read_noise": ("RDNOISE", "READNOIS", "RDNOIS", "RNOISE", "RONOISE", "ENOISE",
                   "CCDRON", "CCDNOISE", "GTRON", "RON", "ESO DET OUT1 RON"),
    "saturation": ("SATURATE", "SATLEVEL", "SATUR"),
}  # fmt: skip

# What switches that are off say, and the same ones when they are on.
_OPPOSITE = {
    "off": "on", "unlit": "lit", "0": "1", "false": "true", "f": "t", "no": "yes",
}  # fmt: skip
_OFF, _ON = set(_OPPOSITE), set(_OPPOSITE.values())
_LAMP = re.compile(r"LA?MP")
_NO_SWITCH = re.compile(r"ID|POS|NA?M|NUM|TEMP|CUR|POW|TIM|VOLT")
# Keywords with the names of the lamps that are on, the best first.
_LAMP_NAMES = ("LAMP", "LAMPS", "LAMPNAME", "LAMPID", "LAMPCAL", "LMP_ID", "GCALLAMP",
               "COMPLAMP", "ARCLAMP", "CALLAMP", "CALLAMPS", "CAGLAMPS")  # fmt: skip
_NO_LAMP = ("off", "none", "no", "no lamp*", "n/a", "unknown", "park*")
"""Patterns of what keywords of names say where no lamp is on."""


@dataclass(frozen=True)
class HeaderSample:
    """The primary header, and that of the first image extension, of each file."""

    headers: Sequence[tuple[Cards, Cards | None]]

    def __len__(self) -> int:
        return len(self.headers)

    def values(self, key: str, *, primary_only: bool = False) -> list[_Value]:
        """Return the value of a keyword in every file; None where it is missing."""
        found: list[_Value] = []
        for primary, extension in self.headers:
            value = _usable(primary.get(key))
            if value is None and extension is not None and not primary_only:
                value = _usable(extension.get(key))
            found.append(value)
        return found

    def counts(self, key: str, *, primary_only: bool = False) -> Counter[str]:
        """Count the values of a keyword, as text."""
        values = self.values(key, primary_only=primary_only)
        return Counter(str(v).strip() for v in values if v is not None)

    def share(self, key: str) -> float:
        """Return the fraction of the files that have a keyword."""
        return self.counts(key).total() / len(self) if self.headers else 0.0

    def usual(self, keys: Iterable[str], least: float = 0.5) -> list[str]:
        """List those keywords that most of the files have."""
        return [key for key in keys if self.share(key) > least]

    def is_in_extension(self, key: str) -> bool:
        """Whether most of the files that have a keyword have it in the extension."""
        inside = sum(
            extension is not None and _usable(extension.get(key)) is not None
            for _, extension in self.headers
        )
        outside = self.counts(key, primary_only=True).total()
        return inside > outside

    def keywords(self) -> list[str]:
        """List the keywords that most of the files have, sorted."""
        counts: Counter[str] = Counter()
        for primary, extension in self.headers:
            counts.update({*primary, *(extension or ())})
        return sorted(key for key, n in counts.items() if n > len(self) / 2)


def _usable(value: Any) -> _Value:
    if isinstance(value, str):
        return value.strip() or None
    return value if isinstance(value, int | float) else None


def find_amplifier_keys(sample: HeaderSample) -> tuple[list[str], dict[str, list[str]]]:
    """Find the keywords of each part of an amplifier, and the names of several."""
    names = _amplifier_names(sample)
    found = {}
    for part, keys in _PARTS.items():
        if names and part == "name":
            continue
        stems = [key[: 8 - len(names[0])] for key in keys] if names else []
        several = [f"{stem}{{}}" for stem in dict.fromkeys(stems)
                   if all(sample.usual([stem + name]) for name in names)]  # fmt: skip
        if usual := several or sample.usual(keys):
            found[part] = usual
    return names, found


def _amplifier_names(sample: HeaderSample) -> list[str]:
    """List what stands behind DATASEC where one header has several of them."""
    for stem in ("DATASEC", "DSEC", "TRIMSEC"):
        matches = (re.fullmatch(rf"{stem}(\d{{1,2}}|[A-H])", k)
                   for k in sample.keywords())  # fmt: skip
        names = [match[1] for match in matches if match]
        if len(names) > 1 and len({len(name) for name in names}) == 1:
            return names
    return []


@dataclass(frozen=True)
class Lamps:
    """How headers say which lamps are on."""

    # Keywords of switches; of names, where there are no switches.
    keys: tuple[str, ...]
    # For each switch the keyword of its name, or a name.
    names: tuple[str, ...] = ()
    # Values of a switch that is on.
    on: tuple[str, ...] = ()
    # Patterns of what a keyword of names says where no lamp is on.
    off: tuple[str, ...] = ()
    # For each file, the lamps that are on, as the descriptor gives them; "" for none.
    shown: tuple[str, ...] = ()

    @property
    def lit(self) -> tuple[bool, ...]:
        """For each file, whether a lamp is on."""
        return tuple(map(bool, self.shown))


def find_lamps(sample: HeaderSample) -> Lamps | None:
    """Find the keywords of lamps: their switches, or one that names those on."""
    states = {}
    for key in sample.keywords():
        words = {str(v).casefold() for v in sample.values(key) if v is not None}
        # A keyword of names may say "off" in the whole sample.
        says_which = words & _ON or key not in _LAMP_NAMES
        if (
            _LAMP.search(key) and not _NO_SWITCH.search(key)
            and words and words <= _ON | _OFF and says_which
        ):  # fmt: skip
            states[key] = words
    if states:
        seen: set[str] = set().union(*states.values())
        on = sorted((seen & _ON) | {_OPPOSITE[word] for word in seen & _OFF})
        names = tuple(_name_of(key, sample) for key in states)
        switches = [[str(v).casefold() in on for v in sample.values(k)] for k in states]
        labels = [[str(v or n) for v in sample.values(n)] for n in names]
        lit = [
            [name for name, is_on in zip(*row, strict=True) if is_on]
            for row in zip(
                zip(*labels, strict=True), zip(*switches, strict=True), strict=True
            )
        ]
        joined = tuple("+".join(sorted(map(str.strip, row))) for row in lit)
        return Lamps(tuple(states), names=names, on=tuple(on), shown=joined)
    others = (key for key in sample.keywords() if _LAMP.search(key))
    for key in sample.usual(dict.fromkeys((*_LAMP_NAMES, *others))):
        values = sample.values(key)
        if all(isinstance(v, str) for v in values if v is not None):
            # A list of switches may have the digit 0 for each that is off.
            zeros = (v for v in sample.counts(key) if re.fullmatch(r"[0,;: ]+", v))
            off = (*_NO_LAMP, *zeros)
            shown = tuple(
                "" if v is None or any(like(v, word) for word in off) else str(v)
                for v in values
            )
            if any(shown) and not all(shown):
                return Lamps((key,), off=off, shown=shown)
    return None


def _name_of(key: str, sample: HeaderSample) -> str:
    """Return the keyword with the name of a lamp, by that of its switch."""
    tries = [
        re.sub(r"STAT?", "NAM", key), re.sub(r"STAT?", "NAME", key),
        re.sub(r"(\w)$", r"NM\1", key), re.sub(r"(\w)$", r"NAM\1", key),
        re.sub(r"(\w)$", r"N\1", key), f"{key}NM", f"{key}NAM", f"{key}N",
        re.sub(r" ST$", " NAME", key),
    ]  # fmt: skip
    for name in sample.usual(tries):
        words = {word.casefold() for word in sample.counts(name)}
        if name != key and not words <= _ON | _OFF:
            return name
    return f"lamp {key}"
