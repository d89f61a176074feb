"""Illumination of the slit and scattered light, in simulated nights with truth."""

import numpy as np
import pytest

from ndmapper import config
from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib import spec
from ndmapper.lib.ccd import apply_flat, make_flat
from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.lib.spectrograph import spectrograph_of

FLAT = make_flat.func
MAKE = spec.make_slit_illumination.func
SLIT = slice(8, 92)
ROWS = np.arange(100)
LINES = (4101, 4227, 4340, 4383, 4550)


def solar(wavelengths):
    lines = sum(np.exp(-0.5 * ((wavelengths - c) / 4) ** 2) for c in LINES)
    return 8000 * (1 + 0.3 * np.sin(wavelengths / 150)) * (1 - 0.6 * lines)


class Night:
    """A slit with less light at its ends, lamps and twilights, and a faint star."""

    def __init__(self, edge, axis="x", wavelength="rises", *, even_lamp=False, seed=1):
        self.slit = SlitSpectrograph(
            dispersion_axis=axis, wavelength=wavelength, tilt=2, bend=0.5,
            trace_shift=2, pixel_scatter=0.01, slit=(SLIT.start, SLIT.stop),
            illumination=lambda v: 1 - edge * v**2,
        )  # fmt: skip
        self.table = self.slit.table
        self.seed = 100 * seed
        v = 2 * ROWS / 99 - 1
        self.light = 1 - edge * v**2
        self.mean = float(np.mean(self.light[SLIT]))
        lamp = self.slit.flat(lambda w: 20000 * np.exp((w - 4400) / 300))
        if even_lamp:
            lamp = lamp / self.image(np.repeat(self.light[:, None], 400, axis=1))
        self.lamps = self.files([self.observe(lamp) for _ in "123"])
        (self.flat,) = FLAT(self.lamps, normalise="spectral", spectrograph=self.table)
        self.waves = NDLater(self.slit.wavelengths(), ident=1)
        self.waves.meta["WAVETYPE"] = "AWAV"
        self.scene = self.slit.science(
            [SlitSource(row=40, flux=1500.0)], sky=400.0,
            sky_lines=[(4200, 5000), (4500, 20000)],
        )  # fmt: skip
        self.frame = apply_flat(self.observe(self.scene.light), flat=self.flat)

    def observe(self, light):
        self.seed += 1
        frame = self.slit.observe(light, self.seed)
        frame.ident = 1
        frame.meta["APPBIAS"] = 1
        return frame

    def files(self, frames):
        return DataFileList(
            data=[DataFile(f"f{n}.fits", data=[one]) for n, one in enumerate(frames)]
        )

    def image(self, turned):
        return spectrograph_of(self.table, NDLater(self.slit.wavelengths())).back(
            turned
        )

    def turned(self, image):
        return spectrograph_of(self.table, NDLater(image)).turned(np.asarray(image))

    def twilights(self, colour=0.0):
        frames = []
        for n, level in enumerate((1, 0.7, 0.5)):
            tilt = colour * n

            def light(w, level=level, tilt=tilt):
                return level * solar(w) * (1 + tilt * (w - 4400) / 400)

            one = self.observe(self.slit.flat(light))
            frames.append(apply_flat(one, flat=self.flat))
        return self.files(frames)

    def divided_lamps(self):
        return self.files([apply_flat(df[0], flat=self.flat) for df in self.lamps])

    def make(self, files, **words):
        waves = DataFile("waves.fits", data=[self.waves])
        (made,) = MAKE(files, waves, spectrograph=self.table, **words)
        return made

    def star(self, frame):
        """Sum the star of a frame, less its sky, over its truth; and the error."""
        done = spec.subtract_sky(frame, wavelengths=self.waves, spectrograph=self.table)
        data, variance = self.turned(done.data), self.turned(done.variance)
        trace, rows = self.scene.traces[0], ROWS[:, None]
        low, high = np.maximum(trace - 8, rows - 0.5), np.minimum(trace + 8, rows + 0.5)
        share = np.clip(high - low, 0, 1)
        truth = self.scene.spectra[0].sum() * self.mean
        error = np.sqrt((share**2 * variance).sum())
        return (share * data).sum() / truth - 1, error / truth


