"""Calibrations of steps that work on all files together."""

import pytest

from ndmapper.data import DataFile
from ndmapper.errors import ParameterError
from ndmapper.steps import run_task

SEEN = []


@run_task(each="list", cals=["bias"])
def take_first(files, bias=None):
    """Give the first image."""
    SEEN.append(bias)
    return [files[0][0]]


@pytest.fixture(autouse=True)
def files(make_raw):
    SEEN.clear()
    for name in ("x1.fits", "x2.fits", "b1.fits", "b2.fits"):
        make_raw(name)


def test_one_calibration_for_all_is_one_file():
    take_first(
        ["x1.fits", "x2.fits"], bias=["b1.fits", "./b1.fits"], out_names="s.fits"
    )
    assert str(SEEN[0]) == "b1.fits"


def test_calibrations_in_memory_without_names_are_not_one():
    one, two = (DataFile(data=[ndd * n for ndd in DataFile("b1.fits")]) for n in (1, 2))
    take_first(["x1.fits", "x2.fits"], bias=[one, two], out_names="s.fits")
    assert [cal[0].data[0, 0] for cal in SEEN[0]] == [10.0, 20.0]


def test_a_calibration_changed_in_memory_is_another_than_its_file():
    changed = DataFile("b1.fits")
    changed[0].data = changed[0].data * 5
    take_first(
        ["x1.fits", "x2.fits"], bias=[DataFile("b1.fits"), changed], out_names="s.fits"
    )
    assert [cal[0].data[0, 0] for cal in SEEN[0]] == [10.0, 50.0]


def test_a_calibration_for_some_files_only_is_an_error():
    files = [DataFile("x1.fits"), DataFile("x2.fits")]
    files[0].cals["bias"] = DataFile("b1.fits")
    files[1].cals["bias"] = None
    with pytest.raises(ParameterError, match=r"no bias is applied to x2\.fits"):
        take_first(files, out_names="s.fits")
    assert not SEEN
