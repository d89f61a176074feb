"""Names of exposures and pointings of MUSE, by what their headers say."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from astropy.coordinates import Angle
from astropy.table import Table

__all__ = ["add_identifiers", "exposure_names", "pointing_name"]

_SKY = ("object", "sky", "standard", "astrometry")
"""Classes of frames that have a place on the sky."""


def pointing_name(ra: float, dec: float, exptime: float) -> str:
    """
    Name a pointing, such as ``033230-274800_0860``.

    Parameters
    ----------
    ra, dec : float
        Coordinates [degree].
    exptime : float
        Exposure time [s].

    Returns
    -------
    str
        RADEC_EXPTIME: right ascension (hhmmss) and declination (ddmmss) with its sign,
        without decimals, and the seconds in four digits, as MUSEreduce names it.
    """
    # A microsecond of arc less than a whole one is a whole one.
    hours = Angle(ra + 1e-9, "deg").hms
    degrees = Angle(abs(dec) + 1e-9, "deg").dms
    sign = "-" if dec < 0 else "+"
    first = "".join(f"{int(part):02d}" for part in hours)
    second = "".join(f"{int(part):02d}" for part in degrees)
    return f"{first}{sign}{second}_{int(exptime):04d}"


def exposure_names(places: Iterable[tuple[float, float, float, float]]) -> list[str]:
    """
    Name exposures, such as ``033230-274800_0860_090_00``.

    Parameters
    ----------
    places : iterable of (float, float, float, float)
        Right ascension and declination [degree], exposure time [s], and position angle
        of the derotator [degree], in the order of time.

    Returns
    -------
    list of str
        RADEC_EXPTIME_ROTANGLE_COUNTER; the counter, from 0, tells apart exposures that
        agree in all else.
    """
    seen: Counter[str] = Counter()
    names = []
    for ra, dec, exptime, angle in places:
        stem = f"{pointing_name(ra, dec, exptime)}_{round(angle) % 360:03d}"
        names.append(f"{stem}_{seen[stem]:02d}")
        seen[stem] += 1
    return names


def add_identifiers(table: Table) -> None:
    """
    Add the columns ``exposure`` and ``pointing`` to a table of raw frames.

    Parameters
    ----------
    table : astropy.table.Table
        A survey of raw frames of MUSE. Columns that it has already are kept, so that
        names of your own hold; they are empty for frames that are not on the sky.
    """
    if {"exposure", "pointing"} <= set(table.colnames):
        return
    exposure, pointing = [""] * len(table), [""] * len(table)
    # Places of one class count by themselves: a standard is no exposure of a target.
    for kind in _SKY:
        rows = [n for n in np.argsort(table["time"]) if table["class"][n] == kind]
        known = [n for n in rows if not _is_masked(table, int(n))]
        places = [_place(table, int(n)) for n in known]
        for n, place, name in zip(known, places, exposure_names(places), strict=True):
            exposure[n], pointing[n] = name, pointing_name(*place[:3])
    for name, values in (("exposure", exposure), ("pointing", pointing)):
        if name not in table.colnames:
            table[name] = np.array(values, dtype="U64")


def _is_masked(table: Table, row: int) -> bool:
    values = [table[name][row] for name in ("ra", "dec", "exptime")]
    return any(np.ma.is_masked(value) for value in values)


def _place(table: Table, row: int) -> tuple[float, float, float, float]:
    ra, dec, exptime = (float(table[name][row]) for name in ("ra", "dec", "exptime"))
    angle = table["rotation"][row] if "rotation" in table.colnames else 0.0
    return ra, dec, exptime, 0.0 if np.ma.is_masked(angle) else float(angle)
