"""Where a function comes from: a package, which has a version, or a script."""

import ast
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from ndmapper._version import __version__

__all__ = ["Origin", "origin_of"]


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
        Its text, if it lives in a script and the text is known.
    """

    module: str | None
    tool: dict[str, str | None]
    source: str | None

    @property
    def code(self) -> str | None:
        """Digest of what the source does: comments and layout do not count."""
        if self.source is None:
            return None
        try:
            tree = ast.parse(textwrap.dedent(self.source))
        except SyntaxError:  # a lambda in the middle of a call
            text = self.source
        else:
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    _strip(node)
            text = ast.dump(tree)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _strip(node: ast.FunctionDef) -> None:
    """Leave out the docstring, and the decorator, which the entry tells by itself."""
    node.decorator_list = []
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]


def origin_of(func: Callable[..., Any]) -> Origin:
    """
    Find out where a function comes from.

    Parameters
    ----------
    func : callable
        The function.

    Returns
    -------
    Origin
        Its module and version, or its source.
    """
    module = getattr(func, "__module__", None) or "__main__"
    package = module.partition(".")[0]
    version = None if package == "__main__" else _version(package)
    if version is not None:
        return Origin(
            module=module, tool={"name": package, "version": version}, source=None
        )
    try:
        source = inspect.getsource(func)
    except (OSError, TypeError):
        source = None  # typed at a prompt; nothing has kept the text
    return Origin(module=None, tool={"name": "script", "version": None}, source=source)


@cache
def _version(package: str) -> str | None:
    if package == "ndmapper":
        return __version__
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        version = getattr(sys.modules.get(package), "__version__", None)
        return None if version is None else str(version)
