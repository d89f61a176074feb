"""What is read of a script to show, or run, one of its steps: nothing is run."""

import textwrap
from pathlib import Path

import pytest
from astropy.io import fits

from ndmapper.testing import make_mef


def write(folder, text, name="mine.py"):
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
    write(folder, "FACTOR = 3\n", "helpers_of_mine.py")
    path = write(
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

        def plain(func):
            return func

        @run_task(prefix="s" + "c")
        @plain
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


def test_step_that_is_made_by_a_call_is_refused(command, folder):
    path = write(
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
    path = write(
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
    path = write(
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
    path = write(
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
