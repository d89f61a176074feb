"""What a save writes of the tables, and the numbers of what goes with groups."""

from typing import TYPE_CHECKING

from ndmapper.data.saving.hdus import Name
from ndmapper.io.filemap import HduMap
from ndmapper.io.hdu import HduOut
from ndmapper.io.layout import OF_THE_FILE
from ndmapper.io.wcstables import references

if TYPE_CHECKING:
    from ndmapper.data.datafile import DataFile

__all__ = [
    "belonging_name",
    "free_version",
    "is_of_the_file",
    "stored_tables",
    "table_to_write",
]


def belonging_name(df: "DataFile", kind: str, key: str) -> Name | None:
    """
    Give EXTNAME and EXTVER of what belongs to a group.

    Parameters
    ----------
    df : DataFile
        The file.
    kind : {'tables', 'extras'}
        What it is.
    key : str
        Its name in the file.

    Returns
    -------
    (str, int or None) or None
        None for what belongs to no group.
    """
    store = getattr(df, kind)
    for ndd in df._groups:
        mine = ndd._tables if kind == "tables" else ndd._extras
        if mine is not None and mine.store is store:
            mine.ident = ndd.ident
            if (name := mine.name_of(key)) is not None:
                return name
    return None


def is_of_the_file(df: "DataFile", name: str) -> bool:
    """
    Say whether extensions of a name belong to no group, whatever their number.

    Parameters
    ----------
    df : DataFile
        The file.
    name : str
        EXTNAME.

    Returns
    -------
    bool
        True also of tables that the coordinates of an image of the file lie in.
    """
    known = OF_THE_FILE if df._layout is None else df._layout.of_the_file
    return name.upper() in known or any(
        one.name.upper() == name.upper()
        for ndd in df._groups
        if ndd._coordinate_tables is not None
        for one in references(ndd.meta)
    )


def free_version(df: "DataFile", hdu: HduMap) -> int | None:
    """
    Give the EXTVER of what belongs to no group, where it may not be the stored one.

    Parameters
    ----------
    df : DataFile
        The file.
    hdu : HduMap
        Where it is stored.

    Returns
    -------
    int or None
        A number that nobody has, where a group has the stored one, which would own it
        when the file is opened; None where the number stays.
    """
    if hdu.version is None or is_of_the_file(df, hdu.name):
        return None
    taken = {ident for ident in df.idents if isinstance(ident, int)}
    if hdu.version not in taken:
        return None
    stored = () if df._map is None else df._map.hdus
    versions = {h.version for h in stored if h.version is not None} | {hdu.version}
    # Those of one number stay together, and apart from those of another.
    return max(taken | versions) + sorted(taken & versions).index(hdu.version) + 1


def stored_tables(df: "DataFile") -> dict[int, str]:
    """
    Find in the place of which HDUs of its file the tables of a DataFile go.

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
    if df._layout is None:
        return found
    places = set(df._layout.tables.values())
    for name in df.tables:
        if (at := df.tables.places.get(name)) in places and at is not None:
            found.setdefault(at, name)
    return found


def table_to_write(df: "DataFile", name: str) -> tuple[HduMap | HduOut | bytes, bool]:
    """
    Give a table in the form in which it is written.

    Parameters
    ----------
    df : DataFile
        The file.
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
    if (owned := belonging_name(df, "tables", name)) is not None:
        written: str | None
        written, version = owned
    else:
        written, version = None, None if hdu is None else free_version(df, hdu)
    out = df.tables.to_write(name, version, written)
    source = None if df._map is None else df._map.source
    return out, out is not hdu or hdu is None or hdu.source != source