@pytest.mark.parametrize(
    ("axis", "wavelength"), [("x", "rises"), ("x", "falls"), ("y", "falls")]
)
@pytest.mark.parametrize("edge", [0.15, 0.3])
def test_a_faint_star_in_an_unevenly_lit_slit_is_right(axis, wavelength, edge, caplog):
    night = Night(edge, axis, wavelength)
    wrong, _ = night.star(night.frame)
    assert wrong > 0.15
    assert "apply_illumination" in caplog.text
    caplog.clear()
    for files in (night.twilights(), night.divided_lamps()):
        made = night.make(files)
        # Of pixels 1 percent, 36 terms and 33600 pixels; more in the corners. Most of
        # it is what the flat has taken, and cancels.
        values = night.turned(made.data)
        lit = night.turned(made.flags) == 0
        ratio = values / (night.light / night.mean)[:, None]
        assert np.std(ratio[lit]) < 1e-3
        assert np.abs(ratio[lit] - 1).max() < 0.01
        assert lit[12:88].all()
        frame = spec.apply_illumination(night.frame, illumination=made)
        off, error = night.star(frame)
        # The sky is fitted to 60 rows with a common error of .2 percent of the star.
        assert error < 0.004
        assert abs(off) < 0.01
    assert "apply_illumination" not in caplog.text


def test_twilight_corrects_what_another_light_of_the_lamp_leaves():
    night = Night(0.2, even_lamp=True)
    made = night.make(night.twilights(colour=0.2))
    ratio = night.turned(made.data) / (night.light / night.mean)[:, None]
    lit = night.turned(made.flags) == 0
    assert np.std(ratio[lit]) < 1e-3
    off, _ = night.star(spec.apply_illumination(night.frame, illumination=made))
    assert abs(off) < 0.01
    # The lamp, which lights the slit evenly, does not tell it.
    lamp = night.make(night.divided_lamps())
    off, _ = night.star(spec.apply_illumination(night.frame, illumination=lamp))
    assert off > 0.15


def test_errors_after_all_corrections_are_right():
    night = Night(0.3)
    made = night.make(night.twilights())
    light = apply_flat(night.observe(night.slit.flat(400.0)), flat=night.flat)
    done = spec.apply_illumination(light, illumination=made)
    good = night.turned(done.flags) == 0
    pulls = night.turned((done.data - 400 * night.mean) / np.sqrt(done.variance))[good]
    # 33000 pixels: .4 percent; the variance is that of a mean pixel's counts.
    assert np.std(pulls) == pytest.approx(1, abs=0.03)
    rows = night.turned(np.asarray(done.data))[12:88]
    # 400 pixels of 5.5 percent.
    assert np.std(rows.mean(axis=1)) / (400 * night.mean) < 0.004
    assert done.meta["APPILLUM"] == 1


def test_what_is_beside_the_slit_or_too_faint_is_flagged(caplog):
    night = Night(0.15)
    made = night.make(night.twilights())
    flags = night.turned(made.flags)
    assert (flags[:8] == Flag.UNILLUMINATED).all()
    assert (made.data[:8] == 1).all()
    assert made.meta["FLATKIND"] == "illumination"
    assert made.unit is None
    cut = night.observe(night.slit.flat(lambda w: np.where(w < 4200, 3.0, 3000.0)))
    caplog.clear()
    faint = night.make(night.files([apply_flat(cut, flat=night.flat)]))
    flags = night.turned(faint.flags)
    assert (flags[12:88, :90] & Flag.BAD).all()
    assert not (flags[20:80, 120:] & Flag.BAD).any()
    assert "percent of the slit is told to less than 0.01" in caplog.text
    with pytest.raises(ParameterError, match=r"enough light .* take more frames"):
        night.make(night.files([cut]), largest_error=1e-5)


def test_what_is_no_light_of_the_slit_is_refused(caplog):
    night = Night(0.15)
    twilights = night.twilights()
    with pytest.raises(ParameterError, match="needs a frame of twilight"):
        MAKE(DataFileList())
    with pytest.raises(ParameterError, match="several calibrations 'wavelengths'"):
        MAKE(twilights, [DataFile(), DataFile()])
    other = NDLater(np.asarray(night.waves.data), ident=5)
    two = DataFile("w.fits", data=[other, NDLater(np.ones(3), ident=6)])
    with pytest.raises(ParameterError, match=r"w\.fits has no extension 1"):
        MAKE(twilights, two, spectrograph=night.table)
    made = night.make(twilights)
    done = night.files([spec.apply_illumination(twilights[0][0], illumination=made)])
    with pytest.raises(ParameterError, match="by an illumination already"):
        night.make(done)
    turned = Night(0.15, "y")
    files = turned.divided_lamps()
    del files[0][0].meta["DISPAXIS"]
    with pytest.raises(ParameterError, match="nothing states its axis"):
        MAKE(files)
    caplog.clear()
    night.make(night.lamps)
    assert "was not divided by a pixel flat" in caplog.text
    dark = night.files([twilights[0][0], night.observe(night.slit.flat(0.0))])
    dark[1][0].data = np.asarray(dark[1][0].data) * 0 - 1
    with pytest.raises(ParameterError, match=r"f1\.fits has no light where f0"):
        night.make(dark)


