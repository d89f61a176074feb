"""What a file says of itself: which IFU, chip or filter it is of, or which it holds."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ndmapper.data.datafile import DataFile
from ndmapper.data.header_query import look_up
from ndmapper.data.name_pattern import Key
from ndmapper.data.planned import PlannedFile
from ndmapper.errors import FormatError
from ndmapper.instruments import recognise
from ndmapper.instruments.members import MemberKey
from ndmapper.io.quickheader import HeaderValues, QuickHeader

__all__ = ["KeyRule", "cut", "find_rule", "key_of", "keys_in"]

KeyRule = str | Callable[[DataFile], Any]
"""How a key is read: a name of the instrument's table, a keyword, or a function."""


def find_rule(df: DataFile, field: str) -> MemberKey | None:
    """Find how the instrument of a file says that a key is read."""
    instrument = recognise(_source(df).meta)
    return None if instrument is None else instrument.members.get(field)


def keys_in(df: DataFile, rule: KeyRule) -> list[Key]:
    """
    List the keys of all parts that a file says it holds: one, several, or none.

    ``'ident'`` is that of its images. Any other name is looked up in the table of the
    instrument, else it is a header keyword, in the primary header or the extensions.
    """
    df = _source(df)
    if callable(rule):
        found = rule(df)
        return [] if found is None else [found]
    if rule == "ident":
        return [ident for ident in df.idents if ident is not None]
    described = find_rule(df, rule)
    if described is not None:
        return list(described.find_all(_headers(df)))
    value = look_up(df, rule)
    if value is None:
        keyword = MemberKey((rule,))
        return list(keyword.find_all(_headers(df)))
    return [value if isinstance(value, int) else str(value).strip()]


def _source(df: DataFile) -> DataFile:
    """Give the file itself, or for a planned one that whose headers it will have."""
    return df.like or df if isinstance(df, PlannedFile) and not df.is_made else df


def key_of(df: DataFile, by: KeyRule | Sequence[str]) -> Key:
    """
    Read the key of one member, with a part for each name.

    Raises
    ------
    FormatError
        If its headers do not say it, or name several parts.
    """
    parts: list[Any] = []
    for rule in [by] if isinstance(by, str) or callable(by) else by:
        found = keys_in(df, rule)
        if len(found) != 1:
            what = rule if isinstance(rule, str) else "key"
            says = f"several: {', '.join(map(str, found))}" if found else "none"
            msg = (
                f"the {what} of {df} is not known, for its headers say {says}; a key "
                "is a name in [members] of the instrument's table, 'ident', or a "
                "header keyword"
            )
            raise FormatError(msg)
        parts.append(found[0])
    return parts[0] if len(parts) == 1 else tuple(parts)


def cut(df: DataFile, field: str, key: Key) -> DataFile:
    """Take the images and tables of one part out of a file; nothing is read."""
    if field == "ident":
        positions = [i for i, ident in enumerate(df.idents) if ident == key]
        return _only(df, positions)
    rule = find_rule(df, field) or MemberKey((field,))
    part = _only(df, [i for i, ndd in enumerate(df) if rule.find(ndd.meta) == key])
    for tables in (part.tables, part.extras):
        for name in list(tables):
            if rule.find({"EXTNAME": name} | dict(tables[name].meta)) not in (
                None,
                key,
            ):
                del tables[name]
    return part


def _only(df: DataFile, positions: Sequence[int]) -> DataFile:
    """Copy a file with some of its images."""
    part = df.copy()
    part.content.keep_only([part[i] for i in positions])
    return part


def _headers(df: DataFile) -> Iterator[HeaderValues]:
    """Give the headers of all HDUs, the primary one first; none is parsed whole."""
    yield df.header_values
    if df.content.map is not None and df.unchanged:
        for hdu in df.content.map.hdus[1:]:
            yield QuickHeader(hdu.image_raw)
        return
    for ndd in df:
        yield ndd.meta
    for table in df.tables.values():
        yield table.meta
