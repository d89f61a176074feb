"""The tables that coordinates lie in, when an image gets another place in a file."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ndmapper.data.ndlater import NDLater
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.io.filemap import HduMap
from ndmapper.io.headers import Header, UnreadableCardError
from ndmapper.io.tables.convert import read_table
from ndmapper.io.wcstables import TableReference, references

if TYPE_CHECKING:
    from ndmapper.data.content import Content

__all__ = ["take_coordinate_tables"]


def take_coordinate_tables(
    df: "Content",
    ndd: NDLater,
    others: Iterable[NDLater],
    replaced: NDLater | None = None,
) -> None:
    """
    Take the tables along that the coordinates of an image need.

    Parameters
    ----------
    df : Content
        The file; its extras and tables get those that it has not.
    ndd : NDLater
        The image, which belongs to the file. Its headers get their new numbers.
    others : iterable of NDLater
        The other images of the file, whose tables stay.
    replaced : NDLater, optional
        The image that was in its place, whose tables may go.
    """
    tables = ndd._coordinate_tables
    if tables is None or _are_there(df, ndd, tables):
        return
    around = [*others, *df._groups]
    taken = _used([x for x in around if x is not replaced and x is not ndd])
    free = set() if replaced is None else _used([replaced]) - taken
    names: dict[TableReference, tuple[str, int]] = {}
    for one in references(ndd.meta):
        hdu = tables.find(one)
        if hdu is None:
            continue  # which is said when somebody asks for the coordinates
        if one.axis == 0:
            if (new := _take_tab(df, ndd, one, hdu)) != one[:2]:
                names[one] = new
            continue
        table = tables.table(hdu, one)
        there = _numbers(df, one.name)
        number = one.version
        if number in there and (one.name, number) not in free:
            number = max([*there, *(n for name, n in taken if name == one.name)]) + 1
        image = NDLater(table.data, meta=table.header)
        image.meta["EXTNAME"], image.meta["EXTVER"] = one.name, number
        df.extras.put_lookup(there.get(number) or f"{one.name}_{number}", image)
        free.discard((one.name, number))
        if number != one.version:
            names[one] = one.name, number
    if names:
        edit = partial(_set_names, names=names)
        for stored in (ndd._stored, *(p.header for p in ndd._parts.values())):
            if stored is not None:
                stored.edit(edit)
        ndd._coordinate_tables = tables.renamed(names)


def _take_tab(
    df: "Content", ndd: NDLater, one: TableReference, hdu: HduMap
) -> tuple[str, int]:
    """Take a table of -TAB axes along, and say which name and number it gets."""
    stored = {name: df.tables.stored(name) for name in df.tables}
    for other in stored.values():
        if other is None or (other.name, other.number) != (hdu.name, hdu.number):
            continue
        is_same = (other.source, other.index) == (hdu.source, hdu.index)
        if not is_same and other.read_data() != hdu.read_data():
            break
        if not is_same:
            return one.name, one.version
    else:
        df.tables.add_stored(one.name, hdu)
        return one.name, one.version
    number = 2
    while (key := f"{one.name}_{number}") in stored:
        number += 1
    df.tables[key] = read_table(hdu)
    return key, 1


def _are_there(df: "Content", ndd: NDLater, tables: CoordinateTables) -> bool:
    """Whether the file has the tables already, as those of its own images."""
    is_own = df._map is not None and tables.source == df._map.source
    return is_own and tables.is_whole and not df.extras.lookups


def _used(groups: Iterable[NDLater]) -> set[tuple[str, int]]:
    """List the lookup tables that images need."""
    return {
        (one.name, one.version)
        for ndd in groups
        if ndd._coordinate_tables is not None
        for one in references(ndd.meta)
    }


def _numbers(df: "Content", name: str) -> dict[int, str]:
    """List the lookup tables of one name that a file has, by EXTVER."""
    found: dict[int, str] = {}
    for key, image in df.extras.items():
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
    """Write the new names and numbers of tables into a header that leads to them."""
    known = references(header)
    for one, (name, number) in names.items():
        if one in known:
            header[one.keyword] = number
            if one.axis == 0:
                header[one.keyword.replace("PV", "PS").replace("_1", "_0")] = name
