"""
Dates and times, as cameras write them: the moment of a frame, in UT.

One card after the other is tried until one can be read: a date with its time of day, a
date and a clock beside it, a (modified) Julian date. What is not UT, could be read in
two ways, or is no date of an observation, is not read.
"""

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from ndmapper.instruments.conditions import Value

__all__ = ["TIME_SCALES", "Moment", "read_clock", "read_moment"]

_YEARS = range(1890, 2200)
"""Years in which frames can have been taken; any other is an empty or broken value."""

_EPOCH = datetime(1858, 11, 17)
_NEAR = timedelta(days=2.5)
"""A night may begin on the day that a date names, or end on it."""
_TERRESTRIAL = 32.184
_SCALES = {"TAI": 0.0, "IAT": 0.0, "GPS": -19.0} | dict.fromkeys(
    ("TT", "TDT", "ET", "TDB"), _TERRESTRIAL
)
"""Time scales, and by how many seconds they are ahead of atomic time."""

TIME_SCALES = frozenset({"", "UTC", "UT", "GMT", "Z", *_SCALES})
"""Values of TIMESYS that are understood; any other is taken for UT."""

_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:(?:[Tt_]|\s+)\s*(\S.*))?")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:[Tt](\d\d)(\d\d)(\d\d(?:\.\d*)?))?")
_DAY_FIRST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{2}|\d{4})(?:\s+(\S.*))?")
_ZONE = re.compile(r"(.*?)\s*(Z|z|UTC?|GMT|[-+]\d\d:?(?:\d\d)?)")
_CLOCK = re.compile(
    r"(\d{1,2})[:hH ]\s*(\d{1,2})(?:[:mM ]\s*(\d{1,2})(?:[.,](\d*))?[sS]?)?[mM]?"
)
_LOCAL = re.compile(r"LOC|LCL|^LT|LST|^ST$|SIDER", re.IGNORECASE)
"""Keywords, and values of TIMESYS, that say that a time is not UT."""


@dataclass(frozen=True)
class Moment:
    """What the cards of a frame say of its time."""

    # The time in UT, without time zone; None where no card can be read.
    time: datetime | None
    # Cards that are there and cannot be read, as ``KEYWORD = value``.
    refused: tuple[str, ...] = field(default=())
    remark: str | None = None  # where two cards contradict each other, which is taken
    is_day: bool = False  # whether no card has the time of day


def read_moment(cards: Sequence[tuple[str, Value]], scale: Value = None) -> Moment:
    """Read the time of a frame."""
    refused: list[str] = []
    scale = "" if scale is None else str(scale).strip()
    is_local = _LOCAL.search(scale) is not None
    clocks = [c for c in cards[1:] if _is_clock(c[0]) and c[1] is not None]
    # A clock that is named for UT goes before others, which may be local.
    clocks.sort(key=lambda card: "UT" not in card[0].upper())
    moment = bare = remark = None
    is_broken = False
    for number, (key, value) in enumerate(cards):
        if value is None or (number and _is_clock(key)):
            continue
        found: datetime | date | None
        if _is_julian(key):
            found = _of_days(key, value)
        else:
            local = is_local or _LOCAL.search(key)
            found = None if local else _read_date(value)
        if isinstance(found, datetime):
            if bare is None or abs(found - bare) < _NEAR:
                remark = _contradiction(key, value, found, clocks)
                moment = found
                break
        elif found is not None and bare is None:
            bare = _midnight(found)
            moment, missed = _with_clock(found, clocks)
            refused += missed
            is_broken = bool(missed)
            if moment is not None:
                break
        elif found is None:
            because = f" (TIMESYS = {scale!r})" if is_local and "JD" not in key else ""
            refused.append(f"{key} = {value!r}{because}")
    is_day = moment is None and bare is not None and not is_broken
    if is_day:
        # Without any clock the day alone has to do; with a broken one it will not.
        moment = bare
    if moment is not None and (ahead := _SCALES.get(scale.upper())) is not None:
        moment = _to_utc(moment, ahead)
    return Moment(moment, tuple(dict.fromkeys(refused)), remark, is_day)


def _read_date(value: Value) -> datetime | date | None:
    """Parse a date, with or without time of day."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _in_range(_of_number(float(value)))
    text = value.strip()
    found = _iso(text) or _compact(text) or _day_first(text)
    if found is None:
        return None
    day, clock = found
    if day.year not in _YEARS:
        return None
    if not clock:
        return day
    return _joined(day, clock)


def read_clock(value: Value) -> timedelta | None:
    """Parse a time of day."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        hours = float(value)
    else:
        text = re.sub(r"\s*:\s*", ":", value.strip())
        match = _CLOCK.fullmatch(text)
        if match is not None:
            return _of_fields(match)
        try:
            hours = float(text)
        except ValueError:
            return None
    if not 0 <= hours <= 24:
        return None
    # Milliseconds are more than such a number has.
    return timedelta(milliseconds=round(hours * 3.6e6))


