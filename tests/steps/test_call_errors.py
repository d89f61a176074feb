"""Calls of steps that cannot work: what is said, and that nothing is lost."""

from pathlib import Path

import pytest
from shared_steps import subtract

from ndmapper.errors import (
    ConfigError,
    FileAccessError,
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
