"""The Gemini archive: what it answers, and what it does not say."""

from pathlib import Path

import pytest

from ndmapper.errors import (
    MissingFileError,
    ServiceAccessError,
    ServiceError,
    ServiceUnreachableError,
)
from ndmapper.services import download_files, look_up_cals
from ndmapper.services.gemini.replies import calibrations_of_json
from ndmapper.services.gemini.service import GeminiService
from ndmapper.testing import LoopbackArchives, ServiceContract
from ndmapper.testing.archives.content import fits_bytes, md5_of
from ndmapper.testing.archives.gemini import COOKIE

SCIENCE = "S20120827S0066.fits"
BIASES = [f"S20120826S020{n}.fits" for n in range(1, 4)]


@pytest.fixture(autouse=True)
def _archived_night(archives: LoopbackArchives) -> None:
    archives.gemini.add(SCIENCE)
    for name in BIASES:
        archives.gemini.add(name, observation_type="BIAS")
    archives.gemini.associate(SCIENCE, "bias", BIASES)


class TestContract(ServiceContract):
    known = (SCIENCE, "bias")
    files = tuple(BIASES)

    def make_service(self, folder: Path) -> GeminiService:
        return GeminiService()


def test_look_up_gives_names_and_checksums_of_stored_files(
    archives: LoopbackArchives,
) -> None:
    found = GeminiService().look_up(SCIENCE, "bias").files
    assert [name for name, _ in found] == BIASES
    stored = archives.gemini.held(BIASES[0]).stored
    assert found[0][1] == md5_of(stored)


def test_look_up_names_the_file_as_a_file(archives: LoopbackArchives) -> None:
    GeminiService().look_up("bpm_20140601_gmos-s.fits.gz", "bias")
    (path,) = archives.paths()
    assert path == "/gemini/jsoncalmgr/bias/filename=bpm_20140601_gmos-s.fits"


def test_look_up_of_an_unknown_file_says_so(
    archives: LoopbackArchives, caplog: pytest.LogCaptureFixture
) -> None:
    assert GeminiService().look_up("S20120827S0099.fits", "bias").names == []
    assert "has no such file" in caplog.text


def test_look_up_without_match_finds_nothing(archives: LoopbackArchives) -> None:
    assert GeminiService().look_up(SCIENCE, "arc").names == []


def test_look_up_of_an_unknown_type_asks_nothing(
    archives: LoopbackArchives, caplog: pytest.LogCaptureFixture
) -> None:
    assert GeminiService().look_up(SCIENCE, "trace").names == []
    assert archives.asked == []
    assert "knows no calibrations of type 'trace'" in caplog.text


def test_look_up_takes_its_own_type_from_all(archives: LoopbackArchives) -> None:
    # What the archive does with a word that it does not know.
    reply = archives.gemini.reply(f"/gemini/jsoncalmgr/nonsense/filename={SCIENCE}")
    types = {info["type"] for info in reply[0]["cal_info"]}
    assert len(types) > 5
    import json

    found = calibrations_of_json(json.dumps(reply).encode(), SCIENCE, "arc", "test")
    assert found.files == ()


