"""A field of stars, imaged from here and there."""

import numpy as np
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater

SHAPE = 200, 240
SKY, READ_NOISE, FWHM = 100.0, 3.0, 3.2


def coordinates(dx=0.0, dy=0.0, angle=0.0, scale=1.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [215.0, 40.0]
    wcs.wcs.crpix = [SHAPE[1] / 2 + dx, SHAPE[0] / 2 + dy]
    turn = np.deg2rad(angle)
    wcs.wcs.cd = (0.3 / 3600 / scale) * np.array(
        [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )
    return wcs


def field(seed=0, count=40):
    """Give positions on the sky, and fluxes."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-20, [SHAPE[1] + 20, SHAPE[0] + 20], (count, 2))
    flux = 2500 * rng.uniform(0.03, 1, count) ** -1.0
    return coordinates().all_pix2world(places, 0), flux


def exposure(name, true, stated=None, *, seed=1, stars=None, clear=1.0, sky=SKY):
    """Image a field; its header says where, or something else."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.full(SHAPE, float(sky))
    sigma = FWHM / 2.3548
    world, flux = field() if stars is None else stars
    for place, light in zip(true.all_world2pix(world, 0), flux, strict=True):
        part = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * sigma**2))
        image += clear * light * part / (2 * np.pi * sigma**2)
    data = rng.poisson(image) + rng.normal(0, READ_NOISE, SHAPE)
    ndd = NDLater(data, variance=image + READ_NOISE**2, ident=1)
    if stated is not None:
        ndd.wcs = stated
    return DataFile(name, data=[ndd])
