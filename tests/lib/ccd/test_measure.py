import numpy as np
import pytest

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import InstrumentError, ParameterError, UnitError
from ndmapper.lib.ccd import (
    make_bias,
    measure_gain,
    measure_read_noise,
    subtract_overscan,
    trim,
)
from ndmapper.lib.simulate import Night, simulate_night


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    wanted = Night(biases=4, flats=4, science=1, amplifiers=2, rays=0)
    return folder, simulate_night(folder, wanted)


def prepared(night, kind, tmp_path):
    folder, truth = night
    with config.using(outdir=str(tmp_path)):
        raws = DataFileList(truth.files[kind], dirname=str(folder))
        return trim(subtract_overscan(raws, method="polynomial"))


def test_measure_read_noise_of_the_simulated_camera_is_true(night, tmp_path):
    table = measure_read_noise(prepared(night, "bias", tmp_path))
    camera = night[1].camera
    for row, noise, gain in zip(table, camera.read_noises, camera.gains, strict=True):
        # Rounding to whole adu adds 1/12 adu**2, which is told beside it.
        assert abs(row["read_noise"] - noise / gain) < 5 * row["error"]
        assert row["digitisation"] == pytest.approx(np.sqrt(1 / 12))
        assert row["declared"] == pytest.approx(noise / gain)
        # 6 pairs, which are not independent, of some 100 lines each.
        assert row["chi2"] == pytest.approx(1, abs=0.4)
        assert row["count"] > 1000 * row["rejected"]


def test_measure_gain_of_the_simulated_camera_is_true(night, tmp_path):
    lamps = prepared(night, "flat", tmp_path)
    with config.using(outdir=str(tmp_path)):
        bias = make_bias(prepared(night, "bias", tmp_path), bias="bias.fits")
    camera = night[1].camera
    noises = [n / g for n, g in zip(camera.read_noises, camera.gains, strict=True)]
    # A lamp of one level cannot tell gain from read noise well, so that is given.
    table = measure_gain(lamps, bias, read_noise=float(np.mean(noises)))
    for row, gain in zip(table, camera.gains, strict=True):
        assert abs(row["gain"] - gain) < 5 * row["error"]
        assert row["declared"] == gain


def test_measure_gain_of_one_frame_raises(night, tmp_path):
    with pytest.raises(ParameterError, match="pair"):
        measure_gain(prepared(night, "object", tmp_path))


def test_measure_gain_in_the_dark_raises(night, tmp_path):
    with pytest.raises(ParameterError, match="amplifier A1 of extension 1"):
        measure_gain(prepared(night, "bias", tmp_path)[:2], read_noise=50.0)


def pair(kind, level, unit="adu", shape=(100, 128), changed=None):
    """Make two frames of a gain of 2 and 6 electrons of read noise, biases or flats."""
    rng = np.random.default_rng(23)
    files = []
    for _ in range(2):
        light = level * np.linspace(0.2, 1, shape[1]) * np.ones(shape)
        counts = rng.poisson(light) / 2 + rng.normal(0, 3, shape)
        ndd = NDLater(counts, unit=unit, ident=1)
        ndd.meta.update(GAIN=2.0, RDNOISE=6.0, SATURATE=60000)
        if changed is not None:
            changed(ndd, rng)
        files.append(DataFile(data=ndd))
    files = DataFileList(data=files)
    if kind == "read_noise":
        return measure_read_noise(files)[0]
    return measure_gain(files, read_noise=3.0)[0]


def spoiled(ndd, rng):
    """Make one column of eight noisy, and flag it."""
    ndd.data[:, ::8] += rng.normal(0, 300, ndd.data[:, ::8].shape)
    ndd.flags = np.zeros(ndd.shape, "u2")
    ndd.flags[:, ::8] = 1


def hit(ndd, rng):
    """Let 30 cosmic rays hit the frame, one of which saturates."""
    place = rng.integers(0, ndd.shape[0], 30), rng.integers(0, ndd.shape[1], 30)
    ndd.data[place] += rng.uniform(300, 5000, 30)
    ndd.data[place[0][0], place[1][0]] = 60000


def without_number(ndd, rng):
    ndd.data[::7, ::9] = np.nan


@pytest.mark.parametrize("changed", [None, spoiled, hit, without_number])
@pytest.mark.parametrize(
    ("kind", "level", "truth"), [("read_noise", 0, 3.0), ("gain", 20000, 2.0)]
)
def test_pixels_that_say_nothing_are_left_out(kind, level, truth, changed):
    row = pair(kind, level, changed=changed)
    assert abs(row[kind] - truth) < 4 * row["error"]
    # Of 12800 pixels: a variance to 1.25 per cent, and its root to half of that.
    assert row["error"] < 0.016 * truth
    assert 0.5 < row["chi2"] < 2
    blocks = 100 * 128 if changed is not spoiled else 100 * 112
    assert 0.9 * blocks <= row["count"] <= blocks
    assert row["count"] + row["rejected"] == 12800


def test_rows_that_share_noise_show_in_chi2():
    def level(ndd, rng):
        ndd.data[...] += rng.normal(0, 1, (ndd.shape[0], 1))

    assert pair("read_noise", 0, changed=level)["chi2"] > 5


def test_a_curve_that_is_no_line_is_told(caplog):
    def bent(ndd, rng):
        ndd.data[...] *= rng.normal(1, 0.01, ndd.shape)

    assert pair("gain", 40000, changed=bent, shape=(200, 512))["chi2"] > 3
    assert "no straight line" in caplog.text


def test_noise_is_measured_in_adu():
    with pytest.raises(UnitError, match="is in electron, but noise is measured in adu"):
        pair("gain", 20000, unit="electron")


def test_frames_without_a_good_pixel_raise():
    def lost(ndd, rng):
        ndd.data[...] = np.nan

    with pytest.raises(ParameterError, match="no finite value"):
        pair("read_noise", 0, changed=lost)


@pytest.mark.parametrize("measure", [measure_gain, measure_read_noise])
def test_instrument_table_can_be_given(measure, tmp_path):
    """Of frames whose headers say nothing."""
    table = tmp_path / "mine.toml"
    table.write_text(
        'schema = 1\n[[amplifier]]\nname = "left"\ndata = "[1:40,1:90]"\ngain = 2.5\n'
        'read_noise = 5.0\n[[amplifier]]\nname = "right"\ndata = "[41:80,1:90]"\n'
        "gain = 1.5\nread_noise = 3.0\n"
    )
    rng = np.random.default_rng(7)
    level = np.linspace(100, 20000, 90)[:, None]
    frames = [NDLater(rng.poisson(level, (90, 80)).astype("f4")) for _ in range(2)]
    files = DataFileList(data=[DataFile(data=ndd) for ndd in frames])
    found = measure(files, instrument=table)
    assert list(found["amplifier"]) == ["left", "right"]
    wanted = [2.5, 1.5] if measure is measure_gain else [2.0, 2.0]
    assert list(found["declared"]) == wanted
    with pytest.raises(InstrumentError, match="there is no instrument 'nobody'"):
        measure(files, instrument="nobody")
