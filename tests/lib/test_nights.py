"""
Simulated nights of three cameras, from raw frames to a catalogue, against the truth.

A CCD with two amplifiers in one image, a mosaic of extensions, and a CMOS camera
without overscan, whose table is that of any frame by N.I.N.A.
"""

import sys

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ndmapper import config
from ndmapper.data import DataFileList, Flag
from ndmapper.lib import ccd, image
from ndmapper.lib.cosmetics import clean_cosmic_rays
from ndmapper.lib.simulate import Night, simulate_night
from ndmapper.lib.simulate.sky import Scene, Star

pytest.importorskip("photutils", reason="the extra ccd is not installed")
pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")
pytestmark = pytest.mark.slow

SHAPE = 160, 192
COVERED = 16
"""Further from the edges than the dithers move, all frames are on the stack."""

TABLE = """
schema = 1
extends = "simcam"
description = "Simulated camera with two amplifiers in an image"
[applies]
INSTRUME = "SIMCCD"
[amplifier_keys]
amplifiers = ["A", "B"]
name = []
data = "DATASEC{}"
overscan = "BIASSEC{}"
gain = "GAIN{}"
read_noise = "RDNOIS{}"
saturation = "SATURATE"
"""
CAMERAS = {
    "image": {"amplifiers": 2, "shape": (160, 96)},
    "extensions": {"amplifiers": 2, "shape": (160, 96)},
    "cmos": {"amplifiers": 1, "shape": (160, 192), "darks": 3},
}
READ_NOISE = 1.6
"""Of the CMOS camera, as measured; its headers do not say [electron]."""


def field():
    """Make stars that are alone, on a sky with a gradient."""
    rng = np.random.default_rng(5)
    places = [(x, y) for y in range(22, 150, 30) for x in range(22, 180, 30)]
    stars = [
        Star(
            x=x + rng.uniform(-3, 3),
            y=y + rng.uniform(-3, 3),
            flux=np.exp(rng.uniform(np.log(6e4), np.log(5e5))),
        )
        for x, y in places
    ]
    none = Star(x=0, y=0, flux=0)
    return Scene(
        sky=220.0, gradient=0.04, fwhm=3.2, stars=tuple(stars), galaxy=none, disk=9.0
    )


