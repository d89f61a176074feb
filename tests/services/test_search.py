"""Searches, and what the table is good for."""

import datetime
from pathlib import Path

import pytest
from astropy.table import Table

from ndmapper.data import DataFileList
from ndmapper.errors import ParameterError, ServiceError
from ndmapper.services import download_files, find_files
from ndmapper.services.criteria import COLUMNS, Criteria
from ndmapper.services.eso.tap import quoted, tap_query
from ndmapper.services.gemini.find import find_at_gemini
from ndmapper.services.transfer.http import Http
from ndmapper.services.transfer.response import Response
from ndmapper.testing import LoopbackArchives
from ndmapper.testing.archives.content import fits_bytes, md5_of


@pytest.fixture(autouse=True)
def held(archives: LoopbackArchives) -> None:
    add = archives.gemini.add
    add("S20120827S0066.fits", object="NGC 1/2")
    add("S20120827S0067.fits", object="NGC 1/2")
    add("S20120828S0001.fits", observation_type="BIAS", observation_class="dayCal")
    add("N20120828S0001.fits", instrument="GMOS-N", program_id="GN-2012B-Q-7")
    eso = archives.eso.add
    eso("MUSE.2017-06-18T01:02:03.456", object="NGC 1", target="NGC1")
    eso("MUSE.2017-06-18T23:02:03.456", dp_type="BIAS", dp_cat="CALIB", object="BIAS")
    eso("FORS2.2017-06-20T01:02:03.456", prog_id="60.A-1(B)", object="O'Brien")


def names(archive: str, **words: object) -> list[str]:
    return [str(name) for name in find_files(archive, **words)["filename"]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"program": "GN-2012B-Q-7"}, ["N20120828S0001"]),
        ({"date": "2012-08-27"}, ["S20120827S0066", "S20120827S0067"]),
        ({"date": datetime.date(2012, 8, 27), "target": "NGC*"},
         ["S20120827S0066", "S20120827S0067"]),
        ({"date": "2012-08-26..2012-08-28", "instrument": "GMOS-N"},
         ["N20120828S0001"]),
        ({"date": "2012-08-28", "instrument": "GMOS"},
         ["N20120828S0001", "S20120828S0001"]),
        ({"date": "2012-08-28", "obs_type": "BIAS"}, ["S20120828S0001"]),
        ({"date": "2012-08-28", "obs_class": "science"}, ["N20120828S0001"]),
        ({"target": "NGC 1/2"}, ["S20120827S0066", "S20120827S0067"]),
        ({"date": "2011-01-01"}, []),
    ],
)  # fmt: skip
def test_gemini_finds(words: dict[str, object], expected: list[str]) -> None:
    assert names("gemini", **words) == [f"{name}.fits" for name in expected]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"program": "60.A-1(B)"}, ["FORS2.2017-06-20T01:02:03.456"]),
        ({"program": "60.A*", "instrument": "FORS2"},
         ["FORS2.2017-06-20T01:02:03.456"]),
        ({"date": "2017-06-18"}, ["MUSE.2017-06-18T01:02:03.456",
                                  "MUSE.2017-06-18T23:02:03.456"]),
        ({"instrument": "MUSE", "obs_type": "BIAS"}, ["MUSE.2017-06-18T23:02:03.456"]),
        ({"instrument": "MUSE", "obs_class": "SCIENCE"},
         ["MUSE.2017-06-18T01:02:03.456"]),
        ({"target": "NGC1"}, ["MUSE.2017-06-18T01:02:03.456"]),
        ({"target": "O'Brien"}, ["FORS2.2017-06-20T01:02:03.456"]),
        ({"target": "x' OR '1'='1"}, []),
    ],
)  # fmt: skip
def test_eso_finds(words: dict[str, object], expected: list[str]) -> None:
    assert names("eso", **words) == [f"{name}.fits" for name in expected]


@pytest.mark.parametrize("archive", ["gemini", "eso"])
def test_table_has_the_same_columns(archive: str) -> None:
    found = find_files(archive, date="2012-08-27..2017-06-30")
    assert tuple(found.colnames) == COLUMNS
    assert len(found) >= 3
    assert found["size"].dtype.kind == "i"
    assert found["exptime"][0] == 60.0


@pytest.mark.parametrize("archive", ["gemini", "eso"])
def test_table_without_rows_has_the_same_columns(archive: str) -> None:
    found = find_files(archive, date="1999-01-01")
    assert (tuple(found.colnames), len(found)) == (COLUMNS, 0)


@pytest.mark.parametrize(
    ("archive", "date"), [("gemini", "2012-08-27"), ("eso", "2017-06-18")]
)
def test_table_goes_to_downloads_and_lists(
    archive: str, date: str, tmp_path: Path
) -> None:
    table = find_files(archive, date=date)
    table.write(tmp_path / "night.ecsv")
    table = Table.read(tmp_path / "night.ecsv")
    paths = download_files(table, archive, tmp_path)
    files = DataFileList(table, dirname=tmp_path)
    assert [str(df) for df in files] == [str(path) for path in paths]
    assert len(files) == 2


