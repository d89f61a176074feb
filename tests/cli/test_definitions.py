"""What is read of a script to show, or run, one of its steps: nothing is run."""

import textwrap
from pathlib import Path

import pytest
from astropy.io import fits

from ndmapper.testing import make_mef


def write_definitions(folder, text, name="mine.py"):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


RUNS = {
    "a call": "Path('ran').touch()",
    "an assignment": "x = Path('ran').touch()",
    "an annotated one": "x: int = Path('ran').touch()",
    "one of several names": "x, y = Path('ran').touch(), 1",
    "a loop": "for n in range(2):\n    Path('ran').touch()",
    "a condition": "if Path('ran').touch() is None:\n    x = 1",
    "a guarded call": "if True:\n    Path('ran').touch()",
    "the main guard": "if __name__ == '__main__':\n    Path('ran').touch()",
    "a with": "with open('ran', 'w') as f:\n    x = f",
    "an assertion": "assert Path('ran').touch() is None",
    "a try": "try:\n    Path('ran').touch()\nexcept OSError:\n    pass",
    "a default": "def other(x=Path('ran').touch()):\n    return x",
    "a keyword default": "def other(*, x=Path('ran').touch()):\n    return x",
    "an annotation": "def other(x: Path('ran').touch()):\n    return x",
    "a comprehension": "x = [Path('ran').touch() for n in range(2)]",
    "a class": "class C:\n    x = Path('ran').touch()",
    "a loop of a class": "class C:\n    for n in (1, 2):\n        Path('ran').touch()",
    "a base": "class C(type(Path('ran').touch())):\n    pass",
    "a step as a default": "def other(x=scale('x.fits')):\n    return x",
    "a step as a decorator": "@scale('x.fits')\ndef other():\n    pass",
    "a step as a bare decorator": "@scale\ndef other():\n    pass",
    "a decorator that runs": (
        "def now(func):\n    func()\n\n@now\ndef main():\n    Path('ran').touch()"
    ),
    "a decorator that is made": (
        "def now(name):\n    Path(name).touch()\n    return int\n\n"
        "@now('ran')\ndef main():\n    pass"
    ),
    "a lambda as a decorator": (
        "@(lambda func: func())\ndef main():\n    Path('ran').touch()"
    ),
    "a command as a decorator": "import os\n@os.system('touch ran')\ndef f(): ...",
    "a class that works": (
        "import logging\nclass C:\n    log = logging.FileHandler('ran')"
    ),
    "a process as a default": (
        "import subprocess\ndef f(x=subprocess.Popen(['touch', 'ran'])):\n    pass"
    ),
    "an annotation of a name": "x: Path('ran').touch() = 1",
    "an annotation in a class": "class C:\n    x: Path('ran').touch() = 1",
    "a formatted text": "x = f\"{Path('ran').touch()}\"",
    "a deletion": "del [Path('ran').touch()][0]",
    "a walrus": "(x := Path('ran').touch())",
}


