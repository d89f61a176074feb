"""Rows of a slit on the same wavelengths."""

from itertools import product

import numpy as np
import pytest

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.spec import rectify_wavelength, subtract_sky
from ndmapper.lib.spec.axis import WAVETYPE
from ndmapper.numerics.correlated_noise import variance_of_sum

ROWS, COLUMNS = 30, 400
LINES = (5100.0, 5400.0, 5650.0)


def arc(axis="x", wavelength="rises", noise=0.0, seed=1):
    """Make tilted lines of 1000 counts, and the wavelengths of the pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(float)
    u = x - 5 * (y / ROWS - 0.5) - 2 * (y / ROWS - 0.5) ** 2
    waves = 5000 + 2 * u + 1e-4 * u**2
    data = np.zeros(waves.shape)
    for wanted in LINES:
        centre = (-2 + np.sqrt(4 + 4e-4 * (wanted - 5000))) / 2e-4
        data += (
            1000 / np.sqrt(2 * np.pi) / 1.5 * np.exp(-0.5 * ((u - centre) / 1.5) ** 2)
        )
    data += rng.normal(0, noise, data.shape) if noise else 0
    turn = slice(None, None, -1) if wavelength == "falls" else slice(None)
    data, waves = data[:, turn], waves[:, turn]
    if axis == "y":
        data, waves = data.T, waves.T
    frame = NDLater(data=data, variance=np.full(data.shape, max(noise, 1.0) ** 2))
    image = NDLater(data=waves)
    image.meta[WAVETYPE] = "AWAV"
    return frame, image


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("wavelength", ["rises", "falls"])
def test_lines_are_straight_at_their_wavelengths_and_keep_their_flux(axis, wavelength):
    frame, image = arc(axis, wavelength)
    given = {"dispersion_axis": axis, "wavelength": wavelength}
    done = rectify_wavelength(frame, wavelengths=image, spectrograph=given)
    data = np.asarray(done.data) if axis == "x" else np.asarray(done.data).T
    count = data.shape[1]
    pixels = np.arange(count)
    world = done.wcs.wcs_pix2world(
        *((pixels, 0 * pixels) if axis == "x" else (0 * pixels, pixels)), 0
    )[0 if axis == "x" else 1]
    waves = world * (1e10 if world[0] < 1 else 1)
    assert (waves[1] < waves[0]) == (wavelength == "falls")
    for line in LINES:
        near = np.abs(waves - line) < 14
        flux = data[:, near].sum(axis=1)
        # What a Gaussian has beyond 4.6 of its widths.
        np.testing.assert_allclose(flux, 1000, rtol=2e-4)
        centroid = (data[:, near] * waves[near]).sum(axis=1) / flux
        # Pixels 2 Angstrom wide: a hundredth of one.
        np.testing.assert_allclose(centroid, line, atol=0.02)


def test_sums_have_the_noise_of_the_recorded_covariance():
    clean, image = arc()
    truth = rectify_wavelength(clean, wavelengths=image, step=1.6)
    pulls, naive = [], []
    for seed in range(6):
        frame, _ = arc(noise=3.0, seed=seed)
        done = rectify_wavelength(frame, wavelengths=image, step=1.6)
        left = np.asarray(done.data - truth.data)[:, 20:420]
        deviation = np.sqrt(np.asarray(done.variance))[:, 20:420]
        table = done.tables["COVARIANCE"]
        known = {(r["dx"], r["dy"]): r["covariance"] for r in table}
        for row, start in product(range(ROWS), range(0, 400, 25)):
            part = slice(start, start + 25)
            total, noise = left[row, part].sum(), deviation[row : row + 1, part]
            pulls.append(total / np.sqrt(variance_of_sum(noise, known)))
            naive.append(total / np.sqrt((noise**2).sum()))
    # 2880 sums tell a width to 1.3 percent.
    assert np.std(pulls) == pytest.approx(1, abs=0.04)
    assert np.std(naive) > 1.15


def test_flags_and_edges():
    frame, image = arc()
    flags = np.zeros(frame.shape, np.uint16)
    flags[5, 100] = Flag.COSMIC_RAY
    data = np.array(frame.data)
    data[6, 200] = np.nan
    done = rectify_wavelength(
        frame.replace(flags=flags, data=data), wavelengths=image, first=4900, last=5900
    )
    bits = np.asarray(done.flags)
    assert np.all(bits[:, 0] & Flag.NO_DATA)
    assert 1 <= np.count_nonzero(bits[5] & Flag.COSMIC_RAY) <= 3
    assert np.any(bits[6] & Flag.BAD)
    assert np.all(np.isfinite(done.data))


def test_what_cannot_be_rectified_says_why(tmp_path):
    frame, image = arc()
    with pytest.raises(ParameterError, match="none of the frame"):
        rectify_wavelength(frame, wavelengths=image, first=7000, last=8000)
    with pytest.raises(ParameterError, match="do the opposite of what is stated"):
        rectify_wavelength(frame, wavelengths=image.replace(data=image.data[:, ::-1]))
    del image.meta[WAVETYPE]
    with pytest.raises(ParameterError, match="air: WAVETYPE is missing"):
        rectify_wavelength(frame, wavelengths=image)


def test_files(tmp_path):
    made = []
    for name, ndd in zip(("obj.fits", "wave.fits"), arc(noise=2.0), strict=True):
        df = DataFile(tmp_path / name, mode="new")
        df.append(ndd)
        df.save()
        made.append(df)
    done = rectify_wavelength(made[0], wavelengths=made[1], outdir=tmp_path)
    assert done.filename.name == "tobj.fits"
    again = DataFile(done.filename)
    assert again[0].meta["CTYPE1"] == "AWAV"
    assert len(again[0].tables["COVARIANCE"]) >= 2


def test_rectified_frames_and_other_units_are_told():
    frame, image = arc()
    done = rectify_wavelength(frame, wavelengths=image)
    for step in (rectify_wavelength, subtract_sky):
        with pytest.raises(ParameterError, match="is rectified already"):
            step(done, wavelengths=image)
    in_nm = image.replace(data=image.data / 10, unit="nm")
    again = rectify_wavelength(frame, wavelengths=in_nm)
    assert again.meta["CRVAL1"] == pytest.approx(done.meta["CRVAL1"])
    with pytest.raises(ParameterError, match="no length"):
        rectify_wavelength(frame, wavelengths=image.replace(unit="Hz"))
