"""Parameters of recipes."""

from pathlib import Path

import numpy as np
import pytest

from ndmapper.data import DataFile, DataFileList
from ndmapper.engines.esorex.parameters import arguments, is_frames, read_parameters
from ndmapper.errors import ParameterError, UnknownParameterError


def described(name: str, default: object, **more: object) -> dict[str, object]:
    kinds = {bool: "bool", int: "int", float: "double", str: "string"}
    entry = {"display_name": name, "value": default, "valtype": kinds[type(default)]}
    return entry | more


KNOWN = read_parameters([
    described("n", 1, valmin=-1, valmax=24),
    described("limit.low", 3.0),
    described("do-it", False),
    described("cells", 8, valenum=[4, 8]),
    described("save", "cube", description='can be "cube", "sky" or "raw"'),
    described("range", "1,2", description='for instance "slow"; "fast" is quicker'),
    described("empty", ""),
])  # fmt: skip


def written(**given: object) -> dict[str, str]:
    lines = arguments("recipe", KNOWN, given)
    return dict(line[2:].partition("=")[::2] for line in lines)


@pytest.mark.parametrize(
    "content",
    [
        {}, 3, None, "abc", [3], ["abc"], [{}],
        [described("n", 1) | {"display_name": 3}],
        [described("n", 1) | {"valtype": ["int"]}],
        [described("n", 1, valmin="1")],
        [described("n", 1, valmax=True)],
        [described("n", 1, valenum="ab")],
        [described("n", 1, valenum=None)],
    ],
)  # fmt: skip
def test_what_describes_no_parameters_is_refused(content: object) -> None:
    with pytest.raises(ValueError, match="parameter"):
        read_parameters(content)


def test_all_are_written() -> None:
    assert written() == {
        "n": "1", "limit.low": "3.0", "do-it": "FALSE", "cells": "8", "save": "cube",
        "range": "1,2", "empty": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("n", -1, "-1"),
        ("n", 2.0, "2"),
        ("n", np.int16(3), "3"),
        ("limit_low", 2, "2.0"),
        ("limit_low", np.float32(0.5), "0.5"),
        ("limit_low", 1e-30, "1e-30"),
        ("do_it", np.True_, "TRUE"),
        ("cells", 4, "4"),
        ("save", ["sky", "cube"], "sky,cube"),
        ("save", "sky:1,9", "sky:1,9"),
        ("range", (0.8, 2), "0.8,2"),
        ("range", "--rm", "--rm"),
        ("range", 5, "5"),
        ("empty", Path("a b"), str(Path("a b").absolute())),
    ],
)
def test_values(name: str, value: object, text: str) -> None:
    option = {"limit_low": "limit.low", "do_it": "do-it"}.get(name, name)
    assert written(**{name: value})[option] == text


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n", 25, "a whole number from -1 to 24"),
        ("n", 1.5, "a whole number"),
        ("n", True, "a whole number"),
        ("n", 10**12, "a whole number"),
        ("limit_low", "3", "a number"),
        ("limit_low", float("nan"), "a number"),
        ("do_it", 1, "True or False"),
        ("cells", 5, "one of 4, 8"),
        ("save", "cubes", "one of 'cube', 'sky', 'raw'"),
        ("save", ["cube", "foo"], "one of 'cube', 'sky', 'raw'"),
        ("range", "a\nb", "text of one line"),
        ("range", "a\0b", "text of one line"),
        ("range", {"a": 1}, "text of one line"),
        ("range", [["a"]], "text of one line"),
    ],
)
def test_wrong_values(name: str, value: object, expected: str) -> None:
    with pytest.raises(ParameterError) as caught:
        written(**{name: value})
    assert f"recipe: {name} must be {expected}" in str(caught.value)


def test_unknown_names() -> None:
    with pytest.raises(
        UnknownParameterError, match=r"'limit'.*did you mean 'limit_low'"
    ):
        written(limit=2)
    for name in ("dark.fits", Path("dark.fits")):
        with pytest.raises(UnknownParameterError, match=r"=DataFile\('dark\.fits'\)$"):
            written(MASTER_DARK=name)
    # None is what a step gives that applies no calibration.
    assert written(MASTER_DARK=None) == written()


def test_what_is_frames(tmp_path: object) -> None:
    df = DataFile()
    assert is_frames(df)
    assert is_frames([df, df])
    assert is_frames(DataFileList(data=[df]))
    assert not is_frames("name.fits")
    assert not is_frames([1, df])
