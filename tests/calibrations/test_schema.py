"""What is said of a calibration document that is malformed, which is left as it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from ndmapper.calibrations import init_cal_dict, save_cal_dict
from ndmapper.errors import CalibrationDocumentError


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"associations": {\n  "a.fits": {"bias": "b.fits",}}}',
         r'line 2, at associations\["a.fits"\]: the comma before }'),
        ('{"associations": {}\n "calibrations": {}}', r"line 2, at the top: a comma"),
        ('{\n"calibrations": {"b": ["x.fits"\n', r'line 3, .*\["b"\]: a comma'),
        ('{"checksums": {\n"a": nan}}', r'line 2, at checksums\["a"\]: a value'),
        ('{"checksums": {"a": NaN}}', r'line 1, at checksums\["a"\]: a value'),
        ('{"notes": 007}', r"at the top: a comma or }"),
        ('{"notes": "a\tb"}', r"at notes: a text is wrong"),
        ("{'associations': {}}", r"line 1, at the top: a key"),
        ('{"associations" {}}', r"at associations: a colon"),
        ('{"associations": {}} x', r"at the top: nothing more was expected"),
        ("", r"line 1, at the top: a value was expected"),
        ('{"associations": {"a": {"bias": null,\n"bias": null}}}',
         r'line 2, at associations\["a"\]\["bias"\]: this key is there twice'),
        ("[" * 5000, r"nested more than 100 deep"),
    ],
    ids=["comma", "no-comma", "cut", "word", "nan", "octal", "tab", "quotes", "colon",
         "rest", "empty", "twice", "deep"],
)  # fmt: skip
def test_init_invalid_json_says_path_and_line_and_keeps_the_file(
    document_path: Path, text: str, where: str
) -> None:
    document_path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationDocumentError, match=where):
        init_cal_dict(document_path)
    with pytest.raises(CalibrationDocumentError, match=where):
        save_cal_dict(init_cal_dict(), document_path)
    assert document_path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("change", "where", "line"),
    [
        (("associations", "a.fits", 5), r'\["a.fits"\]: expected an object', 4),
        (("associations", "a.fits", {"bias": 5}), r'\["a.fits"\]\["bias"\]: .*null', 5),
        (("associations", "a.fits", {"bias": "/etc/x"}), r"without a leading '/'", 5),
        (("associations", "a.fits", {"bias": "../x"}), r"without '\.\.'", 5),
        (("calibrations", "b.fits", "b1.fits"), r'\["b.fits"\]: expected a list', 4),
        (("calibrations", "b.fits", ["b1", 7]), r'\["b.fits"\]\[1\]: .*found 7', 6),
        (("calibrations", "../b.fits", []), r'calibrations\["../b.fits"\]', 4),
        (("calibrations", "c:\\..\\b", []), r"calibrations\[.*without '\.\.'", 4),
        (("checksums", "b.fits", 3), r'checksums\["b.fits"\]: expected a checksum', 4),
        (("checksums", "", "x"), r"checksums: expected keys that are text", 3),
    ],
)  # fmt: skip
def test_init_wrong_type_says_path_and_line_and_keeps_the_file(
    document_path: Path, change: tuple[str, str, Any], where: str, line: int
) -> None:
    document: dict[str, Any] = {"schema": 1, change[0]: {change[1]: change[2]}}
    document_path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    before = document_path.read_bytes()
    with pytest.raises(CalibrationDocumentError, match=rf"line {line}, at .*{where}"):
        init_cal_dict(document_path)
    with pytest.raises(CalibrationDocumentError, match=r"calibrations\.json"):
        save_cal_dict(init_cal_dict(), document_path)
    assert document_path.read_bytes() == before


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b'{"checksums": []}'])
def test_init_other_json_is_malformed(document_path: Path, content: bytes) -> None:
    document_path.write_bytes(content)
    with pytest.raises(CalibrationDocumentError, match="expected an object"):
        init_cal_dict(document_path)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("assocations", "associations"),
        ("Associations", "associations"),
        ("calibration", "calibrations"),
        ("check_sums", "checksums"),
        ("bad_frame", "bad_frames"),
        ("badframes", "bad_frames"),
        ("lockd", "locked"),
    ],
)
def test_init_misspelt_map_is_an_error_with_a_suggestion(
    document_path: Path, key: str, meant: str
) -> None:
    document_path.write_text(json.dumps({"calibrations": {}, key: {}}, indent=1))
    with pytest.raises(
        CalibrationDocumentError, match=rf"line 3, at {key}: .*did you mean '{meant}'"
    ):
        init_cal_dict(document_path)


@pytest.mark.parametrize(
    "key", ["_note", "_associations", "notes", "association notes", "observer"]
)
def test_init_key_of_the_user_is_kept(document_path: Path, key: str) -> None:
    document_path.write_text(json.dumps({key: {"a": 1}}))
    assert init_cal_dict(document_path)[key] == {"a": 1}


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"calibrations": {"b1.fits": ["b1.fits", "b2.fits"]}}, "a raw frame"),
        ({"calibrations": {"b1.fits": ["b1.fits.gz"]}}, "a raw frame"),
        (
            {
                "associations": {"x.fits": {"bias": "x.fits"}},
                "calibrations": {"x.fits": ["b1.fits"]},
            },
            "a raw frame",
        ),
        ({"calibrations": {"raw/b.fits": ["b1.fits"]}}, "cannot have a folder"),
        ({"calibrations": {"raw\\b.fits": ["b1.fits"]}}, "cannot have a folder"),
    ],
    ids=["own-frame", "compressed", "target", "folder", "backslash"],
)
def test_init_label_that_cannot_be_a_product_is_an_error(
    document_path: Path, document: dict[str, Any], where: str
) -> None:
    document_path.write_text(json.dumps(document))
    with pytest.raises(
        CalibrationDocumentError,
        match=rf"at calibrations\[.*name of a product.*{where}",
    ):
        init_cal_dict(document_path)


def test_init_product_with_calibrations_of_its_own_is_no_raw_frame(
    document_path: Path,
) -> None:
    document = {
        "associations": {"b11_flat.fits": {"bias": "b21_bias.fits"}},
        "calibrations": {"b11_flat.fits": ["b11.fits"], "b21_bias.fits": ["b21.fits"]},
        "checksums": {},
    }
    document_path.write_text(json.dumps(document))
    assert init_cal_dict(document_path) == document
