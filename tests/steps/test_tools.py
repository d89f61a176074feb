"""Declared steps that run a tool: what it is given, and what is recorded."""

import logging
from pathlib import Path
from typing import Annotated

import pytest

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, FileName
from ndmapper.errors import (
    DeclarationError,
    MissingCalibrationError,
    MissingFileError,
    ParameterError,
    PlanError,
    ShapeError,
    StepError,
    UnknownParameterError,
)
from ndmapper.steps import Range, TaskResult, run_task
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


# ---- tools run at once: names of products, and whose word is whose


def add(inputs, outputs, **words):
    return run_task("fake:pack.add", inputs=inputs, outputs=outputs, **words)


@pytest.fixture
def raws(make_raw, fake):
    return [make_raw("x1.fits", (1.0,)), make_raw("x2.fits", (2.0,))]


def names(result):
    return {name: [str(df) for df in files] for name, files in result.items()}


def test_now_gives_a_dict_of_lists(raws):
    result = add({"a": raws}, {"b": "@a"}, prefix="f")
    assert isinstance(result, TaskResult)
    assert isinstance(result["b"], DataFileList)
    assert names(result) == {"b": ["fx1.fits", "fx2.fits"]}


def test_now_never_changes_the_mappings_of_the_caller(raws):
    inputs, outputs, params = {"a": raws}, {"b": "@a"}, {"order": 3}
    add(inputs, outputs, prefix="f", params=params)
    assert (inputs, outputs, params) == ({"a": raws}, {"b": "@a"}, {"order": 3})


def test_now_names_after_the_second_input(raws, make_raw):
    inputs = {"a": raws, "c": [make_raw("y1.fits"), make_raw("y2.fits")]}
    result = add(inputs, {"b": "@c"}, suffix="_s")
    assert names(result) == {"b": ["y1_s.fits", "y2_s.fits"]}


def test_now_names_after_the_first_file_only(raws):
    assert names(add({"a": raws[0]}, {"b": "!a"}, prefix="f")) == {"b": ["fx1.fits"]}


def test_now_all_at_once_names_after_the_first(raws, fake):
    result = add({"a": raws}, {"b": "!a"}, prefix="f", comb_in=True)
    assert (names(result), len(fake.jobs)) == ({"b": ["fx1.fits"]}, 1)


def test_now_all_at_once_names_after_each(raws, fake, pixels):
    result = add({"a": raws}, {"b": "@a"}, prefix="f", comb_in=True)
    assert names(result) == {"b": ["fx1.fits", "fx2.fits"]}
    assert list(fake.jobs[0].outputs) == ["b#1", "b#2"]
    assert (pixels("fx1.fits"), pixels("fx2.fits")) == ([2.0], [3.0])


def test_now_first_file_for_several_products_is_refused(raws):
    with pytest.raises(PlanError, match=r"would write fx1.fits twice"):
        add({"a": raws}, {"b": "!a"}, prefix="f")


def test_now_takes_names_and_lists_of_names(raws):
    assert names(add({"a": raws[0]}, {"b": "o.fits"})) == {"b": ["o.fits"]}
    result = add({"a": raws}, {"b": ["p1.fits", Path("p2.fits")]})
    assert names(result) == {"b": ["p1.fits", "p2.fits"]}


def test_now_number_of_names_must_fit(raws):
    with pytest.raises(ShapeError, match=r"2 products.*3 names were given"):
        add({"a": raws}, {"b": ["1.fits", "2.fits", "3.fits"]})


def test_now_braces_make_many_names(raws, fake):
    result = add({"a": raws}, {"b": "ifu-{01..03}.fits"}, comb_in=True)
    assert names(result) == {"b": ["ifu-01.fits", "ifu-02.fits", "ifu-03.fits"]}
    assert list(fake.jobs[0].outputs) == ["b#1", "b#2", "b#3"]


def test_now_braces_stand_for_base_and_output(raws):
    result = add({"a": raws}, {"BIAS": "{base}_{output}-{1..2}.fits"}, comb_in=True)
    assert names(result) == {"BIAS": ["x1_BIAS-1.fits", "x1_BIAS-2.fits"]}


def test_now_unknown_input_in_a_name_suggests(raws):
    with pytest.raises(PlanError, match=r"'@operand'.*did you mean 'operand1'"):
        add({"operand1": raws}, {"b": "@operand"}, prefix="f")


def test_now_one_name_for_an_input_is_refused(raws):
    with pytest.raises(PlanError, match="which is its input"):
        add({"a": raws}, {"b": "@a"})


def test_now_other_input_is_not_overwritten_either(raws, make_raw):
    make_raw("fx1.fits")
    with pytest.raises(PlanError, match="which is its input"):
        add({"a": raws[0], "c": "fx1.fits"}, {"b": "@a"}, prefix="f")


def test_now_outputs_none_runs_for_what_the_tool_prints(raws, fake):
    result = add({"a": raws}, None)
    assert (dict(result), result.text.split("\n")[0]) == ({}, "fake was here")
    assert len(fake.jobs) == 2


