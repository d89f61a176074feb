"""Errors of what is measured in stacks, whose pixels share noise."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater
from ndmapper.lib import image
from ndmapper.lib.image.correlation import COVARIANCE, covariances_of

pytest.importorskip("photutils", reason="the extra ccd is not installed")

SIZE, STEP, FIRST = 420, 24, 36
SKY, NOISE, FLUX, FWHM = 100.0, 10.0, 3000.0, 3.0
PLACES = np.arange(FIRST, SIZE - FIRST, STEP) + 0.0


@pytest.fixture(scope="module")
def stack():
    """Stack six dithered images of a grid of equal stars."""
    rng = np.random.default_rng(9)
    x, y = (a.ravel() for a in np.meshgrid(PLACES, PLACES))
    files = []
    for number in range(6):
        dx, dy = (0.0, 0.0) if number == 0 else rng.uniform(-3, 3, 2)
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval = [120.0, -30.0]
        wcs.wcs.crpix = [SIZE / 2 + dx, SIZE / 2 + dy]
        wcs.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
        light = np.zeros((SIZE, SIZE))
        columns = np.arange(SIZE)
        width = FWHM / 2.3548
        for a, b in zip(x + dx, y + dy, strict=True):
            near = np.s_[int(b) - 9 : int(b) + 11, int(a) - 9 : int(a) + 11]
            light[near] += np.multiply.outer(
                np.exp(-0.5 * ((columns[near[0]] - b) / width) ** 2),
                np.exp(-0.5 * ((columns[near[1]] - a) / width) ** 2),
            ) / (2 * np.pi * width**2)
        data = SKY + FLUX * light + rng.normal(0, NOISE, light.shape)
        ndd = NDLater(
            data, variance=np.full(data.shape, NOISE**2), unit=u.electron, ident=1,
            wcs=wcs,
        )  # fmt: skip
        files.append(DataFile(f"x{number}.fits", data=[ndd]))
    return image.stack_images(files, method="mean", covers="first", save=False)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    x, y = (a.ravel() for a in np.meshgrid(PLACES, PLACES))
    path = tmp_path_factory.mktemp("list") / "list.ecsv"
    Table({"x": x, "y": y}).write(path)
    return path


def without_covariances(stack):
    copy = stack.copy()
    copy.filename = "naive.fits"
    del copy[0].tables[COVARIANCE]
    return copy


def width_of_pulls(table):
    flux, error = np.asarray(table["flux"]), np.asarray(table["flux_error"])
    # The median, since apertures do not hold all of the light.
    return float(np.std((flux - np.median(flux)) / error))


# 256 stars: widths are known to 4.4 per cent.
WIDTH = pytest.approx(1, abs=0.13)


@pytest.mark.parametrize("words", [{"radius": 3.0}, {"radius": 5.0}])
def test_apertures_know_the_covariances(stack, catalogue, words):
    words |= {"annulus": (8.0, 11.0), "sources": catalogue, "save": False}
    assert width_of_pulls(image.aperture_photometry(stack, **words).table()) == WIDTH
    naive = image.aperture_photometry(without_covariances(stack), **words)
    assert width_of_pulls(naive.table()) > 1.3


def test_fits_of_the_psf_know_the_covariances(stack, catalogue):
    words = {"sources": catalogue, "fwhm": FWHM, "save": False}
    found = image.psf_photometry(stack, **words).table()
    assert width_of_pulls(found) == WIDTH
    # Positions are off by errors of the grid, too, if by less than these.
    for axis in "xy":
        true = np.meshgrid(PLACES, PLACES)["xy".index(axis)].ravel()
        pulls = (np.asarray(found[axis]) - true) / np.asarray(found[f"{axis}_error"])
        assert np.std(pulls) == WIDTH


def test_sources_know_the_covariances(stack):
    found = image.find_sources(stack, save=False).table()
    chosen = np.asarray(found["flags"]) == 0
    assert chosen.sum() > 200
    x = np.asarray(found["x"])[chosen]
    error = np.asarray(found["x_error"])[chosen]
    offset = (x - FIRST + STEP / 2) % STEP - STEP / 2
    assert np.std(offset / error) == pytest.approx(1, abs=0.2)


def test_error_of_the_background_knows_the_covariances(stack):
    words = {"box_size": 30, "filter_size": 1, "save": False}
    pulls = []
    for df in (stack, without_covariances(stack)):
        found = image.measure_background(df, **words)[0]
        centres = np.s_[45:-30:30, 45:-30:30]
        offset = found.data[centres] - np.median(found.data[centres])
        pulls.append(np.std(offset / np.sqrt(found.variance[centres])))
    # 144 boxes: 6 per cent.
    assert pulls[0] == pytest.approx(1, abs=0.18)
    assert pulls[1] > 1.25


def test_covariances_stay_with_the_stack(stack, tmp_path):
    clean = image.subtract_background(stack, save=False)
    assert covariances_of(clean[0]) == covariances_of(stack[0])
    clean.filename = tmp_path / "clean.fits"
    clean.save()
    again = covariances_of(DataFile(tmp_path / "clean.fits")[0])
    assert again == pytest.approx(covariances_of(stack[0]))
