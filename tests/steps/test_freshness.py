"""What has changed since a product was made, judged by its record alone."""

from pathlib import Path

import pytest

from ndmapper.steps import run_task
from ndmapper.steps.clean import find_removable
from ndmapper.steps.record.freshness import why_stale


@run_task(each="list")
def add_up(files, *, table: object = None):
    """Add up files."""
    return [sum((df[0] for df in files[1:]), files[0][0])]


@pytest.fixture
def total(make_raw):
    """Add up two files of the same name, of different nights."""
    make_raw("night1/x.fits", (1.0,))
    make_raw("night2/x.fits", (2.0,))
    Path("conf").mkdir()
    Path("conf/t.txt").write_text("1")
    files = ["night1/x.fits", "night2/x.fits"]
    add_up(files, out_names="sum.fits", table=Path("conf/t.txt"))
    return Path("sum.fits")


def test_files_of_the_same_name_are_told_apart(total):
    assert why_stale(total) == []


@pytest.mark.parametrize("night", ["night1", "night2"])
def test_files_of_the_same_name_are_told_apart_when_one_changes(total, make_raw, night):
    Path(night, "x.fits").unlink()
    make_raw(f"{night}/x.fits", (7.0,))
    assert why_stale(total) == ["input x.fits has another content now"]


def test_a_parameter_file_in_another_folder_is_found(total):
    Path("conf/t.txt").write_text("2")
    assert why_stale(total) == ["table t.txt has another content now"]
    Path("conf/t.txt").unlink()
    assert why_stale(total) == ["table t.txt is not here any more"]


def test_what_was_made_with_a_file_in_another_folder_can_be_removed(total):
    run_task(lambda ndd: ndd * 2, prefix="d")("sum.fits")
    kept = {str(c.path): c.kept for c in find_removable(Path())}
    assert kept == {"sum.fits": None, "dsum.fits": "nothing else is made of it"}
