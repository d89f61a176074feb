"""
The amplifiers of a raw frame, as the headers of cameras describe them.

Numbers may be text, a section reversed, starred or padded with blanks, and a card may
hold no value at all. What cannot be used is kept as a reason, for the error message if
the value is needed; what was chosen among several cards is kept as a remark.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ndmapper.errors import InstrumentError
from ndmapper.instruments.conditions import Condition, Value
from ndmapper.instruments.functions import HeaderPair
from ndmapper.instruments.rules import all_met

__all__ = [
    "LIMITS",
    "PARTS",
    "Amplifier",
    "AmplifierKeys",
    "FixedAmplifier",
    "find_amplifiers",
    "is_section_of",
    "read_section",
    "why_not",
]

PARTS = ("name", "data", "overscan", "gain", "read_noise", "saturation")
"""What is known of an amplifier."""

_WORDS = {"gain": "gain", "read_noise": "read noise", "saturation": "saturation level"}
LIMITS = {"gain": (1e-4, 1e7), "read_noise": (0.0, 1e5), "saturation": (0.1, math.inf)}
"""Least and greatest values that can be meant; those of images in other units, too."""

_NO_VALUE = {"", "unknown", "none", "n/a", "na", "undefined", "undef", "null", "-", "?"}
_NUMBER = re.compile(r"\s*\[?([-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?)\s*(.*)")
_ELECTRON, _ADU = r"(e-?|el|elec|electrons?)", r"(adu|dn|counts?|cts?)s?"
_UNITS = {
    "gain": rf"{_ELECTRON}\s*(/|per)\s*{_ADU}",
    "read_noise": _ELECTRON,
    "saturation": _ADU,
}
_HIGH_GAIN = 30.0
"""No converter of a CCD has more electrons in a step; settings of cameras do."""


@dataclass(frozen=True, kw_only=True)
class Amplifier:
    """
    One amplifier, or one region of a raw frame with a gain of its own.

    Parameters
    ----------
    name : str
        Its name.
    data : str
        Section of the raw image that was exposed, as in a FITS header: 1-based,
        both ends included, x first, for instance ``"[1:1024,1:350]"``.
    overscan : str or None
        Section of its overscan in the raw image, if there is any.
    gain : float or None
        Gain [electron/adu].
    read_noise : float or None
        Read noise [electron].
    saturation : float or None
        Level from which a pixel is saturated [adu].
    cards : mapping of str to str
        The parts that header cards gave, and their keywords; the others are what the
        TOML of the instrument says.
    unknown : mapping of str to str
        Why a part is not known, though it was looked for.
    remarks : tuple of str
        What a user should know of the values that were taken.
    """

    name: str
    data: str
    overscan: str | None = None
    gain: float | None = None
    read_noise: float | None = None
    saturation: float | None = None
    cards: Mapping[str, str] = field(default_factory=dict, compare=False)
    unknown: Mapping[str, str] = field(default_factory=dict, compare=False)
    remarks: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, kw_only=True)
class FixedAmplifier:
    """An amplifier that the TOML describes because the headers do not."""

    amplifier: Amplifier
    # Descriptors of the frames that it is valid for, since sections belong to one
    # readout geometry.
    where: Mapping[str, tuple[Condition, ...]]

    def against(self, values: Mapping[str, Value]) -> str | None:
        """Return why a frame is not read out by it."""
        for name, conditions in self.where.items():
            for condition in conditions:
                met, text = condition.test(name, values.get(name))
                if not met:
                    is_value = condition.word in ("like", "equals")
                    return (
                        f"{text}, not {_shown(condition.value)}" if is_value else text
                    )
        return None


def why_not(part: str, number: float) -> str | None:
    """
    Return why a number cannot be valid.

    Parameters
    ----------
    part : str
        'gain', 'read_noise' or 'saturation'.
    number : float
        Its value.

    Returns
    -------
    str or None
        What is expected; None where the number can be right.
    """
    low, high = LIMITS[part]
    if math.isfinite(number) and low <= number <= high:
        return None
    limit = "" if high == math.inf else f" and {high:g}"
    return f"expected {'between ' if limit else 'at least '}{low:g}{limit}"


@dataclass(frozen=True)
class AmplifierKeys:
    """The header keywords that describe the amplifiers of an image."""

    # Parts of an amplifier, and the keywords that may give them.
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Names of the amplifiers, where one header describes several; each replaces the
    # braces in DATASEC{}.
    names: Sequence[str] = ()

    def of(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return the keywords of one of several amplifiers."""
        return {
            part: tuple(key.replace("{}", name) for key in keys)
            for part, keys in self.parts.items()
        }


