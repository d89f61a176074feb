"""The noise of a flat in dithered images, on a common grid."""

import numpy as np
import pytest
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater
from ndmapper.lib.image.correlation import COVARIANCE, noise_factor
from ndmapper.lib.image.shared_pixels import Placed, variance_in_common
from ndmapper.lib.image.stacking import stack_images

SHAPE = (130, 130)
LEVEL, OWN, RELATIVE = 1000.0, 8.0, 0.01

WHOLE = [(0, 0), (3, -2), (-4, 1), (1, 5), (-2, -4), (5, 3)]
PARTS = [(0, 0), (3.4, -2.7), (-4.6, 1.2), (1.5, 5.5), (-2.2, -3.9), (5.1, 2.8)]
NONE = [(0, 0)] * 6
LITTLE = [(0, 0), (0.5, 0.3), (0.2, 0.8), (1.1, -0.4), (-0.6, 0.7), (0.9, 0.9)]
PAIRS = [(0, 0), (0, 0), (20, 10), (20, 10), (-9.5, 13), (-9.5, 13)]


def night(rng, dithers):
    error = 1 + rng.normal(0, RELATIVE, SHAPE)
    flat = DataFile(data=[NDLater(error, variance=np.full(SHAPE, RELATIVE**2))])
    flat.filename = "flat.fits"
    files = []
    for number, (dx, dy) in enumerate(dithers):
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval, wcs.wcs.cdelt = [120.0, -30.0], [-1e-4, 1e-4]
        wcs.wcs.crpix = [65 + dx, 65 + dy]
        data = (LEVEL + rng.normal(0, OWN, SHAPE)) / error
        variance = OWN**2 + (data * RELATIVE) ** 2
        ndd = NDLater(data, variance=variance, ident=1, wcs=wcs)
        files.append(DataFile(f"x{number}.fits", data=[ndd]))
    return files, flat


def pulls(dithers, shared, size=10, trials=2, **words):
    rng = np.random.default_rng(6)
    found = []
    for _ in range(trials):
        files, flat = night(rng, dithers)
        stack = stack_images(
            files, shared=[flat] if shared else "none", covers="first", save=False,
            **{"method": "mean"} | words,
        )[0]  # fmt: skip
        cut = np.s_[15:-15, 15:-15]
        error, variance = stack.data[cut] - LEVEL, stack.variance[cut]
        n = error.shape[0] // size
        sums, noise = (
            a.reshape(n, size, n, size).sum(axis=(1, 3)) for a in (error, variance)
        )
        noise = noise * noise_factor(stack.tables[COVARIANCE], size)
        found.append(
            (np.mean(error**2 / variance), np.mean(sums**2 / noise)),
        )
    return np.sqrt(np.mean(found, axis=0))


# 20000 pixels, which share noise, and 200 boxes: 1 and 5 percent.
@pytest.mark.parametrize("dithers", [WHOLE, PARTS, NONE, LITTLE, PAIRS])
def test_errors_of_pixels_and_of_boxes_are_right(dithers):
    assert pulls(dithers, shared=True) == pytest.approx([1, 1], abs=0.12)
    pixel, box = pulls(dithers, shared=False, trials=1)
    assert max(pixel, box) > 1.25


def test_errors_of_a_clipped_stack_are_right():
    assert pulls(PARTS, True, method="sigclip") == pytest.approx([1, 1], abs=0.12)


def test_a_pixel_that_lost_values_has_fewer_pairs():
    places = np.mgrid[:4, :5].astype(float)
    part = Placed(
        x=places[1], y=places[0], data=np.ones((4, 5)), variance=None,
        flags=np.zeros((4, 5), "u2"), deviations={0: np.full((4, 5), 3.0)},
    )  # fmt: skip
    for used, expected in ((3, 9 * 2 / 3), (2, 9 / 2), (1, 0)):
        found = variance_in_common([part] * 3, np.full((4, 5), used))
        assert found == pytest.approx(expected)
