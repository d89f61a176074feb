"""The digest of a file, with and without checksums to compare."""

import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from timing import show, together

from ndmapper.io.digest import digest

MEGABYTES = 64

with tempfile.TemporaryDirectory() as folder:
    plain, summed = (Path(folder) / name for name in ("plain.fits", "summed.fits"))
    pixels = np.random.default_rng(1).integers(0, 65536, MEGABYTES << 19, dtype="u2")
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels.reshape(-1, 4096))])
    hdus.writeto(plain)
    hdus.writeto(summed, checksum=True)
    times = together(
        {
            "no DATASUM": lambda: digest(plain),
            "DATASUM compared": lambda: digest(summed),
            "floor: read all bytes": plain.read_bytes,
        }
    )
    show({what: seconds / MEGABYTES for what, seconds in times.items()}, "MB")
