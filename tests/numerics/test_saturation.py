"""Trails of simulated stars whose charge is conserved."""

import numpy as np
import pytest

from ndmapper.numerics.saturation import find_bleeding

pytest.importorskip("scipy", reason="the extra ccd is not installed")

LEVEL, SKY, SIZE = 60000.0, 200.0, 120


def star(x, y, fwhm, peak, *, moffat=True, stretched=1.0):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    squares = (columns - x) ** 2 + ((rows - y) / stretched) ** 2
    if moffat:
        scale = fwhm / 2 / np.sqrt(2 ** (1 / 2.5) - 1)
        return peak * (1 + squares / scale**2) ** -2.5
    return peak * np.exp(-4 * np.log(2) * squares / fwhm**2)


def bled(electrons, wells):
    """Let full pixels spill half of what is too much up and half down the column."""
    result = np.minimum(electrons, wells)
    for row, column in np.argwhere(electrons > wells):
        for step in (1, -1):
            rest, at = (electrons[row, column] - wells[row, column]) / 2, row + step
            while rest > 0 and 0 <= at < len(result):
                moved = min(rest, wells[at, column] - result[at, column])
                result[at, column] += moved
                rest, at = rest - moved, at + step
    return result


def exposed(light, *, well=57000.0, seed=1):
    """Give counts above the sky, and how much charge bled into each pixel."""
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(light + SKY).astype(float)
    full = bled(electrons, well * (1 + rng.normal(0, 0.01, light.shape)))
    counts = np.minimum(full + rng.normal(0, 5, light.shape), LEVEL)
    return counts - SKY, full - electrons


def found_in(counts, **words):
    saturated = counts >= LEVEL - SKY - 100
    level = np.full(counts.shape, LEVEL - SKY)
    return find_bleeding(counts, level, saturated, **words) | saturated


def widened(mask):
    padded = np.pad(mask, 1)
    return np.any(
        [padded[y : y + SIZE, x : x + SIZE] for y in range(3) for x in range(3)], axis=0
    )


STARS = {
    "bright": star(60, 60, 4, 6e5),
    "just full": star(60, 60, 4, 1.5e5),
    "narrow": star(60.3, 60.4, 2.2, 3e5, moffat=False),
    "wide": star(60, 60, 7, 2e5, moffat=False),
    "at the edge of the columns": star(60, 5, 4, 4e5),
    "in the first column": star(1, 60, 4, 4e5),
    "two that touch": star(55, 50, 4, 4e5) + star(66, 66, 4, 3e5),
}


# None of these pixels reaches the level: the wells hold 5 per cent less.
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", STARS)
def test_trails_of_stars_are_found_though_below_the_level(name, axis):
    counts, change = exposed(STARS[name])
    if axis == 1:
        counts, change = counts.T, change.T
    found = found_in(counts, axis=axis)
    has_bled = change > 500
    assert has_bled.sum() > 5
    # A pixel around is flagged, too, by default. At the edge of the image the first
    # two pixels from the core cannot be told from it.
    assert (has_bled & ~widened(found)).sum() <= max(0.02 * has_bled.sum(), 6)
    # What is found without charge of others is full of its own, or in the wings of
    # another star, where two have one core.
    wrong = found & (change < 50) & (counts < 0.7 * LEVEL)
    assert wrong.sum() <= 0.2 * has_bled.sum() * name.startswith("two")


@pytest.mark.parametrize(
    "light",
    [
        star(60, 60, 4, 6e5),
        star(60, 60, 2, 6e5, moffat=False),
        star(60, 60, 4, 6e5, stretched=1.2),
        star(60, 60, 4, 6e5, moffat=False, stretched=1.2),
        star(60, 60, 4, 5.6e4),  # not saturated
    ],
    ids=["moffat", "gauss", "stretched", "stretched gauss", "not full"],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_where_nothing_bleeds_only_saturated_pixels_are_found(light, axis):
    counts, _ = exposed(light, well=1e9)
    found = found_in(counts, axis=axis)
    np.testing.assert_array_equal(found, counts >= LEVEL - SKY - 100)


def spectrum(peak, slope=0.03):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    ridge = 60 + slope * (columns - 60)
    along = np.exp(-(((columns - 60) / 40) ** 2) / 2)
    return peak * along * np.exp(-(((rows - ridge) / 1.7) ** 2) / 2)


@pytest.mark.parametrize("peak", [9e4, 3e5])
def test_saturated_spectrum_across_the_columns_is_left_alone(peak):
    counts, _ = exposed(spectrum(peak), well=1e9)
    assert (counts >= LEVEL - SKY - 100).sum() > 100
    np.testing.assert_array_equal(found_in(counts), counts >= LEVEL - SKY - 100)


def test_trail_that_crosses_a_spectrum_is_followed():
    counts, _ = exposed(spectrum(9e4), well=1e9)
    counts[20:100, 60:62] = 0.95 * LEVEL
    found = found_in(counts)
    assert found[20:100, 60:62].mean() > 0.98
    assert found[:, :50].sum() == (counts >= LEVEL - SKY - 100)[:, :50].sum()


def test_trail_that_grows_fainter_is_followed_into_the_noise():
    counts, _ = exposed(star(60, 30, 4, 4e5), well=1e9)
    rows = np.arange(36, SIZE)
    counts[rows, 60] += LEVEL * 0.9 * np.exp(-(rows - 36) / 12)
    found = np.nonzero(found_in(counts)[:, 60])[0]
    # The noise of a pixel is 15 adu, and the trail has 75 at row 113.
    assert 100 < found.max() < 119


def test_variance_tells_what_stands_out():
    counts, _ = exposed(star(60, 60, 3, 4e5, moffat=False), well=1e9)
    counts[60:110, 60] += 300 + 50000 * np.exp(-np.arange(50) / 3)
    clear = found_in(counts, variance=np.full(counts.shape, 15.0**2))
    hidden = found_in(counts, variance=np.full(counts.shape, 100.0**2))
    assert clear[80:110, 60].all()
    assert not hidden[80:110, 60].any()


def test_pixels_that_are_no_numbers_and_empty_frames():
    counts, _ = exposed(star(60, 60, 4, 4e5))
    counts[10:20, 30:90] = np.nan
    assert found_in(counts)[60, 60]
    assert not found_in(np.zeros((SIZE, SIZE))).any()
    one = find_bleeding([[9.0]], 5.0, np.array([[True]]))
    assert one.shape == (1, 1)