TOUCH = "Path('ran').touch()"
MEMBERS = "import enum\nimport functools\nclass E(enum.Enum):\n    X = 1\n"
RUNS |= {
    "a hook of a subclass": (
        f"class A:\n    def __init_subclass__(cls):\n        {TOUCH}\n"
        "class B(A):\n    pass"
    ),
    "a hook that is assigned": (
        f"def hook(cls):\n    {TOUCH}\n"
        "class A:\n    __init_subclass__ = hook\nclass B(A):\n    pass"
    ),
    "a metaclass": (
        f"class M(type):\n    def __new__(*x):\n        {TOUCH}\n"
        "class A(metaclass=M):\n    pass"
    ),
    "a metaclass by another name": (
        f"class M(type):\n    def __init__(*x):\n        {TOUCH}\n"
        "N = M\nclass A(metaclass=N):\n    pass"
    ),
    "a metaclass of a base": (
        f"class M(type):\n    def __call__(*x):\n        {TOUCH}\n"
        "class A(metaclass=M):\n    pass\nclass B(A()):\n    pass"
    ),
    "a metaclass that is a function": (
        f"def make(*x):\n    {TOUCH}\nclass A(metaclass=make):\n    pass"
    ),
    "an instance as a base": (
        f"class A:\n    def __init__(self):\n        {TOUCH}\nclass B(A()):\n    pass"
    ),
    "a class that says it is from elsewhere": (
        "class A:\n    __module__ = 'numpy'\n"
        f"    def __init__(self):\n        {TOUCH}\n"
        "def f(x=A()):\n    pass"
    ),
    "a script that says so": (
        f"__name__ = 'numpy'\nclass A:\n    def __init__(self):\n        {TOUCH}\n"
        "def f(x=A()):\n    pass"
    ),
    "a function that says so": (
        "import functools\nimport dataclasses\n@functools.wraps(dataclasses.field)\n"
        f"def g():\n    {TOUCH}\ndef f(x=g()):\n    pass"
    ),
    "other builtins": (
        f"def build(*x):\n    {TOUCH}\n__builtins__ = {{'__build_class__': build}}\n"
        "class A:\n    pass"
    ),
    "an item of a class": (
        f"class A:\n    def __class_getitem__(cls, x):\n        {TOUCH}\n"
        "def f(x: A[1]):\n    pass"
    ),
    "a class decorator": f"def d(c):\n    {TOUCH}\n@d\nclass A:\n    pass",
    "a class as a decorator": (
        f"class D:\n    def __init__(self, f):\n        {TOUCH}\n@D\ndef f():\n    pass"
    ),
    "a decorator under the step": (
        f"def d(f):\n    {TOUCH}\n    return f\n"
        "@run_task(prefix='o')\n@d\ndef other(ndd):\n    return ndd"
    ),
    "a decorator above it": (
        f"def d(f):\n    {TOUCH}\n    return f\n"
        "@d\n@run_task(prefix='o')\ndef other(ndd):\n    return ndd"
    ),
    "a setter that is none": (
        f"class A:\n    def setter(f):\n        {TOUCH}\n@A.setter\ndef f():\n    pass"
    ),
    "a setter within": (
        f"class C:\n    class A:\n        def setter(f):\n            {TOUCH}\n"
        "    @A.setter\n    def f(self):\n        pass"
    ),
    "a key of a builtin": (
        f"def g(x):\n    {TOUCH}\n    return 1\n"
        "@max('a', 'b', key=g)\ndef f():\n    pass"
    ),
    "a map": f"def g(x):\n    {TOUCH}\ndef f(x=list(map(g, [1]))):\n    pass",
    "a missing item": (
        f"from collections import defaultdict\ndef g():\n    {TOUCH}\n"
        "def f(x=defaultdict(g)[1]):\n    pass"
    ),
    "a missing item of a lambda": (
        "from collections import defaultdict\n"
        f"def f(x=defaultdict(lambda: {TOUCH})[1]):\n    pass"
    ),
    "a function in a list": (
        f"from collections import defaultdict\ndef g():\n    {TOUCH}\nG = [g]\n"
        "def f(x=defaultdict(G[0])[1]):\n    pass"
    ),
    "a lambda at once": f"def f(x=(lambda: {TOUCH})()):\n    pass",
    "a partial as a decorator": (
        f"import functools\ndef g(f):\n    {TOUCH}\n"
        "@functools.partial(g)\ndef f():\n    pass"
    ),
    "a caller of methods": (
        f"import operator\n@operator.methodcaller('__call__')\ndef f():\n    {TOUCH}"
    ),
    "a substitution": (
        f"import re\ndef g(m):\n    {TOUCH}\n    return ''\n"
        "@re.sub('a', g, 'a')\ndef f():\n    pass"
    ),
    "a member of an enum": (
        "import enum\nclass E(enum.Enum):\n    X = 1\n"
        f"    def __init__(self, x):\n        {TOUCH}"
    ),
    "a member of a base": (
        "import enum\nclass A:\n    def __new__(cls, x):\n"
        f"        {TOUCH}\n        return object.__new__(cls)\n"
        "class E(A, enum.Enum):\n    X = 1"
    ),
    "a property of a member": (
        f"{MEMBERS}    @property\n    def p(self):\n        {TOUCH}\n"
        "def f(x=E.X.p):\n    pass"
    ),
    "a cached property of one": (
        f"{MEMBERS}    @functools.cached_property\n    def p(self):\n        {TOUCH}\n"
        "def f(x=E.X.p):\n    pass"
    ),
    "a property of one in a list": (
        f"{MEMBERS}    @property\n    def p(self):\n        {TOUCH}\n"
        "class C:\n    m = [E.X]\ndef f(x=C.m[0].p):\n    pass"
    ),
    "a text of a member": (
        f"{MEMBERS}    def __format__(self, x):\n        {TOUCH}\n        return ''\n"
        "def f(x=f'{E.X}'):\n    pass"
    ),
    "a sum of members": (
        f"{MEMBERS}    def __add__(self, x):\n        {TOUCH}\n"
        "def f(x=E.X + E.X):\n    pass"
    ),
    "a name that a class binds": (
        f"def g(x):\n    {TOUCH}\nclass C:\n    int = g\n    y = int('3')"
    ),
    "a name that a block binds": (
        f"def g(x):\n    {TOUCH}\nif True:\n    int = g\n"
        "    def f(x=int('3')):\n        pass"
    ),
    "an annotation in quotes": (
        "@run_task(prefix='o')\ndef other(ndd, *, x: \"Path('ran').touch()\" = 1):\n"
        "    return ndd"
    ),
    "an annotation in quotes within": (
        "from typing import Optional\n@run_task(prefix='o')\n"
        "def other(ndd, *, x: Optional[\"Path('ran').touch()\"] = 1):\n    return ndd"
    ),
    "an annotation by name": (
        "T = \"Path('ran').touch()\"\n@run_task(prefix='o')\n"
        "def other(ndd, *, x: T = 1):\n    return ndd"
    ),
    "an annotation that is put together": (
        "@run_task(prefix='o')\n"
        "def other(ndd, *, x: \"Path('ran')\" + '.touch()' = 1):\n    return ndd"
    ),
    "an annotation that is formatted": (
        "@run_task(prefix='o')\n"
        "def other(ndd, *, x: f\"Path('ran').{'touch'}()\" = 1):\n    return ndd"
    ),
    "an annotation of a dict": (
        "T = {'a': \"Path('ran').touch()\"}\n@run_task(prefix='o')\n"
        "def other(ndd, *, x: T['a'] = 1):\n    return ndd"
    ),
    "an annotation of a forward reference": (
        "import typing\n@run_task(prefix='o')\n"
        "def other(ndd, *, x: typing.ForwardRef(\"Path('ran').touch()\") = 1):\n"
        "    return ndd"
    ),
    "an import that fails": (
        f"try:\n    import nobody_has_this\nexcept ImportError:\n    {TOUCH}"
    ),
    "a match": f"match 1:\n    case 1:\n        {TOUCH}",
    "a generator": f"x = tuple({TOUCH} for n in (1, 2))",
    "a walrus in a default": f"def f(x=(y := {TOUCH})):\n    pass",
    "a comprehension of a class": f"class C:\n    x = [{TOUCH} for n in (1, 2)]",
}


