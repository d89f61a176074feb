"""What tells the members of a set apart: the part of an instrument that each is of."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["MemberKey", "parse_member_key"]


class _Header(Protocol):
    """Anything that gives the value of a keyword."""

    def get(self, key: str, /) -> Any: ...


_TYPES = {"int": int, "str": str}


@dataclass(frozen=True)
class MemberKey:
    r"""
    How the key of a member of a set is found in headers.

    In the TOML of an instrument it is a table of its name::

        [members.ifu]
        keys = ["EXTNAME"]          header keywords, the first that has it
        pattern = 'CHAN(\d\d)'        what of the value is the key; by default all
        type = "int"                int or str (the default)
        parameter = "nifu"          of tools that are told which one to work on
        in_name = '-(\d\d)\.fits'   where the name tells it, if no header does
        part = false                of names only; files are no parts of one thing
    """

    keys: tuple[str, ...]
    pattern: str | None = None
    type: str = "str"
    parameter: str | None = None
    in_name: str | None = None
    is_part: bool = True

    def find(self, header: _Header) -> int | str | None:
        """Find the key that a header gives; None where it gives none."""
        for keyword in self.keys:
            value = header.get(keyword)
            if value is None or isinstance(value, bool):
                continue
            text = str(value).strip()
            if self.pattern is not None:
                found = re.match(self.pattern, text)
                if found is None:
                    continue
                text = found[1]
            if (key := self._typed(text)) is not None:
                return key
        return None

    def find_in_name(self, name: str) -> int | str | None:
        """Find the key in the name of a file, where names tell it."""
        found = None if self.in_name is None else re.search(self.in_name, name)
        return None if found is None else self._typed(found[1])

    def _typed(self, text: str) -> int | str | None:
        try:
            return int(text) if self.type == "int" else text or None
        except ValueError:
            return None

    def find_all(self, headers: Iterable[_Header]) -> list[int | str]:
        """List the keys that the headers of a file give, each once, in their order."""
        found = (self.find(header) for header in headers)
        return list(dict.fromkeys(key for key in found if key is not None))


def parse_member_key(spec: object) -> MemberKey:
    """Parse the description of a key in a TOML."""
    known = {"keys", "pattern", "type", "parameter", "in_name", "part"}
    if not isinstance(spec, dict) or not spec.get("keys") or set(spec) - known:
        words = "keys, pattern, type, parameter, in_name, part"
        msg = f"expected a table with {words}, found {spec!r}"
        raise ValueError(msg)
    keys = [spec["keys"]] if isinstance(spec["keys"], str) else spec["keys"]
    if not isinstance(keys, list) or not all(isinstance(k, str) and k for k in keys):
        msg = f"expected keys, a list of header keywords, found {spec['keys']!r}"
        raise ValueError(msg)
    kind = spec.get("type", "str")
    if kind not in _TYPES:
        msg = f"expected type to be one of {', '.join(_TYPES)}, found {kind!r}"
        raise ValueError(msg)
    for word in ("pattern", "parameter", "in_name"):
        if not isinstance(spec.get(word), str | None):
            msg = f"expected {word} to be a text, found {spec[word]!r}"
            raise ValueError(msg)
    if not isinstance(spec.get("part", True), bool):
        msg = f"expected part to be true or false, found {spec['part']!r}"
        raise ValueError(msg)
    for word in ("pattern", "in_name"):
        _check_pattern(word, spec.get(word))
    return MemberKey(
        tuple(keys),
        spec.get("pattern"),
        kind,
        spec.get("parameter"),
        spec.get("in_name"),
        spec.get("part", True),
    )


def _check_pattern(word: str, pattern: str | None) -> None:
    try:
        groups = re.compile(pattern).groups if pattern is not None else 1
    except re.error as err:
        msg = f"{word} is not a regular expression: {err}"
        raise ValueError(msg) from err
    if groups != 1:
        msg = f"expected a {word} with the key in parentheses, found {pattern!r}"
        raise ValueError(msg)
