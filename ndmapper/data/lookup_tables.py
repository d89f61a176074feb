"""
Lookup tables of coordinates, which go along when an image moves to another file.

The headers of an image refer to them by name and number, as -TAB axes and tables of
distortion do. Where the other file uses the number already they get a new one.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from ndmapper.data.ndlater import Extras, NDLater
from ndmapper.data.tables import TableStore
from ndmapper.io.filemap import HduMap
from ndmapper.io.headers import Header, UnreadableCardError
from ndmapper.io.tables.convert import read_table
from ndmapper.io.wcstables import TableReference, references

__all__ = ["bring_lookup_tables"]


def bring_lookup_tables(
    ndd: NDLater,
    images: Iterable[NDLater],
    extras: Extras,
    tables: TableStore,
    replaced: NDLater | None = None,
) -> None:
    """
    Add the tables that the coordinates of a new image need to those of its file.

    The headers of the image get their new numbers. `images` are those of the file,
    whose tables stay; those of the image that was `replaced` may go.
    """
    found = ndd.content.coordinate_tables
    if found is None:
        return
    taken = _used(x for x in images if x is not replaced and x is not ndd)
    free = set() if replaced is None else _used([replaced]) - taken
    names: dict[TableReference, tuple[str, int]] = {}
    for one in references(ndd.meta):
        hdu = found.find(one)
        if hdu is None:
            continue  # reported when the coordinates are asked for
        if one.axis == 0:
            if (new := _bring_tab(tables, one, hdu)) != one[:2]:
                names[one] = new
            continue
        table = found.table(hdu, one)
        there = _numbers(extras, one.name)
        number = one.version
        if number in there and (one.name, number) not in free:
            number = max([*there, *(n for name, n in taken if name == one.name)]) + 1
        image = NDLater(table.data, meta=table.header)
        image.meta["EXTNAME"], image.meta["EXTVER"] = one.name, number
        extras.put_lookup(there.get(number) or f"{one.name}_{number}", image)
        free.discard((one.name, number))
        if number != one.version:
            names[one] = one.name, number
    if names:
        edit = partial(_set_names, names=names)
        headers = (part.header for part in ndd.content.arrays.values())
        for stored in (ndd.content.stored, *headers):
            if stored is not None:
                stored.edit(edit)
        ndd.content.coordinate_tables = found.renamed(names)


def _bring_tab(tables: TableStore, one: TableReference, hdu: HduMap) -> tuple[str, int]:
    """Add a table of -TAB axes, and return the name and number that it gets."""
    stored = {name: tables.stored(name) for name in tables}
    for other in stored.values():
        if other is None or (other.name, other.number) != (hdu.name, hdu.number):
            continue
        is_same = (other.source, other.index) == (hdu.source, hdu.index)
        if not is_same and other.read_data() != hdu.read_data():
            break
        if not is_same:
            return one.name, one.version
    else:
        tables.add_stored(one.name, hdu)
        return one.name, one.version
    number = 2
    while (key := f"{one.name}_{number}") in stored:
        number += 1
    tables[key] = read_table(hdu)
    return key, 1


def _used(images: Iterable[NDLater]) -> set[tuple[str, int]]:
    """List the lookup tables that images need."""
    return {
        (one.name, one.version)
        for ndd in images
        if ndd.content.coordinate_tables is not None
        for one in references(ndd.meta)
    }


def _numbers(extras: Extras, name: str) -> dict[int, str]:
    """List the lookup tables of one name that a file has, by EXTVER."""
    found: dict[int, str] = {}
    for key, image in extras.items():
        if str(_value(image.meta, "EXTNAME")).strip().upper() == name:
            number: Any = _value(image.meta, "EXTVER")
            found[number if isinstance(number, int) else 1] = key
    return found


def _value(header: Header, keyword: str) -> Any:
    try:
        return header.get(keyword)
    except UnreadableCardError:
        return None


def _set_names(header: Header, names: Mapping[TableReference, tuple[str, int]]) -> None:
    """Write the new names and numbers of tables into a header that refers to them."""
    known = references(header)
    for one, (name, number) in names.items():
        if one in known:
            header[one.keyword] = number
            if one.axis == 0:
                header[one.keyword.replace("PV", "PS").replace("_1", "_0")] = name