@pytest.mark.parametrize("statement", RUNS.values(), ids=RUNS)
def test_nothing_else_of_a_script_runs(command, folder, statement):
    make_mef("x.fits", n_ext=1)
    head = "from pathlib import Path\nfrom ndmapper import run_task\n\n"
    step = "@run_task(prefix='s')\ndef scale(ndd):\n    return ndd * 2\n\n"
    path = folder / "mine.py"
    path.write_text(f"{head}{step}{statement}\n")
    assert command("steps", "show", f"{path}:scale").code == 0
    assert command("steps", "show", f"{path}:scale").out.startswith("scale(ndd)")
    assert sorted(p.name for p in folder.glob("*")) == ["mine.py", "x.fits"]
    assert command("step", f"{path}:scale", "x.fits").code == 0
    assert Path("sx.fits").exists()
    assert not Path("ran").exists()


def test_what_a_declaration_may_be_made_of(command, folder):
    """Imports (also those that may fail), classes, literals, names, annotations."""
    make_mef("x.fits", n_ext=1)
    write_definitions(folder, "FACTOR = 3\n", "helpers_of_mine.py")
    path = write_definitions(
        folder,
        """
        from __future__ import annotations

        import enum
        import sys
        from dataclasses import dataclass, field
        from typing import Annotated, Literal

        try:
            import a_package_that_nobody_has as other
        except ImportError:
            other = None
        if sys.version_info >= (3, 11):
            import tomllib

        from ndmapper import run_task
        from ndmapper.steps import Range
        from helpers_of_mine import FACTOR

        OFFSET = -1.5
        HOURS = 24 * 60
        TABLE = {"a": [OFFSET, 2], "b": (HOURS,)}
        SAME = TABLE

        class Way(enum.Enum):
            UP = "up"
            DOWN = "down"

        @dataclass(frozen=True)
        class Options:
            '''Options.'''
            first: float = OFFSET
            more: list = field(default_factory=list)

            def twice(self):
                return self.first * 2

            @property
            def half(self):
                return self.first / 2

            @half.setter
            def half(self, value):
                self.first = value * 2

        def helper(value):
            return value + Options().twice() + SAME["a"][1]

        @run_task(prefix="s" + "c")
        def scale(ndd, *, factor: Annotated[float, Range(ge=0, le=9)] = FACTOR,
                  way: Literal["up", "down"] = "up", offset: float = OFFSET):
            return ndd * factor + helper(offset)

        scale_up = scale
        print(scale("nowhere.fits"))
        """,
    )
    assert "factor" in command("steps", "show", f"{path}:scale_up").out
    result = command("step", f"{path}:scale", "x.fits", "--json")
    assert result.json["products"] == ["scx.fits"]
    assert fits.getdata("scx.fits", ("SCI", 1)).flat[0] == 1000 * 3 - 1.5 - 3 + 2


