"""From the map of a file to the groups, tables and extras of a DataFile."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from astropy.table import Table

from ndmapper.data._parts import Part
from ndmapper.data.ndlater import NDLater
from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.headers import StoredHeader
from ndmapper.io.layout import Group, Ident, Layout
from ndmapper.io.tables import encode_table, read_table

__all__ = ["TableStore", "make_extras", "make_groups", "next_ident"]


def make_groups(
    fmap: FileMap, layout: Layout, primary: StoredHeader, bad_flags: int | str
) -> list[NDLater]:
    """
    Make one NDLater for each group of a file; no pixels are read.

    Parameters
    ----------
    fmap : FileMap
        The map of the file.
    layout : Layout
        Which HDU plays which part.
    primary : StoredHeader
        The primary header, which the groups refer to.
    bad_flags : int or str
        Bits, or names of flags, that make a pixel masked.

    Returns
    -------
    list of NDLater
        In file order.
    """
    fmap.keep_headers()
    return [
        _make_group(fmap, layout, group, primary, bad_flags) for group in layout.groups
    ]


def _make_group(
    fmap: FileMap,
    layout: Layout,
    group: Group,
    primary: StoredHeader,
    bad_flags: int | str,
) -> NDLater:
    parts = {}
    for name, index in group.hdus.items():
        hdu = fmap.hdus[index]
        parts[name] = Part(
            ArrayHandle.of(hdu),
            header=None if name == "data" else StoredHeader(hdu.image_raw),
            is_std=name == "uncertainty" and layout.labels.uncertainty_is == "std",
        )
    # An image in the primary HDU has one header, which is that of the file.
    data = fmap.hdus[group.data]
    header = primary if group.data == 0 else StoredHeader(data.image_raw)
    return from_parts(parts, header, group.ident, primary, data, bad_flags=bad_flags)


def from_parts(
    parts: dict[str, Part],
    header: StoredHeader,
    ident: Ident | None,
    primary: StoredHeader,
    data: HduMap,
    *,
    bad_flags: int | str,
) -> NDLater:
    """
    Put an NDLater together; nothing is read.

    Parameters
    ----------
    parts : dict of str to Part
        The arrays.
    header : StoredHeader
        The header of the data.
    ident : int or str or None
        Name of the group.
    primary : StoredHeader
        The primary header of the file.
    data : HduMap
        Where the data are.
    bad_flags : int or str
        Bits, or names of flags, that make a pixel masked.

    Returns
    -------
    NDLater
        The NDLater.
    """
    ndd = object.__new__(NDLater)
    ndd._start_empty(bad_flags)
    ndd._parts = parts
    ndd._stored = header
    ndd._primary = primary
    ndd._origin = (data.source, data.index)
    ndd._is_owned = True
    ndd.ident = ident
    return ndd


def make_extras(
    fmap: FileMap, layout: Layout, primary: StoredHeader, bad_flags: int | str
) -> dict[str, NDLater]:
    """
    Make one NDLater for each image that plays no part; no pixels are read.

    Parameters
    ----------
    fmap : FileMap
        The map of the file.
    layout : Layout
        Which HDU plays which part.
    primary : StoredHeader
        The primary header.
    bad_flags : int or str
        Bits, or names of flags, that make a pixel masked.

    Returns
    -------
    dict of str to NDLater
        By name, in file order.
    """
    made = {}
    for name, index in layout.extras.items():
        hdu = fmap.hdus[index]
        header = primary if index == 0 else StoredHeader(hdu.image_raw)
        parts = {"data": Part(ArrayHandle.of(hdu))}
        made[name] = from_parts(parts, header, None, primary, hdu, bad_flags=bad_flags)
    return made


def next_ident(taken: list[Ident | None]) -> int:
    """
    Find the ident of a group that is appended.

    Parameters
    ----------
    taken : list of int or str or None
        The idents that there are.

    Returns
    -------
    int
        One more than the largest number, at least 1.
    """
    return max([0, *(i for i in taken if isinstance(i, int))]) + 1


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

    def to_write(self, name: str) -> HduMap | bytes:
        """
        Give a table in the form in which it is written.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        HduMap or bytes
            The stored HDU if nobody changed the table.
        """
        hdu = self._hdus[name]
        if hdu is None:
            return encode_table(self._loaded[name], name)
        if not self.is_modified(name):
            return hdu
        written = str(hdu.keys.get("EXTNAME") or "").strip()
        return encode_table(self._loaded[name], written, hdu.version)

    def is_modified(self, name: str) -> bool:
        """
        Say whether a table differs from the file, or is in no file.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        bool
            False for a table that nobody looked at.
        """
        hdu = self._hdus[name]
        if name not in self._loaded:
            return False
        if hdu is None:
            return True
        # Both are written out: that tells every difference that would be saved.
        return encode_table(self._loaded[name], "T") != encode_table(
            read_table(hdu), "T"
        )

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
