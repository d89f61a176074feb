"""Which masters the frames of a stack share, and the errors of such stacks."""

import logging
from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS

from ndmapper import chain, run_task
from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib import ccd
from ndmapper.lib.calibrator import calibrate_image
from ndmapper.lib.combine import combine
from ndmapper.lib.image import (
    apply_illumination,
    make_mosaic,
    stack_images,
    subtract_background,
    subtract_fringe,
    subtract_sky,
)

SHAPE = (100, 120)
GAIN, NOISE = 2.0, 6.0
STRUCTURE = 20 * np.sin(np.arange(SHAPE[1]) / 9) * np.ones(SHAPE)
SENSITIVITY = np.linspace(0.7, 1.2, SHAPE[0])[:, None] * np.ones(SHAPE)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with config.using(reprocess=True, logfile=None):
        yield


class Camera:
    """A camera, its masters of known noise, and its frames, as files or in memory."""

    def __init__(self, seed=1, *, save=True, biases=3, lamp=1e5, **parts):
        self.rng = np.random.default_rng(seed)
        self.words = {} if save else {"save": False}
        self.bias = self.master(STRUCTURE, (NOISE / GAIN) ** 2 / biases, "bias.fits")
        relative = 1 / np.sqrt(lamp * SENSITIVITY)
        self.flat = self.master(
            SENSITIVITY, (SENSITIVITY * relative) ** 2, "flat.fits", FLATNORM="plain"
        )

    def master(self, true, variance, name, unit=None, **cards):
        variance = np.broadcast_to(variance, SHAPE)
        data = self.rng.normal(true, np.sqrt(variance))
        ndd = NDLater(data, variance=variance.copy(), unit=unit, ident=1)
        ndd.meta.update(cards)
        return self.file(ndd, name)

    def file(self, ndd, name):
        df = DataFile(name, data=[ndd], mode="overwrite")
        if not self.words:
            df.save()
            return DataFile(name)
        return df

    def raw(self, electrons, name="x.fits", **cards):
        counts = self.rng.poisson(electrons * SENSITIVITY) / GAIN + STRUCTURE
        counts = counts + self.rng.normal(0, NOISE / GAIN, SHAPE)
        ndd = NDLater(counts, unit="adu", ident=1)
        ndd.meta.update({"GAIN": GAIN, "RDNOISE": NOISE, "EXPTIME": 10.0} | cards)
        return self.file(ndd, name)

    def raws(self, electrons, n=10, name="x"):
        return DataFileList(
            data=[self.raw(electrons, f"{name}{k}.fits") for k in range(n)]
        )

    def without_bias(self, files):
        files = ccd.subtract_bias(files, bias=self.bias, **self.words)
        files = ccd.add_variance(files, adc_step=0, **self.words)
        return ccd.correct_gain(files, **self.words)

    def frames(self, electrons, n=10):
        reduce = chain(
            ccd.subtract_bias, ccd.add_variance, ccd.correct_gain, ccd.apply_flat
        )
        masters = {"bias": self.bias, "flat": self.flat}
        return reduce(self.raws(electrons, n), adc_step=0, **masters, **self.words)


def sky_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    return wcs


def pull(ndd, truth):
    return float(np.std((ndd.data - truth) / np.sqrt(ndd.variance)))


