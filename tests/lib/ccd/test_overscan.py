import numpy as np
import pytest

from ndmapper.data import Flag, NDLater
from ndmapper.errors import InstrumentError, ParameterError, ShapeError
from ndmapper.lib.ccd import Readout, readouts, stamp, subtract_overscan, trim

METHODS = ["mean", "median", "row", "polynomial", "chebyshev", "spline"]


@pytest.mark.parametrize("method", METHODS)
def test_subtract_overscan_takes_the_level_of_each_amplifier(detector, method):
    result = subtract_overscan(detector.ndd(detector.frame(500.0)), method=method)
    for k, part in enumerate(detector.data):
        # 2400 pixels of noise sqrt(500 + 36) / 2 and less: 0.24 adu; 4 sigma.
        expected = 500 / detector.gains[k]
        assert result.data[part].mean() == pytest.approx(expected, abs=1.5)


def test_subtract_overscan_writes_level_and_error(detector):
    result = subtract_overscan(detector.ndd(detector.frame()))
    for n, (level, noise, gain) in enumerate(
        zip(detector.levels, detector.noises, detector.gains, strict=True), start=1
    ):
        error = noise / gain / np.sqrt(60 * 16)
        assert result.meta[f"OVSCLEV{n}"] == pytest.approx(level, abs=4 * error)
        # A standard deviation of 960 pixels is good to 2.3 per cent.
        assert result.meta[f"OVSCERR{n}"] == pytest.approx(error, rel=0.1)


def test_subtract_overscan_polynomial_follows_a_drift(detector):
    result = subtract_overscan(
        detector.ndd(detector.frame(drift=30.0)), method="polynomial", degree=1
    )
    rows = result.data[detector.data[0]].mean(axis=1)
    # 40 pixels of 3 adu: 0.5 adu a row; the drift was 60 adu from end to end.
    assert np.abs(rows).max() < 2.5


def test_subtract_overscan_flags_lines_of_which_the_level_is_doubtful(caplog):
    counts = 1000 + np.random.default_rng(16).normal(0, 3, (300, 60))
    counts[140:] += 6
    counts[135:145, 40:] += 300  # a star, just where the level jumps
    result = subtract_overscan(NDLater(counts), overscan="[41:60,1:300]")
    flagged = np.flatnonzero((result.flags & Flag.BAD).any(axis=1))
    assert set(range(135, 145)) <= set(flagged) <= set(range(110, 170))
    assert "its level jumps, 1 times" in caplog.text
    # 4000 pixels of 3 adu, and the level of more than 100 lines of 20: 0.08 adu.
    for part in (result.data[:100, :40], result.data[180:, :40]):
        assert part.mean() == pytest.approx(0, abs=0.4)
    assert result.meta["OVSCERR1"] < 0.2


def test_subtract_overscan_warns_of_a_level_that_it_does_not_follow(detector, caplog):
    drifting = detector.ndd(detector.frame(drift=5.0))
    subtract_overscan(drifting)
    assert "its level drifts by 3 adu (rms)" in caplog.text
    rng = np.random.default_rng(17)
    rows = detector.ndd(detector.frame() + rng.normal(0, 2, (60, 1)))
    result = subtract_overscan(rows)
    assert "its level changes from line to line by" in caplog.text
    # 60 lines: 9 per cent.
    assert result.meta["OVSCERR1"] == pytest.approx(2, rel=0.3)
    caplog.clear()
    subtract_overscan(drifting, method="spline")
    assert subtract_overscan(rows, method="row").meta["OVSCERR1"] < 1
    assert "its level" not in caplog.text


def corner(image, overscan):
    """Subtract the mean of an overscan, in the manner of a user."""
    assert set(overscan) == {"xmin", "xmax", "ymin", "ymax"}
    strip = image[
        overscan["ymin"] : overscan["ymax"], overscan["xmin"] : overscan["xmax"]
    ]
    return image - strip.mean()


def known(image, overscan):
    return corner(image, overscan), 0.25


def test_subtract_overscan_by_a_function_of_a_user(detector):
    ndd = detector.ndd(detector.frame())
    result = subtract_overscan(ndd, method=corner)
    expected = subtract_overscan(ndd, clip=99.0)
    np.testing.assert_allclose(result.data, expected.data, atol=0.2)
    assert result.meta["OVSCERR1"] == 0
    assert subtract_overscan(ndd, method=known).meta["OVSCERR2"] == 0.5


def test_subtract_overscan_by_a_function_that_gives_no_number_is_flagged(detector):
    def lost(image, overscan):
        image[3] = np.nan
        return image

    result = subtract_overscan(detector.ndd(detector.frame()), method=lost)
    assert set(np.argwhere(result.flags)[:, 0]) == {3}


def test_subtract_overscan_by_a_function_of_another_shape_raises(detector):
    with pytest.raises(ShapeError, match="returned an image of shape"):
        subtract_overscan(
            detector.ndd(detector.frame()), method=lambda image, overscan: image[:5]
        )


def test_subtract_overscan_of_long_integers_is_exact():
    counts = np.full((20, 30), 2**24 + 1, "i4")
    counts[:, 25:] = 1000
    result = subtract_overscan(NDLater(counts), overscan="[26:30,1:20]")
    assert (result.data[:, :25] == 2**24 + 1 - 1000).all()


