"""Names of files that belong together: a pattern with the key of each in braces."""

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ndmapper.errors import ParameterError

__all__ = [
    "Key",
    "NamePattern",
    "field_name",
    "in_order",
    "key_text",
    "parse_pattern",
]

Key = int | str | tuple[Any, ...]
"""What tells a member of a set apart: a number, a text, or one of each field."""

_FIELD = re.compile(r"\{([A-Za-z_]\w*)(?::(0?)(\d{1,2})d)?\}", re.ASCII)
_BRACED = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class _Field:
    """A field in braces: its name, and for numbers their width, padded or not."""

    name: str
    width: int = 0
    padded: bool = False
    is_number: bool = False

    def write(self, value: Any) -> str:
        if isinstance(value, int) and self.padded:
            return f"{value:0{self.width}d}"
        return f"{value:{self.width}d}" if isinstance(value, int) else str(value)

    def read(self, text: str) -> Any:
        return int(text) if self.is_number else text


@dataclass(frozen=True)
class NamePattern:
    """
    The names of several files, with a key in braces: ``'BIAS-{ifu:02d}.fits'``.

    A field is a name, with ``:02d`` for a number of two digits; nothing else that
    Python's formats know is taken, since a pattern may come from any document.

    Parameters
    ----------
    text : str
        The pattern.

    Raises
    ------
    ParameterError
        If braces hold anything else, or there are none.
    """

    text: str

    def __post_init__(self) -> None:
        if not self._parts[1::2]:
            msg = f"{self.text!r} has no key in braces, such as {{ifu:02d}}"
            raise ParameterError(msg)

    @cached_property
    def _parts(self) -> list[Any]:
        """The text between fields, and the fields, by turns."""
        parts: list[Any] = []
        position = 0
        for match in _BRACED.finditer(self.text):
            found = _FIELD.fullmatch(match.group())
            if found is None:
                msg = (
                    f"{match.group()} in {self.text!r} is no key; a key is a name, "
                    "with :02d for a number of two digits, as in {ifu:02d}"
                )
                raise ParameterError(msg)
            name, zero, width = found.groups()
            field = _Field(name, int(width or 0), bool(zero), width is not None)
            parts += [self.text[position : match.start()], field]
            position = match.end()
        return [*parts, self.text[position:]]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, each once."""
        return tuple(dict.fromkeys(field.name for field in self._parts[1::2]))

    def __str__(self) -> str:
        return self.text

    def values(self, key: Key) -> dict[str, Any]:
        """Sort the parts of a key by field; ParameterError for another number."""
        parts = key if isinstance(key, tuple) else (key,)
        if len(parts) != len(self.fields):
            msg = f"{self.text} has the keys {', '.join(self.fields)}, not {key!r}"
            raise ParameterError(msg)
        return dict(zip(self.fields, parts, strict=True))

    def fill(self, key: Key) -> str:
        """Name the file of a key."""
        return self.fill_fields(self.values(key))

    def read(self, text: str) -> Key:
        """Read a key as `key_text` writes it; ParameterError for another number."""
        fields = {f.name: f for f in reversed(self._parts[1::2])}
        parts = text.split(", ") if len(fields) > 1 else [text]
        if len(parts) != len(fields):
            msg = f"{self.text} has the keys {', '.join(self.fields)}, not {text!r}"
            raise ParameterError(msg)
        try:
            key = tuple(
                fields[name].read(part)
                for name, part in zip(self.fields, parts, strict=True)
            )
        except ValueError as err:
            msg = f"{text!r} is no number, which {self.text} is named by"
            raise ParameterError(msg) from err
        return key if len(key) > 1 else key[0]

    def fill_fields(self, values: Mapping[str, Any]) -> str:
        """Fill in some fields; a pattern is left where there are more."""
        found = []
        for position, part in enumerate(self._parts):
            if position % 2 == 0:
                found.append(part)
            elif part.name in values:
                text = part.write(values[part.name])
                if "/" in text or "\0" in text or text in ("", ".", ".."):
                    msg = f"{values[part.name]!r} cannot be part of the name {self}"
                    raise ParameterError(msg)
                found.append(text)
            else:
                digits = f":{'0' * part.padded}{part.width}d" if part.is_number else ""
                found.append(f"{{{part.name}{digits}}}")
        return "".join(found)

    def match(self, name: str | os.PathLike[str]) -> Key | None:
        """Read the key from a name; None where it is not one of these."""
        found = self._regex.fullmatch(os.fspath(name))
        if found is None:
            return None
        fields = {f.name: f for f in reversed(self._parts[1::2])}
        key = tuple(fields[name].read(found[name]) for name in self.fields)
        if self.fill(key) != os.fspath(name):  # 7 where 07 is wanted
            return None
        return key if len(key) > 1 else key[0]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        seen: set[str] = set()
        text = ""
        for position, part in enumerate(self._parts):
            if position % 2 == 0:
                text += re.escape(part)
            elif part.name in seen:
                text += f"(?P={part.name})"
            else:
                seen.add(part.name)
                kind = r"-?\d+" if part.is_number else r"[^/]+?"
                text += f"(?P<{part.name}>{kind})"
        return re.compile(text, re.DOTALL)

    def files(self) -> Iterator[tuple[Key, str]]:
        """Find the files that there are, each with its key, in the order of keys."""
        pieces = [
            glob.escape(part) if position % 2 == 0 else "*"
            for position, part in enumerate(self._parts)
        ]
        found = {}
        for path in glob.glob("".join(pieces)):  # noqa: PTH207  (keeps names as given)
            if (key := self.match(path)) is not None:
                found[key] = path
        yield from in_order(found).items()


def in_order(members: Mapping[Key, Any]) -> dict[Key, Any]:
    """Sort members by key, numbers before texts."""

    def order(key: Key) -> list[tuple[bool, Any]]:
        parts = key if isinstance(key, tuple) else (key,)
        return [(isinstance(part, str), part) for part in parts]

    return {key: members[key] for key in sorted(members, key=order)}


def parse_pattern(text: str | os.PathLike[str]) -> NamePattern | None:
    """Parse a name that has a key in braces; None for any other, or a file's own."""
    plain = os.fspath(text)
    if "{" not in plain or os.path.lexists(plain):
        return None
    try:
        return NamePattern(plain)
    except ParameterError:
        return None


def field_name(word: str) -> str:
    """Write what a key is called, such as a header keyword, as braces can hold it."""
    return re.sub(r"\W+", "_", word) or "key"


def key_text(key: Key) -> str:
    """Word a key: ``7``, ``white`` or ``7, white``."""
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
