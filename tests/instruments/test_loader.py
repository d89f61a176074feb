"""Instruments: found by name, path or header; their files checked."""

import os
from pathlib import Path

import pytest
from astropy.io import fits

from ndmapper import instruments
from ndmapper.errors import InstrumentError

MINIMAL = """
schema = 1
description = "a camera"
[applies]
INSTRUME = "MINE"
[descriptors]
object = "OBJECT"
time = { fn = "timestamp", keys = ["DATE-OBS"] }
"""


def write_table(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", instruments.names())
def test_load_each_built_in_is_valid(name: str) -> None:
    assert instruments.load(name).name == name


def test_names_include_those_of_the_spine() -> None:
    assert {"ccd", "gmos", "kast", "muse", "simcam"} <= set(instruments.names())


def test_load_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InstrumentError, match="did you mean 'kast'"):
        instruments.load("kats")


def test_load_own_file_by_path(tmp_path: Path) -> None:
    assert instruments.load(write_table(tmp_path, MINIMAL)).description == "a camera"


def test_load_missing_path_names_it(tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match=r"none\.toml cannot be read"):
        instruments.load(tmp_path / "none.toml")


def test_load_invalid_toml_says_where(tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match=r"mine\.toml is not valid TOML.*line 1"):
        instruments.load(write_table(tmp_path, "schema = = 1"))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("colour = 'red'\n" + MINIMAL, r"\(top\): there is no key 'colour'"),
        (MINIMAL.replace("= 1", "= 7", 1), "schema: expected 1, found 7"),
        (MINIMAL + 'bad = { fn = "eval", keys = ["X"] }', "descriptors.bad: .*'eval'"),
        (MINIMAL + 'bad = { keys = [] , type = "int"}', "descriptors.bad: .*keys"),
        (MINIMAL + 'bad = { fn = "word", keys = ["X"] }', r"options of word \(n\)"),
        (MINIMAL + "bad = 5", "descriptors.bad: expected a keyword"),
        (MINIMAL + "[[class]]\nname = 'a'\nwhere = { objekt = 'x' }",
         r"class\[0\]\.where: there is no descriptor 'objekt'; did you mean 'object'"),
        (MINIMAL + "[[class]]\nname = 'a'\nwhere = { object = { most = 1 } }",
         r"class\[0\]\.where\.object: .*most = 1"),
        (MINIMAL + "[[class]]\nwhere = { object = 'x' }", r"class\[0\]\.name"),
        (MINIMAL + "[[rule]]\ntype = 'bias'\nwindow = 'week'", r"rule\[0\]\.window"),
        (MINIMAL + "[[rule]]\ntype = 'bias'\nwindow = [1, 2, 3]", r"rule\[0\]\.window"),
        (MINIMAL + "[[rule]]\ntype = 'bias'\nmin = 0", r"rule\[0\]\.min"),
        (MINIMAL + "[[rule]]\ntype = 'bias'\nmach = ['time']", "did you mean 'match'"),
        (MINIMAL + "[labels]\nuncertainty_is = 'err'", "labels.uncertainty_is"),
        (MINIMAL + "[labels]\ndata = 3", "labels.data"),
        (MINIMAL + "[[amplifier]]\nname='a'\ndata='1:2'", r"amplifier\[0\]\.data"),
        ("filename_regex = '('\n" + MINIMAL, "filename_regex: not a regular"),
        (MINIMAL + "[rule]\ntype = 'bias'", "rule: expected tables"),
    ],
)  # fmt: skip
def test_load_wrong_file_names_file_and_key(
    tmp_path: Path, text: str, key: str
) -> None:
    with pytest.raises(InstrumentError, match=rf"mine\.toml is wrong at .*{key}"):
        instruments.load(write_table(tmp_path, text))


def test_recognise_kast_without_instrume() -> None:
    header = fits.Header([("VERSION", "kastb   ")])
    found = instruments.recognise(header)
    assert found is not None
    assert found.name == "kast"


def test_recognise_takes_plain_mappings() -> None:
    found = instruments.recognise({"INSTRUME": "GMOS-S"})
    assert found is not None
    assert found.name == "gmos"


def test_recognise_prefers_the_instrument_to_the_generic_camera() -> None:
    found = instruments.recognise({"INSTRUME": "SIMCAM", "IMAGETYP": "Light Frame"})
    assert found is not None
    assert found.name == "simcam"


def test_recognise_generic_camera_by_imagetyp() -> None:
    found = instruments.recognise({"IMAGETYP": "Light Frame"})
    assert found is not None
    assert found.name == "ccd"


def test_recognise_unknown_header_is_none() -> None:
    assert instruments.recognise(fits.Header()) is None


def test_filename_regexes_are_those_with_distinctive_names() -> None:
    regexes = instruments.filename_regexes()
    distinctive = ("efosc2", "gmos", "muse")
    found = [instruments.load(name).filename_regex for name in distinctive]
    assert regexes == found


@pytest.mark.parametrize("name", ["kast", "simcam"])
def test_filename_regexes_are_not_of_names_that_anybody_may_give(name: str) -> None:
    assert instruments.load(name).filename_regex is None


def test_edit_of_what_a_table_extends_is_noticed(tmp_path: Path) -> None:
    base = tmp_path / "base.toml"
    base.write_text('schema = 1\ndescription = "one"\n')
    own = tmp_path / "mine.toml"
    own.write_text(f'schema = 1\nextends = "{base.name}"\n')
    assert instruments.load(own).description == "one"
    digest = instruments.load(own).digest
    base.write_text('schema = 1\ndescription = "two"\n')
    assert instruments.load(own).description == "two"
    assert instruments.load(own).digest != digest
    stat = base.stat()
    base.write_text('schema = 1\ndescription = "six"\n')
    os.utime(base, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert instruments.load(own).description == "six"
    base.unlink()
    with pytest.raises(InstrumentError, match=r"mine.toml extends, cannot be read"):
        instruments.load(own)


def test_table_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b'\xef\xbb\xbfschema = 1\r\ndescription = "mine"\r\n')
    assert instruments.load(path).description == "mine"


@pytest.mark.parametrize("name", ["a\0b.toml", "x" * 300 + ".toml", "x\udcff.toml"])
def test_name_that_no_table_can_have_is_an_error_of_ours(name: str) -> None:
    with pytest.raises(InstrumentError, match="instrument file"):
        instruments.load(name)


def test_tables_that_extend_each_other_under_other_names_end(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = write_table(tmp_path, "")
    path.write_text(f'schema = 1\nextends = "sub/../{path.name}"\n')
    with pytest.raises(InstrumentError, match="is wrong at extends"):
        instruments.load(path)