def find_amplifiers(
    keys: AmplifierKeys,
    fixed: Sequence[FixedAmplifier],
    headers: HeaderPair,
    values: Callable[[], Mapping[str, Value]],
) -> tuple[Amplifier, ...]:
    """Find the amplifiers of an image in its header."""
    known = values() if fixed else {}
    described = [_sized(f.amplifier, headers) for f in fixed if all_met(f.where, known)]
    if keys.names:
        made = (_Cards(keys.of(n), headers, n).one_of_several() for n in keys.names)
        several = [_agreed(found, described) for found in made if found is not None]
        if several:
            return tuple(several)
    cards = _Cards(keys.parts, headers)
    found = None if keys.names else cards.amplifier(whole=not fixed)
    if found is None:
        return tuple(cards.completed(amplifier) for amplifier in described)
    return (_agreed(found, described),)


def is_section_of(template: Any, section: Any) -> bool:
    """Whether a section is the one that a table describes, where * is a whole axis."""
    if not isinstance(template, str) or "*" not in template:
        return bool(template == section)
    pairs = zip(template[1:-1].split(","), section[1:-1].split(","), strict=True)
    return all(ours in ("*", theirs) for ours, theirs in pairs)


def _sized(amplifier: Amplifier, headers: HeaderPair) -> Amplifier:
    """Replace * in the sections of a table by the size of the image."""
    sections = {"data": amplifier.data, "overscan": amplifier.overscan}
    starred = {p: text for p, text in sections.items() if text and "*" in text}
    if not starred:
        return amplifier
    sizes = (headers.get("NAXIS1"), headers.get("NAXIS2"))
    if not all(isinstance(size, int) for size in sizes):
        msg = (
            f"{starred} of amplifier {amplifier.name} cannot be resolved: the header "
            "has no NAXIS1 and NAXIS2"
        )
        raise InstrumentError(msg)
    shape = (int(sizes[0] or 0), int(sizes[1] or 0))
    found = {part: read_section(text, shape) for part, text in starred.items()}
    return replace(
        amplifier,
        data=found.get("data", amplifier.data),
        overscan=found.get("overscan", amplifier.overscan),
    )


def _agreed(found: Amplifier, described: Sequence[Amplifier]) -> Amplifier:
    """Complete an amplifier of the cards from the TOML, and note where they differ."""
    same = [a for a in described if a.data == found.data or len(described) == 1]
    if same:
        return _merged(found, same[0])
    if described:
        others = ", ".join(f"{a.name} ({a.data})" for a in described)
        remark = f"not the amplifiers {others} that the table describes"
        found = replace(found, remarks=(*found.remarks, _taken(found, "data", remark)))
    return found


def _taken(found: Amplifier, part: str, instead: str) -> str:
    """Say that a card goes before what a table says, and what to do about it."""
    return (
        f"{found.cards.get(part, part)} = {getattr(found, part)} is taken, {instead}; "
        f"write {part} = [] under [amplifier_keys] of the table if it is right"
    )


def _merged(found: Amplifier, other: Amplifier) -> Amplifier:
    """Complete what the cards leave open from the TOML, and warn where they differ."""
    remarks = [
        _taken(found, part, f"not {theirs}, the {_WORDS.get(part, part)} in the table")
        for part in PARTS
        if part != "name"
        and (theirs := getattr(other, part)) not in (None, ours := getattr(found, part))
        and ours is not None
    ]
    parts = [p for p in PARTS if getattr(found, p) is None]
    given = {p: getattr(other, p) for p in parts if getattr(other, p) is not None}
    unknown = {p: why for p, why in found.unknown.items() if p not in given}
    remarks = [*found.remarks, *remarks]
    return replace(found, unknown=unknown, remarks=tuple(remarks), **given)


