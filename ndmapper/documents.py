"""
JSON and TOML documents that anybody may have written, read within bounds.

What is too long or nested too deeply takes memory, or the stack, before anybody has
looked at it. So every such text is read here; all that can be wrong with it is a
ValueError, which the caller makes an error with the name of the file.
"""

import json
import math
import os
import re
import tomllib
from typing import Any

__all__ = [
    "DEEPEST",
    "LARGEST",
    "can_be_name",
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


def load_json(text: str | bytes, *, finite: bool = False) -> Any:
    """
    Read JSON.

    Parameters
    ----------
    text : str or bytes
        The document; bytes are UTF-8.
    finite : bool
        Whether NaN, infinities and numbers too large for a float are refused, which
        Python's reader takes but JSON does not have.

    Returns
    -------
    object
        What it holds.

    Raises
    ------
    ValueError
        If it is not JSON, too long, or nested too deeply.
    """
    check_length(text)
    words: dict[str, Any] = {}
    if finite:
        words = {"parse_constant": _refuse, "parse_float": _finite}
    try:
        value = json.loads(_decoded(text), **words)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    check_depth(value)
    return value


def load_toml(text: str | bytes) -> dict[str, Any]:
    """
    Read TOML.

    Parameters
    ----------
    text : str or bytes
        The document; bytes are UTF-8.

    Returns
    -------
    dict
        What it holds.

    Raises
    ------
    ValueError
        If it is not TOML, too long, or nested too deeply.
    """
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

_TOO_DEEP = f"it is nested more than {DEEPEST} deep"


def check_depth(value: Any) -> None:
    """
    Refuse a value in which containers stand in each other too deeply.

    Parameters
    ----------
    value : object
        Made of lists and dicts, as JSON and TOML are.

    Raises
    ------
    ValueError
        If it is nested more than `DEEPEST` deep.
    """
    layer = [value]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, dict):
                inner += [v for v in item.values() if isinstance(v, dict | list)]
            elif isinstance(item, list):
                inner += [v for v in item if isinstance(v, dict | list)]
        if not inner:
            return
        layer = inner
    raise ValueError(_TOO_DEEP)


def check_length(text: str | bytes) -> None:
    """
    Refuse a text that is too long.

    Parameters
    ----------
    text : str or bytes
        The text.

    Raises
    ------
    ValueError
        If it has more than `LARGEST` characters.
    """
    if len(text) > LARGEST:
        msg = f"it has {len(text)} characters, where {LARGEST} are the most"
        raise ValueError(msg)


def is_file(path: str | os.PathLike[str]) -> bool:
    """
    Say whether there is a file of a name that a document gives.

    Parameters
    ----------
    path : str or path
        Its path; anything may stand there.

    Returns
    -------
    bool
        False too for a name that no file can have, which `Path.is_file` fails at: one
        that is too long, or has a NUL.
    """
    return os.path.isfile(path)  # noqa: PTH113


def can_be_name(path: str | os.PathLike[str]) -> bool:
    """
    Say whether a file can have a name, be it there or not.

    Parameters
    ----------
    path : str or path
        The name.

    Returns
    -------
    bool
        False where the operating system need not be asked: for a NUL, or what no file
        system can encode.
    """
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
