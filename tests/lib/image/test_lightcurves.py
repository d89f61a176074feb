"""Light curves: fluxes and times of given stars in many frames."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from astropy.wcs import WCS
from lib_image import READ_NOISE, as_file, listed, sky_wcs, star, write

from ndmapper import config
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib import image
from ndmapper.lib.image import SourceFlag
from ndmapper.lib.times import frame_time
from ndmapper.numerics.barycentre import (
    atomic_time,
    barycentric_julian_date,
    site_on_earth,
)

curves = image.make_light_curves.func

SITE = (-70.8, -30.17, 2200.0)
START = datetime(2021, 11, 7, 3, 20)
PLACES = {"x": [30.0, 70.2, 30.4, 70.0], "y": [30.3, 30.0, 70.0, 69.6]}
FLUXES = np.array([3e4, 6e4, 1e5, 2e4])
SHAPE = (100, 100)
DAY = 86400


def frame(number, *, fluxes=FLUXES, clouds=1.0, wcs=None, **header):
    """Draw a frame of four stars, taken 100 s after the one before."""
    rng = np.random.default_rng(100 + number)
    clean = np.full(SHAPE, 100.0)
    for x, y, flux in zip(PLACES["x"], PLACES["y"], fluxes, strict=True):
        clean += clouds * flux * star(SHAPE, x, y, 3.0)
    data = rng.poisson(clean) + rng.normal(0, READ_NOISE, SHAPE)
    ndd = NDLater(
        data, variance=np.maximum(data, 0) + READ_NOISE**2,
        flags=np.zeros(SHAPE, np.uint16), unit="electron",
    )  # fmt: skip
    if wcs is not None:
        ndd.wcs = wcs
    df = as_file(ndd)
    date = START + timedelta(seconds=100 * number)
    df.meta.update({"DATE-OBS": date.isoformat(), "EXPTIME": 60.0} | header)
    return df


def middle(number):
    return atomic_time(START + timedelta(seconds=100 * number + 30))


def run(*frames, places=PLACES, **words):
    words = {"radius": 5.0, "annulus": (9.0, 14.0), "site": SITE} | words
    if "target" not in words and "ra" not in places:
        words["target"] = (150.0, 2.0)
    return curves(DataFileList(data=list(frames)), listed(**places), **words)


def test_a_row_is_a_star_in_a_frame_at_its_time():
    # Frames need not be by time.
    table = run(frame(2), frame(0), frame(1), places=PLACES | {"name": list("abcd")})
    assert list(table["name"]) == list("aaabbbcccddd")
    assert list(table["id"]) == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    expected = [
        barycentric_julian_date(middle(n), 150.0, 2.0, site_on_earth(*SITE))
        for n in range(3)
    ]
    np.testing.assert_allclose((table["bjd_tdb"][:3] - expected) * DAY, 0, atol=1e-4)
    assert (table["exposure"] == 60).all()
    assert "airmass" not in table.colnames
    assert table["bjd_tdb"].unit == "d"
    pulls = (table["flux"] - np.repeat(FLUXES, 3)) / table["flux_error"]
    # Of the light .1 per cent is outside of 5 pixels.
    assert np.abs(pulls).max() < 4
    assert (table["flags"] == 0).all()


def test_differential_magnitudes_take_clouds_away():
    transit = 1 - 0.02 * (np.abs(np.arange(24) - 11.5) < 5)
    frames = [
        frame(n, fluxes=FLUXES * [depth, 1, 1, 1], clouds=0.6 + 0.4 * (n % 3) / 2)
        for n, depth in enumerate(transit)
    ]
    table = run(*frames, comparison=[2, 3])
    first = table[table["id"] == 1]
    deep = transit < 1
    mean = np.average(first["dmag"][deep]) - np.average(first["dmag"][~deep])
    error = first["dmag_error"].mean() * np.sqrt(24 / 10 / 14)
    assert mean == pytest.approx(-2.5 * np.log10(0.98), abs=4 * error)
    # Fluxes vary by tens of per cent, and magnitudes as their errors.
    last = table[table["id"] == 4]
    assert last["flux"].std() / last["flux"].mean() > 0.1
    # 24 values: the width is known to 15 per cent.
    assert last["dmag"].std(ddof=1) / last["dmag_error"].mean() == pytest.approx(
        1, abs=0.5
    )
    assert table.meta["comparison"] == [2, 3]


def shifted_frame(number, shift):
    """Draw a frame whose stars, coordinates and pixels are shifted along x."""
    df = frame(number)
    for name in ("data", "variance"):
        setattr(df[0], name, np.roll(getattr(df[0], name), shift, axis=1))
    df[0].wcs = linear(1.0 + shift)
    return df


def linear(first):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["LINEAR", "LINEAR"]
    wcs.wcs.cdelt = wcs.wcs.crval = [1.0, 1.0]
    wcs.wcs.crpix = [first, 1.0]
    return wcs


def test_stars_are_followed_where_frames_were_aligned(caplog):
    still = run(frame(0), frame(1), frame(2))
    frames = [shifted_frame(n, shift) for n, shift in enumerate((0, 7, -12))]
    assert abs(run(*frames)["flux"][1] / still["flux"][1] - 1) > 0.5
    assert "shifted by up to 12.0 pixels; give ra and dec alone" in caplog.text
    for df in frames:
        df[0].meta["ALNSTARS"] = 4
    caplog.clear()
    table = run(*frames)
    assert not caplog.records or "shifted" not in caplog.text
    np.testing.assert_allclose(table["flux"], still["flux"], rtol=1e-4)
    np.testing.assert_allclose(table["x"][:3], [30.0, 37.0, 18.0])


def test_directions_are_those_of_each_star():
    wcs = sky_wcs(SHAPE)
    ra, dec = (
        getattr(wcs.pixel_to_world(PLACES["x"], PLACES["y"]), n).deg
        for n in ("ra", "dec")
    )
    expected = barycentric_julian_date(middle(0), ra, dec, site_on_earth(*SITE))
    of_frame = run(frame(0, wcs=wcs), target=None)
    of_list = run(frame(0, wcs=wcs), places={"ra": ra, "dec": dec}, target=None)
    for table in (of_frame, of_list):
        np.testing.assert_allclose(table["bjd_tdb"], expected, atol=1e-4 / DAY, rtol=0)
        np.testing.assert_allclose(table["x"], PLACES["x"], atol=0.01)
    with pytest.raises(ParameterError, match="neither the list has ra and dec"):
        run(frame(0), target=None)


@pytest.mark.parametrize(
    ("header", "words", "seconds"),
    [
        ({}, {}, 30),
        ({}, {"exposure": 10.0}, 5),
        ({}, {"time_is": "middle"}, 0),
        ({}, {"time_is": "end"}, -30),
        ({"DATE-AVG": "2021-11-07T04:00:00"}, {}, 2400),
        ({"DATE-BEG": "2021-11-07T03:20:10"}, {}, 40),
        (
            {"DATE-BEG": "2021-11-07T03:20:10", "DATE-END": "2021-11-07T03:20:20"},
            {"exposure": 7.0},
            15,
        ),
        ({"DATE-OBS": "2021-11-07", "UT": "03:20:01"}, {}, 31),
        ({"DATE-OBS": ("2021-11-07T03:20:00", "middle")}, {"time_is": "start"}, 30),
        # 37 leap seconds, and 32.184 between TAI and TT.
        ({"TIMESYS": "TAI"}, {}, 30 - 37),
        ({"TIMESYS": "TT(TAI)"}, {}, 30 - 69.184),
    ],
)
def test_conventions_of_headers_are_understood(header, words, seconds):
    table = run(frame(0, **header), **words)
    time = atomic_time(START).later(seconds)
    expected = barycentric_julian_date(time, 150.0, 2.0, site_on_earth(*SITE))
    assert (table["bjd_tdb"][0] - expected) * DAY == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"DATE-OBS": "2021-11-07"}, "no date with a time of day"),
        ({"DATE-OBS": "2021-11-07", "UT": "x"}, "no date with a time of day"),
        ({"DATE-OBS": ("2021-11-07T03:20:00", "mid of exposure")}, "give time_is="),
        ({"DATE-OBS": ("2021-11-07T03:20:00", "UTC at end")}, "give time_is="),
        ({"TIMESYS": "TCB"}, "TIMESYS = 'TCB'"),
        ({"TIMESYS": "LOCAL"}, "TIMESYS = 'LOCAL'"),
        ({"TREFPOS": "BARYCENTER"}, "TREFPOS = 'BARYCENTER'"),
        ({"EXPTIME": 0.0}, "give exposure="),
    ],
)
def test_times_that_cannot_be_told_are_refused(header, message):
    with pytest.raises(ParameterError, match=message):
        run(frame(0, **header))


# 2021-11-07T03:20:00 is MJD 59525.138888...
@pytest.mark.parametrize(
    ("header", "apart"),
    [
        ({"MJD-OBS": 59525.13888889}, None),
        ({"MJD-OBS": 59525.139}, None),
        ({"MJD-OBS": 59525.1}, None),
        ({"MJD-OBS": 59525.18055556}, "3600"),
        ({"MJD-OBS": 59524.13888889}, "8.64e+04"),
        ({"MJD-OBS": 59525.13958333}, "60"),
        ({"DATE-AVG": "2021-11-07T03:20:30", "MJD-AVG": 59525.13888889}, "30"),
        ({"DATE-AVG": "2021-11-07T03:20:30", "MJD-AVG": 59525.13923611}, None),
        ({"DATE-BEG": "2021-11-07T03:20:00", "MJD-BEG": 59525.15}, "960"),
        ({"DATE-OBS": "2021-11-07", "UT": "03:20:00", "MJD-OBS": 59525.2}, "5280"),
        ({"DATE-OBS": "2021-11-07", "MJD-OBS": 59525.13888889}, None),
    ],
)
def test_dates_that_contradict_each_other_are_told(header, apart, caplog):
    header = {"DATE-OBS": "2021-11-07T03:20:00"} | header
    frame_time(frame(0, **header))
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    if apart is None:
        assert told == []
    else:
        assert len(told) == 1
        assert f"differ by {apart} s" in told[0]


def test_site_is_that_of_the_call_or_of_the_header():
    x, y, z = site_on_earth(*SITE)
    cards = [
        {"OBSGEO-X": x, "OBSGEO-Y": y, "OBSGEO-Z": z},
        {"OBSGEO-L": SITE[0], "OBSGEO-B": SITE[1], "OBSGEO-H": SITE[2]},
        {
            "SWCREATE": "N.I.N.A. 3.1", "IMAGETYP": "LIGHT", "SITELONG": SITE[0],
            "SITELAT": SITE[1], "SITEELEV": SITE[2],
        },
    ]  # fmt: skip
    expected = run(frame(0))["bjd_tdb"]
    for header in cards:
        found = run(frame(0, **header), site=None)["bjd_tdb"]
        np.testing.assert_allclose((found - expected) * DAY, 0, atol=1e-4)
    centre = run(frame(0), site="geocentre")["bjd_tdb"]
    assert 1e-4 < np.abs((centre - expected) * DAY).max() < 0.022
    with pytest.raises(ParameterError, match="give site="):
        run(frame(0), site=None)
    with pytest.raises(ParameterError, match="latitude"):
        run(frame(0), site=(10.0, 95.0, 0.0))


def test_flagged_stars_and_lists_are_told():
    bad = frame(0, AIRMASS=1.3)
    bad[0].flags[30, 30] = 4
    table = run(
        bad, frame(1, AIRMASS=1.4), places={"x": [30, 70, 500], "y": [30, 30, 9]}
    )
    assert list(table["flags"]) == [
        SourceFlag.SATURATED, 0, 0, 0,
        SourceFlag.NOT_MEASURED, SourceFlag.NOT_MEASURED,
    ]  # fmt: skip
    np.testing.assert_allclose(table["airmass"], [1.3, 1.4] * 3)
    with pytest.raises(ParameterError, match="of the list"):
        run(frame(0), comparison=[1, 9])
    with pytest.raises(ParameterError, match="without flags in any frame"):
        run(bad, comparison=[1])
    with pytest.raises(ParameterError, match="several stars of the same id"):
        run(frame(0), places=PLACES | {"id": [1, 1, 2, 3]})
    with pytest.raises(ParameterError, match="needs a catalogue"):
        curves(DataFileList(data=[bad]), None)


def test_frames_of_another_filter_or_unit_are_refused():
    words = {"IMAGETYP": "LIGHT"}
    frames = [frame(0, FILTER="R", **words), frame(1, FILTER="V", **words)]
    with pytest.raises(ParameterError, match="filter = V"):
        run(*frames)
    assert len(run(*frames, mixed="filter")) == 8
    other = frame(1)
    other[0].unit = "adu"
    with pytest.raises(UnitError, match="in adu"):
        run(frame(0), other)
    with pytest.raises(ParameterError, match="has no image in which"):
        run(frame(0), DataFile("x.fits", mode="new"))


def test_step_makes_one_table_of_many_frames(folder):
    names = []
    for n in range(3):
        df = frame(n)
        names.append(write(f"n{n}.fits", *df, **dict(df.meta)))
    listed(**PLACES).save("list.ecsv")
    product = image.make_light_curves(
        names, sources="list.ecsv", comparison=[2, 3], radius=5.0, target=(150, 2),
        site="geocentre", light_curves="night.ecsv",
    )  # fmt: skip
    assert str(product) == "night.ecsv"
    table = product.table()
    assert len(table) == 12
    assert list(table["frame"][:3]) == names
    assert table["dmag"].unit == "mag"
    entry = product.record[-1]
    assert entry["qc"]["frames"] == 3
    assert 0.05 < entry["qc"]["scatter_over_error_of_stars"] < 3
    assert entry["run"]["figures"]
    assert len(entry["inputs"]) >= 1
    assert DataFile(names[0]).meta["EXPTIME"] == 60


def test_table_of_an_instrument_says_where_it_is(folder):
    (folder / "mine.toml").write_text(
        'schema = 1\nextends = "ccd"\ndescription = "x"\nfallback = false\n'
        "[applies]\nIMAGETYP = '*'\n"
        f"[steps.make_light_curves]\nsite = {list(SITE)}\ntime_is = 'middle'\n"
    )
    df = frame(0, IMAGETYP="LIGHT")
    name = write("n.fits", *df, **dict(df.meta))
    listed(**PLACES).save("list.ecsv")
    words = {"sources": "list.ecsv", "radius": 5.0, "target": (150, 2)}
    with config.using(instrument="mine.toml"):
        product = image.make_light_curves([name], **words)
    expected = barycentric_julian_date(
        atomic_time(START), 150.0, 2.0, site_on_earth(*SITE)
    )
    found = product.table()["bjd_tdb"][0]
    assert (found - expected) * DAY == pytest.approx(0, abs=1e-4)
    assert str(product) == "n_curves.ecsv"


def test_a_target_that_is_no_direction_is_refused():
    with pytest.raises(ParameterError, match="target is a right ascension"):
        run(frame(0), target=(10.0, -95.0))
