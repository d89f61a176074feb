"""Declaring steps: what fits, and what is refused with a reason."""

import inspect
from typing import Annotated, Literal

import pytest

from ndmapper.errors import DeclarationError
from ndmapper.steps import Range, Step, Unit, run_task


def test_run_task_bare_decorator_makes_a_step():
    @run_task
    def double(ndd):
        """Double the data."""
        return ndd * 2

    assert isinstance(double, Step)


def test_step_keeps_name_signature_and_bare_function():
    def double(ndd, *, factor: int = 2):
        """Double the data."""
        return ndd * factor

    step = run_task(double, prefix="d")
    assert (step.name, step.func, step.engines) == ("double", double, ("python",))
    assert step.signature == inspect.signature(double)


def test_step_help_has_the_function_and_the_framework():
    @run_task(prefix="d")
    def double(ndd):
        """Double the data."""

    assert double.__doc__.startswith("Double the data.")
    assert "out_names" in double.__doc__


def test_step_repr_shows_the_signature():
    @run_task(prefix="d")
    def double(ndd, *, factor: int = 2):
        """Double the data."""

    assert repr(double) == "<step double(ndd, *, factor: int = 2)>"


@pytest.mark.parametrize(
    "word", ["reprocess", "outdir", "workers", "out_names", "save"]
)
def test_declare_parameter_with_a_word_of_the_framework_is_refused(word):
    namespace = {}
    exec(f"def step(ndd, *, {word}=None): ...", namespace)
    with pytest.raises(DeclarationError, match=f"'{word}', which is a word"):
        run_task(namespace["step"])


def test_declare_words_that_are_handed_in_are_allowed():
    @run_task(prefix="x")
    def step(ndd, *, interact, use_uncert, use_flags): ...

    assert step.declaration.handed_in == {"interact", "use_uncert", "use_flags"}


def test_declare_calibration_without_parameter_suggests():
    with pytest.raises(DeclarationError, match="did you mean 'bias'"):

        @run_task(cals=["bais"])
        def step(ndd, bias): ...


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"each": "extension"}, "each='extension'"),
        ({"inputs": "other"}, "takes one input"),
        ({"outputs": ("a", "a")}, "twice"),
        ({"outputs": "not a name"}, "names of parameters"),
        ({"outputs": "order"}, "an output and a parameter 'order'"),
        ({"outputs": {"result": "@x"}}, "mapping"),
        ({"inputs": {"ndd": []}}, "mapping"),
        ({"suffix": {"other": "_x"}}, "unknown outputs"),
        ({"prefixx": "a"}, "did you mean 'prefix'"),
        ({"comb_in": True}, "is for named tools"),
        ({"prefix": "../x"}, "part of a file name"),
    ],
)
def test_declare_wrongly_says_what(keywords, words):
    with pytest.raises(DeclarationError, match=words):

        @run_task(**keywords)
        def step(ndd, *, order: int = 1): ...


def test_declare_function_without_input_is_refused():
    with pytest.raises(DeclarationError, match="needs a first parameter"):

        @run_task
        def step(*, order=1): ...


def test_run_task_of_nothing_callable_is_refused():
    with pytest.raises(DeclarationError, match="takes a function"):
        run_task(3)


def test_run_task_of_an_engine_that_is_not_there_names_those_that_are():
    with pytest.raises(DeclarationError, match=r"no engine 'esorx'.*'esorex'"):
        run_task(
            "esorx:muse_bias", inputs={"BIAS": []}, outputs={"MASTER_BIAS": "@BIAS"}
        )


def test_run_task_is_published_under_the_old_path():
    from ndmapper.iraf_task import run_task as published

    assert published is run_task


@pytest.mark.parametrize(
    "hint",
    [int, Annotated[float, Range(gt=0)], Literal["a"], list[str]],
    ids=["type", "range", "choice", "list"],
)
def test_declare_default_that_does_not_fit_its_annotation_is_refused(hint):
    def step(ndd, *, factor=-2.5): ...

    step.__annotations__["factor"] = hint
    with pytest.raises(DeclarationError, match="does not fit its own annotation"):
        run_task(step)


def test_declare_unknown_unit_is_refused():
    with pytest.raises(DeclarationError, match="flurb"):
        Unit("flurb")


def test_declare_function_without_a_signature_is_refused():
    with pytest.raises(DeclarationError, match="does not tell its parameters"):
        run_task("images.imutil.imarith", inputs="operand1", outputs="result")(dict)
