"""reprocess='auto' after somebody edited products, or the code of the script."""

import linecache
import runpy
from pathlib import Path

import pytest
from astropy.io import fits
from shared_helpers import first_pixel, products_warned_of

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.steps.record.summary import summary

pytestmark = pytest.mark.usefixtures("reprocess_auto")

SCRIPT = """
from ndmapper.steps import run_task

@run_task(prefix="c")
def change(ndd, *, extra: float = 0.0):
    return ndd * {factor} + extra

@run_task(prefix="e")
def follow(ndd):
    return ndd + 1

follow(change("x1.fits", extra={extra}))
"""


@pytest.fixture
def run(make_raw):
    """Write a script, and run it as a file, so that its steps have a source."""
    make_raw("x1.fits", (1.0,))

    def run(factor=2, extra=0.0):
        summary.clear()
        path = Path("script.py")
        path.write_text(SCRIPT.format(factor=factor, extra=extra))
        linecache.checkcache()
        runpy.run_path(str(path), run_name="__main__")
        return summary.made

    run()
    return run


def edit_in_python(name="cx1.fits", value=99):
    df = DataFile(name, mode="update")
    df[0].data[0, 0] = value
    df.save()


def edit_elsewhere(name="cx1.fits", value=99):
    with fits.open(name, mode="update") as hdus:
        hdus[1].data[0, 0] = value


EDITS = pytest.mark.parametrize("edit", [edit_in_python, edit_elsewhere])


@EDITS
def test_edit_is_kept_said_and_followed(run, caplog, edit):
    edit()
    assert run() == ["ecx1.fits"]
    assert (first_pixel("cx1.fits"), first_pixel("ecx1.fits")) == (99, 100)
    assert products_warned_of(caplog) == ["cx1.fits"]


@EDITS
def test_edit_is_followed_once(run, edit):
    edit()
    run()
    assert run() == []


@EDITS
def test_edit_is_kept_although_a_parameter_changed(run, caplog, edit):
    edit()
    run(extra=5.0)
    assert first_pixel("cx1.fits") == 99
    assert products_warned_of(caplog) == ["cx1.fits"]


@EDITS
def test_edit_of_the_last_product_is_kept(run, caplog, edit):
    edit("ecx1.fits")
    assert run() == []
    assert first_pixel("ecx1.fits") == 99
    assert products_warned_of(caplog) == ["ecx1.fits"]


@EDITS
def test_edit_goes_where_the_user_says_reprocess(run, edit):
    edit()
    with config.using(reprocess=True):
        assert run() == ["cx1.fits", "ecx1.fits"]
    assert first_pixel("ecx1.fits") == 3


@EDITS
def test_edit_that_is_taken_back_by_deleting_the_product_is_gone(run, edit):
    edit()
    run()
    Path("cx1.fits").unlink()
    assert run() == ["cx1.fits", "ecx1.fits"]
    assert first_pixel("ecx1.fits") == 3


def test_edit_of_nothing_but_a_save_is_none(run):
    df = DataFile("cx1.fits", mode="update")
    df.save()
    assert run() == []
