"""What a save writes of the tables, and the numbers of what goes with groups."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ndmapper.io.filemap import HduMap
from ndmapper.io.write import HduOut

if TYPE_CHECKING:
    from ndmapper.data.datafile import DataFile
    from ndmapper.data.ndlater import NDLater

__all__ = ["new_version", "stored_tables", "table_to_write"]


def new_version(
    df: "DataFile", place: Mapping[int, "NDLater"], hdu: HduMap
) -> int | None:
    """
    Give the EXTVER of what belongs to a group that has another number than in the file.

    Parameters
    ----------
    df : DataFile
        The file.
    place : mapping of int to NDLater
        Which group took the place of the data in which HDU.
    hdu : HduMap
        A table, or an image that plays no part.

    Returns
    -------
    int or None
        The number of its group. Where its group is gone, and another one has its
        number, one that nobody has; None where the number stays.
    """
    if df._layout is None or df._map is None or hdu.source != df._map.source:
        return None
    groups = {g.ident: g for g in df._layout.groups if isinstance(g.ident, int)}
    group = groups.get(hdu.version) if hdu.version is not None else None
    if group is None:
        return None
    if (ndd := place.get(group.data)) is not None:
        return ndd.ident if isinstance(ndd.ident, int) else None
    numbers = [ident for ident in df.idents if isinstance(ident, int)]
    homeless = [n for n, g in groups.items() if g.data not in place and n in numbers]
    if hdu.version not in homeless:
        return None
    # Those of one group stay together, and apart from those of another.
    return max([*numbers, *groups]) + 1 + homeless.index(hdu.version)


def stored_tables(df: "DataFile") -> dict[int, str]:
    """
    Find which HDUs of its file are the tables that a DataFile has.

    Parameters
    ----------
    df : DataFile
        The file.

    Returns
    -------
    dict of int to str
        The name of each, by position.
    """
    found: dict[int, str] = {}
    for name in df.tables:
        hdu = df.tables.stored(name)
        if hdu is not None and df._map is not None and hdu.source == df._map.source:
            found.setdefault(hdu.index, name)
    return found


def table_to_write(
    df: "DataFile", place: Mapping[int, "NDLater"], name: str
) -> tuple[HduMap | HduOut | bytes, bool]:
    """
    Give a table in the form in which it is written.

    Parameters
    ----------
    df : DataFile
        The file.
    place : mapping of int to NDLater
        Which group took the place of the data in which HDU.
    name : str
        Name of the table.

    Returns
    -------
    out : HduMap, HduOut or bytes
        What is written.
    is_changed : bool
        Whether that differs from what the file has.
    """
    hdu = df.tables.stored(name)
    for ndd in df._groups:
        tables = ndd._tables
        if tables is not None and name in tables.keys_in(df.tables):
            tables.ident = ndd.ident
            written, version = tables.names_of(name)
            break
    else:
        written = None
        version = None if hdu is None else new_version(df, place, hdu)
    out = df.tables.to_write(name, version, written)
    source = None if df._map is None else df._map.source
    return out, out is not hdu or hdu is None or hdu.source != source
