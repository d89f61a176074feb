"""When frames were exposed, and from where: the middle of exposures, by headers."""

import logging
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile
from ndmapper.data.header_query import look_up
from ndmapper.errors import ParameterError
from ndmapper.instruments import Instrument, load, recognise
from ndmapper.instruments.moments import TIME_SCALES, read_moment
from ndmapper.lib.ccd.dark import exposure_time
from ndmapper.numerics.barycentre import AtomicTime, atomic_time, site_on_earth

__all__ = ["FrameTime", "Site", "TimeIs", "airmass_of", "frame_time", "site_of"]

log = logging.getLogger(__name__)

TimeIs: TypeAlias = Literal["start", "middle", "end"]

Site: TypeAlias = tuple[float, float, float] | Literal["geocentre"]
"""Longitude to the east and latitude [degree], height [m]; or the Earth's centre."""

_SAYS_START = re.compile(
    r"\b(start|begin|beginning|open|opened|opening)", re.IGNORECASE
)
_SAYS_OTHER = re.compile(
    r"\b(mid|middle|centre|center|mean|average|avg|effective|end|stop|clos)|midpoint",
    re.IGNORECASE,
)
_APART = 2.0
"""A date and a Julian date that differ by more are not the same moment [s]."""

_AIRMASSES = (0.99, 40.0)
"""From the zenith, which some formulae put a little below 1, to the horizon."""

_INSIDE_EARTH = 6.3e6
"""No telescope is nearer to the centre of the Earth [m]."""

_OF_OBSERVER = ("", "TOPOCENTER", "TOPOCENT")
"""Values of TREFPOS of a time that was read where the telescope is."""


@dataclass(frozen=True, kw_only=True)
class FrameTime:
    """When a frame was exposed."""

    middle: AtomicTime
    # Exposure time [s]; NaN where it is not needed.
    exposure: float
    # From which cards.
    source: str


def frame_time(
    df: DataFile, *, time_is: TimeIs | None = None, exposure: float | None = None
) -> FrameTime:
    """
    Find the middle of an exposure.

    DATE-AVG is the middle, and so is the mean of DATE-BEG and DATE-END. Without them it
    is half of the exposure time after DATE-BEG, or after the time that the instrument's
    table names; that is the start of the exposure, as the FITS standard has it, unless
    `time_is` or the comment of the card says otherwise. Where MJD-OBS, or that of
    another date, contradicts the date that is used, there is a warning.

    Raises
    ------
    ParameterError
        If no card has a time of day in a known scale, its comment speaks of another
        part of the exposure than the start, or the exposure time is needed and unknown.
    """
    scale = _scale(df)
    known = math.nan if exposure is None else exposure
    begin = None
    if time_is is None:
        if (middle := _read(df, ("DATE-AVG", "MJD-AVG"), scale)) is not None:
            return FrameTime(middle=middle, exposure=known, source="DATE-AVG")
        begin = _read(df, ("DATE-BEG", "MJD-BEG"), scale)
        end = _read(df, ("DATE-END", "MJD-END"), scale)
        if begin is not None and end is not None and end - begin > 0:
            return FrameTime(
                middle=begin.later((end - begin) / 2),
                exposure=end - begin if exposure is None else exposure,
                source="DATE-BEG and DATE-END",
            )
    source = "DATE-BEG"
    if begin is None:
        keys = tuple(_instrument(df, "time").descriptors["time"].keys)
        begin, used = _required(df, keys, scale)
        source = " and ".join(used)
        if time_is is None:
            _check_comments(df, used)
    if time_is == "middle":
        return FrameTime(middle=begin, exposure=known, source=source)
    seconds = exposure_time(df[0], exposure, "exposure", _name(df))
    sign = "-" if time_is == "end" else "+"
    return FrameTime(
        middle=begin.later(float(f"{sign}0.5") * seconds),
        exposure=seconds,
        source=f"{source} {sign} half of the exposure time",
    )


def site_of(df: DataFile, given: Site | None) -> npt.NDArray[np.float64]:
    """
    Find geocentric coordinates [m] of the telescope: what is given, else by the header.

    Raises
    ------
    ParameterError
        If neither says it.
    """
    if given == "geocentre":
        return np.zeros(3)
    if given is not None:
        longitude, latitude, height = given
        if not abs(latitude) <= 90 or not abs(longitude) <= 360:
            msg = (
                "site is (longitude to the east [degree], latitude [degree], height "
                f"[m]), not {given}"
            )
            raise ParameterError(msg)
        return site_on_earth(longitude, latitude, height)
    if (found := _numbers(df, ("OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z"))) is not None:
        if math.hypot(*found) < _INSIDE_EARTH:
            msg = (
                f"OBSGEO-X, -Y, -Z of {_name(df)} are {found}, which is inside the "
                "Earth; give site=(longitude to the east [degree], latitude [degree], "
                "height [m])"
            )
            raise ParameterError(msg)
        return np.array(found)
    if (found := _numbers(df, ("OBSGEO-L", "OBSGEO-B", "OBSGEO-H"))) is not None:
        return site_on_earth(*found)
    place = _described(df, ("longitude", "latitude", "height"))
    if place is not None:
        return site_on_earth(*place)
    msg = (
        f"neither the header of {_name(df)} nor the table of its instrument says where "
        "the telescope is; give site=(longitude to the east [degree], latitude "
        "[degree], height [m]), or site='geocentre', which is wrong by up to 0.02 s"
    )
    raise ParameterError(msg)


