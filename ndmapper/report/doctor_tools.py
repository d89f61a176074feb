"""Find the external programs that steps may run."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ndmapper.config import usable
from ndmapper.errors import ConfigError
from ndmapper.io.temporary import scratch_folder

__all__ = ["Tool", "find_tools"]

_PATIENCE = 60
"""Time limit for a program to print its version [s]."""

_IRAF_VARIABLE = "iraf"  # lower case, as IRAF itself has it

_IRAF_ROOTS = ("/usr/lib/iraf", "/iraf/iraf", "/usr/local/iraf")

_PIPELINES = {"muse": "muse_", "hawki": "hawki_", "giraf": "gi"}
"""Debian's names of pipelines, and the prefixes of their recipes."""


@dataclass(frozen=True)
class Tool:
    """One program, or a component of one."""

    # Name.
    name: str
    # What needs it.
    used_for: str
    # Version and path; empty if missing.
    found: str = ""
    # Reason, if missing.
    problem: str = "not found"
    # How to install it.
    advice: str = ""


def find_tools(settings: Mapping[str, Any]) -> Iterator[Tool]:
    """Check all tools."""
    yield from _iraf()
    for look, keys in (
        (_pyraf, ("iraf_python",)),
        (_esorex, ("esorex", "esorex_plugins")),
    ):
        try:
            given = [usable(settings[key]) for key in keys]
        except ConfigError as err:
            yield Tool(
                keys[0], "external tools", problem="not looked for", advice=str(err)
            )
        else:
            yield from look(*given)
    for name, used_for, advice in (
        ("ds9", "looking at images: ndmapper show", "apt install saods9"),
        ("dot", "pictures of 'ndmapper graph --format dot'", "apt install graphviz"),
    ):
        yield Tool(name, used_for, shutil.which(name) or "", advice=advice)


def _iraf() -> Iterator[Tool]:
    used_for = "IRAF tasks"
    given = os.environ.get(_IRAF_VARIABLE)
    roots = (given,) if given else _IRAF_ROOTS
    root = next((Path(r) for r in roots if (Path(r) / "unix" / "hlib").is_dir()), None)
    if root is None:
        advice = "apt install iraf, or name its folder in the environment variable iraf"
        yield Tool(
            "IRAF", used_for, problem=f"not in {', '.join(roots)}", advice=advice
        )
        return
    yield Tool("IRAF", used_for, f"{_iraf_version(root)} ({root})")
    noao = root / "noao"
    has_noao = (noao / "noao.cl").exists() or (noao / "noao.hd").exists()
    yield Tool(
        "IRAF noao", "tasks of noao: ccdred, twodspec ...", str(noao) * has_noao,
        problem=f"not in {root}", advice="apt install iraf-noao",
    )  # fmt: skip


def _iraf_version(root: Path) -> str:
    try:
        text = (root / "unix" / "hlib" / "zzsetenv.def").read_text("utf-8", "replace")
    except OSError:
        return "of unknown version"
    match = re.search(r'set\s+version\s*=\s*"([^"]*)"', text)
    return match[1] if match else "of unknown version"


def _pyraf(python: str | None) -> Iterator[Tool]:
    program = python or sys.executable
    code = "import importlib.metadata as m; print(m.version('pyraf'))"
    done = _output([program, "-c", code])
    version = done.strip().splitlines()[-1] if done and done.strip() else ""
    yield Tool(
        "PyRAF", "IRAF tasks", f"{version} (in {program})" if version else "",
        problem=f"not in {program}",
        advice="python -m pip install 'ndmapper[iraf]', or set iraf_python to a Python "
        "that has it",
    )  # fmt: skip


def _esorex(program: str, plugins: str | None) -> Iterator[Tool]:
    used_for = "ESO recipes"
    place = shutil.which(program)
    banner = _output([place, "--version"]) if place else None
    if place is None or banner is None:
        yield Tool(
            "esorex", used_for,
            problem="it does not run" if place else f"there is no program {program}",
            advice="apt install esorex, or set the key esorex to its path",
        )  # fmt: skip
        return
    match = re.search(r"version ([\d.]+)", banner)
    yield Tool("esorex", used_for, f"{match[1] if match else 'found'} ({place})")
    words = [f"--recipe-dir={plugins}"] if plugins else []
    listed = _output([place, *words, "--recipes"]) or ""
    names = re.findall(r"^  (\w+)\s+:", listed, flags=re.MULTILINE)
    counts = Counter(map(_pipeline, names))
    for pipeline in dict.fromkeys([*_PIPELINES, *sorted(counts)]):
        count = counts[pipeline]
        yield Tool(
            f"esorex {pipeline}", f"recipes of {pipeline}",
            f"{count} recipe{'s' if count > 1 else ''}" if count else "",
            problem=f"no recipe in {plugins}" if plugins else "no recipe is found",
            advice=f"apt install cpl-plugin-{pipeline}, or name its folder in the key "
            "esorex_plugins",
        )  # fmt: skip


def _pipeline(recipe: str) -> str:
    """Return the pipeline of a recipe, from its name."""
    for pipeline, start in _PIPELINES.items():
        if recipe.startswith(start):
            return pipeline
    return recipe.partition("_")[0]


def _output(argv: Sequence[str]) -> str | None:
    """Run a program in an empty folder and home; None if it fails."""
    with scratch_folder() as folder:
        try:
            done = subprocess.run(
                argv,
                cwd=folder,
                # The user's settings would be taken for those of the program.
                env=os.environ | {"HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
    return done.stdout.decode("utf-8", "replace")
