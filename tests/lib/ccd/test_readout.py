import re

import numpy as np
import pytest

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import InstrumentError, NdmapperError, ParameterError, ShapeError
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


def test_frame_without_any_section_has_one_amplifier():
    (readout,) = readouts(image((10, 12), GAIN=2.0))
    assert readout.data == section(1, 12, 1, 10)
    assert (readout.overscan, readout.gain) == (None, 2.0)


def test_error_names_the_camera_that_no_table_claims():
    with pytest.raises(
        ParameterError, match="no instrument table claims INSTRUME = 'X'"
    ):
        correct_gain(image((10, 10), INSTRUME="X"))


def test_error_says_why_no_amplifier_of_a_table_fits():
    with pytest.raises(
        InstrumentError,
        match=r"left does not fit \(columns 10, not 2112\); amplifier right",
    ):
        readouts(image((10, 10), VERSION="kastb"))


def test_image_with_a_third_axis_of_one_plane_is_an_image():
    ndd = NDLater(np.full((1, 20, 30), 7, "u2"))
    ndd.meta.update(DATASEC="[1:25,1:20,1:1]", BIASSEC="[26:30,1:20]", GAIN=2.0)
    result = correct_gain(trim(subtract_overscan(ndd)))
    assert result.shape == (20, 25)
    assert not result.data.any()


@pytest.mark.parametrize("gain", [0, -1.5, "2,0", "Unknown", "", "nan", True])
def test_gain_of_no_use_is_named_with_its_card(gain):
    ndd = image((10, 10), GAIN=gain)
    shown = "no value of EGAIN or GAIN" if gain == "" else f"GAIN = {gain!r} is no gain"
    with pytest.raises(ParameterError, match=shown):
        correct_gain(ndd)
    # The user may know better.
    assert correct_gain(ndd, gain=2.0).meta["GAIN1"] == 1.0


@pytest.mark.parametrize("gain", [1e-30, 1e-5, "1e-30", 1e12])
def test_gain_that_nothing_has_is_named_with_what_is_expected(gain):
    wanted = "is no gain (expected between 0.0001 and 1e+07)"
    with pytest.raises(ParameterError, match=re.escape(f"GAIN = {gain!r} {wanted}")):
        correct_gain(image((10, 10), GAIN=gain))


@pytest.mark.parametrize("card", ["GAIN1", "RDNOISE1"])
@pytest.mark.parametrize("value", ["high", -1.0, 1e-30, 1e30, True])
def test_card_of_a_product_that_somebody_edited_is_named(card, value):
    ndd = trim(subtract_overscan(image((10, 10), GAIN=2.0, BIASSEC="[9:10,1:10]")))
    ndd.meta[card] = value
    if (card, value) == ("RDNOISE1", 1e-30):
        assert readouts(ndd)[0].read_noise == value  # none, which can be
        return
    with pytest.raises(InstrumentError, match=f"{card} = {re.escape(repr(value))} is"):
        readouts(ndd)


@pytest.mark.parametrize("word", ["gain", "read_noise"])
@pytest.mark.parametrize("value", [-1.0, np.inf, np.nan, 1e30])
def test_value_of_a_call_that_nothing_has_is_refused(word, value):
    with pytest.raises(ParameterError, match=f"{word} = "):
        add_variance(image((10, 10), GAIN=2.0, RDNOISE=3.0), **{word: value})


def test_gain_that_nothing_has_is_an_error_for_a_file_too(tmp_path):
    df = DataFile(data=image((10, 10), GAIN=1e-30))
    df.save(tmp_path / "odd.fits")
    with pytest.raises(NdmapperError, match=r"odd.fits.*GAIN = 1e-30"):
        correct_gain(DataFile(tmp_path / "odd.fits"), save=False)


def test_gain_of_no_use_is_named_also_after_other_steps():
    ndd = trim(subtract_overscan(image((10, 10), GAIN=0, BIASSEC="[9:10,1:10]")))
    with pytest.raises(ParameterError, match="GAIN = 0 is no gain"):
        correct_gain(ndd)


@pytest.mark.parametrize(
    ("data", "overscan"),
    [("[1:30,1:20]", "[26:30,1:20]"), ("[1:26,1:20]", "[26:30,*]"),
     ("[2:30,5:6]", "[30:26,1:20]")],
)  # fmt: skip
def test_data_section_that_overlaps_the_overscan_is_an_error(data, overscan):
    ndd = image((20, 30), DATASEC=data, BIASSEC=overscan)
    for step in (subtract_overscan, trim):
        with pytest.raises(InstrumentError, match=r"overlaps the overscan section"):
            step(ndd)


def test_trimsec_is_taken_where_datasec_contains_the_overscan(caplog):
    ndd = image(
        (20, 30), DATASEC="[1:30,1:20]", TRIMSEC="[1:25,1:20]", BIASSEC="[26:30,1:20]"
    )
    assert trim(ndd).shape == (20, 25)
    assert "TRIMSEC = [1:25,1:20] is taken" in caplog.text


@pytest.mark.parametrize("section", ["[1:25,1:21]", "[5:31,1:20]"])
def test_section_beyond_the_image_is_an_error(section):
    with pytest.raises(InstrumentError, match="is not in an image of shape"):
        trim(image((20, 30), DATASEC=section))


@pytest.mark.parametrize("level", [50, 50.0, "50", "50.", " 5e1 ADU", "[50]"])
def test_saturation_level_may_be_text(level):
    ndd = image((4, 6), BIASSEC="[6:6,1:4]", SATURATE=level)
    data = ndd.data.copy()
    data[2, 3] = 50
    ndd.data = data
    assert subtract_overscan(ndd).flags.sum() > 0


@pytest.mark.parametrize("level", ["Unknown", 0, -1])
def test_saturation_level_of_no_use_flags_nothing_and_is_told(level, caplog):
    result = subtract_overscan(image((4, 6), BIASSEC="[6:6,1:4]", SATURATE=level))
    assert result.flags is None or not result.flags.any()
    assert f"SATURATE = {level!r} is no saturation level" in caplog.text


def test_gain_that_looks_like_a_setting_is_told(caplog):
    correct_gain(image((4, 6), GAIN=139))
    assert "GAIN = 139 is taken for electron/adu, but looks like" in caplog.text


@pytest.mark.parametrize("shape", [(10,), (3, 10, 10)])
@pytest.mark.parametrize("step", [subtract_overscan, trim, add_variance, correct_gain])
def test_step_on_data_that_are_no_image_says_so(step, shape):
    with pytest.raises(ShapeError, match=rf"2 axes, but this array has {len(shape)} "):
        step(NDLater(np.zeros(shape, "f4")))


@pytest.mark.parametrize("step", [trim, add_variance, correct_gain])
def test_step_without_overscan_parameter_does_not_advise_it(step):
    with pytest.raises(InstrumentError, match=r"TOML of the instrument$"):
        step(image((10, 10), VERSION="kastb"))


def test_subtract_overscan_of_an_unknown_geometry_advises_sections():
    with pytest.raises(InstrumentError, match=r"or give the sections with overscan=$"):
        subtract_overscan(image((10, 10), VERSION="kastb"))


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
