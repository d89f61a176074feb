"""Aperture photometry: fluxes, their errors, flags, and the aperture correction."""

import numpy as np
import pytest
from lib_image import (
    READ_NOISE,
    as_file,
    listed,
    make_field,
    sky_wcs,
    star,
    write,
)

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib import image
from ndmapper.lib.image import SourceFlag
from ndmapper.numerics.psf import Profile

photometry = image.aperture_photometry.func


GRID = [
    a.ravel() for a in np.meshgrid(np.arange(20, 290, 27.0), np.arange(20, 290, 27.0))
]


def grid_field(seed, flux, sky=100.0):
    """Stars of one flux on a grid, each somewhere in its pixel."""
    rng = np.random.default_rng(seed)
    places = [a + rng.uniform(-0.5, 0.5, a.size) for a in GRID]
    return make_field(
        seed,
        shape=(300, 300),
        positions=places,
        flux=(flux, flux * (1 + 1e-9)),
        sky=sky,
    )


@pytest.mark.parametrize(
    # In a small aperture it counts where in its pixel a bright star is.
    ("flux", "radius"),
    [(1e-3, 2.0), (1e-3, 4.5), (3000.0, 4.5), (1e5, 4.5)],
)
def test_errors_are_those_of_the_scatter(flux, radius):
    pulls = []
    for seed in range(5):
        field = grid_field(seed, flux)
        table = photometry(
            as_file(field.ndd),
            listed(x=field.x, y=field.y),
            radius=radius,
            annulus=(8.0, 12.0),
        )
        pulls += list((table["flux"] - table["flux"].mean()) / table["flux_error"])
    # 500 stars: the width is known to 3.2 per cent.
    assert np.std(pulls) == pytest.approx(1, abs=0.09)


def test_fluxes_are_those_of_the_stars():
    field = grid_field(1, 2e5)
    table = photometry(
        as_file(field.ndd),
        listed(x=field.x, y=field.y),
        radius=5.0,
        annulus=(8.0, 12.0),
    )
    # exp(-25 / (2 sigma^2)) of the light is outside, and of 100 stars the mean is known
    # to 0.02 per cent.
    sigma2 = (3 / 2.3548) ** 2 + 1 / 12
    expected = 2e5 * (1 - np.exp(-25 / 2 / sigma2))
    assert table["flux"].mean() == pytest.approx(expected, rel=1e-3)
    assert table["background"].mean() == pytest.approx(100, abs=0.3)
    assert table["area"][0] == pytest.approx(np.pi * 25, rel=1e-6)


def test_error_without_noise_of_light_is_the_analytic_one():
    variance = np.full((60, 60), 7.0)
    frame = NDLater(np.zeros((60, 60)), variance=variance)
    (row,) = photometry(
        as_file(frame), listed(x=[30.0], y=[30.0]), radius=4.0, annulus=(8.0, 12.0)
    )
    # Of the pixels on the circle less than their share: the square of the share counts.
    y, x = np.mgrid[:60, :60].astype(float)
    fine = (np.arange(20) + 0.5) / 20 - 0.5
    share = np.mean(
        [np.hypot(x - 30 + dx, y - 30 + dy) < 4 for dx in fine for dy in fine], axis=0
    )
    distance = np.hypot(x - 30, y - 30)
    count = ((distance >= 8) & (distance < 12)).sum()
    expected = 7 * ((share**2).sum() + (np.pi * 16) ** 2 / count)
    assert row["flux_error"] ** 2 == pytest.approx(expected, rel=1e-3)


def test_without_annulus_the_error_of_the_subtracted_background_counts(field):
    frame = image.subtract_background.func(field.ndd)
    places = listed(x=field.x, y=field.y)
    table = photometry(as_file(frame), places, radius=4.0, annulus=None)
    assert (table["background"] == 0).all()
    np.testing.assert_allclose(table["background_error"], frame.meta["BKGERR"])
    bare = frame.copy()
    del bare.meta["BKGERR"]
    without = photometry(as_file(bare), places, radius=4.0, annulus=None)
    np.testing.assert_allclose(
        table["flux_error"] ** 2 - without["flux_error"] ** 2,
        (np.pi * 16 * frame.meta["BKGERR"]) ** 2,
        rtol=1e-3,
    )


