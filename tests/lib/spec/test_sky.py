"""The steps that measure and subtract the sky of a slit."""

import numpy as np
import pytest

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.spec.axis import wavelengths_of
from ndmapper.lib.spec.sky import measure_sky, subtract_sky

ROWS, COLUMNS = 80, 300


def night(axis="x", wavelength="rises"):
    """Make a frame, its wavelengths, its sky, and where its star is."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(float)
    u = x - 2 * (2 * y / ROWS - 1)
    waves = 5000 + 2 * u
    sky = 40 + 2000 * sum(np.exp(-0.5 * ((u - c) / 1.2) ** 2) for c in (50, 140, 230))
    star = 150 * np.exp(-0.5 * ((y - 30 - 4 * x / COLUMNS) / 2) ** 2)
    data = rng.poisson(sky + star) + rng.normal(0, 3, sky.shape)
    arrays = [data, 9 + np.maximum(data, 0), waves, sky, star]
    if wavelength == "falls":
        arrays = [a[:, ::-1] for a in arrays]
    if axis == "y":
        arrays = [a.T for a in arrays]
    data, variance, waves, sky, star = arrays
    frame = NDLater(data=data.astype("f4"), variance=variance.astype("f4"))
    return frame, NDLater(data=waves), sky, star


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("wavelength", ["rises", "falls"])
def test_sky_is_subtracted_whichever_way_spectra_lie(axis, wavelength):
    frame, waves, sky, star = night(axis, wavelength)
    given = {"dispersion_axis": axis, "wavelength": wavelength}
    done = subtract_sky(frame, wavelengths=waves, spectrograph=given)
    blank = star < 0.05
    left = (np.asarray(done.data) / np.sqrt(9 + sky))[blank]
    assert 0.96 < np.std(left) < 1.03
    assert abs(np.mean(left)) < 0.03
    total = np.sum(np.where(star > 0.05, done.data, 0))
    error = np.sqrt(np.sum(np.where(star > 0.05, frame.variance, 0)))
    assert abs(total - star.sum()) < 4 * error
    assert np.all(done.variance > frame.variance)
    assert 0.005 < done.meta["SKYSHARE"] < 0.05


def test_measured_sky_is_what_is_subtracted():
    frame, waves, sky, star = night()
    measured = measure_sky(frame, wavelengths=waves)
    done = subtract_sky(frame, wavelengths=waves)
    np.testing.assert_allclose(frame.data - measured.data, done.data, atol=1e-3)
    pull = (measured.data - sky)[star < 0.05] / np.sqrt(measured.variance[star < 0.05])
    assert 0.8 < np.std(pull) < 1.3  # errors of the fit are correlated over pixels


def test_windows_columns_gaps_and_slit():
    frame, *_ = night()
    given = {"slit": [11, 70], "gaps": [[101, 110]]}
    done = subtract_sky(frame, wavelengths=None, windows=[(41, 70)], spectrograph=given)
    flags = np.asarray(done.flags)
    assert np.all(flags[:, 100:110] & Flag.BAD)
    assert not np.any(flags[:, :100] & Flag.BAD)
    # Tilted lines are left by columns, between them is the sky.
    between = done.data[45:70, 170:200]
    assert abs(np.mean(between)) < 1.0


def test_cosmic_rays_and_bad_pixels_are_left_alone():
    frame, waves, *_ = night()
    data = np.array(frame.data)
    data[60, 100:105] += 4000
    flags = np.zeros(data.shape, np.uint16)
    flags[70, 10:20] = Flag.BAD
    data[70, 10:20] = np.nan
    one = NDLater(data=data, variance=np.array(frame.variance), flags=flags)
    done = subtract_sky(one, wavelengths=waves)
    assert np.all(np.isnan(done.data[70, 10:20]))
    assert np.all(done.flags[70, 10:20] & Flag.BAD)
    np.testing.assert_allclose(done.data[60, 100:105], 4000, atol=120)


def test_what_cannot_be_done_says_why():
    frame, waves, *_ = night()
    with pytest.raises(ParameterError, match="needs wavelengths"):
        subtract_sky(frame, wavelengths=None, method="spline")
    with pytest.raises(ParameterError, match="has no variance"):
        subtract_sky(frame.replace(variance=None), wavelengths=waves)
    with pytest.raises(ParameterError, match=r"window \(70, 99\) is not in the slit"):
        subtract_sky(frame, wavelengths=waves, windows=[(70, 99)])
    flags = np.full(frame.shape, Flag.BAD, np.uint16)
    with pytest.raises(ParameterError, match="no row of the slit"):
        subtract_sky(frame.replace(flags=flags), wavelengths=waves)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"wavelength": "falls"}, "wavelength = 'falls' in .spectrograph."),
        ({"dispersion_axis": "y"}, "change along x, and the dispersion is stated"),
    ],
)
def test_wavelengths_that_contradict_the_geometry_are_refused(given, match):
    frame, waves, *_ = night()
    with pytest.raises(ParameterError, match=match):
        subtract_sky(frame, wavelengths=waves, spectrograph=given)


def test_files_quality_numbers_and_record(tmp_path):
    frame, waves, *_ = night()
    made = []
    for name, ndd in (("obj.fits", frame), ("wave.fits", waves)):
        df = DataFile(tmp_path / name, mode="new")
        df.append(ndd)
        df.save()
        made.append(df)
    done = subtract_sky(made[0], wavelengths=made[1], outdir=tmp_path)
    assert done.filename.prefix == "s"
    numbers = done.record[-1]["qc"]
    assert 0.95 < numbers["sky_residual_over_noise"] < 1.05
    assert done.record[-1]["calibrations"]["wavelengths"]


def test_messages_name_the_file(tmp_path, caplog):
    frame, waves, *_ = night()
    noisier = frame.replace(variance=np.asarray(frame.variance) * 0.3)
    df = DataFile(tmp_path / "obj.fits", data=[noisier], mode="new")
    df.save()
    df = DataFile(tmp_path / "obj.fits")
    subtract_sky(df[0], wavelengths=waves)
    assert f"{tmp_path / 'obj.fits'}[1]: what the sky leaves is 1.8" in caplog.text
    with pytest.raises(ParameterError, match=r"/obj\.fits\[1\] has no wavelengths"):
        wavelengths_of(df[0][0])
