"""What a file says of itself: which IFU, chip or filter it is of, or which it holds."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from ndmapper.data.datafile import DataFile
from ndmapper.data.name_pattern import Key, checked_key, key_words
from ndmapper.data.ndlater import NDLater
from ndmapper.data.planned import header_source
from ndmapper.data.saving.plan import plan_hdus
from ndmapper.errors import FormatError, ParameterError
from ndmapper.instruments import recognise
from ndmapper.instruments.members import MemberKey
from ndmapper.io.filemap import HduMap
from ndmapper.io.headers import UnreadableCardError
from ndmapper.io.quickheader import HeaderValues, QuickHeader, values_of

__all__ = [
    "KeyRule",
    "cut",
    "described_keys",
    "find_rule",
    "is_changed",
    "key_of",
    "keys_in",
]

KeyRule = str | Callable[[DataFile], Any]
"""How a key is read: a name of the instrument's table, a keyword, or a function."""

_Find = Callable[[Any], Key | None]
"""Finds the key that one header gives."""


def find_rule(df: DataFile, field: str) -> MemberKey | None:
    """Find how the instrument of a file says that a key is read."""
    instrument = recognise(_source(df).header_values)
    return None if instrument is None else instrument.members.get(field)


def keys_in(df: DataFile, rule: KeyRule) -> list[Key]:
    """
    List the keys of all parts that a file says it holds: one, several, or none.

    ``'ident'`` is that of its images. Any other name is looked up in the table of the
    instrument, else it is a header keyword: that of the primary header, if it is there,
    else those of the extensions.
    """
    df = _source(df)
    if callable(rule):
        found = rule(df)
        return [] if found is None else [_checked(found, df)]
    if rule == "ident":
        return [ident for ident in df.idents if ident is not None]
    if (described := described_keys(df, rule)) is not None:
        return described
    find = _keyword(rule)
    primary = _found(find, [df.header_values])
    return primary or _found(find, _extension_headers(df))


def described_keys(df: DataFile, field: str) -> list[Key] | None:
    """List the keys as the table of the instrument reads them; None if it does not."""
    rule, df = find_rule(df, field), _source(df)
    if rule is None:
        return None
    return _found(rule.find, [df.header_values, *_extension_headers(df)])


def _source(df: DataFile) -> DataFile:
    """Give the file itself, or for a planned one that whose headers it will have."""
    return header_source(df) or df


def _finder(df: DataFile, field: str) -> _Find:
    """Make what finds the key in one header of a file."""
    described = find_rule(df, field)
    return _keyword(field) if described is None else described.find


def _checked(value: Any, df: DataFile) -> Key:
    try:
        return checked_key(value)
    except ParameterError as err:
        msg = f"the function that was given for keys says {value!r} of {df}; {err}"
        raise FormatError(msg) from err


def _found(find: _Find, headers: Any) -> list[Key]:
    found: dict[tuple[str, ...], Key] = {}
    for header in headers:
        if (key := find(header)) is not None:
            found.setdefault(key_words(key), key)
    return list(found.values())


def _keyword(name: str) -> _Find:
    """Make what finds the value of a keyword: a whole number, or else a text."""

    def find(header: Any) -> Key | None:
        try:
            value = header.get(name)
        except UnreadableCardError:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return (str(value).strip() or None) if isinstance(value, str | float) else None

    return find


def key_of(df: DataFile, by: KeyRule | Sequence[KeyRule]) -> Key:
    """
    Read the key of one member, with a part for each rule.

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
    """
    Take the images and tables of one part out of a file; nothing is read.

    What does not say which part it is of goes with every part.
    """
    part = df.copy()
    if field == "ident":
        part.content.keep_only([ndd for ndd in part if ndd.ident == key])
        return part
    find = _finder(df, field)
    part.content.keep_only([ndd for ndd in part if _may_be(find, _header(ndd), key)])
    for name in list(part.tables):
        if not _may_be(find, _table_header(part, name), key):
            del part.tables[name]
    for name, extra in list(part.extras.items()):
        if not _may_be(find, _header(extra), key):
            del part.extras[name]
    return part


def is_changed(df: DataFile, before: DataFile) -> bool:
    """Whether a file in memory is another than the copy that was made of it before."""
    if _outline(df) != _outline(before):
        return True
    content, tables = df.content, df.content.tables
    is_seen = (
        content.primary.is_touched
        or any(a.is_loaded or a.deferred is not None for a in content.made_arrays)
        or any(ndd.content.stored.is_touched for ndd in content.images)
        or any(tables.loaded(name) is not None for name in tables)
    )
    return is_seen and _state(df) != _state(before)


def _outline(df: DataFile) -> tuple[Any, ...]:
    """List what there is in a file, of which nothing is read for it."""
    images = [(ndd.ident, set(ndd.content.arrays)) for ndd in df.content.images]
    return images, set(df.tables)


def _state(df: DataFile) -> tuple[str, list[str | None]]:
    """Tell the primary header, and what else would be written that is not as read."""
    return df.meta.tostring(), [hdu.changed for hdu in plan_hdus(df)[1:]]


def _may_be(find: _Find, header: Any, key: Key) -> bool:
    said = find(header)
    return said is None or key_words(said) == key_words(key)


def _header(ndd: NDLater) -> HeaderValues:
    return values_of(ndd.content.stored)


def _table_header(df: DataFile, name: str) -> Any:
    """Give the header of a table, which is not read for it."""
    hdu = df.content.tables.stored(name)
    if hdu is not None:
        return QuickHeader(hdu.image_raw)
    return {"EXTNAME": name} | dict(df.tables[name].meta)


class _HduHeader:
    """The header of an HDU, read only for what the map of its file does not know."""

    def __init__(self, hdu: HduMap) -> None:
        self._hdu = hdu

    @cached_property
    def _read(self) -> QuickHeader:
        return QuickHeader(self._hdu.image_raw)

    def get(self, key: str) -> Any:
        known = self._hdu.keys
        return known[key] if key in known else self._read.get(key)


def _extension_headers(df: DataFile) -> Iterator[Any]:
    """Give the headers of all HDUs but the primary one; none is parsed whole."""
    if df.content.map is not None and df.unchanged:
        yield from map(_HduHeader, df.content.map.hdus[1:])
        return
    for ndd in (*df, *df.extras.values()):
        yield _header(ndd)
    for name in df.tables:
        yield _table_header(df, name)
