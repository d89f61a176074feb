"""Stack dithered images, against reproject: python bench_stack.py [SIZE]."""

import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from reproject import reproject_interp
from reproject.mosaicking import reproject_and_coadd

from ndmapper import config
from ndmapper.lib.image import stack_images

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


def main(size: int) -> None:
    """Time both, in turns."""
    logging.getLogger("ndmapper").setLevel(logging.ERROR)
    config["logfile"] = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        paths = write_images(folder, size)

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
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for what, work in works.items():
                start = time.perf_counter()
                work()
                times.setdefault(what, []).append(time.perf_counter() - start)
    megapixels = COUNT * size**2 / 1e6
    first = median(next(iter(times.values())))
    for what, values in times.items():
        used = median(values)
        print(f"{what:<40}{used / megapixels * 1e3:8.1f} ms/Mpx {used / first:6.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1024)
