import json

import numpy as np
import pytest

from ndmapper.calibrations import survey
from ndmapper.data import DataFile
from ndmapper.errors import ParameterError
from ndmapper.instruments import recognise
from ndmapper.lib.ccd import readouts
from ndmapper.lib.simulate import Night, simulate_night

SMALL = Night(biases=2, flats=1, science=2, amplifiers=2, shape=(64, 48), rays=8)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    return folder, simulate_night(folder, SMALL)


def test_simulate_night_same_seed_gives_the_same_files(night, tmp_path):
    folder, _ = night
    simulate_night(tmp_path, SMALL)
    for path in sorted(folder.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_simulate_night_other_seed_gives_other_frames(night, tmp_path):
    simulate_night(tmp_path, Night(**{**vars(SMALL), "seed": 1}))
    name = "sim0001.fits"
    assert (tmp_path / name).read_bytes() != (night[0] / name).read_bytes()


def test_simulate_night_frames_are_classified(night):
    folder, truth = night
    table = survey(folder, instrument="simcam")
    found = {
        kind: sorted(table["file"][table["class"] == kind]) for kind in truth.files
    }
    assert found == truth.files


def test_simulate_night_headers_describe_the_amplifiers(night):
    folder, truth = night
    df = DataFile(folder / "sim0001.fits")
    assert recognise(df.meta).name == "simcam"
    for number, ndd in enumerate(df):
        (readout,) = readouts(ndd)
        assert readout.gain == truth.camera.gains[number]
        assert readout.overscan == (slice(0, 64), slice(48, 72))


def test_simulate_night_truth_is_written(night):
    folder, truth = night
    document = json.loads((folder / "truth.json").read_text())
    assert document["camera"]["gains"] == list(truth.camera.gains)
    assert document["dithers"] == {n: list(d) for n, d in truth.dithers.items()}
    assert document["scene"]["stars"][0]["flux"] == truth.scene.stars[0].flux


def test_simulate_night_bias_has_its_level(night):
    folder, truth = night
    df = DataFile(folder / "sim0001.fits")
    for ndd, level in zip(df, truth.camera.levels, strict=True):
        # Frames differ by 3 adu, and the drift adds up to 6: 4 sigma and that.
        assert abs(ndd.data[:, 48:].mean() - level) < 18


def test_simulate_night_flat_counts_are_poisson(night):
    folder, truth = night
    (name,) = truth.files["flat"]
    ndd = DataFile(folder / name)[0]
    raw = ndd.data.astype(float)
    light = raw[:, :48] - raw[:, 48:].mean(axis=1, keepdims=True)
    light -= truth.part(truth.camera.structure, 0)
    expected = truth.lamp[name] * truth.part(truth.camera.response, 0)
    gain, noise = truth.camera.gains[0], truth.camera.read_noises[0]
    # Row means of 24 overscan pixels add a little: 4 per cent of the read noise.
    sigma = np.sqrt(expected + noise**2 * 25 / 24) / gain
    # 3072 pixels: 1.3 per cent.
    assert ((light - expected / gain) / sigma).std() == pytest.approx(1, abs=0.05)


def test_scene_image_conserves_the_flux_of_a_star(night):
    scene = night[1].scene
    without = type(scene)(**{**vars(scene), "stars": ()})
    one = type(scene)(**{**vars(scene), "stars": scene.stars[:1]})
    shape = (400, 400)
    dither = (200 - scene.stars[0].x, 200 - scene.stars[0].y)
    light = one.image(shape, dither) - without.image(shape, dither)
    assert light.sum() == pytest.approx(scene.stars[0].flux, rel=1e-9)
    assert np.unravel_index(light.argmax(), shape) == (200, 200)


def test_simulate_night_saturated_star_is_at_the_end_of_the_scale(night):
    folder, truth = night
    assert DataFile(folder / truth.files["object"][0])[1].data.max() == 65535


def test_simulate_night_without_saturated_star_has_none(tmp_path):
    truth = simulate_night(
        tmp_path, Night(**{**vars(SMALL), "saturated_star": False, "rays": 0})
    )
    df = DataFile(tmp_path / truth.files["object"][0])
    assert max(ndd.data.max() for ndd in df) < 65535


@pytest.mark.parametrize(
    "wrong", [{"biases": 0}, {"amplifiers": 0}, {"shape": (8, 8)}, {"overscan": 0}]
)
def test_night_that_cannot_be_raises(wrong):
    with pytest.raises(ParameterError):
        Night(**wrong)
