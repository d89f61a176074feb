"""Typed access to the TOML of an instrument, with errors that name the key."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ndmapper.errors import InstrumentError, did_you_mean
from ndmapper.instruments.conditions import Condition, parse_condition

__all__ = ["Checker"]


class Checker:
    """The TOML of one instrument; a wrong key is an InstrumentError that names it."""

    def __init__(self, document: Mapping[str, Any], name: str, source: str) -> None:
        self.document = document
        self.name = name
        self.source = source

    def error(self, key: str, problem: str) -> InstrumentError:
        """Make the error for a wrong key."""
        msg = f"the instrument file {self.source} is wrong at {key}: {problem}"
        return InstrumentError(msg)

    def where(
        self,
        key: str,
        given: Mapping[str, Any],
        known: Iterable[str],
        word: str = "where",
    ) -> dict[str, tuple[Condition, ...]]:
        """Parse conditions on descriptors."""
        where = given.get(word, {})
        if not isinstance(where, dict):
            raise self.error(key, f"expected a table of conditions, found {where!r}")
        self.names(key, list(where), known)
        return {
            name: self.attempt(f"{key}.{name}", parse_condition, spec)
            for name, spec in where.items()
        }

    def attempt(self, key: str, parse: Callable[[Any], Any], spec: object) -> Any:
        """Parse a value; an error names the key."""
        try:
            return parse(spec)
        except ValueError as err:
            raise self.error(key, str(err)) from err

    def known(self, key: str, found: Mapping[str, Any], known: set[str]) -> None:
        """Refuse unknown keys."""
        for name in found:
            if name not in known:
                raise self.error(
                    key, f"there is no key {name!r}{did_you_mean(name, known)}"
                )

    def table(self, key: str) -> dict[str, Any]:
        """Return a table at the top level."""
        value = self.document.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"expected a table, found {value!r}")
        return value

    def tables(self, key: str, known: set[str]) -> list[dict[str, Any]]:
        """Return an array of tables at the top level."""
        value = self.document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.error(key, f"expected tables, [[{key}]], found {value!r}")
        for i, found in enumerate(value):
            self.known(f"{key}[{i}]", found, known)
        return value

    def text(self, key: str, table: Mapping[str, Any], path: str = "") -> str | None:
        """Return an optional string."""
        value = table.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.error(path or key, f"expected a text, found {value!r}")

    def required(self, path: str, table: Mapping[str, Any], key: str) -> str:
        """Return a required string."""
        value = self.text(key, table, path)
        if not value:
            raise self.error(path, "expected a text, found nothing")
        return value

    def texts(self, key: str, value: object) -> tuple[str, ...]:
        """Return a string, or a list of them."""
        given = [value] if isinstance(value, str) else value
        if isinstance(given, list) and all(isinstance(v, str) for v in given):
            return tuple(given)
        raise self.error(key, f"expected a text or a list of texts, found {value!r}")

    def names(self, key: str, value: object, known: Iterable[str]) -> tuple[str, ...]:
        """Return a descriptor, or a list of them."""
        found = self.texts(key, value)
        for name in found:
            if name not in known:
                hint = did_you_mean(name, known)
                raise self.error(key, f"there is no descriptor {name!r}{hint}")
        return found

    def number(self, key: str, value: object) -> float:
        """Return a number that is not negative."""
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and value >= 0
        ):
            return float(value)
        raise self.error(key, f"expected a number >= 0, found {value!r}")

    def count(self, key: str, value: object) -> int:
        """Return a number of frames."""
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        raise self.error(key, f"expected a number of frames >= 1, found {value!r}")
