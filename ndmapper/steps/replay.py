"""What a script needs to call a step again, besides what the entry says."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.record.source_context import Context
from ndmapper.steps.record.values import recordable

__all__ = ["script_block"]


def script_block(
    declaration: Declaration, context: Context, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Collect what a script needs to call a step of pure Python again.

    Parameters
    ----------
    declaration : Declaration
        The step.
    context : Context
        What its source refers to; what values of parameters need is added.
    parameters : mapping
        The values of its parameters.

    Returns
    -------
    dict
        The ``script`` of an entry.
    """
    exact: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, (Path, DataFile)):  # they are among the references
            if isinstance(value, DataFile):
                exact[name] = "DataFile"
            continue
        recorded = repr(recordable(value, name))
        text = context.express(value)
        if text is None:
            kind = type(value).__name__
            missing[name] = f"its value is a {kind}, which no short text can give"
        elif text != recorded:
            exact[name] = text
    block: dict[str, Any] = {
        "each": declaration.each,
        "outputs": list(declaration.outputs),
    }
    if declaration.func is not None:
        block["wrapped"] = _is_wrapped(declaration.func)
    if context.items:
        block["context"] = [list(item) for item in context.items.items()]
    if context.files:
        block["files"] = list(context.files)
    if exact:
        block["parameters"] = exact
    if missing | context.missing:
        block["missing"] = missing | context.missing
    return block


def _is_wrapped(func: Callable[..., Any]) -> bool:
    """Tell a plain function of a module, which a script made a step of, from a step."""
    module = sys.modules.get(getattr(func, "__module__", None) or "")
    return getattr(module, getattr(func, "__name__", ""), None) is func
