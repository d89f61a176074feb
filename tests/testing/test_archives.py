"""The loopback archives: they speak as the true ones do."""

import json
import re
import urllib.request
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from ndmapper.config import config
from ndmapper.errors import ParameterError
from ndmapper.testing import LoopbackArchives
from ndmapper.testing.archives.content import compressed, fits_bytes
from ndmapper.testing.archives.eso import EsoArchive
from ndmapper.testing.archives.gemini import GeminiArchive
from ndmapper.testing.archives.scenarios import SCENARIOS, Answer, Asked

NAME = "S20120827S0066.fits"
DATASET = "MUSE.2017-06-18T01:02:03.456"


@pytest.fixture
def gemini() -> GeminiArchive:
    archive = GeminiArchive()
    archive.add(NAME)
    archive.add("S20120826S0201.fits", observation_type="BIAS")
    archive.associate(NAME, "bias", ["S20120826S0201.fits"])
    return archive


def get(archive: Any, path: str, **headers: str) -> Answer:
    return archive.answer(Asked("GET", f"/x{path}", headers))


def test_url_is_configured_as_long_as_it_runs() -> None:
    with LoopbackArchives() as archives:
        assert config["archive_urls"]["gemini"] == f"{archives.url}/gemini"
    assert config["archive_urls"] == {}
    with pytest.raises(ParameterError, match="not running"):
        archives.paths(archives.url)


def test_unknown_scenario_is_an_error() -> None:
    with pytest.raises(ParameterError, match="did you mean 'busy'"):
        LoopbackArchives().switch("bussy")


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_scenario_changes_an_answer(name: str) -> None:
    options = {
        "body": {"body": b"x"},
        "named": {"disposition": "x"},
        "redirect": {"to": "x"},
        "silent": {"seconds": 0.01},
        "status": {"status": 418},
    }
    answer = Answer(200, b"0123456789", {"ETag": "x"})
    changed = SCENARIOS[name](answer, **options.get(name, {}))
    assert (changed != answer) == (name != "silent")


def test_switch_counts_and_chooses() -> None:
    with LoopbackArchives() as archives:
        archives.gemini.add(NAME)
        archives.switch("busy", path="/file/", times=1)
        statuses = []
        for path in ("jsonfilelist/20120827", f"file/{NAME}", f"file/{NAME}"):
            try:
                with urllib.request.urlopen(f"{archives.url}/gemini/{path}") as reply:
                    statuses.append(reply.status)
            except urllib.error.HTTPError as err:
                with err:
                    statuses.append(err.code)
        assert statuses == [200, 503, 200]
        assert archives.paths("/file/") == [f"/gemini/file/{NAME}"] * 2


@pytest.mark.real_data
def test_gemini_summary_has_the_keys_that_are_read(
    gemini: GeminiArchive, real_data: Path
) -> None:
    text = (real_data / "archives" / "gemini" / "m101.json").read_text()
    real = json.loads(text)[0]
    ours = json.loads(get(gemini, "/jsonsummary/canonical/20120827").body)[0]
    # Two that the file list has, and the summary of that year had not.
    assert set(ours) - set(real) == {"present", "canonical"}
    for key in set(ours) & set(real):
        if None not in (ours[key], real[key]):
            assert type(ours[key]) is type(real[key]), key


@pytest.mark.real_data
def test_gemini_xml_has_the_elements_of_the_template(
    gemini: GeminiArchive, real_data: Path
) -> None:
    template = (real_data / "archives" / "gemini" / "calmgr.xml").read_text()
    gemini.failing = {"arc"}
    path = f"/xmlcalmgr/filename={NAME}"
    ours = get(gemini, path).body.decode()
    assert set(re.findall(r"<(\w+)", ours)) == set(re.findall(r"<(\w+)", template))
    assert re.findall(r'xmlns="[^"]*"', ours) == re.findall(r'xmlns="[^"]*"', template)
    for words in ("PROBLEM WHILE SEARCHING FOR caltype", "NO CALIBRATION FOUND for"):
        assert words in ours
        assert words in template


def test_gemini_calls_its_json_text(gemini: GeminiArchive) -> None:
    answer = get(gemini, f"/jsoncalmgr/bias/filename={NAME}")
    assert answer.headers["Content-Type"] == "text/plain"


def test_gemini_gives_either_form_of_a_file(gemini: GeminiArchive) -> None:
    plain = get(gemini, f"/file/{NAME}")
    stored = get(gemini, f"/file/{NAME}.bz2")
    assert plain.body == fits_bytes(NAME)
    assert stored.body == compressed(plain.body, "bz2")
    assert plain.headers["Content-Disposition"].endswith(f'filename="{NAME}"')


