"""Tools run at once: names of products, and whose word is whose."""

from pathlib import Path

import pytest

from ndmapper.data import DataFileList
from ndmapper.errors import (
    DeclarationError,
    MissingFileError,
    ParameterError,
    PlanError,
    ShapeError,
)
from ndmapper.steps import TaskResult, run_task


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
