"""Arithmetic of whole files: of two, or of one with many."""

from typing import Any

import numpy as np
from astropy.nddata import NDData

from ndmapper.data.array import LazyArray, Ownership
from ndmapper.data.datafile import DataFile
from ndmapper.data.image import mask_of_array
from ndmapper.data.ndlater import NDLater
from ndmapper.data.operators import Operators

__all__ = ["combined", "shared_operand"]

_METHODS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "power": "pow",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
}
"""Special methods of the operations, less their underscores."""


def combined(name: str, left: Any, right: Any) -> Any:
    """Combine two operands, of which one is a file or a set of files."""
    if name == "invert":
        return ~left
    made = NotImplemented
    if isinstance(left, Operators):
        made = getattr(left, f"__{_METHODS[name]}__")(right)
    if made is NotImplemented:
        made = getattr(right, f"__r{_METHODS[name]}__")(left)
    return made


def shared_operand(value: Any) -> Any:
    """Freeze the operand that is applied to every file, so that it is loaded once."""
    if isinstance(value, DataFile):
        fixed = value.copy()
        for ndd, original in zip(fixed, value, strict=True):
            _fix(ndd, original)
        return fixed
    if isinstance(value, NDLater):
        fixed = value.copy()
        _fix(fixed, value)
        return fixed
    if isinstance(value, NDData) or mask_of_array(value) is not None:
        return shared_operand(NDLater(value))
    if isinstance(value, np.ndarray):
        own = value.copy()
        own.flags.writeable = False
        return own
    return value


def _fix(ndd: NDLater, original: NDLater) -> None:
    for name, part in original.content.arrays.items():
        array = part.read_only().copy() if part.is_loaded else None
        ndd.content.arrays[name] = LazyArray(
            part.handle, array, header=part.header,
            ownership=Ownership.IMMUTABLE, deferred=part.deferred,
        ).registered()  # fmt: skip
