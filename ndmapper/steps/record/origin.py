"""Where a function comes from: a package with a version, or the text of a script."""

import __future__ as future

import ast
import enum
import hashlib
import inspect
import linecache
import re
import symtable
import sys
import textwrap
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from astropy import units

from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.record.versions import package_version

__all__ = [
    "Context",
    "Origin",
    "Text",
    "essence",
    "expression",
    "origin_of",
    "text_of",
]


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Text:
    """
    Source text as it was written.

    Parameters
    ----------
    source : str
        The text, without the indentation that all its lines share.
    names : tuple of str
        The global names that it uses, builtins among them.
    chains : frozenset of str
        Dotted names that it uses: ``'scipy.ndimage.label'``.
    """

    source: str
    names: tuple[str, ...]
    chains: frozenset[str]

    @cached_property
    def definition(self) -> Definition | None:
        """The only statement, where that is a function or a class."""
        body = _parsed(self.source)
        if body is None or len(body.body) != 1:
            return None
        (node,) = body.body
        return node if isinstance(node, Definition) else None

    @classmethod
    def of(cls, source: str) -> "Text":
        """Parse a text, and list the names that it uses."""
        return _read(textwrap.dedent(source))

    def without(self, is_dropped: Callable[[str], bool]) -> "Text":
        """Remove the decorators up to the last one that is to be dropped."""
        node = self.definition
        if node is None:
            return self
        ends = [
            n.end_lineno or n.lineno
            for n in node.decorator_list
            if is_dropped(_chain(n.func if isinstance(n, ast.Call) else n) or "")
        ]
        if not ends:
            return self
        lines = self.source.splitlines(keepends=True)
        start = node.decorator_list[0].lineno - 1
        return Text.of("".join(lines[:start] + lines[ends[-1] :]))


_known: "weakref.WeakKeyDictionary[Any, Text]" = weakref.WeakKeyDictionary()


def text_of(value: Any) -> Text | None:
    """Find the text of a function or class; None for one typed at a prompt."""
    try:
        if value in _known:
            return _known[value]
        text = _class_text(value) if isinstance(value, type) else None
        if text is None:
            text = Text.of(inspect.getsource(value))
        _known[value] = text
    except (OSError, TypeError):
        return None
    return text


def _class_text(value: type) -> Text | None:
    """Find a class by the file of its methods, as in a notebook."""
    for method in vars(value).values():
        code = getattr(method, "__code__", None)
        lines = linecache.getlines(code.co_filename) if code else []
        found = _classes("".join(lines)).get(value.__qualname__, ())
        if len(found) == 1:
            return Text.of(found[0])
    return None


def statement_of(name: str, filename: str) -> Text | None:
    """Find the statement of a script that gives a name its value."""
    text = "".join(linecache.getlines(filename))
    found = _assignments(text).get(name, ())
    return Text.of(found[0]) if len(found) == 1 else None


@lru_cache(maxsize=1024)
def _read(source: str) -> Text:
    tree = _parsed(source)
    if tree is None:
        return Text(source, (), frozenset())
    names: dict[str, None] = {}
    _names(symtable.symtable(source, "<script>", "exec"), names, top=True)
    chains = (_chain(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute))
    return Text(source, tuple(names), frozenset(filter(None, chains)))


@lru_cache(maxsize=512)
def essence(source: str) -> str:
    """Dump the syntax tree of a text, without docstrings: comments do not count."""
    tree = _parsed(textwrap.dedent(source))
    if tree is None:  # a lambda in the middle of a call
        return source
    for node in ast.walk(tree):
        if isinstance(node, Definition) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
        elif isinstance(node, ast.JoinedStr):
            node.values = [v for v in node.values if not _is_empty_text(v)]
    # The same words by every version of Python, so that a newer one changes nothing.
    words = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(tree, **words).replace(", type_params=[]", "")


def _is_empty_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == ""


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


def _names(table: symtable.SymbolTable, found: dict[str, None], *, top: bool) -> None:
    """List global names in the order in which they are used."""
    for symbol in table.get_symbols():
        outer = symbol.is_global() or (top and not symbol.is_assigned())
        if symbol.is_referenced() and outer:
            found.setdefault(symbol.get_name())
    for child in table.get_children():
        _names(child, found, top=False)


