import numpy as np
import pytest

from ndmapper.numerics.slit import fit_slit_edges


def slit_image(lower, upper, ny=120, nx=640, dark=0.0):
    """Light between two edges, each pixel lit by the part of it that lies within."""
    rows = np.arange(ny)[:, None]
    above = np.clip(rows + 0.5 - lower, 0, 1)
    below = np.clip(upper - (rows - 0.5), 0, 1)
    return dark + 1000 * above * below * np.ones((1, nx))


def test_fit_slit_edges_of_a_tilted_slit_are_found():
    x = np.arange(640)
    lower, upper = 20 - x / 200, 100.4 - x / 300
    found = fit_slit_edges(slit_image(lower, upper, dark=40.0))
    # The edge of a boxcar that falls within a pixel is off by up to 0.5 in a single
    # crossing; the polynomial averages that over blocks.
    np.testing.assert_allclose(found[0], lower, atol=0.5)
    np.testing.assert_allclose(found[1], upper, atol=0.5)


def test_fit_slit_edges_of_a_frame_lit_all_over_are_its_borders():
    rng = np.random.default_rng(1)
    lower, upper = fit_slit_edges(rng.normal(1000, 10, (50, 200)))
    assert (lower == -0.5).all()
    assert (upper == 49.5).all()


def test_fit_slit_edges_with_bad_columns_and_blocks_are_not_moved():
    image = slit_image(20.0, 90.0)
    image[:, 100:103] = np.nan
    image[5:60, 256:320] = 0
    lower, _ = fit_slit_edges(image)
    np.testing.assert_allclose(lower, 20, atol=0.51)


def test_fit_slit_edges_in_the_dark_raises():
    with pytest.raises(ValueError, match="no part of the flat is lit"):
        fit_slit_edges(np.zeros((50, 100)))


def test_fit_slit_edges_of_a_short_slit_are_found():
    lower, upper = fit_slit_edges(slit_image(50.0, 65.0, dark=20.0))
    np.testing.assert_allclose(lower, 50, atol=0.51)
    np.testing.assert_allclose(upper, 65, atol=0.51)
