"""The functions that the TOML of an instrument may apply to header values."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from ndmapper.instruments.conditions import Condition, Value, like, parse_condition
from ndmapper.instruments.moments import Moment, read_moment

__all__ = [
    "FUNCTIONS",
    "Header",
    "HeaderPair",
    "moment_in",
    "parse_cases",
]

log = logging.getLogger(__name__)

Cases = tuple[tuple[str, Mapping[str, tuple[Condition, ...]]], ...]
"""Values, and what has to be met by keywords for each."""


class Header(Protocol):
    """What is needed of a header; FITS headers and mappings have it."""

    def get(self, key: str, /) -> Any:
        """Return the value of a keyword."""


class HeaderPair:
    """The headers of a file: the primary one and those of its image extensions."""

    __slots__ = (
        "_known", "_order", "extension", "extension_first", "filename", "others",
        "primary",
    )  # fmt: skip

    def __init__(
        self,
        primary: Header,
        extension: Header | None = None,
        *,
        extension_first: bool = False,
        others: Sequence[Header] = (),
        filename: str = "",
    ) -> None:
        self.primary = primary
        self.extension = extension
        self.extension_first = extension_first
        self.others = others
        self.filename = filename
        self._known: dict[str, Value] = {}
        self._order: tuple[Header, ...] = (primary,)
        if extension is not None:
            first = extension_first
            self._order = (extension, primary) if first else (primary, extension)

    def turned(self, extension_first: bool) -> "HeaderPair":
        """Return the same headers with the extension first, or last."""
        if extension_first == self.extension_first:
            return self
        return HeaderPair(
            self.primary, self.extension, extension_first=extension_first,
            others=self.others, filename=self.filename,
        )  # fmt: skip

    def get(self, key: str) -> Value:
        """Return the value of the first card with a keyword."""
        if key in self._known:
            return self._known[key]
        value = None
        for header in self._order:
            value = _plain_value(header, key)
            if value is not None:
                break
        self._known[key] = value
        return value

    def images(self) -> list[Header]:
        """List the headers of all images."""
        found = [h for h in (self.extension, *self.others) if h is not None]
        return found or [self.primary]


_NUMBERS = (int, float)  # bool is an int


def _plain_value(header: Header, key: str) -> Value:
    """Return the value of a card if it is a number, a string or a logical value."""
    try:
        value = header.get(key)
    except Exception:  # a card that breaks the standard: astropy's VerifyError
        return None
    if isinstance(value, str):
        return value.strip() or None
    # A card without a value gives an object that is none of these.
    return value if isinstance(value, _NUMBERS) else None


def _first(headers: HeaderPair, keys: tuple[str, ...]) -> Value:
    return next((v for k in keys if (v := headers.get(k)) is not None), None)


def _word(headers: HeaderPair, keys: tuple[str, ...], *, n: int) -> Value:
    words = str(_first(headers, keys) or "").split()
    return words[n] if n < len(words) else None


def _before(headers: HeaderPair, keys: tuple[str, ...], *, mark: str) -> Value:
    """Cut a value where a mark begins."""
    value = _first(headers, keys)
    return None if value is None else str(value).split(mark)[0].strip() or None


def _joined(headers: HeaderPair, keys: tuple[str, ...], *, drop: list[str]) -> Value:
    found = [headers.get(key) for key in keys]
    kept = [
        str(v) for v in found if v is not None and not any(like(v, p) for p in drop)
    ]
    if all(v is None for v in found):
        return None
    return "+".join(sorted(kept)) or "open"


def _above(
    headers: HeaderPair,
    keys: tuple[str, ...],
    *,
    limit: Any,
    yes: str,
    no: str,
    by: str = "",
    majority: bool = False,
) -> Value:
    """Compare with a limit, which may depend on another keyword."""
    if isinstance(limit, list):
        given = headers.get(by)
        limit = next((n for pattern, n in limit if like(given, pattern)), None)
        if limit is None:
            return None
    values = [_first(headers, keys)]
    if majority:
        values = [_plain_value(h, k) for h in headers.images() for k in keys]
    numbers = [v for v in values if isinstance(v, int | float)]
    if not numbers:
        return None
    above = sum(number > limit for number in numbers)
    return yes if 2 * above > len(numbers) else no


def _switched_on(
    headers: HeaderPair, keys: tuple[str, ...], *, names: list[str], on: list[str]
) -> Value:
    lit = [
        str(headers.get(name) or name)
        for key, name in zip(keys, names, strict=True)
        if any(like(headers.get(key), pattern) for pattern in on)
    ]
    return "+".join(sorted(lit)) or None


def _shape(headers: HeaderPair, keys: tuple[str, ...]) -> Value:
    sizes = [headers.get(key) for key in keys or ("NAXIS1", "NAXIS2")]
    return None if None in sizes else "x".join(str(size) for size in sizes)


def _regions(headers: HeaderPair, keys: tuple[str, ...]) -> Value:
    """List the region of the detector of each image, by amplifier."""
    *names, section = keys
    found = []
    for header in headers.images():
        region = _plain_value(header, section)
        if isinstance(region, str):
            name = " ".join(str(_plain_value(header, key) or "") for key in names)
            found.append(f"{name.replace(';', ' ').replace('@', ' ')}@{region}")
    return ";".join(sorted(found)) or None


def _cases(headers: HeaderPair, keys: tuple[str, ...], *, cases: Cases) -> Value:
    """Return the value of the first case whose conditions on keywords are met."""
    return next((case for case, asked in cases if _fits(headers, asked)), None)


def _fits(headers: HeaderPair, asked: Mapping[str, tuple[Condition, ...]]) -> bool:
    for key, conditions in asked.items():
        value = headers.get(key)
        for condition in conditions:
            if not condition.is_met(value):
                return False
    return True


def parse_cases(given: Sequence[Mapping[str, Any]]) -> Cases:
    """Parse the cases of a descriptor once, not for every header."""
    return tuple(
        (str(case["is"]), {k: parse_condition(v) for k, v in case.items() if k != "is"})
        for case in given
    )


def _in_name(headers: HeaderPair, keys: tuple[str, ...], *, pattern: str) -> Value:
    """Return what the first group of a regular expression matches in the file name."""
    match = re.search(pattern, headers.filename)
    return match[1] if match else None


def _timestamp(headers: HeaderPair, keys: tuple[str, ...]) -> Value:
    """Join a date and, where that has none, a time of day; in UT."""
    moment = _moment(headers, keys)
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _night(
    headers: HeaderPair, keys: tuple[str, ...], *, cut: Any, by: str = ""
) -> Value:
    """Return the date of the night: a new one begins at a given time of day, in UT."""
    moment = _moment(headers, keys)
    if isinstance(cut, list):
        given = headers.get(by)
        cut = next((c for pattern, c in cut if like(given, pattern)), None)
    if moment is None or cut is None:
        return None
    hours, minutes = map(int, str(cut).split(":"))
    if timedelta(hours=moment.hour, minutes=moment.minute) < timedelta(
        hours=hours, minutes=minutes
    ):
        moment -= timedelta(days=1)
    return moment.date().isoformat()


def moment_in(headers: HeaderPair, keys: Sequence[str]) -> Moment:
    """Read the time of a frame."""
    cards = [(key, headers.get(key)) for key in keys]
    return read_moment(cards, headers.get("TIMESYS"))


def _moment(headers: HeaderPair, keys: tuple[str, ...]) -> datetime | None:
    moment = moment_in(headers, keys)
    if moment.remark is not None:
        _remark_once(keys, f"{headers.filename or 'a frame'}: {moment.remark}")
    return moment.time


_remarked: set[tuple[str, ...]] = set()


def _remark_once(keys: tuple[str, ...], text: str) -> None:
    """Log once what is true of all frames of a camera."""
    if keys not in _remarked:
        _remarked.add(keys)
        log.warning("%s (said once)", text)


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "first": _first,
    "word": _word,
    "before": _before,
    "joined": _joined,
    "above": _above,
    "switched_on": _switched_on,
    "shape": _shape,
    "regions": _regions,
    "cases": _cases,
    "in_name": _in_name,
    "timestamp": _timestamp,
    "night": _night,
}
"""The functions that a TOML may name."""
