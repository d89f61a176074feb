"""Values as Python expressions that give them back exactly."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units

__all__ = ["Expression", "expression"]

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
