"""How the key of a member is found in headers, and described in a TOML."""

import pytest

from ndmapper.data import DataFile
from ndmapper.data.member_keys import keys_in
from ndmapper.errors import InstrumentError
from ndmapper.instruments import load
from ndmapper.instruments.members import MemberKey, parse_member_key

IFU = MemberKey(("EXTNAME",), r"CHAN(\d\d)", "int", "nifu")


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ({"EXTNAME": "CHAN07"}, 7),
        ({"EXTNAME": "CHAN07.DATA "}, 7),
        ({"EXTNAME": "DATA"}, None),
        ({"EXTNAME": "XCHAN07"}, None),
        ({"EXTNAME": None}, None),
        ({"EXTNAME": True}, None),
        ({}, None),
    ],
)
def test_pattern_says_what_of_a_value_is_the_key(header, key):
    assert IFU.find(header) == key


def test_first_keyword_that_gives_a_key_is_taken():
    rule = MemberKey(("CHIP", "DETECTOR"), type="int")
    assert rule.find({"CHIP": 3, "DETECTOR": 4}) == 3
    assert rule.find({"CHIP": "none", "DETECTOR": " 4 "}) == 4
    assert rule.find({"CHIP": ""}) is None


def test_text_is_the_type_unless_said():
    assert MemberKey(("FILTER",)).find({"FILTER": " V "}) == "V"
    assert MemberKey(("FILTER",)).find({"FILTER": 814}) == "814"
    assert MemberKey(("FILTER",)).find({"FILTER": " "}) is None


def test_keys_of_a_file_are_listed_once_each():
    headers = [{"EXTNAME": name} for name in ("X", "CHAN07.A", "CHAN02", "CHAN07.B")]
    assert IFU.find_all(headers) == [7, 2]


def test_description_is_parsed():
    spec = {"keys": "EXTNAME", "pattern": r"CHAN(\d\d)", "type": "int"}
    assert parse_member_key(spec) == MemberKey(("EXTNAME",), r"CHAN(\d\d)", "int")
    assert parse_member_key({"keys": ["A", "B"], "parameter": "nifu"}) == MemberKey(
        ("A", "B"), parameter="nifu"
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("EXTNAME", "expected a table with keys"),
        ({}, "expected a table with keys"),
        ({"keys": ["A"], "patern": "x"}, "expected a table with keys"),
        ({"keys": [3]}, "a list of header keywords"),
        ({"keys": [""]}, "a list of header keywords"),
        ({"keys": {"A": 1}}, "a list of header keywords"),
        ({"keys": ["A"], "type": "float"}, "one of int, str"),
        ({"keys": ["A"], "pattern": 3}, "expected pattern to be a text"),
        ({"keys": ["A"], "parameter": 3}, "expected parameter to be a text"),
        ({"keys": ["A"], "pattern": "("}, "no|not a regular expression"),
        ({"keys": ["A"], "pattern": "CHAN"}, "the key in parentheses"),
        ({"keys": ["A"], "pattern": "(A)(B)"}, "the key in parentheses"),
    ],
)
def test_wrong_description_is_an_error_that_says_why(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_member_key(spec)


TOML = """
schema = 1
description = "a camera of several chips"
[applies]
INSTRUME = "TESTCAM"
[descriptors]
object = "OBJECT"
time = { fn = "timestamp", keys = ["DATE-OBS"] }

[members.chip]
keys = ["CHIPNO"]
type = "int"
"""


def test_table_beside_a_script_describes_members(tmp_path):
    path = tmp_path / "testcam.toml"
    path.write_text(TOML)
    assert load(path).members["chip"] == MemberKey(("CHIPNO",), type="int")


def test_mistake_in_a_table_names_file_and_key(tmp_path):
    path = tmp_path / "testcam.toml"
    path.write_text(TOML.replace('"int"', '"float"'))
    with pytest.raises(InstrumentError, match=r"(?s)testcam.*members\.chip.*int, str"):
        load(path)


def test_ifus_of_real_raw_frames_are_known(real_data):
    assert set(load("muse").members) >= {"ifu", "filter"}
    found = sorted((real_data / "muse").rglob("*.fits*"))
    said = {key for path in found for key in keys_in(DataFile(path), "ifu")}
    assert said <= set(range(1, 25))
