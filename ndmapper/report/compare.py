"""Compare two products: records, headers and values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ndmapper.data import PlainFile
from ndmapper.errors import FormatError
from ndmapper.io.converted import open_array
from ndmapper.io.digest import VOLATILE, digest
from ndmapper.io.filemap import FileMap, HduMap, map_file
from ndmapper.io.layout import find_layout
from ndmapper.io.record import is_record, read_records
from ndmapper.io.roles import UncertaintyKind
from ndmapper.io.source import opens_plain
from ndmapper.io.tables.convert import read_table
from ndmapper.report.array_differences import Tolerance, ValueDifference, compare_arrays
from ndmapper.report.lineage import Lineage, Row
from ndmapper.steps.record.differences import differences

__all__ = ["Comparison", "Verdict", "compare"]

Verdict = Literal["identical", "within", "differs"]

_LINES = 20
"""Largest number of lines that differ which are listed, of a text."""


@dataclass
class Comparison:
    """Differences of two files."""

    # Differences of the records.
    records: list[str] = field(default_factory=list)
    # A line for every difference of cards or structure.
    headers: list[str] = field(default_factory=list)
    # Differences of values by extension, and by column of a table.
    values: dict[str, ValueDifference] = field(default_factory=dict)
    # Whether the files are not FITS, and `headers` are lines of them.
    is_text: bool = False

    @property
    def verdict(self) -> Verdict:
        """The result: only headers and values count, records explain."""
        if self.headers or any(found.beyond for found in self.values.values()):
            return "differs"
        return "within" if self.values else "identical"


def compare(
    first: Path,
    second: Path,
    tolerance: Tolerance | None = None,
    *,
    ignore: Sequence[str] = (),
) -> Comparison:
    """Compare two files, such as the products of two runs; texts line by line."""
    found = Comparison(_compare_records(read_records(first), read_records(second)))
    if digest(first) == digest(second):
        return found
    if opens_plain(first) or opens_plain(second):
        found.headers += _compare_texts(first, second)
        found.is_text = True
        return found
    maps = map_file(first), map_file(second)
    pairs = [[h for h in fmap.hdus if not is_record(h)] for fmap in maps]
    if len(pairs[0]) != len(pairs[1]):
        found.headers.append(f"{len(pairs[0])} HDUs and {len(pairs[1])}")
    parts = _parts(maps[0])
    for ours, theirs in zip(*pairs, strict=False):
        where = f"HDU {ours.index}" + (f" ({ours.name})" if ours.name else "")
        found.headers += [
            f"{where}: {line}" for line in _compare_headers(ours, theirs, ignore)
        ]
        part, sigma = parts.get(ours.index, ("", None))
        if ours.is_image and theirs.is_image:
            if ours.shape != theirs.shape:
                found.headers.append(f"{where}: shape {ours.shape} and {theirs.shape}")
            elif ours.shape:
                limit = _limit(tolerance, part, sigma, maps[0])
                difference = _compare_images(ours, theirs, limit)
                if difference.different:
                    found.values[where] = difference
        elif ours.is_table and theirs.is_table:
            if ours.read_data() != theirs.read_data():
                _compare_tables(ours, theirs, where, tolerance, found)
        elif (ours.is_image, ours.is_table) != (theirs.is_image, theirs.is_table):
            kinds = [_kind(hdu) for hdu in (ours, theirs)]
            found.headers.append(f"{where}: {kinds[0]} and {kinds[1]}")
    return found


def _compare_texts(first: Path, second: Path) -> list[str]:
    """List the lines that only one of two files has that are not FITS."""
    if opens_plain(first) != opens_plain(second):
        return [f"{first if opens_plain(second) else second} is FITS, the other is not"]
    try:
        ours, theirs = (PlainFile(p).text().splitlines() for p in (first, second))
    except FormatError:
        return ["the bytes differ"]
    lines = list(unified_diff(ours, theirs, n=0, lineterm=""))[2:]
    more = [f"... {len(lines) - _LINES} lines more"] if len(lines) > _LINES else []
    return [*lines[:_LINES], *more] or ["the ends of lines differ"]


def _kind(hdu: HduMap) -> str:
    return "an image" if hdu.is_image else "a table" if hdu.is_table else "no data"


def _compare_images(ours: HduMap, theirs: HduMap, limit: Any) -> ValueDifference:
    packed = any(hdu.source.compression is not None for hdu in (ours, theirs))
    handles = open_array(ours), open_array(theirs)
    return compare_arrays(*handles, limit, whole=packed)


def _compare_tables(
    ours: HduMap,
    theirs: HduMap,
    where: str,
    tolerance: Tolerance | None,
    found: Comparison,
) -> None:
    tables = read_table(ours), read_table(theirs)
    if len(tables[0]) != len(tables[1]):
        found.headers.append(f"{where}: {len(tables[0])} rows and {len(tables[1])}")
        return
    limit = _limit(tolerance, "", None, None)
    for name in tables[0].colnames:
        if name not in tables[1].colnames:
            continue  # listed with the headers
        columns = [
            np.ma.filled(np.ma.asarray(table[name]), None) if table.masked
            else np.asarray(table[name])
            for table in tables
        ]  # fmt: skip
        if columns[0].shape != columns[1].shape:
            found.headers.append(f"{where}: the cells of {name} have other shapes")
            continue
        difference = compare_arrays(columns[0], columns[1], limit)
        if difference.different:
            found.values[f"{where} column {name}"] = difference


def _parts(
    fmap: FileMap,
) -> dict[int, tuple[str, tuple[int, UncertaintyKind] | None]]:
    """Return the role of every HDU, and where its uncertainty is."""
    layout = find_layout(fmap)
    parts: dict[int, tuple[str, tuple[int, UncertaintyKind] | None]] = {}
    for group in layout.groups:
        for part, index in group.hdus.items():
            parts[index] = part, None
        if group.uncertainty is not None:
            kind = layout.labels.uncertainty_is
            parts[group.data] = "data", (group.uncertainty, kind)
    return parts


def _limit(
    tolerance: Tolerance | None,
    part: str,
    sigma: tuple[int, UncertaintyKind] | None,
    fmap: FileMap | None,
) -> Any:
    """Return a function that gives the tolerance of values."""
    if tolerance is None or part == "flags":
        return None
    value = tolerance.value
    if tolerance.kind == "absolute":
        return lambda ours, theirs, section: value
    if tolerance.kind == "sigma" and sigma is not None and fmap is not None:
        handle = open_array(fmap.hdus[sigma[0]])

        def of_noise(ours: Any, theirs: Any, section: Any) -> Any:
            noise = np.nan_to_num(
                handle[section].astype(np.float64), posinf=0, neginf=0
            )
            noise = np.maximum(noise, 0)
            if sigma[1] == "ivar":
                noise = np.divide(1, noise, out=noise, where=noise > 0)
            return value * (noise if sigma[1] == "std" else np.sqrt(noise))

        return of_noise
    if tolerance.kind == "sigma" and part != "uncertainty":
        return None

    def of_value(ours: Any, theirs: Any, section: Any) -> Any:
        if (
            "f" not in ours.dtype.kind + theirs.dtype.kind
            and ours.dtype.kind not in "iu"
        ):
            return 0.0
        larger = np.maximum(np.abs(ours.astype(float)), np.abs(theirs.astype(float)))
        return np.nan_to_num(value * larger, posinf=0)

    return of_value


def _compare_headers(
    ours: HduMap, theirs: HduMap, ignore: Sequence[str]
) -> Iterator[str]:
    cards = [_cards(hdu, ignore) for hdu in (ours, theirs)]
    values = [_by_keyword(listed) for listed in cards]
    for keyword in dict.fromkeys([*values[0], *values[1]]):
        pair = [found.get(keyword) for found in values]
        if pair[0] == pair[1]:
            continue
        for one, other, text in ((0, 1, "first"), (1, 0, "second")):
            if pair[other] is None:
                yield f"only the {text} has {keyword} = {_shown(pair[one])}"
        if None not in pair:
            yield from _compare_cards(keyword, pair)
    if cards[0] != cards[1] and values[0] == values[1]:
        yield "the cards have another order"


def _compare_cards(keyword: str, pair: list[Any]) -> Iterator[str]:
    contents = [[value for value, _ in cards] for cards in pair]
    if contents[0] == contents[1]:
        yield f"the comment of {keyword} differs"
    elif len(contents[0]) == len(contents[1]) == 1:
        yield f"{keyword} = {_shown(pair[0])} and {_shown(pair[1])}"
    else:
        for cards, others, text in (
            (contents[0], contents[1], "first"),
            (contents[1], contents[0], "second"),
        ):
            for value in cards:
                if value not in others:
                    yield f"only the {text} has {keyword} {value}"


def _cards(hdu: HduMap, ignore: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return cards as keyword, value as text, and comment."""
    return [
        (card.keyword, repr(card.value), card.comment)
        for card in hdu.header.cards
        if card.keyword not in VOLATILE
        and not any(fnmatchcase(card.keyword, pattern) for pattern in ignore)
    ]


