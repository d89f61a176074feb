"""
Stack dithered images, and make mosaics: python bench_stack.py [SIZE].

Against reproject and, where the package drizzle is installed, drizzle.
"""

import logging
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from reproject import reproject_interp
from reproject.mosaicking import reproject_and_coadd

from ndmapper import config
from ndmapper.lib.image import make_mosaic, stack_images

try:
    from drizzle.resample import Drizzle
    from drizzle.utils import calc_pixmap
except ImportError:
    Drizzle = None

COUNT, ROUNDS = 5, 3


def write_images(folder: Path, size: int) -> list[Path]:
    """Write images of noise with variance, a few pixels apart."""
    rng = np.random.default_rng(1)
    paths = []
    for number in range(COUNT):
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval, wcs.wcs.cdelt = [150.0, 2.0], [-5e-5, 5e-5]
        wcs.wcs.crpix = size / 2 + rng.uniform(-10, 10, 2)
        data = rng.normal(100, 10, (size, size)).astype(np.float32)
        header = wcs.to_header()
        sci = fits.ImageHDU(data, header, name="SCI", ver=1)
        var = fits.ImageHDU(np.full_like(data, 100), header, name="VAR", ver=1)
        paths.append(folder / f"x{number}.fits")
        fits.HDUList([fits.PrimaryHDU(), sci, var]).writeto(paths[-1])
    return paths


def drizzle(paths: list[Path], size: int) -> None:
    """Drizzle data and variance, by the same pixel map, onto the grid of the first."""
    made, grid = None, None
    for path in paths:
        with fits.open(path) as hdus:
            data, variance = (np.array(hdus[n].data) for n in ("SCI", "VAR"))
            wcs = WCS(hdus["SCI"].header)
        wcs.array_shape = data.shape
        if made is None:
            grid, made = wcs, Drizzle(out_shape=(size, size), fillval2=0.0)
        pixmap = calc_pixmap(wcs, grid)
        made.add_image(data, 1.0, pixmap, data2=variance, in_units="counts")
    sci = fits.ImageHDU(made.out_img, name="SCI")
    var = fits.ImageHDU(made.out_img2[0], name="VAR")
    fits.HDUList([fits.PrimaryHDU(), sci, var]).writeto("peer.fits", overwrite=True)


def write_chips(folder: Path, size: int) -> Path:
    """Write a file with four chips, of which every other one is read out reversed."""
    rng = np.random.default_rng(2)
    hdus, half = fits.HDUList([fits.PrimaryHDU()]), size // 2
    for number in range(4):
        x, y = 1 + number % 2 * (half + 10), 1 + number // 2 * (half + 10)
        ends = (x, x + half - 1)[:: -1 if number % 2 else 1]
        section = f"[{ends[0]}:{ends[1]},{y}:{y + half - 1}]"
        data = rng.normal(100, 10, (half, half)).astype(np.float32)
        for name, values in (("SCI", data), ("VAR", np.full_like(data, 100))):
            hdu = fits.ImageHDU(values, name=name, ver=number + 1)
            hdu.header["DETSEC"] = section
            hdus.append(hdu)
    hdus.writeto(path := folder / "chips.fits")
    return path


def main(size: int) -> None:
    """Time all, in turns."""
    logging.getLogger("ndmapper").setLevel(logging.ERROR)
    config["logfile"] = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        paths, chips = write_images(folder, size), write_chips(folder, size)

        def ours(extra: dict[str, str]) -> None:
            stack_images(
                paths, stack="deep.fits", covers="first", reprocess=True, **extra
            )

        def peer(part: str) -> None:
            inputs = []
            for path in paths:
                with fits.open(path) as hdus:
                    data = np.array(hdus[part].data)
                    inputs.append((data, WCS(hdus[part].header)))
            made, _ = reproject_and_coadd(
                inputs, inputs[0][1], shape_out=(size, size),
                reproject_function=reproject_interp, combine_function="mean",
            )  # fmt: skip
            fits.PrimaryHDU(made).writeto("peer.fits", overwrite=True)

        works = {
            "reproject_and_coadd, mean, data alone": lambda: peer("SCI"),
            "the same, data and variance": lambda: (peer("SCI"), peer("VAR")),
            "stack_images, mean": lambda: ours({"method": "mean"}),
            "stack_images, clipped": lambda: ours({}),
        }
        if Drizzle is not None:
            works["drizzle, data and variance"] = lambda: drizzle(paths, size)
        mosaics = {
            "make_mosaic, on whole pixels": {},
            "make_mosaic, a chip is moved": {"moves": {"2": [0.25, 1.5, 0.1]}},
        }
        for what, words in mosaics.items():
            works[what] = partial(
                make_mosaic, chips, out_names="mosaic.fits", reprocess=True, **words
            )
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for what, work in works.items():
                start = time.perf_counter()
                work()
                times.setdefault(what, []).append(time.perf_counter() - start)
    first = None
    for what, values in times.items():
        images = 1 if what in mosaics else COUNT
        used = median(values) / (images * size**2 / 1e6)
        first = first or used
        print(f"{what:<40}{used * 1e3:8.1f} ms/Mpx {used / first:6.2f}")
    if Drizzle is None:
        print("drizzle is not installed, and was left out: pip install drizzle")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1024)
