"""
JSON and TOML documents of unknown origin, parsed within limits of size and nesting.

A text that is too long or nested too deeply would take all memory, or the stack. So
such texts are parsed here; all that can be wrong with one is a ValueError, which the
caller turns into an error with the name of the file.
"""

import json
import math
import os
import re
from typing import Any

__all__ = [
    "DEEPEST",
    "LARGEST",
    "can_be_name",
    "canonical",
    "check_depth",
    "check_length",
    "is_file",
    "load_json",
    "load_toml",
]

DEEPEST = 100
"""How deep arrays, objects and tables may stand in each other."""

LARGEST = 32 << 20
"""Bytes or characters; no document of ours is near that."""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(value: Any) -> str:
    """Encode a value as canonical JSON: ASCII, sorted keys, no spaces, no NaN."""
    return _ENCODER.encode(value)


def load_json(text: str | bytes, *, finite: bool = False) -> Any:
    """Parse JSON; anything wrong with it, also its size or nesting, is a ValueError."""
    check_length(text)
    decoded = _decoded(text)
    try:
        value = (_FINITE if finite else _ANY).decode(decoded)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if decoded.count("{") + decoded.count("[") > DEEPEST:
        check_depth(value)
    return value


def load_toml(text: str | bytes) -> dict[str, Any]:
    """Parse TOML; anything wrong with it, also its size or nesting, is a ValueError."""
    import tomllib  # where no file is read, it is not needed

    check_length(text)
    decoded = _decoded(text)
    # Python's reader takes a time that grows with the square of the parts of a key.
    if any(len(_DOT.findall(part)) > DEEPEST for part in _BETWEEN.split(decoded)):
        raise ValueError(_TOO_DEEP)
    try:
        value = tomllib.loads(decoded)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    check_depth(value)
    return value


# What separates keys and values from others, and the dots between parts of a key.
_BETWEEN = re.compile(r"[\n,=\[\]{}#]")
_DOT = re.compile(r"""[\w"'-][ \t]*\.(?=[ \t]*[\w"'-])""")

_NESTED = (dict, list)

_TOO_DEEP = f"it is nested more than {DEEPEST} deep"


def check_depth(value: Any) -> None:
    """Refuse a value that is nested more than `DEEPEST` deep."""
    layer = [value] if isinstance(value, _NESTED) else []
    for _ in range(DEEPEST + 1):
        if not layer:
            return
        layer = [
            inner
            for item in layer
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, _NESTED)
        ]
    if layer:
        raise ValueError(_TOO_DEEP)


def check_length(text: str | bytes) -> None:
    """Refuse a text of more than `LARGEST` characters."""
    if len(text) > LARGEST:
        msg = f"it has {len(text)} characters, where {LARGEST} are the most"
        raise ValueError(msg)


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file of a name that a document gives."""
    return os.path.isfile(path)  # noqa: PTH113


def can_be_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file can have a name: without NUL, and of what can be encoded."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _decoded(text: str | bytes) -> str:
    # json guesses other encodings from bytes, where its messages are less clear.
    # A byte order mark, which some editors add, is no part of the text.
    decoded = text if isinstance(text, str) else text.decode("utf-8")
    return decoded.removeprefix("\ufeff")


def _refuse(constant: str) -> Any:
    msg = f"JSON has no {constant}"
    raise ValueError(msg)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = f"{text} is larger than any number can be"
        raise ValueError(msg)
    return value


_ANY = json.JSONDecoder()
_FINITE = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
