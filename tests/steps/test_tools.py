"""Declared steps that run a tool: what it is given, and what is recorded."""

import logging
from pathlib import Path
from typing import Annotated

import pytest

from ndmapper.config import config
from ndmapper.data import DataFile, FileName
from ndmapper.errors import (
    DeclarationError,
    MissingCalibrationError,
    ParameterError,
    ShapeError,
    StepError,
    UnknownParameterError,
)
from ndmapper.steps import Range, run_task
from ndmapper.steps.call.plan import preview


def declare(func=None, **words):
    """Declare a step of the fake engine."""
    words = {"inputs": "a", "outputs": "b", "prefix": "f"} | words
    return run_task("fake:pack.add", **words)(func or no_parameters)


def no_parameters():
    """Add one."""


def given(fake):
    return dict(fake.jobs[-1].parameters)


def test_tool_step_makes_the_product(fake, make_raw, pixels):
    product = declare()(make_raw("x1.fits"))
    assert (str(product), pixels("fx1.fits")) == ("fx1.fits", [11.0, 21.0])


def test_tool_step_is_given_what_the_function_returns(fake, make_raw):
    def add(*, order: int = 9, threshold: float = 1000.0, interact=None):
        return {"order": order, "thresh": threshold, "fl_inter": interact}

    declare(add)(make_raw("x1.fits"), order=5)
    assert given(fake) == {"order": 5, "thresh": 1000.0, "fl_inter": False}


def test_tool_step_record_has_both_kinds_of_parameters(fake, make_raw):
    def add(*, order: int = 9):
        return {"order": order, "function-name": "spline"}

    (entry,) = declare(add, speed="fast")(make_raw("x1.fits")).record
    assert (entry["step"], entry["engine"]) == ("add", "fake")
    assert entry["parameters"] == {"order": 9}
    assert entry["tool"] == {"name": "fake pack.add", "version": "1.0"}
    assert entry["task"] == {
        "name": "pack.add",
        "parameters": {"order": 9, "function_name": "spline"},
        "words": {"speed": "fast"},
    }
    assert entry["inputs"][0]["role"] == "a"
    assert entry["run"]["log"] == "fake was here"


def test_tool_step_drops_none_and_keeps_false(fake, make_raw):
    declare(lambda: {"a1": None, "a2": False, "a3": 0, "a4": ""})(make_raw("x1.fits"))
    assert given(fake) == {"a2": False, "a3": 0, "a4": ""}


def test_tool_step_of_a_function_that_returns_none_has_no_parameters(fake, make_raw):
    declare()(make_raw("x1.fits"))
    assert given(fake) == {}


def test_tool_step_function_looks_at_headers(fake, make_raw):
    def add(df):
        return {"object": df.meta["OBJECT"], "n": len(df)}

    declare(add)(make_raw("x1.fits"))
    assert given(fake) == {"object": "star", "n": 2}


def test_tool_step_function_is_asked_for_every_file(fake, make_raw):
    names = [make_raw("x1.fits"), make_raw("x2.fits")]
    declare(lambda df: {"name": str(df)})(names)
    assert [job.parameters["name"] for job in fake.jobs] == names


def test_tool_step_function_that_fails_is_named_with_its_file(fake, make_raw):
    def add(df):
        return {"airmass": df.meta["AIRMASS"]}

    with pytest.raises(StepError, match=r"add: the function.*failed on x1\.fits.*AIRM"):
        declare(add)(make_raw("x1.fits"))
    assert fake.jobs == []


@pytest.mark.parametrize("value", [3, [1], "order=3", {3: 4}])
def test_tool_step_function_that_returns_no_mapping_is_told(fake, make_raw, value):
    with pytest.raises(StepError, match=r"must return a mapping such as dict\(order"):
        declare(lambda: value)(make_raw("x1.fits"))


def test_tool_step_parameters_of_the_declaration_are_given(fake, make_raw):
    step = declare(lambda: {"b1": 3}, a1=1, b1=2, params={"speed": 5})
    step(make_raw("x1.fits"))
    assert given(fake) == {"a1": 1, "b1": 3, "speed": 5}
    assert fake.jobs[0].task.words["speed"] == "slow"


def test_tool_step_options_are_ours_or_the_engines(fake, make_raw):
    step = declare(options={"outdir": "made", "speed": "fast"})
    assert str(step(make_raw("x1.fits"))) == "made/fx1.fits"
    assert fake.jobs[0].task.words["speed"] == "fast"


def test_tool_step_wrong_option_is_refused(fake):
    with pytest.raises(DeclarationError, match="did you mean 'workers'"):
        declare(options={"wrokers": 2})


def test_tool_step_wrong_value_fails_before_the_tool(fake, make_raw):
    def add(*, order: Annotated[int, Range(ge=1)] = 9):
        return {"order": order}

    with pytest.raises(ParameterError, match="order"):
        declare(add)(make_raw("x1.fits"), order=0)
    assert fake.jobs == []


def test_tool_step_unknown_parameter_of_the_tool_fails_before_it(fake, make_raw):
    fake.known = ("order",)
    with pytest.raises(UnknownParameterError, match="no parameter ordr"):
        declare(lambda: {"ordr": 1})(make_raw("x1.fits"))
    assert (fake.jobs, Path("fx1.fits").exists()) == ([], False)


