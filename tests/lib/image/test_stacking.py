"""Stacks of dithered images, against the truth."""

import numpy as np
import pytest
from astropy import units as u
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.image.correlation import COVARIANCE, noise_factor
from ndmapper.lib.image.stacking import stack_images

SHAPE = 90, 110
SKY, READ_NOISE = 200.0, 4.0
STARS = [(30.3, 25.6, 40_000.0), (70.8, 50.2, 15_000.0), (50.1, 70.4, 4000.0)]
FWHM = 3.5


def coordinates(dx, dy, angle=0.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [120.0, -30.0]
    wcs.wcs.crpix = [SHAPE[1] / 2 + dx, SHAPE[0] / 2 + dy]
    turn, size = np.deg2rad(angle), 0.2 / 3600
    wcs.wcs.cd = size * np.array(
        [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )
    return wcs


def scene(wcs, transparency=1.0, sky=SKY, fwhm=FWHM):
    """Image the stars, which stand at their places on the first image."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.full(SHAPE, sky)
    sigma = fwhm / 2.3548
    first = coordinates(0, 0)
    for star_x, star_y, flux in STARS:
        at_x, at_y = wcs.all_world2pix(*first.all_pix2world(star_x, star_y, 0), 0)
        profile = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * sigma**2))
        image += transparency * flux * profile / profile.sum()
    return image


def exposure(rng, number, dither, *, angle=0.0, **seen):
    wcs = coordinates(*dither, angle)
    true = scene(wcs, **seen)
    data = rng.poisson(true) + rng.normal(0, READ_NOISE, SHAPE)
    variance = true + READ_NOISE**2
    ndd = NDLater(data, variance=variance, unit=u.electron, ident=1, wcs=wcs)
    return DataFile(f"x{number}.fits", data=[ndd])


DITHERS = [(0, 0), (3.4, -2.7), (-4.6, 1.2), (1.5, 5.5), (-2.2, -3.9), (5.1, 2.8)]


def night(seed=1, **changes):
    rng = np.random.default_rng(seed)
    return [
        exposure(rng, n, dither, **{k: v[n] for k, v in changes.items()})
        for n, dither in enumerate(DITHERS)
    ]


def flux(image, x, y, radius=8):
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return image[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2].sum()


def test_a_stack_has_the_stars_where_they_are_with_all_their_light():
    stack = stack_images(night(), covers="first", save=False)[0]
    true = scene(coordinates(0, 0))
    assert stack.shape == SHAPE
    assert stack.unit == u.electron
    assert stack.meta["NCOMBINE"] == 6
    clean = stack.data - SKY
    for x, y, _ in STARS[:2]:
        # Of 40 000 and 15 000 electrons in six exposures the noise is .2 and .5 %.
        assert flux(clean, x, y) == pytest.approx(flux(true - SKY, x, y), rel=0.02)
        rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
        near = (columns - x) ** 2 + (rows - y) ** 2 <= 36
        centre = (clean * columns)[near].sum() / clean[near].sum()
        assert centre == pytest.approx(x, abs=0.06)  # the noise of a first moment


def test_errors_of_pixels_and_of_sums_are_right():
    pixels, boxes, naive = [], [], []
    true = scene(coordinates(0, 0), transparency=0)
    for seed in range(3):
        files = night(seed, transparency=[0] * 6)
        stack = stack_images(files, method="mean", covers="first", save=False)[0]
        inside = np.s_[8:-8, 8:-8]
        error = (stack.data - true)[inside]
        variance = stack.variance[inside]
        pixels.append(np.std(error / np.sqrt(variance)))
        ny, nx = (n // 5 * 5 for n in error.shape)
        cut = np.s_[:ny, :nx]
        sums = error[cut].reshape(ny // 5, 5, nx // 5, 5).sum(axis=(1, 3))
        noise = variance[cut].reshape(ny // 5, 5, nx // 5, 5).sum(axis=(1, 3))
        factor = noise_factor(stack.tables[COVARIANCE], 5)
        naive.append(np.std(sums / np.sqrt(noise)))
        boxes.append(np.std(sums / np.sqrt(noise * factor)))
    # Three stacks of 7000 pixels and of 250 boxes, whose width is known to 1 and 3 %.
    assert np.mean(pixels) == pytest.approx(1, abs=0.05)
    assert np.mean(boxes) == pytest.approx(1, abs=0.1)
    assert np.mean(naive) > 1.3


def test_rotated_images_fit():
    files = night(angle=[0, 2, -3, 5, 1, -1])
    stack = stack_images(files, covers="first", save=False)[0]
    true = scene(coordinates(0, 0)) - SKY
    x, y, _ = STARS[0]
    assert flux(stack.data - SKY, x, y) == pytest.approx(flux(true, x, y), rel=0.02)


def test_a_satellite_and_cosmic_rays_are_gone():
    files = night()
    files[2][0].data[40, :] += 3000
    files[4][0].data[20:23, 30:32] += 9000
    stack = stack_images(files, covers="first", save=False)[0]
    true = stack_images(night(), covers="first", save=False)[0]
    inside = np.s_[8:-8, 8:-8]
    pull = (stack.data - true.data)[inside] / np.sqrt(true.variance[inside])
    assert np.abs(pull).max() < 5


def test_levels_and_transparency_are_made_equal():
    sky = [200.0, 260.0, 150.0, 230.0, 300.0, 190.0]
    clear = [1.0, 0.9, 0.8, 1.0, 0.7, 0.95]
    files = night(sky=sky, transparency=clear)
    stack = stack_images(
        files, scale=[1 / t for t in clear], level="median", covers="first", save=False
    )[0]
    true = scene(coordinates(0, 0)) - SKY
    x, y, _ = STARS[0]
    assert flux(stack.data - SKY, x, y) == pytest.approx(flux(true, x, y), rel=0.03)


def test_all_images_are_covered():
    stack = stack_images(night(), save=False)[0]
    # In x from -5.1 to 109 + 4.6, in y from -5.5 to 89 + 3.9, on whole pixels.
    assert stack.shape == (93 + 6 + 1, 114 + 6 + 1)
    assert (stack.flags[0, 0] & 16) or np.isfinite(stack.data[0, 0])
    place = stack.wcs.all_world2pix(*coordinates(0, 0).all_pix2world(30.3, 25.6, 0), 0)
    rows, columns = np.unravel_index(np.nanargmax(stack.data), stack.shape)
    assert np.hypot(place[0] - columns, place[1] - rows) < 1


def test_one_image_has_its_own_grid():
    (file,) = night()[:1]
    stack = stack_images([file], method="mean", save=False)[0]
    assert stack.shape == SHAPE
    assert np.allclose(stack.data, file[0].data, rtol=1e-3)


def test_flags_follow():
    files = night()
    for df in files:
        df[0].flags = np.zeros(SHAPE, np.uint16)
    files[0][0].flags[50, 50] = 1
    files[0][0].data[50, 50] = 1e6
    stack = stack_images(files, covers="first", save=False)[0]
    assert not stack.flags[50, 50]  # the others are good there
    assert stack.data[50, 50] < 400
    only = stack_images(files[:1], covers="first", method="mean", save=False)[0]
    assert only.flags[50, 50] == 1


def test_saved_and_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = night()[:3]
    for df in files:
        df.save()
    stack = stack_images([df.filename for df in files], stack="deep.fits")
    again = DataFile("deep.fits")
    assert noise_factor(again[0].tables[COVARIANCE], 5) > 1.2
    assert again[0].wcs.wcs.ctype[0] == "RA---TAN"
    assert np.array_equal(again[0].data, stack[0].data, equal_nan=True)


def test_what_cannot_be_stacked():
    files = night()[:2]
    with pytest.raises(ParameterError, match="as many positive factors"):
        stack_images(files, scale=[1.0], save=False)
    with pytest.raises(ParameterError, match="as many positive factors"):
        stack_images(files, scale=[1.0, -1.0], save=False)
    other = DataFile("y.fits", data=[NDLater(np.ones(SHAPE), unit=u.electron)])
    with pytest.raises(ParameterError, match=r"y\.fits.*has no world coordinates"):
        stack_images([files[0], other], save=False)
    files[1][0].unit = u.adu
    with pytest.raises(UnitError, match="is in adu, but"):
        stack_images(files, save=False)


@pytest.mark.parametrize("degrees", [0.5, 100.0])
def test_images_of_different_fields_are_refused(degrees):
    files = night()[:2]
    files[1].filename = "far.fits"
    other = coordinates(0, 0)
    other.wcs.crval = [120.0 + degrees, -30.0]
    files[1][0].wcs = other
    with pytest.raises(ParameterError, match=r"far\.fits\[1\] lies"):
        stack_images(files, save=False)


def trail(height, width=1.2):
    """Give the light of a satellite that crosses the frame, and no star."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = (y - 60 + 0.4 * x) / np.hypot(1, 0.4)
    return height * np.exp(-(away**2) / (2 * width**2))


def on_first_grid(image, dither):
    """Put an image without noise onto the grid of the stack."""
    frames = [
        DataFile(f"{n}.fits", data=[NDLater(data, ident=1, wcs=coordinates(*shift))])
        for n, (data, shift) in enumerate([(np.zeros(SHAPE), (0, 0)), (image, dither)])
    ]
    return 2 * stack_images.func(frames, method="mean", covers="first").data


@pytest.mark.parametrize(
    ("height", "least"), [(8, 0.85), (20, 0.97), (100, 0.995), (1000, 0.999)]
)
def test_trails_are_gone_with_their_wings(height, least):
    sigma = np.hypot(SKY**0.5, READ_NOISE)
    files = night()
    light = trail(height * sigma)
    files[2][0].data = files[2][0].data + light
    found = stack_images.func(files, covers="first")
    clean = stack_images.func(night(), covers="first")
    inside = np.s_[10:-10, 10:-10]
    there = on_first_grid(light, DITHERS[2])[inside]
    left = (found.data - clean.data)[inside]
    seen = there > 0.1 * sigma
    gone = 1 - left[seen].sum() / (there[seen].sum() / len(files))
    assert gone > least
    # What is left is what fewer frames have of noise, and a trail below the limit.
    pull = left / np.sqrt(clean.variance[inside])
    assert np.abs(pull).max() < 4
    away = there < 1e-6 * sigma
    assert np.mean(np.abs(left[away]) > 1e-3 * sigma) < 5e-3


def test_what_was_rejected_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    files = night()
    files[2][0].data = files[2][0].data + trail(2000, width=3.0)
    for df in files:
        df.save()
    stack = stack_images([df.filename for df in files], covers="first", stack="s.fits")
    values = stack.record[-1]["qc"]
    # Some fifteen of 90 rows of one frame of six.
    assert 0.1 < values["most_rejected"] < 0.35
    assert values["most_rejected_in"] == "x2.fits[1]"
    assert values["rejected"] == pytest.approx(values["most_rejected"] / 6, rel=0.1)
    assert "x2.fits[1]: " in caplog.text


def test_false_rejections_are_rare():
    # Of normal noise 6e-5 are beyond 4 standard deviations, each with eight neighbours.
    flags = []
    for seed in range(3):
        files = night(seed, transparency=[0] * 6)
        clipped = stack_images.func(files, covers="first")
        mean = stack_images.func(files, covers="first", method="mean")
        flags.append(np.mean(clipped.data != mean.data))
    assert np.mean(flags) < 6 * 1e-3


@pytest.mark.parametrize("with_variance", [True, False])
def test_clipped_stacks_of_unequal_noise(with_variance):
    rng = np.random.default_rng(4)
    files = []
    for n, dither in enumerate(DITHERS):
        noise = 60.0 if n in (1, 4) else 15.0
        data = rng.normal(SKY, noise, SHAPE)
        ndd = NDLater(data, unit=u.electron, ident=1, wcs=coordinates(*dither))
        if with_variance:
            ndd.variance = np.full(SHAPE, noise**2)
        files.append(DataFile(f"x{n}.fits", data=[ndd]))
    clipped = stack_images.func(files, covers="first")
    mean = stack_images.func(files, covers="first", method="mean")
    assert np.mean(clipped.data != mean.data) < 0.01
    inside = np.s_[8:-8, 8:-8]
    pull = (clipped.data - SKY)[inside] / np.sqrt(clipped.variance[inside])
    # Seven thousand pixels that share noise: 2 percent; pooled noise is that at one
    # place between the pixels.
    assert np.std(pull) == pytest.approx(1, abs=0.05 if with_variance else 0.2)


@pytest.mark.parametrize("seeing", [[2.5] * 6, [2.6, 2.9, 3.3, 2.7, 3.8, 3.0]])
def test_stars_keep_their_light_in_clipped_stacks(seeing):
    rng = np.random.default_rng(3)
    files = []
    for n, (dither, fwhm) in enumerate(zip(DITHERS, seeing, strict=True)):
        files.append(exposure(rng, n, dither, transparency=10.0, fwhm=fwhm))
    clipped = stack_images.func(files, covers="first")
    mean = stack_images.func(files, covers="first", method="mean")
    for x, y, light in STARS:
        lost = flux(mean.data, x, y) - flux(clipped.data, x, y)
        assert abs(lost) < 0.002 * 10 * light
        assert not clipped.flags[round(y) - 2 : round(y) + 3, round(x)].any()


def test_two_images_that_disagree_are_flagged():
    files = night()[:2]
    files[1][0].data[40:42, 60:62] += 5000
    stack = stack_images.func(files, covers="first")
    at_x, at_y = coordinates(0, 0).all_world2pix(
        *coordinates(*DITHERS[1]).all_pix2world(60.5, 40.5, 0), 0
    )
    near = np.s_[round(float(at_y)) - 1 : round(float(at_y)) + 2, round(float(at_x))]
    assert (stack.flags[near] & 1).any()
    # But not the stars, whose cores differ by how they were interpolated.
    x, y, _ = STARS[0]
    assert not (stack.flags[round(y) - 3 : round(y) + 4, round(x)] & 1).any()


def test_images_without_variance_are_stacked_by_their_scatter():
    files = night()
    for df in files:
        df[0].variance = None
    stack = stack_images(files, covers="first", save=False)[0]
    true = scene(coordinates(0, 0))
    inner = np.s_[12:-12, 12:-12]
    pulls = (np.asarray(stack.data) - true)[inner] / np.sqrt(stack.variance[inner])
    # Frames were interpolated, so that the scatter of six is what there is.
    assert np.std(pulls[true[inner] < 210]) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("card", "name"), [({"FILTER": "V"}, "filter"), ({"EXPTIME": 60.0}, "exptime")]
)
def test_files_that_were_not_taken_alike_are_refused(card, name):
    files = night()[:3]
    for df in files:
        df.meta.update({"FILTER": "R", "EXPTIME": 10.0})
    files[1].meta.update(card)
    with pytest.raises(ParameterError, match=f"x1.fits has {name} = .* x0.fits"):
        stack_images(files, save=False)
    stack_images(files, mixed=name, covers="first", save=False)
    if name == "exptime":
        stack_images(files, scale=[1, 1, 1], covers="first", save=False)


def test_a_copy_of_an_exposure_counts_once(caplog):
    one, two = night()[:2]
    one.meta["DATE-OBS"] = two.meta["DATE-OBS"] = "2020-01-01T00:00:00"
    copy = DataFile("copy.fits", data=[one[0]])
    copy.meta["DATE-OBS"] = one.meta["DATE-OBS"]
    files = [one, copy, two]
    stack = stack_images(files, scale=[1, 5, 1], covers="first", save=False)[0]
    assert stack.meta["NCOMBINE"] == 2
    assert "counts once" in caplog.text


def test_an_image_that_loses_many_pixels_is_named(caplog):
    files = night(sky=[SKY, SKY, 2 * SKY, SKY, SKY, SKY])
    stack_images(files, covers="first", save=False)
    assert "x2.fits[1]: " in caplog.text
    assert "its level is 399.96, that of the others about 199.95" in caplog.text
    caplog.clear()
    stack_images(files, level="median", covers="first", save=False)
    assert "were rejected" not in caplog.text


def test_pixels_of_which_images_disagree_have_the_variance_of_their_scatter():
    files = night()[:2]
    files[0][0].data[40:50, 40:50] += 5000
    stack = stack_images(files, covers="first", save=False)[0]
    # Of two values 5000 apart, the mean has half of that squared, which is 2500.
    found = np.sqrt(np.asarray(stack.variance)[42:48, 42:48])
    assert np.median(found) == pytest.approx(2500, rel=0.05)


def test_a_stack_is_as_wide_as_its_images():
    files = night()[:2]
    for df in files:
        df[0].data = np.asarray(df[0].data) * 1e25
        df[0].variance = np.asarray(df[0].variance) * 1e50
    stack = stack_images(files, covers="first", save=False)[0]
    assert stack.dtype == np.float64
    assert np.isfinite(stack.variance[20:-20, 20:-20]).all()


def test_negative_variances_are_none():
    files = night()[:3]
    for df in files:
        noise = np.array(df[0].variance)
        noise[30:40, 30:40] = -1.0
        df[0].variance = noise
    stack = stack_images(files, method="mean", covers="first", save=False)[0]
    variance = np.asarray(stack.variance)
    assert not (variance[np.isfinite(variance)] < 0).any()
    assert (np.asarray(stack.flags)[36, 36] & 16) != 0
