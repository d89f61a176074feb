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
    ConfigError,
    FileAccessError,
    IdentError,
    MissingCalibrationError,
    MissingFileError,
    OutputExistsError,
    ParameterError,
    PartialOutputError,
    PlanError,
    ShapeError,
    StepError,
    UnknownParameterError,
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


# ---- calls of steps that cannot work: what is said, and that nothing is lost


def test_call_unknown_parameter_suggests_before_anything_is_read(make_raw):
    with pytest.raises(UnknownParameterError, match="did you mean 'factor'"):
        scale("not-even-there.fits", factr=3)


def test_call_wrong_value_is_refused_before_anything_is_read():
    with pytest.raises(ParameterError, match="factor = 'two' must be float"):
        scale("not-even-there.fits", factor="two")


def test_call_wrong_value_of_a_word_is_refused(make_raw):
    with pytest.raises(ConfigError, match="workers to 0, but it must be a number"):
        scale(make_raw("x1.fits"), workers=0)
    with pytest.raises(ParameterError, match="save must be True or False"):
        scale("x1.fits", save="no")


def test_call_missing_input_is_named(folder):
    with pytest.raises(MissingFileError, match=r"none\.fits"):
        scale("none.fits")


def test_call_no_files_is_an_error(folder):
    with pytest.raises(PlanError, match="no files"):
        scale([])


def test_call_something_else_is_an_error(folder):
    with pytest.raises(ParameterError, match="not a int"):
        scale(3)


def test_call_same_input_twice_is_refused(make_raw):
    name = make_raw("x1.fits")
    with pytest.raises(PlanError, match="twice"):
        scale([name, "./x1.fits"])


def test_call_two_products_of_one_name_are_refused(make_raw):
    with pytest.raises(PlanError, match=r"dx1\.fits twice"):
        scale([make_raw("a/x1.fits"), make_raw("b/x1.fits")])


def test_call_product_over_its_input_is_refused(make_raw):
    with pytest.raises(PlanError, match="is its input"):
        scale(make_raw("x1.fits"), out_names="x1.fits", reprocess=True)


def test_call_product_over_a_calibration_is_refused(make_raw):
    bias = make_raw("bias.fits")
    with pytest.raises(PlanError, match="is the bias of an input"):
        subtract(make_raw("x1.fits"), bias=bias, out_names="bias.fits")


def test_call_existing_output_is_an_error_and_kept(make_raw):
    name = make_raw("x1.fits")
    before = Path(str(scale(name))).read_bytes()
    with pytest.raises(OutputExistsError, match=r"reprocess=True to replace"):
        scale(name)
    assert Path("dx1.fits").read_bytes() == before


def test_call_existing_output_of_one_input_stops_all(make_raw):
    names = [make_raw("x1.fits"), make_raw("x2.fits")]
    scale(names[1])
    with pytest.raises(OutputExistsError):
        scale(names)
    assert not Path("dx1.fits").exists()


def test_call_half_present_outputs_are_an_error(make_raw):
    name = make_raw("x1.fits")
    split(name)
    Path("x1_hi.fits").unlink()
    with pytest.raises(PartialOutputError, match="only the first exists"):
        split(name)


def test_call_half_present_outputs_are_made_again_otherwise(make_raw):
    name = make_raw("x1.fits")
    split(name)
    Path("x1_hi.fits").unlink()
    split(name, reprocess=False)
    assert Path("x1_hi.fits").exists()


def test_call_function_that_fails_names_step_file_and_extension(make_raw):
    @run_task(prefix="z")
    def broken(ndd):
        raise ZeroDivisionError("no signal")

    with pytest.raises(
        StepError, match=r"broken failed on x1.fits\[1\]: ZeroDiv.*signal"
    ):
        broken(make_raw("x1.fits"))


