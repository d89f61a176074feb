"""reprocess='auto': what makes a product again, what is only said, and what is not."""

import logging
import os
import shutil
from pathlib import Path

import pytest
from astropy.io import fits
from shared_helpers import (
    edit_pixel,
    edit_pixel_elsewhere,
    first_pixel,
    products_warned_of,
    run_here,
)
from shared_steps import DONE, double, subtract

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.io.record import read_records
from ndmapper.steps.record.summary import summary
from ndmapper.testing import count_reads

pytestmark = pytest.mark.usefixtures("reprocess_auto")

PRODUCTS = ["bias.fits", "braw1.fits", "braw2.fits", "dbraw1.fits", "dbraw2.fits"]


def change_old_file(name):
    """Change a pixel of a file whose digest is kept, and stays so."""
    edit_pixel_elsewhere(name, 99.0)
    os.utime(name, (1.1e9, 1.1e9))


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def nothing_was_done():
    return DONE == [] and summary.reused == PRODUCTS and summary.differing == []


def test_auto_of_the_same_does_nothing(rerun_night):
    rerun_night()
    assert nothing_was_done()


def test_auto_of_the_same_reads_no_pixel(rerun_night):
    with count_reads() as reads:
        rerun_night()
    assert (reads.reads, DONE) == (0, [])


def test_auto_reads_no_pixel_although_a_raw_was_changed_before(rerun_night):
    change_old_file("raw1.fits")
    rerun_night()
    with count_reads() as reads:
        rerun_night()
    assert (reads.reads, DONE) == (0, [])


def test_auto_with_touched_inputs_and_products_does_nothing(rerun_night):
    for path in Path().glob("*.fits"):
        path.touch()
    rerun_night()
    assert nothing_was_done()


def test_auto_with_inputs_copied_anew_does_nothing(rerun_night):
    for name in ("raw1.fits", "bias0.fits"):
        shutil.copyfile(name, "copy")
        Path(name).unlink()
        Path("copy").rename(name)
    rerun_night()
    assert nothing_was_done()


def test_auto_with_another_card_of_date_does_nothing(rerun_night):
    with fits.open("raw1.fits", mode="update") as hdus:
        hdus[0].header["DATE"] = "2026-11-26"
    rerun_night()
    assert nothing_was_done()


def test_auto_with_inputs_in_another_folder_does_nothing(rerun_night):
    Path("raw").mkdir()
    shutil.move("raw1.fits", "raw/raw1.fits")
    rerun_night(raws=("raw/raw1.fits", "raw2.fits"))
    assert nothing_was_done()


def test_auto_with_a_renamed_calibration_input_does_nothing(rerun_night):
    Path("bias2.fits").rename("bias7.fits")
    rerun_night(biases=(0, 1, 7))
    assert nothing_was_done()


def test_auto_with_a_renamed_product_as_input_does_nothing(rerun_night):
    Path("braw1.fits").rename("other.fits")
    made = double("other.fits", out_names="dbraw1.fits")
    assert made.record[-1]["inputs"][0]["name"] == "braw1.fits"
    assert DONE == ["make_bias", "subtract", "subtract", "double", "double"]


def test_auto_with_new_content_makes_what_depends_on_it(rerun_night, caplog):
    change_old_file("raw1.fits")
    with caplog.at_level(logging.INFO):
        rerun_night()
    assert summary.made == ["braw1.fits", "dbraw1.fits"]
    assert "made again, input raw1.fits differs" in caplog.text
    assert "made again, input braw1.fits differs" in caplog.text
    assert warnings(caplog) == []


def test_auto_with_another_card_makes_it_again(rerun_night):
    with fits.open("raw1.fits", mode="update") as hdus:
        hdus[0].header["OBJECT"] = "moon"
    rerun_night()
    assert summary.made == ["braw1.fits", "dbraw1.fits"]


def test_auto_with_another_parameter_makes_its_descendants_only(rerun_night):
    rerun_night(scale=2.0)
    assert summary.made == PRODUCTS[1:]
    assert summary.reused == PRODUCTS[:1]


def test_auto_with_another_parameter_makes_what_a_fresh_run_makes(rerun_night, pixels):
    rerun_night(scale=2.0)
    assert pixels("dbraw1.fits") == [2 * (10.0 - 2.0)]
    assert read_records("dbraw1.fits")[1]["parameters"]["scale"] == 2


def test_auto_with_the_same_number_written_otherwise_does_nothing(rerun_night):
    rerun_night(scale=1)
    assert nothing_was_done()