def test_table_brings_its_checksums(archives: LoopbackArchives, tmp_path: Path) -> None:
    table = find_files("gemini", date="2012-08-27")
    assert table["checksum"][0] == md5_of(
        archives.gemini.held("S20120827S0066.fits").stored
    )
    table["checksum"][0] = "0" * 32
    with pytest.raises(ServiceError, match="it was replaced there since"):
        download_files(table, "gemini", tmp_path)


def test_table_of_a_survey_goes_to_downloads(tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(fits_bytes("a"))
    table = Table({"file": ["a.fits"], "class": ["bias"]})
    assert download_files(table, "local", tmp_path) == [tmp_path / "a.fits"]


def test_table_without_names_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no column 'filename'"):
        download_files(Table({"filenam": ["a.fits"]}), "local", tmp_path)


def test_search_for_nothing_is_an_error() -> None:
    with pytest.raises(ParameterError, match="say what to look for"):
        find_files("gemini", obs_type="BIAS")


@pytest.mark.parametrize("date", ["27.8.2012", "2012-08-28..2012-08-27", "a..b..c"])
def test_malformed_date_is_an_error(date: str) -> None:
    with pytest.raises(ParameterError, match="is no date"):
        find_files("gemini", date=date)


@pytest.mark.parametrize(
    "words",
    [{"program": "60.A-9100(A)"}, {"target": "a=b"}, {"instrument": "GMOS/../x"},
     {"instrument": "MUSE", "obs_type": "a b"}],
)  # fmt: skip
def test_word_that_gemini_would_pass_over_is_an_error(words: dict[str, str]) -> None:
    with pytest.raises(ParameterError, match="is not understood by the Gemini"):
        find_files("gemini", **words)  # type: ignore[arg-type]


def test_rows_that_do_not_fit_are_left_out() -> None:
    # FLAMINGOS is a word that this archive passes over.
    assert names("gemini", date="2012-08-27", instrument="FLAMINGOS") == []


def test_service_that_cannot_search_says_so() -> None:
    with pytest.raises(ServiceError, match="'local' cannot search; there are: eso"):
        find_files("local", target="x")


def test_limit_takes_the_first(archives: LoopbackArchives) -> None:
    assert names("gemini", date="2012-08-27", limit=1) == ["S20120827S0066.fits"]
    assert names("eso", instrument="MUSE", limit=1) == [
        "MUSE.2017-06-18T01:02:03.456.fits"
    ]


def test_flood_is_an_error(archives: LoopbackArchives) -> None:
    for number in range(600):
        archives.gemini.add(f"S20130101S{number:04d}.fits", b"x", compression="",
                            object="flood")  # fmt: skip
    with pytest.raises(ServiceError, match=r"at least 500 files.* narrow the search"):
        find_files("gemini", target="flood")
    assert len(find_files("gemini", target="flood", limit=10)) == 10


def test_silent_limit_of_gemini_is_got_round_by_days() -> None:
    asked: list[str] = []

    def ask(path: str) -> Response:
        import json

        asked.append(path)
        first, _, last = path.rpartition("/")[2].partition("-")
        days = range(int(first), int(last or first) + 1)
        rows = [
            {"name": f"S{day}S{n:04d}.fits", "instrument": "GMOS-S",
             "ut_datetime": f"{str(day)[:4]}-{str(day)[4:6]}-{str(day)[6:]} 01:00:00"}
            for day in days for n in range(900)
        ]  # fmt: skip
        return Response(200, {}, json.dumps(rows[:2000]).encode(), "loopback")

    criteria = Criteria(first=datetime.date(2012, 8, 1), last=datetime.date(2012, 8, 5))
    assert len(find_at_gemini(ask, criteria)) == 5 * 900
    assert len(asked) > 3


def test_cut_table_of_eso_is_an_error(
    archives: LoopbackArchives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ndmapper.services.eso.find._MOST", 1)
    with pytest.raises(ServiceError, match="more than 1 files; narrow the search"):
        find_files("eso", instrument="MUSE")


def test_question_that_eso_does_not_understand_is_an_error() -> None:
    http = Http("eso-archive", "https://archive.eso.org")
    with pytest.raises(ServiceError, match="no such column: nonsense"):
        tap_query(http, "SELECT nonsense FROM dbo.raw", 10)


def test_page_in_place_of_a_table_is_an_error(archives: LoopbackArchives) -> None:
    archives.switch("login-page")
    with pytest.raises(ServiceError, match="XML"):
        find_files("eso", instrument="MUSE")


def test_table_that_is_none_is_an_error(archives: LoopbackArchives) -> None:
    archives.switch("body", body=b"<VOTABLE/>")
    with pytest.raises(ServiceError, match="no table that can be read"):
        find_files("eso", instrument="MUSE")


def test_text_of_adql_ends_nothing() -> None:
    assert quoted("O'Brien") == "'O''Brien'"
    with pytest.raises(ServiceError, match="control characters"):
        quoted("a\0b")


@pytest.mark.real_data
def test_real_summary_is_read(real_data: Path) -> None:
    body = (real_data / "archives" / "gemini" / "m101.json").read_bytes()
    criteria = Criteria(target="M101*")
    found = find_at_gemini(lambda _: Response(200, {}, body, "x"), criteria)
    assert len(found) > 0
    assert found["checksum"][0] == "93349c5b14c3628341c823d820ae218b"
    assert str(found["date"][0]) == "2007-02-21T15:49:30"
