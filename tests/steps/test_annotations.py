"""Annotations: each is checked, or refused when the step is declared."""

import collections
import enum
import functools
import os
import sys
import typing
from collections import abc
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NewType, TypedDict, TypeVar

import annotated_types as at
import numpy as np
import numpy.typing as npt
import pytest
from astropy import units as u

from ndmapper.data import DataFile, FileName
from ndmapper.errors import DeclarationError
from ndmapper.steps import run_task
from ndmapper.steps.declare.parameters import Range, understand

Pixels = NewType("Pixels", int)
Positive = Annotated[float, Range(gt=0)]
Number = TypeVar("Number", int, float)
Bounded = TypeVar("Bounded", bound=int)


class Window(TypedDict):
    low: float
    high: Positive
    name: typing.NotRequired[str]


Item = TypeVar("Item")


class Boxed(TypedDict, typing.Generic[Item]):
    item: Item
    more: list[Item]


class Tree(TypedDict):
    branches: "list[Tree]"


class Filter(enum.Enum):
    RED = "r"


class Named(typing.NamedTuple):
    x: int


@typing.runtime_checkable
class Sized(typing.Protocol):
    def size(self): ...


class Unchecked(typing.Protocol):
    def size(self): ...


class Box(typing.Generic[Number]):
    pass


FITS = [
    (Pixels, 3),
    (list[Pixels], [1, 2]),
    (Number, 2.5),
    (Bounded, 2),
    (Final[int], 2),
    (typing.LiteralString, "a"),
    (set[int], {1, 2}),
    (frozenset[str], {"a"}),
    (abc.Iterable[int], [1, 2]),
    (abc.Iterable[int], {1, 2}),
    (abc.Collection[float], np.array([1.0, 2.0])),
    (typing.Iterable[int], (1, 2)),
    (typing.List[int], [1]),  # noqa: UP006
    (abc.Sequence[int], range(3)),
    (tuple[()], ()),
    (tuple[int, ...], ()),
    (abc.Mapping[str, list[int]], {"a": [1]}),
    (Window, {"low": 1, "high": 2.0}),
    (Window, {"low": 1, "high": 2.0, "name": "x"}),
    (list[Window], [{"low": 1, "high": 2.0}]),
    (npt.NDArray[np.float64], np.zeros(2, "f4")),
    (npt.NDArray[float], np.zeros(2, int)),
    (npt.NDArray[np.floating[Any]], np.zeros(2)),
    (npt.NDArray[Any], np.zeros(2, bool)),
    (np.ndarray[Any, np.dtype[np.uint8]], np.zeros(2, "u1")),
    (npt.ArrayLike, [[1, 2], [3, 4]]),
    (npt.ArrayLike | None, None),
    (type[int], bool),
    (Filter, Filter.RED),
    (Named, Named(1)),
    (complex, 1 + 2j),
    (bytes, b"a"),
    (u.Quantity["m"], 3 * u.cm),
    (Annotated[float, at.Gt(0)], 1),
    (Annotated[float | None, Range(gt=0)], None),
    (Annotated[float, at.Interval(ge=0, lt=1)], 0),
    (Annotated[list[float], Range(gt=0)], [1, 2]),
    (Annotated[int, at.MultipleOf(2)], 4),
    (Annotated[str, at.MinLen(2)], "ab"),
    (Annotated[list[int], at.Len(1, 2)], [1]),
    (Annotated[list[int], 1:3], [1, 2]),
    (at.LowerCase[str], "ab"),
    (Annotated[int, "a note"], 1),
    (Annotated[Annotated[float, at.Ge(0)], at.Le(1)], 1),
    (dict[str, Annotated[int, at.Ge(0)]], {"a": 0}),
    (Annotated[u.Quantity, Range(gt=0)], 1 * u.m),
    (list[Path], ["a.dat"]),
    (str | os.PathLike[str] | None, Path("a.dat")),
    (list[Any], [object()]),
    (Boxed[int], {"item": 1, "more": [2]}),
    (Boxed, {"item": "a", "more": []}),
    (collections.Counter[str], {"a": 1}),
    (npt.NDArray[np.integer[Any]], np.zeros(2, "u1")),
    (u.Quantity["length"], 3 * u.cm),
    (Literal["a", 1], np.str_("a")),
    (Literal["a", 1], np.int16(1)),
    (type[Any], int),
    (Annotated[int, at.Not(bool)], 0),
    (Path, FileName("a.dat")),
]
MISFITS = [
    (Pixels, 3.5),
    (list[Pixels], [1, "2"]),
    (Number, "2"),
    (Bounded, 2.5),
    (Final[int], "2"),
    (typing.LiteralString, 1),
    (set[int], {"a"}),
    (set[int], [1]),
    (frozenset[str], {1}),
    (abc.Iterable[int], ["a"]),
    (abc.Iterable[int], iter([1, 2])),  # could be gone through once only
    (abc.Iterable[str], "abc"),
    (abc.Collection[float], np.array(["a"])),
    (tuple[()], (1,)),
    (tuple[int, ...], ("a",)),
    (abc.Mapping[str, list[int]], {"a": ["b"]}),
    (Window, {"low": 1}),
    (Window, {"low": 1, "high": 0}),
    (Window, {"low": 1, "high": 2.0, "hgih": 2}),
    (Window, [1, 2]),
    (npt.NDArray[np.float64], [1.0]),
    (npt.NDArray[np.int32], np.zeros(2)),
    (npt.NDArray[np.floating[Any]], np.zeros(2, int)),
    (npt.NDArray[float], np.array(["a"])),
    (npt.ArrayLike, [object()]),
    (type[int], str),
    (type[int], 1),
    (Filter, "r"),
    (Named, (1,)),
    (complex, "1"),
    (u.Quantity["m"], 3 * u.s),
    (u.Quantity["m"], 3),
    (Annotated[float, at.Gt(0)], 0),
    (Annotated[float, at.Interval(ge=0, lt=1)], 1),
    (Annotated[list[float], Range(gt=0)], [1, 0]),
    (Annotated[int, at.MultipleOf(2)], 3),
    (Annotated[str, at.MinLen(2)], "a"),
    (Annotated[list[int], at.Len(1, 2)], [1, 2, 3]),
    (Annotated[list[int], 1:3], []),
    (at.LowerCase[str], "AB"),
    (Annotated[Annotated[float, at.Ge(0)], at.Le(1)], 2),
    (dict[str, Annotated[int, at.Ge(0)]], {"a": -1}),
    (Annotated[u.Quantity, Range(gt=0)], -1 * u.m),
    (list[Path], [1]),
    (Annotated[npt.NDArray[float], Range(gt=0)], np.array([1.0, -1.0])),
    (Boxed[int], {"item": "a", "more": [2]}),
    (Boxed[int], {"item": 1, "more": ["a"]}),
    (collections.Counter[str], {"a": "b"}),
    (npt.NDArray[np.integer[Any]], np.zeros(2)),
    (u.Quantity["length"], 3 * u.s),
    (Literal[1], np.float64(1)),
    (type[Any], 1),
    (Annotated[int, at.Not(bool)], 1),
]
REFUSED = [
    Unchecked,
    list[Unchecked],
    Box[int],
    dict[str, Box[int]],
    abc.Iterator[int],
    typing.Generator[int, None, None],
    typing.Never,
    typing.Self,
    Annotated[int, at.Timezone(None)],
    "int | nothing",
    int | Unchecked,
    3,
    Tree,  # names itself
    np.array([1, 2]),
]