def _of_fields(match: re.Match[str]) -> timedelta | None:
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
    fraction = float(f"0.{match[4] or 0}")
    if hours > 24 or minutes > 59 or seconds > 60:
        return None
    if hours == 24 and (minutes or seconds > 0):
        return None
    # As astropy's Time, which has more than microseconds, cuts them.
    return timedelta(hours=hours, minutes=minutes, seconds=seconds) + timedelta(
        microseconds=int(fraction * 1e6 + 1e-6)
    )


def _iso(text: str) -> tuple[date, str | None] | None:
    match = _ISO.fullmatch(text)
    return None if match is None else _day(match[1], match[2], match[3], match[4])


def _compact(text: str) -> tuple[date, str | None] | None:
    match = _COMPACT.fullmatch(text)
    if match is None:
        return None
    clock = None if match[4] is None else f"{match[4]}:{match[5]}:{match[6]}"
    return _day(match[1], match[2], match[3], clock)


def _day_first(text: str) -> tuple[date, str | None] | None:
    match = _DAY_FIRST.fullmatch(text)
    if match is None:
        return None
    day, month, year = int(match[1]), int(match[2]), int(match[3])
    if len(match[3]) == 2:
        # Legal before 2000, and means the years 1900 to 1999. Who writes it today
        # means another century, and perhaps another order.
        if year < 50 or "/" not in match[0]:
            return None
        return _day(1900 + year, month, day, match[4])
    if day > 12 or day == month:
        return _day(year, month, day, match[4])
    return _day(year, day, month, match[4]) if month > 12 else None


def _day(
    year: int | str, month: int | str, day: int | str, clock: str | None
) -> tuple[date, str | None] | None:
    try:
        return date(int(year), int(month), int(day)), clock
    except ValueError:
        return None


def _joined(day: date, clock: str) -> datetime | None:
    """Join a date and what stands behind it, which may end with a time zone."""
    zone = _ZONE.fullmatch(clock)
    offset = timedelta()
    if zone is not None:
        clock = zone[1]
        if zone[2][0] in "+-":
            digits = zone[2][1:].replace(":", "").ljust(4, "0")
            offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
            offset = -offset if zone[2][0] == "-" else offset
            if abs(offset) > timedelta(hours=15):
                return None
    # Decimal hours stand in cards of their own.
    time = read_clock(clock) if re.search(r"[:hH ]", clock) else None
    return None if time is None else _midnight(day) + time - offset


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def _with_clock(
    day: date, clocks: Sequence[tuple[str, Value]]
) -> tuple[datetime | None, list[str]]:
    """Find the time of day of a date in the cards beside it."""
    refused: list[str] = []
    for key, value in clocks:
        if _LOCAL.search(key):
            continue
        moment = _read_date(value) if isinstance(value, str) else None
        if isinstance(moment, datetime):
            return moment, refused
        time = read_clock(value)
        if time is not None:
            return _midnight(day) + time, refused
        refused.append(f"{key} = {value!r}")
    return None, refused


def _contradiction(
    key: str, value: Value, moment: datetime, clocks: Sequence[tuple[str, Value]]
) -> str | None:
    """Return where a UT clock shows hours that the date does not."""
    for other, shown in clocks:
        time = read_clock(shown)
        if "UT" not in other.upper() or time is None:
            continue
        apart = (moment - _midnight(moment.date()) - time).total_seconds() / 3600
        apart = abs((apart + 12) % 24 - 12)
        if apart > 0.9 and abs(apart * 4 - round(apart * 4)) < 0.02:
            # Whole hours are a time zone, not an exposure.
            return (
                f"{key} = {value!r} and {other} = {shown!r} differ by {apart:.4g} h; "
                f"{key} is taken for UT"
            )
    return None


def _is_julian(key: str) -> bool:
    return "JD" in key.upper()


def _is_clock(key: str) -> bool:
    return not _is_julian(key) and "DATE" not in key.upper()


def _of_days(key: str, value: Value) -> datetime | None:
    if isinstance(value, str):
        try:
            value = float(value.upper().replace("D", "E"))
        except ValueError:
            return None
    if isinstance(value, bool) or value is None:
        return None
    days = float(value)
    # A reduced Julian date would be half a day off.
    if days < 2_000_000 and "MJD" not in key.upper():
        return None
    return _in_range(_of_number(days))


def _of_number(days: float) -> datetime | None:
    # A Julian date, or a modified one, which begins at midnight.
    if not math.isfinite(days):
        return None
    modified = days - 2400000.5 if days > 2_000_000 else days
    try:
        # What a double precision number has of a day that long ago is 40 microseconds.
        return _EPOCH + timedelta(milliseconds=round(modified * 8.64e7, 1))
    except OverflowError:
        return None


def _in_range(moment: datetime | None) -> datetime | None:
    return None if moment is None or moment.year not in _YEARS else moment


def _to_utc(moment: datetime, ahead: float) -> datetime:
    """Convert TAI, or a time that is ahead by some seconds, to UTC."""
    import erfa  # as in astropy, but without looking for newer leap seconds on line

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", erfa.ErfaWarning)  # of years to come
        leap = float(erfa.dat(moment.year, moment.month, moment.day, 0.0))
    return moment - timedelta(seconds=leap + ahead)