def test_without_variance_the_scatter_around_counts(caplog):
    field = grid_field(2, 1e-3)
    bare = field.ndd.replace(variance=None)
    places = listed(x=field.x, y=field.y)
    table = photometry(as_file(bare), places, radius=4.0, annulus=(8.0, 12.0))
    full = photometry(as_file(field.ndd), places, radius=4.0, annulus=(8.0, 12.0))
    assert np.mean(table["flux_error"]) == pytest.approx(
        np.mean(full["flux_error"]), rel=0.03
    )
    assert "no variance" in caplog.text
    with pytest.raises(ParameterError, match="say nothing of the noise"):
        photometry(as_file(bare), places, radius=4.0, annulus=None)


def test_what_is_in_the_aperture_is_flagged():
    places = (
        [60, 110, 150, 2.0, 180, -50, 30, np.nan],
        [60, 60, 120, 120, 30, 5, 30, 9],
    )
    frame = make_field(3, positions=[p[:5] for p in places], flux=(3e4, 3.1e4)).ndd
    frame.flags[60, 61] = 4
    frame.flags[:, 112] = 1
    frame.data[122, 150] = np.nan
    frame.flags[20:45, 20:45] = 16
    table = photometry(
        as_file(frame),
        listed(x=places[0], y=places[1]),
        radius=4.0,
        annulus=(8.0, 12.0),
    )
    assert list(table["flags"]) == [
        SourceFlag.SATURATED, SourceFlag.BAD, SourceFlag.NO_DATA, SourceFlag.EDGE, 0,
        SourceFlag.NOT_MEASURED, SourceFlag.NO_DATA | SourceFlag.NOT_MEASURED,
        SourceFlag.NOT_MEASURED,
    ]  # fmt: skip
    # Forced photometry gives a row for each position, in order.
    assert np.isfinite(table["flux"][:5]).all()
    assert np.isnan(table["flux"][5:]).all()
    assert table["area"][0] == pytest.approx(np.pi * 16 - 1, abs=1e-6)


def test_annulus_without_good_pixels_gives_no_flux():
    frame = make_field(3, positions=([60.0], [60.0]), flux=(3e4, 3.1e4)).ndd
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    frame.flags[np.hypot(x - 60, y - 60) > 7] = 1
    (row,) = photometry(
        as_file(frame), listed(x=[60.0], y=[60.0]), radius=4.0, annulus=(8.0, 12.0)
    )
    assert row["flags"] == SourceFlag.NO_BACKGROUND
    assert np.isnan(row["flux"])


def test_neighbour_in_the_annulus_is_left_out():
    alone = make_field(4, positions=([60.0], [60.0]), flux=(3e4, 3.1e4), sky=100.0)
    frame = alone.ndd.copy()
    frame.data += (2e4 * star(frame.shape, 70, 60, 3)).astype("f4")
    words = {"radius": 4.0, "annulus": (8.0, 16.0)}
    places = listed(x=[60.0], y=[60.0])
    (row,) = photometry(as_file(frame), places, **words)
    (clean,) = photometry(as_file(alone.ndd), places, **words)
    # What is left of its wings is less than the noise of the flux, 200.
    assert abs(row["flux"] - clean["flux"]) < 100
    assert abs(row["background"] - 100) < 2


@pytest.mark.parametrize(("ratio", "distance"), [(1, 12), (5, 14), (5, 18)])
def test_wings_of_neighbours_are_no_background(ratio, distance):
    # A Moffat profile of an FWHM of 3 pixels, whose wings clipping does not find.
    profile = Profile(xx=2.655**2, yy=2.655**2, xy=0.0, beta=2.5)
    y, x = np.mgrid[:120, :120].astype(float)
    place = listed(x=[60.3], y=[60.1])
    changes = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        angle = rng.uniform(0, 2 * np.pi)
        dx, dy = distance * np.cos(angle), distance * np.sin(angle)
        alone = 100 + 3e4 * profile.at(x - 60.3, y - 60.1)
        neighbour = 3e4 * ratio * profile.at(x - 60.3 - dx, y - 60.1 - dy)
        noise = rng.normal(0, 10.8, x.shape)
        fluxes = []
        for pixels in (alone + noise, alone + neighbour + noise, neighbour):
            frame = NDLater(pixels, variance=np.maximum(pixels, 0) + 16)
            ring = None if pixels is neighbour else (12.0, 18.0)
            (row,) = photometry(as_file(frame), place, radius=4.5, annulus=ring)
            fluxes.append(row["flux"])
        # What the neighbour has in the aperture counts.
        changes.append((fluxes[1] - fluxes[2]) / fluxes[0] - 1)
    # Six pairs tell it to 0.03 per cent; without masking it is -0.4 to -0.5 per cent.
    assert abs(np.mean(changes)) < 0.002