def test_call_function_that_fails_leaves_no_file(make_raw, folder):
    @run_task(prefix="z")
    def broken(ndd):
        raise ZeroDivisionError

    name = make_raw("x1.fits")
    with pytest.raises(StepError):
        broken(name)
    left = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    assert {str(p) for p in left if p.parts[0] != ".ndmapper"} == {
        "x1.fits",
        "ndmapper.log",
    }
    assert {p.suffix for p in left if p.parts[0] == ".ndmapper"} <= {
        ".json", ".jsonl", ".lock",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "words"), [(None, "returned nothing"), (3, "returned a int")]
)
def test_call_function_that_returns_no_data_is_an_error(make_raw, value, words):
    @run_task(prefix="z")
    def odd(ndd):
        return value

    with pytest.raises(StepError, match=words):
        odd(make_raw("x1.fits"))


def test_call_wrong_outputs_are_named(make_raw):
    @run_task(outputs=("a", "b"))
    def odd(ndd):
        return {"a": ndd, "c": ndd}

    with pytest.raises(StepError, match=r"must return a mapping with \['a', 'b'\]"):
        odd(make_raw("x1.fits"))


def test_call_never_replaces_what_no_step_made(make_raw):
    before = Path(make_raw("dx1.fits")).read_bytes()
    with pytest.raises(OutputExistsError, match="which no step made"):
        scale(make_raw("x1.fits"), reprocess=True)
    assert Path("dx1.fits").read_bytes() == before


@pytest.mark.parametrize("reprocess", [False, "auto", True])
def test_call_keeps_and_never_uses_what_another_made_meanwhile(make_raw, reprocess):
    @run_task(prefix="s")
    def slow(ndd):
        other = Path("sx1.fits")
        if not other.exists():
            other.write_bytes(Path("x1.fits").read_bytes())
        return ndd

    with pytest.raises(OutputExistsError, match="by somebody else while slow worked"):
        slow(make_raw("x1.fits"), reprocess=reprocess)
    assert Path("sx1.fits").read_bytes() == Path("x1.fits").read_bytes()


def test_call_meanwhile_made_is_an_error_where_existing_is(make_raw):
    @run_task(prefix="s")
    def slow(ndd):
        Path("sx1.fits").write_bytes(Path("x1.fits").read_bytes())
        return ndd

    with pytest.raises(OutputExistsError, match="while slow worked"):
        slow(make_raw("x1.fits"))


def test_call_more_than_one_positional_says_how(make_raw):
    with pytest.raises(ParameterError, match=r"by name: factor=\.\.\."):
        scale("x1.fits", 3)


@pytest.mark.parametrize("name", ["y.png", "y.txt"])
def test_call_product_that_is_not_fits_is_refused(make_raw, name):
    with pytest.raises(PlanError, match="is no name for a product"):
        scale(make_raw("x1.fits"), out_names=name)


def test_call_product_over_a_file_given_as_parameter_is_refused(make_raw):
    @run_task(prefix="s")
    def use(ndd, *, table: Path):
        return ndd

    make_raw("lines.fits")
    with pytest.raises(PlanError, match="is the file given as table"):
        use(make_raw("x1.fits"), table="lines.fits", out_names="lines.fits")


def test_call_more_names_than_products_counts_both(make_raw):
    words = r"makes 1 product of this call, but 2 names were given: a\.fits, b\.fits"
    with pytest.raises(ShapeError, match=words):
        scale(make_raw("x1.fits"), out_names=["a.fits", "b.fits"])


@run_task("command:false", inputs="a", outputs="b", prefix="f", argv=[])
def fail():
    """End with exit code 1, without a word."""


def test_full_disk_is_named_whatever_failed_first(make_raw, monkeypatch):
    usage = type("Usage", (), {"free": 4096})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(
        FileAccessError, match=r"disk of .* is full, so fx1\.fits.*false"
    ):
        fail(make_raw("x1.fits"))
    assert not Path("fx1.fits").exists()


def test_failure_with_room_on_the_disk_stays_what_it_is(make_raw):
    with pytest.raises(StepError, match="false ended with exit code 1"):
        fail(make_raw("x1.fits"))
