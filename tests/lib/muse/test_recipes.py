"""What the steps of recipes are called with; the recipes themselves do not run."""

import inspect

import pytest

from ndmapper.errors import ParameterError
from ndmapper.lib.muse import recipes
from ndmapper.steps import Step

STEPS = {
    name: step
    for name in recipes.__all__
    if isinstance(step := getattr(recipes, name), Step)
}


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("none", {}), (None, {}), ("  ", {}), ({"a": 1}, {"a": 1}),
        ("--nlow=2 --scale=false --x=1.5", {"nlow": 2, "scale": False, "x": 1.5}),
        ("--skylines='5577.339, 6300.304'", {"skylines": "5577.339, 6300.304"}),
        ("--merge", {"merge": True}), ("--rvcorr=none", {"rvcorr": "none"}),
        ("--filter=V --filter=R", {"filter": "R"}),
    ],
)  # fmt: skip
def test_words_of_a_command_line_are_parameters(text, given):
    assert recipes.extra_parameters(text) == given


@pytest.mark.parametrize(
    ("text", "told"),
    [("nlow=2", "'nlow=2'.*--name=value"), ("--a='b", "cannot be split"),
     ("--a=1; rm", "'rm'")],
)  # fmt: skip
def test_other_words_are_refused(text, told):
    with pytest.raises(ParameterError, match=told):
        recipes.extra_parameters(text)


@pytest.mark.parametrize("name", STEPS)
def test_parameters_are_those_of_the_recipe(need, name):
    step = STEPS[name]
    need("esorex", recipes=(step.declaration.task.name,))
    from ndmapper.config import config
    from ndmapper.engines.esorex.recipes import describe, find_recipe

    known = describe(find_recipe(step.declaration.task.name, config))
    own = {
        n: p.default
        for n, p in inspect.signature(step.func).parameters.items()
        if n not in ("extra", "nifu")
    }
    renamed = {"images": "filter", "saved": "save"}
    for parameter, value in own.items():
        described = known[renamed.get(parameter, parameter)]
        # Pixel tables are always wanted.
        if parameter != "saved":
            assert value == described.default, parameter


def test_a_parameter_is_not_given_twice():
    with pytest.raises(ParameterError, match="order is a parameter of the step"):
        recipes.flat.func(extra={"order": 3})
    with pytest.raises(ParameterError, match="lacks 'individual'"):
        recipes.scipost.func(saved="cube")
    assert recipes.flat.func(extra="--nlow=2")["nlow"] == 2