def test_own_wings_count_as_those_of_any_star():
    # The annulus of a bright star is as that of a faint one: what is in it of its own
    # light is a share of its flux.
    profile = Profile(xx=2.655**2, yy=2.655**2, xy=0.0, beta=2.5)
    y, x = np.mgrid[:120, :120].astype(float)
    light = profile.at(x - 60.3, y - 60.1)
    noise = np.random.default_rng(1).normal(0, 10.8, x.shape)
    ratios = []
    for flux in (1e4, 1e6):
        frame = NDLater(100 + flux * light + noise, variance=100 + flux * light)
        (row,) = photometry(
            as_file(frame), listed(x=[60.3], y=[60.1]), radius=4.5, annulus=(9.0, 15.0)
        )
        assert row["flags"] == 0
        ratios.append(row["flux"] / flux)
    # The noise is the same, 0.8 per cent of the fainter one.
    assert ratios[0] == pytest.approx(ratios[1], rel=0.02)


def test_crowded_annulus_is_flagged():
    crowd = [(60 + 10 * np.cos(a), 60 + 10 * np.sin(a)) for a in np.arange(12) * 0.52]
    places = [np.array(p) for p in zip((60.0, 60.0), *crowd, strict=True)]
    field = make_field(5, positions=places, flux=(3e4, 3.1e4))
    (row,) = photometry(
        as_file(field.ndd), listed(x=[60.0], y=[60.0]), radius=4.0, annulus=(8.0, 12.0)
    )
    assert row["flags"] == SourceFlag.CROWDED
    assert np.isfinite(row["flux"])


@pytest.mark.parametrize("fwhm", [2.5, 4.0])
def test_aperture_correction_gives_all_the_light(fwhm):
    field = make_field(6, stars=20, fwhm=fwhm, apart=24, flux=(2e4, 2e5), border=20)
    places = listed(x=field.x, y=field.y)
    words = {"radius": 0.7 * fwhm, "annulus": (12.0, 18.0)}
    table = photometry(as_file(field.ndd), places, total_radius=2.5 * fwhm, **words)
    ratio = table["flux"] / field.flux
    # The mean of 20 stars of 0.3 to 1 per cent; where in their pixels they are counts.
    assert np.mean(ratio) == pytest.approx(1, abs=0.004)
    assert table.meta["aperture_correction"] > 1.2
    assert 0 < table.meta["aperture_correction_error"] < 0.01
    bare = photometry(as_file(field.ndd), places, **words)
    np.testing.assert_allclose(
        table["flux"] / bare["flux"], table.meta["aperture_correction"]
    )


def test_aperture_correction_knows_its_error():
    # Of stars anywhere in their pixels, without noise.
    rng = np.random.default_rng(0)
    places = [20 + rng.uniform(-0.5, 0.5, 2) for _ in range(40)]
    inside = []
    for x, y in places:
        light = star((41, 41), x, y, 3)
        frame = NDLater(light, variance=np.ones_like(light))
        words = {"radius": 3.6, "annulus": None}
        inside += list(
            photometry(as_file(frame), listed(x=[x], y=[y]), **words)["flux"]
        )
    expected = 1 / np.mean(inside)
    pulls = []
    for seed in range(16):
        field = make_field(
            seed, shape=(140, 140), stars=9, apart=22, border=16, flux=(5e3, 1e5)
        )
        meta = photometry(
            as_file(field.ndd), listed(x=field.x, y=field.y),
            radius=3.6, annulus=(10.0, 15.0), total_radius=9.0,
        ).meta  # fmt: skip
        error = meta["aperture_correction_error"]
        pulls.append((meta["aperture_correction"] - expected) / error)
    # 16 fields: mean and width are known to 0.25 and 18 per cent.
    assert abs(np.mean(pulls)) < 0.9
    assert 0.5 < np.std(pulls) < 1.5


def test_aperture_correction_without_stars_is_an_error():
    field = make_field(6, stars=2, flux=(2e4, 2e5))
    with pytest.raises(ParameterError, match="there are 2 stars without flags"):
        photometry(
            as_file(field.ndd),
            listed(x=field.x, y=field.y),
            radius=3.0,
            total_radius=8.0,
        )
    with pytest.raises(ParameterError, match="larger than the radius"):
        photometry(
            as_file(field.ndd),
            listed(x=field.x, y=field.y),
            radius=3.0,
            total_radius=2.0,
        )


