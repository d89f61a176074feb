import numpy as np
import pytest

from ndmapper.numerics import neighbours
from ndmapper.numerics.cosmicray import (
    count_followers,
    find_cosmic_rays,
    find_in_spectra,
    neighbour_excess,
)
from ndmapper.numerics.spectrum_model import spectrum_model

pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")


@pytest.fixture
def spectrum():
    """A bright, narrow, tilted spectrum with lines on sky; noise of 5 electrons."""
    rng = np.random.default_rng(31)
    x, y = np.arange(400)[None, :], np.arange(80)[:, None]
    profile = np.exp(-0.5 * ((y - 40 + x / 100) / 1.2) ** 2)
    lines = 1 - 0.4 * np.exp(-0.5 * ((x % 100 - 50) / 6) ** 2)
    sky = 60 + 400 * np.exp(-0.5 * ((x - 222) / 1.5) ** 2)
    truth = sky + 30000 * profile * lines
    data = rng.poisson(truth) + rng.normal(0, 5, truth.shape)
    return data, truth + 25.0


@pytest.fixture
def hits(spectrum):
    """Pixels that get 300 to 3000 electrons more, half of them away from the star."""
    rng = np.random.default_rng(32)
    mask = np.zeros(spectrum[0].shape, bool)
    mask[rng.integers(5, 30, 20), rng.integers(5, 395, 20)] = True
    extra = np.where(mask, rng.uniform(300, 3000, mask.shape), 0)
    return mask, extra


def test_find_cosmic_rays_finds_single_hits_in_the_sky(spectrum, hits):
    data, variance = spectrum
    mask, extra = hits
    result = find_cosmic_rays(data + extra, variance + extra, protect_axis=1)
    assert (result.found & mask).sum() == mask.sum()


def test_find_cosmic_rays_finds_hits_at_the_borders(spectrum):
    data, variance = spectrum
    corners = np.zeros(data.shape, bool)
    corners[[0, 0, -1, 20], [0, 300, -1, 1]] = True
    hit = data + np.where(corners, 2000, 0)
    found = find_cosmic_rays(hit, variance, protect_axis=1).found
    assert found[corners].all()


def test_find_cosmic_rays_protected_spectrum_has_no_false_hits(spectrum, hits):
    data, variance = spectrum
    _, extra = hits
    result = find_cosmic_rays(data + extra, variance + extra, protect_axis=1)
    assert not result.found[33:46].any()


def test_find_cosmic_rays_hit_on_the_protected_spectrum_is_found(spectrum):
    data, variance = spectrum
    data, variance = data.copy(), variance.copy()
    data[38, 170] += 20000
    variance[38, 170] += 20000
    result = find_cosmic_rays(
        data, variance, background=spectrum_model(data), protect_axis=1
    )
    assert result.found[38, 170]


def test_find_cosmic_rays_replaced_pixels_have_the_error_of_their_mean(spectrum, hits):
    data, variance = spectrum
    mask, extra = hits
    result = find_cosmic_rays(data + extra, variance + extra, protect_axis=1)
    sky = mask & (variance < 100)
    pulls = (result.data - (variance - 25))[sky] / np.sqrt(result.variance[sky])
    # 19 hits: the root of the mean square is known to 16 per cent; 3 sigma.
    assert np.sqrt(np.mean(pulls**2)) == pytest.approx(1, abs=0.5)


def test_find_cosmic_rays_other_pixels_are_untouched(spectrum, hits):
    data, variance = spectrum
    result = find_cosmic_rays(data + hits[1], variance, protect_axis=1)
    np.testing.assert_array_equal(
        result.data[~result.found], (data + hits[1])[~result.found]
    )


def test_find_cosmic_rays_masked_pixels_are_not_searched(spectrum):
    data, variance = spectrum
    hot = data.copy()
    hot[10, 100] += 5000
    mask = np.zeros(data.shape, bool)
    mask[10, 100] = True
    assert not find_cosmic_rays(hot, variance, mask).found[10, 100]


def test_find_cosmic_rays_nan_stays_nan(spectrum):
    data, variance = spectrum
    holed = data.copy()
    holed[10, 100] = np.nan
    result = find_cosmic_rays(holed, variance)
    assert np.isnan(result.data[10, 100])
    assert np.isnan(result.data).sum() == 1


def test_find_cosmic_rays_all_masked_finds_none():
    image = np.ones((9, 9))
    assert not find_cosmic_rays(image, image, np.ones((9, 9), bool)).found.any()


