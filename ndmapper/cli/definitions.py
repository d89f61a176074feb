"""Definitions of a script (functions, classes, literals), read without running it."""

import __future__ as future

import abc
import ast
import builtins
import contextlib
import dataclasses
import enum
import functools
import inspect
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ndmapper.errors import (
    DeclarationError,
    FileAccessError,
    FormatError,
    MissingFileError,
    ParameterError,
    did_you_mean,
)
from ndmapper.steps import Step
from ndmapper.steps.chain import Chain
from ndmapper.steps.record.origin import text_of

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
_NAMES = frozenset(
    f"__{name}__"
    for name in (
        "all", "author", "copyright", "credits", "date", "doc", "email", "license",
        "status", "version",
    )
)  # fmt: skip
"""Dunder names that only document a module; others change what is executed."""
_HOOKS = frozenset(
    f"__{name}__"
    for name in (
        "class_getitem", "getattribute", "init_subclass", "instancecheck", "module",
        "mro_entries", "prepare", "qualname", "set_name", "subclasscheck",
        "subclasshook",
    )
)  # fmt: skip
"""What Python calls, or heeds, in a class without being asked to."""
_CLASSES = frozenset(
    ("bool", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object",
     "range", "set", "slice", "str", "tuple")
)  # fmt: skip
_VALUES = frozenset(
    ("collections", "dataclasses", "datetime", "decimal", "enum", "fractions",
     "functools", "operator", "pathlib", "types", "typing")
)  # fmt: skip
"""Modules of Python of which what is made only holds what it is given."""
_STORING = (
    dataclasses.field, functools.partial, property, staticmethod, classmethod,
    typing.NewType, typing.TypeVar,
)  # fmt: skip
"""What takes a function, or class, of the script and leaves it alone."""
_WRAPPERS = (
    abc.abstractmethod, contextlib.asynccontextmanager, contextlib.contextmanager,
    dataclasses.dataclass, enum.unique, functools.cache, functools.cached_property,
    functools.lru_cache, functools.singledispatch, functools.total_ordering,
    functools.wraps, property, staticmethod, classmethod, typing.final,
    typing.no_type_check, typing.overload, typing.runtime_checkable,
)  # fmt: skip
"""Decorators of Python that only wrap what they are given."""
_PLAIN = (
    type, FunctionType, staticmethod, int, float, complex, str, bytes, tuple, list,
    dict, set, frozenset, enum.Enum, type(None),
)  # fmt: skip
"""What an attribute can be that is only looked up."""
_METHODS = (FunctionType, staticmethod, classmethod)
_METACLASSES = (type, abc.ABCMeta, enum.EnumMeta)


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
        # Names that what is being checked binds itself, so that it is not known yet
        # what they mean.
        self._shadowed: set[str] = set()
        self._imported: set[str] = set()
        self._flags = 0
        folder = str(path.parent.absolute())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        for node in _parse(path).body:
            self._take(node)

    def step(self, name: str) -> Step:
        """Return a step of the script by its name."""
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
        """Make sure that a step can run with what was executed of its script."""
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
            self._check_names(node)
            is_block = isinstance(node, ast.If | ast.Try)
            self._shadowed = {*_bound(node)} if is_block else set()
            self._imported = self._shadowed - {*_bound(node, imports=False)}
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

    def _check_names(self, node: ast.stmt) -> None:
        """Refuse names by which Python itself would be changed."""
        for name in _bound(node):
            is_special = name.startswith("__") and name.endswith("__")
            if is_special and name not in _NAMES | {"__getattr__", "__dir__"}:
                msg = f"line {node.lineno} binds {name}"
                raise _NotRead(msg)

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
        elif type(node).__name__ == "TypeAlias":  # of Python 3.12
            self._check_annotations(node.value)  # type: ignore[attr-defined]
            self._check_parameters(node)
        else:
            msg = "that is no import, def, class or literal"
            raise _NotRead(msg)

    def _check_targets(self, node: ast.Assign | ast.AnnAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for part in (part for target in targets for part in ast.walk(target)):
            if not isinstance(part, ast.Name | ast.Tuple | ast.List | ast.expr_context):
                msg = f"line {node.lineno} changes something that is there"
                raise _NotRead(msg)

    def _check_assignment(self, node: ast.Assign | ast.AnnAssign) -> None:
        self._check_targets(node)
        if isinstance(node, ast.AnnAssign):
            self._check_annotations(node.annotation)
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

    def _check_function(
        self, node: _Function, within: ast.ClassDef | None = None
    ) -> None:
        self._check_decorators(node, within)
        self._check_parameters(node)
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        arguments += [one for one in (given.vararg, given.kwarg) if one is not None]
        self._check_header(*given.defaults, *filter(None, given.kw_defaults))
        annotations = [one.annotation for one in arguments] + [node.returns]
        self._check_annotations(*filter(None, annotations))

    def _check_parameters(self, node: ast.stmt) -> None:
        """Check limits and defaults of type parameters, of Python 3.12 and later."""
        for one in getattr(node, "type_params", ()):
            known = (getattr(one, name, None) for name in ("bound", "default_value"))
            self._check_annotations(*filter(None, known))

    def _check_annotations(self, *annotations: ast.expr) -> None:
        """Check annotations, also texts, which are evaluated later."""
        self._check_header(*annotations)
        for one in annotations:
            self._check_type(one)

    def _check_type(self, node: ast.expr, *, part: bool = False) -> None:
        """Refuse what may be a computed text, which is evaluated as an annotation."""
        value = node.value if isinstance(node, ast.Constant) else self._meaning(node)
        inner = self._inner_types(node)
        if inner is None or (part and isinstance(value, str)):
            msg = f"line {node.lineno} has the annotation {ast.unparse(node)}"
            raise _NotRead(msg)
        if isinstance(value, str):
            self._check_text(value, node.lineno)
        part = part or (
            isinstance(node, ast.BinOp) and not isinstance(node.op, ast.BitOr)
        )
        for one in inner:
            self._check_type(one, part=part)

    def _inner_types(self, node: ast.expr) -> list[ast.expr] | None:
        """List what an annotation is made of; None where it could make a text."""
        if isinstance(node, ast.Name):
            return None if node.id in self._shadowed - self._imported else []
        if isinstance(node, ast.Call):
            home = _home(self._meaning(node.func))
            return None if home in sys.stdlib_module_names else []
        if isinstance(node, ast.Subscript):
            base = self._meaning(node.value)
            if isinstance(base, str | bytes | list | tuple | dict):
                return None
            if base is typing.Literal:
                return []
            if base is typing.Annotated and isinstance(node.slice, ast.Tuple):
                return node.slice.elts[:1]
            return [node.value, node.slice]
        if isinstance(node, ast.Tuple | ast.List):
            return node.elts
        if isinstance(node, ast.BinOp):
            return [node.left, node.right]
        if isinstance(node, ast.Starred):
            return [node.value]
        return [] if isinstance(node, ast.Constant | ast.Attribute) else None

    def _check_text(self, text: str, line: int) -> None:
        """Check a text that is evaluated as an annotation."""
        try:
            expression = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return  # which cannot be evaluated either
        for part in ast.walk(expression):
            if hasattr(part, "lineno"):
                part.lineno = line
        self._check_annotations(expression)

    def _check_class(self, node: ast.ClassDef) -> None:
        self._check_decorators(node)
        self._check_parameters(node)
        self._check_header(*node.bases, *(word.value for word in node.keywords))
        bases = [self._meaning(base) for base in node.bases]
        metas = [self._meaning(w.value) for w in node.keywords if w.arg == "metaclass"]
        for base in (*bases, *metas):
            if isinstance(base, type) and issubclass(base, type):
                if base not in _METACLASSES or base in bases:
                    msg = f"line {node.lineno} has a metaclass"
                    raise _NotRead(msg)
            elif base in metas:
                msg = f"line {node.lineno} has a metaclass that is not known"
                raise _NotRead(msg)
        outer = self._shadowed
        bound = {name for one in node.body for name in _bound(one)}
        self._check_hooks(node, bases, bound)
        self._shadowed = outer | bound
        for one in node.body:
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                continue  # a docstring
            if isinstance(one, ast.Assign | ast.AnnAssign):
                self._check_targets(one)
                if isinstance(one, ast.AnnAssign):
                    self._check_annotations(one.annotation)
                self._check_header(*filter(None, [one.value]))
            elif isinstance(one, _Function):
                self._check_function(one, within=node)
            else:
                self._check(one)
        self._shadowed = outer

    def _check_hooks(
        self, node: ast.ClassDef, bases: list[Any], bound: set[str]
    ) -> None:
        """Refuse a class with methods that Python calls as it makes or names it."""
        hooks = bound & _HOOKS
        enums = [one for one in (*bases, *map(type, bases)) if _is_enum(one)]
        if enums or any(word.arg == "metaclass" for word in node.keywords):
            # Of an enum, the methods are those of objects, which are made at once.
            inherited = {
                name for base in bases if isinstance(base, type)
                for one in base.__mro__ if not _is_installed(one) for name in vars(one)
                if isinstance(vars(one)[name], _METHODS)
            }  # fmt: skip
            special = {name for name in inherited | bound if name.startswith("_")}
            hooks |= special - {"_order_", "_ignore_"}
        if hooks:
            msg = f"line {node.lineno} has {', '.join(sorted(hooks))}"
            raise _NotRead(msg)

    def _check_decorators(
        self, node: _Function | ast.ClassDef, within: ast.ClassDef | None = None
    ) -> None:
        """Let decorators be called that only wrap what they are given."""
        for decorator in node.decorator_list:
            if _is_of_property(decorator, within):
                continue
            func = decorator.func if isinstance(decorator, ast.Call) else decorator
            self._check_header(func)
            meaning = self._meaning(func)
            if isinstance(decorator, ast.Call):
                words = [word.value for word in decorator.keywords]
                self._check_header(*decorator.args, *words)
                if meaning is not functools.wraps:
                    self._check_handed(*decorator.args, *words)
            if isinstance(meaning, Step | Chain):
                msg = f"line {decorator.lineno} would run a step"
                raise _NotRead(msg)
            is_fit = _only_wraps(meaning)
            if isinstance(node, ast.ClassDef) and meaning is functools.wraps:
                is_fit = False  # by which a class would pass for another
            if not is_fit:
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
            elif isinstance(part, ast.Attribute):
                self._check_attribute(part)
            elif isinstance(part, ast.Call):
                called = self._meaning(part.func)
                if not _only_declares(called):
                    msg = f"line {line} calls {ast.unparse(part.func)}"
                    raise _NotRead(msg)
                if _home(called) in sys.stdlib_module_names and not any(
                    called is one for one in _STORING
                ):
                    self._check_handed(*part.args, *(w.value for w in part.keywords))

    def _check_attribute(self, node: ast.Attribute) -> None:
        """Refuse an attribute that a method of the script could make."""
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        unknown = self._shadowed - self._imported
        is_known = isinstance(root, ast.Name) and root.id not in unknown
        owner = self._meaning(node.value)
        kind = owner if isinstance(owner, type) else type(owner)
        if is_known and (owner is None or isinstance(owner, Step | Chain)):
            return
        if is_known and _is_installed(kind):
            return
        if is_known and isinstance(kind, enum.EnumMeta):
            if owner is kind and node.attr in kind.__members__:
                return
            found = inspect.getattr_static(kind, node.attr, None)
            if found is inspect.getattr_static(enum.Enum, node.attr, 0):
                return  # such as its name and value
        elif is_known:
            found = inspect.getattr_static(owner, node.attr, None)
            if isinstance(found, _PLAIN):
                return
        msg = f"line {node.lineno} calls {ast.unparse(node)}"
        raise _NotRead(msg)

    def _check_handed(self, *arguments: ast.expr) -> None:
        """Refuse to hand a function of the script to what could call it."""
        for part in (part for one in arguments for part in ast.walk(one)):
            is_own = isinstance(part, ast.Lambda)
            if isinstance(part, ast.Name):
                is_own = part.id in self._shadowed or _holds_own(self._meaning(part))
            if is_own:
                line = getattr(part, "lineno", 0)
                msg = f"line {line} hands {ast.unparse(part)} over"
                raise _NotRead(msg)

    def _meaning(self, node: ast.AST) -> Any:
        """Give what a dotted name means; None where it is nothing yet, or no name."""
        if isinstance(node, ast.Attribute):
            owner = self._meaning(node.value)
            if isinstance(owner, enum.EnumMeta) and node.attr in owner.__members__:
                return owner.__members__[node.attr]
            if isinstance(owner, ModuleType | MethodType | FunctionType | Step | Chain):
                return getattr(owner, node.attr, None)
            found = None if owner is None else inspect.getattr_static(
                owner, node.attr, None
            )  # fmt: skip
            is_method = isinstance(found, staticmethod | classmethod)
            if is_method and _is_installed(owner):
                return getattr(owner, node.attr)
            return found.__func__ if isinstance(found, staticmethod) else found
        if isinstance(node, ast.Name) and node.id not in self._shadowed:
            return self._names.get(node.id, getattr(builtins, node.id, None))
        return None


def _is_enum(value: object) -> bool:
    return isinstance(value, enum.EnumMeta) or (
        isinstance(value, type) and issubclass(value, enum.EnumMeta)
    )


def _is_of_property(node: ast.expr, within: ast.ClassDef | None) -> bool:
    """Tell the setter of a property that the same class defines."""
    if within is None or not isinstance(node, ast.Attribute):
        return False
    if node.attr not in _OF_PROPERTY or not isinstance(node.value, ast.Name):
        return False
    bound = [one for one in within.body if node.value.id in _bound(one)]
    return all(isinstance(one, _Function) for one in bound)


def _is_installed(value: Any) -> bool:
    """Tell what can be found in a module from what says only that it is from there."""
    value = value.__func__ if isinstance(value, MethodType) else value
    name = getattr(value, "__module__", None)
    found: Any = sys.modules.get(name) if isinstance(name, str) else None
    if found is None or name == "__main__":
        return False
    for word in str(getattr(value, "__qualname__", "")).split("."):
        found = inspect.getattr_static(found, word, None)
    found = found.__func__ if isinstance(found, staticmethod | classmethod) else found
    return found is value


def _holds_own(value: Any) -> bool:
    """Tell whether a value is, or holds, a function or class of the script."""
    if isinstance(value, dict):
        return any(_holds_own(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_holds_own, value))
    if isinstance(value, type):
        return not _is_installed(value)
    return callable(value) and not _is_installed(value)


def _only_declares(called: Any) -> bool:
    """Tell the classes of packages, as in annotations, from what does some work."""
    if any(called is one for one in _STORING):
        return True
    if not _is_installed(called):
        return False
    home = _home(called)
    if home == "builtins":
        return getattr(called, "__name__", None) in _CLASSES
    if home in sys.stdlib_module_names:
        # Of other modules many classes work when they are made: a process, a log file.
        return home in _VALUES and (isinstance(called, type) or home == "collections")
    return isinstance(called, type) and not issubclass(called, type)


def _only_wraps(called: Any) -> bool:
    """Tell what decorates a definition from what does some work at once."""
    if any(called is one for one in _WRAPPERS):
        return True
    if not _is_installed(called) or _home(called) in sys.stdlib_module_names:
        return False
    return isinstance(called, FunctionType | MethodType | type)


def _home(called: object) -> str:
    return (getattr(called, "__module__", None) or "").partition(".")[0]


def _bound(node: ast.AST, *, imports: bool = True) -> Iterator[str]:
    """List the names that a statement binds or changes, where it is at the top."""
    if isinstance(node, _Function | ast.ClassDef):
        yield node.name
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names if imports else ():
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
        yield from _bound(child, imports=imports)


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
