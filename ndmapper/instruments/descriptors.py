"""
Descriptors: the values that rules speak of, found in headers by declared recipes.

In the TOML of an instrument a descriptor is the name of a header keyword, or a table::

    { keys = ["EXPTIME", "EXPOSURE"], type = "float" }   the first that is present
    { keys = [...], map = [["zero*", "bias"]] }          ... in one spelling
    { keys = [...], fn = "word", n = 1 }                 ... passed to a function

The functions are those of `FUNCTIONS`; nothing in a TOML or a header is evaluated.
Keywords are looked for in the primary header, then in the extension's (the other way
round with ``ext = true``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ndmapper.instruments.conditions import Value, like

__all__ = ["FUNCTIONS", "Descriptor", "Header", "HeaderPair", "parse_descriptor"]


class Header(Protocol):
    """What is asked of a header: FITS headers and mappings have it."""

    def get(self, key: str, /) -> Any:
        """
        Return the value of a keyword.

        Parameters
        ----------
        key : str
            The keyword.

        Returns
        -------
        object
            Its value, or None.
        """


@dataclass(frozen=True)
class HeaderPair:
    """
    A primary header and, where there is one, that of an extension.

    Parameters
    ----------
    primary : Header
        The primary header.
    extension : Header, optional
        The header of the extension.
    extension_first : bool
        Whether a keyword of the extension wins over one of the primary header.
    """

    primary: Header
    extension: Header | None = None
    extension_first: bool = False

    def get(self, key: str) -> Value:
        """
        Return the value of the first card with a keyword.

        Parameters
        ----------
        key : str
            The keyword.

        Returns
        -------
        str, int, float, bool or None
            Text without blanks at its ends; None where the keyword is missing or
            without a value.
        """
        headers = [h for h in (self.primary, self.extension) if h is not None]
        for header in reversed(headers) if self.extension_first else headers:
            try:
                value = header.get(key)
            except Exception:  # a card that breaks the standard: astropy's VerifyError
                continue
            if isinstance(value, str):
                value = value.strip()
            # A card without a value gives an object that is none of these.
            if isinstance(value, str | int | float | bool) and value != "":
                return value
        return None


@dataclass(frozen=True)
class Descriptor:
    """
    How a value is found in headers.

    Parameters
    ----------
    keys : tuple of str
        Header keywords.
    fn : str
        Name of the function, of `FUNCTIONS`, that makes one value of theirs.
    options : mapping
        Options of the function.
    type : str or None
        str, int or float; None leaves the value as it is.
    map : tuple of (str, str)
        Patterns and what values like them become; the first that fits is used.
    extension_first : bool
        Whether keywords of the extension win.
    """

    keys: tuple[str, ...] = ()
    fn: str = "first"
    options: Mapping[str, Any] = field(default_factory=dict)
    type: str | None = None
    map: tuple[tuple[str, str], ...] = ()
    extension_first: bool = False

    def find(self, primary: Header, extension: Header | None = None) -> Value:
        """
        Find the value in headers.

        Parameters
        ----------
        primary : Header
            The primary header.
        extension : Header, optional
            Header of an extension.

        Returns
        -------
        str, int, float, bool or None
            The value; None where it is missing or not of the declared type.
        """
        pair = HeaderPair(primary, extension, self.extension_first)
        value = FUNCTIONS[self.fn](pair, self.keys, **self.options)
        for pattern, replacement in self.map:
            if like(value, pattern):
                return replacement
        if value is None or self.type is None:
            return value
        try:
            return _TYPES[self.type](value)
        except ValueError:
            return None


def _first(headers: HeaderPair, keys: tuple[str, ...]) -> Value:
    return next((v for k in keys if (v := headers.get(k)) is not None), None)


def _word(headers: HeaderPair, keys: tuple[str, ...], *, n: int) -> Value:
    words = str(_first(headers, keys) or "").split()
    return words[n] if n < len(words) else None


def _joined(headers: HeaderPair, keys: tuple[str, ...], *, drop: list[str]) -> Value:
    found = [headers.get(key) for key in keys]
    kept = [
        str(v) for v in found if v is not None and not any(like(v, p) for p in drop)
    ]
    if all(v is None for v in found):
        return None
    return "+".join(sorted(kept)) or "open"


def _above(
    headers: HeaderPair, keys: tuple[str, ...], *, limit: float, yes: str, no: str
) -> Value:
    value = _first(headers, keys)
    if not isinstance(value, int | float):
        return None
    return yes if value > limit else no


def _switched_on(
    headers: HeaderPair, keys: tuple[str, ...], *, names: list[str], on: list[str]
) -> Value:
    lit = [
        str(headers.get(name) or name)
        for key, name in zip(keys, names, strict=True)
        if any(like(headers.get(key), pattern) for pattern in on)
    ]
    return "+".join(sorted(lit)) or None


def _shape(headers: HeaderPair, keys: tuple[str, ...]) -> Value:
    sizes = [headers.get(key) for key in keys or ("NAXIS1", "NAXIS2")]
    return None if None in sizes else "x".join(str(size) for size in sizes)


def _timestamp(headers: HeaderPair, keys: tuple[str, ...]) -> Value:
    """Join a date and, where that has none, a time of day; in UT."""
    date, *others = keys
    value = headers.get(date)
    if isinstance(value, int | float):  # a modified Julian date
        moment = datetime(1858, 11, 17, tzinfo=UTC) + timedelta(days=float(value))
        return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
    text = str(value or "")
    if text and "T" not in text:
        text = f"{text}T{_first(headers, tuple(others)) or '00:00:00'}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds")


_TYPES: Mapping[str, Callable[[Any], Value]] = {
    "str": str,
    "int": lambda v: int(float(v)),
    "float": float,
}

FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "first": _first,
    "word": _word,
    "joined": _joined,
    "above": _above,
    "switched_on": _switched_on,
    "shape": _shape,
    "timestamp": _timestamp,
}
"""The functions that a TOML may name."""

_OPTIONS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "word": {"n": int},
    "joined": {"drop": list},
    "above": {"limit": (int, float), "yes": str, "no": str},
    "switched_on": {"names": list, "on": list},
}


def parse_descriptor(spec: object) -> Descriptor:
    """
    Make a descriptor of what a TOML says.

    Parameters
    ----------
    spec : object
        A keyword, or a table as in the description of this module.

    Returns
    -------
    Descriptor
        The descriptor.

    Raises
    ------
    ValueError
        Saying what was expected.
    """
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
    if not keys and fn != "shape":
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
    _check_options(fn, rest, len(keys))
    return Descriptor(
        keys=keys,
        fn=fn,
        options=rest,
        type=kind,
        map=tuple((m[0], m[1]) for m in mapped),
        extension_first=first,
    )


def _check_options(fn: str, options: Mapping[str, Any], n_keys: int) -> None:
    wanted = _OPTIONS.get(fn, {})
    if set(options) != set(wanted):
        expected = ", ".join(wanted) or "none"
        msg = f"expected the options of {fn} ({expected}), found {sorted(options)}"
        raise ValueError(msg)
    for name, kind in wanted.items():
        if not isinstance(options[name], kind):
            msg = f"{name} has the wrong type: found {options[name]!r}"
            raise ValueError(msg)
        if isinstance(options[name], list):
            _texts(options[name], name)
    if fn == "switched_on" and len(options["names"]) != n_keys:
        msg = f"expected as many names as keys ({n_keys})"
        raise ValueError(msg)


def _texts(value: object, name: str) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    msg = f"expected {name} to be a list of texts, found {value!r}"
    raise ValueError(msg)
