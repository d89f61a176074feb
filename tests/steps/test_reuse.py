"""Running a script again: what is re-used, what is made again, what is reported."""

import logging
import os
from pathlib import Path

import pytest
from astropy.io import fits
from shared_steps import DONE, double, make_bias, subtract

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.io.record import pending_path, side_path
from ndmapper.steps.record.summary import summary
from ndmapper.testing import count_reads

pytestmark = pytest.mark.usefixtures("reprocess_never")


@pytest.fixture
def night(make_raw):
    """Reduce two raw frames with a bias of three; a function that runs the script."""
    for n in range(3):
        make_raw(f"bias{n}.fits", (float(n),))
    make_raw("raw1.fits", (10.0,))
    make_raw("raw2.fits", (20.0,))
    for path in Path().glob("*.fits"):
        os.utime(path, (1e9, 1e9))  # digests of files written just now are not kept

    def script(biases=(0, 1, 2), scale=1.0, **keywords):
        DONE.clear()
        summary.clear()
        bias = make_bias(
            [f"bias{n}.fits" for n in biases], bias="bias.fits", **keywords
        )
        subtracted = subtract(
            ["raw1.fits", "raw2.fits"], bias=bias, scale=scale, **keywords
        )
        return double(subtracted, **keywords)

    return script


PRODUCTS = ["bias.fits", "braw1.fits", "braw2.fits", "dbraw1.fits", "dbraw2.fits"]


def warned(caplog):
    return [
        word
        for record in caplog.records
        if record.levelno == logging.WARNING
        for word in PRODUCTS
        if f"-> {word}:" in record.getMessage()
    ]


def test_rerun_does_nothing_and_says_so(night):
    night()
    before = {name: Path(name).stat().st_mtime_ns for name in PRODUCTS}
    night()
    assert DONE == []
    assert {name: Path(name).stat().st_mtime_ns for name in PRODUCTS} == before
    assert str(summary) == "nothing to do: all 5 products exist already"


def test_rerun_reads_no_pixels(night):
    night()
    with count_reads() as reads:
        night()
    assert reads.reads == 0


def test_rerun_after_deleting_one_product_makes_only_that(night):
    night()
    Path("braw2.fits").unlink()
    night()
    assert DONE == ["subtract"]
    assert summary.differing == []


def test_rerun_with_touched_and_renamed_raws_warns_of_nothing(night, caplog):
    night()
    for n in range(3):
        Path(f"bias{n}.fits").touch()
    night()
    assert warned(caplog) == []


def test_rerun_with_one_bias_fewer_warns_of_all_that_depend_on_it(night, caplog):
    night()
    night(biases=(0, 1))
    assert warned(caplog) == PRODUCTS
    assert "bias2.fits is no longer used" in caplog.text
    assert summary.stale_lines("make them again") == [
        "5 products are stale since make_bias has other files as input; make them again"
    ]
    assert DONE == []


def test_rerun_with_another_parameter_warns_of_its_descendants_only(night, caplog):
    night()
    night(scale=2.0)
    assert warned(caplog) == PRODUCTS[1:]
    assert "parameter scale was 1, now 2" in caplog.text


def test_rerun_with_an_input_of_other_content_warns(night, caplog):
    night()
    with fits.open("raw1.fits", mode="update") as hdus:
        hdus[1].data[0, 0] += 1
    night()
    assert warned(caplog) == ["braw1.fits", "dbraw1.fits"]
    assert "input raw1.fits differs" in caplog.text


def test_rerun_with_reprocess_makes_all_anew_and_records_say_so(night):
    night()
    night(biases=(0, 1), reprocess=True)
    assert sorted(DONE) == sorted(["make_bias", *["subtract"] * 2, *["double"] * 2])
    names = [r["name"] for r in DataFile("dbraw1.fits").record[0]["inputs"]]
    assert names == ["bias0.fits", "bias1.fits"]


def test_rerun_after_reprocess_warns_of_nothing(night, caplog):
    night()
    night(biases=(0, 1), reprocess=True)
    caplog.clear()
    night(biases=(0, 1))
    assert warned(caplog) == []


def test_product_of_a_stale_input_records_what_was_used(night):
    night()
    Path("dbraw1.fits").unlink()
    night(biases=(0, 1))
    record = DataFile("dbraw1.fits").record
    assert len(record[0]["inputs"]) == 3


def test_rerun_with_a_truncated_product_makes_it_again(night):
    night()
    blob = Path("braw1.fits").read_bytes()
    Path("braw1.fits").write_bytes(blob[:-2880])
    night()
    assert DONE == ["subtract"]
    assert Path("braw1.fits").stat().st_size == len(blob)


def test_rerun_with_an_empty_product_makes_it_again(night):
    night()
    Path("braw1.fits").write_bytes(b"")
    night()
    assert DONE == ["subtract"]


def test_rerun_of_a_file_without_record_uses_it_and_warns(night, make_raw, caplog):
    make_raw("bias.fits", (7.0,))
    night()
    assert "make_bias" not in DONE
    assert "has no record" in caplog.text


def test_reprocess_none_of_the_call_takes_the_configuration(night):
    night()
    night(reprocess=None)
    assert DONE == []


@pytest.mark.parametrize("place", ["side", "both"])
def test_record_beside_the_product_serves_reuse(night, place):
    with config.using(record=place):
        night()
        night()
    assert DONE == []
    assert side_path(Path("bias.fits")).exists()


def test_record_beside_only_leaves_the_file_clean(night):
    with config.using(record="side"):
        night()
    with fits.open("bias.fits") as hdus:
        assert "NDM_RECORD" not in hdus


def test_record_beside_that_is_lost_is_reported(night, caplog):
    with config.using(record="side"):
        night()
        side_path(Path("braw1.fits")).unlink()
        night()
    assert DONE == []
    assert "has no record" in caplog.text


def test_record_that_did_not_follow_its_product_means_made_again(night):
    with config.using(record="side"):
        night()
        side = side_path(Path("braw1.fits"))
        side.rename(pending_path(Path("braw1.fits")))
        night()
    assert DONE == ["subtract"]
    assert side.exists()


def test_record_damaged_means_made_again(night):
    night()
    blob = Path("braw1.fits").read_bytes()
    Path("braw1.fits").write_bytes(blob.replace(b'{"calibrations"', b'{"calibrations'))
    night()
    assert DONE == ["subtract"]


def test_summary_counts_what_was_made(night):
    night()
    assert str(summary) == "5 products made, 0 re-used"


def test_summary_reports_once(night, caplog):
    night()
    with caplog.at_level(logging.INFO):
        summary.report()
        summary.report()
    assert caplog.text.count("5 products made") == 1
