"""Images of a field of stars and galaxies, of known offset and brightness."""

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

UNIT = "10**(-20)*erg/s/cm**2/Angstrom"


def field(seed, size=200):
    """Give stars and galaxies: x and y from the middle, flux, width [pixel]."""
    rng = np.random.default_rng(seed)
    half = 0.6 * size
    stars = [(*rng.uniform(-half, half, 2), 10 ** rng.uniform(2.5, 4.5), 0.0)
             for _ in range(30)]  # fmt: skip
    galaxies = [(*rng.uniform(-half, half, 2), 10 ** rng.uniform(4, 5.3), width)
                for width in rng.uniform(3, 12, 12)]  # fmt: skip
    return stars + galaxies


def image_of(sources, shape, offset=(0.0, 0.0, 0.0), *, seeing=1.7, scale=1.0,
             level=0.0, noise=0.0, seed=0):  # fmt: skip
    """
    Draw a field: what is drawn at p, from the middle, is at R(angle) p + (dx, dy).

    The angle is in degrees, from x towards y; `seeing` is a standard deviation [pixel].
    """
    dx, dy, angle = offset
    turn = np.radians(angle)
    y, x = np.indices(shape, float)
    y, x = y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2
    image = np.zeros(shape)
    for qx, qy, flux, width in sources:
        right, above = qx - dx, qy - dy
        px = np.cos(turn) * right + np.sin(turn) * above
        py = np.cos(turn) * above - np.sin(turn) * right
        variance = seeing**2 + width**2
        distance = (x - px) ** 2 + (y - py) ** 2
        image += flux / (2 * np.pi * variance) * np.exp(-distance / 2 / variance)
    return scale * image + level + np.random.default_rng(seed).normal(0, noise, shape)


def sky(shape, *, angle=0.0, pixel=0.2, flip=False):
    """Give coordinates of the middle of an image, and its position angle [degree]."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.cunit = [53.125, -27.8], ["deg", "deg"]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    east = 1 if flip else -1
    wcs.wcs.cd = np.array([[east * c, s], [-east * s, c]]) * pixel / 3600
    return wcs


def write_field(name, image, wcs, number=0, unit=UNIT):
    """Write an image like IMAGE_FOV, of the exposure of a number."""
    primary = fits.PrimaryHDU()
    primary.header["INSTRUME"] = "MUSE"
    primary.header["DATE-OBS"] = f"2020-01-01T00:{number:02d}:00.000"
    primary.header["MJD-OBS"] = 58849 + number / 1440
    primary.header["HIERARCH ESO PRO CATG"] = "IMAGE_FOV"
    data = fits.ImageHDU(image.astype("f4"), wcs.to_header(), name="DATA")
    data.header["BUNIT"] = unit
    fits.HDUList([primary, data]).writeto(name)
    return name
