"""Whether inputs with different keys count as the same."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ndmapper.io.record import entry_key, identity, is_of_library

__all__ = ["Equivalence", "own_key", "references_in", "revision_of"]

Row = Mapping[str, Any]


def revision_of(row: Row) -> int | None:
    """Give the revision of the step that made a product."""
    if row.get("revision") is not None:
        return int(row["revision"])
    is_old = row["schema"] < 2 and row["engine"] == "python"
    return 1 if is_old and is_of_library(row["tool"]) else None


def own_key(row: Row) -> str:
    """Compute the key of an entry in the present schema."""
    return entry_key(_of_today(row))


def _of_today(row: Row) -> Row:
    revision = revision_of(row)
    return row if revision is None else {**row, "revision": revision}


def references_in(row: Row) -> Iterator[Mapping[str, Any]]:
    """List the inputs and calibrations that an entry refers to."""
    yield from row["inputs"]
    for part in ("calibrations", "references"):
        for value in row[part].values():
            for reference in value if isinstance(value, list) else [value]:
                if reference is not None:
                    yield reference


class _History:
    """The entries of a record by their keys, to follow references back to raw files."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = {str(row["key"]): row for row in rows}
        self._known: dict[tuple[str, bool], str] = {}

    def mark(self, key: str | None, *, code: bool) -> str | None:
        """Identify a product by its whole history, with or without the steps' code."""
        row = self.rows.get(str(key))
        if row is None or key is None:
            return key
        if (key, code) not in self._known:
            self._known[key, code] = key  # a record that leads back to itself is odd
            words = _of_today(row) if code else {**_of_today(row), "code": None}
            self._known[key, code] = entry_key(
                words, identify=lambda ref: self.mark(identity(ref), code=code)
            )
        return self._known[key, code]


@dataclass(frozen=True)
class Equivalence:
    """
    What a product would be made of now, in the keys that it was made with.

    Where only the code of a script has changed, a product that came out the same
    leaves alone what was made of it; and the same entry may have had another key in an
    older schema.

    Parameters
    ----------
    expected : mapping
        What would be made now. A reference that counts as the one of the product has
        its key.
    waiting : list of str
        Names of files that are only planned, by other code: whether they come out the
        same is not known until they are made.
    recoded : list of str
        Steps whose products stay in memory (in a chain, say) and whose code has
        changed.
    """

    expected: Mapping[str, Any]
    waiting: list[str]
    recoded: list[str]

    @classmethod
    def of(
        cls, made: Sequence[Row], expected: Row, given: Sequence[Row]
    ) -> "Equivalence":
        """Compare the recorded inputs with those of the expected entry."""
        comparison = _Comparison(_History(made), _History(given))
        return cls(
            expected=comparison.translated(made[-1], expected),
            waiting=comparison.waiting,
            recoded=comparison.recoded,
        )


class _Comparison:
    """Pairs the recorded inputs of a product with those that it would have now."""

    def __init__(self, then: _History, now: _History) -> None:
        self.then = then
        self.now = now
        self.waiting: list[str] = []
        self.recoded: list[str] = []

    def translated(self, was: Row, row: Row) -> Row:
        """Translate keys of references to those of the record, for equal files."""
        marks = {
            code: {
                self.then.mark(key, code=code): key
                for key in filter(None, map(_key, references_in(was)))
            }
            for code in (True, False)
        }
        keys: dict[str, str] = {}
        for reference in references_in(row):
            key = _key(reference)
            if key is None or key in keys:
                continue
            old = marks[True].get(self.now.mark(key, code=True))
            if old is None:
                old = marks[False].get(self.now.mark(key, code=False))
                if old is not None and not self._is_same(old, key):
                    old = None
            if old is not None and old != key:
                keys[key] = old
        return _translated(row, keys) if keys else row

    def _is_same(self, old: str, key: str) -> bool:
        """Whether products of different code have equal content, as far as is known."""
        was, row = self.then.rows.get(old), self.now.rows.get(key)
        if was is None or row is None:
            return False
        if "content" in row:
            if row["content"] is None:
                self.waiting.append(str(row["product"]))
            return row["content"] in (None, was.get("content"))
        if was["code"] != row["code"]:
            self.recoded.append(str(row["step"]))
            return True
        return own_key(self.translated(was, row)) == own_key(was)


def _key(reference: Mapping[str, Any]) -> str | None:
    key = reference.get("key")
    return None if key is None else str(key)


def _translated(row: Row, keys: Mapping[str, str]) -> Row:
    def translate(reference: Any) -> Any:
        if isinstance(reference, list):
            return [translate(one) for one in reference]
        if reference is None or reference.get("key") not in keys:
            return reference
        return {**reference, "key": keys[reference["key"]]}

    return {
        **row,
        "inputs": translate(row["inputs"]),
        **{
            part: {name: translate(value) for name, value in row[part].items()}
            for part in ("calibrations", "references", "tags")
            if part in row
        },
    }
