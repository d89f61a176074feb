"""Where a function comes from: a package, which has a version, or a script."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ndmapper.steps.record.source_context import Context, step_text
from ndmapper.steps.record.source_text import essence
from ndmapper.steps.record.versions import package_version

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
    """
    Find out where a function comes from.

    Parameters
    ----------
    func : callable
        The function.

    Returns
    -------
    Origin
        Its module and version, or its source and what that refers to.
    """
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