class _Cards:
    """The header cards that describe an amplifier."""

    def __init__(
        self,
        keys: Mapping[str, Sequence[str]],
        headers: HeaderPair,
        name: str = "1",
    ) -> None:
        self.keys, self.headers, self.name = keys, headers, name
        self.used: dict[str, str] = {}
        self.unknown: dict[str, str] = {}
        self.remarks: list[str] = []
        sizes = (headers.get("NAXIS1"), headers.get("NAXIS2"))
        self.shape = None
        if all(isinstance(size, int) for size in sizes):
            self.shape = (int(sizes[0] or 0), int(sizes[1] or 0))

    def amplifier(self, *, whole: bool) -> Amplifier | None:
        """Make an amplifier of the cards; None if none holds a section that fits."""
        if "data" not in self.keys:
            return None
        overscan = next(iter(self._sections("overscan")), None)
        data = self._data(overscan)
        if data is None:
            if not whole or self.shape is None:
                return None
            data = f"[1:{self.shape[0]},1:{self.shape[1]}]"
            self.used["data"] = "NAXISn"
        if overscan is not None:
            self.used["overscan"] = overscan[0]
        elif keys := self.keys.get("overscan"):
            self.unknown["overscan"] = f"the header has no section in {_any_of(keys)}"
        return self._made(data, None if overscan is None else overscan[1])

    def one_of_several(self) -> Amplifier | None:
        """Make one of several amplifiers; None if its data section is missing."""
        # The image beside its overscan is read by the others, too.
        has_data = next(self._sections("data"), None) is not None
        return self.amplifier(whole=False) if has_data else None

    def _made(self, data: str, overscan: str | None) -> Amplifier:
        numbers: dict[str, Any] = {part: self._number(part) for part in _WORDS}
        if (name := self._first("name")) is not None:
            self.used["name"] = self.keys["name"][0]
        return Amplifier(
            name=str(name or self.name), data=data, overscan=overscan, **numbers,
            cards=dict(self.used), unknown=dict(self.unknown),
            remarks=tuple(self.remarks),
        )  # fmt: skip

    def completed(self, amplifier: Amplifier) -> Amplifier:
        """Complete an amplifier of the TOML from the cards."""
        parts = [p for p in _WORDS if getattr(amplifier, p) is None]
        self.used, self.unknown, self.remarks = {}, {}, []
        numbers: dict[str, Any] = {p: self._number(p) for p in parts if p in self.keys}
        return replace(
            amplifier, cards=dict(self.used), unknown=dict(self.unknown),
            remarks=tuple(self.remarks),
            **{p: n for p, n in numbers.items() if n is not None},
        )  # fmt: skip

    def _first(self, part: str) -> Value:
        values = (self.headers.get(key) for key in self.keys.get(part, ()))
        return next((v for v in values if v is not None), None)

    def _data(self, overscan: tuple[str, str] | None) -> str | None:
        """Choose the section of the data: the first that is clear of the overscan."""
        sections = list(self._sections("data"))
        if not sections:
            if overscan is None or self.shape is None:
                return None
            return self._beside(*overscan)
        key, data = sections[0]
        if overscan is not None and _overlap(data, overscan[1]):
            clear = [s for s in sections if not _overlap(s[1], overscan[1])]
            if clear:
                self.remarks.append(
                    f"{key} = {data} overlaps {overscan[0]} = {overscan[1]}; "
                    f"{clear[0][0]} = {clear[0][1]} is taken"
                )
                key, data = clear[0]
        self.used["data"] = key
        return data

    def _beside(self, key: str, strip: str) -> str:
        """Return the image beside an overscan that lies along one of its borders."""
        assert self.shape is not None
        ends = _ends(strip)
        for axis in (0, 1):
            (start, stop), n = ends[axis], self.shape[axis]
            if ends[1 - axis] == (1, self.shape[1 - axis]) and (
                (start == 1) != (stop == n)
            ):
                rest = (stop + 1, n) if start == 1 else (1, start - 1)
                parts = [rest if a == axis else ends[a] for a in (0, 1)]
                self.used["data"] = key
                return "[" + ",".join(f"{a}:{b}" for a, b in parts) + "]"
        msg = (
            f"{key} = {strip} says where the overscan is, but no "
            f"{' or '.join(self.keys['data'])} says where the data are"
        )
        raise InstrumentError(msg)

    def _sections(self, part: str) -> Iterator[tuple[str, str]]:
        for key in self.keys.get(part, ()):
            value = self.headers.get(key)
            if value is None or str(value).strip().casefold() in _NO_VALUE:
                continue
            try:
                yield key, read_section(str(value), self.shape)
            except ValueError as err:
                msg = f"{key} = {value!r} is no section of an image: {err}"
                raise InstrumentError(msg) from err

    def _number(self, part: str) -> float | None:
        """Return the first card that holds a number of the right kind."""
        word, refused = _WORDS[part], []
        found: list[tuple[str, float, Value]] = []
        for key in self.keys.get(part, ()):
            value = self.headers.get(key)
            if value is None:
                continue
            number = _number_of(value, _UNITS[part])
            if number is None or (why := why_not(part, number)) is not None:
                why = f" ({why})" if number is not None and number > 0 else ""
                refused.append(f"{key} = {value!r} is no {word}{why}")
            else:
                found.append((key, number, value))
        if not found:
            keys = self.keys.get(part, ())
            if keys:
                missing = f"the header has no value of {_any_of(keys)}"
                self.unknown[part] = "; ".join(refused) or missing
            if part == "saturation" and refused:
                self.remarks += [f"{r}; no pixel is flagged for it" for r in refused]
            return None
        key, number, value = found[0]
        self.used[part] = key
        self._remark(part, found, refused)
        return number

    def _remark(
        self, part: str, found: list[tuple[str, float, Value]], refused: list[str]
    ) -> None:
        key, number, value = found[0]
        differ = [f"{k} = {v!r}" for k, n, v in found[1:] if not _close(n, number)]
        taken = f"{key} = {value!r} is taken for the {_WORDS[part]}"
        if differ:
            self.remarks.append(f"{taken}, not {' or '.join(differ)}")
        if refused:
            self.remarks.append(f"{'; '.join(refused)}; {taken}")
        if part == "gain" and number > _HIGH_GAIN:
            self.remarks.append(
                f"{key} = {value!r} is taken for electron/adu, but looks like a "
                "setting of the camera; if it is one, give gain=... or describe the "
                "instrument"
            )
        if part == "read_noise" and number == 0:
            self.remarks.append(f"{key} = {value!r}: there is no read noise")


