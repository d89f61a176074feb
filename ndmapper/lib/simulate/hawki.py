"""
Frames of HAWK-I: four infrared detectors of any size.

The recipe hawki_dark_combine reduces the darks in a fraction of a second.
"""

from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, NDLater
from ndmapper.io.headers import Header
from ndmapper.lib.simulate.eso import NIGHT, eso_header

__all__ = ["simulate_hawki_darks", "simulate_hawki_stars"]

_CHIPS = 4
_GAIN = 2.0
_SKY = 30.0

Image = npt.NDArray[np.floating]


def simulate_hawki_darks(
    folder: str | PathLike[str],
    number: int = 3,
    *,
    size: int = 64,
    exptime: float = 10.0,
    seed: int = 1,
) -> list[Path]:
    """
    Write raw darks.

    Parameters
    ----------
    folder : str or path
        The folder, which is created if missing.
    number : int
        Number of frames.
    size : int
        Number of rows and columns of a detector.
    exptime : float
        Exposure time [s].
    seed : int
        The same seed gives the same frames; hot pixels are the same in all of them.

    Returns
    -------
    list of Path
        The files.
    """
    rng = np.random.default_rng(seed)
    rates = _dark_rates(rng, size)
    return _write_frames(folder, "DARK", number, rates, exptime, rng=rng)


def simulate_hawki_stars(
    folder: str | PathLike[str],
    number: int = 2,
    *,
    stars: int = 5,
    size: int = 64,
    exptime: float = 10.0,
    seed: int = 1,
) -> list[Path]:
    """
    Write raw frames of stars on a flat sky.

    Parameters
    ----------
    folder : str or path
        The folder, which is created if missing.
    number : int
        Number of frames.
    stars : int
        Number of well separated stars on each detector.
    size : int
        Number of rows and columns of a detector.
    exptime : float
        Exposure time [s].
    seed : int
        The seed of the darks, for the same hot pixels.

    Returns
    -------
    list of Path
        The files.
    """
    rng = np.random.default_rng(seed)
    rates = _dark_rates(rng, size) + _SKY
    y, x = np.mgrid[:size, :size]
    side = int(np.ceil(np.sqrt(stars)))
    cell = size / side
    for n in range(stars):
        row, column = divmod(n, side)
        shape = (_CHIPS, 1, 1)
        y0 = (row + rng.uniform(0.4, 0.6, shape)) * cell
        x0 = (column + rng.uniform(0.4, 0.6, shape)) * cell
        profile = np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2 * 1.5**2))
        rates += rng.uniform(150.0, 600.0, shape) * profile
    return _write_frames(folder, "OBJECT", number, rates, exptime, rng=rng)


def _dark_rates(rng: np.random.Generator, size: int) -> Image:
    """Dark current of each pixel [electron / s]; a few are hot."""
    hot = rng.random((_CHIPS, size, size)) < 0.001
    rates: Image = (0.02 + 20.0 * hot) * _GAIN
    return rates


def _write_frames(
    folder: str | PathLike[str],
    kind: str,
    number: int,
    rates: Image,
    exptime: float,
    *,
    rng: np.random.Generator,
) -> list[Path]:
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    size = rates.shape[-1]
    paths = []
    for n in range(1, number + 1):
        groups = []
        for chip, electrons in enumerate(rates * exptime, 1):
            adu = rng.poisson(electrons) / _GAIN
            adu += rng.normal(100.0, 5.0, electrons.shape)
            data = np.clip(np.rint(adu), 0, 65535).astype("uint16")
            header = _chip_header(chip, size)
            groups.append(NDLater(data, meta=header, ident=f"CHIP{chip}.INT1"))
        eso = {
            "DPR CATG": "CALIB" if kind == "DARK" else "SCIENCE", "DPR TYPE": kind,
            "DPR TECH": "IMAGE", "TPL ID": "SIM", "TPL EXPNO": n, "TPL NEXP": number,
            "DET DIT": exptime, "DET NDIT": 1, "DET NDSAMPLES": 1,
            "DET NCORRS NAME": "Double", "DET WIN NX": size,
            "INS FILT1 NAME": "OPEN", "INS FILT2 NAME": "Ks",
        }  # fmt: skip
        mjd = NIGHT + n * (exptime + 30.0) / 86400.0
        path = target / f"HAWKI.SIM_{kind}{n:02d}.fits"
        meta = eso_header("HAWKI", mjd, exptime, eso)
        DataFile(path, data=groups, meta=meta, mode="overwrite").save()
        paths.append(path)
    return paths


def _chip_header(chip: int, size: int) -> Header:
    header = Header()
    header["EXTNAME"] = f"CHIP{chip}.INT1"
    for key, value in (
        ("NO", chip), ("LIVE", True), ("ID", f"SIM-{chip}"), ("NX", size), ("NY", size),
    ):  # fmt: skip
        header[f"HIERARCH ESO DET CHIP {key}"] = value
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = 53.125, -27.8
    header["CRPIX1"] = size * (1.04 if chip in (1, 4) else -0.04)
    header["CRPIX2"] = size * (1.04 if chip in (1, 2) else -0.04)
    header["CD1_1"], header["CD2_2"] = -2.95e-5, 2.95e-5
    header["CD1_2"], header["CD2_1"] = 0.0, 0.0
    return header
