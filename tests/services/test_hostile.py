"""Archives that mean harm: refused with a clear error, nothing outside the folder."""

import bz2
import json
import logging
from pathlib import Path

import pytest

from ndmapper.errors import ServiceError
from ndmapper.services import download_files, look_up_cals
from ndmapper.services.eso.service import EsoService
from ndmapper.services.gemini.service import GeminiService
from ndmapper.services.parsing import parse_json_reply, parse_xml
from ndmapper.services.safename import name_of_disposition, safe_name
from ndmapper.testing import LoopbackArchives
from ndmapper.testing.archives.content import fits_bytes, md5_of

SCIENCE = "S20120827S0066.fits"
DATASET = "MUSE.2017-06-18T01:02:03.456"

BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<association category="&c;"/>"""

FILE = b"""<?xml version="1.0"?>
<!DOCTYPE x [<!ENTITY passwd SYSTEM "file:///etc/passwd">]>
<association category="&passwd;"/>"""

NAMES = ["../evil.fits", "/etc/evil.fits", "a/b.fits", "a\\b.fits", "..", ".hidden",
         "new\nline.fits", "null\0.fits", "bell\x07.fits", "x" * 300 + ".fits", "",
         "right\u202eleft.fits", " lead.fits"]  # fmt: skip


def files_of(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("body", [BOMB, FILE], ids=["bomb", "file"])
def test_xml_with_entities_is_refused(archives: LoopbackArchives, body: bytes) -> None:
    archives.switch("body", body=body, content_type="application/xml")
    with pytest.raises(ServiceError, match="defines a document type; it is not read"):
        EsoService().look_up(DATASET, "bias")


@pytest.mark.parametrize("body", [BOMB, FILE], ids=["bomb", "file"])
def test_xml_beside_the_data_is_no_more_trusted(tmp_path: Path, body: bytes) -> None:
    (tmp_path / f"{DATASET}_raw2raw.xml").write_bytes(body)
    with pytest.raises(ServiceError, match="defines a document type"):
        look_up_cals(tmp_path / f"{DATASET}.fits", {"target": ["bias"]}, "eso")


def test_deep_xml_is_refused(archives: LoopbackArchives) -> None:
    body = b"<association>" * 100_000 + b"</association>" * 100_000
    archives.switch("body", body=body, content_type="application/xml")
    with pytest.raises(ServiceError, match="nested deeper than"):
        EsoService().look_up(DATASET, "bias")


def test_deep_tree_is_refused(archives: LoopbackArchives) -> None:
    part = b'<association category="A"><associatedFiles>'
    body = part * 15 + b"</associatedFiles></association>" * 15
    archives.switch("body", body=body, content_type="application/xml")
    with pytest.raises(ServiceError, match="a tree of more than 12 levels"):
        EsoService().look_up(DATASET, "bias")


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 200_000, b"[[" * 500])
def test_deep_json_is_refused(archives: LoopbackArchives, body: bytes) -> None:
    archives.switch("body", body=body)
    with pytest.raises(ServiceError, match="nested deeper than 40 levels"):
        GeminiService().look_up(SCIENCE, "bias")


def test_brackets_in_text_are_no_nesting() -> None:
    body = json.dumps(["[" * 1000 + '"\\']).encode()
    assert parse_json_reply(body, "x") == ["[" * 1000 + '"\\']


def test_shape_of_a_tree_is_no_nesting() -> None:
    wide = b"<a>" + b"<b/>" * 10_000 + b"</a>"
    assert len(parse_xml(wide, "x")) == 10_000


@pytest.mark.parametrize(
    "body", [b"", b"null", b"{}", b"[1]", b'"x"', b"[[]]", b"\xff\xfe", b"NaN"]
)
@pytest.mark.parametrize("call", ["look_up", "describe"])
def test_json_of_another_shape_is_an_error(
    archives: LoopbackArchives, body: bytes, call: str
) -> None:
    archives.switch("body", body=body)
    service = GeminiService()
    arguments = (SCIENCE, "bias") if call == "look_up" else (SCIENCE,)
    with pytest.raises(ServiceError, match="answer"):
        getattr(service, call)(*arguments)


@pytest.mark.parametrize("name", NAMES)
def test_name_of_a_calibration_leads_nowhere(
    archives: LoopbackArchives, tmp_path: Path, name: str
) -> None:
    cal = {"label": "x", "name": name, "md5": "0" * 32, "url": "https://x/y"}
    info = {"error": False, "type": "bias", "cals": [cal]}
    reply = [{"label": "x", "filename": SCIENCE, "md5": "", "cal_info": [info]}]
    archives.switch("body", body=json.dumps(reply).encode())
    cache = tmp_path / "calibrations.json"
    with pytest.raises(ServiceError, match="which is not taken"):
        look_up_cals(SCIENCE, {"target": ["bias"]}, "gemini", cache)
    assert "evil" not in cache.read_text()


# XML cannot hold other control characters, and turns line feeds into blanks.
@pytest.mark.parametrize("name", [n for n in NAMES if not set(n) & set("\0\x07\n")])
def test_name_in_a_tree_leads_nowhere(archives: LoopbackArchives, name: str) -> None:
    archives.eso.associate(DATASET, {"BIAS": [name]})
    with pytest.raises(ServiceError, match="which is not taken"):
        EsoService().look_up(DATASET, "bias")


@pytest.mark.parametrize("name", [n for n in NAMES if n and "\n" not in n])
def test_name_of_a_download_leads_nowhere(
    archives: LoopbackArchives, tmp_path: Path, name: str
) -> None:
    archives.eso.add(DATASET)
    escaped = name.encode("ascii", "backslashreplace").decode().replace("\\", "\\\\")
    archives.switch("named", disposition=f'attachment; filename="{escaped}"')
    with pytest.raises(ServiceError):
        download_files([DATASET], "eso", tmp_path / "raw")
    assert [name for name in files_of(tmp_path) if ".ndmapper" not in name] == []


@pytest.mark.parametrize("name", NAMES)
def test_safe_name_refuses(name: str) -> None:
    with pytest.raises(ServiceError, match="is not taken"):
        safe_name(name, "a server")


@pytest.mark.parametrize(
    "name", ["S20120827S0066.fits", "MUSE.2017-06-18T01:02:03.456.fits.fz", "a b.fits"]
)
def test_safe_name_takes(name: str) -> None:
    assert safe_name(name, "a server") == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (None, None),
        ("attachment", None),
        ('attachment; filename="a.fits"', "a.fits"),
        ("attachment; filename=a.fits; size=3", "a.fits"),
        ('attachment; filename="a\\"b.fits"', 'a"b.fits'),
    ],
)
def test_name_of_disposition(header: str | None, name: str | None) -> None:
    assert name_of_disposition(header, "a server") == name


@pytest.mark.parametrize("path", ["../../etc", "/etc", "a/../.."])
def test_folder_at_the_archive_leads_nowhere(
    archives: LoopbackArchives, tmp_path: Path, path: str
) -> None:
    archives.gemini.add(SCIENCE, path=path)
    with pytest.raises(ServiceError, match="which is not taken"):
        download_files([SCIENCE], "gemini", tmp_path)
    assert archives.paths("/file/") == []


def test_body_larger_than_announced_in_the_list_is_not_kept(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.gemini.add(SCIENCE)
    archives.switch("endless", path="/file/", size=64 << 20)
    with pytest.raises(ServiceError, match=r"sends more than the .* bytes announced"):
        download_files([SCIENCE], "gemini", tmp_path)
    assert list(tmp_path.glob("*.fits*")) == []
    assert not [p for p in tmp_path.iterdir() if p.is_file()]


def test_file_larger_than_its_server_announces_is_not_kept(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.eso.add(DATASET, kind="fits")
    archives.switch("no-ranges", path="/file/")
    archives.switch("announced", path="/file/", size=5000)
    with pytest.raises(ServiceError, match="no whole FITS file"):
        download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.is_file()]


def test_file_smaller_than_its_server_announces_is_not_kept(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.eso.add(DATASET, kind="fits")
    archives.switch("announced", path="/file/", size=1 << 30)
    archives.switch("cut", path="/file/", after=1 << 20)
    archives.switch("no-ranges", path="/file/")
    with pytest.raises(ServiceError, match="broke before the end"):
        download_files([f"{DATASET}.fits"], "eso", tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.is_file()]


def test_file_that_grows_beyond_its_list_is_not_kept(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    bomb = bz2.compress(b"SIMPLE  =" + b"\0" * (50 << 20))
    archives.gemini.add(SCIENCE, fits_bytes(SCIENCE), file_size=len(bomb),
                        file_md5=md5_of(bomb))  # fmt: skip
    archives.switch("body", path="/file/", body=bomb)
    with pytest.raises(ServiceError, match="once it is decompressed; it is not writ"):
        download_files([SCIENCE], "gemini", tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.is_file()]


def test_damaged_compression_is_no_file(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    body = bz2.compress(fits_bytes(SCIENCE))[:-100]
    archives.gemini.add(SCIENCE, file_size=len(body), file_md5=md5_of(body))
    archives.switch("body", path="/file/", body=body)
    with pytest.raises(ServiceError, match="no whole bz2 file"):
        download_files([SCIENCE], "gemini", tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.is_file()]


def test_link_that_lies_where_a_part_goes_is_not_followed(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.gemini.add(SCIENCE)
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / f".{SCIENCE}.bz2.part").symlink_to(outside)
    download_files([SCIENCE], "gemini", raw)
    assert outside.read_text() == "mine"


def test_text_of_a_server_cannot_steer_a_terminal(
    archives: LoopbackArchives, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    archives.switch("body", body=b"\x1b[2J\x1b]0;owned\x07 no json")
    with pytest.raises(ServiceError) as caught:
        GeminiService().look_up(SCIENCE, "bias")
    assert "\x1b" not in f"{caught.value}{caplog.text}"
