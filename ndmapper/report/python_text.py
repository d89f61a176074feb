"""Generate Python source: calls, values, comments."""

import keyword
import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Code", "call_text", "comment", "is_name"]

_WIDTH = 88


class Code(str):
    """Source text of an expression."""

    __slots__ = ()


def is_name(text: Any) -> bool:
    """Whether a text is a valid Python name, possibly dotted."""
    return isinstance(text, str) and all(
        part.isidentifier() and not keyword.iskeyword(part) for part in text.split(".")
    )


def comment(text: str) -> str:
    """Escape text for a comment."""
    return "".join(c if c.isprintable() else "?" for c in text)


def call_text(name: str, first: Sequence[Any], words: Mapping[str, Any]) -> str:
    """Write a call."""
    items: list[tuple[str, Any]] = [("", value) for value in first]
    items += [(f"{word}=", value) for word, value in words.items() if is_name(word)]
    odd = {word: value for word, value in words.items() if not is_name(word)}
    if odd:
        items.append(("**", odd))
    line = f"{name}({', '.join(prefix + _flat(value) for prefix, value in items)})"
    if len(line) <= _WIDTH:
        return line
    lines = [f"    {prefix}{_tall(value, 4, len(prefix))}," for prefix, value in items]
    return "\n".join([f"{name}(", *lines, ")"])


def _flat(value: Any) -> str:
    """Write a value on one line."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k!r}: {_flat(v)}' for k, v in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_flat, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return repr(value)


def _tall(value: Any, indent: int, used: int) -> str:
    """Write a value, on several lines if it is too long for one."""
    line = _flat(value)
    room = _WIDTH - indent - used - 1
    if len(line) <= room or isinstance(value, Code) or not value:
        return line
    inner = " " * (indent + 4)
    if isinstance(value, Mapping):
        parts = [
            f"{key!r}: {_tall(item, indent + 4, len(repr(key)) + 2)}"
            for key, item in value.items()
        ]
        ends = "{}"
    elif isinstance(value, (list, tuple)):
        parts = [_tall(item, indent + 4, 0) for item in value]
        ends = "[]"
    else:
        return line
    body = "".join(f"{inner}{part},\n" for part in parts)
    return f"{ends[0]}\n{body}{' ' * indent}{ends[1]}"