def _chain(node: ast.AST) -> str | None:
    """Write ``a.b.c``; None for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


@lru_cache(maxsize=8)
def _classes(text: str) -> Mapping[str, list[str]]:
    """List the classes of a script by name."""
    found: dict[str, list[str]] = {}
    tree = _parsed(text)
    lines = text.splitlines(keepends=True)
    for node in tree.body if tree else ():
        if isinstance(node, ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            segment = "".join(lines[first - 1 : node.end_lineno])
            found.setdefault(node.name, []).append(segment)
    return found


@lru_cache(maxsize=8)
def _assignments(text: str) -> Mapping[str, list[str]]:
    """List the statements of a script that assign to one name, by that name."""
    found: dict[str, list[str]] = {}
    tree = _parsed(text)
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target: ast.expr = node.targets[0]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target = node.target
        else:
            continue
        if isinstance(target, ast.Name):
            segment = ast.get_source_segment(text, node)
            found.setdefault(target.id, []).append(segment or "")
    return found


_MOST = 1000
"""Containers and arrays of more values than this are not written out."""


@dataclass(frozen=True)
class Expression:
    """
    A Python expression, and the modules that it needs.

    Parameters
    ----------
    text : str
        The expression.
    modules : frozenset of str
        The modules that must have been imported for it.
    """

    text: str
    modules: frozenset[str] = frozenset()


def expression(value: Any, *, whole_paths: bool = True) -> Expression | None:
    """Write plain data as an expression; None for other values, or too many."""
    left = [_MOST]
    try:
        return _written(value, left, whole_paths=whole_paths)
    except _NotPlainError:
        return None


class _NotPlainError(Exception):
    """A value that has no short expression."""


def _written(value: Any, left: list[int], *, whole_paths: bool) -> Expression:
    left[0] -= 1
    if left[0] < 0:
        raise _NotPlainError
    kind = type(value)
    if kind in (type(None), type(...), bool, int, str, bytes, range):
        return Expression(repr(value))
    if kind is float:
        return Expression(repr(value) if np.isfinite(value) else f"float('{value}')")
    if kind is complex and np.isfinite(value):
        return Expression(repr(value))
    if kind in (tuple, list, set, frozenset, dict, slice):
        return _container(value, left, whole_paths=whole_paths)
    if isinstance(value, Path):
        text = str(value) if whole_paths else value.name
        return Expression(f"pathlib.Path({text!r})", frozenset({"pathlib"}))
    if kind is re.Pattern:
        text = f"re.compile({value.pattern!r}, {int(value.flags)})"
        return Expression(text, frozenset({"re"}))
    return _of_arrays(value, left)


def _of_arrays(value: Any, left: list[int]) -> Expression:
    """Write arrays, numbers and types of NumPy, units and quantities of astropy."""
    if isinstance(value, units.UnitBase):
        text = f"astropy.units.Unit({value.to_string()!r})"
        return Expression(text, frozenset({"astropy.units"}))
    if type(value) is units.Quantity:
        plain = value.value.item() if value.dtype == float and value.isscalar else value
        number = _written(getattr(plain, "value", plain), left, whole_paths=True)
        text = f"astropy.units.Quantity({number.text}, {value.unit.to_string()!r})"
        return Expression(text, number.modules | {"astropy.units"})
    numpy = frozenset({"numpy"})
    if isinstance(value, np.dtype) and value.names is None and value.kind != "O":
        return Expression(f"numpy.dtype({value.str!r})", numpy)
    if isinstance(value, (np.bool_, np.number)) and not isinstance(
        value, (np.longdouble, np.clongdouble)
    ):
        number = _written(value.item(), left, whole_paths=True)
        return Expression(f"numpy.{type(value).__name__}({number.text})", numpy)
    if (
        type(value) is np.ndarray
        and value.dtype.kind in "biufcSU"
        and value.dtype.str[1:] not in ("f16", "c32")
        and value.size <= left[0]
    ):
        numbers = _written(value.tolist(), left, whole_paths=True).text
        text = f"numpy.array({numbers}, dtype={value.dtype.str!r})"
        if not value.size:
            text += f".reshape({value.shape})"
        return Expression(text, numpy)
    raise _NotPlainError


def _container(value: Any, left: list[int], *, whole_paths: bool) -> Expression:
    def written(items: Iterable[Any]) -> list[Expression]:
        return [_written(item, left, whole_paths=whole_paths) for item in items]

    if isinstance(value, dict):
        keys, values = written(value), written(value.values())
        pairs = zip(keys, values, strict=True)
        inside = ", ".join(f"{key.text}: {item.text}" for key, item in pairs)
        parts, text = keys + values, f"{{{inside}}}"
    elif isinstance(value, slice):
        parts = written((value.start, value.stop, value.step))
        text = f"slice({', '.join(part.text for part in parts)})"
    else:
        parts = written(value)
        texts = [part.text for part in parts]
        if isinstance(value, (set, frozenset)):
            texts.sort()  # their order differs from process to process
            text = f"{type(value).__name__}([{', '.join(texts)}])"
        elif isinstance(value, tuple):
            text = f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
        else:
            text = f"[{', '.join(texts)}]"
    return Expression(text, frozenset().union(*(part.modules for part in parts)))


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
