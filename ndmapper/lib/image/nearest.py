"""Which frames of a list were taken just before and after a frame, at other places."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from astropy.wcs import WCS

from ndmapper.data import DataFile
from ndmapper.errors import ParameterError
from ndmapper.instruments import load, recognise

__all__ = ["Nearest", "nearest_frames", "shift_between"]


@dataclass(frozen=True)
class Nearest:
    """Where a frame is in a list, if it is, and which others are nearest."""

    own: int | None
    others: Sequence[int]


def nearest_frames(
    df: DataFile,
    files: Sequence[DataFile],
    *,
    count: int,
    fewest: int,
    window: float | None = None,
    apart: float | None = None,
    by: str = "time",
) -> Nearest:
    """
    Choose the frames of a list that are nearest to a frame, by time or place in it.

    Raises
    ------
    ParameterError
        If there are too few, or a header says no time.
    """
    own = _position(df, files)
    if by == "list":
        if own is None:
            msg = (
                f"{df} is not in the list that its sky is taken from, so that "
                "nearest='list' has no meaning; take the nearest in time"
            )
            raise ParameterError(msg)
        away = np.abs(np.arange(len(files)) - float(own))
    else:
        start = _time_of(df)
        away = np.array([_minutes(_time_of(other), start) for other in files])
        if own is None and (same := np.flatnonzero(away == 0)).size == 1:
            own = int(same[0])
    usable = np.ones(len(files), np.bool_)
    if own is not None:
        usable[own] = False
    lost = []
    if by == "time":
        # No camera takes two frames at once: it is the same one under another name.
        lost.append(("have the same time", usable & (away == 0)))
        if window is not None:
            far = usable & (away > window)
            lost.append((f"were taken more than {window:g} min apart", far))
    if apart is not None:
        near = np.array([_is_near(df, other, apart) for other in files], np.bool_)
        lost.append((f"are shifted by less than {apart:g} pixels", usable & near))
    for _, where in lost:
        usable &= ~where
    order = np.argsort(np.where(usable, away, np.inf), kind="stable")
    others = [int(n) for n in order[:count] if usable[n]]
    if len(others) < min(fewest, count):
        reasons = [f"{where.sum()} {why}" for why, where in lost if where.any()]
        msg = (
            f"{len(others)} of {len(files)} frames can be used for the sky of {df}, "
            f"and at least {min(fewest, count)} are needed (fewest)"
            f"{': ' if reasons else ''}{', '.join(reasons)}"
        )
        raise ParameterError(msg)
    return Nearest(own, sorted(others))


def shift_between(df: DataFile, other: DataFile) -> float | None:
    """Tell how far the middle of a frame lies from that of another [pixel]."""
    if not len(df) or not len(other):
        return None
    one, two = df[0].wcs, other[0].wcs
    for wcs in (one, two):
        if not isinstance(wcs, WCS) or not wcs.has_celestial:
            return None
    middle = (np.array(df[0].shape[::-1]) - 1) / 2
    place = two.all_world2pix(*one.all_pix2world(*middle, 0), 0, quiet=True)
    shift = float(np.hypot(*(np.array(place, np.float64) - middle)))
    return shift if np.isfinite(shift) else None


def _position(df: DataFile, files: Sequence[DataFile]) -> int | None:
    """Find a frame in a list, by its name."""
    if df.filename is None:
        return None
    for position, other in enumerate(files):
        if other.filename is not None and other.filename == df.filename:
            return position
    return None


def _is_near(df: DataFile, other: DataFile, apart: float) -> bool:
    shift = shift_between(df, other)
    if shift is None:
        msg = (
            f"{df} or {other} has no celestial coordinates, by which apart= could tell "
            "whether they are shifted"
        )
        raise ParameterError(msg)
    return shift < apart


def _minutes(one: datetime, other: datetime) -> float:
    return abs((one - other).total_seconds()) / 60


def _time_of(df: DataFile) -> datetime:
    """Read when a frame was taken, by the descriptor of its instrument."""
    extension = df[0].header_values if len(df) else None
    usual = load("ccd").descriptors["time"]
    instrument = recognise(df.header_values)
    own = None if instrument is None else instrument.descriptors.get("time")
    for descriptor in (own, usual):
        value = descriptor and descriptor.find(df.header_values, extension)
        if isinstance(value, str):
            return datetime.fromisoformat(value)
    msg = (
        f"{df} does not say when it was taken ({' or '.join((own or usual).keys)}), by "
        "which its neighbours are found; give nearest='list' to take those of the list"
    )
    raise ParameterError(msg)
