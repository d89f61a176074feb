"""Primary headers of ESO raw frames."""

from collections.abc import Mapping
from typing import Any

from astropy.time import Time

from ndmapper.io.headers import Header

__all__ = ["NIGHT", "eso_header"]

NIGHT = 57388.0
"""The Modified Julian Date of all simulated nights."""


def eso_header(
    instrument: str, mjd: float, exptime: float, eso: Mapping[str, Any]
) -> Header:
    """Return the primary header of a raw frame."""
    start = Time(mjd, format="mjd", scale="utc")
    header = Header()
    for key, value, comment in (
        ("ORIGIN", "SIMULATION", "this frame was never taken"),
        ("TELESCOP", "ESO-VLT-U4", ""),
        ("INSTRUME", instrument, "instrument"),
        ("OBJECT", eso["DPR TYPE"], ""),
        ("RA", 53.125, "[deg] right ascension"),
        ("DEC", -27.8, "[deg] declination"),
        ("EQUINOX", 2000.0, ""),
        ("EXPTIME", exptime, "[s] exposure time"),
        ("MJD-OBS", round(mjd, 8), "start of the exposure (UTC)"),
        ("DATE-OBS", start.isot, "start of the exposure (UTC)"),
        ("UTC", round(mjd % 1 * 86400, 3), "[s] since midnight"),
        ("LST", 0.0, "[s] local sidereal time"),
        ("PI-COI", "UNKNOWN", ""),
    ):
        header[key] = (value, comment)
    common = {
        "TPL START": start.isot[:19],
        "OBS ID": 1,
        "OBS NAME": "SIM-OB-1",
        "OBS PROG ID": "60.A-9100(A)",
        "OBS TARG NAME": "SIM",
        "OBS START": start.isot[:19],
    }
    for key, value in {**common, **eso}.items():
        header[f"HIERARCH ESO {key}"] = value
    return header
