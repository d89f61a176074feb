"""Definitions of a script (functions, classes, literals), read without running it."""

import __future__ as future

import ast
import builtins
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

from ndmapper.errors import (
    DeclarationError,
    FileAccessError,
    FormatError,
    MissingFileError,
    ParameterError,
    did_you_mean,
)
from ndmapper.steps import Step, run_task
from ndmapper.steps.chain import Chain
from ndmapper.steps.source_text import text_of

__all__ = ["ScriptDefinitions"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_DISPLAYS = (ast.Tuple, ast.List, ast.Set, ast.Dict)
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_LITERAL = (
    *_DISPLAYS, *_ARITHMETIC, ast.Constant, ast.UnaryOp, ast.BinOp, ast.unaryop,
    ast.expr_context,
)  # fmt: skip
_HEADER = (
    *_DISPLAYS, ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice,
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.JoinedStr,
    ast.FormattedValue, ast.Starred, ast.Lambda, ast.Call, ast.keyword,
    ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
_OF_PROPERTY = ("getter", "setter", "deleter")
_DECLARING = frozenset(
    ("collections", "dataclasses", "enum", "functools", "operator", "typing")
)
"""Modules whose functions belong to definitions, such as dataclasses.field."""
_VALUES = _DECLARING | {
    "abc", "builtins", "contextlib", "datetime", "decimal", "fractions", "pathlib",
    "re", "types",
}  # fmt: skip
"""Modules of Python whose classes and wrappers only hold what they are given."""


class _NotRead(Exception):  # noqa: N818  # never leaves this module
    """A statement that would run more of the script than it may."""


class ScriptDefinitions:
    """
    The functions, classes and steps that a script defines.

    Executed are its imports, ``def`` and ``class``, and assignments of literals or of
    names that are bound so. Everything else, such as the reduction itself, is passed
    over.

    Parameters
    ----------
    path : Path
        The script.

    Raises
    ------
    MissingFileError, FileAccessError, FormatError
        If there is no such script, or it is no Python.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # The name under which a script runs, so that records say the same, and other
        # processes are sent the text of a step instead of an import of the script.
        self._names: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
        self._passed_over: dict[str, tuple[int, str]] = {}
        self._failed: dict[int, Exception] = {}
        self._flags = 0
        folder = str(path.parent.absolute())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        for node in _parse(path).body:
            self._take(node)

    def step(self, name: str) -> Step:
        """
        Give a step.

        Parameters
        ----------
        name : str
            Its name in the script.

        Returns
        -------
        Step
            The step.

        Raises
        ------
        DeclarationError
            If its declaration needs more of the script than is executed.
        ParameterError
            If the script has no such step.
        """
        if name in self._passed_over:
            line, reason = self._passed_over[name]
            if line in self._failed:
                msg = f"{self.path}, line {line}: {self._failed[line]}"
                raise DeclarationError(msg)
            msg = (
                f"{self.path}, line {line}: the step {name} cannot be read without "
                f"running the script, for {reason}; declare it by @run_task(...) over "
                "a def, with literals"
            )
            raise DeclarationError(msg)
        value = self._names.get(name)
        if not isinstance(value, Step):
            steps = [n for n, v in self._names.items() if isinstance(v, Step)]
            msg = f"{self.path} has no step {name!r}{did_you_mean(name, steps)}"
            raise ParameterError(msg)
        return value

    def check_whole(self, step: Step) -> None:
        """
        Make sure that a step can run with what was executed of its script.

        Parameters
        ----------
        step : Step
            The step.

        Raises
        ------
        DeclarationError
            If its function, or a helper of that, uses a name that was passed over.
        """
        seen: set[int] = set()
        waiting: list[Any] = [step.func]
        while waiting:
            func = waiting.pop()
            text = text_of(func)
            if id(func) in seen or text is None:
                continue
            seen.add(id(func))
            for name in text.names:
                if name in self._passed_over:
                    line, reason = self._passed_over[name]
                    msg = (
                        f"{self.path}, line {line}: the step {step.name} needs {name}, "
                        f"which is not known without running the script, for {reason}; "
                        "make it a parameter, or run the script"
                    )
                    raise DeclarationError(msg)
                value = self._names.get(name)
                value = value.func if isinstance(value, Step) else value
                if getattr(value, "__module__", None) == "__main__":
                    waiting.append(value)

    def _take(self, node: ast.stmt) -> None:
        """Execute a statement, or note what it would have bound."""
        try:
            self._check(node)
            self._execute(node)
        except _NotRead as err:
            self._pass_over(node, str(err))
        except Exception as err:
            self._failed[node.lineno] = err
            self._pass_over(node, f"it fails ({type(err).__name__}: {err})")
        else:
            for name in _bound(node):
                self._passed_over.pop(name, None)

    def _pass_over(self, node: ast.stmt, reason: str) -> None:
        for name in _bound(node):
            self._names.pop(name, None)
            self._passed_over[name] = node.lineno, reason

    def _execute(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                self._flags |= getattr(future, alias.name).compiler_flag
        module = ast.Module([node], type_ignores=[])
        code: CodeType = compile(
            module, str(self.path), "exec", flags=self._flags, dont_inherit=True
        )
        exec(code, self._names)  # the script that the user has named

    def _check(self, node: ast.stmt) -> None:
        """Refuse a statement that is no definition."""
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass):
            return
        if isinstance(node, _Function):
            self._check_function(node)
        elif isinstance(node, ast.ClassDef):
            self._check_class(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            self._check_assignment(node)
        elif isinstance(node, ast.Try):
            # Such as an import that may fail, and what is taken instead.
            handlers = [one for handler in node.handlers for one in handler.body]
            for one in (*node.body, *handlers, *node.orelse, *node.finalbody):
                self._check(one)
        elif isinstance(node, ast.If):
            self._check_header(node.test)
            for one in (*node.body, *node.orelse):
                self._check(one)
        elif type(node).__name__ != "TypeAlias":  # of Python 3.12, and lazy
            msg = "that is no import, def, class or literal"
            raise _NotRead(msg)

    def _check_assignment(self, node: ast.Assign | ast.AnnAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for part in (part for target in targets for part in ast.walk(target)):
            if not isinstance(part, ast.Name | ast.Tuple | ast.List | ast.expr_context):
                msg = f"line {node.lineno} changes something that is there"
                raise _NotRead(msg)
        if isinstance(node, ast.AnnAssign):
            self._check_header(node.annotation)
        if node.value is not None:
            self._check_literal(node.value)

    def _check_literal(self, value: ast.expr) -> None:
        for part in ast.walk(value):
            if isinstance(part, ast.Name):
                self._check_name(part)
            elif not isinstance(part, _LITERAL):
                msg = f"line {value.lineno} assigns more than a literal"
                raise _NotRead(msg)

    def _check_name(self, node: ast.Name) -> None:
        if node.id in self._passed_over:
            line, reason = self._passed_over[node.id]
            msg = f"it needs {node.id}, which line {line} makes, and {reason}"
            raise _NotRead(msg)

    def _check_function(self, node: _Function) -> None:
        self._check_decorators(node)
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        arguments += [one for one in (given.vararg, given.kwarg) if one is not None]
        self._check_header(
            *given.defaults,
            *filter(None, given.kw_defaults),
            *(one.annotation for one in arguments if one.annotation is not None),
            *([] if node.returns is None else [node.returns]),
        )

    def _check_class(self, node: ast.ClassDef) -> None:
        self._check_decorators(node)
        self._check_header(*node.bases, *(word.value for word in node.keywords))
        for one in node.body:
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                continue  # a docstring
            if isinstance(one, ast.Assign | ast.AnnAssign):
                annotation = getattr(one, "annotation", None)
                self._check_header(*filter(None, [one.value, annotation]))
            else:
                self._check(one)

    def _check_decorators(self, node: _Function | ast.ClassDef) -> None:
        """Let decorators be called that only wrap what they are given."""
        called = [
            one.func if isinstance(one, ast.Call) else one
            for one in node.decorator_list
        ]
        # What the script itself puts under run_task belongs to the declaration.
        is_step = any(self._meaning(one) is run_task for one in called)
        for decorator, func in zip(node.decorator_list, called, strict=True):
            self._check_header(func)
            if isinstance(decorator, ast.Call):
                words = (word.value for word in decorator.keywords)
                self._check_header(*decorator.args, *words)
            if isinstance(func, ast.Attribute) and func.attr in _OF_PROPERTY:
                continue
            meaning = self._meaning(func)
            if isinstance(meaning, Step | Chain):
                msg = f"line {decorator.lineno} would run a step"
                raise _NotRead(msg)
            if not _only_wraps(meaning, of_step=is_step):
                msg = f"line {decorator.lineno} calls {ast.unparse(func)}"
                raise _NotRead(msg)

    def _check_header(self, *expressions: ast.expr) -> None:
        """Refuse an expression that does more than name and combine values."""
        for part in (part for expr in expressions for part in ast.walk(expr)):
            line = getattr(part, "lineno", 0)
            if not isinstance(part, _HEADER) or isinstance(part, ast.Pow | ast.LShift):
                msg = f"line {line} needs more than literals and names"
                raise _NotRead(msg)
            if isinstance(part, ast.Name):
                self._check_name(part)
            elif isinstance(part, ast.Call) and not _only_declares(
                self._meaning(part.func)
            ):
                msg = f"line {line} calls {ast.unparse(part.func)}"
                raise _NotRead(msg)

    def _meaning(self, node: ast.expr) -> Any:
        """Give what a dotted name means; None where it is nothing yet, or no name."""
        if isinstance(node, ast.Attribute):
            return getattr(self._meaning(node.value), node.attr, None)
        if isinstance(node, ast.Name):
            return self._names.get(node.id, getattr(builtins, node.id, None))
        return None


def _only_declares(called: Callable[..., Any] | None) -> bool:
    """Tell the classes of packages, as in annotations, from what does some work."""
    home = _home(called)
    if isinstance(called, type):
        # Of those of Python many work when they are made: a process, a log file.
        return home in _VALUES or home not in {"__main__", *sys.stdlib_module_names}
    return home in _DECLARING


def _only_wraps(called: Callable[..., Any] | None, *, of_step: bool) -> bool:
    """Tell what decorates a definition from what does some work at once."""
    home = _home(called)
    if isinstance(called, type) or called is None:
        return _only_declares(called)
    if home == "__main__":
        return of_step
    is_python = isinstance(called, FunctionType | MethodType)
    return home in _VALUES or (is_python and home not in sys.stdlib_module_names)


def _home(called: object) -> str:
    return (getattr(called, "__module__", None) or "").partition(".")[0]


def _bound(node: ast.AST) -> Iterator[str]:
    """List the names that a statement binds or changes, where it is at the top."""
    if isinstance(node, _Function | ast.ClassDef):
        yield node.name
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        yield node.id
    elif isinstance(node, ast.Subscript | ast.Attribute):
        if isinstance(node.ctx, ast.Store | ast.Del):
            yield from _root(node)
    elif (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr in _CHANGING
    ):
        yield from _root(node.value.func)
    # The names of a comprehension are its own.
    inner = [node.iter, *node.ifs] if isinstance(node, ast.comprehension) else None
    for child in inner or ast.iter_child_nodes(node):
        yield from _bound(child)


_CHANGING = frozenset(
    name
    for kind in (list, dict, set)
    for name in vars(kind)
    if not name.startswith("_") and not hasattr(tuple, name)
)  # methods of lists, dicts and sets, most of which change them


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _parse(path: Path) -> ast.Module:
    if not path.is_file():
        msg = f"there is no script {path}"
        raise MissingFileError(msg)
    try:
        return ast.parse(path.read_bytes(), str(path))
    except OSError as err:
        msg = f"the script {path} cannot be read ({err.strerror})"
        raise FileAccessError(msg) from err
    except (SyntaxError, ValueError, RecursionError, MemoryError) as err:
        line = getattr(err, "lineno", None)
        where = f", line {line}" if line else ""
        msg = f"{path}{where}: this is no Python script ({err})"
        raise FormatError(msg) from err
