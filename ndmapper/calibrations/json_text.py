"""
Parse JSON with error messages that give the JSON path and line.

The standard parser is fast, but knows neither paths nor lines of values and silently
accepts duplicate keys. It is used first; the slow parser here runs only to report an
error.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from ndmapper.documents import check_depth, check_length

__all__ = ["JsonError", "JsonPath", "line_of", "parse_json", "show_path"]

JsonPath = tuple[str | int, ...]
"""Keys and indices that lead to a value."""

_DEPTH = 100
_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(
    r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true\b|false\b|null\b", re.ASCII
)


class JsonError(Exception):
    """Invalid JSON, with the path and line of the problem."""

    def __init__(self, path: JsonPath, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


def show_path(path: JsonPath) -> str:
    """Format a JSON path as in Python: ``a["b"][0]``."""
    if not path:
        return "the top"
    first, *rest = path
    return str(first) + "".join(f"[{json.dumps(part)}]" for part in rest)


def parse_json(text: str) -> Any:
    """
    Parse a JSON text; raises JsonError.

    Duplicate keys, NaN, Infinity and deep nesting are errors as well.
    """
    try:
        check_length(text)
    except ValueError as err:
        raise JsonError((), str(err)) from None
    try:
        value = json.loads(
            text, object_pairs_hook=_without_doubles, parse_constant=_refuse
        )
        check_depth(value)
    except (ValueError, RecursionError):
        return _Reader(text).read()
    return value


def line_of(text: str, path: JsonPath) -> int | None:
    """Return the line number of a value in a JSON text."""
    reader = _Reader(text)
    try:
        reader.read()
    except JsonError:
        return None
    while path and path not in reader.lines:
        path = path[:-1]
    return reader.lines.get(path)


def _without_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(key)
        found[key] = value
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


class _Reader:
    """A JSON parser that knows the path and line of every value."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[JsonPath, int] = {}
        self._counted = 0
        self._line = 1

    def read(self) -> Any:
        value = self.value(())
        self.skip()
        if self.at != len(self.text):
            raise self.problem((), f"nothing more was expected, found {self.here()}")
        return value

    def value(self, path: JsonPath) -> Any:
        self.skip()
        self.lines[path] = self.line()
        if len(path) > _DEPTH:
            raise self.problem(path[:3], f"nested more than {_DEPTH} deep")
        character = self.text[self.at : self.at + 1]
        if character == "{":
            return self.object(path)
        if character == "[":
            return self.array(path)
        if character == '"':
            return self.string(path)
        match = _SCALAR.match(self.text, self.at)
        if match is None:
            raise self.problem(path, f"a value was expected, found {self.here()}")
        self.at = match.end()
        try:
            return json.loads(match.group())
        except ValueError as err:  # an integer with too many digits
            raise self.problem(path, f"this number is not read: {err}") from err

    def object(self, path: JsonPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self.at += 1
        while not self.end_of("}", path, first=not found):
            self.skip()
            if not self.text.startswith('"', self.at):
                expected = f'a key in "..." was expected, found {self.here()}'
                raise self.problem(path, expected)
            key = self.string(path)
            if key in found:
                raise self.problem((*path, key), "this key is there twice")
            self.skip()
            if not self.text.startswith(":", self.at):
                expected = f"a colon was expected, found {self.here()}"
                raise self.problem((*path, key), expected)
            self.at += 1
            found[key] = self.value((*path, key))
        return found

    def array(self, path: JsonPath) -> list[Any]:
        found: list[Any] = []
        self.at += 1
        while not self.end_of("]", path, first=not found):
            found.append(self.value((*path, len(found))))
        return found

    def end_of(self, bracket: str, path: JsonPath, *, first: bool) -> bool:
        """Skip the closing bracket (True) or a comma (False)."""
        self.skip()
        if self.text.startswith(bracket, self.at):
            self.at += 1
            return True
        if first:
            return False
        if not self.text.startswith(",", self.at):
            expected = f"a comma or {bracket} was expected, found {self.here()}"
            raise self.problem(path, expected)
        self.at += 1
        self.skip()
        if self.text.startswith(bracket, self.at):
            raise self.problem(path, f"the comma before {bracket} is one too many")
        return False

    def string(self, path: JsonPath) -> str:
        try:
            value, self.at = _DECODER.raw_decode(self.text, self.at)
        except json.JSONDecodeError as err:
            raise self.problem(path, f"a text is wrong: {err.msg}") from err
        return str(value)

    def skip(self) -> None:
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def here(self) -> str:
        rest = self.text[self.at : self.at + 12].split("\n")[0]
        return repr(rest) if rest else "the end of the line or file"

    def line(self) -> int:
        # Count newlines incrementally, since the position only grows.
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def problem(self, path: JsonPath, message: str) -> JsonError:
        return JsonError(path, message, self.line())