REFUSED = {
    "a value of a call": ("ORDER = int('3')", "order: int = ORDER", 3, "ORDER"),
    "a value of a loop": ("for ORDER in (1, 2):\n    pass", "order: int = ORDER", 3, 0),
    "an argument": ("import sys\nRAW = sys.argv[1]", "order: str = RAW", 4, "RAW"),
    "changed later": ("T = [1]\nT.append(2)", "order: list = T", 4, "T"),
    "set within": ("T = {}\nT['a'] = 2", "order: dict = T", 4, "T"),
    "counted up": ("N = 1\nN += 1", "order: int = N", 4, "N"),
    "bound by another": ("A = int('1')\nB = A", "order: int = B", 4, "B"),
    "a class with a hook": (
        "class A:\n    def __init_subclass__(cls):\n        pass\n"
        "class B(A):\n    pass",
        "order: B = None",
        6,
        "B",
    ),
    "a call in the declaration": ("x = 1", "order: int = int.from_bytes(b'')", 6, 0),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_declaration_that_needs_more_is_refused_with_its_line(command, folder, case):
    before, parameter, line, name = case
    path = folder / "mine.py"
    path.write_text(
        f"from ndmapper import run_task\n\n{before}\n\n@run_task(prefix='s')\n"
        f"def scale(ndd, *, {parameter}):\n    return ndd\n"
    )
    for words in (("steps", "show", f"{path}:scale"), ("step", f"{path}:scale", "x")):
        result = command(*words)
        assert result.code == 1
        assert f"line {line}" in result.err
        assert "the step scale cannot be read without running the script" in result.err
        assert not name or name in result.err


@pytest.mark.parametrize("order", [0, 1])
def test_decorator_of_the_script_is_refused_with_its_line(command, folder, order):
    lines = ["@run_task(prefix='s')", "@plain"]
    path = folder / "mine.py"
    path.write_text(
        "from ndmapper import run_task\n\ndef plain(f):\n    return f\n\n"
        + "\n".join(lines[:: 1 - 2 * order])
        + "\ndef scale(ndd):\n    return ndd\n"
    )
    result = command("steps", "show", f"{path}:scale")
    assert (result.code, f"line {7 - order} calls plain" in result.err) == (1, True)


def test_step_that_is_made_by_a_call_is_refused(command, folder):
    path = write_definitions(
        folder,
        """
        from ndmapper import run_task

        def scale(ndd):
            return ndd

        doubled = run_task(scale, prefix="d")
        """,
    )
    result = command("steps", "show", f"{path}:doubled")
    assert (result.code, "mine.py, line 7" in result.err) == (1, True)
    assert "no step 'scale'" in command("steps", "show", f"{path}:scale").err


def test_step_whose_function_or_helper_needs_more_can_be_shown_but_not_run(
    command, folder
):
    make_mef("x.fits", n_ext=1)
    path = write_definitions(
        folder,
        """
        from ndmapper import run_task

        LEVEL = float("7")

        def helper(ndd):
            return ndd - LEVEL

        @run_task(prefix="s")
        def scale(ndd):
            return helper(ndd)
        """,
    )
    assert command("steps", "show", f"{path}:scale").code == 0
    result = command("step", f"{path}:scale", "x.fits")
    assert result.code == 1
    assert "mine.py, line 4: the step scale needs LEVEL" in result.err
    assert not Path("sx.fits").exists()


def test_step_of_a_script_is_worked_on_in_other_processes(command, folder):
    """They are sent the text of the step, and never import the script."""
    for n in (1, 2):
        make_mef(f"x{n}.fits", n_ext=1)
    path = write_definitions(
        folder,
        """
        from pathlib import Path
        from ndmapper import run_task

        @run_task(prefix="s")
        def scale(ndd):
            return ndd * 2

        Path("ran").touch()
        """,
    )
    words = ("step", f"{path}:scale", "x1.fits", "x2.fits", "--workers", "2", "--json")
    assert command(*words).json["products"] == ["sx1.fits", "sx2.fits"]
    assert not Path("ran").exists()


def test_declaration_that_is_wrong_says_so(command, folder):
    path = write_definitions(
        folder,
        """
        from ndmapper import run_task

        @run_task(prefix="s", cals="flat")
        def scale(ndd):
            return ndd
        """,
    )
    result = command("steps", "show", f"{path}:scale")
    assert result.code == 1
    assert "the step scale declares the calibration 'flat'" in result.err
    assert "mine.py, line" in result.err


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"def (:\n", "line 1: this is no Python"), (b"\xff\xfe = 1", "no Python script")],
)
def test_what_is_no_script_is_named(command, folder, content, words):
    Path("mine.py").write_bytes(content)
    result = command("steps", "show", "mine.py:scale")
    assert (result.code, words in result.err) == (1, True)
