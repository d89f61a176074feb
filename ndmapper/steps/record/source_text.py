"""The source text of functions and classes, and the names that it uses."""

import ast
import inspect
import linecache
import symtable
import sys
import textwrap
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

__all__ = ["Text", "essence", "statement_of", "text_of"]

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