def _by_keyword(
    cards: Sequence[tuple[str, str, str]],
) -> Mapping[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for keyword, value, comment in cards:
        found.setdefault(keyword, []).append((value, comment))
    return found


def _shown(cards: Any) -> str:
    return ", ".join(value for value, _ in cards)


def _compare_records(ours: Sequence[Row], theirs: Sequence[Row]) -> list[str]:
    """Describe where two records first differ."""
    if not ours or not theirs:
        if not ours and not theirs:
            return []
        return [f"only the {'first' if ours else 'second'} has a record"]
    rows = [Lineage.of([record]).rows for record in (ours, theirs)]
    keys = [{row["key"] for row in found} for found in rows]
    own = [row for row in rows[0] if row["key"] not in keys[1]]
    other = [row for row in rows[1] if row["key"] not in keys[0]]
    if not own and not other:
        return _compare_versions(*rows)
    lines: list[str] = []
    left = list(other)
    for row in own:
        match = _match(row, left)
        if match is None:
            lines.append(f"only the first went through {_made(row)}")
            continue
        left.remove(match)
        if row["step"] == match["step"]:
            found = differences(row, match, stale=keys[1] - keys[0])
            words = [str(d) for d in found if not d.follows]
            if not words and (found or row["schema"] != match["schema"]):
                continue  # a consequence of other differences
            words = words or ["they were made of other files"]
        else:
            words = [f"the step was {row['step']}, now {match['step']}"]
        lines += [f"they part at {row['step']}, which made {row['product']}", *words]
    return [*lines, *(f"only the second went through {_made(row)}" for row in left)]


def _match(row: Row, others: Sequence[Row]) -> Row | None:
    """Return the corresponding entry of the other record."""
    same = [r for r in others if r["step"] == row["step"]]
    named = [r for r in same if r["product"] == row["product"]]
    renamed = [r for r in others if r["product"] == row["product"]]
    return next(iter(named or same or renamed), None)


def _made(row: Row) -> str:
    return f"{row['step']} ({row['product']})"


def _compare_versions(ours: Sequence[Row], theirs: Sequence[Row]) -> list[str]:
    """Describe differences in versions only."""
    by_key = {row["key"]: row for row in theirs}
    for row in ours:
        found, others = (
            r["run"].get("versions") or {} for r in (row, by_key[row["key"]])
        )
        words = [
            f"{name} was {found.get(name)}, now {others.get(name)}"
            for name in sorted({*found, *others})
            if found.get(name) != others.get(name)
        ]
        if words:
            return [f"other versions from {row['step']} on ({row['product']})", *words]
    return []
