"""Dithered frames of a bright sky, of which everything is known."""

from types import SimpleNamespace

import numpy as np
from astropy.wcs import WCS
from lib_image import star

from ndmapper.data import DataFile, DataFileList, NDLater

READ_NOISE, SKY, FWHM = 5.0, 2000.0, 4.0
NOISE = np.sqrt(SKY + READ_NOISE**2)


def coordinates(shape, dither, angle=0.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [53.1, -27.8]
    wcs.wcs.crpix = [shape[1] / 2 + dither[0], shape[0] / 2 + dither[1]]
    turn = np.deg2rad(angle)
    wcs.wcs.cd = 2.95e-5 * np.array(
        [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )
    return wcs


def dithered(seed, *, count=8, shape=(140, 150), faint=18, noise=True):
    """
    Image faint stars, below the limit of clipping in one frame, and three bright ones.

    The sky has structure, large and of single pixels, and its level wanders.
    """
    rng = np.random.default_rng(seed)
    places = []
    while len(places) < faint + 3:
        new = rng.uniform(24, np.array(shape[::-1]) - 24)
        if all(np.hypot(*(new - other)) > 17 for other in places):
            places.append(new)
    of_one_sigma = NOISE * 2 * np.pi * (FWHM / 2.3548) ** 2
    flux = of_one_sigma * np.append(rng.uniform(2, 3, faint), rng.uniform(30, 90, 3))
    y, x = np.mgrid[: shape[0], : shape[1]]
    pattern = 1 + 0.15 * np.sin(x / 23) * np.cos(y / 31)
    pattern *= 1 + 0.02 * rng.normal(size=shape)
    levels = SKY * np.cumprod(1 + 0.02 * rng.normal(size=count))
    dithers = np.rint(rng.uniform(-13, 13, (count, 2)))
    dithers[0] = 0
    files, light, sky = [], [], []
    for n, (level, dither) in enumerate(zip(levels, dithers, strict=True)):
        stars = sum(
            f * star(shape, *(place + dither), FWHM)
            for f, place in zip(flux, places, strict=True)
        )
        true = level * pattern + stars
        data = true
        if noise:
            data = rng.poisson(true) + rng.normal(0, READ_NOISE, shape)
        ndd = NDLater(
            data.astype(np.float32),
            variance=(np.maximum(data, 0) + READ_NOISE**2).astype(np.float32),
            unit="electron",
            ident=1,
        )
        ndd.wcs = coordinates(shape, dither)
        df = DataFile(f"n{n:02d}.fits", data=[ndd])
        df.meta["MJD-OBS"], df.meta["EXPTIME"] = 57388.0 + n / 720, 60.0
        files.append(df)
        light.append(stars)
        sky.append(level * pattern)
    return SimpleNamespace(
        files=DataFileList(data=files), stars=light, sky=sky, dithers=dithers,
        faint=np.array(places[:faint]), places=np.array(places), flux=flux,
    )  # fmt: skip