# Calibrations and files.


def extract(*, flat=None, trace: Path | None = None):
    """Give files."""
    return {"flat_field": flat, "trace": trace}


def test_tool_step_calibration_is_a_file_of_the_tool(fake, make_raw):
    step = declare(extract, cals=["flat"])
    product = step(make_raw("x1.fits"), flat=make_raw("flat.fits"))
    assert str(given(fake)["flat_field"]) == "flat.fits"
    (entry,) = product.record
    assert entry["calibrations"]["flat"]["name"] == "flat.fits"
    assert "flat_field" not in entry["references"]
    assert "flat_field" not in entry["task"]["parameters"]


def test_tool_step_calibration_comes_from_the_input(fake, make_raw):
    df = DataFile(make_raw("x1.fits"))
    df.cals["flat"] = DataFile(make_raw("flat.fits"))
    declare(extract, cals=["flat"])(df)
    assert str(given(fake)["flat_field"]) == "flat.fits"


def test_tool_step_calibration_missing_is_an_error(fake, make_raw):
    def add(*, flat):
        return {"flat": flat}

    with pytest.raises(MissingCalibrationError, match="add needs a flat for x1"):
        declare(add, cals=["flat"])(make_raw("x1.fits"))


def test_tool_step_calibration_not_applied_is_recorded(fake, make_raw):
    product = declare(extract, cals=["flat"])(make_raw("x1.fits"), flat=None)
    assert given(fake) == {}
    assert product.record[0]["calibrations"] == {"flat": None}


def test_tool_step_path_is_absolute_and_recorded_by_content(fake, make_raw):
    Path("trace.txt").write_text("1 2 3\n")
    product = declare(extract)(make_raw("x1.fits"), trace="trace.txt")
    assert given(fake)["trace"] == Path("trace.txt").absolute()
    assert product.record[0]["references"]["trace"]["name"] == "trace.txt"


def test_tool_step_list_of_files_is_recorded(fake, make_raw):
    make_raw("r1.fits")
    make_raw("r2.fits")
    refs = [FileName("r1.fits"), FileName("r2.fits")]
    (entry,) = declare(lambda: {"refs": refs})(make_raw("x1.fits")).record
    assert [str(df) for df in given(fake)["refs"]] == ["r1.fits", "r2.fits"]
    assert [r["name"] for r in entry["references"]["refs"]] == ["r1.fits", "r2.fits"]


# Several inputs and outputs.


@pytest.fixture
def two(fake):
    return declare(inputs=("a", "c"))


def test_tool_step_second_input_is_given_by_name(two, fake, make_raw):
    two(make_raw("x1.fits"), c=make_raw("y1.fits"))
    assert {n: str(df[0]) for n, df in fake.jobs[0].roles.items()} == {
        "a": "x1.fits",
        "c": "y1.fits",
    }


def test_tool_step_inputs_are_given_as_a_mapping(two, fake, make_raw):
    product = two({"a": make_raw("x1.fits"), "c": make_raw("y1.fits")})
    assert str(product) == "fx1.fits"


def test_tool_step_inputs_go_in_pairs(two, fake, make_raw):
    made = two(
        [make_raw("x1.fits"), make_raw("x2.fits")],
        c=[make_raw("y1.fits"), make_raw("y2.fits")],
    )
    pairs = [[str(df) for df in job.inputs] for job in fake.jobs]
    assert pairs == [["x1.fits", "y1.fits"], ["x2.fits", "y2.fits"]]
    assert [str(df) for df in made] == ["fx1.fits", "fx2.fits"]


def test_tool_step_one_file_goes_with_all(two, fake, make_raw):
    two([make_raw("x1.fits"), make_raw("x2.fits")], c=make_raw("y1.fits"))
    assert [str(job.roles["c"][0]) for job in fake.jobs] == ["y1.fits", "y1.fits"]


def test_tool_step_inputs_of_other_length_are_an_error(two, make_raw):
    names = [make_raw(f"x{n}.fits") for n in range(5)]
    with pytest.raises(ShapeError, match=r"file by file.*3 of a, 2 of c"):
        two(names[:3], c=names[3:])


def test_tool_step_missing_input_is_named(two, make_raw):
    with pytest.raises(ParameterError, match=r"needs files for c; give c="):
        two(make_raw("x1.fits"))


def test_tool_step_unknown_input_suggests(two, make_raw):
    with pytest.raises(UnknownParameterError, match="no input 'd'"):
        two({"a": make_raw("x1.fits"), "d": "x1.fits"})


def test_tool_step_inputs_swapped_are_another_product(two, make_raw, caplog):
    x, y = make_raw("x1.fits"), make_raw("y1.fits", (1.0,))
    two(x, c=y, out_names="o.fits")
    with caplog.at_level(logging.INFO):
        two(y, c=x, out_names="o.fits", reprocess="auto")
    assert "o.fits: made again" in caplog.text


