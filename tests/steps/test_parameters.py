"""Parameters: the annotated signature decides what fits."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from astropy import units as u

from ndmapper.data import FileName
from ndmapper.errors import DeclarationError, ParameterError, UnknownParameterError
from ndmapper.steps.declare.parameters import (
    Parameter,
    Range,
    Unit,
    check_values,
    read_parameters,
)
from ndmapper.steps.record.entry import recordable


def parameter(hint, default=inspect.Parameter.empty):
    raw = inspect.Parameter("p", inspect.Parameter.KEYWORD_ONLY, default=default)
    return Parameter.read(raw, hint)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 3),
        (int, np.int32(3)),
        (float, 3),
        (float, np.float32(3)),
        (bool, True),
        (bool, np.True_),
        (str, "a"),
        (Literal["a", 1], 1),
        (int | None, None),
        (list[int], [1, 2]),
        (list[int], (1, 2)),
        (tuple[float, ...], [1, 2.5]),
        (tuple[int, str], (1, "a")),
        (list[list[str]], [["1:2"], []]),
        (dict[str, int], {"a": 1}),
        (Path, "a.dat"),
        (Callable[..., Any], len),
        (Any, object),
        (np.ndarray, np.zeros(3)),
        (Annotated[float, Range(gt=0)], 0.1),
        (Annotated[float, Range(gt=0)] | None, None),
        (list[Annotated[float, Range(gt=0)]], [1, 2]),
    ],
)
def test_check_value_that_fits_is_taken(hint, value):
    parameter(hint).check(value, "step")


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 3.0),
        (int, True),
        (int, "3"),
        (float, True),
        (float, float("nan")),
        (bool, 1),
        (str, 1),
        (Literal["a", "b"], "c"),
        (Literal[1], True),
        (int | None, "None"),
        (list[int], "12"),
        (list[int], [1, "2"]),
        (tuple[int, str], (1,)),
        (dict[str, int], {"a": "b"}),
        (Path, 3),
        (Callable[..., Any], 3),
        (np.ndarray, [1, 2]),
        (Annotated[float, Range(gt=0)], 0),
        (Annotated[int, Range(ge=1, le=3)], 4),
        (Annotated[float, Range(gt=0)] | None, -1.0),
        (list[Annotated[float, Range(gt=0)]], [1, 0]),
    ],
)
def test_check_value_that_does_not_fit_is_refused(hint, value):
    with pytest.raises(ParameterError, match="step: p = "):
        parameter(hint).check(value, "step")


def test_check_message_gives_type_range_and_unit():
    hint = Annotated[float, Range(gt=0, le=5), Unit("adu")]
    with pytest.raises(ParameterError, match=r"must be float > 0 and <= 5 in adu$"):
        parameter(hint).check(9.0, "step")


def test_check_choice_suggests_the_nearest():
    with pytest.raises(ParameterError, match="did you mean 'median'"):
        parameter(Literal["median", "mean"]).check("medain", "step")


def test_check_quantity_is_converted_to_the_declared_unit():
    hint = Annotated[float, Unit("Angstrom")]
    assert parameter(hint).check(1 * u.nm, "step") == pytest.approx(10.0, rel=1e-15)


def test_check_quantity_of_another_kind_is_refused():
    with pytest.raises(ParameterError, match="not convertible"):
        parameter(Annotated[float, Unit("Angstrom")]).check(1 * u.s, "step")


def test_check_file_name_becomes_a_path():
    assert parameter(Path | None).check("a.dat", "step") == Path("a.dat")


def test_check_values_missing_names_the_parameter():
    with pytest.raises(ParameterError, match=r"needs the parameter p \(int\)"):
        check_values({"p": parameter(int)}, {}, "step")


def test_check_values_unknown_suggests_and_is_a_type_error():
    with pytest.raises(UnknownParameterError, match="did you mean 'order'") as info:
        check_values({"order": parameter(int, 3)}, {"ordr": 4}, "step")
    assert isinstance(info.value, TypeError)


def test_read_parameters_star_arguments_are_refused():
    def step(ndd, **others): ...

    with pytest.raises(DeclarationError, match=r"takes \*\*others"):
        read_parameters(step, frozenset({"ndd"}))


def test_read_parameters_annotation_of_nothing_is_refused():
    def step(ndd, *, a: "Nonsense"): ...  # noqa: F821

    with pytest.raises(DeclarationError, match="Nonsense"):
        read_parameters(step, frozenset({"ndd"}))


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (np.float32(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (2 * u.m, {"value": 2.0, "unit": "m"}),
        (Path("/far/away/lines.dat"), "lines.dat"),
        ({"b", "a"}, ["a", "b"]),
        (float("inf"), "inf"),
        (np.median, "numpy:median"),
        ((1, None, "x"), [1, None, "x"]),
        (slice(1, 2), "1:2:None"),
        ({3, 1, 2.5}, [1, 2.5, 3]),
        ({"b", 1, None}, ["b", 1, None]),
        ({Path("z/a.txt"), "b"}, ["a.txt", "b"]),
        (frozenset({frozenset("ba"), frozenset("c")}), [["a", "b"], ["c"]]),
        (np.longdouble("1.5"), "1.5"),
        (1 + 2j, "(1+2j)"),
        (FileName("raw/a.fits"), "a.fits"),
    ],
)
def test_recordable_gives_json(value, form):
    assert recordable(value, "step: p") == form


def test_recordable_large_array_gives_a_digest_of_its_values():
    zeros, ones = (recordable(f((9, 9)), "p")["digest"] for f in (np.zeros, np.ones))
    assert zeros.startswith("sha256:")
    assert zeros != ones


def test_recordable_large_array_of_objects_is_listed():
    assert recordable(np.array([None, "a"] * 50), "p") == [None, "a"] * 50


def test_recordable_large_masked_array_gives_a_digest_of_its_mask_too():
    values = np.arange(99)
    one, other = (recordable(np.ma.array(values, mask=values > n), "p") for n in (5, 6))
    assert one != other
    hidden = np.ma.array(np.where(values > 5, 0, values), mask=values > 5)
    assert recordable(hidden, "p") == one  # what is masked does not count


def test_default_is_converted_like_what_is_given():
    kind = Annotated[float, Unit("m")]
    known = {"p": parameter(kind, 300 * u.cm), "q": parameter(Path, "a.txt")}
    assert check_values(known, {}, "s") == {"p": 3.0, "q": Path("a.txt")}


def test_recordable_object_without_a_form_is_refused():
    with pytest.raises(ParameterError, match="step: p is a object"):
        recordable(object(), "step: p")
