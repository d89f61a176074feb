"""Fields of simulated stars, of which everything is known."""

import io
from math import erf
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater, PlainFile

pytest.importorskip("photutils", reason="the extra ccd is not installed")
pytest.importorskip("skimage", reason="the extra ccd is not installed")

READ_NOISE = 4.0


def star(shape, x, y, fwhm):
    """Give the light of a Gaussian star of flux 1, integrated over pixels."""
    scale = fwhm / 2.3548200450309493 * np.sqrt(2)

    def line(n, centre):
        return np.diff([erf(e / scale) for e in np.arange(n + 1) - 0.5 - centre]) / 2

    return np.outer(line(shape[0], y), line(shape[1], x))


def make_field(
    seed, *, shape=(200, 220), stars=30, flux=(1e3, 1e5), fwhm=3.0, sky=100.0,
    apart=16.0, border=14.0, positions=None,
):  # fmt: skip
    """Draw an image of stars that do not overlap, with the noise of photons."""
    rng = np.random.default_rng(seed)
    x, y = ([], []) if positions is None else map(list, positions)
    while positions is None and len(x) < stars:
        new = (
            rng.uniform(border, shape[1] - border),
            rng.uniform(border, shape[0] - border),
        )
        if all(np.hypot(new[0] - a, new[1] - b) > apart for a, b in zip(x, y)):  # noqa: B905
            x.append(new[0])
            y.append(new[1])
    fluxes = np.exp(rng.uniform(*np.log(flux), len(x)))
    clean = np.broadcast_to(np.asarray(sky, float), shape).copy()
    for a, b, f in zip(x, y, fluxes, strict=True):
        clean += f * star(shape, a, b, fwhm)
    data = rng.poisson(clean) + rng.normal(0, READ_NOISE, shape)
    ndd = NDLater(
        data.astype(np.float32),
        variance=(np.maximum(data, 0) + READ_NOISE**2).astype(np.float32),
        flags=np.zeros(shape, np.uint16),
        unit="electron",
    )
    return SimpleNamespace(
        ndd=ndd, x=np.array(x), y=np.array(y), flux=fluxes, clean=clean, sky=sky,
        rng=rng,
    )  # fmt: skip


def sky_wcs(shape=(200, 220)):
    """Give the coordinates of a small field, rotated, with x to the west."""
    wcs = WCS(naxis=2)
    wcs.wcs.crpix = [shape[1] / 2, shape[0] / 2]
    wcs.wcs.crval = [150.1, 2.2]
    wcs.wcs.cd = np.array([[-0.8, 0.6], [0.6, 0.8]]) * 0.3 / 3600
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    return wcs


def write(name, *ndds, **header):
    """Save images as a file, with cards in its primary header."""
    df = DataFile(name, mode="new")
    for ndd in ndds:
        df.append(ndd)
    df.meta.update(header)
    df.save()
    return name


@pytest.fixture(scope="session")
def field():
    """Thirty stars of 1000 to 100000 electrons on a sky of 100."""
    return make_field(11)


def as_file(*ndds):
    """Hold images in a file that is not saved."""
    return DataFile(data=list(ndds))


def listed(table=None, **columns):
    """Hold a catalogue in a file that is not saved."""
    text = io.StringIO()
    (Table(columns) if table is None else table).write(text, format="ascii.ecsv")
    return PlainFile("list.ecsv", text.getvalue().encode())