class Reduction:
    """All steps of a night, in memory, and the pulls of the pixels after each."""

    def __init__(self, layout, folder):
        self.truth = simulate_night(
            folder / "raw",
            Night(
                layout=layout, biases=4, flats=3, science=4, rays=20, satellites=1,
                saturated_star=False, pointing=(150.0, 2.0), **CAMERAS[layout],
            ),
            field(),
        )  # fmt: skip
        self.layout, self.folder, self.pulls = layout, folder, {}
        camera = self.truth.camera
        self.gain = np.empty(camera.mosaic)
        for number, gain in enumerate(camera.gains):
            self.gain[:, camera.columns(number)] = gain
        self.noise = {"read_noise": READ_NOISE} if layout == "cmos" else {}
        self.first = self.truth.files["object"][0]
        self.run()

    def frames(self, kind):
        """Prepare the frames of a kind: without overscan, where there is one."""
        files = DataFileList(self.truth.files[kind], dirname=self.folder / "raw")
        if self.layout == "cmos":
            return files
        files = ccd.subtract_overscan(files, method="polynomial", save=False)
        return ccd.trim(files, save=False)

    def compare(self, step, df, expected):
        """Note the pulls of the pixels that are not flagged."""
        found = []
        for number, ndd in enumerate(df):
            truth = self.truth.part(expected, number) if len(df) > 1 else expected
            good = np.isfinite(ndd.data)
            if ndd.flags is not None:
                good &= np.asarray(ndd.flags) == 0
            pull = (np.asarray(ndd.data) - truth) / np.sqrt(ndd.variance)
            found.append(pull[good])
        self.pulls[step] = np.concatenate(found)

    def calibrated(self, kind, light):
        """Calibrate frames to electrons; the first has this light, without dark."""
        dark = self.truth.camera.dark * (8 if kind == "flat" else 300)
        files = ccd.subtract_bias(self.frames(kind), bias=self.bias, save=False)
        files = ccd.add_variance(files, **self.noise, save=False)
        self.compare(f"{kind} without bias", files[0], (light + dark) / self.gain)
        if self.dark is not None:
            files = ccd.subtract_dark(files, dark=self.dark, save=False)
            self.compare(f"{kind} without dark", files[0], light / self.gain)
        files = ccd.correct_gain(files, save=False)
        self.compare(f"{kind} in electrons", files[0], light)
        return files

    def run(self):
        truth, camera = self.truth, self.truth.camera
        zeros = ccd.add_variance(
            self.frames("bias"), poisson=False, **self.noise, save=False
        )
        base = camera.structure + (camera.levels[0] if self.layout == "cmos" else 0)
        self.compare("bias", zeros[0], base)
        self.bias = ccd.make_bias(zeros, bias="bias.fits", save=False)
        self.compare("combined bias", self.bias, base)
        self.dark = None
        if "dark" in truth.files:
            darks = ccd.subtract_bias(self.frames("dark"), bias=self.bias, save=False)
            darks = ccd.add_variance(darks, **self.noise, save=False)
            self.compare("dark", darks[0], camera.dark * 300 / self.gain)
            self.dark = ccd.make_dark(darks, dark="dark.fits", save=False)
        lamp = truth.lamp[truth.files["flat"][0]]
        flats = self.calibrated("flat", lamp * camera.response)
        flat = ccd.make_flat(flats, flat="flat.fits", normalise="plain", save=False)
        level = np.median(np.concatenate([np.ravel(ndd.data) for ndd in flat]))
        assert level == pytest.approx(1, abs=1e-3)
        self.compare("combined flat", flat, camera.response)
        self.seen = truth.image(self.first) + truth.trails[self.first]
        charge = truth.charge[self.first]
        science = self.calibrated("object", self.seen * camera.response + charge)
        science = ccd.apply_flat(science, flat=flat, save=False)
        whole = self.seen + charge / camera.response
        self.compare("flat-fielded", science[0], whole)
        if self.layout == "extensions":
            science = image.make_mosaic(science, save=False)
            self.compare("mosaic", science[0], whole)
        self.science = clean_cosmic_rays(science, save=False)
        aligned = image.align_images(
            self.science, reference=self.folder / "raw" / "stars.ecsv", save=False
        )
        self.deep = image.stack_images(
            aligned, level="median", covers="first", stack="deep.fits"
        )
        deep = image.subtract_background(self.deep)
        sources = image.find_sources(deep)
        fluxes = image.aperture_photometry(deep, sources=sources, radius=6)
        made = image.calibrate_photometry(
            deep, sources=fluxes, reference=self.folder / "raw" / "stars.ecsv"
        )
        self.zero_point = made["calibrated"].meta["PHOTZP"]
        self.catalogue = made["catalogue"].table()


@pytest.fixture(scope="module", params=list(CAMERAS))
def night(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "simccd.toml").write_text(TABLE)
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    # Figures take the most time.
    patch.setitem(sys.modules, "matplotlib.figure", None)
    table = str(folder / "simccd.toml") if request.param == "image" else None
    with config.using(reprocess=True, logfile=None, instrument=table):
        reduced = Reduction(request.param, folder)
    patch.undo()
    return reduced


def test_errors_of_pixels_are_right_after_every_step(night):
    widths = {step: float(pull.std()) for step, pull in night.pulls.items()}
    # Of 30720 pixels the width is good to half a per cent.
    assert all(0.95 < width < 1.05 for width in widths.values()), widths
    assert max(np.abs(pull).max() for pull in night.pulls.values()) < 6.5


