"""Measuring and subtracting the background."""

import numpy as np
import pytest
from lib_image import make_field, write

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.lib import image
from ndmapper.lib.image import subtract_background

# The bare functions draw no figures.
measure = image.measure_background.func
subtract = image.subtract_background.func


def slope(shape=(200, 220), level=100.0, along=0.3):
    y, x = (np.arange(n) / n - 0.5 for n in shape)
    return level * (1 + along * x[None, :] + 0.2 * (y**2)[:, None])


@pytest.fixture(scope="module")
def tilted():
    return make_field(5, sky=slope(), stars=40, flux=(300, 2e5))


def test_background_of_a_slope_with_stars_is_right_to_a_fraction_of_the_noise(tilted):
    # Noise of a pixel 10.8; that of the mean of the 48 boxes is 0.05. What stars leave
    # of their wings, and the clipping of the noise of photons, is less than 0.1.
    found = measure(tilted.ndd, box_size=32)
    error = found.data - tilted.sky
    assert abs(error.mean()) < 0.15
    # At the borders, too, where a slope of the boxes would be cut off by 1.
    for border in (error[:8], error[-8:], error[:, :8], error[:, -8:]):
        assert abs(border.mean()) < 0.6
    assert found.meta["BKGRMS"] == pytest.approx(np.sqrt(116), rel=0.02)


def test_background_mean_is_nearer_than_mode_and_median():
    # Of photons the median is lower by 1/6, the mode by 5/12 electrons.
    errors = {"mean": [], "median": [], "mode": []}
    for seed in range(6):
        flat = make_field(seed, stars=0)
        for name, values in errors.items():
            found = measure(flat.ndd, estimator=name)
            values.append(found.data.mean() - 100)
    mean, median, mode = (np.mean(errors[name]) for name in errors)
    assert abs(mean) < 0.1  # 5 standard errors of 6 frames
    assert -0.27 < median < -0.07
    assert -0.6 < mode < -0.2


def test_variance_of_the_map_is_that_of_its_scatter():
    pulls = []
    for seed in range(12):
        found = measure(make_field(seed, stars=0).ndd, box_size=32)
        pulls += list(
            ((found.data - 100) / np.sqrt(found.variance))[16::32, 16::32].ravel()
        )
    # 504 values, of which neighbours share boxes; the median filter is not modelled
    # better than to 10 per cent.
    assert 0.85 < np.std(pulls) < 1.25


def test_subtraction_adds_the_variance_of_the_map(field):
    found = subtract(field.ndd)
    map_ = measure(field.ndd)
    np.testing.assert_allclose(found.data, field.ndd.data - map_.data, atol=1e-4)
    np.testing.assert_allclose(
        found.variance - field.ndd.variance,
        map_.variance,
        atol=1e-3,  # digits of float32
    )
    assert found.unit == field.ndd.unit
    assert (found.flags == field.ndd.flags).all()


def test_masked_and_nan_pixels_do_not_count(tilted):
    dirty = tilted.ndd.copy()
    dirty.data[:, 50:60] = 5000
    dirty.flags[:, 50:60] = 1
    dirty.data[20:30] = np.nan
    dirty.data[40, 40] = np.inf
    found = measure(dirty, box_size=32)
    clean = measure(tilted.ndd, box_size=32)
    assert np.isfinite(found.data).all()
    # The error of a box is 0.13 after the filter; a few of them have a third less.
    assert np.abs(found.data - clean.data).max() < 1.5
    subtracted = subtract(dirty, box_size=32)
    assert np.isnan(subtracted.data[25]).all()
    assert (subtracted.flags[:, 55] == 1).all()


def test_frame_without_variance_gets_none(field):
    bare = field.ndd.replace(variance=None, flags=None)
    assert subtract(bare).uncertainty is None


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint16", "float32"), ("float64", "float64"), ("int32", "float64")],
)
def test_type_of_the_result_holds_the_pixels(field, dtype, expected):
    frame = field.ndd.replace(data=field.ndd.data.astype(dtype), variance=None)
    assert subtract(frame).dtype == expected


def test_step_records_level_noise_and_figure(folder, field):
    product = subtract_background(write("a.fits", field.ndd))
    assert str(product) == "sa.fits"
    (entry,) = product.record
    assert entry["qc"]["level"]["value"] == pytest.approx(100, abs=0.3)
    assert entry["qc"]["rms"]["value"] == pytest.approx(np.sqrt(116), rel=0.02)
    assert entry["qc"]["rms_over_claimed"] == pytest.approx(1, abs=0.03)
    assert entry["run"]["figures"] == ["figures/sa.fits-1.png"]
    assert product[0].meta["BKGLEVEL"] == entry["qc"]["level"]["value"]


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (50, 7)])
def test_small_images_have_a_background(shape):
    found = measure(NDLater(np.full(shape, 7.0)))
    np.testing.assert_allclose(found.data, 7)


def test_constant_image_has_no_noise():
    found = measure(NDLater(np.full((100, 90), 7.0), variance=np.zeros((100, 90))))
    assert (found.variance == 0).all()


def test_all_masked_is_an_error():
    nothing = NDLater(np.ones((20, 20)), flags=np.ones((20, 20), "u2"))
    with pytest.raises(ParameterError, match="all pixels are masked"):
        measure(nothing)
    with pytest.raises(ParameterError, match="all pixels are masked"):
        subtract(NDLater(np.full((20, 20), np.nan)))


def test_too_few_good_pixels_is_an_error():
    flags = np.ones((64, 64), "u2")
    flags[::10, ::10] = 0
    with pytest.raises(ParameterError, match="give larger boxes"):
        measure(NDLater(np.ones((64, 64)), flags=flags), box_size=16)


@pytest.mark.parametrize("words", [{"filter_size": 4}, {"box_size": 2}, {"clip": 0}])
def test_wrong_parameters_are_refused(field, words):
    with pytest.raises(ParameterError, match=next(iter(words))):
        image.measure_background(field.ndd, **words)


def test_cubes_are_refused():
    with pytest.raises(ShapeError, match="in images"):
        measure(NDLater(np.ones((3, 20, 20))))
