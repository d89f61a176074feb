import numpy as np
import pytest

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import InstrumentError, ParameterError
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
        # Rounding to whole adu adds 1/12 adu**2.
        expected = np.sqrt((noise / gain) ** 2 + 1 / 12)
        assert abs(row["read_noise"] - expected) < 5 * row["error"] + 0.002
        assert row["declared"] == pytest.approx(noise / gain)


def test_measure_gain_of_the_simulated_camera_is_true(night, tmp_path):
    lamps = prepared(night, "flat", tmp_path)
    with config.using(outdir=str(tmp_path)):
        bias = make_bias(prepared(night, "bias", tmp_path), bias="bias.fits")
    camera = night[1].camera
    noises = [n / g for n, g in zip(camera.read_noises, camera.gains, strict=True)]
    # A lamp of one level cannot tell gain from read noise well, so that is given.
    table = measure_gain(lamps, bias, read_noise=float(np.mean(noises)))
    for row, gain in zip(table, camera.gains, strict=True):
        # The clip at 4 sigma and the tilt of the illumination in a block: 0.5 per cent.
        assert abs(row["gain"] - gain) < 5 * row["error"] + 0.005 * gain
        assert row["declared"] == gain


def test_measure_gain_of_one_frame_raises(night, tmp_path):
    with pytest.raises(ParameterError, match="pair"):
        measure_gain(prepared(night, "object", tmp_path))


def test_measure_gain_in_the_dark_raises(night, tmp_path):
    with pytest.raises(ParameterError, match="amplifier A1 of extension 1"):
        measure_gain(prepared(night, "bias", tmp_path)[:2], read_noise=50.0)


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