@pytest.mark.parametrize(("hint", "value"), FITS)
def test_value_that_fits(hint, value):
    assert value in understand(hint)


@pytest.mark.parametrize(("hint", "value"), MISFITS)
def test_value_that_does_not_fit(hint, value):
    assert value not in understand(hint)


@pytest.mark.parametrize("hint", REFUSED, ids=str)
def test_what_cannot_be_checked_is_refused(hint):
    with pytest.raises(DeclarationError, match="no value can be checked"):
        understand(hint)


def test_refusal_names_step_and_parameter():
    def smooth(ndd, *, how: Box[int]): ...

    with pytest.raises(DeclarationError, match=r"smooth: how: no value .*Box\[int\]"):
        run_task(prefix="s")(smooth)


def test_runtime_protocol_is_checked():
    assert np.zeros(3) in understand(abc.Sized)
    assert 3 not in understand(Sized)


if sys.version_info >= (3, 12):  # which has the statement `type`

    def test_alias_statement():
        names: dict[str, Any] = {}
        exec("type Row = list[int]\ntype Pair[T] = tuple[T, T]", names)
        assert [1] in understand(names["Row"])
        assert ["a"] not in understand(names["Row"])
        assert (1, 2) in understand(names["Pair"][int])
        assert (1, "2") not in understand(names["Pair"][int])

    @pytest.mark.parametrize("value", ["list[nothing]", "dict[str, Row]", "Row"])
    def test_alias_statement_of_itself_or_of_nothing_is_refused(value):
        names: dict[str, Any] = {}
        exec(f"type Row = {value}", names)
        with pytest.raises(DeclarationError, match="no value can be checked"):
            understand(names["Row"])


@pytest.mark.parametrize("hint", [hint for hint, _ in MISFITS], ids=str)
def test_every_kind_has_words(hint):
    assert str(understand(hint))


def test_words_say_what_fits():
    assert str(understand(Annotated[float, at.Gt(0)] | None)) == "float > 0 or None"
    assert str(understand(set[Literal["a"]])) == "set of one of 'a'"
    assert "high: float > 0" in str(understand(Window))
    assert str(understand(npt.NDArray[np.integer[Any]])) == "array of integer"
    assert str(understand(u.Quantity["length"])) == "Quantity in a unit of length"