def test_illumination_by_files(tmp_path):
    night = Night(0.15)
    waves = DataFile(tmp_path / "waves.fits", data=[night.waves], mode="new")
    waves.save()
    with config.using(outdir=str(tmp_path)):
        files = night.twilights()
        for df in files:
            df.save(tmp_path / str(df.filename))
        made = spec.make_slit_illumination(
            files, illumination="slit.fits", wavelengths=waves,
            spectrograph=night.table,
        )  # fmt: skip
        numbers = made.record[-1]["qc"]
        assert 0.85 < numbers["least[1]"] < 1 < numbers["most[1]"] < 1.08
        assert 0 < numbers["error[1]"] < 1e-3
        assert numbers["unsure[1]"] < 0.01
        frame = DataFile("x.fits", data=[night.frame])
        done = spec.apply_illumination(frame, illumination=made, save=False)
    assert done[0].meta["APPILLUM"] == 1


def scattered(axis="x", *, rows=(20, 80), level=1.0):
    """A slit in the rows given, with scattered light of some percent everywhere."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:100, :300]
    light = 30 + 20 * x / 300 + 10 * (y - 50) / 50
    slit = level * 2000 * np.exp(-x / 200) * ((y >= rows[0]) & (y < rows[1]))
    data = rng.poisson(light + slit) + rng.normal(0, 3, light.shape)
    variance = np.maximum(data, 0) + 9
    if axis == "y":
        data, variance, light = data.T, variance.T, light.T
    ndd = NDLater(data, variance=variance, unit="electron", ident=1)
    ndd.meta["APPBIAS"] = 1
    return ndd, light, {"dispersion_axis": axis}


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("how", ["windows", "table", "flat"])
def test_scattered_light_is_subtracted(axis, how):
    ndd, light, table = scattered(axis)
    words = {"flat": None}
    if how == "windows":
        words["windows"] = [(1, 15), (90, 100)]
    elif how == "table":
        table["slit"] = [21, 80]
    else:
        words["flat"] = FLAT(
            DataFileList(data=[DataFile("f.fits", data=[ndd])]),
            normalise="spectral", spectrograph=table,
        )[0]  # fmt: skip
    done = spec.subtract_scattered_light(ndd, spectrograph=table, **words)
    error = np.asarray(ndd.data) - np.asarray(done.data) - light
    # 6000 unlit pixels of 7 electrons, 8 terms: .25, and less than 1 at the corners.
    assert np.std(error) < 0.5
    assert np.abs(error).max() < 2
    assert (done.variance > ndd.variance).all()
    assert done.meta["SCATTER"] == pytest.approx(40, abs=3)


def test_scattered_light_of_one_side_is_constant_along_the_slit(caplog):
    ndd, light, table = scattered(rows=(0, 80))
    done = spec.subtract_scattered_light(
        ndd, flat=None, windows=[(90, 100)], spectrograph=table
    )
    assert "unlit rows on one side of the slit only" in caplog.text
    found = np.asarray(ndd.data) - np.asarray(done.data)
    assert np.ptp(found, axis=0) == pytest.approx(0, abs=1e-6)
    assert np.abs(found[95] - light[94]).max() < 3


def test_scattered_light_that_cannot_be_told_is_refused():
    ndd, _, table = scattered()
    step = spec.subtract_scattered_light
    with pytest.raises(ParameterError, match=r"nothing says which rows .* windows="):
        step(ndd, flat=None, spectrograph=table)
    with pytest.raises(ParameterError, match=r"no good unlit pixel, so that"):
        step(ndd, flat=None, spectrograph={**table, "slit": [5, 96]})
    with pytest.raises(ParameterError, match=r"window \(90, 120\) is not in the frame"):
        step(ndd, flat=None, spectrograph=table, windows=[(90, 120)])
    with pytest.raises(ParameterError, match="give lower degrees"):
        step(ndd, flat=None, windows=[(1, 2), (99, 100)], degree=5, spectrograph=table)
    with pytest.raises(ParameterError, match="has no variance"):
        step(ndd.replace(variance=None), flat=None, windows=[(1, 15)])
    divided = ndd.copy()
    divided.meta["APPFLAT"] = 1
    with pytest.raises(ParameterError, match=r"before apply_flat, and on the lamps"):
        step(divided, flat=None, windows=[(1, 15)])