def pull_of_boxes(ndd, truth, size=10):
    ny, nx = SHAPE
    error, variance = (
        part.reshape(ny // size, size, nx // size, size).sum(axis=(1, 3))
        for part in (ndd.data - truth, ndd.variance)
    )
    return float(np.std(error / np.sqrt(variance)))


# 12000 pixels tell the width to .7 percent, 120 boxes to 6.5.
@pytest.mark.parametrize("save", [True, False], ids=["files", "memory"])
@pytest.mark.parametrize(
    ("electrons", "without"), [(5, 1.5), (1000, 1.03), (30000, 1.4)]
)
def test_errors_of_ten_frames_with_the_same_masters_are_right(save, electrons, without):
    camera = Camera(save=save)
    files = camera.frames(electrons)
    stack = combine(files, combined="stack.fits", **camera.words)[0]
    assert pull(stack, electrons) == pytest.approx(1, abs=0.035)
    assert pull_of_boxes(stack, electrons) == pytest.approx(1, abs=0.2)
    assert [stack.meta[f"SHARED{n}"] for n in (1, 2)] == ["bias.fits", "flat.fits"]
    alone = combine(files, combined="a.fits", shared="none", **camera.words)[0]
    assert pull(alone, electrons) > without
    assert "SHARED1" not in alone.meta


def test_masters_that_are_given_are_those_of_the_record():
    camera = Camera()
    files = camera.frames(1000, n=4)
    told = combine(files, combined="a.fits")[0]
    given = combine(files, combined="b.fits", shared=["flat.fits", "bias.fits"])[0]
    np.testing.assert_allclose(given.variance, told.variance, rtol=1e-6)
    one = combine(files, combined="c.fits", shared=[DataFile("flat.fits")])[0]
    assert one.meta["SHARED1"] == "flat.fits"
    assert (one.variance < told.variance).mean() > 0.99


@pytest.mark.parametrize("change", ["unlinked", "another"])
def test_masters_that_are_gone_are_named(change, caplog):
    camera = Camera()
    files = camera.frames(5, n=4)
    Path("bias.fits").unlink()
    if change == "another":
        Camera(seed=9)
    with caplog.at_level(logging.WARNING):
        stack = combine(files, combined="s.fits")[0]
    assert "bias.fits, the bias of 4 frames, is not there any more" in caplog.text
    assert "shared= takes masters" in caplog.text
    found = [stack.meta.get(f"SHARED{n}") for n in (1, 2)]
    assert found == (["flat.fits", None] if change == "unlinked" else [None, None])


def test_a_master_that_was_moved_is_found_by_what_it_is(caplog):
    camera = Camera()
    files = camera.frames(5, n=4)
    Path("masters").mkdir()
    for name in ("bias.fits", "flat.fits"):
        Path(name).rename(Path("masters", name))
    with config.using(outdir="masters"):
        stack = combine(files, combined="s.fits")[0]
    assert "SHARED2" in stack.meta


def test_frames_of_two_nights_share_only_the_flat():
    camera = Camera()
    one = camera.frames(5, n=4)
    camera.bias = camera.master(STRUCTURE, (NOISE / GAIN) ** 2 / 3, "bias2.fits")
    files = camera.without_bias(camera.raws(5, n=4, name="y"))
    two = ccd.apply_flat(files, flat=camera.flat)
    stack = combine([*one, *two], combined="s.fits")[0]
    assert pull(stack, 5) == pytest.approx(1, abs=0.035)
    first = combine(one, combined="f.fits")[0]
    # Half as much of the biases, and of the rest.
    assert np.median(first.variance / stack.variance) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("save", [True, False], ids=["files", "memory"])
def test_darks_that_share_a_bias_and_frames_that_share_the_dark(save):
    current = 3.0  # electrons a second
    camera = Camera(save=save)

    def exposed(seconds, n, name):
        files = [camera.raw(0, f"{name}{k}.fits", EXPTIME=seconds) for k in range(n)]
        for df in files:
            df[0].data += camera.rng.poisson(current * seconds, SHAPE) / GAIN
            if save:
                df.save(overwrite=True)
        files = ccd.subtract_bias(
            DataFileList(data=files), bias=camera.bias, **camera.words
        )
        return ccd.add_variance(files, adc_step=0, **camera.words)

    words = camera.words
    darks = exposed(10.0, 5, "d")
    dark = ccd.make_dark(darks, dark="dark.fits", **words)
    assert dark[0].meta["SHARED1"] == "bias.fits"
    truth = 10 * current / GAIN
    assert pull(dark[0], truth) == pytest.approx(1, abs=0.035)
    frames = exposed(40.0, 6, "o")
    files = ccd.subtract_dark(frames, dark=dark, **words)
    assert files[0][0].meta["DARKFACT"] == pytest.approx(4)
    stack = combine(files, combined="s.fits", **words)[0]
    assert pull(stack, 0) == pytest.approx(1, abs=0.035)
    # The bias is in frame and dark, with different signs.
    shared = camera.bias[0].variance[0, 0]
    alone = combine(files, combined="a.fits", shared="none", **words)[0]
    whole = np.median(files[0][0].variance)
    of_dark = 16 * np.median(dark[0].variance)
    own = whole - shared - of_dark
    assert np.median(stack.variance) == pytest.approx(
        own / 6 + (4 - 1) ** 2 * shared + of_dark - 16 * shared, rel=0.05
    )
    assert np.median(alone.variance) == pytest.approx(whole / 6, rel=0.05)


@pytest.mark.parametrize("on_grid", [False, True])
def test_a_dark_of_the_same_exposure_takes_the_noise_of_the_bias_away(on_grid):
    camera = Camera(save=False, biases=1)

    def exposed(n, name):
        files = [camera.raw(0, f"{name}{k}.fits") for k in range(n)]
        for df in files:
            df[0].wcs = sky_wcs()
        bare = ccd.subtract_bias(DataFileList(data=files), bias=camera.bias, save=False)
        return ccd.add_variance(bare, poisson=False, adc_step=0, save=False)

    dark = ccd.make_dark(exposed(9, "d"), dark="dark.fits", save=False)
    files = ccd.subtract_dark(exposed(6, "o"), dark=dark, save=False)
    files = ccd.correct_gain(files, save=False)
    if on_grid:
        stack = stack_images(files, stack="s.fits", method="mean", save=False)[0]
    else:
        stack = combine(files, combined="s.fits", method="mean", save=False)[0]
    assert pull(stack, 0) == pytest.approx(1, abs=0.035)
    own = NOISE**2
    assert np.median(stack.variance) == pytest.approx(own / 9 + own / 6, rel=0.03)


def test_flats_that_share_a_bias():
    camera = Camera(biases=1)
    files = camera.without_bias(camera.raws(400, n=8, name="f"))
    made = ccd.make_flat(files, flat="made.fits", normalise="plain")[0]
    truth = SENSITIVITY / np.median(SENSITIVITY)
    assert pull(made, truth) == pytest.approx(1, abs=0.04)
    assert made.meta["SHARED1"] == "bias.fits"


def test_a_background_that_was_subtracted_had_the_noise_of_the_flat():
    camera = Camera(lamp=2e4)
    files = subtract_background(camera.frames(30000, n=3), box_size=50)
    stack = combine(files, combined="s.fits")[0]
    assert pull(stack, 0) == pytest.approx(1, abs=0.05)


def test_a_stack_of_stacks_shares_what_its_frames_did():
    camera = Camera()
    parts = [
        combine(
            ccd.apply_flat(
                camera.without_bias(camera.raws(5, n=4, name=name)), flat=camera.flat
            ),
            combined=f"{name}.fits",
        )
        for name in "yz"
    ]
    stack = combine(parts, combined="s.fits")[0]
    assert pull(stack, 5) == pytest.approx(1, abs=0.035)


def test_frames_of_the_calibrator_share_its_masters():
    camera = Camera()
    files = DataFileList(
        data=[
            calibrate_image(
                df, overscans=[], gain=GAIN, read_noise=NOISE,
                master_bias=camera.bias, master_flat=camera.flat,
            )
            for df in camera.raws(100, n=6)
        ]
    )  # fmt: skip
    stack = combine(files, combined="s.fits")[0]
    assert [stack.meta[f"SHARED{n}"] for n in (1, 2)] == ["bias.fits", "flat.fits"]
    assert pull(stack, 100 / GAIN) == pytest.approx(1, abs=0.035)


@run_task(prefix="m", cals=["bias"])
def my_bias(ndd, bias):
    return ndd - bias


@run_task(prefix="h")
def per_second(ndd):
    return ndd / 100.0


def test_what_a_step_of_the_user_does_is_not_known(caplog):
    camera = Camera()
    files = my_bias(camera.raws(5, n=3), bias=camera.bias)
    files = ccd.add_variance(files, adc_step=0)
    with caplog.at_level(logging.WARNING):
        combine(files, combined="s.fits")
    assert "bias bias.fits (my_bias) counts as that of each frame" in caplog.text
    stack = combine(files, combined="t.fits", shared=["bias.fits"])[0]
    assert pull(stack, 5 * SENSITIVITY / GAIN) == pytest.approx(1, abs=0.035)


def test_frames_that_were_scaled_since_are_noticed(caplog):
    camera = Camera()
    files = per_second(camera.without_bias(camera.raws(5, n=3)))
    with caplog.at_level(logging.WARNING):
        stack = combine(files, combined="s.fits")[0]
    assert "or was scaled since; no noise is taken as shared" in caplog.text
    assert "SHARED1" not in stack.meta


def test_masters_without_record_are_asked_for(caplog):
    camera = Camera(save=False)
    ndds = [ccd.subtract_bias(df[0], bias=camera.bias[0]) for df in camera.raws(5, n=3)]
    files = [DataFile(data=[ccd.add_variance(ndd, adc_step=0)]) for ndd in ndds]
    with caplog.at_level(logging.WARNING):
        combine(files, combined="s.fits", save=False)
    assert "there is no record that says which" in caplog.text
    stack = combine(files, combined="s.fits", shared=[camera.bias], save=False)[0]
    assert pull(stack, 5 * SENSITIVITY / GAIN) == pytest.approx(1, abs=0.035)


def test_a_given_master_without_variance_raises():
    camera = Camera()
    bare = DataFile("bare.fits", data=[NDLater(np.ones(SHAPE))], mode="new")
    bare.save()
    with pytest.raises(ParameterError, match=r"bare\.fits has no variance"):
        combine(camera.frames(5, n=2), combined="s.fits", shared=["bare.fits"])


def test_extensions_have_their_own_masters():
    camera = Camera()
    for name in ("bias.fits", "flat.fits", *(f"x{k}.fits" for k in range(4))):
        if name.startswith("x"):
            camera.raw(5, name)
        df = DataFile(name)
        second = df[0].replace(data=df[0].data.copy())
        if name != "flat.fits" and not name.startswith("x"):
            second = second.replace(variance=second.variance * 4)
        df.append(second)
        df.save(f"two-{name}")
    files = DataFileList([f"two-x{k}.fits" for k in range(4)])
    camera.bias = DataFile("two-bias.fits")
    camera.flat = DataFile("two-flat.fits")
    files = ccd.apply_flat(camera.without_bias(files), flat=camera.flat)
    stack = combine(files, combined="s.fits")
    more = np.median(stack[1].variance) - np.median(stack[0].variance)
    bias = DataFile("two-bias.fits")
    expected = (bias[1].variance - bias[0].variance)[0, 0] * GAIN**2
    assert more == pytest.approx(expected / np.median(SENSITIVITY) ** 2, rel=0.1)


def warnings_of(caplog):
    return "\n".join(r.getMessage() for r in caplog.records if r.levelname == "WARNING")


# 12000 pixels tell the width to .7 percent.
def test_fringes_and_illumination_are_shared_masters():
    camera = Camera()
    files = camera.without_bias(camera.raws(3000, n=6))
    files = ccd.apply_flat(files, flat=camera.flat)
    light = camera.master(np.ones(SHAPE), 1e-4, "light.fits", FLATNORM="plain",
                          FLATKIND="illumination")  # fmt: skip
    files = apply_illumination(files, illumination=light)
    fringes = np.where(np.arange(SHAPE[1]) % 2, 20, -20) * np.ones(SHAPE)
    fringe = camera.master(fringes, 20.0**2, "fringe.fits", unit="electron")
    bare = subtract_fringe(files, fringe=fringe, scale=1.5)
    stack = combine(bare, combined="stack.fits", method="mean")[0]
    rest = np.asarray(stack.data) - (3000 - 1.5 * fringes)
    assert np.std(rest / np.sqrt(stack.variance)) == pytest.approx(1, abs=0.035)
    names = {value for key, value in stack.meta.items() if key.startswith("SHARED")}
    assert names == {"bias.fits", "flat.fits", "light.fits", "fringe.fits"}
    alone = combine(bare, combined="alone.fits", method="mean", shared="none")[0]
    assert np.std(rest / np.sqrt(alone.variance)) > 1.2


def test_a_master_that_is_applied_twice_is_told_and_counts_twice(caplog):
    camera = Camera(save=False, lamp=5e3)
    files = camera.frames(1000, n=6)
    files = ccd.apply_flat(files, flat=camera.flat, again=True, save=False)
    for df in files:
        df[0].wcs = sky_wcs()
    words = {"method": "mean", "save": False}
    stack = combine(files, combined="a.fits", **words)[0]
    assert "flat.fits was applied to ffgvbx0.fits 2 times" in warnings_of(caplog)
    assert pull(stack, 1000 / SENSITIVITY) == pytest.approx(1, abs=0.035)
    grid = stack_images(files, stack="g.fits", **words)[0]
    assert pull(grid, 1000 / SENSITIVITY) == pytest.approx(1, abs=0.035)


@pytest.mark.parametrize("kind", ["sum", "grid"])
def test_masters_that_cannot_be_followed_are_told(kind, caplog):
    camera = Camera()
    made = []
    for name in "ab":
        files = camera.frames(1000, n=2)
        if kind == "sum":
            made.append(combine(files, combined=f"{name}.fits", method="sum"))
            continue
        for df in files:
            df[0].wcs = sky_wcs()
        made.append(stack_images(files, stack=f"{name}.fits"))
    stack = combine(DataFileList(data=made), combined="c.fits")[0]
    # Those that the header of the first one names are not meant.
    assert "SHARED1" not in stack.meta
    why = "has another part" if kind == "sum" else "is at other pixels"
    for name in ("bias", "flat"):
        assert f"{name}.fits, the {name} of 2 frames, {why}" in warnings_of(caplog)


def halves(df, name):
    """Write a file with two amplifiers, of which one is turned round, and a gap."""
    parts = []
    for ident, (columns, section) in enumerate(
        [(slice(0, 60), "[1:60,1:100]"), (slice(60, 120), "[124:65,1:100]")], 1
    ):
        turn = slice(None, None, -1 if ident == 2 else 1)
        planes = [
            None if plane is None else np.array(plane[:, columns][:, turn])
            for plane in (df[0].data, df[0].variance)
        ]
        ndd = NDLater(planes[0], variance=planes[1], unit=df[0].unit, ident=ident)
        ndd.meta.update(dict(df[0].meta) | {"DETSEC": section, "GAIN": 1.0 + ident})
        parts.append(ndd)
    made = DataFile(name, data=parts, mode="overwrite")
    made.save()
    return DataFile(name)


@pytest.fixture
def halved():
    """Give a camera of two amplifiers, whose flat adds as much as frames have."""
    camera = Camera(lamp=3e3)
    camera.bias = halves(camera.bias, "bias2.fits")
    camera.flat = halves(camera.flat, "flat2.fits")
    return camera


def two_halves(camera, n=3, electrons=3000):
    raws = [halves(camera.raw(electrons, "x.fits"), f"two{k}.fits") for k in range(n)]
    files = camera.without_bias(DataFileList(data=raws))
    return ccd.apply_flat(files, flat=camera.flat)


MOVES = {"2": (0.3, -0.6, 0.5)}


@pytest.mark.parametrize("save", [True, False], ids=["files", "memory"])
@pytest.mark.parametrize("moves", [None, MOVES], ids=["whole", "moved"])
def test_a_stack_of_mosaics_is_the_mosaic_of_stacks(halved, moves, save, caplog):
    halved.words = {} if save else {"save": False}
    files = two_halves(halved)
    words = {"method": "mean", **halved.words}
    mosaics = make_mosaic(files, moves=moves, **halved.words)
    stack = combine(mosaics, combined="s.fits", **words)[0]
    # Gains of parts that are interpolated are not known of each pixel.
    names = ["bias2.fits", "flat2.fits"] if moves is None else ["flat2.fits"]
    assert [stack.meta.get(f"SHARED{n}") for n in (1, 2)] == [*names, None][:2]
    parts = combine(files, combined="p.fits", **words)
    expected = make_mosaic(parts, moves=moves, **halved.words)[0]
    known = np.isfinite(expected.variance)
    # Where pixels are interpolated, values are not those that the flat divided.
    near = 5e-6 if moves is None else 0.1
    np.testing.assert_allclose(
        stack.variance[known], expected.variance[known], rtol=near
    )
    typical = np.median(stack.variance[known] / expected.variance[known])
    assert typical == pytest.approx(1, rel=1e-2)
    assert known.sum() > 11000
    assert ("bias2.fits" in warnings_of(caplog)) == (moves is not None)
    assert "flat2.fits" not in warnings_of(caplog)
    alone = combine(mosaics, combined="a.fits", shared="none", **words)[0]
    assert np.median(alone.variance[known] / stack.variance[known]) < 0.7


def test_places_on_a_mosaic_that_were_given_are_those_of_its_masters(halved):
    halved.words = {"save": False}
    files = two_halves(halved)
    places = {"1": "[61:120,1:100]", "2": "[1:60,1:100]"}
    mosaics = make_mosaic(files, places=places, save=False)
    stack = combine(mosaics, combined="s.fits", method="mean", save=False)[0]
    parts = combine(files, combined="p.fits", method="mean", save=False)
    expected = make_mosaic(parts, places=places, save=False)[0]
    np.testing.assert_allclose(stack.variance, expected.variance, rtol=5e-6)


def test_what_was_divided_by_after_the_mosaic_divides_its_masters(halved):
    halved.words = {"save": False}
    mosaics = make_mosaic(two_halves(halved), save=False)
    shape = mosaics[0][0].shape
    ndd = NDLater(np.full(shape, 0.5), variance=np.full(shape, 1e-8), ident=1)
    ndd.meta.update({"FLATNORM": "plain", "FLATKIND": "illumination"})
    light = DataFile("light.fits", data=[ndd], mode="overwrite")
    bright = apply_illumination(mosaics, illumination=light, save=False)
    words = {"method": "mean", "save": False}
    stack = combine(mosaics, combined="s.fits", **words)[0]
    twice = combine(bright, combined="t.fits", **words)[0]
    assert [twice.meta[f"SHARED{n}"] for n in (1, 2, 3)] == [
        "bias2.fits", "flat2.fits", "light.fits",
    ]  # fmt: skip
    ratio = np.asarray(twice.variance) / np.asarray(stack.variance)
    assert np.nanmedian(ratio) == pytest.approx(4, rel=1e-3)


def test_factors_of_the_extensions_of_a_mosaic_are_followed(halved):
    halved.words = {"save": False}
    files = two_halves(halved)
    pattern = halved.master(STRUCTURE, 900.0, "fringe.fits", unit="electron")
    fringe = halves(pattern, "fringe2.fits")
    # As fits may find them: another scale for each extension.
    bare = [subtract_fringe(files, fringe=fringe, scale=s, save=False) for s in (1, 3)]
    for one, other in zip(*bare, strict=True):
        second = other[1]
        one[1].data, one[1].variance = second.data, second.variance
        one[1].meta["FRNSCALE"] = 3.0
    mosaics = make_mosaic(bare[0], save=False)
    assert "FRNSCALE" not in mosaics[0][0].meta
    stack = combine(mosaics, combined="s.fits", method="mean", save=False)[0]
    parts = combine(bare[0], combined="p.fits", method="mean", save=False)
    expected = make_mosaic(parts, save=False)[0]
    np.testing.assert_allclose(stack.variance, expected.variance, rtol=5e-6)


@pytest.mark.parametrize("kind", ["gains", "background"])
def test_numbers_of_extensions_that_cannot_be_followed_are_told(halved, kind, caplog):
    halved.words = {"save": False}
    files = two_halves(halved, n=2)
    if kind == "background":
        files = subtract_background(files, box_size=50, save=False)
    mosaics = make_mosaic(files, moves=MOVES if kind == "gains" else None, save=False)
    combine(mosaics, combined="s.fits", save=False)
    told = {
        "gains": "bias2.fits, the bias of 2 frames, was multiplied by numbers of parts",
        "background": "flat2.fits, the flat of 2 frames, was applied to several levels",
    }
    assert told[kind] in warnings_of(caplog)


def test_a_mosaic_of_mosaics_is_told(halved, caplog):
    halved.words = {"save": False}
    files = make_mosaic(two_halves(halved, n=2), save=False)
    combine(make_mosaic(files, save=False), combined="s.fits", save=False)
    assert "flat2.fits, the flat of 2 frames, was put into a mosaic twice" in (
        warnings_of(caplog)
    )


def test_a_master_that_makes_no_mosaic_is_told(halved, caplog):
    for name in ("bias2.fits", "flat2.fits"):
        df = DataFile(name)
        for ndd in df:
            del ndd.meta["DETSEC"]
        df.save(overwrite=True)
    halved.bias, halved.flat = DataFile("bias2.fits"), DataFile("flat2.fits")
    files = make_mosaic(two_halves(halved, n=2))
    stack = combine(files, combined="s.fits")[0]
    assert "flat2.fits, the flat of 2 frames, does not fit" in warnings_of(caplog)
    assert "SHARED1" not in stack.meta


@pytest.mark.parametrize(("electrons", "without"), [(5, 0.93), (30000, 0.93)])
def test_masters_that_went_with_the_sky_are_gone(electrons, without):
    camera = Camera(save=False, biases=2, lamp=5e4)
    files = camera.frames(electrons, n=7)
    bare = subtract_sky(files, sky=files, nearest="list", method="mean", save=False)
    pulls = [pull(df[0], 0) for df in bare]
    # 12000 pixels, of which each is in all frames: .7 per cent.
    assert np.mean(pulls) == pytest.approx(1, abs=0.03)
    assert [bare[0][0].meta[f"SKYCOM{n}"] for n in (1, 2)] == ["bias.fits", "flat.fits"]
    claimed = files[0][0].variance * (1 + 1 / 6) / bare[0][0].variance
    assert np.median(claimed) ** -0.5 < without
    # Frames on the detector covary by their skies, but not by their masters.
    stack = combine(bare, combined="s.fits", method="mean", save=False)[0]
    own = np.median(bare[0][0].variance) / 7
    assert np.median(stack.variance) == pytest.approx(own, rel=0.02)


def test_skies_of_frames_with_another_bias_are_not_taken_for_those_of_one():
    camera = Camera(save=False)
    files = camera.frames(5, n=4)
    camera.bias = camera.master(STRUCTURE, (NOISE / GAIN) ** 2 / 3, "bias2.fits")
    others = camera.without_bias(camera.raws(5, n=4, name="y"))
    others = ccd.apply_flat(others, flat=camera.flat, save=False)
    sky = DataFileList(data=[files[0], *others])
    words = {"nearest": "list", "method": "mean", "scale": "none", "save": False}
    bare = subtract_sky(DataFileList(data=[files[0]]), sky=sky, **words)
    expected = files[0][0].variance + np.mean([df[0].variance for df in others], 0) / 4
    np.testing.assert_allclose(bare[0][0].variance, expected, rtol=1e-5)
    assert "SKYCOM1" not in bare[0][0].meta