def test_kind_travels_to_workers():
    import pickle

    kind = understand(dict[str, Annotated[list[Window], at.Len(1)]])
    assert pickle.loads(pickle.dumps(kind)) == kind


@run_task(prefix="a")
def add_file(ndd, *, table: str, more: tuple[str, ...] = ()):
    """Add the number that a file holds."""
    return functools.reduce(
        lambda sum_, name: sum_ + float(Path(name).read_text()), (table, *more), ndd
    )


def test_text_that_names_a_file_counts_by_its_content(tmp_path, monkeypatch):
    from ndmapper.testing import make_mef

    monkeypatch.chdir(tmp_path)
    make_mef("x.fits", n_ext=1, shape=(2, 2))
    for name, number in (("one.txt", "1"), ("two.txt", "2")):
        Path(name).write_text(number)

    def made(**words):
        add_file("x.fits", reprocess="auto", **words)
        return DataFile("ax.fits").record[-1]

    first = made(table="one.txt", more=["two.txt"])
    assert first["references"]["table"]["name"] == "one.txt"
    assert first["references"]["more"][0]["name"] == "two.txt"
    # Where it lies does not count, what it holds does.
    Path("elsewhere").mkdir()
    Path("elsewhere/one.txt").write_text("1")
    assert made(table="elsewhere/one.txt", more=["two.txt"]) == first
    Path("two.txt").write_text("3")
    changed = made(table="one.txt", more=["two.txt"])
    assert changed["key"] != first["key"]


def test_choice_that_is_also_the_name_of_a_file_is_a_choice(tmp_path, monkeypatch):
    from ndmapper.testing import make_mef

    @run_task(prefix="c")
    def choose(ndd, *, how: Literal["mean", "median"] = "mean"):
        """Do nothing."""
        return ndd

    monkeypatch.chdir(tmp_path)
    make_mef("x.fits", n_ext=1, shape=(2, 2))
    Path("mean").write_text("no table")
    assert choose("x.fits").record[-1]["references"] == {}


def test_choice_in_a_container_is_a_choice_and_arrays_are_none(tmp_path, monkeypatch):
    from ndmapper.testing import make_mef

    @run_task(prefix="c")
    def choose(
        ndd,
        *,
        how: list[Literal["mean", "median"]],
        weights: npt.NDArray[np.float64] | Literal["mean"] = "mean",
    ):
        """Do nothing."""
        return ndd

    monkeypatch.chdir(tmp_path)
    make_mef("x.fits", n_ext=1, shape=(2, 2))
    Path("mean").write_text("no table")
    made = choose("x.fits", how=["mean"], weights=np.ones(3))
    assert made.record[-1]["references"] == {}


@pytest.mark.parametrize(("hint", "value"), [
    (set[str], {"one.txt", "none.txt"}),
    (collections.deque[str], collections.deque(["one.txt"])),
    (npt.NDArray[np.str_], np.array(["one.txt", "none.txt"])),
    (dict[str, list[str]], {"a": ["one.txt"]}),
    (FileName, FileName("one.txt")),
    (os.PathLike, FileName("one.txt")),
    (Path, FileName("one.txt")),
    (str, np.str_("one.txt")),
])  # fmt: skip
def test_file_counts_by_its_content_wherever_it_stands(
    tmp_path, monkeypatch, hint, value
):
    from ndmapper.testing import make_mef

    def read(ndd, *, table):
        """Do nothing."""
        return ndd

    read.__annotations__["table"] = hint
    step = run_task(prefix="r")(read)
    monkeypatch.chdir(tmp_path)
    make_mef("x.fits", n_ext=1, shape=(2, 2))
    Path("one.txt").write_text("1")
    first = step("x.fits", table=value).record[-1]
    assert "one.txt" in str(first["references"])
    Path("one.txt").write_text("2")
    assert step("x.fits", table=value, reprocess=True).record[-1]["key"] != first["key"]


@pytest.mark.parametrize(("hint", "value", "expected"), [
    (Path, "a.dat", Path("a.dat")),
    (list[Path], ["a.dat"], [Path("a.dat")]),
    (tuple[int, Path], (1, "a.dat"), (1, Path("a.dat"))),
    (set[Path], {"a.dat"}, {Path("a.dat")}),
    (dict[str, Path | None], {"a": "b", "c": None}, {"a": Path("b"), "c": None}),
    (str | Path, np.str_("a.dat"), "a.dat"),
    (list[Path] | None, ["a.dat"], [Path("a.dat")]),
    (Literal["a.dat"] | Path, "b.dat", Path("b.dat")),
    (list[str], ["a.dat"], ["a.dat"]),
])  # fmt: skip
def test_name_becomes_what_the_annotation_says(hint, value, expected):
    found = understand(hint).converted(value)
    assert found == expected
    assert type(found) in (type(expected), type(value))
