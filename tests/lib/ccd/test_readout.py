import numpy as np
import pytest

from ndmapper.data import NDLater
from ndmapper.errors import InstrumentError, ParameterError, ShapeError
from ndmapper.lib.ccd import (
    Readout,
    add_variance,
    correct_gain,
    readouts,
    stamp,
    subtract_overscan,
    trim,
)
from ndmapper.lib.ccd.readout import pixel_map


def image(shape=(350, 2112), **cards):
    ndd = NDLater(np.zeros(shape, "u2"))
    ndd.meta.update(cards)
    return ndd


def section(x1, x2, y1, y2):
    return slice(y1 - 1, y2), slice(x1 - 1, x2)


def test_readouts_of_a_raw_kast_frame_are_those_of_the_instrument():
    left, right = readouts(image(VERSION="kastb"))
    assert left.data == section(1, 1024, 1, 350)
    assert right.overscan == section(2081, 2111, 1, 350)
    assert (left.gain, right.gain, left.read_noise) == (1.2, 1.237, 3.7)


def test_readouts_round_trip_through_the_header():
    many = [
        Readout(
            name=f"N{n}", data=section(n * 10 + 1, n * 10 + 10, 1, 50), gain=1.0 + n,
            read_noise=2.0 + n, level=900.5 + n, level_error=0.25, saturation=6e4,
        )
        for n in range(12)
    ]  # fmt: skip
    ndd = image((50, 120))
    stamp(ndd.meta, many)
    assert readouts(ndd) == many


def test_stamp_of_fewer_amplifiers_removes_the_others():
    ndd = image((50, 120))
    for n in (3, 1):
        stamp(ndd.meta, [Readout(name="x", data=section(1, 9, 1, 9), gain=1.0)] * n)
    assert len(readouts(ndd)) == 1
    assert "GAIN2" not in ndd.meta


def test_readouts_of_an_unknown_camera_raise():
    with pytest.raises(InstrumentError, match="nothing is known of the amplifiers"):
        readouts(image((10, 10)))


@pytest.mark.parametrize("shape", [(10,), (3, 10, 10)])
@pytest.mark.parametrize("step", [subtract_overscan, trim, add_variance, correct_gain])
def test_step_on_data_that_are_no_image_says_so(step, shape):
    with pytest.raises(ShapeError, match=rf"2 axes, but this array has {len(shape)} "):
        step(NDLater(np.zeros(shape, "f4")))


@pytest.mark.parametrize("step", [trim, add_variance, correct_gain])
def test_step_without_overscan_parameter_does_not_advise_it(step):
    with pytest.raises(InstrumentError, match=r"TOML of the instrument$"):
        step(NDLater(np.zeros((10, 10), "f4")))


def test_subtract_overscan_of_an_unknown_camera_advises_sections():
    with pytest.raises(InstrumentError, match=r"or give the sections with overscan=$"):
        subtract_overscan(NDLater(np.zeros((10, 10), "f4")))


def test_readouts_of_an_unknown_camera_come_from_the_usual_keywords():
    ndd = image(
        (20, 30), DATASEC="[1:25,1:20]", BIASSEC="[26:30,1:20]", GAIN=2.0, RDNOISE=3.0
    )
    (readout,) = readouts(ndd)
    assert readout.data == section(1, 25, 1, 20)
    assert readout.overscan == section(26, 30, 1, 20)
    assert (readout.gain, readout.read_noise) == (2, 3)


def test_readouts_of_an_unknown_geometry_of_kast_do_not_guess():
    # Its DATASEC covers both amplifiers, and its GAIN is an index.
    ndd = image((100, 600), VERSION="kastb", DATASEC="[1:500,1:100]", GAIN=1)
    with pytest.raises(InstrumentError, match="instrument kast"):
        readouts(ndd)


def test_readouts_outside_the_image_raise():
    ndd = image((10, 10), AMPSEC1="[1:11,1:10]")
    with pytest.raises(InstrumentError, match="another readout geometry"):
        readouts(ndd)


def test_readouts_of_a_damaged_section_raise():
    with pytest.raises(InstrumentError, match="AMPSEC1"):
        readouts(image((10, 10), AMPSEC1="1:11"))


def test_pixel_map_of_an_unknown_fact_raises():
    readout = Readout(name="left", data=section(1, 4, 1, 4))
    with pytest.raises(ParameterError, match="gain of amplifier left is not known"):
        pixel_map([readout], (4, 4), lambda r: r.gain, "gain")


def test_pixel_map_of_pixels_without_amplifier_raises():
    readout = Readout(name="left", data=section(1, 4, 1, 4), gain=2.0)
    with pytest.raises(ParameterError, match="trim the frame first"):
        pixel_map([readout], (4, 6), lambda r: r.gain, "gain")


def test_pixel_map_of_two_amplifiers_has_the_value_of_each():
    pair = [
        Readout(name=str(g), data=section(3 * k + 1, 3 * k + 3, 1, 2), gain=g)
        for k, g in enumerate((1.5, 2.5))
    ]
    gains = pixel_map(pair, (2, 6), lambda r: r.gain, "gain")
    assert gains.tolist() == [[1.5, 1.5, 1.5, 2.5, 2.5, 2.5]] * 2