def test_steps_go_from_frame_to_fluxes(folder, field):
    frame = write("a.fits", field.ndd, field.ndd)
    sources = image.find_sources(frame)
    product = image.aperture_photometry(frame, sources=sources)
    assert str(product) == "a_phot.ecsv"
    table, before = product.table(), sources.table()
    assert list(table["id"]) == list(before["id"])
    assert (table["x"] == before["x"]).all()
    assert table["flux"].unit == "electron"
    assert table.meta["aperture_radius"] == pytest.approx(1.5 * before.meta["fwhm"])
    half = len(table) // 2
    np.testing.assert_allclose(table["flux"][:half], table["flux"][half:])
    (*_, entry) = product.record
    assert entry["qc"]["sources"] == len(table)


def test_sky_positions_find_their_extension(folder):
    one = make_field(7, positions=([60.0, 120.0], [60.0, 90.0]), flux=(3e4, 3.1e4)).ndd
    two = make_field(8, positions=([100.0], [50.0]), flux=(3e4, 3.1e4)).ndd
    wcs = sky_wcs(one.shape)
    one.wcs = wcs
    shifted = wcs.deepcopy()
    shifted.wcs.crval = [150.3, 2.2]
    two.wcs = shifted
    sky = [wcs.pixel_to_world(60, 60), shifted.pixel_to_world(100, 50)]
    far = 10.0
    places = listed(
        ra=[sky[1].ra.deg, sky[0].ra.deg, far],
        dec=[sky[1].dec.deg, sky[0].dec.deg, far],
        name=["b", "a", "c"],
    )
    table = photometry(as_file(one, two), places, radius=4.0)
    assert list(table["name"]) == ["b", "a", "c"]
    assert [str(e) for e in table["extension"]] == ["2", "1", ""]
    np.testing.assert_allclose(table["x"][:2], [100, 60], atol=1e-3)
    assert table["flags"][2] == SourceFlag.NOT_MEASURED
    assert (table["flux"][:2] > 2e4).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": np.array([]), "y": np.array([])}, "is empty"),
        ({"x": [1.0]}, "has no column 'ra'"),
        ({"x": [np.nan], "y": [1.0]}, "no number that is finite"),
        ({"x": ["a"], "y": [1.0]}, "has no numbers"),
        ({"ra": [1.0], "dec": [2.0]}, "no celestial coordinates"),
        ({"x": [1000.0], "y": [2.0]}, "none of the 1 sources"),
    ],
)
def test_wrong_catalogues_are_refused(field, columns, message):
    with pytest.raises(ParameterError, match=message):
        photometry(as_file(field.ndd), listed(**columns), radius=4.0)


def test_radius_must_be_known_and_rings_be_rings(field):
    places = listed(x=field.x, y=field.y)
    with pytest.raises(ParameterError, match="give radius"):
        photometry(as_file(field.ndd), places)
    with pytest.raises(ParameterError, match="inner and a larger outer"):
        photometry(as_file(field.ndd), places, radius=3.0, annulus=(9.0, 8.0))
    with pytest.raises(ParameterError, match="does not say of which"):
        photometry(as_file(field.ndd, field.ndd), places, radius=3.0)
    with pytest.raises(ParameterError, match="needs a catalogue"):
        photometry(as_file(field.ndd), None)


def test_noise_of_the_fixture_is_known(field):
    empty = field.ndd.data[:14, :14]
    assert np.var(empty) == pytest.approx(100 + READ_NOISE**2, rel=0.3)


def test_pixels_of_negative_variance_are_not_measured(field):
    noise = np.array(field.ndd.variance)
    noise[int(field.y[0]), int(field.x[0])] = -1.0
    ndd = field.ndd.replace(variance=noise)
    places = listed(x=field.x[:2], y=field.y[:2])
    table = image.aperture_photometry.func(as_file(ndd), places, radius=5)
    plain = image.aperture_photometry.func(as_file(field.ndd), places, radius=5)
    assert np.isfinite(table["flux_error"]).all()
    assert table["area"][0] == pytest.approx(plain["area"][0] - 1)
    assert table["flux"][1] == plain["flux"][1]
