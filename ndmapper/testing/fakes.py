"""
Fake external programs, which record their calls and can fail on purpose.

They test how a reduction reacts to failing tools, and let it be tested where tools are
not installed. What a tool really does, only the tool itself shows.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from ndmapper.testing import fake_iraf_worker, fake_program

__all__ = [
    "Call",
    "Fake",
    "FakeRecipe",
    "FakeTask",
    "Fault",
    "fake_command",
    "fake_esorex",
    "fake_iraf",
]

Fault = Literal[
    "exit", "signal", "crash", "no product", "half a product", "huge output",
    "bad UTF-8", "hang",
]  # fmt: skip
"""
How a fake fails. ``'signal'`` leaves half a product and dies by SIGKILL, ``'crash'`` by
SIGSEGV; ``'huge output'`` and ``'bad UTF-8'`` are no failures.
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """
    One call of a fake.

    Parameters
    ----------
    argv : list of str
        Its arguments, without the program.
    cwd : str
        The working folder.
    environment : dict of str to str
        The environment.
    sof : str or None
        The set of frames of a fake esorex.
    """

    argv: list[str]
    cwd: str
    environment: dict[str, str]
    sof: str | None


@dataclass(frozen=True, kw_only=True)
class FakeRecipe:
    """
    A recipe of a fake esorex.

    Parameters
    ----------
    products : mapping of str to int
        Number of products of each category. All inputs are in their lists.
    parameters : mapping of str to (bool, int, float or str)
        Its parameters and their defaults.
    """

    products: Mapping[str, int]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FakeTask:
    """
    A task of a fake IRAF.

    Parameters
    ----------
    inputs, outputs : sequence of str
        Parameters for input files, and for the names of products, which are copies of
        the first input.
    parameters : mapping of str to (bool, int, float or str)
        Other parameters and their defaults.
    """

    inputs: Sequence[str]
    outputs: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fake:
    """
    A fake program.

    Parameters
    ----------
    path : Path
        The program.
    notes : Path
        The file with the recorded calls.
    settings : dict
        Configuration that selects it: ``config.using(**fake.settings)``.
    """

    path: Path
    notes: Path
    settings: dict[str, Any]

    @property
    def calls(self) -> list[Call]:
        """Calls of the fake, oldest first, without queries of its version."""
        if not self.notes.exists():
            return []
        lines = self.notes.read_text(encoding="utf-8").splitlines()
        return [Call(**json.loads(line)) for line in lines]


def fake_command(
    folder: str | os.PathLike[str],
    name: str,
    *,
    fault: Fault | None = None,
    exit_code: int = 1,
    prints: str = "",
) -> Fake:
    """
    Make a program that writes the FITS files named in its arguments.

    Each argument (or its part after ``=``) that is the name of a FITS file that does
    not exist is written. Its content is that of the first existing FITS file, or else a
    small image.

    Parameters
    ----------
    folder : str or path
        The folder of the program. To be found by name it must be on the PATH.
    name : str
        Its name.
    fault : str, optional
        How it fails.
    exit_code : int
        Exit code with the fault ``'exit'``.
    prints : str
        Its output.

    Returns
    -------
    Fake
        The program.
    """
    return _make(Path(folder), name, fault, exit_code, prints, None)


def fake_esorex(
    folder: str | os.PathLike[str],
    recipes: Mapping[str, FakeRecipe],
    *,
    fault: Fault | None = None,
    exit_code: int = 255,
    prints: str = "",
) -> Fake:
    """
    Make a fake esorex with recipes.

    Parameters
    ----------
    folder : str or path
        The folder for it, and for a folder with its pipeline (``fake-1.0``).
    recipes : mapping of str to FakeRecipe
        The recipes by name.
    fault : str, optional
        How it fails.
    exit_code : int
        Exit code with the fault ``'exit'``.
    prints : str
        Its output.

    Returns
    -------
    Fake
        The program; its `settings` are those of ``config`` that choose it.
    """
    plugins = Path(folder).absolute() / "fake-1.0"
    plugins.mkdir(parents=True, exist_ok=True)
    for name in recipes:
        (plugins / f"{name}.so").touch()
    told = {
        name: {
            "products": dict(recipe.products),
            "parameters": dict(recipe.parameters),
        }
        for name, recipe in recipes.items()
    }
    fake = _make(Path(folder), "esorex", fault, exit_code, prints, told)
    fake.settings["esorex_plugins"] = str(plugins)
    fake.settings["esorex"] = str(fake.path)
    return fake


def fake_iraf(
    folder: str | os.PathLike[str],
    tasks: Mapping[str, FakeTask],
    *,
    fault: Fault | None = None,
    prints: str = "",
) -> Fake:
    """
    Make a fake IRAF with tasks.

    Parameters
    ----------
    folder : str or path
        The folder. The environment variable ``iraf`` must name it, so that an IRAF is
        found there.
    tasks : mapping of str to FakeTask
        The tasks by full name, such as ``'gemini.gmos.gprepare'``.
    fault : str, optional
        How it fails; with ``'exit'`` a task prints an error.
    prints : str
        Output of a task.

    Returns
    -------
    Fake
        The Python that has a fake PyRAF; its `settings` are those of ``config`` that
        choose it. A call has the name of the task and its parameters in `argv`.
    """
    root = Path(folder).absolute()
    (root / "unix" / "hlib").mkdir(parents=True, exist_ok=True)
    version = 'set version = "FAKE V1.0"\n'
    (root / "unix" / "hlib" / "zzsetenv.def").write_text(version, encoding="utf-8")
    told = {
        name: {
            "inputs": list(task.inputs),
            "outputs": list(task.outputs),
            "parameters": dict(task.parameters),
        }
        for name, task in tasks.items()
    }
    fake = _make(root, "python", fault, 1, prints, told, fake_iraf_worker)
    fake.settings["iraf_python"] = str(fake.path)
    return fake


def _make(  # noqa: PLR0917
    folder: Path,
    name: str,
    fault: Fault | None,
    exit_code: int,
    prints: str,
    recipes: dict[str, Any] | None,
    program: ModuleType = fake_program,
) -> Fake:
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    notes, told = folder / f"{name}.calls.jsonl", folder / f"{name}.json"
    content = {
        "notes": str(notes),
        "fault": fault,
        "code": exit_code,
        "prints": prints,
        "recipes": recipes,
    }
    told.write_text(json.dumps(content), encoding="utf-8")
    script = str(Path(str(program.__file__)).absolute())
    command = shlex.join([sys.executable, "-I", "-S", script, str(told)])
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return Fake(path=path, notes=notes, settings={})
