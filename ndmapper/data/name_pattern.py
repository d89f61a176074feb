"""Names of files that belong together: a pattern with the key of each in braces."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from numbers import Integral
from typing import Any

from ndmapper.errors import ParameterError

__all__ = [
    "Key",
    "NamePattern",
    "checked_key",
    "field_name",
    "find_key",
    "in_order",
    "key_text",
    "key_words",
    "keys_text",
    "name_pattern",
    "parse_pattern",
    "without_key",
]

Key = int | str | tuple[Any, ...]
"""What tells a member of a set apart: a number, a text, or one of each field."""

_FIELD = re.compile(r"\{([A-Za-z_]\w*)(?::(?:0(\d{1,2}))?(d))?\}", re.ASCII)
_BRACED = re.compile(r"\{([^{}]*)\}")
_MOST = 3
"""Largest number of fields; with five, to match one long name takes half a minute."""


@dataclass(frozen=True)
class _Field:
    """A field in braces; a number is written with at least so many digits."""

    name: str
    digits: int
    is_number: bool

    def __str__(self) -> str:
        width = f"0{self.digits}" if self.digits else ""
        return f"{{{self.name}:{width}d}}" if self.is_number else f"{{{self.name}}}"

    def write(self, value: Any) -> str:
        # The text '7' is written as the number 7 is, for both are the same key.
        if self.is_number and re.fullmatch(r"0|-?[1-9]\d*", str(value), re.ASCII):
            return f"{int(value):0{self.digits or 1}d}"
        return str(value)

    def read(self, text: str) -> Any:
        return int(text) if self.is_number else text


@dataclass(frozen=True)
class NamePattern:
    """
    The names of several files, with a key in braces: ``'BIAS-{ifu:02d}.fits'``.

    A field is a name, with ``:02d`` for a number of two digits or ``:d`` for any
    number; nothing else that Python's formats know is taken, since a pattern may come
    from any document.

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
        if not self.fields:
            msg = f"{self.text!r} has no key in braces, such as {{ifu:02d}}"
            raise ParameterError(msg)
        if len(self._parts) // 2 > _MOST:
            msg = f"{self.text!r} has more than {_MOST} keys in braces"
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
            name, digits, number = found.groups()
            field = _Field(name, int(digits or 0), number is not None)
            parts += [self.text[position : match.start()], field]
            position = match.end()
        return [*parts, self.text[position:]]

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, each once."""
        return tuple(dict.fromkeys(field.name for field in self._parts[1::2]))

    def __str__(self) -> str:
        return self.text

    def in_braces(self, field: str) -> str:
        """Give a field as it stands in the pattern: ``{ifu:02d}``."""
        return str(self._field(field))

    def values(self, key: Key) -> dict[str, Any]:
        """Sort the parts of a key by field; ParameterError for another number."""
        parts = key if isinstance(key, tuple) else (key,)
        if len(parts) != len(self.fields):
            msg = self._wrong_number(key_text(key))
            raise ParameterError(msg)
        return dict(zip(self.fields, parts, strict=True))

    def _wrong_number(self, key: str) -> str:
        parts = "a part" if len(self.fields) == 1 else f"{len(self.fields)} parts"
        names = ", ".join(self.fields)
        return f"a key of {self.text} has {parts} ({names}), which {key} has not"

    def fill(self, key: Key) -> str:
        """Name the file of a key; ParameterError if another would be read from it."""
        key = checked_key(key)
        name = self.fill_fields(self.values(key))
        found = self._read(name)
        if found is None or key_words(found) != key_words(key):
            says = "none" if found is None else repr(found)
            msg = (
                f"the key {key!r} cannot be written as {self}: read back from {name} "
                f"it is {says}; a number is {{x:02d}} or {{x:d}}, a text {{x}}"
            )
            raise ParameterError(msg)
        return name

    def read(self, text: str) -> Key:
        """Read a key as `key_text` writes it; ParameterError for another number."""
        fields = {f.name: f for f in reversed(self._parts[1::2])}
        parts = text.split(", ") if len(fields) > 1 else [text]
        if len(parts) != len(fields):
            msg = self._wrong_number(text)
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
        is_whole = all(field in values for field in self.fields)
        found = []
        for position, part in enumerate(self._parts):
            if position % 2 == 0 or part.name not in values:
                found.append(str(part))
                continue
            text = part.write(values[part.name])
            bad = "/\0" if is_whole else "/\0{}"  # braces would make another field
            is_hidden = text[:1] == "." and "".join(found)[-1:] in ("", "/")
            is_empty = text in ("", ".", "..")
            if is_empty or is_hidden or any(char in text for char in bad):
                msg = f"{values[part.name]!r} cannot be part of the name {self}"
                raise ParameterError(msg)
            found.append(text)
        return "".join(found)

    def match(self, name: str | os.PathLike[str]) -> Key | None:
        """Read the key from a name; None where it is not one of these."""
        key = self._read(os.fspath(name))
        # 7 where 07 is wanted is another name.
        is_same = key is not None and self._written(key) == os.fspath(name)
        return key if is_same else None

    def _read(self, name: str) -> Key | None:
        found = self._regex.fullmatch(name)
        if found is None:
            return None
        key = tuple(self._field(n).read(found[n]) for n in self.fields)
        return key if len(key) > 1 else key[0]

    def _written(self, key: Key) -> str | None:
        try:
            return self.fill_fields(self.values(key))
        except ParameterError:
            return None

    def _field(self, name: str) -> _Field:
        """Find how a field is read: where it stands first."""
        found: _Field = next(f for f in self._parts[1::2] if f.name == name)
        return found

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        seen: set[_Field] = set()
        text = ""
        for position, part in enumerate(self._parts):
            if position % 2 == 0:
                text += re.escape(part)
                continue
            kind = r"-?\d{1,18}" if part.is_number else r"[^/]+?"
            if part != self._field(part.name):
                text += kind  # the same number with fewer zeros, say
            elif part in seen:
                text += f"(?P={part.name})"
            else:
                text += f"(?P<{part.name}>{kind})"
            seen.add(part)
        return re.compile(text, re.DOTALL | re.ASCII)

    def files(self) -> Iterator[tuple[Key, str]]:
        """Find the files that there are, each with its key, in the order of keys."""
        pieces = [
            glob.escape(part) if position % 2 == 0 else "*"
            for position, part in enumerate(self._parts)
        ]
        # Which gives no name with two slashes.
        plain = NamePattern(re.sub("(?<=.)/+", "/", self.text))
        found = {}
        for path in glob.glob("".join(pieces)):  # noqa: PTH207  (keeps names as given)
            key = plain.match(re.sub("(?<=.)/+", "/", path))
            if key is not None and os.path.isfile(path):  # noqa: PTH113
                found[key] = self.fill(key)
        yield from in_order(found).items()


@lru_cache(maxsize=256)
def name_pattern(text: str) -> NamePattern:
    """Parse a pattern; those of the sets of a script are asked for again and again."""
    return NamePattern(text)


def parse_pattern(text: str | os.PathLike[str]) -> NamePattern | None:
    """Parse a name that has a key in braces; None for any other, or a file's own."""
    plain = os.fspath(text)
    if "{" not in plain or os.path.lexists(plain):
        return None
    try:
        return NamePattern(plain)
    except ParameterError:
        return None


