"""Running again after somebody changed products, or the code of the script."""

import linecache
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from shared_helpers import first_pixel, products_warned_of

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.steps import run_task

pytestmark = pytest.mark.usefixtures("reprocess_never")

SCRIPT = """
from ndmapper.steps import run_task

@run_task(prefix="c")
def change(ndd):
    return ndd * {factor}  # {comment}

@run_task(prefix="e")
def follow(ndd):
    return ndd + 1

follow(change("x1.fits"))
"""


@pytest.fixture
def run(make_raw):
    """Write a script, and run it as a file, so that its steps have a source."""
    make_raw("x1.fits", (1.0,))

    def run(factor=2, comment="why"):
        path = Path("script.py")
        path.write_text(SCRIPT.format(factor=factor, comment=comment))
        linecache.checkcache()
        runpy.run_path(str(path), run_name="__main__")

    return run


def edit(name, value):
    df = DataFile(name, mode="update")
    df[0].data[0, 0] = value
    df.save()


def test_changed_code_is_reported_with_what_follows(run, caplog):
    run(factor=2)
    run(factor=3)
    assert products_warned_of(caplog) == ["cx1.fits", "ecx1.fits"]
    assert "the code of change has changed" in caplog.text


def test_changed_comments_are_no_change(run, caplog):
    run(comment="once")
    run(comment="twice")
    assert products_warned_of(caplog) == []


def test_followers_of_what_was_remade_with_other_code_are_reported(run, caplog):
    run(factor=2)
    Path("cx1.fits").unlink()
    run(factor=3)
    assert products_warned_of(caplog) == ["ecx1.fits"]


def test_function_given_as_parameter_counts_by_what_it_does(make_raw, caplog):
    @run_task(prefix="p")
    def apply(ndd, *, func: Callable[..., Any]):
        return ndd.replace(data=func(ndd.data))

    make_raw("x1.fits", (1.0,))
    apply("x1.fits", func=lambda x: x * 1)
    apply("x1.fits", func=lambda x: x * 100)
    assert "parameter func was" in caplog.text


@pytest.mark.parametrize("place", ["file", "side", "both"])
def test_edit_is_kept_and_all_that_follows_is_reported(run, caplog, place):
    with config.using(record=place):
        run()
        edit("cx1.fits", 99)
        run()
    assert products_warned_of(caplog) == ["cx1.fits", "ecx1.fits"]
    assert first_pixel("cx1.fits") == 99


def test_edit_is_followed_by_what_is_made_of_it(run, caplog):
    run()
    edit("cx1.fits", 99)
    Path("ecx1.fits").unlink()
    run()
    caplog.clear()
    run()
    assert products_warned_of(caplog) == ["cx1.fits"]
    assert first_pixel("ecx1.fits") == 100


def test_edit_within_a_script_is_seen_by_the_next_step(make_raw, caplog):
    @run_task(prefix="d")
    def double(ndd):
        return ndd * 2

    make_raw("x1.fits", (1.0,))
    product = double("x1.fits")
    double(product)
    product[0].data[0, 0] = 99
    product.mode = "update"
    product.save()
    double(product)
    assert products_warned_of(caplog) == ["ddx1.fits"]


def test_edit_by_another_program_is_noticed_kept_and_followed(run, caplog):
    run()
    with fits.open("cx1.fits", mode="update") as hdus:
        hdus[1].data[0, 0] = 99
    run()
    assert products_warned_of(caplog) == ["cx1.fits", "ecx1.fits"]
    assert "changed by hand or by another program" in caplog.text
    assert first_pixel("cx1.fits") == 99


def test_edit_by_another_program_is_what_the_next_record_says(run):
    run()
    with fits.open("cx1.fits", mode="update") as hdus:
        hdus[1].data[0, 0] = 99
    Path("ecx1.fits").unlink()
    run()
    assert "digest" in DataFile("ecx1.fits").record[-1]["inputs"][0]


def test_step_that_changes_pixels_in_place_leaves_the_input_alone(make_raw):
    @run_task(prefix="z")
    def blank(ndd):
        ndd.data[:] = 0
        return ndd

    make_raw("x1.fits", (1.0,))
    df = DataFile("x1.fits")
    assert df[0].data[0, 0] == 1
    blank(df)
    assert (df[0].data[0, 0], first_pixel("zx1.fits")) == (1, 0)


def test_file_without_images_is_refused(folder):
    @run_task(prefix="z")
    def same(ndd):
        return ndd

    column = fits.Column(name="A", format="J", array=[1])
    fits.BinTableHDU.from_columns([column], name="MDF").writeto("table.fits")
    with pytest.raises(RuntimeError, match=r"table.fits has no image.*table MDF"):
        same("table.fits")
