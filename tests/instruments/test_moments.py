"""Times of frames, as cameras write them; astropy is the judge where it can read."""

import pytest
from astropy.time import Time

from ndmapper import instruments
from ndmapper.instruments.moments import read_clock, read_moment

CCD = instruments.load("ccd")


def judged(value, **form):
    # Not UTC, for which astropy looks for newer leap seconds on line.
    return Time(value, scale="tai", precision=9, **form).isot[:23]


def time_of(**cards):
    cards = {key.replace("_", "-"): value for key, value in cards.items()}
    return CCD.describe(cards)["time"]


@pytest.mark.parametrize(
    "text",
    ["2024-03-10T22:00:00", "2024-03-10T22:00:00.123", "2024-03-10T22:00:00.1234567",
     "1995-09-27T06:38:53.0", "2024-03-10T23:59:59.999", "2024-02-29T00:00:00",
     "2024-03-10 22:00:00", "2016-12-31T23:59:59.5"],
)  # fmt: skip
def test_time_is_that_of_astropy(text):
    assert time_of(DATE_OBS=text) == judged(text)


@pytest.mark.parametrize("days", [60379.9, 49987.27, 51544.0, 60379.123456])
def test_julian_dates_are_those_of_astropy(days):
    wanted = Time(days, format="mjd", scale="tai")
    for found in (
        time_of(MJD_OBS=days), time_of(MJD_OBS=str(days)), time_of(JD=days + 2400000.5)
    ):  # fmt: skip
        assert abs(Time(found, scale="tai") - wanted).to_value("ms") < 1.1


@pytest.mark.parametrize(
    ("scale", "seconds"),
    [("TAI", "23.000"), ("TT", "50.816"), ("TDB", "50.816"), ("GPS", "42.000")],
)
def test_other_time_scales_are_turned_into_utc(scale, seconds):
    # In 2024 atomic time is 37 s ahead of UTC, and terrestrial time 32.184 s of that.
    found = time_of(DATE_OBS="2024-03-10T22:01:00", TIMESYS=scale)
    minute = "21:59" if scale in {"TT", "TDB"} else "22:00"
    assert found == f"2024-03-10T{minute}:{seconds}"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2024-03-10T23:59:60.0", "2024-03-11T00:00:00.000"),
        ("2016-12-31T23:59:60.5", "2017-01-01T00:00:00.500"),
        ("2024-03-10T24:00:00", "2024-03-11T00:00:00.000"),
        ("2024-12-31T24:00:00.0", "2025-01-01T00:00:00.000"),
        ("2024/03/10T22:00:00", "2024-03-10T22:00:00.000"),
        ("2024/3/1 2:05:07.1", "2024-03-01T02:05:07.100"),
        ("2024-03-10T 2:05: 7.1", "2024-03-10T02:05:07.100"),
        ("2024-03-10   22:00:00", "2024-03-10T22:00:00.000"),
        ("2024-03-10T22:05", "2024-03-10T22:05:00.000"),
        ("2024-03-10T22:00:00,5", "2024-03-10T22:00:00.500"),
        ("2024-03-10T22:00:00Z", "2024-03-10T22:00:00.000"),
        ("2024-03-10T22:00:00 UTC", "2024-03-10T22:00:00.000"),
        ("2024-03-10T23:00:00+01:00", "2024-03-10T22:00:00.000"),
        ("2024-03-10T20:30:00-0730", "2024-03-11T04:00:00.000"),
        ("20240310T220000", "2024-03-10T22:00:00.000"),
        ("27/09/95", "1995-09-27T00:00:00.000"),
        ("10/03/98", "1998-03-10T00:00:00.000"),
        ("27/09/1995 06:38:53", "1995-09-27T06:38:53.000"),
        ("09/27/1995", "1995-09-27T00:00:00.000"),
        ("2024-03-10", "2024-03-10T00:00:00.000"),
    ],
)
def test_date_is_read_as_it_is_meant(text, meant):
    assert time_of(DATE_OBS=text) == meant


@pytest.mark.parametrize(
    "text",
    ["unknown", "2024-13-10T22:00:00", "2024-02-30", "0024-03-10T22:00:00",
     "2024-03-10T25:00:00", "2024-03-10T24:30:00", "2024-03-10T22:60:00",
     "2024-03-10T22:00:61", "2024-03-10T10:00:00 PM", "09/27/95", "10/03/24",
     "03/04/2024", "1858-11-17T00:00:00", "2024-03-10T22.5", "2024-03-10T", 0.0,
     20240310, True],
)  # fmt: skip
def test_date_that_cannot_be_told_is_not_guessed_and_the_next_card_is_used(text):
    assert time_of(DATE_OBS=text) is None
    assert CCD.why_no_time({"DATE-OBS": text}) == f"DATE-OBS = {text!r}"
    assert time_of(DATE_OBS=text, MJD_OBS="60379.9") == "2024-03-10T21:36:00.000"
    assert time_of(DATE_OBS=text, MJD_OBS=0, JD=2460380.4) == "2024-03-10T21:36:00.000"


