"""Definitions in a generated script: imports, helper functions, steps."""

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from ndmapper.report.lineage import Row
from ndmapper.report.python_text import is_name
from ndmapper.steps.record.origin import Text

__all__ = ["Definitions"]

_OURS = {
    "pathlib": "import pathlib",
    "sys": "import sys",
    "config": "from ndmapper import config",
    "DataFile": "from ndmapper import DataFile",
    "FileSet": "from ndmapper.data import FileSet",
    "PlainFile": "from ndmapper.data import PlainFile",
    "run_task": "from ndmapper import run_task",
    "digest": "from ndmapper.io.digest import digest",
}
"""Names that every script imports."""


class Definitions:
    """
    Names defined so far in a generated script.

    Steps may come from several scripts, in which a name means different things. Before
    a call that needs it, a name is defined again if its meaning differs.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._used: set[str] = set(_OURS)
        meanings: dict[str, set[str]] = {name: {text} for name, text in _OURS.items()}
        for row in rows:
            for name, text in _context(row):
                self._used.add(name)
                meanings.setdefault(name, set()).add(text)
            step, module = row["step"], row["module"]
            self._used.add(str(step))
            if row.get("source"):
                meanings.setdefault(str(step), set()).add(row["source"])
            elif is_name(step) and is_name(module):
                meanings.setdefault(step, set()).add(f"from {module} import {step}")
        unique = {n: texts.pop() for n, texts in meanings.items() if len(texts) == 1}
        imports = {
            n: t for n, t in unique.items() if t.startswith(("import ", "from "))
        }
        self._now = imports | _OURS
        self._settings: dict[str, Any] = {}
        lines = {line for text in self._now.values() for line in text.splitlines()}
        future = {line for line in lines if line.startswith("from __future__")}
        others = sorted(lines - future, key=lambda t: (t.startswith("from"), t))
        self.imports = [*sorted(future), *([""] if future else []), *others]
        """The lines at the start: imports that mean the same for all."""

    def free(self, *names: str) -> list[str]:
        """Return names that are not used otherwise."""
        found = []
        for name in names:
            while name in self._used or hasattr(builtins, name):
                name += "_"  # noqa: PLW2901
            self._used.add(name)
            found.append(name)
        return found

    def settings(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Write the configuration needed before a call."""
        unset = object()
        changed = {n: v for n, v in config.items() if self._settings.get(n, unset) != v}
        self._settings.update(changed)
        return changed

    def ours(self, *names: str) -> list[str]:
        """Make sure that names of ndmapper have their meaning."""
        return self._define([(name, _OURS[name]) for name in names])

    def step(self, row: Row) -> tuple[str, list[str], str | None]:
        """Define a Python step."""
        step, script = row["step"], row.get("script") or {}
        if row["module"] is not None:
            return self._imported(row, script)
        if not script:
            why = "its record is from an older version, and tells too little of it"
            return step, [], f"{row['product']} was made by {step}, but {why}"
        if not row.get("source"):
            why = "the text of the step is not known (it was typed at a prompt)"
            return step, [], f"{row['product']} was made by {step}, but {why}"
        definition = Text.of(row["source"]).definition
        if definition is None:
            why = "the step is not a definition of its own (a lambda?)"
            return step, [], f"{row['product']} was made by {step}, but {why}"
        lines = self._define([*_context(row), ("run_task", _OURS["run_task"])])
        text = f"@run_task({_declaring(row, script)})\n{row['source'].strip()}"
        return definition.name, lines + self._define([(definition.name, text)]), None

    def _imported(self, row: Row, script: Mapping[str, Any]) -> tuple[Any, ...]:
        """
        Import a step of a package, or a function that a script made a step of.

        The record tells which. Nothing is imported to find out, since a record may name
        any module.
        """
        step, module = row["step"], row["module"]
        if not is_name(step) or not is_name(module):
            why = f"there cannot be such a step in {module!r}"
            return step, [], f"{row['product']} was made by {step!r}, but {why}"
        needs = [*_context(row), (step, f"from {module} import {step}")]
        wrapped = script.get("wrapped", None if script else False)
        if wrapped is False or module.split(".")[0] == "ndmapper":
            return step, self._define(needs), None
        words = _declaring(row, script)
        declared = f"{step} = run_task({step}{', ' if words else ''}{words})"
        if wrapped is None:  # records of older versions do not tell
            declared = f"if not hasattr({step}, 'plan'):\n    {declared}"
        lines = self._define([*needs, ("run_task", _OURS["run_task"])])
        self._now.pop(step)
        return step, [*lines, declared], None

    def _define(self, needs: Sequence[tuple[str, str]]) -> list[str]:
        """Define names that are undefined, or have another meaning."""
        lines: list[str] = []
        for name, text in needs:
            if self._now.get(name) == text:
                continue
            self._now[name] = text
            is_block = "\n" in text and not text.startswith(("import ", "from "))
            lines += ["", text, ""] if is_block else [text]
        return [*lines, ""] if lines else []


def _context(row: Row) -> list[tuple[str, str]]:
    script = row.get("script") or {}
    return [(str(name), str(text)) for name, text in script.get("context") or ()]


def _declaring(row: Row, script: Mapping[str, Any]) -> str:
    """Write the arguments of `run_task` that affect product names."""
    outputs: Any = tuple(filter(None, script.get("outputs") or ()))
    words = {
        "each": script.get("each"),
        "by": script.get("by"),
        "outputs": script.get("names") or outputs or None,
        "cals": tuple(row["calibrations"]) or None,
    }
    return ", ".join(f"{word}={value!r}" for word, value in words.items() if value)