def test_auto_with_fewer_calibration_inputs_makes_all_again(rerun_night):
    rerun_night(biases=(0, 1))
    assert summary.made == PRODUCTS


def test_auto_with_another_calibration_says_which(rerun_night, caplog, make_raw):
    make_raw("other.fits", (5.0,))
    with caplog.at_level(logging.INFO):
        subtract("raw1.fits", bias="other.fits")
    assert "made again, bias" in caplog.text
    assert DONE[-1] == "subtract"


def test_auto_with_a_calibration_not_applied_makes_it_again(rerun_night, pixels):
    subtract("raw1.fits", bias=None)
    assert pixels("braw1.fits") == [10.0]


def test_auto_with_a_reference_file_of_other_content_makes_it_again(rerun_night):
    Path("lines.dat").write_text("5460.7\n")
    rerun_night(table="lines.dat")
    Path("lines.dat").touch()
    rerun_night(table="lines.dat")
    assert DONE == []
    Path("lines.dat").write_text("5460.9\n")
    rerun_night(table="lines.dat")
    assert summary.made == PRODUCTS[1:]


@pytest.mark.parametrize("key", ["use_uncert", "use_flags"])
def test_auto_with_another_configuration_of_content_makes_it_again(rerun_night, key):
    with config.using(**{key: False}):
        rerun_night()
    assert summary.made == PRODUCTS


def test_auto_with_another_number_of_workers_does_nothing(rerun_night):
    with config.using(workers=2, logfile="other.log", timeout=100, on_error="continue"):
        rerun_night()
    assert nothing_was_done()


def test_auto_with_a_deleted_product_makes_only_that(rerun_night):
    Path("braw2.fits").unlink()
    rerun_night()
    assert summary.made == ["braw2.fits"]


def test_auto_with_what_no_step_made_keeps_it_and_says_so(
    rerun_night, caplog, make_raw
):
    Path("braw1.fits").unlink()
    make_raw("braw1.fits", (7.0,))
    rerun_night()
    assert "braw1.fits: re-used, but it differs" in caplog.text
    assert summary.made == ["dbraw1.fits"]
    assert DONE == ["double"]


def test_auto_knows_a_chain_from_its_records_alone(rerun_night):
    # Whoever has only the last products, and no digests, needs no pixel of them.
    for name in ("bias.fits", "braw1.fits", "braw2.fits"):
        assert DataFile(name).record
    with count_reads() as reads:
        double(["braw1.fits", "braw2.fits"])
    assert (reads.reads, summary.reused[-2:]) == (0, PRODUCTS[3:])


# ---- reprocess='auto' after somebody edited products, or the code of the script


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
        run_here(SCRIPT.format(factor=factor, extra=extra))
        return summary.made

    run()
    return run


EDITS = pytest.mark.parametrize("edit", [edit_pixel, edit_pixel_elsewhere])


@EDITS
def test_edit_is_kept_said_and_followed(run, caplog, edit):
    edit("cx1.fits", 99)
    assert run() == ["ecx1.fits"]
    assert (first_pixel("cx1.fits"), first_pixel("ecx1.fits")) == (99, 100)
    assert products_warned_of(caplog) == ["cx1.fits"]


@EDITS
def test_edit_is_followed_once(run, edit):
    edit("cx1.fits", 99)
    run()
    assert run() == []


@EDITS
def test_edit_is_kept_although_a_parameter_changed(run, caplog, edit):
    edit("cx1.fits", 99)
    run(extra=5.0)
    assert first_pixel("cx1.fits") == 99
    assert products_warned_of(caplog) == ["cx1.fits"]


@EDITS
def test_edit_of_the_last_product_is_kept(run, caplog, edit):
    edit("ecx1.fits", 99)
    assert run() == []
    assert first_pixel("ecx1.fits") == 99
    assert products_warned_of(caplog) == ["ecx1.fits"]


@EDITS
def test_edit_goes_where_the_user_says_reprocess(run, edit):
    edit("cx1.fits", 99)
    with config.using(reprocess=True):
        assert run() == ["cx1.fits", "ecx1.fits"]
    assert first_pixel("ecx1.fits") == 3


@EDITS
def test_edit_that_is_taken_back_by_deleting_the_product_is_gone(run, edit):
    edit("cx1.fits", 99)
    run()
    Path("cx1.fits").unlink()
    assert run() == ["cx1.fits", "ecx1.fits"]
    assert first_pixel("ecx1.fits") == 3


def test_edit_of_nothing_but_a_save_is_none(run):
    df = DataFile("cx1.fits", mode="update")
    df.save()
    assert run() == []