@pytest.mark.parametrize(
    ("clock", "meant"),
    [
        ("22:00:00", "22:00:00.000"), ("2:05:07.1", "02:05:07.100"),
        (" 2:05: 7.1", "02:05:07.100"), ("2 05 07.1", "02:05:07.100"),
        ("22h05m07s", "22:05:07.000"), (22.5, "22:30:00.000"),
        ("22.5", "22:30:00.000"), (0, "00:00:00.000"),
        ("2024-03-10T22:05:00", "22:05:00.000"),
    ],
)  # fmt: skip
def test_time_of_day_stands_in_a_card_of_its_own(clock, meant):
    assert time_of(DATE_OBS="2024-03-10", UT=clock) == f"2024-03-10T{meant}"


@pytest.mark.parametrize("clock", ["23:59:60.00", "24:00:00", 24, "24.0"])
def test_time_of_day_may_end_the_day(clock):
    assert time_of(DATE_OBS="2024-02-29", UT=clock) == "2024-03-01T00:00:00.000"


@pytest.mark.parametrize("clock", ["soon", 25.0, -1, 81000, "22:00:61", "10:00 PM"])
def test_broken_time_of_day_is_not_midnight(clock):
    assert read_clock(clock) is None
    cards = {"DATE-OBS": "2024-03-10", "UT": clock}
    assert CCD.describe(cards)["time"] is None
    assert CCD.why_no_time(cards) == f"UT = {clock!r}"
    cards["MJD-OBS"] = 60379.9
    assert CCD.describe(cards)["time"] == "2024-03-10T21:36:00.000"


@pytest.mark.parametrize("days", [0, 0.0, "0", -1, 1e30, "nan", "x", 2024, 380.4])
def test_number_that_is_no_date_is_none(days):
    assert time_of(MJD_OBS=days) is None
    assert CCD.why_no_time({"MJD-OBS": days}) == f"MJD-OBS = {days!r}"


def test_reduced_julian_date_is_not_taken_for_a_modified_one():
    assert time_of(JD=60380.4) is None


def test_day_without_a_clock_takes_the_time_of_a_julian_date_of_that_night():
    assert time_of(DATE_OBS="2024-03-10", MJD_OBS=60379.9) == "2024-03-10T21:36:00.000"
    # That of another year is wrong, and says nothing.
    assert time_of(DATE_OBS="2024-03-10", MJD_OBS=59000.9) == "2024-03-10T00:00:00.000"


def test_clock_that_is_named_for_ut_goes_before_a_local_one():
    cards = {"DATE_OBS": "2024-03-10", "TIME_OBS": "17:00:00", "UT": "22:00:00"}
    assert time_of(**cards) == "2024-03-10T22:00:00.000"


@pytest.mark.parametrize("key", ["DATE-LOC", "LT", "LOCTIME", "LST", "TIME-LCL"])
def test_local_time_is_not_taken_for_ut(key):
    cards = [("DATE-OBS", "2024-03-10"), (key, "17:00:00")]
    assert read_moment(cards).time.isoformat() == "2024-03-10T00:00:00"
    cards = [(key, "2024-03-10T17:00:00"), ("MJD-OBS", 60379.9)]
    assert read_moment(cards).time.isoformat() == "2024-03-10T21:36:00"


def test_header_whose_times_are_local_gives_its_julian_date():
    text = "2024-03-10T17:00:00"
    assert time_of(DATE_OBS=text, TIMESYS="LOCAL") is None
    assert CCD.why_no_time({"DATE-OBS": text, "TIMESYS": "LOCAL"}) == (
        f"DATE-OBS = {text!r} (TIMESYS = 'LOCAL')"
    )
    found = time_of(DATE_OBS=text, TIMESYS="LOCAL", MJD_OBS=60379.9)
    assert found == "2024-03-10T21:36:00.000"


@pytest.mark.parametrize(
    ("date", "clock", "told"),
    [("2024-03-10T22:00:00", "05:00:00", True), ("2024-03-10T22:00:00", 3.5, True),
     ("2024-03-10T22:00:00", "22:00:00.4", False),
     ("2024-03-10T22:00:00", "22:47:13", False)],
)  # fmt: skip
def test_date_that_contradicts_a_clock_by_a_time_zone_is_told(date, clock, told):
    moment = read_moment([("DATE-OBS", date), ("UT", clock)])
    assert moment.time.isoformat() == date
    assert (moment.remark is not None) is told
