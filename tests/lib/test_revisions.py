"""
A step of the library whose numbers change has a new revision.

`revisions.json` has the digest of what every step makes of small fixed frames, by the
revision of the step. Where a test fails since numbers were to change, raise the
revision (``run_task(..., options={"revision": 2})``), so that whoever has products of
before is told; then add the new digests, which leaves the old ones, by ::

    NDM_NEW_REVISIONS=1 pytest -n 0 tests/lib/test_revisions.py

A new step needs a case here. The frames are made of small whole numbers, and what comes
out is compared to five digits: neither the order of additions nor a library of another
machine shows in it.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from shared_fields import field, image_of, sky, write_field

from ndmapper import config
from ndmapper.cli.catalogue import library_steps
from ndmapper.data import DataFile, NDLater, PlainFile
from ndmapper.lib import ccd, combine, cosmetics, image, spec
from ndmapper.lib.calibrator import calibrate_image
from ndmapper.lib.muse import offsets
from ndmapper.lib.muse import sky as muse_sky

STORED = Path(__file__).with_name("revisions.json")
NY, NX = 16, 32


def write_frame(name, *, light=0, step=3, shape=(NY, NX)):
    """Write a raw frame: whole numbers, and an overscan that rises by whole numbers."""
    level, overscan = 1000, 8
    y, x = np.mgrid[: shape[0], : shape[1] + overscan]
    pixels = level + 2 * y + ((7 * x + 5 * y * step) % 16) * 4
    pixels[:, : shape[1]] += light
    pixels[:, shape[1] :] = level + 2 * y[:, shape[1] :]
    header = fits.Header()
    header["INSTRUME"], header["GAIN"], header["RDNOISE"] = "TESTCAM", 2.0, 4.0
    header["SATURATE"] = 60000
    header["DATASEC"] = f"[1:{shape[1]},1:{shape[0]}]"
    header["BIASSEC"] = f"[{shape[1] + 1}:{shape[1] + overscan},1:{shape[0]}]"
    fits.PrimaryHDU(pixels.astype(np.uint16), header).writeto(name)
    return name


def overscan(folder):
    raw = write_frame("x.fits", light=500)
    odd = write_frame("odd.fits", shape=(64, NX))
    with fits.open(odd, mode="update") as hdus:
        hdus[0].data[20:24, NX:] += 400  # light in the overscan
    yield ccd.subtract_overscan(odd, method="polynomial", degree=1, out_names="o.fits")
    yield from (
        ccd.subtract_overscan(raw, out_names=f"{n}.fits", **words)
        for n, words in enumerate(
            (
                {},
                {"method": "median"},
                {"method": "polynomial", "degree": 1},
                {"overscan": f"[{NX + 5}:{NX + 8},1:{NY}]"},
            )
        )
    )


def mean_of_strip(image, overscan):
    """Do what the first revision of `subtract_overscan` did, for the other steps."""
    strip = image[:, overscan["xmin"] : overscan["xmax"]]
    return image - strip.mean(), strip.var(ddof=1) / strip.size


def trimmed(name, **words):
    raw = write_frame(name, **words)
    return ccd.trim(ccd.subtract_overscan(raw, method=mean_of_strip))


def trim(folder):
    yield trimmed("x.fits")


def noisy(name, **words):
    # Other steps get what the first revision of `add_variance` made.
    return ccd.add_variance(trimmed(name, **words), adc_step=0)


def variance(folder):
    plain = trimmed("x.fits", light=512)
    yield ccd.add_variance(plain)
    yield ccd.add_variance(plain, poisson=False, gain=4, read_noise=8, out_names="b")


def gain(folder):
    yield ccd.correct_gain(noisy("x.fits", light=512))
    yield ccd.correct_gain(noisy("y.fits"), gain=4.0)


def frames(count=4, **words):
    return [noisy(f"c{n}.fits", step=n + 1, **words) for n in range(count)]


def biases(folder):
    files = frames()
    for n, method in enumerate(("mean", "median", "sigclip")):
        yield ccd.make_bias(files, bias=f"{n}.fits", method=method)


def bias(folder):
    yield ccd.subtract_bias(noisy("x.fits", light=64), bias=noisy("y.fits", step=1))


def without_bias(files):
    """Subtract a bias that all share."""
    return ccd.subtract_bias(files, bias=noisy("bias.fits", step=7))


def unequal(files):
    """Take one frame for noisier than the others, and mask a part of it."""
    other = files[2].copy()
    other[0].variance[:] *= 50
    other[0].mask[:8] = True
    other.filename = "unequal.fits"
    return [files[0], files[1], other, files[3]]


def combined(folder):
    files = frames(light=256)
    for n, method in enumerate(("mean", "median", "sigclip")):
        yield combine.combine(files, combined=f"{n}.fits", method=method)
    yield combine.combine(files, combined="s.fits", method="mean", scale=[1, 2, 0.5, 1])
    bare = without_bias(files)
    yield combine.combine(bare, combined="b.fits", method="mean")
    places = {str(bare[0].idents[0]): f"[1:{NX},1:{NY}]"}
    mosaics = image.make_mosaic(bare, places=places)
    yield combine.combine(mosaics, combined="m.fits", method="mean")


def darks(folder):
    files = frames(light=64)
    yield ccd.make_dark(files, dark="d.fits", method="mean", exposure=100.0)
    yield ccd.make_dark(
        without_bias(files), dark="b.fits", method="mean", exposure=100.0
    )
    yield ccd.make_dark(unequal(files), dark="u.fits", exposure=100.0)


def dark(folder):
    made = ccd.make_dark(frames(light=64), dark="d.fits", exposure=100.0)
    words = {"dark": made, "exposure": 100.0}
    yield ccd.subtract_dark(noisy("x.fits", light=512), **words)


def flats(folder):
    files = frames(light=4096, shape=(32, 64))
    yield ccd.make_flat(files, flat="plain.fits", normalise="plain")
    bias = noisy("bias.fits", step=7, shape=(32, 64))
    yield ccd.make_flat(
        ccd.subtract_bias(files, bias=bias), flat="shared.fits", normalise="plain"
    )
    yield ccd.make_flat(
        files, flat="spectral.fits", normalise="spectral", method="mean",
        slit_degree=2, slit_degree_along=1, knot_spacing=16.0,
    )  # fmt: skip
    yield ccd.make_flat(unequal(files), flat="u.fits", normalise="plain")
    # Most of the second frame is saturated, which does not count for its scale.
    burnt = files[1].copy()
    burnt[0].data[:24] *= 4
    burnt[0].mask[:24] = True
    burnt.filename = "burnt.fits"
    yield ccd.make_flat([files[0], burnt], flat="scaled.fits", normalise="plain")


def flat(folder):
    made = ccd.make_flat(
        frames(light=4096), flat="f.fits", normalise="plain", method="mean"
    )
    yield ccd.apply_flat(noisy("x.fits", light=512), flat=made)


def mask(folder):
    raw = write_frame("x.fits")
    yield cosmetics.init_bpm(raw, regions=[["2:5,3:4", "*,9"]], filename="a.fits")
    yield cosmetics.init_bpm(
        raw, regions=[["2:5,3:4"]], filename="b.fits", convention="FITS", value=4
    )


def masked(folder):
    file = noisy("x.fits")
    yield cosmetics.add_bpm(
        file, bpm=cosmetics.init_bpm(file, regions=[["2:5,3:4"]], filename="b.fits")
    )


def cosmic(folder):
    name = write_frame("x.fits", light=512, shape=(32, 32))
    with fits.open(name, mode="update") as hdus:
        for y, x in ((5, 9), (14, 20), (15, 21), (26, 3)):
            hdus[0].data[y, x] += 20000
    file = ccd.trim(ccd.subtract_overscan(name, method=mean_of_strip))
    file = ccd.add_variance(file, adc_step=0)
    yield cosmetics.clean_cosmic_rays(file)
    with fits.open(name, mode="update") as hdus:
        hdus[0].data[15:19, :32] += 4000  # a trace
    file = ccd.trim(
        ccd.subtract_overscan(name, method=mean_of_strip, out_names="s.fits")
    )
    yield cosmetics.clean_cosmic_rays(ccd.add_variance(file, adc_step=0))


def unbiased(name, **words):
    return ccd.subtract_bias(trimmed(name, **words), bias=None)


def saturated(folder):
    name = write_frame("x.fits", light=500)
    with fits.open(name, mode="update") as hdus:
        hdus[0].data[4:12, 9] = 59000
        hdus[0].data[7, 8:11] = 63000
    frame = ccd.trim(ccd.subtract_overscan(name, method=mean_of_strip))
    for n, words in enumerate(({}, {"bleeds_along": "x"}, {"grow": 0})):
        yield ccd.flag_saturated(frame, out_names=f"{n}.fits", **words)


def edges(folder):
    yield ccd.flag_edges(trimmed("x.fits"), left=2, top=1)


def straight(folder):
    raw = unbiased("x.fits", light=20000)
    for n, words in enumerate(
        (
            {"coefficients": [1.0, 0.02], "scale": 32768},
            {"coefficients": [1.0, -0.02], "scale": 32768, "gives": "measured"},
            {"points": [[10000, 10500], [19000, 20500]]},
        )
    ):
        yield ccd.correct_nonlinearity(raw, out_names=f"{n}.fits", **words)


def apart(folder):
    df = DataFile("chips.fits", mode="new")
    for ident, light in ((1, 500), (2, 20000)):
        ndd = unbiased(f"c{ident}.fits", light=light)[0].copy()
        ndd.ident = ident
        df.append(ndd)
    df.save()
    yield ccd.correct_crosstalk(
        "chips.fits", coefficients={"1": {"2": 0.002}},
        corners={"1": "lower left", "2": "upper right"},
    )  # fmt: skip


def defects(folder):
    pixels = np.full((64, 64), 1000.0) + (np.indices((64, 64)).sum(0) % 5 - 2) * 8
    pixels[20:50, 30], pixels[10, 10], pixels[60, 5] = 900, 0, 2000
    DataFile("flat.fits", data=[NDLater(pixels)], mode="new").save()
    yield ccd.make_bad_pixel_mask("flat.fits", bpm="bpm.fits")


def filled(folder):
    frame = noisy("x.fits", light=512)
    frame[0].mask = np.zeros(frame[0].shape, bool)
    frame[0].mask[:, 9:11] = frame[0].mask[5, 20:24] = True
    frame.save("masked.fits")
    yield ccd.interpolate_flagged("masked.fits")


def calibrated(folder):
    raw = write_frame("x.fits", light=512)
    area = {"xmin": 0, "xmax": NX, "ymin": 0, "ymax": NY}
    strip = {"xmin": NX, "xmax": NX + 8, "ymin": 0, "ymax": NY}
    dark = calibrate_image(
        write_frame("d.fits"), image_area=area, out_names="dark.fits"
    )
    yield calibrate_image(
        raw, overscans=[strip], image_area=area, gain=2.0, read_noise=4.0,
        saturation=1600, master_dark=dark, out_names="a.fits",
    )  # fmt: skip
    yield calibrate_image(raw, overscan_method="mean", out_names="b.fits")


def starry(name):
    """Write stars of whole numbers, with variance and a sky."""
    pixels = np.full((64, 64), 100.0) + (np.indices((64, 64)).sum(0) % 5 - 2) * 4
    for x, y, peak in ((12, 15, 4096), (44, 20, 2048), (30, 47, 8192)):
        core = np.array([1, 4, 8, 4, 1]) / 8
        pixels[y - 2 : y + 3, x - 2 : x + 3] += peak * np.outer(core, core)
    df = DataFile(name, mode="new")
    df.append(NDLater(pixels, variance=np.full((64, 64), 32.0), unit="electron"))
    df.save()
    return name


def stacked_stars(name):
    """Write stars of pixels that share noise, as those of a stack."""
    df = DataFile(starry(f"plain_{name}"))
    df[0].tables["COVARIANCE"] = Table(
        {"dx": [0, 1, 0], "dy": [0, 0, 1], "covariance": [0.5, 0.25, 0.125]}
    )
    df.save(name)
    return name


def background_map(folder):
    name = starry("x.fits")
    for n, words in enumerate(({}, {"estimator": "mode", "filter_size": 1})):
        yield image.measure_background(
            name, box_size=16, out_names=f"{n}.fits", **words
        )
    yield image.measure_background(stacked_stars("stack.fits"), box_size=16)


def without_background(folder):
    made = image.subtract_background(starry("x.fits"), box_size=16)
    # Five digits of what is close to zero are those of another machine.
    made[0].data += 1000.0137
    made.save("raised.fits")
    yield made
    yield image.subtract_background(stacked_stars("stack.fits"), box_size=16)


def sources(folder):
    made = image.find_sources(starry("x.fits"), box_size=16).table()
    # The angle of a round star, and the like, are those of another machine.
    table = Table({name: np.round(made[name], 2) for name in ("x", "y", "fwhm")})
    table["flux"] = np.round(made["flux"], -1)
    table.write("rounded.ecsv")
    yield PlainFile("rounded.ecsv")
    made = image.find_sources(stacked_stars("stack.fits"), box_size=16).table()
    Table({"error": np.round(made["flux_error"], 0)}).write("errors.ecsv")
    yield PlainFile("errors.ecsv")


def dithered(folder, dx, dy):
    """Write two starry images, of which one is shifted, without coordinates of sky."""
    for number, shift in ((1, (0, 0)), (2, (dx, dy))):
        df = DataFile(starry(f"s{number}.fits"))
        # No mean of whole numbers, which could be rounded either way.
        df[0].data = np.roll(df[0].data, (round(shift[1]), round(shift[0])), (0, 1))
        df[0].data += 0.0137
        wcs = WCS(naxis=2)
        wcs.wcs.crpix, wcs.wcs.cdelt = [32 + shift[0], 32 + shift[1]], [1, 1]
        wcs.wcs.ctype = ["LINEAR", "LINEAR"]
        df[0].wcs = wcs
        df.save(f"d{number}.fits")
    return ["d1.fits", "d2.fits"]


def aligned(folder):
    first, second = dithered(folder, 3, -2)
    found = image.align_images(second, reference=first, threshold=20.0)
    # The pixels are the same; the coordinates are good to a hundredth.
    place = DataFile("place.fits", mode="new")
    place.append(NDLater(np.round(found[0].wcs.wcs.crpix, 2)))
    place.save()
    yield place


def stacked(folder):
    names = dithered(folder, 2.4, -1.7)
    for n, words in enumerate(
        ({"method": "mean"}, {"covers": "first"}, {"shared": ["d1.fits"]})
    ):
        yield image.stack_images(names, stack=f"{n}.fits", **words)
    bare = ccd.subtract_bias(names, bias=starry("bias.fits"))
    places = {str(bare[0].idents[0]): "[1:64,1:64]"}
    yield image.stack_images(image.make_mosaic(bare, places=places), stack="m.fits")


def together(folder):
    df = DataFile("chips.fits", mode="new")
    for ident, section in ((1, "[1:64,1:64]"), (2, "[134:71,1:64]")):
        ndd = DataFile(starry(f"c{ident}.fits"))[0].copy()
        ndd.data += 0.0137
        ndd.ident, ndd.meta["DETSEC"] = ident, section
        df.append(ndd)
    df.save()
    for n, words in enumerate(({}, {"moves": {"2": [0.25, 1.5, 1.0]}})):
        yield image.make_mosaic("chips.fits", out_names=f"{n}.fits", **words)


def fluxes(folder):
    frame = starry("x.fits")
    Table({"x": [12.0, 44.0, 30.0], "y": [15.0, 20.0, 47.0]}).write("list.ecsv")
    words = {"sources": "list.ecsv", "radius": 3.5}
    yield image.aperture_photometry(frame, annulus=(6.0, 10.0), **words)
    yield image.aperture_photometry(
        frame, annulus=None, total_radius=5.5, out_names="b.ecsv", **words
    )
    # A neighbour lies in the annulus.
    pair = DataFile("x.fits")[0].copy()
    pair.data[13:18, 18:23] += 512.0
    DataFile("y.fits", data=[pair], mode="new").save()
    Table({"x": [12.0, 20.0], "y": [15.0, 15.0]}).write("pair.ecsv")
    yield image.aperture_photometry(
        "y.fits", sources="pair.ecsv", radius=3.5, annulus=(6.0, 10.0)
    )
    yield image.aperture_photometry(stacked_stars("stack.fits"), **words)


def light_curves(folder):
    names = []
    for number, factor in enumerate((1.0, 1.25, 0.75)):
        df = DataFile(starry(f"s{number}.fits"))
        df[0].data = df[0].data * factor + 0.0137
        df.meta["DATE-OBS"] = f"2021-11-07T03:2{number}:00"
        df.meta["EXPTIME"] = 60.0
        wcs = WCS(naxis=2)  # as `align_images` would have corrected them
        wcs.wcs.ctype = ["LINEAR", "LINEAR"]
        wcs.wcs.crpix = [1.0 + number, 1.0]
        df[0].wcs = wcs
        df[0].meta["ALNSTARS"] = 3
        df.save(f"n{number}.fits")
        names.append(f"n{number}.fits")
    Table({"x": [12.0, 44.0, 30.0], "y": [15.0, 20.0, 47.0]}).write("list.ecsv")
    yield image.make_light_curves(
        names, sources="list.ecsv", comparison=[2, 3], radius=3.5, annulus=(6.0, 10.0),
        target=(150.0, 2.0), site=(-70.8, -30.2, 2200.0),
    )  # fmt: skip


def zero_point(folder):
    places = {"ra": [10.0, 10.1, 10.2, 10.3], "dec": [1.0, 1.1, 1.2, 1.3]}
    flux = np.array([1000.0, 2000.0, 4000.0, 8000.0])
    meta = {"aperture_correction": 1.25, "aperture_correction_error": 0.0625}
    columns = {"flux": flux, "flux_error": [10.0, 12.0, 14.0, 16.0], **places}
    Table(columns, meta=meta).write("f.ecsv")
    mag = 20 - 2.5 * np.log10(flux) + [0.01, -0.01, 0.02, 0.0]
    Table({"mag": mag, "b": mag + np.array([0, 1, 0, 1]), **places}).write("m.ecsv")
    made = image.calibrate_photometry(
        starry("x.fits"), sources="f.ecsv", reference="m.ecsv", colour=("b", "mag")
    )
    yield from made.values()


def fitted(folder):
    yield image.psf_photometry(
        starry("x.fits"), sources=image.find_sources("x.fits", box_size=16),
        model="gaussian", box_size=16,
    )  # fmt: skip
    yield image.psf_photometry(
        stacked_stars("stack.fits"), sources="x_sources.ecsv",
        model="gaussian", box_size=16,
    )  # fmt: skip


def sky_frames(folder):
    """Write starry images, shifted by whole pixels, a minute apart."""
    names = []
    for n, (dx, dy) in enumerate(((0, 0), (7, -5), (-6, 9), (11, 4), (-9, -8))):
        df = DataFile(starry(f"r{n}.fits"))
        df[0].data = np.roll(df[0].data, (dy, dx), (0, 1)) * (1 + n / 8)
        # No mean of whole numbers, which could be rounded either way.
        df[0].data += 0.0137
        wcs = WCS(naxis=2)
        wcs.wcs.crpix, wcs.wcs.cdelt = [32 + dx, 32 + dy], [1, 1]
        wcs.wcs.ctype = ["LINEAR", "LINEAR"]
        df[0].wcs = wcs
        df[0].meta["APPFLAT"] = 1
        df.meta["DATE-OBS"] = f"2016-01-12T03:1{n}:00"
        df.save(f"n{n}.fits")
        names.append(f"n{n}.fits")
    return names


def raised(df, name):
    """Add to images; five digits of what is close to zero are of another machine."""
    for ndd in df:
        ndd.data = ndd.data + 1000.0137
    df.save(name)
    return df


def running_sky(folder):
    names = sky_frames(folder)
    for n, words in enumerate(({}, {"scale": "add", "method": "median"})):
        made = image.subtract_sky(
            names[2], sky=names, neighbours=3, out_names=f"y{n}.fits", **words
        )
        yield raised(made, f"z{n}.fits")
    bare = ccd.subtract_bias(names, bias=starry("bias.fits"))
    made = image.subtract_sky(
        bare[2], sky=bare, neighbours=3, scale="none", out_names="b.fits"
    )
    yield raised(made, "c.fits")


def object_mask(folder):
    yield image.make_object_mask(starry("x.fits"), box_size=32)


def moved_mask(folder):
    first, second, *_ = sky_frames(folder)
    mask = image.make_object_mask(first, box_size=32)
    yield image.transfer_object_mask(second, mask=mask)


def fringed(folder):
    names = sky_frames(folder)
    bands = 12 * np.cos(np.indices((64, 64)).sum(0) * 0.7)
    for n, name in enumerate(names):
        df = DataFile(name, mode="update")
        df[0].data = df[0].data + bands * (1 + n / 8)
        df.save()
    return names


def fringe_frame(folder):
    made = image.make_fringe(fringed(folder), box_size=32)
    yield raised(made, "raised.fits")


def without_fringes(folder):
    names = fringed(folder)
    DataFile(
        "bands.fits",
        mode="new",
        data=[NDLater(np.cos(np.indices((64, 64)).sum(0) * 0.7), unit="electron")],
    ).save()
    made = image.subtract_fringe(names[1], fringe="bands.fits", box_size=32)
    # The scale is that of a fit.
    made[0].data = np.round(made[0].data, 1) + 1000.0137
    made.save("raised.fits")
    yield made


def illumination_map(folder):
    yield image.make_illumination(sky_frames(folder), box_size=32)


def illuminated(folder):
    flat = np.tile(np.linspace(0.9, 1.1, 64), (64, 1)) + 0.00137
    ndd = NDLater(flat, variance=np.full((64, 64), 1e-4))
    ndd.meta["FLATKIND"] = "illumination"
    DataFile("i.fits", mode="new", data=[ndd]).save()
    yield image.apply_illumination(starry("x.fits"), illumination="i.fits")


def starlike(name, level, **header):
    """Write a spectrum of a hot star, that of Feige 66 by default."""
    wavelengths = 3500.0 + 2.0 * np.arange(1000)
    data = np.round(level * (wavelengths / 5000) ** 0.25) + 0.137
    ndd = NDLater(data, variance=data + 16.0, unit="electron")
    ndd = spec.with_wavelengths(ndd, wavelengths, "air")
    df = DataFile(name, mode="new", data=[ndd])
    cards = {
        "OBJECT": "Feige 66", "RA": 189.348, "DEC": 25.067, "EXPTIME": 30.0,
        "DATE-BEG": "2015-05-20T06:12:16",
    }  # fmt: skip
    for key, value in (cards | header).items():
        df.meta[key] = value
    df.save()
    return name


LICK = {"longitude": -121.6428, "latitude": 37.3414, "height": 1283.0}
ON_LICK = {"spectrograph": {"site": LICK, "extinction": "mtham"}}


def velocity(folder):
    made = spec.correct_velocity(starlike("x.fits", 1000), **ON_LICK)
    ndd = made[0].copy()
    # That is what it changes, by 7e-5.
    change = spec.wavelengths_of(ndd).values - 3500.0 - 2.0 * np.arange(1000)
    ndd.data = np.round(change * 100, 1)
    DataFile("y.fits", mode="new", data=[ndd]).save()
    yield from (made, "y.fits")


def scaled(df, factor):
    """Scale a spectrum, so that five digits of its variance are no zeros."""
    ndd = df[0].copy()
    variance = np.asarray(ndd.variance) * factor**2
    made = NDLater(ndd.data * factor, variance=variance, flags=ndd.flags)
    DataFile("scaled.fits", mode="new", data=[made]).save()
    yield "scaled.fits"


def response(folder):
    names = [starlike("x.fits", 9000), starlike("y.fits", 8000, EXPTIME=33.0)]
    yield from scaled(spec.make_sensitivity(names, **ON_LICK), 1e15)


def fluxes_of_spectra(folder):
    spec.make_sensitivity([starlike("x.fits", 9000)], sensitivity="s.fits", **ON_LICK)
    target = starlike("y.fits", 500, EXPTIME=600.0, DEC=10.0)
    made = spec.apply_sensitivity(target, sensitivity="s.fits", **ON_LICK)
    yield from scaled(made, 1e18)


def means_of_spectra(folder):
    names = [starlike(f"x{n}.fits", 1000 + 7 * n) for n in range(4)]
    df = DataFile(names[1], mode="update")
    df[0].data[500] = 9000
    df.save()
    yield spec.combine_spectra(names, combined="a.fits")
    yield spec.combine_spectra(names, combined="b.fits", step=3.25, scale="median")


def absorption(folder):
    name = starlike("x.fits", 1000)
    df = DataFile(name, mode="update")
    df[0].data[400:420] *= 0.75
    df.save()
    yield spec.make_telluric(name, bands=[(4290.0, 4350.0)], **ON_LICK)


def without_absorption(folder):
    (made,) = absorption(folder)
    target = starlike("y.fits", 500, DEC=10.0)
    yield spec.correct_telluric(target, telluric=made, **ON_LICK)


def slit_frame(name):
    """Write a slit with a tilted line and a star, and the wavelengths of its pixels."""
    y, x = np.mgrid[0:40, 0:64]
    shift = y // 16
    line = np.exp(-(((x - 30 - shift) / 2.0) ** 2))
    star = np.exp(-(((y - 20) / 2.5) ** 2))
    data = np.round(100 + 400 * line + 5000 * star) + (7 * x + 5 * y) % 16
    ndd = NDLater(data.astype(np.float64), variance=data + 16.0, unit="electron")
    DataFile(name, mode="new", data=[ndd]).save()
    waves = NDLater(5000.0 + 2 * (x - shift) + 1e-3 * (x - shift) ** 2)
    waves.meta["WAVETYPE"] = "AWAV"
    DataFile("waves.fits", mode="new", data=[waves]).save()
    return name


def slit_sky(folder):
    name = slit_frame("x.fits")
    words = {"windows": [(1, 12), (28, 40)], "knot_spacing": 1.0}
    yield spec.measure_sky(name, wavelengths="waves.fits", **words)
    yield spec.measure_sky(name, wavelengths=None, out_names="c.fits", **words)


def without_slit_sky(folder):
    name = slit_frame("x.fits")
    windows = [(1, 12), (28, 40)]
    made = spec.subtract_sky(name, wavelengths="waves.fits", windows=windows)
    yield raised(made, "raised.fits")


def rectified(folder):
    yield spec.rectify_wavelength(slit_frame("x.fits"), wavelengths="waves.fits")


def traced(folder):
    yield spec.trace_spectra(slit_frame("x.fits"), reference=None)


def extracted(folder):
    name = slit_frame("x.fits")
    for method in ("boxcar", "optimal"):
        yield spec.extract_spectra(
            name, trace=None, wavelengths="waves.fits", method=method,
            background="constant", out_names=f"{method}.fits",
        )  # fmt: skip


def tabulated(folder):
    yield spec.tabulate_spectrum(starlike("x.fits", 1000))


def wavelength_image(folder):
    lines = [5000.0, 5100, 5210, 5330, 5480, 5600, 5690, 5850, 5920, 6010]
    x, middle = np.arange(256), (np.array(lines) - 4950) / 4.5
    peaks = 2000.0 + 500 * (np.arange(10) % 3)
    row = sum(
        p * np.exp(-0.5 * ((x - m) / 1.3) ** 2)
        for p, m in zip(peaks, middle, strict=True)
    )
    pixels = np.tile(np.round(row), (16, 1)) + 5
    ndd = NDLater(pixels, variance=pixels + 16, unit="electron")
    DataFile("arc.fits", data=[ndd], mode="new").save()
    Table({"wavelength": lines}, meta={"medium": "air"}).write("lines.ecsv")
    made = spec.make_wavelengths(
        "arc.fits", line_list="lines.ecsv",
        spectrograph={"wavelength_range": [4900.0, 6150.0]},
    )  # fmt: skip
    # Errors of a fit without residuals are those of another machine.
    place = DataFile("place.fits", mode="new")
    place.append(NDLater(np.round(made[0].data, 1) + 0.0137))
    place.save()
    yield place


def bent(folder):
    lines = np.array([5577.339, 6300.304, 6363.776])
    x = np.arange(480)
    row = sum(
        3000 * np.exp(-0.5 * ((x - (m - 5500) / 2 - 0.4) / 1.3) ** 2) for m in lines
    )
    pixels = np.tile(np.round(row), (16, 1)) + 5 + np.indices((16, 480)).sum(0) % 3
    sky, waves = NDLater(pixels), NDLater(np.tile(5500.0 + 2 * x, (16, 1)))
    waves.meta["WAVETYPE"] = "AWAV"
    DataFile("x.fits", data=[sky], mode="new").save()
    DataFile("waves.fits", data=[waves], mode="new").save()
    made = spec.correct_flexure("x.fits", wavelengths="waves.fits")
    place = DataFile("place.fits", mode="new")
    place.append(NDLater(np.round(made[0].data, 2) + 0.00137))
    place.save()
    yield place


def offsets_of_exposures(folder):
    sources, shape = field(11, 80), (80, 80)
    for n, offset in enumerate([(0, 0, 0), (2.0, -1.5, 0.5)]):
        image = image_of(sources, shape, offset, seeing=1.7 + 0.4 * n)
        write_field(f"e{n}.fits", np.round(100 * image), sky(shape), n)
    made = offsets.measure_offsets(["e0.fits", "e1.fits"])
    table = made.tables["OFFSET_LIST"]
    # Its fits end within a thousandth of a pixel.
    numbers = {
        name: np.round(np.asarray(table[name], float) * scale, 0)
        for name, scale in (("RA_OFFSET", 5e5), ("DEC_OFFSET", 5e5), ("ROTANGLE", 50),
                            ("FLUX_SCALE", 100))
    }  # fmt: skip
    Table(numbers).write("numbers.ecsv")
    yield PlainFile("numbers.ecsv")


def sky_table(path, columns):
    df = DataFile(path, mode="new", data=[])
    df.meta["DATE-OBS"], df.meta["MJD-OBS"] = "2020-01-01T00:00:00.000", 58849.0
    df.tables["T"] = Table(columns)
    df.save()
    return path


def changed_sky_table(step, column, **words):
    """Give the step of a table, and write what it makes of a column."""

    def run(folder):
        waves = 5000.0 + 100 * np.arange(6)
        names = ["OH 1", "O2 2", "Na", "OH 3", "OI", "O2 4"]
        flux = 10.0 + np.arange(6)
        name = sky_table("x.fits", {"name": names, "lambda": waves, "flux": flux})
        row = {"RA_OFFSET": [0.0], "DEC_OFFSET": [0.0], "MJD_OBS": [58849.0]}
        sky_table("offsets.fits", row | {"BACKGROUND": [2.5]})
        made = getattr(muse_sky, step)(name, **words)
        Table({"v": np.asarray(made.tables["T"][column])}).write("v.ecsv")
        yield PlainFile("v.ecsv")

    return run


CASES = {
    "muse.sky.keep_atmospheric_lines": changed_sky_table(
        "keep_atmospheric_lines", "lambda"
    ),
    "muse.sky.normalise_sky_continuum": changed_sky_table(
        "normalise_sky_continuum", "flux", exposure="x.fits", offsets="offsets.fits"
    ),
    "muse.sky.zero_continuum": changed_sky_table("zero_continuum", "flux"),
    "muse.offsets.measure_offsets": offsets_of_exposures,
    "calibrator.calibrate_image": calibrated,
    "ccd.add_variance": variance,
    "ccd.apply_flat": flat,
    "ccd.correct_crosstalk": apart,
    "ccd.correct_gain": gain,
    "ccd.correct_nonlinearity": straight,
    "ccd.flag_edges": edges,
    "ccd.flag_saturated": saturated,
    "ccd.interpolate_flagged": filled,
    "ccd.make_bad_pixel_mask": defects,
    "ccd.make_bias": biases,
    "ccd.make_dark": darks,
    "ccd.make_flat": flats,
    "ccd.subtract_bias": bias,
    "ccd.subtract_dark": dark,
    "ccd.subtract_overscan": overscan,
    "ccd.trim": trim,
    "combine.combine": combined,
    "cosmetics.add_bpm": masked,
    "cosmetics.clean_cosmic_rays": cosmic,
    "cosmetics.init_bpm": mask,
    "image.align_images": aligned,
    "image.aperture_photometry": fluxes,
    "image.apply_illumination": illuminated,
    "image.calibrate_photometry": zero_point,
    "image.find_sources": sources,
    "image.make_light_curves": light_curves,
    "image.make_fringe": fringe_frame,
    "image.make_illumination": illumination_map,
    "image.make_mosaic": together,
    "image.make_object_mask": object_mask,
    "image.measure_background": background_map,
    "image.psf_photometry": fitted,
    "image.stack_images": stacked,
    "image.subtract_background": without_background,
    "image.subtract_fringe": without_fringes,
    "image.subtract_sky": running_sky,
    "image.transfer_object_mask": moved_mask,
    "spec.apply_sensitivity": fluxes_of_spectra,
    "spec.combine_spectra": means_of_spectra,
    "spec.correct_flexure": bent,
    "spec.correct_telluric": without_absorption,
    "spec.correct_velocity": velocity,
    "spec.make_sensitivity": response,
    "spec.extract_spectra": extracted,
    "spec.make_telluric": absorption,
    "spec.make_wavelengths": wavelength_image,
    "spec.measure_sky": slit_sky,
    "spec.rectify_wavelength": rectified,
    "spec.subtract_sky": without_slit_sky,
    "spec.tabulate_spectrum": tabulated,
    "spec.trace_spectra": traced,
}


def outcome(files):
    """Digest pixels, variances and flags to five digits; numbers of tables to four."""
    found = hashlib.sha256()
    for file in files:
        if isinstance(file, PlainFile):
            table = file.table()
            for name in table.colnames:
                values = [
                    f"{v:.3e}" if isinstance(v, float) else str(v) for v in table[name]
                ]
                found.update(f"{name} {' '.join(values)}\n".encode())
            continue
        for ndd in DataFile(str(file)):
            variance = None if ndd.uncertainty is None else ndd.uncertainty.array
            for array in (ndd.data, variance, ndd.flags):
                if array is None:
                    found.update(b"none\n")
                    continue
                values = np.asarray(array, np.float64) + 0.0  # no negative zero
                lines = " ".join(f"{value:.4e}" for value in values.ravel())
                found.update(f"{values.shape} {lines}\n".encode())
    return found.hexdigest()[:16]


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with config.using(reprocess=None, logfile=None):
        yield


def test_every_step_of_the_library_has_a_case():
    # One that is made of external tools makes what these make, by their versions.
    own = {n for n, s in library_steps().items() if s.declaration.is_python}
    assert own == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_the_revision(name, tmp_path):
    revision = str(library_steps()[name].declaration.revision or 1)
    found = outcome(CASES[name](tmp_path))
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    if os.environ.get("NDM_NEW_REVISIONS"):
        stored.setdefault(name, {}).setdefault(revision, found)
        STORED.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    known = stored.get(name, {}).get(revision)
    assert found == known, (
        f"{name} makes other numbers than its revision {revision} did: raise the "
        "revision and store the new digest, as the head of this file says"
    )


def test_revisions_only_rise():
    stored = json.loads(STORED.read_text())
    steps = library_steps()
    for name, digests in stored.items():
        numbers = sorted(map(int, digests))
        assert numbers == list(range(1, len(numbers) + 1))
        assert (steps[name].declaration.revision or 1) == numbers[-1]
        assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize("change", [0.01, 1.0])
def test_a_change_of_a_number_shows(monkeypatch, tmp_path, change):
    found = outcome(trim(tmp_path))
    with fits.open("tox.fits", mode="update") as hdus:
        hdus[1].data[3, 4] += change
    assert outcome(["tox.fits"]) != found
