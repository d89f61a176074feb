"""Checks of configuration values; each returns the final value."""

import math
import os
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ndmapper.documents import can_be_name, load_json

_WORDS = {
    "true": True, "yes": True, "on": True,
    "false": False, "no": False, "off": False,
    "none": None, "null": None, "": None,
}  # fmt: skip


def word(value: Any) -> Any:
    return _WORDS.get(value.lower(), value) if isinstance(value, str) else value


def boolean(value: Any) -> bool:
    value = word(value)
    if isinstance(value, bool):
        return value
    raise ValueError("True or False")


def reprocess(value: Any) -> bool | str | None:
    value = word(value)
    if value is None or isinstance(value, bool) or value in ("error", "auto"):
        return value  # type: ignore[no-any-return]
    raise ValueError(
        "None or 'error' (an existing output is an error), True, False or 'auto'"
    )


def integer(value: Any) -> int:
    if isinstance(value, str):
        value = int(value, 0)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("an integer >= 0")


def flags(value: Any) -> int | str:
    """Check flag bits, or names of flags, whose meaning depends on the file."""
    if isinstance(value, list | tuple | set | frozenset):
        value = (
            "|".join(v if isinstance(v, str) else str(integer(v)) for v in value)
            or "NONE"
        )
    if isinstance(value, str):
        try:
            return integer(value)
        except ValueError:
            words = re.split(r"[\s|,+]+", value.strip())
        if all(re.fullmatch(r"-?[A-Za-z]\w*|\d+", word) for word in words):
            return "|".join(words).upper()
    try:
        return integer(value)
    except ValueError:
        raise ValueError("an integer >= 0, or names as in 'BAD|SATURATED'") from None


def text_or_none(value: Any) -> str | None:
    value = word(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None:
        return value
    if not isinstance(value, str):
        raise ValueError("a string or None")
    # Most strings are file names, which cannot contain control characters.
    if not can_be_name(value):
        raise ValueError("a text that can be the name of a file")
    return value


def text(value: Any) -> str:
    text = text_or_none(value)
    if text is None:
        raise ValueError("a string")
    return text


def labels(value: Any) -> str | Mapping[str, Any] | None:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = load_json(value)
    if isinstance(value, Mapping):
        known = {"data", "uncertainty", "flags", "uncertainty_is"}
        if unknown := set(value) - known:
            raise ValueError(
                f"a mapping with keys among {sorted(known)}, not {unknown}"
            )
        return MappingProxyType(dict(value))
    return text_or_none(value)


def choice(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value in choices:
            return str(value)
        raise ValueError("one of " + ", ".join(repr(c) for c in choices))

    return check


def urls(value: Any) -> Mapping[str, str]:
    """Check a mapping of archives to URLs."""
    if isinstance(value, str):
        value = load_json(value)
    expected = (
        "a mapping of names of archives to URLs, such as {'gemini': 'https://...'}"
    )
    if not isinstance(value, Mapping):
        raise ValueError(expected)
    from urllib.parse import urlsplit  # few name archives

    for url in value.values():
        try:
            parts = urlsplit(str(url))
            fits = parts.scheme in {"http", "https"} and parts.hostname
            _ = parts.port  # the port is validated on access
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(expected)
        if parts.username is not None or parts.password is not None:
            raise ValueError("URLs without user and password; see the credentials file")
    return {str(k): str(v).rstrip("/") for k, v in value.items()}


def folders(value: Any) -> tuple[str, ...]:
    """Check a list of absolute paths."""
    listed = value if isinstance(value, list | tuple) else [value]
    found = tuple(os.fspath(p) for p in listed if isinstance(p, str | os.PathLike))
    if len(found) != len(listed) or not all(
        os.path.isabs(os.path.expanduser(path))  # noqa: PTH111, PTH117
        for path in found
    ):
        raise ValueError("a list of whole paths of folders")
    return found


def seconds(value: Any) -> float:
    """Check a duration."""
    number = math.nan if isinstance(value, bool) else float(value)
    if not 0 < number < math.inf:
        raise ValueError("a number of seconds above 0")
    return number


def at_least_one(value: Any) -> int:
    """Check a positive integer."""
    if integer(value) < 1:
        raise ValueError("an integer >= 1")
    return integer(value)


def seconds_or_none(value: Any) -> float | None:
    """Check a duration, or None for no limit."""
    if word(value) is None:
        return None
    try:
        return seconds(value)
    except (TypeError, ValueError):
        raise ValueError("a number of seconds above 0, or None") from None


def workers(value: Any) -> int | str:
    """Check a number of processes, or 'all'."""
    if value == "all":
        return "all"
    try:
        return at_least_one(value)
    except ValueError:
        raise ValueError("a number from 1 on, or 'all'") from None


def cluster(value: Any) -> Any:
    """Check the address of a cluster, or a client."""
    if callable(getattr(value, "submit", None)) and hasattr(value, "scheduler"):
        return value  # a distributed.Client, recognised without importing distributed
    try:
        return text_or_none(value)
    except ValueError:
        raise ValueError("an address, a distributed.Client or None") from None