def _close(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=1e-3)


def _number_of(value: Value, unit: str) -> float | None:
    """Parse a number, which may be text followed by its unit."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    match = _NUMBER.fullmatch(value)
    if match is None:
        return None
    rest = match[2].strip().strip("[]()").strip()
    if rest and not re.fullmatch(unit, rest, re.IGNORECASE):
        return None
    number = float(match[1].upper().replace("D", "E"))
    return number if math.isfinite(number) else None


def read_section(text: str, shape: tuple[int, int] | None = None) -> str:
    """Parse a section as cameras write it."""
    bare = text.strip()
    if bare[:1] + bare[-1:] in ("[]", "()", "{}"):
        bare = bare[1:-1]
    parts = [re.sub(r"\s+", "", part) for part in bare.split(",")]
    while len(parts) > 2 and parts[-1] in ("1", "1:1", "*"):
        parts.pop()
    if len(parts) != 2:
        msg = f"it has {len(parts)} axes instead of 2"
        raise ValueError(msg)
    return "[" + ",".join(
        _range(part, None if shape is None else shape[axis], axis)
        for axis, part in enumerate(parts)
    ) + "]"  # fmt: skip


def _range(part: str, size: int | None, axis: int) -> str:
    if part in ("*", "-*", ":"):
        if size is None:
            msg = "the size of the image is not known"
            raise ValueError(msg)
        return f"1:{size}"
    ends = re.fullmatch(r"(\d+)(?:\.0*)?(?::(\d+)(?:\.0*)?(?::-?1)?)?", part)
    if ends is None:
        msg = f"{part!r} is not of the form 'first:last'"
        raise ValueError(msg)
    first, last = int(ends[1]), int(ends[2] or ends[1])
    first, last = min(first, last), max(first, last)
    if first < 1:
        msg = f"{part!r} begins before the first pixel, which is 1"
        raise ValueError(msg)
    return f"{first}:{last}"


def _ends(section: str) -> list[tuple[int, int]]:
    pairs = (part.split(":") for part in section.strip("[]").split(","))
    return [(int(first), int(last)) for first, last in pairs]


def _overlap(first: str, second: str) -> bool:
    pairs = zip(_ends(first), _ends(second), strict=True)
    return all(a[0] <= b[1] and b[0] <= a[1] for a, b in pairs)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " or ".join(repr(v) for v in value)
    return repr(value)


def _any_of(keys: Sequence[str]) -> str:
    return " or ".join(keys)
