"""Finding sources: where, how bright, how wide, and what is wrong with them."""

from contextlib import suppress

import numpy as np
import pytest
from lib_image import as_file, make_field, sky_wcs, star, write
from photutils.segmentation import SegmentationImage, SourceCatalog

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib import image
from ndmapper.lib.image import SourceFlag
from ndmapper.numerics.sources import detect_sources

find = image.find_sources.func


def nearest(table, x, y):
    """Give the row of the source next to each position, and the distances."""
    dx, dy = np.subtract.outer(x, table["x"]), np.subtract.outer(y, table["y"])
    distance = np.hypot(dx, dy)
    rows = distance.argmin(axis=1)
    return rows, distance[np.arange(len(rows)), rows]


@pytest.fixture(scope="module")
def found(field):
    return find(as_file(field.ndd))


def test_positions_of_bright_stars_are_right(field, found):
    bright = field.flux > 2e4
    rows, distance = nearest(found, field.x[bright], field.y[bright])
    assert distance.max() < 0.04  # of the faintest of them 3 standard errors
    assert (
        np.hypot(
            (found["x"][rows] - field.x[bright]).mean(),
            (found["y"][rows] - field.y[bright]).mean(),
        )
        < 0.01
    )


def test_errors_of_positions_are_those_of_the_scatter():
    pulls = []
    for seed in range(8):
        field = make_field(seed, flux=(1500, 1e5))
        table = find(as_file(field.ndd))
        rows, distance = nearest(table, field.x, field.y)
        assert distance.max() < 1
        pulls += list((table["x"][rows] - field.x) / table["x_error"][rows])
        pulls += list((table["y"][rows] - field.y) / table["y_error"][rows])
    # 480 values: the width is known to 3 per cent.
    assert np.std(pulls) == pytest.approx(1, abs=0.1)
    assert np.mean(pulls) == pytest.approx(0, abs=0.15)


def test_fluxes_widths_and_shapes_are_right(field, found):
    rows, _ = nearest(found, field.x, field.y)
    pulls = (found["flux"][rows] - field.flux) / found["flux_error"][rows]
    # A Kron aperture lacks half a per cent of the light of a Gaussian.
    assert abs(np.median(found["flux"][rows] / field.flux) - 1) < 0.01
    assert np.std(pulls[field.flux < 1e4]) < 2
    bright = rows[field.flux > 2e4]
    # Pixels add 1/12 to the variance of the profile: 3.076 for 3.
    assert np.median(found["fwhm"][bright]) == pytest.approx(3.076, rel=0.01)
    assert np.median(found["ellipticity"][bright]) < 0.03
    assert found.meta["fwhm"] == pytest.approx(3.076, rel=0.03)


def test_errors_of_fluxes_are_those_of_sums_by_the_shares_of_pixels():
    # Star 2 is near enough that pixels of it are replaced by those across the first.
    pair = make_field(3, positions=([60, 68.0, 150], [60, 60.0, 120]), flux=(2e4, 2e4))
    noise, bad = np.full(pair.ndd.shape, 36.0), np.zeros(pair.ndd.shape, bool)
    noise[:, ::2] = 9.0
    values = pair.ndd.data - 100.0
    found = detect_sources(values, noise, bad, threshold=50, fwhm=3.0)
    catalogue = SourceCatalog(values, SegmentationImage(found.labels))
    replaced = 0
    for number, ellipse in enumerate(catalogue.kron_aperture, start=1):
        # Shares by counting points, which are good to 1e-3 of a pixel.
        shares = ellipse.to_mask(method="subpixel", subpixels=64).to_image(noise.shape)
        x, y = (int(v + 0.5) for v in ellipse.positions)
        total = np.zeros(noise.shape)
        for j, i in np.argwhere(shares > 0):
            if found.labels[j, i] in (0, number):
                total[j, i] += shares[j, i]
                continue
            box, across = ellipse.bbox, (2 * y - j, 2 * x - i)
            inside = box.iymin <= across[0] < box.iymax
            inside &= box.ixmin <= across[1] < box.ixmax
            if inside and found.labels[across] in (0, number):
                replaced += 1
                total[across] += shares[j, i]
        expected = np.sqrt((total**2 * noise).sum())
        assert found.flux_error[number - 1] == pytest.approx(expected, rel=1e-3)
    assert replaced


def test_elongated_star_has_its_shape_and_angle():
    y, x = np.mgrid[:60, :60] - 30.0
    u, v = x * np.cos(0.5) + y * np.sin(0.5), y * np.cos(0.5) - x * np.sin(0.5)
    light = 3e3 * np.exp(-0.5 * ((u / 3) ** 2 + (v / 2) ** 2))
    frame = NDLater(light, variance=np.full(light.shape, 25.0))
    (row,) = find(as_file(frame), box_size=None)
    assert row["ellipticity"] == pytest.approx(1 / 3, abs=0.01)
    assert row["theta"] == pytest.approx(np.degrees(0.5), abs=0.5)
    assert row["fwhm"] == pytest.approx(2.3548 * np.sqrt(6), rel=0.01)


