"""The catalogue of the stars that the simulated telescope sees."""

import numpy as np
from astropy import units as u
from astropy.table import Table
from astropy.wcs import WCS

from ndmapper.lib.simulate.camera import Camera
from ndmapper.lib.simulate.sky import Scene

__all__ = ["ZERO_POINT", "mosaic_wcs", "star_catalogue"]

ZERO_POINT = 25.0
"""Magnitude of a star of one electron."""

_SCALE = 0.4 / 3600
"""Size of a pixel [degree]."""


def mosaic_wcs(camera: Camera, pointing: tuple[float, float]) -> WCS:
    """Give the world coordinates of the mosaic, of a frame that is not dithered."""
    ny, nx = camera.mosaic
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = pointing
    wcs.wcs.crpix = [(nx + 1) / 2, (ny + 1) / 2]
    wcs.wcs.cdelt = [-_SCALE, _SCALE]
    return wcs


def star_catalogue(
    scene: Scene, camera: Camera, pointing: tuple[float, float]
) -> Table:
    """List the stars as a catalogue of the sky does."""
    x = np.array([star.x for star in scene.stars])
    y = np.array([star.y for star in scene.stars])
    flux = np.array([star.flux for star in scene.stars])
    ra, dec = mosaic_wcs(camera, pointing).all_pix2world(x, y, 0)
    table = Table(
        {"ra": ra * u.deg, "dec": dec * u.deg, "mag": ZERO_POINT - 2.5 * np.log10(flux)}
    )
    table["mag"].unit = u.mag
    return table
