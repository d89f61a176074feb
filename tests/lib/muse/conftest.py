"""Calibration files as the MUSE pipeline writes them, made by astropy."""

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.lib.muse import CalibDir

SHAPE = (5, 6)


def pixels(ifu, scale=1.0, shape=SHAPE):
    """Data, variance and flags of one IFU, which no other IFU has."""
    count = np.arange(shape[0] * shape[1]).reshape(shape)
    data = (scale * (100 * ifu + count)).astype("float32")
    stat = (1 + count + ifu).astype("float32")
    dq = np.where(count % 7 == 0, 1 << (ifu % 5), 0).astype("int32")
    return data, stat, dq


@pytest.fixture(name="pixels")
def pixels_of_an_ifu():
    return pixels


def primary_header(kind, ifu=None):
    header = fits.Header()
    if ifu is not None:
        header["EXTNAME"] = f"CHAN{ifu:02d}"
        header["HIERARCH ESO QC BIAS MASTER MEDIAN"] = 1000.0 + ifu
    header["INSTRUME"] = "MUSE"
    header["HIERARCH ESO PRO CATG"] = kind
    return header


def extensions(ifu, stem="", scale=1.0, unit="adu", shape=SHAPE):
    # The pipeline writes DQ before STAT, and no EXTVER.
    data, stat, dq = pixels(ifu, scale, shape)
    hdus = [
        fits.ImageHDU(data, name=f"{stem}DATA"),
        fits.ImageHDU(dq, name=f"{stem}DQ"),
        fits.ImageHDU(stat, name=f"{stem}STAT"),
    ]
    hdus[0].header["BUNIT"] = unit
    hdus[2].header["BUNIT"] = f"({unit})**2"
    return hdus


@pytest.fixture
def write_single():
    def write(path, ifu, kind="MASTER_BIAS", **options):
        path.parent.mkdir(exist_ok=True, parents=True)
        primary = fits.PrimaryHDU(header=primary_header(kind, ifu))
        hdus = [primary, *extensions(ifu, **options)]
        fits.HDUList(hdus).writeto(path)
        return path

    return write


@pytest.fixture
def write_merged():
    def write(path, ifus, kind="MASTER_BIAS", scale=1.0):
        path.parent.mkdir(exist_ok=True, parents=True)
        hdus = [fits.PrimaryHDU(header=primary_header(kind))]
        for ifu in ifus:
            hdus += extensions(ifu, stem=f"CHAN{ifu:02d}.", scale=scale)
        fits.HDUList(hdus).writeto(path)
        return path

    return write


@pytest.fixture
def make_folder(tmp_path, write_single):
    def make(name="masters", ifus=(1, 2, 7), separator="-", **options):
        for ifu in ifus:
            kind = options.get("kind", "MASTER_BIAS")
            path = tmp_path / name / f"{kind}{separator}{ifu:02d}.fits"
            write_single(path, ifu, **options)
        return tmp_path / name

    return make


@pytest.fixture
def biases(make_folder):
    return CalibDir("MASTER_BIAS", make_folder(), workers=1)
