"""Conventions of flags: what the bits of other observatories mean."""

from dataclasses import replace

import pytest

from ndmapper.data import Flag
from ndmapper.errors import ConfigError, InstrumentError
from ndmapper.instruments import (
    flag_conventions,
    load_flags,
    recognise_flags,
)

OWN = ["BAD", "NONLINEAR", "SATURATED", "COSMIC_RAY", "NO_DATA", "OVERLAP"]

MINIMAL = """
schema = 1
bits = [{ bit = 3, name = "WRONG", own = "BAD" }, { bit = 5, name = "NICE" }]
[from_own]
BAD = "WRONG"
NONLINEAR = ""
SATURATED = "WRONG"
COSMIC_RAY = "WRONG"
NO_DATA = "WRONG"
OVERLAP = ""
UNILLUMINATED = ""
"""


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    return path


def test_conventions_are_those_of_the_great_observatories():
    assert flag_conventions() == ["euro3d", "gemini", "hst", "jwst", "ndmapper"]


# Checked one by one against the sources that the files name.
@pytest.mark.parametrize(
    ("convention", "name", "value"),
    [
        ("ndmapper", "COSMIC_RAY", 8),
        ("gemini", "unilluminated", 64),
        ("hst", "HOTPIX", 16),
        ("hst", "DATAREJECT", 8192),
        ("jwst", "DO_NOT_USE", 1),
        ("jwst", "REFERENCE_PIXEL", 2**31),
        ("euro3d", "COSMICRAY", 32),
        ("euro3d", "MISSDATA", 2**30),
    ],
)
def test_value_of_one_name_is_its_bit(convention, name, value):
    assert load_flags(convention).value(name) == value


@pytest.mark.parametrize("convention", flag_conventions())
@pytest.mark.parametrize("name", OWN[:5])
def test_value_of_own_name_is_known_to_every_convention(convention, name):
    table = load_flags(convention)
    assert table.like_own(load_flags("ndmapper").value(name)) > 0
    assert table.value(name) > 0 or name == "NONLINEAR"


def test_value_of_own_name_means_all_that_are_like_it():
    # Full well and converter.
    assert load_flags("euro3d").value("saturated") == 2**11 | 2**12


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("BAD|SATURATED", 5),
        ("bad, saturated", 5),
        (["BAD", 4], 5),
        ("ALL", 2**64 - 1),
        ("NONE", 0),
        ("-OVERLAP", (2**64 - 1) ^ 32),
        ("BAD|SATURATED|-BAD", 4),
        ("16", 16),
        (12, 12),
    ],
)
def test_value_of_expressions(given, value):
    assert load_flags("ndmapper").value(given) == value


def test_value_of_a_name_of_another_convention_is_no_bit():
    assert load_flags("gemini").value("HOTPIX") == 0


def test_value_of_a_name_of_none_suggests_one():
    with pytest.raises(ConfigError, match="did you mean 'SATURATED'"):
        load_flags("gemini").value("SATURATE")


def test_flag_that_steps_add_is_known_and_not_set():
    assert load_flags("hst").value("INTERPOLATED") == 0
    assert load_flags("gemini").value("-INTERPOLATED") & 0xFFFF == 0xFFFF


def test_names_lists_bits_also_without_name():
    assert load_flags("gemini").names(1 | 8 | 512) == [
        "bad_pixel",
        "cosmic_ray",
        "bit 9",
    ]


@pytest.mark.parametrize("name", flag_conventions())
def test_translation_into_itself_changes_nothing(name):
    table = load_flags(name)
    assert table.translation(table) == {1 << n: 1 << n for n in range(64)}


@pytest.mark.parametrize("name", flag_conventions())
def test_translation_of_own_flags_and_back_keeps_the_five_that_all_have(name):
    own, table = load_flags("ndmapper"), load_flags(name)
    there, back = own.translation(table), table.translation(own)
    for flag in ("BAD", "SATURATED", "COSMIC_RAY", "NO_DATA", "UNILLUMINATED"):
        value = own.value(flag)
        assert back[there[value]] == value


