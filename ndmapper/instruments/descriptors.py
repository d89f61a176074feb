"""
Descriptors: the values that rules use, found in headers as the TOML declares.

In the TOML of an instrument a descriptor is the name of a header keyword, or a table::

    { keys = ["EXPTIME", "EXPOSURE"], type = "float" }   the first that is present
    { keys = [...], map = [["zero*", "bias"]] }          ... in one spelling
    { keys = [...], fn = "word", n = 1 }                 ... passed to a function

The functions are those of `ndmapper.instruments.functions`; nothing in a TOML or a
header is evaluated.
Keywords are looked for in the primary header, then in that of the extension (in reverse
order with ``ext = true``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ndmapper.instruments.conditions import Value, like
from ndmapper.instruments.functions import FUNCTIONS, Header, HeaderPair, parse_cases
from ndmapper.instruments.options import check_options

__all__ = ["Descriptor", "parse_descriptor"]


@dataclass(frozen=True)
class Descriptor:
    """How a value is found in headers."""

    keys: tuple[str, ...] = ()  # header keywords
    # Name of the function, of `FUNCTIONS`, that makes one value of theirs.
    fn: str = "first"
    options: Mapping[str, Any] = field(default_factory=dict)  # options of the function
    type: str | None = None  # str, int or float; None leaves the value as it is
    # Patterns and what values like them become; the first that fits is used.
    map: tuple[tuple[str, str], ...] = ()
    extension_first: bool = False  # whether keywords of the extension win

    @property
    def needs_all(self) -> bool:
        """Whether it looks at the headers of all images of a file."""
        return self.fn == "regions" or bool(self.options.get("majority"))

    def find(self, primary: Header, extension: Header | None = None) -> Value:
        """Find the value in two headers."""
        return self.find_in(HeaderPair(primary, extension))

    def find_in(self, headers: HeaderPair) -> Value:
        """Find the value in the headers of a file."""
        if self.extension_first != headers.extension_first:
            headers = headers.turned(self.extension_first)
        value = FUNCTIONS[self.fn](headers, self.keys, **self.options)
        for pattern, replacement in self.map:
            if like(value, pattern):
                return replacement
        if value is None or self.type is None:
            return value
        if isinstance(value, bool) and self.type != "str":
            return None  # T is no number, as Python would have it
        try:
            return _TYPES[self.type](value)
        except ValueError:
            return None


_TYPES: Mapping[str, Callable[[Any], Value]] = {
    "str": str,
    "int": lambda v: int(float(v)),
    "float": float,
}


def parse_descriptor(spec: object) -> Descriptor:
    """Parse a descriptor of a TOML."""
    if isinstance(spec, str) and spec:
        return Descriptor(keys=(spec,))
    if not isinstance(spec, dict):
        msg = f"expected a keyword or a table with keys, found {spec!r}"
        raise ValueError(msg)
    rest = dict(spec)
    fn = rest.pop("fn", "first")
    if not isinstance(fn, str) or fn not in FUNCTIONS:
        msg = f"expected fn to be one of {', '.join(FUNCTIONS)}, found {fn!r}"
        raise ValueError(msg)
    keys = _texts(rest.pop("keys", []), "keys")
    if not keys and fn not in {"shape", "cases", "in_name"}:
        msg = "expected keys, a list of header keywords"
        raise ValueError(msg)
    kind = rest.pop("type", None)
    if kind is not None and kind not in _TYPES:
        msg = f"expected type to be one of {', '.join(_TYPES)}, found {kind!r}"
        raise ValueError(msg)
    mapped = rest.pop("map", [])
    if not isinstance(mapped, list) or any(len(_texts(m, "map")) != 2 for m in mapped):
        msg = f"expected map to be a list of [pattern, value], found {mapped!r}"
        raise ValueError(msg)
    first = rest.pop("ext", False)
    if not isinstance(first, bool):
        msg = f"expected ext to be true or false, found {first!r}"
        raise ValueError(msg)
    check_options(fn, rest, len(keys))
    if fn == "cases":
        rest["cases"] = parse_cases(rest["cases"])
    return Descriptor(
        keys=keys,
        fn=fn,
        options=rest,
        type=kind,
        map=tuple((m[0], m[1]) for m in mapped),
        extension_first=first,
    )


def _texts(value: object, name: str) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    msg = f"expected {name} to be a list of texts, found {value!r}"
    raise ValueError(msg)
