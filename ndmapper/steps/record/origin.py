"""Where a function comes from: a package with a version, or the text of a script."""

import __future__ as future

import enum
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.record.literals import Expression, expression
from ndmapper.steps.record.source_text import Text, essence, statement_of, text_of
from ndmapper.steps.record.versions import package_version

__all__ = [
    "Context",
    "Origin",
    "declaring",
    "origin_of",
    "step_text",
]


class Context:
    """
    The imports, constants and helpers that the text of a step refers to.

    Names are followed from helper to helper, each after those that it needs. Values
    are looked at, not statements: what a name means is what it meant in the run.
    """

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        """Python text by the name that it defines, in an order that works."""
        self.missing: dict[str, str] = {}
        """Reasons by name, where no text can be given."""
        self.files: list[str] = []
        """Modules that are no packages, which the texts import."""
        self._marks: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    @property
    def marks(self) -> list[str]:
        """What is compared of each name between two runs, sorted."""
        return sorted(f"{name} {mark}" for name, mark in self._marks.items())

    def follow(self, text: Text, func: Any) -> None:
        """Add everything that a text needs."""
        names = _surroundings(func)
        code = getattr(inspect.unwrap(func), "__code__", None)
        if code is not None and code.co_flags & future.annotations.compiler_flag:
            self.items.setdefault("__future__", "from __future__ import annotations")
        for name in text.names:
            if name in names and not name.startswith("__"):
                self._add(name, names[name], text, func)

    def express(self, value: Any) -> str | None:
        """Write a value as an expression, and add what it needs."""
        written = expression(value)
        if written is not None:
            self._import(written)
            return written.text
        if isinstance(value, enum.Enum) and (name := self._named(type(value))):
            return f"{name}.{value.name}"
        return self._named(value)

    def _named(self, value: Any) -> str | None:
        """Add a function or class under its own name."""
        name = getattr(value, "__name__", None)
        if not isinstance(name, str) or not name.isidentifier():
            return None
        self._add(name, value, None, value)
        return name if name in self.items else None

    def _import(self, written: Expression) -> None:
        for module in sorted(written.modules):
            name = module.partition(".")[0]
            if name not in self._values:
                self._values[name] = sys.modules[name]
                self.items[name] = f"import {module}"

    def _add(self, name: str, value: Any, text: Text | None, func: Any) -> None:
        """Add one name, with everything that its value needs."""
        if name in self._values:
            known = self._values[name]
            if known is not None and known is not value:
                self.missing[name] = "stands for different things in different files"
            return
        if value is func and text is not None:
            return  # it calls itself
        self._values[name] = value
        if isinstance(value, ModuleType):
            if package_version(value.__name__.partition(".")[0]) is None:
                self.files.append(value.__name__)
            self._put(name, _module_import(name, value, text), _module_mark(value))
            return
        if isinstance(getattr(value, "declaration", None), Declaration):
            if value.func is not func or text is None:
                self._add_defined(name, value)
            return
        if callable(value) and hasattr(value, "__name__"):
            self._add_defined(name, value)
            return
        self._add_value(name, value, func)

    def _add_defined(self, name: str, value: Any) -> None:
        """Add a function, class or step: imported from a package, else its text."""
        declaration = getattr(value, "declaration", None)
        func = declaration.func if declaration else value
        package = (getattr(func, "__module__", None) or "").partition(".")[0]
        if package and (line := _import_line(name, value)):
            self._put(name, line, f"{package}:{func.__name__}")
            return
        text = step_text(func) if declaration else text_of(func)
        if text is None or text.definition is None:  # perhaps a lambda with a name
            self._add_value(name, value, func)
            return
        self.follow(text, func)
        words = text.source.rstrip("\n")
        if declaration:
            self._values.setdefault("run_task", None)
            self.items.setdefault("run_task", "from ndmapper import run_task")
            words = f"@run_task({declaring(declaration)})\n{words}"
        if text.definition.name != name:
            words += f"\n\n\n{name} = {text.definition.name}"
        self._put(name, words, essence(text.source))

    def _add_value(self, name: str, value: Any, func: Any) -> None:
        """Add a constant: by its value, by import, or by its statement."""
        code = getattr(inspect.unwrap(func), "__code__", None)
        text = statement_of(name, code.co_filename) if code else None
        written = expression(value)
        if written is not None:
            self._import(written)
            short = expression(value, whole_paths=False)
            mark = short.text if short else ""
            if isinstance(value, (list, dict, set)) and text is not None:
                # What a script gathers in it while it runs is not its code.
                mark = essence(text.source)
            self._put(name, f"{name} = {written.text}", mark)
        elif isinstance(value, enum.Enum) and (owner := self._named(type(value))):
            self._put(name, f"{name} = {owner}.{value.name}", str(value.name))
        elif line := _import_line(name, value):
            self._put(name, line, type(value).__name__)
        elif text is not None:
            self.follow(text, func)
            self._put(name, text.source, essence(text.source))
        else:
            kind = type(value).__name__
            self._miss(name, f"the text of this {kind} is not known")

    def _put(self, name: str, text: str, mark: str) -> None:
        self.items[name] = text
        self._marks[name] = mark

    def _miss(self, name: str, reason: str) -> None:
        self.missing[name] = reason
        self._marks[name] = ""


