"""
The list of ndmapper's own steps, read from their source.

Importing the libraries takes longer than listing steps may. What the list shows stands
in their decorators and docstrings; a test compares it with the imported steps.
"""

import ast
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ndmapper import lib

__all__ = ["ListedStep", "list_steps"]


@dataclass
class ListedStep:
    """A step as the list shows it."""

    summary: str
    engines: list[str]


@dataclass
class _Module:
    """The steps that a module defines, and what it imports from other libraries."""

    steps: dict[str, ListedStep] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)


def list_steps() -> dict[str, ListedStep]:
    """List the steps by ``module.name``, sorted, as `library_steps` does."""
    modules = {
        name: _read(path) for name, path in _sources(lib.__name__, lib.__path__[0])
    }
    found: dict[str, ListedStep] = {}
    for module, content in modules.items():
        for name in [*content.steps, *content.imports]:
            step = _step(modules, module, name)
            # Each is listed once, in the first module that has it.
            if step is not None and all(step is not other for other in found.values()):
                found[f"{module.removeprefix(f'{lib.__name__}.')}.{name}"] = step
    return dict(sorted(found.items()))


def _sources(package: str, folder: str) -> Iterator[tuple[str, Path]]:
    """Walk through a package as `pkgutil.walk_packages` does, which would import it."""
    for info in pkgutil.iter_modules([folder]):
        if info.name.startswith("_"):
            continue
        name = f"{package}.{info.name}"
        if info.ispkg:
            inner = Path(folder, info.name)
            yield name, inner / "__init__.py"
            yield from _sources(name, str(inner))
        else:
            yield name, Path(folder, f"{info.name}.py")


def _read(path: Path) -> _Module:
    made = _Module()
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                made.imports[alias.asname or alias.name] = node.module, alias.name
        elif isinstance(node, ast.FunctionDef):
            for call in node.decorator_list:
                _add_decorated(made.steps, node, call)
    return made


def _add_decorated(
    steps: dict[str, ListedStep], node: ast.FunctionDef, call: ast.expr
) -> None:
    """Add the step that a decorator makes of a function, or an engine of a step."""
    if not isinstance(call, ast.Call):
        return
    match call.func:
        case ast.Name(id="run_task"):
            text = ast.get_docstring(node) or ""
            steps[node.name] = ListedStep(text.partition("\n")[0], [_engine(call)])
        case ast.Attribute(value=ast.Name(id=name), attr="engine") if name in steps:
            steps[name].engines.append(_engine(call))


def _engine(call: ast.Call) -> str:
    match call.args:
        case [ast.Constant(value=str(task)), *_]:
            scheme, colon, _ = task.partition(":")
            return scheme if colon else "iraf"
    return "python"


def _step(modules: dict[str, _Module], module: str, name: str) -> ListedStep | None:
    """Find the step that a module has under a name, defined there or imported."""
    if module not in modules:
        return None
    content = modules[module]
    if name in content.steps:
        return content.steps[name]
    return _step(modules, *content.imports[name]) if name in content.imports else None
