"""The tables of a file, and those of one group."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from astropy.table import Table

from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
    FormatError,
    MissingFileError,
)
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.headers import StoredHeader
from ndmapper.io.layout import Layout
from ndmapper.io.structure import carried_header
from ndmapper.io.tables import encode_table, read_table
from ndmapper.io.tableupdate import updated_table
from ndmapper.io.write import HduOut

if TYPE_CHECKING:
    from ndmapper.data.datafile import DataFile
    from ndmapper.data.ndlater import NDLater

__all__ = ["GroupTables", "TableStore", "new_version"]


class GroupTables(Mapping[str, Table]):
    """
    The tables that belong to one group of a file.

    Parameters
    ----------
    tables : mapping of str to Table
        The tables of the file.
    names : dict of str to str
        Of each table of the group, its name there and in the file.
    """

    def __init__(self, tables: Mapping[str, Table], names: dict[str, str]) -> None:
        self._tables = tables
        self._names = names

    def __getitem__(self, name: str) -> Table:
        return self._tables[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return (name for name, key in self._names.items() if key in self._tables)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<tables: {', '.join(self) or 'none'}>"


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


class TableStore(MutableMapping[str, Table]):
    """
    The tables of a file by name, each read when somebody looks at it.

    Parameters
    ----------
    fmap : FileMap, optional
        The map of the file.
    layout : Layout, optional
        Which HDUs are tables.
    """

    def __init__(
        self, fmap: FileMap | None = None, layout: Layout | None = None
    ) -> None:
        self._hdus: dict[str, HduMap | None] = {}
        self._loaded: dict[str, Table] = {}
        if fmap is not None and layout is not None:
            self._hdus = {n: fmap.hdus[i] for n, i in layout.tables.items()}
        self._in_file = len(self._hdus)

    @property
    def is_untouched(self) -> bool:
        """Whether nobody has looked at a table, nor added or removed one."""
        return not self._loaded and len(self._hdus) == self._in_file

    def __getitem__(self, name: str) -> Table:
        if name not in self._loaded:
            hdu = self._hdus[name]
            assert hdu is not None
            self._loaded[name] = read_table(hdu)
        return self._loaded[name]

    def __setitem__(self, name: str, table: Any) -> None:
        if not isinstance(name, str) or not name:
            msg = f"a table needs a name, not {name!r}"
            raise FormatError(msg)
        self._loaded[name] = table if isinstance(table, Table) else Table(table)
        self._hdus.setdefault(name, None)

    def __delitem__(self, name: str) -> None:
        del self._hdus[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hdus)

    def __len__(self) -> int:
        return len(self._hdus)

    def __contains__(self, name: object) -> bool:
        return name in self._hdus

    def __repr__(self) -> str:
        return f"<tables: {', '.join(self._hdus) or 'none'}>"

    def copy(self) -> "TableStore":
        """
        Copy; tables that nobody looked at stay in their file.

        Returns
        -------
        TableStore
            A change to one never shows in the other.
        """
        new = TableStore()
        new._hdus = dict(self._hdus)
        new._loaded = {name: table.copy() for name, table in self._loaded.items()}
        return new

    def to_write(
        self, name: str, version: int | None = None
    ) -> HduMap | HduOut | bytes:
        """
        Give a table in the form in which it is written.

        Parameters
        ----------
        name : str
            Its name.
        version : int, optional
            EXTVER, where that is not the stored one.

        Returns
        -------
        HduMap, HduOut or bytes
            The stored HDU if nobody changed the table.
        """
        hdu = self._hdus[name]
        if hdu is None:
            return encode_table(self._loaded[name], name, version)
        if name in self._loaded:
            made = self._updated(name, hdu, version)
            if made is not None:
                return made
        if version in (None, hdu.version):
            return hdu
        header = hdu.header.copy()
        header["EXTVER"] = version
        return HduOut(carried_header(StoredHeader(hdu.raw, header)), hdu)

    def _updated(self, name: str, hdu: HduMap, version: int | None) -> bytes | None:
        """Write a table that somebody looked at; None if it is as it is stored."""
        try:
            return updated_table(self._loaded[name], hdu, version)
        except (MissingFileError, FileAccessError, FileChangedError):
            # The file is gone, or another one by now: this is all that there is.
            written = str(hdu.keys.get("EXTNAME") or "").strip()
            version = hdu.version if version is None else version
            return encode_table(self._loaded[name], written, version)

    def stored(self, name: str) -> HduMap | None:
        """
        Say where a table is stored.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        HduMap or None
            Its HDU; None for a new table.
        """
        return self._hdus[name]

    def connect(self, name: str, hdu: HduMap) -> None:
        """
        Take over where a save wrote a table.

        Parameters
        ----------
        name : str
            Its name.
        hdu : HduMap
            Where it is stored now.
        """
        self._hdus[name] = hdu