def test_gemini_has_no_file_of_another_name(gemini: GeminiArchive) -> None:
    answer = get(gemini, "/file/x.fits")
    assert (answer.status, answer.body) == (404, b"")


def test_gemini_takes_the_later_of_two_words(gemini: GeminiArchive) -> None:
    path = f"/jsonfilelist/filename={NAME}/filename=S20120826S0201.fits"
    rows = json.loads(get(gemini, path).body)
    assert [row["name"] for row in rows] == ["S20120826S0201.fits"]


def test_gemini_passes_over_what_it_does_not_know(gemini: GeminiArchive) -> None:
    rows = json.loads(get(gemini, "/jsonsummary/canonical/mask.fits").body)
    assert len(rows) == 2
    assert rows[-1]["results_truncated"] is True
    assert get(gemini, "/jsoncalmgr/bias/mask.fits").status == 406


def test_gemini_knows_a_login_by_its_cookie_alone(gemini: GeminiArchive) -> None:
    def log_in(word: str) -> Answer:
        form = f"username=observer&password={word}".encode()
        return gemini.answer(Asked("POST", "/x/login", {}, form))

    good, bad = log_in("starlight"), log_in("moonlight")
    assert (good.status, bad.status) == (200, 200)
    assert "Set-Cookie" in good.headers
    assert "Set-Cookie" not in bad.headers


@pytest.mark.real_data
def test_eso_token_has_the_form_of_a_true_one(real_data: Path) -> None:
    real = json.loads((real_data / "archives" / "eso" / "oidc_token.json").read_text())
    path = "/x/sso/oidc/token?username=observer&password=starlight"
    ours = json.loads(EsoArchive().answer(Asked("GET", path, {})).body)
    assert set(ours) == set(real)
    assert ours["id_token"].count(".") == real["id_token"].count(".") == 2


@pytest.mark.real_data
def test_eso_tree_has_the_elements_of_a_true_one(real_data: Path) -> None:
    name = "FORS2.2021-01-02T00_59_12.533_raw2raw.xml"
    real = (real_data / "archives" / "eso" / name).read_text()
    archive = EsoArchive()
    archive.associate(DATASET, {"BIAS": ["MUSE.x"]})
    ours = archive.trees[DATASET].decode()
    for pattern in (r"<(\w+)", r'(\w+)="'):
        assert set(re.findall(pattern, ours)) == set(re.findall(pattern, real))


def test_eso_answers_for_several_in_several_parts() -> None:
    archive = EsoArchive()
    for name in ("MUSE.a", "MUSE.b"):
        archive.associate(name, {"BIAS": [name]})
    path = "/x/calselector/v1/associations?mode=raw2raw&dp_id=MUSE.a&dp_id=MUSE.b"
    answer = archive.answer(Asked("GET", path, {}))
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + answer.body).get_payload()
    names = [part.get_filename() for part in parts]  # type: ignore[union-attr]
    assert names == ["MUSE.a_raw2raw.xml", "MUSE.b_raw2raw.xml"]


@pytest.mark.parametrize(
    ("headers", "status", "size"),
    [
        ({}, 200, 8640),
        ({"range": "bytes=8000-"}, 206, 640),
        ({"range": "bytes=8000-", "if-range": '"another"'}, 200, 8640),
        ({"range": "bytes=9000-"}, 416, 0),
    ],
)
def test_eso_goes_on_in_the_middle(
    headers: dict[str, str], status: int, size: int
) -> None:
    archive = EsoArchive()
    archive.add(DATASET, kind="fits")
    answer = archive.answer(Asked("GET", f"/x/dataPortal/file/{DATASET}", headers))
    assert (answer.status, len(answer.body)) == (status, size)


def test_eso_says_how_a_table_ended() -> None:
    archive = EsoArchive()
    for n in range(3):
        archive.add(f"MUSE.2017-06-18T01:02:0{n}.456")

    def ask(query: str, limit: int) -> str:
        form = f"QUERY={query}&MAXREC={limit}".encode()
        return archive.answer(Asked("POST", "/x/tap_obs/sync", {}, form)).body.decode()

    assert 'value="OK"' in ask("SELECT dp_id FROM dbo.raw", 3)
    assert 'value="OVERFLOW"' in ask("SELECT dp_id FROM dbo.raw", 2)
    assert 'value="ERROR"' in ask("SELECT nothing FROM dbo.raw", 2)