def test_now_missing_file_is_named(fake, folder):
    with pytest.raises(MissingFileError, match=r"nowhere\.fits"):
        add({"a": "nowhere.fits"}, {"b": "@a"}, prefix="f")


def test_now_half_a_mapping_says_what_to_do(raws):
    with pytest.raises(DeclarationError, match="give outputs as a mapping too"):
        add({"a": raws}, "b")
    with pytest.raises(DeclarationError, match="give inputs as a mapping too"):
        add("a", {"b": "@a"})


def test_now_calibrations_are_refused(raws):
    with pytest.raises(DeclarationError, match="it has no cals"):
        add({"a": raws}, {"b": "@a"}, prefix="f", cals=["bias"])


def test_now_words_of_the_engine_and_ours_and_the_tools(raws, fake):
    add({"a": raws[0]}, {"b": "@a"}, prefix="f", speed="fast", outdir="made", order=3)
    (job,) = fake.jobs
    assert job.task.words["speed"] == "fast"
    assert dict(job.parameters) == {"order": 3}
    assert Path("made/fx1.fits").exists()


def test_now_clash_of_words_is_an_error_that_shows_the_way(raws, fake):
    fake.known = ("record", "order", "speed")
    for word in ("record", "speed"):
        with pytest.raises(ParameterError, match=rf"params=.*'{word}'.*options="):
            add({"a": raws[0]}, {"b": "@a"}, prefix="f", **{word: "cube"})
    assert fake.jobs == []


def test_now_params_are_the_tools_and_options_ours(raws, fake):
    fake.known = ("record", "speed", "outdir")
    add(
        {"a": raws[0]}, {"b": "@a"}, prefix="f",
        params={"outdir": "cube", "speed": 3}, options={"speed": "fast", "outdir": "o"},
    )  # fmt: skip
    (job,) = fake.jobs
    assert dict(job.parameters) == {"outdir": "cube", "speed": 3}
    assert job.task.words["speed"] == "fast"
    assert Path("o/fx1.fits").exists()


def test_now_published_words_are_always_ours(raws, fake):
    fake.known = ("comb_in",)
    add({"a": raws}, {"b": "!a"}, prefix="f", comb_in=True)
    assert dict(fake.jobs[0].parameters) == {}


def test_now_word_of_another_engine_is_refused(raws):
    with pytest.raises(DeclarationError, match="'MEF_ext' means nothing"):
        add({"a": raws}, {"b": "@a"}, prefix="f", MEF_ext=False)


def test_now_names_of_parameters_are_written_as_in_python(raws, fake):
    add({"a": raws[0]}, {"b": "@a"}, prefix="f", params={"low-cut": 1, "x.y": 2})
    assert dict(fake.jobs[0].parameters) == {"low_cut": 1, "x_y": 2}


def test_now_drops_none(raws, fake):
    add({"a": raws[0]}, {"b": "@a"}, prefix="f", order=None, low=0)
    assert dict(fake.jobs[0].parameters) == {"low": 0}


# The same with a real program.


def copy(inputs, outputs, **words):
    return run_task("command:cp", inputs=inputs, outputs=outputs, **words)


def test_command_copies(raws, pixels):
    result = copy({"in": raws}, {"out": "@in"}, prefix="c", argv=["{in}", "{out}"])
    assert names(result) == {"out": ["cx1.fits", "cx2.fits"]}
    assert pixels("cx2.fits") == [2.0]


def test_command_takes_parameters_in_their_place(raws, pixels):
    copy(
        {"i": raws[0]},
        {"o": "o.fits"},
        argv=["--reflink={way}", "{i}", "{o}"],
        way="auto",
    )
    assert pixels("o.fits") == [1.0]


def test_command_declared_is_a_step_like_any(raws, pixels):
    @run_task(
        "command:cp", inputs="i", outputs="o", suffix="_c", argv=["{in}", "{out}"]
    )
    def copied():
        """Copy the file."""

    product = copied(raws[0])
    assert (str(product), pixels("x1_c.fits")) == ("x1_c.fits", [1.0])
    assert product.record[0]["tool"]["name"] == "cp"
    before = Path("x1_c.fits").stat().st_mtime_ns
    copied(raws[0], reprocess="auto")
    assert Path("x1_c.fits").stat().st_mtime_ns == before


def test_command_hostile_name_is_only_a_name(folder, make_raw, pixels):
    hostile = "-rf $(touch hit); `touch hit`.fits"
    make_raw(hostile, (3.0,))
    copy({"in": hostile}, {"out": "@in"}, prefix="c", argv=["{in}", "{out}"])
    assert pixels(f"c{hostile}") == [3.0]
    assert not Path("hit").exists()


def test_command_in_workers(raws, pixels):
    copy({"in": raws}, {"out": "@in"}, prefix="c", workers=2, argv=["{in}", "{out}"])
    assert [pixels("cx1.fits"), pixels("cx2.fits")] == [[1.0], [2.0]]