def test_failed_search_is_an_error_and_no_null(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.gemini.failing = {"bias"}
    cache = tmp_path / "calibrations.json"
    with pytest.raises(ServiceError, match="failed to search for bias"):
        look_up_cals(SCIENCE, {"target": ["bias"]}, "gemini", cache)
    assert "null" not in cache.read_text()


def test_calibration_without_url_is_left_out(
    archives: LoopbackArchives, caplog: pytest.LogCaptureFixture
) -> None:
    archives.gemini.add("S20120826S0300.fits")
    archives.gemini.associate(SCIENCE, "arc", ["S20120826S0300.fits"], is_there=False)
    assert GeminiService().look_up(SCIENCE, "arc").names == []
    assert "S20120826S0300.fits is its arc, but the archive does not" in caplog.text


def test_xml_is_read_where_there_is_no_json(archives: LoopbackArchives) -> None:
    json_answer = GeminiService().look_up(SCIENCE, "bias")
    archives.gemini.has_json = False
    assert GeminiService().look_up(SCIENCE, "bias") == json_answer
    assert archives.paths("xmlcalmgr")


def test_failed_search_is_seen_in_the_comments_of_xml(
    archives: LoopbackArchives,
) -> None:
    archives.gemini.has_json = False
    archives.gemini.failing = {"bias"}
    with pytest.raises(ServiceError, match="failed to search for bias"):
        GeminiService().look_up(SCIENCE, "bias")


@pytest.mark.parametrize(
    ("mode", "asked"), [("imaging", "/flat/"), ("IFS", "/slitillum/")]
)
def test_twilight_has_the_name_of_its_mode(
    archives: LoopbackArchives, mode: str, asked: str
) -> None:
    archives.gemini.add("S20120827S0070.fits", mode=mode)
    GeminiService().look_up("S20120827S0070.fits", "twilight")
    assert asked in archives.paths("jsoncalmgr")[0]


@pytest.mark.parametrize("status", [406, 405, 400])
def test_refused_query_is_an_error(archives: LoopbackArchives, status: int) -> None:
    archives.switch("status", status=status)
    with pytest.raises(ServiceError, match=f"status {status}"):
        GeminiService().look_up(SCIENCE, "bias")


def test_busy_archive_is_unreachable(archives: LoopbackArchives) -> None:
    archives.switch("busy")
    with pytest.raises(ServiceUnreachableError, match=r"status 503; try again later"):
        GeminiService().look_up(SCIENCE, "bias")


def test_page_in_place_of_json_is_an_error(archives: LoopbackArchives) -> None:
    archives.switch("login-page")
    with pytest.raises(ServiceError, match="does not answer with JSON, but with '<!D"):
        GeminiService().look_up(SCIENCE, "bias")


def test_blocked_address_is_told_to_log_in(archives: LoopbackArchives) -> None:
    archives.switch("blocked")
    with pytest.raises(ServiceAccessError, match="wants a login from here") as caught:
        GeminiService().look_up(SCIENCE, "bias")
    assert "NDMAPPER_GEMINI_COOKIE" in str(caught.value)


def test_proprietary_file_needs_the_cookie(
    archives: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives.gemini.add("S20120827S0080.fits", proprietary=True)
    with pytest.raises(ServiceAccessError, match="proprietary data"):
        download_files(["S20120827S0080.fits"], "gemini", tmp_path)
    monkeypatch.setenv("NDMAPPER_GEMINI_COOKIE", COOKIE)
    (path,) = download_files(["S20120827S0080.fits"], "gemini", tmp_path)
    assert path.read_bytes() == fits_bytes("S20120827S0080.fits")


def test_password_gets_a_cookie(
    archives: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives.gemini.add("S20120827S0080.fits", proprietary=True)
    monkeypatch.setenv("NDMAPPER_GEMINI_USER", "observer")
    monkeypatch.setenv("NDMAPPER_GEMINI_PASSWORD", "starlight")
    download_files(["S20120827S0080.fits"], "gemini", tmp_path)
    assert [asked.method for asked in archives.asked if "login" in asked.path] == [
        "POST"
    ]


def test_wrong_password_is_seen_though_the_status_is_200(
    archives: LoopbackArchives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NDMAPPER_GEMINI_USER", "observer")
    monkeypatch.setenv("NDMAPPER_GEMINI_PASSWORD", "moonlight")
    with pytest.raises(ServiceAccessError, match="does not take user 'observer'") as e:
        GeminiService().look_up(SCIENCE, "bias")
    assert "moonlight" not in str(e.value)


def test_file_of_two_names_is_the_raw_one(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    reduced = fits_bytes("reduced")
    archives.gemini.add(SCIENCE, reduced, path="reduced/v2")
    (path,) = download_files([SCIENCE], "gemini", tmp_path)
    assert path.read_bytes() == fits_bytes(SCIENCE)


def test_file_of_two_names_is_the_one_of_the_document(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    held = archives.gemini.add(SCIENCE, fits_bytes("reduced"), path="reduced/v2")
    document = {"associations": {}, "calibrations": {"b_bias.fits": [SCIENCE]},
                "checksums": {SCIENCE: md5_of(held.stored)}}  # fmt: skip
    (path,) = download_files(document, "gemini", tmp_path)
    assert path.read_bytes() == held.plain
    assert archives.paths("/file/") == [f"/gemini/file/reduced/v2/{SCIENCE}.bz2"]


def test_open_query_that_floods_gives_no_other_file(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    # What the archive does with a name that it takes for nothing it knows.
    rows = archives.gemini.reply("/gemini/jsonfilelist/canonical/mask.fits")
    assert len(rows) == 4
    import json

    archives.switch("body", path="jsonfilelist", body=json.dumps(rows).encode())
    with pytest.raises(MissingFileError, match=r"mask\.fits: the archive has no such"):
        download_files(["mask.fits"], "gemini", tmp_path)
    assert list(tmp_path.glob("*.fits")) == []


@pytest.mark.parametrize(
    ("asked", "kind"), [(SCIENCE, "plain"), (f"{SCIENCE}.bz2", "stored")]
)
def test_name_says_whether_it_is_decompressed(
    archives: LoopbackArchives, tmp_path: Path, asked: str, kind: str
) -> None:
    (path,) = download_files([asked], "gemini", tmp_path)
    assert path == tmp_path / asked
    assert path.read_bytes() == getattr(archives.gemini.held(SCIENCE), kind)


def test_decompress_false_keeps_what_is_stored(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    (path,) = download_files([SCIENCE], "gemini", tmp_path, decompress=False)
    assert path.name == f"{SCIENCE}.bz2"
    assert download_files([SCIENCE], "gemini", tmp_path, decompress=False) == [path]
    assert len(archives.paths("/file/")) == 1


def test_decompress_true_opens_what_is_asked_compressed(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    (path,) = download_files([f"{SCIENCE}.bz2"], "gemini", tmp_path, decompress=True)
    assert path.read_bytes() == fits_bytes(SCIENCE)


def test_compression_that_there_is_not_is_an_error(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    with pytest.raises(ServiceError, match=r"has S20120827S0066\.fits\.bz2, not"):
        download_files([f"{SCIENCE}.gz"], "gemini", tmp_path)


def test_name_without_type_gives_what_is_stored(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    stem = SCIENCE.removesuffix(".fits")
    (path,) = download_files([stem], "gemini", tmp_path)
    assert path.name == f"{SCIENCE}.bz2"
    archives.stop()
    assert download_files([stem], "gemini", tmp_path) == [path]


def test_uncompressed_file_is_taken_as_it_is(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.gemini.add("S20120827S0090.fits", compression="")
    (path,) = download_files(["S20120827S0090.fits"], "gemini", tmp_path)
    assert path.read_bytes() == fits_bytes("S20120827S0090.fits")
