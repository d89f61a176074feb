"""Names of many files in a short form: ``x-{01..06,08..24}.fits``."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["fold_names", "list_names"]

# Of limited length, since Python refuses to read longer numbers.
_NUMBER = re.compile(r"([0-9]{1,18})")

_LEAST = 3
"""Least number of names that are folded, unless they belong to a set."""

_MOST = 8
"""Largest number of values and ranges in braces."""

_Parts = tuple[str, ...]
"""A name, cut at its numbers, which are at the odd places."""


def list_names(
    names: Iterable[str], sets: Mapping[str, str] | None = None, *, most: int = 3
) -> str:
    """List names in one line: folded, and of what is still long only the ends."""
    given = list(names)
    folded = fold_names(given, sets)
    if len(folded) > most:
        return f"{given[0]} ... {given[-1]} ({len(given)} files)"
    text = ", ".join(folded)
    return f"{text} ({len(given)} files)" if ",...," in text else text


def fold_names(
    names: Iterable[str], sets: Mapping[str, str] | None = None
) -> list[str]:
    """
    Fold names that are equal but for a number, and members of a set.

    ``sets`` has the pattern of the set that a name belongs to, such as
    ``'BIAS-{ifu:02d}.fits'``, by name.
    """
    groups: dict[tuple[str, str] | None, list[str]] = {}
    for name in dict.fromkeys(names):
        ends = _ends(name, (sets or {}).get(name, ""))
        groups.setdefault(ends, []).append(name)
    folded: list[str] = []
    for ends, members in groups.items():
        folded += _fold_plain(members) if ends is None else [_fold_set(members, *ends)]
    return folded


def _ends(name: str, pattern: str) -> tuple[str, str] | None:
    """Give what is before and after the key of a member; None if it has no key."""
    head, brace, rest = pattern.partition("{")
    tail = rest.rpartition("}")[2]
    if "/" not in name:
        head = head.rpartition("/")[2]  # records name files without folder
    fits = name.startswith(head) and name.endswith(tail)
    return (head, tail) if brace and fits and len(name) > len(head + tail) else None


def _fold_set(names: Sequence[str], head: str, tail: str) -> str:
    keys = [name[len(head) : len(name) - len(tail)] for name in names]
    if len(keys) == 1:
        return names[0]
    if all(_NUMBER.fullmatch(key) for key in keys):
        return f"{head}{_braces(keys)}{tail}"
    pieces = _fold_plain(keys)
    inside = pieces[0] if len(pieces) == 1 else _in_braces(pieces)
    return f"{head}{inside}{tail}"


def _fold_plain(names: Sequence[str]) -> list[str]:
    """Fold over one number after the other, as long as it makes the list shorter."""
    items: list[_Parts] = [tuple(_NUMBER.split(name)) for name in names]
    before = len(items) + 1
    while _LEAST <= len(items) < before:
        before, items = len(items), _fold_once(items)
    return ["".join(parts) for parts in items]


def _fold_once(items: Sequence[_Parts]) -> list[_Parts]:
    """Fold each name over that of its numbers in which most others differ."""
    folded: dict[int, _Parts] = dict(enumerate(items))
    texts: dict[_Parts, list[int]] = {}
    for position, parts in enumerate(items):
        texts.setdefault(parts[::2], []).append(position)
    for positions in texts.values():
        if len(positions) < _LEAST:
            continue
        for place, alike in _differing_in_one(items, positions):
            for same in _by_width(items, place, alike):
                if len(same) < _LEAST:
                    continue
                first = items[same[0]]
                for position in same:
                    del folded[position]
                values = _braces([items[position][place] for position in same])
                folded[same[0]] = (*first[:place], values, *first[place + 1 :])
    return [folded[position] for position in sorted(folded)]


def _differing_in_one(
    items: Sequence[_Parts], positions: Sequence[int]
) -> Iterator[tuple[int, list[int]]]:
    """Part names with the same text into those that differ in one number only."""
    columns = enumerate(zip(*(items[p] for p in positions), strict=True))
    differing = [place for place, column in columns if len({*column}) > 1]
    if len(differing) == 1 and all(
        items[p][differing[0]].isdecimal() for p in positions
    ):
        yield differing[0], [*positions]
        return
    options = {
        p: [
            (place, (*items[p][:place], *items[p][place + 1 :]))
            for place in differing
            if items[p][place].isdecimal()
        ]
        for p in positions
    }
    counts = Counter(option for several in options.values() for option in several)
    groups: dict[tuple[int, _Parts], list[int]] = {}
    for position, several in options.items():
        if several:
            # Among equals the last, where most names have their running number.
            best = max(reversed(several), key=counts.__getitem__)
            groups.setdefault(best, []).append(position)
    for (place, _), alike in groups.items():
        yield place, alike


def _by_width(
    items: Sequence[_Parts], place: int, positions: Sequence[int]
) -> Iterable[list[int]]:
    """Part names with numbers of different width, where any of these is padded."""
    found: dict[int, list[int]] = {}
    for position in positions:
        found.setdefault(len(items[position][place]), []).append(position)
    padded = any(
        items[position][place].startswith("0") and items[position][place] != "0"
        for position in positions
    )
    return found.values() if padded else [list(positions)]


def _braces(numbers: Sequence[str]) -> str:
    """Write numbers in braces, in order: ranges of three and more, and others."""
    ranges: list[list[str]] = []
    for number in sorted(numbers, key=int):
        if ranges and int(number) == int(ranges[-1][-1]) + 1:
            ranges[-1].append(number)
        else:
            ranges.append([number])
    pieces: list[str] = []
    for one in ranges:
        pieces += one if len(one) < _LEAST else [f"{one[0]}..{one[-1]}"]
    return _in_braces(pieces)


def _in_braces(pieces: Sequence[str]) -> str:
    if len(pieces) > _MOST:
        pieces = [*pieces[: _MOST - 2], "...", pieces[-1]]
    return f"{{{','.join(pieces)}}}"
