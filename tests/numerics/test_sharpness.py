import numpy as np
import pytest

from ndmapper.numerics.sharpness import NARROWEST, narrowest_fwhm, sharp_pixels

scipy_special = pytest.importorskip("scipy.special", reason="the extra ccd is missing")


def stars(fwhm, positions, peak, shape=(60, 60)):
    """Stars of Gaussian shape, integrated over pixels, on nothing."""
    scale = fwhm / np.sqrt(8 * np.log(2))
    image = np.zeros(shape)
    for centre in positions:
        y, x = (
            np.diff(scipy_special.ndtr((np.arange(n + 1) - 0.5 - c) / scale))
            for n, c in zip(shape, centre, strict=True)
        )
        star = y[:, None] * x
        image += peak * star / star.max()
    return image


def seen(image, seed=1):
    """Image as a camera of 5 electrons sees it on a sky of 100, and its variance."""
    found = np.random.default_rng(seed).normal(image + 100, np.sqrt(image + 125))
    return found, image + 125


def sharp(image, variance):
    usable = np.ones(image.shape, bool)
    return sharp_pixels(image, variance, usable, image > 100 + 3 * np.sqrt(125))


GRID = [
    (10 + 20 * j + dy / 6, 10 + 20 * i + dx / 6)
    for j, dy in enumerate((0, 1, 3))
    for i, dx in enumerate((0, 2, 3))
]


@pytest.mark.parametrize("fwhm", [1.6, 2.0, 3.0, 6.0])
@pytest.mark.parametrize("peak", [100, 1000, 1e5])
def test_no_pixel_of_a_star_is_sharp(fwhm, peak):
    image, variance = seen(stars(fwhm, GRID, peak))
    assert not sharp(image, variance).any()


@pytest.mark.parametrize("fwhm", [1.6, 2.5])
def test_no_pixel_of_a_blend_or_a_galaxy_is_sharp(fwhm):
    rng = np.random.default_rng(2)
    light = stars(fwhm, rng.normal(30, 5, (80, 2)), 3000)
    image, variance = seen(light)
    assert sharp(image, variance).sum() <= 1


def test_hits_are_sharp_as_is_what_belongs_to_them():
    charge = np.zeros((60, 60))
    charge[20, 10:30] = 300  # along a row
    charge[np.arange(30, 50), np.arange(5, 25)] = 300  # oblique
    charge[np.arange(30, 50), np.arange(6, 26)] = 300
    charge[5, 50] = 400
    charge[[0, 0, 40], [0, 40, 0]] = 1000  # at a corner and the edges
    image, variance = seen(charge + stars(1.6, [(50, 50.5)], 5000))
    found = sharp(image, variance)
    assert found[charge > 0].mean() > 0.95
    assert (found & (charge == 0)).sum() <= 1


def test_pixels_that_are_not_candidates_or_not_usable_are_left():
    image, variance = seen(np.zeros((30, 30)))
    image[10, 10] = image[20, 20] = 1000
    usable = np.ones(image.shape, bool)
    candidates = usable.copy()
    candidates[10, 10] = False
    usable[20, 20] = False
    assert not sharp_pixels(image, variance, usable, candidates).any()


@pytest.mark.parametrize(
    ("fwhm", "low", "high"),
    [(1.6, 1.5, 1.6), (2.0, 1.7, 2), (2.8, 2.3, 2.8), (6, 3, 3)],
)
def test_width_is_measured_and_rather_too_small(fwhm, low, high):
    image, variance = seen(stars(fwhm, GRID, 2000))
    found = narrowest_fwhm(image, variance, np.ones(image.shape, bool))
    assert low <= found <= high


def test_width_is_that_of_a_star_among_galaxies():
    light = stars(8.0, GRID, 2000) + stars(1.8, [(20, 20.3)], 3000)
    image, variance = seen(light)
    found = narrowest_fwhm(image, variance, np.ones(image.shape, bool))
    assert NARROWEST <= found < 1.8


def test_width_of_no_star_is_a_safe_one():
    image, variance = seen(np.zeros((30, 30)))
    assert narrowest_fwhm(image, variance, np.ones(image.shape, bool)) == 2