@pytest.mark.parametrize(("snr", "low", "high"), [(3.5, 0, 0.3), (7.5, 0.93, 1)])
def test_completeness_is_that_of_the_threshold(snr, low, high):
    # A star of FWHM 3 in noise of 116 per pixel has an error of 2 sigma sqrt(pi 116).
    flux = snr * 2 * 3 / 2.3548 * np.sqrt(np.pi * (116 + 0.0))
    hits = []
    for seed in range(3):
        field = make_field(seed, stars=60, flux=(flux, flux * 1.001), apart=14)
        table = find(as_file(field.ndd), threshold=5, fwhm=3)
        hits += list(nearest(table, field.x, field.y)[1] < 2)
    assert low <= np.mean(hits) <= high


def test_noise_is_hardly_ever_a_source():
    # 220000 pixels; 4 sigma lets some through, so that the test can fail.
    count = {4: 0, 5: 0}
    for seed in range(5):
        empty = as_file(make_field(seed, stars=0).ndd)
        for threshold in count:
            with suppress(ParameterError):
                count[threshold] += len(find(empty, threshold=threshold, fwhm=3))
    assert count[5] <= 1
    assert count[4] <= 10


def test_neighbours_are_divided():
    pair = make_field(3, positions=([60, 66.5], [60, 61.0]), flux=(2e4, 2.1e4))
    assert len(find(as_file(pair.ndd))) == 2
    assert (find(as_file(pair.ndd))["flags"] & SourceFlag.BLENDED != 0).all()
    assert len(find(as_file(pair.ndd), deblend=False)) == 1


def test_what_is_wrong_is_flagged():
    places = ([60, 120, 150, 1.0, 180], [60, 60, 120, 120, 30])
    frame = make_field(3, positions=places, flux=(3e4, 3.1e4)).ndd
    frame.data[59:62, 59:62] = 3000
    frame.flags[59:62, 59:62] = 4
    frame.data[:, 121] = -1000
    frame.flags[:, 121] = 1
    frame.data[122, 150] = np.nan
    table = find(as_file(frame))
    rows, distance = nearest(table, *map(np.array, places))
    assert (distance < 0.6).all()
    assert list(table["flags"][rows]) == [
        SourceFlag.SATURATED, SourceFlag.BAD, SourceFlag.NO_DATA, SourceFlag.EDGE, 0,
    ]  # fmt: skip
    # A saturated star is one source, and a bad column is none.
    assert len(table) == 5


def test_flags_of_other_conventions_are_understood():
    frame = make_field(3, positions=([60], [60]), flux=(3e4, 3.1e4)).ndd
    frame.flag_table = "hst"
    frame.flags[58:63, 58:63] = 256  # full-well saturation there
    (row,) = find(as_file(frame))
    assert row["flags"] == SourceFlag.SATURATED


def test_sky_positions_are_those_of_the_coordinates(field):
    frame = field.ndd.copy()
    wcs = sky_wcs(frame.shape)
    frame.wcs = wcs
    table = find(as_file(frame))
    ra, dec = wcs.all_pix2world(table["x"], table["y"], 0)
    np.testing.assert_allclose(table["ra"], ra, atol=1e-9)
    np.testing.assert_allclose(table["dec"], dec, atol=1e-9)


def test_step_writes_a_catalogue_with_units(folder, field):
    write("a.fits", field.ndd, field.ndd)
    product = image.find_sources("a.fits")
    assert str(product) == "a_sources.ecsv"
    table = product.table()
    assert {str(e) for e in table["extension"]} == {"1", "2"}
    assert list(table["id"]) == list(range(1, len(table) + 1))
    assert (table["x"].unit, table["flux"].unit) == ("pix", "electron")
    assert "first pixel is 0 (FITS: 1)" in table["x"].description
    assert "512 BLENDED" in table["flags"].description
    assert table.meta["frame"] == "a.fits"
    (entry,) = product.record
    assert entry["qc"]["fwhm[2]"] == pytest.approx(3.076, rel=0.02)
    assert entry["qc"]["sources[1]"] == len(table) / 2


def test_without_variance_the_noise_of_the_background_counts(field, caplog):
    bare = field.ndd.replace(variance=None, flags=None)
    table = find(as_file(bare))
    assert "no variance" in caplog.text
    assert nearest(table, field.x, field.y)[1].max() < 1


def test_one_pixel_wide_noise_and_constant_images_are_no_crash():
    for frame in (np.ones((1, 1)), np.zeros((3, 50)), np.full((50, 2), 5.0)):
        with pytest.raises(ParameterError, match=r"no source|masked"):
            find(as_file(NDLater(frame, variance=np.ones(frame.shape))))


def test_all_masked_or_without_noise_is_an_error():
    ones = np.ones((30, 30))
    masked = NDLater(ones, variance=ones, flags=ones.astype("u2"))
    with pytest.raises(ParameterError, match="all pixels"):
        find(as_file(masked))
    with pytest.raises(ParameterError, match="all pixels"):
        find(as_file(masked), box_size=None)
    with pytest.raises(ParameterError, match="says nothing of its noise"):
        find(as_file(NDLater(ones)), box_size=None)


def test_star_helper_has_flux_one():
    assert star((40, 40), 20.3, 18.9, 3).sum() == pytest.approx(1, abs=1e-6)