def checked_key(value: Any) -> Key:
    """Return a key as it is kept; ParameterError for what is none."""
    if isinstance(value, tuple | list) and len(value) > 1:
        return tuple(_checked_part(part, value) for part in value)
    alone = isinstance(value, tuple | list) and len(value) == 1
    return _checked_part(value[0] if alone else value, value)


def find_key(keys: Iterable[Key], wanted: Any) -> Key | None:
    """Find a key among others, where a number may be written as a text."""
    try:
        known = key_words(checked_key(wanted))
    except ParameterError:
        return None
    same = [key for key in keys if key_words(key) == known]
    if wanted in same:
        return same[same.index(wanted)]
    return same[0] if same else None


def key_words(key: Key) -> tuple[str, ...]:
    """Give the parts of a key as texts: keys of the same words are the same key."""
    return tuple(map(str, key)) if isinstance(key, tuple) else (str(key),)


def _checked_part(part: Any, key: Any) -> int | str:
    if isinstance(part, Integral) and part is not True and part is not False:
        return int(part)
    if isinstance(part, str) and part:
        return str(part)
    msg = f"a key is a number or a text, or a tuple of these, not {key!r}"
    raise ParameterError(msg)


def in_order(members: Mapping[Key, Any]) -> dict[Key, Any]:
    """Sort members by key, numbers before texts."""

    def order(key: Key) -> list[tuple[bool, Any]]:
        parts = key if isinstance(key, tuple) else (key,)
        return [(isinstance(part, str), part) for part in parts]

    return {key: members[key] for key in sorted(members, key=order)}


def field_name(word: str) -> str:
    """Write what a key is called, such as a header keyword, as braces can hold it."""
    return re.sub(r"\W+", "_", word) or "key"


def without_key(name: str) -> str:
    """Take keys, with the dash before each, off a name: M.fits of ``M-{ifu}.fits``."""
    return re.sub(r"[-_.]?\{[^{}]*\}", "", name)


def key_text(key: Key) -> str:
    """Word a key: ``7``, ``white`` or ``7, white``."""
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def keys_text(keys: Iterable[Key], most: int = 6) -> str:
    """Word keys, so many at most: ``1-3, 7``, ``(7, V), (8, V)``, or ``none``."""
    runs: list[list[Any]] = []
    for key in in_order(dict.fromkeys(keys)):
        if runs and isinstance(key, int) and runs[-1][-1] == key - 1:
            runs[-1].append(key)
        else:
            runs.append([key])
    texts = []
    for run in runs:
        text = key_text(run[0])
        text = f"({text})" if isinstance(run[0], tuple) else text
        texts.append(text if len(run) == 1 else f"{text}-{run[-1]}")
    if len(texts) > most:
        texts = [*texts[: most - 2], "...", texts[-1]]
    return ", ".join(texts) or "none"
