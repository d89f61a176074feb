"""Lineage: products and their inputs, followed through records back to raw files."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ndmapper.documents import canonical
from ndmapper.io.record import identity

__all__ = ["Lineage", "Row", "UsedFile", "kind_of_work", "references_of"]

Row = Mapping[str, Any]
"""An entry of a record."""


@dataclass(frozen=True)
class UsedFile:
    """One input of a product."""

    # Role: ``input``, the tool's name for it, the type of a calibration, or the
    # parameter that named it.
    role: str
    # Reference in the record entry.
    reference: Row

    @property
    def name(self) -> str:
        """Name of the file when it was used."""
        return str(self.reference["name"])

    @property
    def identity(self) -> tuple[str, str]:
        """Content digest and name, which identify a file that no step made."""
        return str(identity(self.reference)), self.name

    @property
    def in_memory(self) -> bool:
        """Whether it was only in memory."""
        return bool(self.reference.get("memory"))


def references_of(row: Row) -> Iterator[UsedFile]:
    """Iterate over the files that went into a product."""
    for reference in row["inputs"]:
        yield UsedFile(reference.get("role") or "input", reference)
    for part in ("calibrations", "references"):
        for role, value in row[part].items():
            listed = value if isinstance(value, list) else [value]
            for reference in listed:
                if reference is not None:
                    yield UsedFile(role, reference)


@dataclass(frozen=True)
class Lineage:
    """Products and all entries that led to them."""

    # Entries of the requested products.
    targets: list[Row]
    # All entries, each after those of its inputs.
    rows: list[Row] = field(default_factory=list)
    # Files that no step made, by content and name.
    raws: dict[tuple[str, str], UsedFile] = field(default_factory=dict)
    # Entries by key: several if the same product has several names.
    by_key: dict[str, list[Row]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, records: Iterable[Sequence[Row]]) -> "Lineage":
        """Build the lineage of products from their records."""
        records = [rows for rows in records if rows]
        lineage = cls([rows[-1] for rows in records])
        for rows in records:
            for row in rows:
                same = lineage.by_key.setdefault(row["key"], [])
                if all(row["product"] != other["product"] for other in same):
                    same.append(row)
        seen: set[int] = set()
        for target in lineage.targets:
            same = lineage.by_key[target["key"]]
            own = next(r for r in same if r["product"] == target["product"])
            lineage._follow(own, seen)
        return lineage

    def _follow(self, target: Row, seen: set[int]) -> None:
        """Add an entry after its inputs; not recursive, since records may be deep."""
        stack: list[tuple[Row, Iterator[UsedFile]]] = [(target, references_of(target))]
        if id(target) in seen:
            return
        seen.add(id(target))
        while stack:
            row, uses = stack[-1]
            for use in uses:
                maker = self.maker(use)
                if maker is None:
                    self.raws.setdefault(use.identity, use)
                elif id(maker) not in seen:
                    seen.add(id(maker))
                    stack.append((maker, references_of(maker)))
                    break
            else:
                self.rows.append(row)
                stack.pop()

    def group(self, mark: Callable[[Row], str]) -> list[list[Row]]:
        """Group entries of the same mark, each group after those of its inputs."""
        groups: list[list[Row]] = []
        place: dict[int, int] = {}
        marked: dict[str, list[int]] = {}
        for row in self.rows:
            makers = [self.maker(use) for use in references_of(row)]
            needed = max((place[id(m)] for m in makers if m is not None), default=-1)
            same = marked.setdefault(mark(row), [])
            number = next((n for n in same if n > needed), len(groups))
            if number == len(groups):
                groups.append([])
                same.append(number)
            groups[number].append(row)
            place[id(row)] = number
        return groups

    def maker(self, use: UsedFile) -> Row | None:
        """Return the entry that made a file; None for raw files."""
        rows = self.by_key.get(str(use.reference.get("key")), [])
        for row in rows:
            if row["product"] == use.name:
                return row
        return rows[0] if rows else None


_WORK = ("step", "module", "engine", "tool", "config", "instrument", "code")


def kind_of_work(row: Row) -> str:
    """Mark entries that differ in their files only, and in which unit of a call."""
    task: Mapping[str, Any] = row.get("task") or {}
    of_unit = {*(row.get("unit") or {}), row.get("unit_parameter")}
    parameters = {
        name: value
        for name, value in (row["parameters"] | task.get("parameters", {})).items()
        if name not in of_unit and name not in row["references"]
    }
    rest = [task.get("name"), task.get("words"), sorted(row["calibrations"])]
    versions = row["run"].get("versions")
    return canonical([*map(row.get, _WORK), parameters, *rest, versions])