def test_subtract_overscan_flags_saturated_pixels_of_the_raw_frame(detector):
    counts = detector.frame()
    counts[5, 6] = 40000
    counts[5, -1] = 40000  # in the overscan
    result = subtract_overscan(detector.ndd(counts, saturation=40000.0))
    assert np.argwhere(result.flags).tolist() == [[5, 6]]
    assert result.flags[5, 6] == 4


def test_subtract_overscan_gives_adu_in_single_precision(detector):
    raw = np.rint(detector.frame()).astype("u2")
    result = subtract_overscan(detector.ndd(raw))
    assert (result.unit.to_string(), result.dtype) == ("adu", np.float32)


def test_subtract_overscan_twice_raises(detector):
    once = subtract_overscan(detector.ndd(detector.frame()))
    with pytest.raises(ParameterError, match="was subtracted already"):
        subtract_overscan(once)


def test_subtract_overscan_of_one_given_section_leaves_the_rest_as_image():
    counts = np.full((20, 30), 500.0)
    counts[:, :10] = 300
    result = subtract_overscan(NDLater(counts), overscan="[1:10,1:20]")
    assert (result.data[:, 10:] == 200).all()
    assert result.meta["AMPSEC1"] == "[11:30,1:20]"


def test_subtract_overscan_of_given_pairs_keeps_what_is_known_of_them(detector):
    ndd = detector.ndd(detector.frame())
    result = subtract_overscan(
        ndd, overscan={"[1:40,1:60]": "[81:90,1:60]", "[41:80,1:60]": "[97:112,1:60]"}
    )
    first, _ = readouts(result)
    assert first.gain == detector.gains[0]
    assert result.meta["OVSCSEC1"] == "[81:90,1:60]"


@pytest.mark.parametrize(
    "overscan", ["[1:10,1:99]", "1:10", "[5:10,1:20]", {"[1:5,1:5]": "[1:50,1:5]"}]
)
def test_subtract_overscan_of_impossible_sections_raises(overscan):
    with pytest.raises(ParameterError, match="overscan ="):
        subtract_overscan(NDLater(np.ones((20, 30))), overscan=overscan)


def test_subtract_overscan_without_overscan_raises(detector):
    trimmed = trim(detector.ndd(detector.frame()))
    with pytest.raises(InstrumentError, match="has no overscan section"):
        subtract_overscan(trimmed)


def test_subtract_overscan_polynomial_of_a_short_strip_raises():
    ndd = NDLater(np.ones((20, 30)))
    pair = {"[1:20,1:20]": "[21:30,5:15]"}
    with pytest.raises(ParameterError, match="use method='mean'"):
        subtract_overscan(ndd, overscan=pair, method="polynomial")


def test_trim_keeps_the_image_and_moves_the_sections(detector):
    counts = detector.frame()
    result = trim(detector.ndd(counts))
    np.testing.assert_array_equal(result.data, counts[:, :80])
    assert [r.data for r in readouts(result)] == detector.data


def test_trim_removes_keywords_of_the_raw_array(detector):
    ndd = detector.ndd(detector.frame())
    ndd.meta["DATASEC"] = ndd.meta["BIASSEC"] = ndd.meta["TRIMSEC"] = "[1:80,1:60]"
    assert not {"DATASEC", "BIASSEC", "TRIMSEC"} & set(trim(ndd).meta)


def test_trim_moves_the_coordinates_with_the_pixels():
    ndd = NDLater(np.arange(20.0 * 30).reshape(20, 30))
    ndd.meta.update(CTYPE1="LINEAR", CTYPE2="LINEAR", CRPIX1=12.0, CRPIX2=5.0)
    stamp(ndd.meta, [Readout(name="1", data=(slice(2, 20), slice(10, 30)))])
    result = trim(ndd)
    assert (result.meta["CRPIX1"], result.meta["CRPIX2"]) == (2.0, 3.0)


def test_trim_joins_amplifiers_with_overscan_between_them():
    raw = np.repeat([1.0, 9.0, 9.0, 2.0], 5)[None, :] * np.ones((4, 1))
    ndd = NDLater(raw, variance=raw * 10, flags=raw.astype("u2"))
    parts = [(slice(0, 4), slice(0, 5)), (slice(0, 4), slice(15, 20))]
    stamp(ndd.meta, [Readout(name=str(k), data=s) for k, s in enumerate(parts)])
    result = trim(ndd)
    expected = np.repeat([1.0, 2.0], 5)[None, :] * np.ones((4, 1))
    np.testing.assert_array_equal(result.data, expected)
    np.testing.assert_array_equal(result.variance, expected * 10)
    np.testing.assert_array_equal(result.flags, expected)
    assert result.meta["AMPSEC2"] == "[6:10,1:4]"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(slice(0, 4), slice(0, 5)), (slice(0, 4), slice(3, 9))], "overlap"),
        ([(slice(0, 4), slice(0, 5)), (slice(4, 8), slice(5, 9))], "do not form"),
    ],
    ids=["overlap", "diagonal"],
)
def test_trim_of_impossible_sections_raises(parts, message):
    ndd = NDLater(np.ones((8, 9)))
    stamp(ndd.meta, [Readout(name=str(k), data=s) for k, s in enumerate(parts)])
    with pytest.raises(InstrumentError, match=message):
        trim(ndd)