def test_tool_step_outputs_are_a_dict(fake, make_raw, pixels):
    step = declare(outputs=("low", "high"), prefix={"low": "l", "high": "h"})
    made = step(make_raw("x1.fits", (1.0,)), high="other.fits")
    assert {n: str(df) for n, df in made.items()} == {
        "low": "lx1.fits",
        "high": "other.fits",
    }
    assert (pixels("lx1.fits"), pixels("other.fits")) == ([2.0], [3.0])


def test_tool_step_each_list_hands_all_over_at_once(fake, make_raw):
    product = declare(each="list")([make_raw("x1.fits"), make_raw("x2.fits")])
    assert str(product) == "fx1.fits"
    assert [len(job.inputs) for job in fake.jobs] == [2]


def test_tool_step_each_ndd_is_refused(fake):
    with pytest.raises(DeclarationError, match="for a tool"):
        declare(each="ndd")


def test_tool_step_without_inputs_is_refused(fake):
    with pytest.raises(DeclarationError, match="must say which parameters"):
        declare(inputs=None)


def test_tool_step_function_with_two_files_is_refused(fake):
    with pytest.raises(DeclarationError, match="takes at most one file"):
        declare(lambda first, second: {})


def test_tool_step_output_of_the_name_of_a_parameter_is_refused(fake):
    def add(*, b=1): ...

    with pytest.raises(DeclarationError, match="an output and a parameter 'b'"):
        declare(add)


def test_tool_step_decorator_of_no_function_says_what_to_do(fake):
    with pytest.raises(DeclarationError, match="give its inputs as a mapping"):
        run_task("fake:add", inputs="a", outputs="b")("x1.fits")


# Re-use.


def test_tool_step_auto_forces_by_version_parameter_and_word(fake, make_raw, caplog):
    make_raw("x1.fits")
    declare(lambda: None)("x1.fits")
    with config.using(reprocess="auto"), caplog.at_level(logging.INFO):
        declare(lambda: {"order": None})("x1.fits")
        assert len(fake.jobs) == 1
        declare(lambda: {"order": 3})("x1.fits")
        declare(lambda: {"order": 3}, speed="fast")("x1.fits")
        fake.version = "2.0"
        declare(lambda: {"order": 3}, speed="fast")("x1.fits")
        declare(lambda: {"order": 3}, speed="fast")("x1.fits")
    assert len(fake.jobs) == 4
    for words in ("pack.add order was None, now 3", "option speed was", "add 2.0"):
        assert words in caplog.text


def test_tool_step_auto_leaves_volatile_words_out(fake, make_raw):
    declare()(make_raw("x1.fits"))
    declare(sof="other.sof")("x1.fits", reprocess="auto")
    assert len(fake.jobs) == 1


def test_tool_step_auto_without_the_tool_keeps_what_it_made(fake, make_raw, caplog):
    declare()(make_raw("x1.fits"))
    fake.version = None
    declare()("x1.fits", reprocess="auto")
    assert len(fake.jobs) == 1
    assert "differs" not in caplog.text


def test_tool_step_code_of_the_function_does_not_count(fake, make_raw, caplog):
    declare(lambda: {"order": 3})(make_raw("x1.fits"))
    declare(lambda: {"order": 1 + 2})("x1.fits", reprocess="auto")
    assert len(fake.jobs) == 1
    assert "code" not in caplog.text


def test_a_parameter_of_a_program_that_is_none_gives_no_item(make_raw):
    argv = ["--{how}", "{in}", "{out}"]

    @run_task("command:cp", inputs="in", outputs="out", prefix="c", argv=argv)
    def copy(*, how: str | None = None):
        return {"how": how}

    make_raw("x1.fits")
    first, *_ = copy.plan("x1.fits").items
    x1, cx1 = (Path(name).absolute() for name in ("x1.fits", "cx1.fits"))
    assert preview(first).text == f"cp {x1} {cx1}"
    assert copy("x1.fits").record[-1]["task"]["parameters"] == {"how": None}
    (item,) = copy.plan("x1.fits", how="archive", reprocess="auto").items
    assert item.reason == "parameter how was None, now 'archive'"
    assert preview(item).text == f"cp --archive {x1} {cx1}"


def test_frames_that_the_user_lists_count_with_their_content(make_raw, fake):
    frames = [(Path("a.fits"), "DARK")]
    fake.frames_of_user = lambda self, task: frames
    add = run_task("fake:add", inputs="in", outputs="out", prefix="a")(lambda: {})
    for name in ("x1.fits", "a.fits", "b.fits"):
        make_raw(name)
    with config.using(reprocess="auto"):
        row = add("x1.fits").record[-1]
        assert row["task"]["words"]["frames"] == ["a.fits DARK"]
        assert row["references"]["sof"][0]["name"] == "a.fits"
        assert row["run"]["paths"]["a.fits"] == str(Path("a.fits").absolute())
        add("x1.fits")
        assert len(fake.jobs) == 1
        Path("a.fits").unlink()
        make_raw("a.fits", (5.0,))
        add("x1.fits")
        assert len(fake.jobs) == 2
        frames[:] = [(Path("a.fits"), "FLAT")]
        add("x1.fits")
        assert len(fake.jobs) == 3