def step_text(func: Any) -> Text | None:
    """Find the text of a step's function, without the decorator that declares it."""
    text = text_of(func)
    if text is None:
        return None
    if isinstance(func, FunctionType) and not hasattr(func, "__wrapped__"):
        return text.without(lambda name: True)
    names = _surroundings(func)

    def declares(name: str) -> bool:
        first, *rest = name.split(".")
        value = names.get(first)
        for attribute in rest:
            value = getattr(value, attribute, None)
        return getattr(value, "__module__", None) == "ndmapper.steps.run_task"

    return text.without(declares)


def declaring(declaration: Declaration) -> str:
    """Write the arguments of `run_task` for a Python step, less the affixes."""
    words: dict[str, Any] = {}
    if declaration.each != "ndd":
        words["each"] = declaration.each
    if declaration.outputs != (None,):
        words["outputs"] = declaration.outputs
    if declaration.cals:
        words["cals"] = declaration.cals
    return ", ".join(f"{word}={value!r}" for word, value in words.items())


def _surroundings(func: Any) -> Mapping[str, Any]:
    """Map the global and closure names of a function to their values."""
    bare = inspect.unwrap(func)
    if isinstance(bare, type):
        return vars(sys.modules.get(bare.__module__, ModuleType("none")))
    bare = getattr(bare, "__func__", bare)
    names = dict(getattr(bare, "__globals__", {}))
    free = getattr(getattr(bare, "__code__", None), "co_freevars", ())
    for name, cell in zip(free, getattr(bare, "__closure__", None) or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # it has no value yet
            names.pop(name, None)
    return names


def _module_import(name: str, module: ModuleType, text: Text | None) -> str:
    """Write the imports of a module, and of the submodules that a text uses."""
    full = module.__name__
    if full == name:
        first = f"import {name}"
    elif full.rpartition(".")[2] == name:
        first = f"from {full.rpartition('.')[0]} import {name}"
    else:
        first = f"import {full} as {name}"
    lines = [first]
    for chain in sorted(text.chains if text else ()):
        root, *parts = chain.split(".")
        if root != name:
            continue
        inner = full
        for part in parts:
            inner = f"{inner}.{part}"
            if inner not in sys.modules:
                break
            lines.append(f"import {inner}")
    return "\n".join(dict.fromkeys(lines))


def _module_mark(module: ModuleType) -> str:
    """Identify a module by name, or by its text if its package has no version."""
    if package_version(module.__name__.partition(".")[0]) is not None:
        return module.__name__
    try:
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return module.__name__
    return hashlib.sha256(essence(text).encode()).hexdigest()


def _import_line(name: str, value: Any) -> str | None:
    """Write the import of a name from the shortest module that offers it."""
    home = getattr(value, "__module__", None) or type(value).__module__
    if not isinstance(home, str) or package_version(home.partition(".")[0]) is None:
        return None
    parts = home.split(".")
    own = getattr(value, "__name__", name)
    for count in range(1, len(parts) + 1):
        module = ".".join(parts[:count])
        for there in dict.fromkeys((own, name)):
            if getattr(sys.modules.get(module), str(there), None) is value:
                alias = "" if there == name else f" as {name}"
                return f"from {module} import {there}{alias}"
    return None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """
    Where a function comes from.

    Parameters
    ----------
    module : str or None
        Its module; None for one that lives in a script.
    tool : dict
        Name and version of the package.
    source : str or None
        Its text, if it lives in a script and the text is known; without the decorator
        that makes it a step.
    context : Context
        What that text refers to.
    """

    module: str | None
    tool: dict[str, str | None]
    source: str | None
    context: Context = field(default_factory=Context)

    @property
    def code(self) -> str | None:
        """
        Digest of what the source does, with the helpers and constants that it uses.

        Comments, layout and docstrings do not count, and of packages nothing but
        their names.
        """
        if self.source is None:
            return None
        parts = [essence(self.source), *self.context.marks]
        return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def origin_of(func: Callable[..., Any]) -> Origin:
    """Find the package of a function, or its source and what that refers to."""
    module = getattr(func, "__module__", None) or "__main__"
    package = module.partition(".")[0]
    version = None if package == "__main__" else package_version(package)
    if version is not None:
        return Origin(
            module=module, tool={"name": package, "version": version}, source=None
        )
    context = Context()
    text = step_text(func)
    if text is not None:
        context.follow(text, func)
    return Origin(
        module=None,
        tool={"name": "script", "version": None},
        source=None if text is None else text.source,
        context=context,
    )
