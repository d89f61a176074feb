"""
Calibrate a frame of twelve amplifiers, against reading and writing as much.

    python bench_ccd.py [ROWS] [COLUMNS]

ROWS and COLUMNS are those of an amplifier, by default 2048 and 256. Overscan, trimming,
bias, variance, gain and flat are one chain, from a raw file to SCI, VAR and DQ. The
floor reads the raw file, the bias and the flat by astropy, and writes arrays like those
of the result.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from timing import together

from ndmapper import DataFileList, chain, config
from ndmapper.lib import ccd
from ndmapper.lib.simulate import Night, simulate_night

AMPLIFIERS = 12

prepare = chain(ccd.subtract_overscan, ccd.trim)
calibrate = chain(
    ccd.subtract_overscan, ccd.trim, ccd.subtract_bias, ccd.add_variance,
    ccd.correct_gain, ccd.apply_flat,
)  # fmt: skip


def make_masters(folder: Path, rows: int, columns: int) -> tuple[Path, str, str]:
    """Simulate a night, and make its bias and flat; give a raw frame and these."""
    truth = simulate_night(
        folder / "raw",
        Night(
            amplifiers=AMPLIFIERS, shape=(rows, columns), biases=3, flats=2, science=1
        ),
    )
    raw = {
        kind: [str(folder / "raw" / name) for name in names]
        for kind, names in truth.files.items()
    }
    zeros = ccd.add_variance(prepare(raw["bias"]), poisson=False)
    bias = ccd.make_bias(zeros, bias="bias.fits")
    lamps = ccd.subtract_bias(prepare(raw["flat"]), bias=bias)
    lamps = ccd.correct_gain(ccd.add_variance(lamps))
    ccd.make_flat(DataFileList(data=list(lamps)), flat="flat.fits", normalise="plain")
    return Path(raw["object"][0]), "bias.fits", "flat.fits"


def read_and_write(inputs: list[Path | str], like: Path) -> None:
    """Read the arrays of some files, and write those of one."""
    for path in inputs:
        with fits.open(path, memmap=False) as hdus:
            for hdu in hdus:
                _ = hdu.data
    with fits.open(like, memmap=False) as hdus:
        arrays = [
            (hdu.shape, hdu.data.dtype) for hdu in hdus if hdu.is_image and hdu.shape
        ]
    images = [
        fits.ImageHDU(np.ones(shape, kind.newbyteorder("="))) for shape, kind in arrays
    ]
    made = fits.HDUList([fits.PrimaryHDU(), *images])
    made.writeto("floor.fits", overwrite=True, checksum=True)
    with open("floor.fits", "rb") as stream:  # noqa: PTH123
        os.fsync(stream.fileno())


def main() -> None:
    """Print both times, and their ratio."""
    rows, columns = (int(word) for word in (*sys.argv[1:], 2048, 256)[:2])
    logging.getLogger("ndmapper").setLevel(logging.ERROR)
    config["logfile"], config["reprocess"] = None, True
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        raw, bias, flat = make_masters(Path(name), rows, columns)
        made = calibrate(raw, bias=bias, flat=flat)
        works = {
            "reading and writing": lambda: read_and_write(
                [raw, bias, flat], Path(str(made))
            ),
            "the chain": lambda: calibrate(raw, bias=bias, flat=flat),
        }
        times = together(works, 5)
        os.chdir("/")
    floor = times["reading and writing"]
    for what, time in times.items():
        print(f"{what:20} {time:7.3f} s {time / floor:6.2f}")


if __name__ == "__main__":
    main()
