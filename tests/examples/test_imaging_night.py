"""The script for a night of images against the truth of its simulated night."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ndmapper.data import DataFile
from ndmapper.lib.simulate import Night, simulate_night

pytest.importorskip("photutils", reason="the extra ccd is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reduced(tmp_path_factory, run_example):
    folder = tmp_path_factory.mktemp("imaging")
    night = Night(biases=5, flats=3, science=5, shape=(192, 96), pointing=(150.0, 2.0))
    truth = simulate_night(folder / "raw", night)
    done = run_example("imaging_night.py", "raw", folder=folder)
    return folder, truth, done.stdout + done.stderr


def test_the_deep_image_is_the_sky(reduced):
    folder, truth, _ = reduced
    deep = DataFile(folder / "deep.fits")[0]
    true = truth.image(truth.files["object"][0])
    assert deep.shape == true.shape
    good = np.isfinite(deep.data) & (deep.flags == 0)
    assert good.mean() > 0.9
    # The flats are good to .5 per cent in a pixel, and 0.1 per cent in all.
    assert np.median((deep.data / true)[good]) == pytest.approx(1, abs=0.004)
    # Rays were 4000 electrons and more. Stars are a little wider, by interpolation.
    sky = good & (true < 1.2 * truth.scene.sky)
    pull = ((deep.data - true) / np.sqrt(deep.variance))[sky]
    assert np.abs(pull).max() < 8
    assert np.median(np.abs(pull)) / 0.6745 == pytest.approx(1, abs=0.15)


def test_the_noise_of_the_masters_is_that_of_all_images(reduced):
    folder, _, told = reduced
    assert "its noise counts as that of each frame" not in told
    header = DataFile(folder / "deep.fits")[0].meta
    assert {header["SHARED1"], header["SHARED2"]} == {
        "sim0001_bias.fits", "sim0006_flat.fits",
    }  # fmt: skip


def test_stars_are_where_and_as_bright_as_they_are(reduced):
    folder, *_ = reduced
    found = Table.read(folder / "sdeep_cal.ecsv")
    known = Table.read(folder / "raw" / "stars.ecsv")
    sky = SkyCoord(found["ra"], found["dec"])
    index, apart, _ = sky.match_to_catalog_sky(SkyCoord(known["ra"], known["dec"]))
    clean = (found["flags"] == 0) & (apart.arcsec < 0.4) & (found["snr"] > 50)
    assert clean.sum() >= 8
    # A pixel has .4 arcsec.
    assert np.median(apart.arcsec[clean]) / 0.4 < 0.03
    off = found["mag"][clean] - known["mag"][index][clean]
    # Of stars with a signal-to-noise ratio of 50 and more.
    assert np.abs(np.median(off)) < 0.01
    assert np.median(np.abs(off)) < 0.015
    header = DataFile(folder / "zsdeep.fits").meta
    # Neighbours in the ring of the background take up to a per cent of the light.
    assert header["PHOTZP"] == pytest.approx(25, abs=0.015)


def test_again_there_is_nothing_to_do(reduced, run_example):
    folder, *_ = reduced
    before = {p: p.stat().st_mtime_ns for p in folder.glob("*.fits")}
    run_example("imaging_night.py", "raw", folder=folder)
    assert before == {p: p.stat().st_mtime_ns for p in folder.glob("*.fits")}
