"""Masks of objects, and where they fall on other images."""

import numpy as np
import pytest
from lib_image import make_field, sky_wcs

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.image import make_object_mask, transfer_object_mask
from ndmapper.lib.image.grid import transformed

mask_of = make_object_mask.func


def test_the_light_of_stars_is_masked_and_hardly_any_of_the_noise(field):
    found = mask_of(field.ndd)
    light = field.clean - field.sky
    objects = np.asarray(found.data) != 0
    assert set(np.unique(found.data)) == {0, 1}
    assert found.data.dtype == np.uint8
    # Stars of 1000 electrons and more, on a noise of 11.
    assert light[~objects].sum() < 1e-3 * light.sum()
    assert objects.mean() < 0.35


def test_noise_that_neighbours_share_is_no_object():
    # As in a stack of shifted images: each pixel is the mean of four.
    noise = make_field(3, stars=0).ndd
    data = np.asarray(noise.data, np.float64)
    smooth = (
        data + np.roll(data, 1, 0) + np.roll(data, 1, 1) + np.roll(data, 1, (0, 1))
    ) / 4
    ndd = NDLater(smooth, variance=np.full(smooth.shape, 116 / 4))
    assert np.mean(mask_of(ndd).data) < 0.01
    assert np.mean(mask_of(NDLater(smooth)).data) < 0.01  # by the scatter alone


def test_pixels_without_data_are_no_objects(field):
    ndd = field.ndd.copy()
    ndd.data[:30] = np.nan
    ndd.data[120:123, 60:63] = 1e6
    ndd.flags[120:123, 60:63] = 1
    found, without = mask_of(ndd, grow=0), mask_of(field.ndd, grow=0)
    # But for the wings of what is beside them.
    assert not found.data[:15].any()
    assert np.mean(found.data[40:] != without.data[40:]) < 0.01


def test_a_mask_falls_on_the_same_sky_of_a_rotated_frame(field):
    stack = field.ndd.copy()
    stack.wcs = sky_wcs()
    mask = DataFile("mask.fits", data=[mask_of(stack)])
    turn = np.deg2rad(8)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    # A pixel of the frame is at this place of the stack.
    wcs = transformed(sky_wcs(), matrix, np.array([25.0, -14.0]))
    frame = NDLater(np.zeros((150, 160)), ident=3, wcs=wcs)
    (found,) = transfer_object_mask.func(DataFile("f.fits", data=[frame]), mask=mask)
    assert found.ident == 3
    y, x = np.mgrid[:150, :160]
    at_x, at_y = matrix @ [x.ravel(), y.ravel()] + [[25.0], [-14.0]]
    column, row = np.rint(at_x).astype(int), np.rint(at_y).astype(int)
    inside = (row >= 0) & (row < 200) & (column >= 0) & (column < 220)
    expected = np.zeros(150 * 160, bool)
    expected[inside] = np.asarray(mask[0].data)[row[inside], column[inside]] != 0
    # Pixels at half way may be rounded to either side.
    assert np.mean(expected.reshape(150, 160) != (found.data != 0)) < 0.001
    assert expected.any()


def test_without_coordinates_a_mask_falls_nowhere(field):
    mask = DataFile("mask.fits", data=[mask_of(field.ndd)])
    frame = DataFile("f.fits", data=[NDLater(np.zeros((9, 9)), wcs=sky_wcs((9, 9)))])
    with pytest.raises(ParameterError, match=r"mask\.fits has no world coordinates"):
        transfer_object_mask.func(frame, mask=mask)
    with pytest.raises(
        ParameterError, match=r"mask\.fits\[1\] has no world coordinates"
    ):
        transfer_object_mask.func(mask, mask=frame)
