"""Simulated spectra of one axis, of which everything is known."""

import numpy as np

from ndmapper.data import DataFile, NDLater
from ndmapper.lib.spec.axis import with_wavelengths

LICK = {"site": {"longitude": -121.6428, "latitude": 37.3414, "height": 1283.0}}


def spectrum(
    wavelengths, data, variance=None, *, flags=None, unit="electron", medium="air"
):
    """Make a spectrum with wavelengths [Angstrom]."""
    ndd = NDLater(
        np.asarray(data, np.float64), variance=variance, flags=flags, unit=unit
    )
    return with_wavelengths(ndd, wavelengths, medium)


def exposure(*ndds, name=None, **header):
    """Make an exposure of 1200 s of the Lick Observatory, 20 May 2015 at 4:37:33 UT."""
    cards = {
        "OBJECT": "J1217p3905", "RA": "12:17:36.7", "DEC": "39:00:40.0",
        "DATE-BEG": "2015-05-20T04:37:33.12", "EXPTIME": 1200.0,
    }  # fmt: skip
    df = DataFile(data=list(ndds))
    for key, value in (cards | header).items():
        if value is not None:
            df.meta[key] = value
    if name is not None:
        df.save(name)
    return df
