"""Running a script again: what is re-used, what is made again, what is reported."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from shared_helpers import (
    edit_pixel,
    edit_pixel_elsewhere,
    first_pixel,
    products_warned_of,
    run_here,
)
from shared_steps import DONE

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.io.record import pending_path, side_path
from ndmapper.steps import run_task
from ndmapper.steps.record.summary import summary
from ndmapper.testing import count_reads

pytestmark = pytest.mark.usefixtures("reprocess_never")


PRODUCTS = ["bias.fits", "braw1.fits", "braw2.fits", "dbraw1.fits", "dbraw2.fits"]


def warned(caplog):
    return [
        word
        for record in caplog.records
        if record.levelno == logging.WARNING
        for word in PRODUCTS
        if f"-> {word}:" in record.getMessage()
    ]


def test_rerun_does_nothing_and_says_so(reduce_night):
    reduce_night()
    before = {name: Path(name).stat().st_mtime_ns for name in PRODUCTS}
    reduce_night()
    assert DONE == []
    assert {name: Path(name).stat().st_mtime_ns for name in PRODUCTS} == before
    assert str(summary) == "nothing to do: all 5 products exist already"


def test_rerun_reads_no_pixels(reduce_night):
    reduce_night()
    with count_reads() as reads:
        reduce_night()
    assert reads.reads == 0


def test_rerun_after_deleting_one_product_makes_only_that(reduce_night):
    reduce_night()
    Path("braw2.fits").unlink()
    reduce_night()
    assert DONE == ["subtract"]
    assert summary.differing == []


def test_rerun_with_touched_and_renamed_raws_warns_of_nothing(reduce_night, caplog):
    reduce_night()
    for n in range(3):
        Path(f"bias{n}.fits").touch()
    reduce_night()
    assert warned(caplog) == []


def test_rerun_with_one_bias_fewer_warns_of_all_that_depend_on_it(reduce_night, caplog):
    reduce_night()
    reduce_night(biases=(0, 1))
    assert warned(caplog) == PRODUCTS
    assert "bias2.fits is no longer used" in caplog.text
    assert summary.stale_lines("make them again") == [
        "5 products are stale since make_bias has other files as input; make them again"
    ]
    assert DONE == []


def test_rerun_with_another_parameter_warns_of_its_descendants_only(
    reduce_night, caplog
):
    reduce_night()
    reduce_night(scale=2.0)
    assert warned(caplog) == PRODUCTS[1:]
    assert "parameter scale was 1, now 2" in caplog.text


def test_rerun_with_an_input_of_other_content_warns(reduce_night, caplog):
    reduce_night()
    with fits.open("raw1.fits", mode="update") as hdus:
        hdus[1].data[0, 0] += 1
    reduce_night()
    assert warned(caplog) == ["braw1.fits", "dbraw1.fits"]
    assert "input raw1.fits differs" in caplog.text


def test_rerun_with_reprocess_makes_all_anew_and_records_say_so(reduce_night):
    reduce_night()
    reduce_night(biases=(0, 1), reprocess=True)
    assert sorted(DONE) == sorted(["make_bias", *["subtract"] * 2, *["double"] * 2])
    names = [r["name"] for r in DataFile("dbraw1.fits").record[0]["inputs"]]
    assert names == ["bias0.fits", "bias1.fits"]


def test_rerun_after_reprocess_warns_of_nothing(reduce_night, caplog):
    reduce_night()
    reduce_night(biases=(0, 1), reprocess=True)
    caplog.clear()
    reduce_night(biases=(0, 1))
    assert warned(caplog) == []


def test_product_of_a_stale_input_records_what_was_used(reduce_night):
    reduce_night()
    Path("dbraw1.fits").unlink()
    reduce_night(biases=(0, 1))
    record = DataFile("dbraw1.fits").record
    assert len(record[0]["inputs"]) == 3


def test_rerun_with_a_truncated_product_makes_it_again(reduce_night):
    reduce_night()
    blob = Path("braw1.fits").read_bytes()
    Path("braw1.fits").write_bytes(blob[:-2880])
    reduce_night()
    assert DONE == ["subtract"]
    assert Path("braw1.fits").stat().st_size == len(blob)


def test_rerun_with_an_empty_product_makes_it_again(reduce_night):
    reduce_night()
    Path("braw1.fits").write_bytes(b"")
    reduce_night()
    assert DONE == ["subtract"]


def test_rerun_of_a_file_without_record_uses_it_and_warns(
    reduce_night, make_raw, caplog
):
    make_raw("bias.fits", (7.0,))
    reduce_night()
    assert "make_bias" not in DONE
    assert "has no record" in caplog.text


def test_reprocess_none_of_the_call_takes_the_configuration(reduce_night):
    reduce_night()
    reduce_night(reprocess=None)
    assert DONE == []


@pytest.mark.parametrize("place", ["side", "both"])
def test_record_beside_the_product_serves_reuse(reduce_night, place):
    with config.using(record=place):
        reduce_night()
        reduce_night()
    assert DONE == []
    assert side_path(Path("bias.fits")).exists()


def test_record_beside_only_leaves_the_file_clean(reduce_night):
    with config.using(record="side"):
        reduce_night()
    with fits.open("bias.fits") as hdus:
        assert "NDM_RECORD" not in hdus


def test_record_beside_that_is_lost_is_reported(reduce_night, caplog):
    with config.using(record="side"):
        reduce_night()
        side_path(Path("braw1.fits")).unlink()
        reduce_night()
    assert DONE == []
    assert "has no record" in caplog.text


def test_record_that_did_not_follow_its_product_means_made_again(reduce_night):
    with config.using(record="side"):
        reduce_night()
        side = side_path(Path("braw1.fits"))
        side.rename(pending_path(Path("braw1.fits")))
        reduce_night()
    assert DONE == ["subtract"]
    assert side.exists()


def test_record_damaged_means_made_again(reduce_night):
    reduce_night()
    blob = Path("braw1.fits").read_bytes()
    Path("braw1.fits").write_bytes(blob.replace(b'{"calibrations"', b'{"calibrations'))
    reduce_night()
    assert DONE == ["subtract"]


def test_summary_counts_what_was_made(reduce_night):
    reduce_night()
    assert str(summary) == "5 products made, 0 re-used"


def test_summary_reports_once(reduce_night, caplog):
    reduce_night()
    with caplog.at_level(logging.INFO):
        summary.report()
        summary.report()
    assert caplog.text.count("5 products made") == 1


# ---- running again after somebody changed products, or the code of the script


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
        run_here(SCRIPT.format(factor=factor, comment=comment))

    return run


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
        edit_pixel("cx1.fits", 99)
        run()
    assert products_warned_of(caplog) == ["cx1.fits", "ecx1.fits"]
    assert first_pixel("cx1.fits") == 99


def test_edit_is_followed_by_what_is_made_of_it(run, caplog):
    run()
    edit_pixel("cx1.fits", 99)
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
    edit_pixel_elsewhere("cx1.fits", 99)
    run()
    assert products_warned_of(caplog) == ["cx1.fits", "ecx1.fits"]
    assert "changed by hand or by another program" in caplog.text
    assert first_pixel("cx1.fits") == 99


def test_edit_by_another_program_is_what_the_next_record_says(run):
    run()
    edit_pixel_elsewhere("cx1.fits", 99)
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