def airmass_of(df: DataFile) -> float:
    """
    Give the airmass that a header says; NaN where it says none.

    What cannot be one, as 99 or 0, is none, of which there is a warning.
    """
    found = _described(df, ("airmass",)) or _numbers(df, ("AIRMASS",))
    if found is None or not math.isfinite(found[0]):
        return math.nan
    low, high = _AIRMASSES
    if not low <= found[0] <= high:
        log.warning(
            "the header of %s says an airmass of %g, which is none: it counts as not "
            "known", _name(df), found[0],
        )  # fmt: skip
        return math.nan
    return found[0]


def _scale(df: DataFile) -> str:
    scale = str(look_up(df, "TIMESYS") or "").strip().upper()
    # Such as TT(TAI), which says how it was realised.
    scale = scale.split("(")[0]
    if scale not in TIME_SCALES:
        known = ", ".join(sorted(TIME_SCALES - {""}))
        msg = f"{_name(df)} has times in TIMESYS = {scale!r}, which is none of {known}"
        raise ParameterError(msg)
    place = str(look_up(df, "TREFPOS") or "").strip().upper()
    if place not in _OF_OBSERVER:
        msg = (
            f"the times of {_name(df)} are those of another place "
            f"(TREFPOS = {place!r}), and those of the telescope are needed"
        )
        raise ParameterError(msg)
    return scale


def _read(df: DataFile, keys: tuple[str, ...], scale: str) -> AtomicTime | None:
    """Read the time of cards; None where they have none, or the day alone."""
    found = read_moment([(key, look_up(df, key)) for key in keys], scale)
    if found.time is None or found.is_day:
        return None
    time = atomic_time(found.time)
    _warn_of_other(df, keys[0], time, scale)
    return time


def _warn_of_other(df: DataFile, key: str, time: AtomicTime, scale: str) -> None:
    """Warn of a Julian date that is not the moment of the date that is used."""
    stem, _, which = key.partition("-")
    julian = f"MJD-{which}"
    value = look_up(df, julian)
    if stem != "DATE" or look_up(df, key) is None or value is None:
        return
    found = read_moment([(julian, value)], scale)
    if found.time is None:
        return
    apart = abs(atomic_time(found.time) - time)
    _, _, decimals = str(value).partition(".")
    # A number of few decimals is rounded.
    if apart > max(_APART, 86400 * 0.6 * 10.0 ** -len(decimals)):
        log.warning(
            "%s: %s = %r and %s = %r differ by %.4g s; the first is used: if that "
            "is the wrong one, correct the header",
            _name(df), key, look_up(df, key), julian, value, apart,
        )  # fmt: skip


def _required(
    df: DataFile, keys: tuple[str, ...], scale: str
) -> tuple[AtomicTime, list[str]]:
    """Read a time, and say from which cards it is."""
    cards = [(key, look_up(df, key)) for key in keys]
    found = read_moment(cards, scale)
    there = [f"{key} = {value!r}" for key, value in cards if value is not None]
    if found.time is None or found.is_day or found.remark is not None:
        why = found.remark or f"found {', '.join(there) or 'none of these'}"
        msg = (
            f"{_name(df)} has no date with a time of day in UT in {', '.join(keys)} "
            f"({why}); give the instrument's table a descriptor time"
        )
        raise ParameterError(msg)
    used = [key for key, value in cards if value is not None]
    first = look_up(df, used[0])
    time = atomic_time(found.time)
    _warn_of_other(df, used[0], time, scale)
    # A date of its own has the time of day behind it; a Julian date is a number.
    is_whole = not isinstance(first, str) or ":" in first
    return time, used[:1] if is_whole else used[:2]


def _check_comments(df: DataFile, keys: list[str]) -> None:
    """Refuse a time that, by the comments of its cards, is not that of the start."""
    for key in keys:
        headers = [df.meta, df[0].meta]
        comment = next((str(h.comments[key]) for h in headers if key in h), "")
        if _SAYS_OTHER.search(comment) and not _SAYS_START.search(comment):
            msg = (
                f"{key} of {_name(df)} need not be the start of the exposure, as its "
                f"comment is {comment!r}; give time_is='start', 'middle' or 'end'"
            )
            raise ParameterError(msg)


def _instrument(df: DataFile, descriptor: str) -> Instrument:
    """Give the instrument of a file; that of any CCD if it lacks a descriptor."""
    instrument = recognise(df.header_values)
    if instrument is None or descriptor not in instrument.descriptors:
        return load("ccd")
    return instrument


def _described(df: DataFile, names: tuple[str, ...]) -> tuple[float, ...] | None:
    """Find numbers by descriptors of the instrument."""
    instrument = recognise(df.header_values)
    if instrument is None or not set(names) <= set(instrument.descriptors):
        return None
    first = df[0].header_values if len(df) else df.header_values
    values = [instrument.descriptors[n].find(df.header_values, first) for n in names]
    return _finite(values)


def _numbers(df: DataFile, keys: tuple[str, ...]) -> tuple[float, ...] | None:
    return _finite([look_up(df, key) for key in keys])


def _finite(values: list[Any]) -> tuple[float, ...] | None:
    numbers = [
        float(v) if isinstance(v, int | float) and not isinstance(v, bool) else math.nan
        for v in values
    ]
    return tuple(numbers) if all(map(math.isfinite, numbers)) else None


def _name(df: DataFile) -> str:
    return str(df.filename or "the frame")
