"""One long slit is told from several slits and from orders."""

import numpy as np
import pytest

from ndmapper.numerics.slit_count import SeveralSlitsError, check_one_slit

NY, NX = 400, 600


def lamp(*, peak=2e4):
    """Give the light of a lamp along the dispersion, weak at one end."""
    x = np.arange(NX) / NX
    return peak * (0.01 + np.sin(np.pi * np.minimum(x + 0.02, 1)) ** 2)


def observed(light, rng):
    return rng.poisson(light) + rng.normal(0, 5, light.shape)


def strips(*limits):
    y = np.arange(NY)
    return sum(((y >= a) & (y < b)).astype(float) for a, b in limits)[:, None]


@pytest.mark.parametrize(
    "lit",
    [
        [(0, NY)],
        [(60, 330)],
        [(5, 17)],
        [(20, 130), (138, 260), (268, 390)],  # with bridges
    ],
    ids=["all", "slit", "narrow", "bridges"],
)
@pytest.mark.parametrize("peak", [3.0, 2e4], ids=["faint", "bright"])
def test_one_slit(lit, peak):
    rng = np.random.default_rng(1)
    image = observed(strips(*lit) * lamp(peak=peak) + 2, rng)
    image[200] = np.nan
    check_one_slit(image)


def test_stars_and_dust_in_a_slit():
    rng = np.random.default_rng(2)
    profile = 1 + 0.3 * np.sin(np.arange(NY) / 20)
    profile[100:103] = 0.5
    check_one_slit(observed(profile[:, None] * lamp(), rng))


@pytest.mark.parametrize(
    "lit",
    [
        [(10 + 40 * n, 42 + 40 * n) for n in range(9)],
        [(20, 100), (280, 360)],
        [(20 + 60 * n, 26 + 60 * n) for n in range(6)],
    ],
    ids=["nine", "two", "short"],
)
def test_several_slits(lit):
    rng = np.random.default_rng(3)
    image = observed(strips(*lit) * lamp() + 20, rng)
    with pytest.raises(
        SeveralSlitsError, match=f"{len(lit)} strips of light lie beside"
    ):
        check_one_slit(image)


def test_orders_of_an_echelle():
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:NY, :NX]
    place = (y - 0.08 * x - 1e-4 * (x - 300) ** 2) / 30
    light = np.where(np.abs(place - np.rint(place)) < 0.25, 1.0, 0.0) * lamp()
    with pytest.raises(SeveralSlitsError, match="orders of an echelle"):
        check_one_slit(observed(light + 20, rng))