def test_find_cosmic_rays_shapes_that_differ_raise():
    with pytest.raises(ValueError, match="and its variance have"):
        find_cosmic_rays(np.ones((3, 3)), np.ones((3, 4)))


def test_neighbour_excess_of_noise_has_width_one():
    image = np.random.default_rng(33).normal(50, 3, (100, 400))
    excess = neighbour_excess(image, np.full(image.shape, 9.0))
    # The median of 12 neighbours adds 1.4 / 12 to the variance.
    assert excess.std() == pytest.approx(np.sqrt(1 + 1.4 / 12), abs=0.02)


def test_neighbour_excess_along_columns_is_the_transpose():
    image = np.random.default_rng(34).normal(50, 3, (30, 40))
    variance = np.full(image.shape, 9.0)
    np.testing.assert_allclose(
        neighbour_excess(image.T, variance.T, axis=0),
        neighbour_excess(image, variance, axis=1).T,
    )


def test_neighbour_excess_of_many_lines_is_that_of_each(monkeypatch):
    image = np.random.default_rng(35).normal(50, 3, (30, 40))
    variance = np.full(image.shape, 9.0)
    whole = neighbour_excess(image, variance)
    monkeypatch.setattr(neighbours, "_CHUNK", 100)
    np.testing.assert_array_equal(neighbour_excess(image, variance), whole)


def test_find_cosmic_rays_dispersion_along_columns_is_the_transpose(spectrum, hits):
    data, variance = (array + hits[1] for array in spectrum)
    across = find_cosmic_rays(data, variance, protect_axis=1)
    along = find_cosmic_rays(data.T, variance.T, protect_axis=0)
    np.testing.assert_array_equal(along.found, across.found.T)


def test_neighbour_excess_without_neighbours_is_unknown():
    mask = np.ones((3, 30), bool)
    assert np.isnan(neighbour_excess(np.ones((3, 30)), np.ones((3, 30)), mask)).all()


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 50), (50, 1), (2, 2), (3, 7), (6, 6), (9, 30)]
)
@pytest.mark.parametrize("sepmed", [True, False])
def test_find_cosmic_rays_of_small_images_are_none_in_noise(shape, sepmed):
    rng = np.random.default_rng(6)
    for _ in range(5):
        image = rng.normal(100, 5, shape)
        result = find_cosmic_rays(image, np.full(shape, 25.0), sepmed=sepmed)
        assert not result.found.any()
        np.testing.assert_array_equal(result.data, image)


@pytest.mark.parametrize("shape", [(1, 50), (50, 1), (6, 6)])
def test_find_cosmic_rays_of_small_images_are_found(shape):
    image = np.full(shape, 100.0)
    image.flat[image.size // 2 + 3 * (1 not in shape)] = 1000
    result = find_cosmic_rays(image, np.full(shape, 25.0))
    assert np.array_equal(result.found, image > 100)
    np.testing.assert_allclose(result.data, 100)


@pytest.mark.parametrize(
    ("value", "variance"), [(np.nan, 1.0), (1.0, 0.0), (1.0, np.nan), (1e300, 1.0)]
)
def test_find_cosmic_rays_of_nothing_usable_are_none(value, variance):
    shape = (20, 20)
    result = find_cosmic_rays(np.full(shape, value), np.full(shape, variance))
    assert not result.found.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (2, 2), (3, 7), (9, 30), (50, 1)])
def test_find_in_spectra_of_small_images_are_none_in_noise(shape):
    image = np.random.default_rng(6).normal(100, 5, shape)
    result = find_in_spectra(image, np.full(shape, 25.0))
    assert not result.found.any()


def test_find_in_spectra_keeps_masked_pixels_and_nan(spectrum):
    data, variance = spectrum
    holed = data.copy()
    holed[10, 100] = np.nan
    holed[11, 200] += 5000
    mask = np.zeros(data.shape, bool)
    mask[11, 200] = True
    result = find_in_spectra(holed, variance, mask)
    assert not result.found.any()
    np.testing.assert_array_equal(result.data, holed)
    assert not find_in_spectra(holed, variance, mask | True).found.any()


def test_count_followers_of_hits_on_a_trace(spectrum):
    data, variance = spectrum
    good = np.ones(data.shape, bool)
    found = np.zeros(data.shape, bool)
    found[[5, 10, 70], [50, 222, 300]] = True
    on, expected = count_followers(found, data, variance, good, 1)
    assert on == 0
    assert 0 < expected < 1
    found[38, 20:380:10] = True
    assert count_followers(found, data, variance, good, 1)[0] > 25
    assert count_followers(found, data, variance, good, 0)[0] <= 3
