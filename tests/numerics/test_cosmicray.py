import numpy as np
import pytest

from ndmapper.numerics import neighbours
from ndmapper.numerics.cosmicray import (
    find_cosmic_rays,
    has_spectra,
    neighbour_excess,
    spectrum_model,
)

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


def test_spectrum_model_of_smooth_objects_and_sky_lines_is_exact():
    x, y = np.linspace(-1, 1, 300)[None, :], np.linspace(-1, 1, 60)[:, None]
    smooth = np.exp(-0.5 * (y / 0.1) ** 2) * (5000 + 800 * x - 300 * x**3)
    line = np.where(np.arange(300) == 150, 1000.0, 0.0)[None, :] * (1 + 0.1 * y)
    model = spectrum_model(smooth + line)
    # A line of 1000 in one column of 300 is clipped from the first fit.
    np.testing.assert_allclose(model, smooth + line, atol=1)


def test_spectrum_model_ignores_hits():
    x = np.linspace(-1, 1, 300)
    image = np.tile(1000 + 50 * x, (20, 1))
    hit = image.copy()
    hit[10, 70] += 1e5
    np.testing.assert_allclose(spectrum_model(hit), image, atol=1)


def test_spectrum_model_of_no_order_is_nothing():
    assert not spectrum_model(np.ones((5, 5)), object_order=0, sky_order=0).any()


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


def test_spectra_are_told_from_stars(spectrum):
    data, variance = spectrum
    assert has_spectra(data, variance, np.ones(data.shape, bool))
    assert has_spectra(data.T, variance.T, np.ones(data.T.shape, bool))
    y, x = np.indices((200, 200))
    rng = np.random.default_rng(8)
    stars = np.full(y.shape, 100.0)
    for row, column in rng.uniform(0, 200, (40, 2)):
        stars += 5e4 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2 / 1.5**2)
    stars = rng.poisson(stars).astype(float)
    stars[:, 30] += 500  # a bad column
    assert not has_spectra(stars, stars, np.ones(stars.shape, bool))
    assert not has_spectra(stars, stars, np.zeros(stars.shape, bool))