@pytest.mark.parametrize(
    ("source", "flag", "to", "names"),
    [
        ("gemini", "cosmic_ray", "euro3d", ["COSMICRAY"]),
        ("hst", "HOTPIX", "jwst", ["DO_NOT_USE"]),
        ("euro3d", "MISSDATA", "gemini", ["no_data"]),
        ("euro3d", "TELLCOR", "gemini", []),
        ("gemini", "overlap", "hst", []),
        ("jwst", "SATURATED", "euro3d", ["SATURATED"]),
    ],
)
def test_translation_of_one_flag(source, flag, to, names):
    table, other = load_flags(source), load_flags(to)
    bit = next(b.value for b in table.bits if b.name == flag)
    assert other.names(table.translation(other)[bit]) == names


def test_translation_of_a_bit_without_name_is_bad():
    assert load_flags("gemini").translation(load_flags("hst"))[512] == 4


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ({"INSTRUME": "GMOS-N"}, "gemini"),
        ({"TELESCOP": "Gemini-South", "INSTRUME": "NIRI"}, "gemini"),
        ({"INSTRUME": "MUSE"}, "euro3d"),
        ({"TELESCOP": "HST", "INSTRUME": "ACS"}, "hst"),
        ({"TELESCOP": "JWST"}, "jwst"),
    ],
)
def test_recognise_flags_by_instrument_or_telescope(header, name):
    assert recognise_flags(header).name == name


def test_recognise_flags_of_an_unknown_camera_is_none():
    assert recognise_flags({"INSTRUME": "mine"}) is None


def test_load_own_file_by_path(own_file):
    assert load_flags(own_file).value("WRONG") == 8


def test_load_unknown_name_suggests_one():
    with pytest.raises(InstrumentError, match="did you mean 'gemini'"):
        load_flags("gemni")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("schema = 1", "schema = 2", "expected schema 1"),
        ("bit = 3", "bit = 32", "from 0 to 31"),
        ("bit = 3", "bit = 5", "one name or one bit"),
        ('own = "BAD"', 'own = "BAED"', "did you mean 'BAD'"),
        ('BAD = "WRONG"', 'BAD = "WRNG"', "from_own.BAD"),
        ('UNILLUMINATED = ""', "", "UNILLUMINATED"),
        ("schema = 1", 'schema = 1\ncolour = "red"', "no key 'colour'"),
        ('name = "NICE"', 'name = "NICE", colour = 1', "colour"),
        ("schema = 1", "schema =", "not valid TOML"),
    ],
)
def test_load_wrong_file_says_what(own_file, old, new, match):
    own_file.write_text(MINIMAL.replace(old, new, 1))
    with pytest.raises(InstrumentError, match=match) as caught:
        load_flags(own_file)
    assert "mine.toml" in str(caught.value)


def test_load_missing_file_names_it(tmp_path):
    with pytest.raises(InstrumentError, match=r"none\.toml cannot be read"):
        load_flags(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("alias", "name"),
    [("dragons", "gemini"), ("DRAGONS", "gemini"), ("muse", "euro3d")],
)
def test_load_flags_takes_both_names_of_a_convention(alias, name):
    assert load_flags(alias) is load_flags(name)
    assert alias not in flag_conventions()


def test_load_flags_unknown_name_suggests_also_another_name():
    with pytest.raises(InstrumentError, match="did you mean 'dragons'"):
        load_flags("dragon")


def test_flag_without_counterpart_becomes_that_for_bad_but_overlap_is_dropped():
    hst = load_flags("hst")
    given = dict(hst.from_own) | {"UNILLUMINATED": ""}
    table = replace(hst, from_own=given)
    bad = next(bit.value for bit in table.bits if bit.name == given["BAD"])
    assert table.like_own(Flag.UNILLUMINATED) == bad
    assert table.like_own(Flag.OVERLAP) == 0


def test_convention_needs_a_flag_for_bad(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('schema = 1\nbits = []\n[from_own]\nBAD = ""\n', encoding="utf-8")
    with pytest.raises(InstrumentError, match=r"from_own\.BAD is empty"):
        load_flags(mine)
