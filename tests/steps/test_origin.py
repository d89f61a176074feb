"""Where a step comes from, and what its text refers to."""

import importlib.util
import statistics
import sys
from math import sqrt

import numpy as np
import pytest
from astropy import units as u

from ndmapper.steps import run_task
from ndmapper.steps.record.origin import expression, origin_of

SCRIPT = '''
import numpy as np
from math import hypot
from pathlib import Path
from ndmapper import run_task

FACTOR = 3.0
TABLE = Path("/somewhere/table.dat")
LINES = ["a"]
DONE = []


def helper(x):
    """Say something."""
    return np.sqrt(x) * FACTOR  # a comment


class Model:
    scale = FACTOR


@run_task(prefix="s")
def scaled(ndd, *, order: int = 1):
    """Scale."""
    DONE.append(1)
    return ndd * helper(hypot(3, 4)) * Model.scale * len(LINES) * len(TABLE.name)
'''


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a script from a file of its own, as a module without a version."""
    count = 0

    def load(text):
        nonlocal count
        count += 1
        path = tmp_path / f"script{count}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(f"no_package_{count}", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def code(load):
    return lambda text: origin_of(load(text).scaled.func).code


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FACTOR = 3.0", "FACTOR = 4.0"),
        ("np.sqrt(x)", "np.cbrt(x)"),
        ("scale = FACTOR", "scale = 2"),
        ("import hypot", "import pow as hypot"),
        ('LINES = ["a"]', 'LINES = ["a", "b"]'),
        ("table.dat", "other.dat"),
        ("len(LINES)", "len(DONE)"),
    ],
)
def test_code_changes_with_all_that_a_step_refers_to(code, old, new):
    assert code(SCRIPT) != code(SCRIPT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another"),
        ('"""Say something."""', '"""Say it differently."""'),
        ('"""Scale."""', '"""Scale\n    it."""'),
        ("/somewhere/", "/elsewhere/"),
        ("FACTOR = 3.0", "FACTOR = 3.0  # why\nUNUSED = 5"),
        ('@run_task(prefix="s")', '@run_task(prefix="t", each="ndd")'),
        ("def helper(x):", "def helper(\n    x,\n):"),
    ],
)
def test_code_does_not_change_with_comments_layout_and_places(code, old, new):
    assert code(SCRIPT) == code(SCRIPT.replace(old, new))


def test_code_does_not_change_with_what_a_script_gathers(load):
    module = load(SCRIPT)
    before = origin_of(module.scaled.func).code
    module.DONE.append(1)
    assert origin_of(module.scaled.func).code == before


def test_source_is_the_bare_function(load):
    source = origin_of(load(SCRIPT).scaled.func).source
    assert source.startswith("def scaled(ndd")


def test_source_keeps_decorators_below_the_declaration(load):
    text = SCRIPT.replace(
        '@run_task(prefix="s")', '@run_task(prefix="s")\n@functools.lru_cache'
    )
    source = origin_of(load(f"import functools\n{text}").scaled.func).source
    assert source.startswith("@functools.lru_cache\ndef scaled(ndd")


def test_context_comes_in_an_order_that_works(load):
    origin = origin_of(load(SCRIPT).scaled.func)
    text = "\n".join(origin.context.items.values())
    names = {}
    exec(text, names)
    assert names["helper"](4.0) == 6.0
    assert names["Model"].scale == 3.0
    assert names["hypot"](3, 4) == 5


def test_context_of_a_local_function_has_what_it_closes_over(load):
    text = (
        "from ndmapper import run_task\n"
        "def make(factor):\n"
        "    @run_task(prefix='x')\n"
        "    def scaled(ndd):\n"
        "        return ndd * factor\n"
        "    return scaled\n"
    )
    step = load(text).make(2.5)
    origin = origin_of(step.func)
    assert origin.context.items == {"factor": "factor = 2.5"}
    assert origin.source.startswith("def scaled(ndd)")


def test_context_follows_steps_that_a_step_calls(load):
    text = SCRIPT + (
        "\n@run_task(prefix='t')\ndef twice(ndd):\n    return scaled(ndd) * 2\n"
    )
    items = origin_of(load(text).twice.func).context.items
    assert items["scaled"].startswith("@run_task()\ndef scaled")
    assert items["run_task"] == "from ndmapper import run_task"


def test_context_of_strings_as_annotations_says_so(load):
    text = f"from __future__ import annotations\n{SCRIPT}"
    context = origin_of(load(text).scaled.func).context
    assert context.items["__future__"] == "from __future__ import annotations"


def test_context_says_what_cannot_be_written(load):
    text = SCRIPT.replace(
        "DONE = []", "for _ in [1]:\n    DONE = (lambda: [object()])()"
    )
    context = origin_of(load(text).scaled.func).context
    assert list(context.missing) == ["DONE"]


def test_context_takes_the_statement_of_what_is_no_plain_value(load):
    text = SCRIPT.replace(
        "DONE = []", "import collections\nDONE = collections.deque([])"
    )
    items = origin_of(load(text).scaled.func).context.items
    assert items["DONE"] == "DONE = collections.deque([])"
    assert items["collections"] == "import collections"


def test_origin_of_a_part_of_python_is_no_script():
    assert origin_of(statistics.median).module == "statistics"
    assert origin_of(sqrt).tool["name"] == "math"


HELPERS = {
    "lambda": ("twice = lambda x: x * 2", "twice(3)", 6),
    "partial": ("import functools\ntwice = functools.partial(pow, 2)", "twice(3)", 8),
    "compiled": ("import numba\n@numba.njit\ndef f(x):\n    return x * F\nF = 2",
                 "f(3)", 6),
    "dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    x: int = 4",
        "D().x", 4,
    ),
    "enum": ("import enum\nclass E(enum.Enum):\n    a = 5\nM = E.a", "M.value", 5),
    "enum of a package": (
        "from ndmapper.lib.calibrator import OverscanMethods as O\nM = O.mean",
        "M.name", "mean",
    ),
    "closure": (
        "def make(a):\n    def inner(x):\n        return x + a\n    return inner\n"
        "add = make(7)", "add(3)", 10,
    ),
    "alias": ("def f(x):\n    return -x\ng = f", "g(3)", -3),
    "pattern": ("import re\nP = re.compile('a+', re.I)", "P.match('AA').end()", 2),
    "parts of a package": ("import os.path", "os.path.basename('a/b')", "b"),
    "unit": ("from astropy import units as u\nN = u.nm", "(2 * N).to_value(u.m)", 2e-9),
    "config": ("from ndmapper import config", "config['outdir']", "."),
}  # fmt: skip


@pytest.mark.parametrize(("text", "use", "result"), HELPERS.values(), ids=HELPERS)
def test_context_gives_helpers_of_every_kind(load, text, use, result):
    step = "from ndmapper import run_task\n@run_task(prefix='s')\ndef step(ndd):\n"
    module = load(f"{text}\n{step}    return {use}\n")
    origin = origin_of(module.step.func)
    assert origin.context.missing == {}
    names = {"__name__": "again"}
    exec("\n".join([*origin.context.items.values(), origin.source]), names)
    assert names["step"](None) == result


def test_context_of_a_helper_in_another_file_has_its_constants(load, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "mine", load("F = 3\ndef f(x):\n    return x * F\n")
    )
    text = (
        "from mine import f\nfrom ndmapper import run_task\n"
        "@run_task(prefix='s')\ndef step(ndd):\n    return f(ndd)\n"
    )
    items = origin_of(load(text).step.func).context.items
    assert items == {"F": "F = 3", "f": "def f(x):\n    return x * F"}


def test_context_says_where_a_name_means_two_things(load, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "mine", load("F = 3\ndef f(x):\n    return x * F\n")
    )
    text = (
        "from mine import f\nfrom ndmapper import run_task\nF = [1]\n"
        "@run_task(prefix='s')\ndef step(ndd):\n    return f(ndd) * F[0]\n"
    )
    context = origin_of(load(text).step.func).context
    assert context.missing == {"F": "stands for different things in different files"}


def test_code_changes_with_a_module_that_is_no_package(load, monkeypatch, tmp_path):
    text = (
        "import mine\nfrom ndmapper import run_task\n"
        "@run_task(prefix='s')\ndef step(ndd):\n    return mine.f(ndd)\n"
    )
    codes = []
    for factor in (2, 3):
        module = load(f"def f(x):\n    return x * {factor}\n")
        monkeypatch.setitem(sys.modules, "mine", module)
        origin = origin_of(load(text).step.func)
        codes.append(origin.code)
    assert codes[0] != codes[1]
    assert origin.context.files == [module.__name__]


def test_context_finds_a_class_whose_module_is_another_by_now(load, monkeypatch):
    module = load(
        SCRIPT.replace("scale = FACTOR", "scale = FACTOR\n    def f(self): 1")
    )
    monkeypatch.setitem(sys.modules, module.__name__, statistics)
    items = origin_of(module.scaled.func).context.items
    assert items["Model"].startswith("class Model:\n    scale = FACTOR")


def test_step_typed_at_a_prompt_has_no_source():
    names = {"run_task": run_task}
    exec("@run_task(prefix='x')\ndef typed(ndd):\n    return ndd", names)
    origin = origin_of(names["typed"].func)
    assert (origin.source, origin.code) == (None, None)


@pytest.mark.parametrize(
    "value",
    [
        2.0, True, None, "it's \"so\"\n", b"\x00", 1 + 2j, float("-inf"), (1,), (),
        {"a": [1, (2.5, None)]}, {1, 2}, frozenset({"x"}), slice(1, None), range(3),
        np.float32(0.1), np.int16(3), np.bool_(True), np.arange(6.0).reshape(2, 3),
        np.zeros((0, 2), "i2"), np.array(["a", "bc"]), np.dtype(">f4"),
        u.Unit("electron / adu"), 3 * u.nm, np.array([1, 2.5]) * u.s,
    ],
    ids=repr,
)  # fmt: skip
def test_expression_gives_the_value_back(value):
    written = expression(value)
    names = {}
    for module in written.modules:
        exec(f"import {module}", names)
    again = eval(written.text, names)
    assert type(again) is type(value)
    assert getattr(again, "dtype", None) == getattr(value, "dtype", None)
    assert np.all(again == value)
    assert np.shape(again) == np.shape(value)


@pytest.mark.parametrize(
    "value",
    [object(), np.zeros(2000), list(range(2000)), np.array([object()]), [{}.keys()]],
    ids=["object", "large array", "long list", "objects", "inside"],
)  # fmt: skip
def test_expression_of_what_is_no_short_plain_value_is_none(value):
    assert expression(value) is None
