"""Calls of steps: what goes in, what comes out, and under which name."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from shared_steps import add_up, subtract

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import (
    IdentError,
    MissingCalibrationError,
    MissingFileError,
    ParameterError,
    ShapeError,
    StepError,
)
from ndmapper.steps import run_task


@run_task(prefix="d")
def scale(ndd, *, factor: float = 2.0):
    """Multiply the data."""
    return ndd * factor


@run_task(outputs=("low", "high"), suffix={"low": "_lo", "high": "_hi"})
def split(ndd):
    """Give two products."""
    return {"low": ndd * 0.5, "high": ndd * 2.0}


@run_task(each="file", prefix="f")
def mark(df):
    """Change the header of a file."""
    df.meta["MARKED"] = True
    return df


def test_call_file_gives_a_datafile(make_raw, pixels):
    result = scale(make_raw("S20120827S0001.fits"))
    assert isinstance(result, DataFile)
    assert str(result) == "dS20120827S0001.fits"
    assert pixels("dS20120827S0001.fits") == [20.0, 40.0]


def test_call_list_gives_a_datafilelist_in_order(make_raw):
    names = [make_raw(f"S20120827S000{n}.fits") for n in (2, 1)]
    result = scale(names)
    assert isinstance(result, DataFileList)
    assert [str(df) for df in result] == ["d" + name for name in names]


def test_call_pattern_gives_a_list(make_raw):
    make_raw("raw/x1.fits")
    make_raw("raw/x2.fits")
    assert [str(df) for df in scale("raw/*.fits")] == ["dx1.fits", "dx2.fits"]


def test_call_each_list_gives_one_file(make_raw, pixels):
    names = [make_raw("x1.fits", (1.0,)), make_raw("x2.fits", (2.0,))]
    assert str(add_up(names)) == "x1_sum.fits"
    assert pixels("x1_sum.fits") == [3.0]


def test_call_output_by_its_name(make_raw):
    assert str(add_up([make_raw("x1.fits")], total="night.fits")) == "night.fits"


def test_call_several_outputs_gives_a_dict(make_raw, pixels):
    result = split(make_raw("x1.fits"))
    assert {k: str(v) for k, v in result.items()} == {
        "low": "x1_lo.fits",
        "high": "x1_hi.fits",
    }
    assert pixels("x1_hi.fits") == [20.0, 40.0]


def test_call_several_outputs_of_a_list_gives_lists(make_raw):
    result = split([make_raw("x1.fits"), make_raw("x2.fits")])
    assert [str(df) for df in result["low"]] == ["x1_lo.fits", "x2_lo.fits"]


def test_call_each_file_may_change_the_header(make_raw):
    assert mark(make_raw("x1.fits")).meta["MARKED"] is True


def test_call_each_file_leaves_the_input_alone(make_raw):
    df = DataFile(make_raw("x1.fits"))
    mark(df)
    assert "MARKED" not in df.meta


def test_call_product_keeps_header_tables_and_idents(make_raw, folder):
    name = make_raw("x1.fits")
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name="A", format="J", array=np.arange(3))], name="MDF"
    )
    fits.append(name, table.data, table.header)
    product = scale(name)
    assert product.meta["OBJECT"] == "star"
    assert list(product.tables["MDF"]["A"]) == [0, 1, 2]
    assert product.idents == [1, 2]


def test_call_compressed_input_gives_plain_product(make_raw, folder):
    make_raw("x1.fits")
    with fits.open("x1.fits") as hdus:
        hdus.writeto("x2.fits.gz")
    assert str(scale("x2.fits.gz")) == "dx2.fits"


def test_call_outdir_is_made_and_used(make_raw):
    result = scale(make_raw("x1.fits"), outdir="new/place")
    assert str(result) == str(Path("new/place/dx1.fits"))


def test_call_out_names_with_a_folder_win_over_outdir(make_raw):
    result = scale(make_raw("x1.fits"), outdir="a", out_names="b/y.fits")
    assert Path(str(result)) == Path("b/y.fits")
    assert Path("b/y.fits").exists()


def test_call_out_name_without_type_is_fits(make_raw):
    assert str(scale(make_raw("x1.fits"), out_names="y")) == "y.fits"


def test_call_out_name_compressed_is_written_so(make_raw):
    scale(make_raw("x1.fits"), out_names="y.fits.gz")
    assert Path("y.fits.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert DataFile("y.fits.gz").record[-1]["step"] == "scale"


def test_call_ndd_gives_an_ndlater_and_touches_no_disk(folder):
    result = scale(NDData(np.ones((2, 2)), unit="adu"), factor=3.0)
    assert isinstance(result, NDLater)
    assert float(result.data[0, 0]) == 3.0
    assert list(folder.iterdir()) == []


def test_call_ndd_with_calibration_in_memory():
    result = subtract(NDLater(np.full((2, 2), 5.0)), bias=NDLater(np.ones((2, 2))))
    assert float(result.data[0, 0]) == 4.0


def test_call_ndd_without_its_calibration_is_an_error():
    with pytest.raises(MissingCalibrationError, match="needs a bias for NDData"):
        subtract(NDLater(np.ones((2, 2))))


def test_call_ndd_of_a_step_for_files_is_an_error():
    with pytest.raises(ParameterError, match="whole file"):
        mark(NDLater(np.ones((2, 2))))


def test_call_calibration_from_the_input(make_raw, pixels):
    df = DataFile(make_raw("x1.fits"))
    df.cals["bias"] = DataFile(make_raw("bias.fits", (1.0, 2.0)))
    subtract(df)
    assert pixels("bx1.fits") == [9.0, 18.0]


def test_call_calibration_pairs_by_ident(make_raw, pixels, folder):
    make_raw("x1.fits")
    with fits.open(make_raw("bias.fits", (1.0, 2.0))) as hdus:
        fits.HDUList([hdus[0], hdus[2], hdus[1]]).writeto("turned.fits")
    subtract("x1.fits", bias="turned.fits")
    assert pixels("bx1.fits") == [9.0, 18.0]


def test_call_calibration_of_one_extension_serves_all(make_raw, pixels):
    subtract(make_raw("x1.fits"), bias=make_raw("bias.fits", (1.0,)))
    assert pixels("bx1.fits") == [9.0, 19.0]


def test_call_calibration_list_is_aligned(make_raw, pixels):
    raws = [make_raw("x1.fits", (10.0,)), make_raw("x2.fits", (10.0,))]
    biases = [make_raw("b1.fits", (1.0,)), make_raw("b2.fits", (2.0,))]
    subtract(raws, bias=biases)
    assert (pixels("bx1.fits"), pixels("bx2.fits")) == ([9.0], [8.0])


def test_call_calibration_list_of_other_length_is_an_error(make_raw):
    raws = [make_raw("x1.fits"), make_raw("x2.fits"), make_raw("x3.fits")]
    with pytest.raises(ShapeError, match="3 inputs but 2 files for bias"):
        subtract(raws, bias=raws[:2])


def test_call_missing_calibration_names_all_files_that_lack_it(make_raw):
    raws = [make_raw("x1.fits"), make_raw("x2.fits")]
    with pytest.raises(
        MissingCalibrationError, match=r"bias for x1.fits, x2.fits; asso"
    ):
        subtract(raws)


def test_call_calibration_none_is_not_applied_and_recorded(make_raw, pixels):
    product = subtract(make_raw("x1.fits"), bias=None)
    assert pixels("bx1.fits") == [10.0, 20.0]
    assert product.record[-1]["calibrations"] == {"bias": None}


def test_call_calibration_file_missing_is_named(make_raw):
    with pytest.raises(MissingFileError, match=r"nowhere\.fits"):
        subtract(make_raw("x1.fits"), bias="nowhere.fits")


def test_call_calibration_with_other_extensions_is_an_error(make_raw, folder):
    make_raw("x1.fits")
    make_raw("b.fits", (1.0, 2.0, 3.0))
    with fits.open("b.fits") as hdus:
        fits.HDUList([hdus[0], hdus[1], hdus[3]]).writeto("odd.fits")
    with pytest.raises(IdentError, match=r"extension 2, but its bias odd.fits"):
        subtract("x1.fits", bias="odd.fits")


def test_call_shapes_that_differ_name_both_files(make_raw):
    bias = make_raw("bias.fits", (1.0, 2.0), shape=(3, 5))
    with pytest.raises(ShapeError, match=r"x1\.fits.*bias = bias\.fits.*same trim"):
        subtract(make_raw("x1.fits"), bias=bias)
    assert not Path("bx1.fits").exists()


def test_call_cals_of_the_input_go_along(make_raw):
    df = DataFile(make_raw("x1.fits"))
    df.cals["flat"] = DataFile(make_raw("flat.fits"))
    assert str(scale(df).cals["flat"]) == "flat.fits"


def test_call_words_from_config_are_handed_in(make_raw):
    seen = []

    @run_task(prefix="z")
    def look(ndd, *, interact, use_uncert):
        seen.append((interact, use_uncert))
        return ndd

    with config.using(interact=True, use_uncert=False):
        look(make_raw("x1.fits", (1.0,)))
    assert seen == [(True, False)]


def test_call_words_of_the_call_win_over_config(make_raw):
    seen = []

    @run_task(prefix="z")
    def look(ndd, *, interact):
        seen.append(interact)
        return ndd

    with config.using(interact=True):
        look(make_raw("x1.fits", (1.0,)), interact=False)
    assert seen == [False]


@pytest.mark.parametrize("word", ["use_uncert", "use_flags"])
def test_call_without_uncertainty_or_flags_drops_them(word, folder):
    ndd = NDLater(np.ones((2, 2)), flags=np.ones((2, 2), np.uint16)).replace(
        variance=np.ones((2, 2))
    )
    result = scale(ndd, **{word: False})
    gone, kept = (
        (result.variance, result.flags)
        if word == "use_uncert"
        else (result.flags, result.variance)
    )
    assert gone is None
    assert kept is not None


def test_call_log_has_one_line_per_file_and_step(make_raw):
    scale([make_raw("x1.fits"), make_raw("x2.fits")])
    text = Path("ndmapper.log").read_text()
    lines = [line.split(maxsplit=3)[3] for line in text.splitlines()]
    assert [" ".join(line.split()) for line in lines] == [
        "START scale",
        "scale: x1.fits -> dx1.fits: made",
        "scale: x2.fits -> dx2.fits: made",
        "END scale: 2 made, 0 re-used, 0 of these differ",
    ]


def test_call_log_goes_where_config_says(make_raw):
    with config.using(logfile="example.log"):
        scale(make_raw("x1.fits"))
    assert "scale: x1.fits" in Path("example.log").read_text()


def test_call_failure_reaches_the_log_with_its_traceback(make_raw, caplog):
    @run_task(prefix="z")
    def broken(ndd):
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR), pytest.raises(StepError):
        broken(make_raw("x1.fits"))
    assert "Traceback" in Path("ndmapper.log").read_text()


def test_plan_shows_and_touches_nothing(make_raw, folder):
    make_raw("x1.fits")
    plan = scale.plan("x1.fits")
    assert "x1.fits -> dx1.fits (new)" in repr(plan)
    assert [p.name for p in folder.iterdir()] == ["x1.fits"]


def test_step_within_a_step_works_in_memory(make_raw, pixels, folder):
    @run_task(prefix="z")
    def twice(ndd):
        return scale(scale(ndd))

    twice(make_raw("x1.fits", (1.0,)))
    assert pixels("zx1.fits") == [4.0]
    assert not Path("dx1.fits").exists()


@pytest.mark.parametrize("watched", [True, False])
def test_call_shows_progress_where_somebody_watches(
    make_raw, capsys, monkeypatch, watched
):
    names = [make_raw("x1.fits"), make_raw("x2.fits")]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched)
    scale(names)
    assert ("0/2" in capsys.readouterr().err) is watched


def test_call_odd_name_keeps_to_its_line_of_the_log(make_raw, caplog):
    scale(make_raw("a\nb.fits"))
    lines = [r.getMessage() for r in caplog.records if "made" in r.getMessage()]
    assert lines[0] == r"scale: a\nb.fits -> da\nb.fits: made"
