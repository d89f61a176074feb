"""Values of parameters as JSON, for the record."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units

from ndmapper.data import DataFile, FileName
from ndmapper.errors import ParameterError
from ndmapper.steps.record.origin import origin_of

__all__ = ["recordable"]

_MAX_LISTED = 64
"""Arrays of more values than this are recorded by their digest."""


def recordable(value: Any, where: str) -> Any:  # noqa: PLR0912  # a chain of types
    """
    Serialise the value of a parameter for the record.

    Raises
    ------
    ParameterError
        If the value cannot be recorded.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not np.isfinite(value):
            return str(value)
        # JSON has one kind of numbers; 5 and 5.0 are the same parameter.
        return int(value) if value.is_integer() else value
    if isinstance(value, units.Quantity):
        return {"value": recordable(value.value, where), "unit": value.unit.to_string()}
    if isinstance(value, (units.UnitBase, np.dtype)):
        return str(value)
    if isinstance(value, complex):
        return str(value)
    if isinstance(value, np.generic):
        plain = value.item()
        # Long floating point numbers stay what they are.
        return recordable(str(plain) if isinstance(plain, np.generic) else plain, where)
    if isinstance(value, np.ndarray):
        if value.size <= _MAX_LISTED or value.dtype.hasobject:
            return recordable(value.tolist(), where)
        return _digested(value)
    if isinstance(value, (Path, FileName, DataFile)):
        return Path(value).name
    if isinstance(value, Mapping):
        return {str(k): recordable(v, where) for k, v in value.items()}
    if isinstance(value, (Sequence, set, frozenset)):
        if not isinstance(value, (set, frozenset)):
            return [recordable(v, where) for v in value]
        items = [recordable(v, where) for v in value]
        try:
            return sorted(items)
        except TypeError:  # of several types
            return sorted(items, key=json.dumps)
    if isinstance(value, slice):
        return f"{value.start}:{value.stop}:{value.step}"
    if callable(value) and hasattr(value, "__qualname__"):
        name, origin = f"{value.__module__}:{value.__qualname__}", origin_of(value)
        return name if origin.module else {"function": name, "code": origin.code}
    if hasattr(value, "value") and hasattr(type(value), "__members__"):  # an Enum
        return recordable(value.value, where)
    msg = (
        f"{where} is a {type(value).__name__}, which a record cannot hold; pass "
        "numbers, strings, lists, mappings, arrays, quantities or paths"
    )
    raise ParameterError(msg)


def _digested(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Record shape, type and digest of a large array, and of its mask."""
    found: dict[str, Any] = {"shape": list(array.shape), "dtype": array.dtype.str}
    parts = {"digest": np.asarray(array)}
    if isinstance(array, np.ma.MaskedArray) and array.mask is not np.ma.nomask:
        parts = {"digest": array.filled(), "mask": np.asarray(array.mask)}
    for name, part in parts.items():
        content = hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()
        found[name] = f"sha256:{content}"
    return found
