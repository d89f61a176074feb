import copy
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndmapper.config import config
from ndmapper.data import DataFile, FileName
from ndmapper.errors import ConfigError


def parts(name):
    return name.dir, name.prefix, name.base, name.suffix, name.ext


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ergS20120827S0066.fits", ("", "erg", "S20120827S0066", [], "fits")),
        (
            "raw/S20120827S0066_a_b.fits.gz",
            ("raw", "", "S20120827S0066", ["_a", "_b"], "fits.gz"),
        ),
        (
            "MUSE.2017-06-16T01:34:56.867.fits.fz",
            ("", "", "MUSE.2017-06-16T01:34:56.867", [], "fits.fz"),
        ),
        (
            "MUSE.2017-06-16T01_34_56.867_x.fits",
            ("", "", "MUSE.2017-06-16T01_34_56.867", ["_x"], "fits"),
        ),
        ("b27.fits.gz", ("", "", "b27", [], "fits.gz")),
        ("my_odd_name.fits", ("", "", "my_odd_name", [], "fits")),
        ("S20120827S0066", ("", "", "S20120827S0066", [], None)),
        ("x2S20120827S0066.fits", ("", "x2", "S20120827S0066", [], "fits")),
        ("/", ("/", "", "", [], None)),
    ],
)
def test_filename_known_names_are_taken_apart(text, expected):
    assert parts(FileName(text)) == expected


@pytest.mark.parametrize(
    ("text", "standard"),
    [("ergS20120827S0066.fits", True), ("b27.fits", False), ("", False)],
)
def test_filename_standard_says_whether_the_base_was_found(text, standard):
    assert FileName(text).standard is standard


@pytest.mark.parametrize(
    "stem",
    ["S20120827S00661", "MUSE.2017-06-16T01:34:56.8671", "sim00012", "mysim2012cube"],
)
def test_filename_that_only_resembles_a_known_one_loses_nothing(stem):
    name = FileName(f"{stem}.fits")
    assert (name.base, name.standard) == (stem, False)


def test_filename_derived_names():
    name = FileName("raw/ergS20120827S0066_sum.fits.gz")
    assert (name.orig, name.root, name.dotext, name.name) == (
        "S20120827S0066.fits.gz",
        "ergS20120827S0066_sum",
        ".fits.gz",
        "ergS20120827S0066_sum.fits.gz",
    )


text = st.text(st.characters(exclude_characters="\0"), max_size=40)


@given(text)
def test_filename_any_text_comes_back(path):
    if path.strip("/") and not path.endswith("/"):
        name = FileName(path)
        # Two slashes in a row are one; nothing else may change.
        assert os.path.normpath(str(name)) == os.path.normpath(path)
        assert name.root + name.dotext == os.path.basename(path)  # noqa: PTH119


word = st.text("abcxyzS019", min_size=1, max_size=5)


@given(prefix=word, suffix=word, base=st.sampled_from(["S20120827S0066", "b27"]))
def test_filename_modifiers_of_a_filename_keep_its_parts(prefix, suffix, base):
    name = FileName(f"{base}.fits", regex=r"S\d{8}S\d{4}")
    name = FileName(name, prefix="p", suffix="_s")
    name = FileName(name, prefix=prefix, suffix=f"_{suffix}")
    assert str(name) == f"{prefix}p{base}_s_{suffix}.fits"
    if base == "b27":
        assert parts(name) == ("", prefix + "p", "b27", ["_s", f"_{suffix}"], "fits")


def test_filename_prefix_applied_twice_is_there_twice():
    once = FileName("b27.fits", prefix="s")
    assert parts(FileName(once, prefix="s")) == ("", "ss", "b27", [], "fits")


def test_filename_published_example():
    name = FileName(
        FileName("ergS20120827S0066.fits"), prefix="t", suffix="_sum", dirname=""
    )
    assert repr(name) == "FileName 'tergS20120827S0066_sum.fits'"


def test_filename_strip_takes_off_before_adding():
    name = FileName("raw/ergS20120827S0066_a.fits", strip=True, prefix="x")
    assert str(name) == "raw/xS20120827S0066.fits"


def test_filename_strip_of_remembered_parts():
    name = FileName(FileName("b27.fits", prefix="ot"), strip=True, suffix="_z")
    assert str(name) == "b27_z.fits"


def test_filename_dirname_replaces_the_folder():
    assert str(FileName("raw/b27.fits", dirname=Path("out"))) == "out/b27.fits"
    assert str(FileName("raw/b27.fits", dirname="")) == "b27.fits"


def test_filename_parts_can_be_set():
    name = FileName("b27.fits.gz")
    name.ext, name.prefix, name.dir = "fits", "x", "out"
    name.suffix.append("_y")
    assert str(name) == "out/xb27_y.fits"


def test_filename_other_separator():
    assert FileName("S20120827S0066-a-b.fits", sep="-").suffix == ["-a", "-b"]


def test_filename_regex_of_argument_and_configuration():
    assert FileName("xb27.fits", regex=r"b\d+").prefix == "x"
    with config.using(filename_regex=r"b\d+"):
        assert FileName("xb27.fits").base == "b27"


def test_filename_wrong_regex_is_an_error():
    with pytest.raises(ConfigError, match=r"\(b"):
        FileName("b27.fits", regex="(b")


def test_filename_equality_is_of_paths(tmp_path, monkeypatch):
    (tmp_path / "talk").mkdir()
    monkeypatch.chdir(tmp_path / "talk")
    name = FileName("a.fits")
    assert name == "../talk/a.fits"
    assert name == tmp_path / "talk" / "a.fits"
    assert name == FileName("./a.fits")
    assert hash(name) == hash(FileName("./a.fits"))
    assert name != "b.fits"
    assert name != 3


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_filename_copies_are_equal_and_independent(copied):
    name = FileName("b27.fits", prefix="s", suffix="_x")
    other = copied(name)
    other.suffix.append("_y")
    assert parts(name) == ("", "s", "b27", ["_x"], "fits")
    assert parts(other) == ("", "s", "b27", ["_x", "_y"], "fits")


def test_filename_of_a_datafile_is_its_name():
    assert FileName(DataFile("b27.fits", mode="new"), prefix="x") == "xb27.fits"


def test_filename_of_nothing_is_empty():
    name = FileName()
    assert str(name) == ""
    assert not name


def test_filename_is_a_path_for_others(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("hello")
    with open(FileName(path)) as stream:  # noqa: PTH123  # that it can is the claim
        assert stream.read() == "hello"
