"""reprocess='auto': what makes a product again, what is only said, and what is not."""

import linecache
import logging
import os
import runpy
import shutil
from pathlib import Path

import pytest
from astropy.io import fits
from shared_helpers import first_pixel, products_warned_of
from shared_steps import DONE, double, make_bias, subtract

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.io.record import read_records
from ndmapper.steps.record.summary import summary
from ndmapper.testing import count_reads

pytestmark = pytest.mark.usefixtures("reprocess_auto")

PRODUCTS = ["bias.fits", "braw1.fits", "braw2.fits", "dbraw1.fits", "dbraw2.fits"]


def age(*names, time=1e9):
    """Make files old, since digests of files written just now are not kept."""
    for name in names:
        os.utime(name, (time, time))


@pytest.fixture
def night(make_raw):
    """Reduce two raw frames with a bias of three; a function that runs the script."""
    for n in range(3):
        age(make_raw(f"bias{n}.fits", (float(n),)))
    age(make_raw("raw1.fits", (10.0,)), make_raw("raw2.fits", (20.0,)))

    def script(biases=(0, 1, 2), raws=("raw1.fits", "raw2.fits"), **parameters):
        DONE.clear()
        summary.clear()
        bias = make_bias([f"bias{n}.fits" for n in biases], bias="bias.fits")
        return double(subtract([*raws], bias=bias, **parameters))

    script()
    return script


def change_pixel(name, value=99.0):
    with fits.open(name, mode="update") as hdus:
        hdus[1].data[0, 0] = value
    age(name, time=1.1e9)


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def nothing_was_done():
    return DONE == [] and summary.reused == PRODUCTS and summary.differing == []


def test_auto_of_the_same_does_nothing(night):
    night()
    assert nothing_was_done()


def test_auto_of_the_same_reads_no_pixel(night):
    with count_reads() as reads:
        night()
    assert (reads.reads, DONE) == (0, [])


def test_auto_reads_no_pixel_although_a_raw_was_changed_before(night):
    change_pixel("raw1.fits")
    night()
    with count_reads() as reads:
        night()
    assert (reads.reads, DONE) == (0, [])


def test_auto_with_touched_inputs_and_products_does_nothing(night):
    for path in Path().glob("*.fits"):
        path.touch()
    night()
    assert nothing_was_done()


def test_auto_with_inputs_copied_anew_does_nothing(night):
    for name in ("raw1.fits", "bias0.fits"):
        shutil.copyfile(name, "copy")
        Path(name).unlink()
        Path("copy").rename(name)
    night()
    assert nothing_was_done()


def test_auto_with_another_card_of_date_does_nothing(night):
    with fits.open("raw1.fits", mode="update") as hdus:
        hdus[0].header["DATE"] = "2026-11-26"
    night()
    assert nothing_was_done()


def test_auto_with_inputs_in_another_folder_does_nothing(night):
    Path("raw").mkdir()
    shutil.move("raw1.fits", "raw/raw1.fits")
    night(raws=("raw/raw1.fits", "raw2.fits"))
    assert nothing_was_done()


def test_auto_with_a_renamed_calibration_input_does_nothing(night):
    Path("bias2.fits").rename("bias7.fits")
    night(biases=(0, 1, 7))
    assert nothing_was_done()


def test_auto_with_a_renamed_product_as_input_does_nothing(night):
    Path("braw1.fits").rename("other.fits")
    made = double("other.fits", out_names="dbraw1.fits")
    assert made.record[-1]["inputs"][0]["name"] == "braw1.fits"
    assert DONE == ["make_bias", "subtract", "subtract", "double", "double"]


def test_auto_with_new_content_makes_what_depends_on_it(night, caplog):
    change_pixel("raw1.fits")
    with caplog.at_level(logging.INFO):
        night()
    assert summary.made == ["braw1.fits", "dbraw1.fits"]
    assert "made again, input raw1.fits differs" in caplog.text
    assert "made again, input braw1.fits differs" in caplog.text
    assert warnings(caplog) == []


def test_auto_with_another_card_makes_it_again(night):
    with fits.open("raw1.fits", mode="update") as hdus:
        hdus[0].header["OBJECT"] = "moon"
    night()
    assert summary.made == ["braw1.fits", "dbraw1.fits"]


def test_auto_with_another_parameter_makes_its_descendants_only(night):
    night(scale=2.0)
    assert summary.made == PRODUCTS[1:]
    assert summary.reused == PRODUCTS[:1]


def test_auto_with_another_parameter_makes_what_a_fresh_run_makes(night, pixels):
    night(scale=2.0)
    assert pixels("dbraw1.fits") == [2 * (10.0 - 2.0)]
    assert read_records("dbraw1.fits")[1]["parameters"]["scale"] == 2


def test_auto_with_the_same_number_written_otherwise_does_nothing(night):
    night(scale=1)
    assert nothing_was_done()


def test_auto_with_fewer_calibration_inputs_makes_all_again(night):
    night(biases=(0, 1))
    assert summary.made == PRODUCTS


def test_auto_with_another_calibration_says_which(night, caplog, make_raw):
    make_raw("other.fits", (5.0,))
    with caplog.at_level(logging.INFO):
        subtract("raw1.fits", bias="other.fits")
    assert "made again, bias" in caplog.text
    assert DONE[-1] == "subtract"


def test_auto_with_a_calibration_not_applied_makes_it_again(night, pixels):
    subtract("raw1.fits", bias=None)
    assert pixels("braw1.fits") == [10.0]


def test_auto_with_a_reference_file_of_other_content_makes_it_again(night):
    Path("lines.dat").write_text("5460.7\n")
    night(table="lines.dat")
    Path("lines.dat").touch()
    night(table="lines.dat")
    assert DONE == []
    Path("lines.dat").write_text("5460.9\n")
    night(table="lines.dat")
    assert summary.made == PRODUCTS[1:]


@pytest.mark.parametrize("key", ["use_uncert", "use_flags"])
def test_auto_with_another_configuration_of_content_makes_it_again(night, key):
    with config.using(**{key: False}):
        night()
    assert summary.made == PRODUCTS


def test_auto_with_another_number_of_workers_does_nothing(night):
    with config.using(workers=2, logfile="other.log", timeout=100, on_error="continue"):
        night()
    assert nothing_was_done()


def test_auto_with_a_deleted_product_makes_only_that(night):
    Path("braw2.fits").unlink()
    night()
    assert summary.made == ["braw2.fits"]


def test_auto_with_what_no_step_made_keeps_it_and_says_so(night, caplog, make_raw):
    Path("braw1.fits").unlink()
    make_raw("braw1.fits", (7.0,))
    night()
    assert "braw1.fits: re-used, but it differs" in caplog.text
    assert summary.made == ["dbraw1.fits"]
    assert DONE == ["double"]


def test_auto_knows_a_chain_from_its_records_alone(night):
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