def test_cosmic_rays_are_found_and_nothing_else_is(night):
    found = strong = wrong = clean = 0
    for df in night.science:
        name = df.filename.name[-12:]
        charge, truth = night.truth.charge[name], night.truth.image(name)
        flagged = (np.asarray(df[0].flags) & Flag.COSMIC_RAY) != 0
        hit = charge > 10 * np.sqrt(truth + 25)
        near = np.zeros(SHAPE, np.bool_)
        for y, x in zip(*np.nonzero(charge), strict=True):
            near[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = True
        found, strong = found + (flagged & hit).sum(), strong + hit.sum()
        wrong, clean = wrong + (flagged & ~near).sum(), clean + (~near).sum()
    assert found / strong > 0.95
    assert wrong / clean < 1e-4


def stack_pulls(night):
    """Give the pulls of the pixels of the stack that all frames cover, of sky alone."""
    ndd, truth = night.deep[0], night.truth.image(night.first)
    good = (np.asarray(ndd.flags) == 0) & np.isfinite(ndd.data)
    inner = np.zeros(SHAPE, np.bool_)
    inner[COVERED:-COVERED, COVERED:-COVERED] = True
    sky = good & inner & (truth < 1.2 * night.truth.scene.sky)
    assert (good & inner).sum() > 0.98 * inner.sum()
    return ((ndd.data - truth) / np.sqrt(ndd.variance)), sky


def pulls_of_sums(night, size, *, covariance=True):
    """Give the pulls of sums over squares of the sky, of the stack."""
    ndd, sky = night.deep[0], stack_pulls(night)[1]
    error = np.asarray(ndd.data, float) - night.truth.image(night.first)
    # The level is that of the first image, whose error all pixels share.
    error -= np.median(error[sky])
    ny, nx = (n // size for n in SHAPE)
    inside, sums, variance = (
        np.where(sky, plane, 0)[: ny * size, : nx * size]
        .reshape(ny, size, nx, size)
        .sum(axis=(1, 3))
        for plane in (sky, error, np.asarray(ndd.variance))
    )
    if covariance:
        variance = variance * image.noise_factor(ndd.tables["COVARIANCE"], size)
    whole = inside == size**2
    return sums[whole] / np.sqrt(variance[whole])


# 1870, 600 and 220 squares: the widths are known to 1.6, 2.9 and 4.8 per cent. The
# dithers are nearly whole pixels, so that neighbours share little.
@pytest.mark.parametrize(("size", "near"), [(3, 0.06), (5, 0.09), (8, 0.1)])
def test_errors_of_sums_are_right_with_the_covariances(night, size, near):
    pulls = pulls_of_sums(night, size)
    assert len(pulls) > 13000 / size**2
    assert pulls.std() == pytest.approx(1, abs=near)
    assert pulls_of_sums(night, size, covariance=False).std() > 1 + near


def test_rays_and_trails_are_gone_from_the_stack(night):
    pull, sky = stack_pulls(night)
    assert np.abs(pull[sky]).max() < 7
    assert abs(pull[sky].mean()) < 0.1
    assert 0.95 < pull[sky].std() < 1.07
    trail = sky & (night.truth.trails[night.first] > 50)
    assert trail.sum() > 300
    assert abs(pull[trail].mean()) < 0.5


def test_stars_are_where_and_as_bright_as_they_are(night):
    stars = Table.read(night.folder / "raw" / "stars.ecsv")
    found = night.catalogue
    sky = SkyCoord(found["ra"], found["dec"])
    index, apart, _ = sky.match_to_catalog_sky(SkyCoord(stars["ra"], stars["dec"]))
    good = (found["flags"] == 0) & (apart.arcsec < 0.4) & (found["snr"] > 100)
    flux = np.array([star.flux for star in night.truth.scene.stars])[index]
    ratio = np.asarray(found["flux"] / flux)[good]
    assert good.sum() > 20
    assert np.median(apart.arcsec[good]) / 0.4 < 0.03
    assert ratio.mean() == pytest.approx(1, abs=0.003)
    assert np.median(np.abs(ratio - 1)) < 0.005
    assert night.zero_point == pytest.approx(25, abs=0.003)
