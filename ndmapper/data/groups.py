"""
The images of a file: made of its map, its groups under a name, the others as extras.

Nothing is read when they are made. What belongs to an image, such as the tables that
its coordinates lie in, is taken along when the image gets another place in a file.
"""

from collections import UserDict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.nddata import NDData

from ndmapper.data.array import Part
from ndmapper.data.flags import Flag
from ndmapper.data.ndlater import NDLater
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.errors import IdentError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.converted import (
    InverseHandle,
    NoDataHandle,
    flags_handle,
    in_unit_of_data,
    inverse_handle,
    mask_handle,
    no_data_handle,
    weighed_handle,
)
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.headers import Header, StoredHeader, UnreadableCardError
from ndmapper.io.layout import Group, Ident, Labels, Layout
from ndmapper.io.tables.convert import read_table
from ndmapper.io.tiles.read import open_array
from ndmapper.io.wcstables import TableReference, references

if TYPE_CHECKING:
    from ndmapper.data.content import Content
    from ndmapper.data.datafile import DataFile

__all__ = [
    "Extras",
    "flag_no_data",
    "handle_of",
    "make_extras",
    "make_groups",
    "next_ident",
    "refuse_same_idents",
    "take_coordinate_tables",
]


class Extras(UserDict[str, NDLater]):
    """
    Images by name, each an NDLater of the file's own.

    Parameters
    ----------
    primary : StoredHeader
        The primary header of the file.
    images : dict of str to NDLater
        The images that the file has, which are taken as they are.
    places : dict of str to int
        Which HDU of the file has which of these names.
    """

    def __init__(
        self,
        primary: StoredHeader,
        images: dict[str, NDLater] | None = None,
        places: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.family = object()  # which it shares with its copies
        self._primary = primary
        self.data = {} if images is None else images
        self.places = {} if places is None else places
        self.lookups: set[str] = set()  # those of sections, that are in no file yet

    def connect(self) -> None:
        """Take over the places that a save gave the images, with the names here."""
        self.places = {
            name: image._origin[1]
            for name, image in self.data.items()
            if image._origin is not None
        }
        self.lookups = set()

    def put_lookup(self, name: str, image: NDLater) -> None:
        """
        Put a lookup table of coordinates here, that has its EXTNAME and EXTVER.

        Parameters
        ----------
        name : str
            Its name here.
        image : NDLater
            The table.
        """
        self[name] = image
        self.lookups.add(name)

    def copy(self, names: Iterable[str] | None = None) -> "Extras":
        """
        Copy; nothing is read.

        Parameters
        ----------
        names : iterable of str, optional
            Which images; None takes all.

        Returns
        -------
        Extras
            A change to one never shows in the other.
        """
        new = Extras(StoredHeader(), None, dict(self.places))
        new.family = self.family
        for name in list(self.data) if names is None else names:
            new.take_over(name, self, name)
        return new

    def take_over(self, name: str, other: "Extras", key: str) -> None:
        """
        Copy an image of another file, unread.

        Parameters
        ----------
        name : str
            Its name here.
        other : Extras
            The images of the other file.
        key : str
            Its name there.
        """
        image = other.data[key].copy()
        image._primary = self._primary
        image._is_owned = True
        self.data[name] = image

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(value, NDData | np.ndarray):
            msg = f"an extra is an image, so an NDData, not a {type(value).__name__}"
            raise TypeError(msg)
        old = self.data.get(name)
        if value is old:
            return
        if isinstance(value, NDLater):
            image = value.copy() if value._is_owned else value._view()
            if value._stored is self._primary:
                image._stored = self._primary
        else:
            image = NDLater(value)
        if old is not None:  # it goes where that was
            image._origin = old._origin
        image._primary = self._primary
        image._is_owned = True
        self.data[str(name)] = image


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
    tables = CoordinateTables.of(fmap)
    groups = [
        _make_group(fmap, layout, group, primary, bad_flags) for group in layout.groups
    ]
    for ndd in groups:
        ndd._coordinate_tables = tables
    return groups


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
            handle_of(hdu, name, layout.labels, fmap.hdus[group.data]),
            header=None
            if name == "data"
            else StoredHeader(hdu.image_raw, place=hdu.place),
            is_std=name == "uncertainty" and layout.labels.uncertainty_is == "std",
        )
    # An image in the primary HDU has one header, which is that of the file.
    data = fmap.hdus[group.data]
    header = (
        primary if group.data == 0 else StoredHeader(data.image_raw, place=data.place)
    )
    ndd = from_parts(parts, header, group.ident, primary, data, bad_flags=bad_flags)
    flag_no_data(ndd)
    return ndd


def flag_no_data(ndd: NDLater) -> None:
    """
    Flag the pixels whose inverse variance says that nothing was measured.

    Parameters
    ----------
    ndd : NDLater
        An image as it lies in a file; others stay as they are.
    """
    variance = ndd._parts.get("uncertainty")
    if variance is None or not isinstance(variance.handle, InverseHandle):
        return
    flags = ndd._parts.get("flags")
    stored = None if flags is None else flags.handle
    if isinstance(stored, NoDataHandle):
        stored = stored.flags
    table = ndd.flag_table
    bit = table.like_own(Flag.NO_DATA) or table.like_own(Flag.BAD) or int(Flag.NO_DATA)
    handle = no_data_handle(variance.handle, stored, bit)
    if flags is None:
        ndd._parts["flags"] = Part(handle)
    else:
        flags.handle = handle


def _header_of(hdu: HduMap) -> StoredHeader:
    return StoredHeader(hdu.image_raw, place=hdu.place)


def handle_of(hdu: HduMap, part: str, labels: Labels, data: HduMap) -> ArrayHandle:
    """
    Make the handle of an array.

    Parameters
    ----------
    hdu : HduMap
        Where it is.
    part : str
        What it is.
    labels : Labels
        The labels of the file.
    data : HduMap
        Where the data are that it belongs to.

    Returns
    -------
    ArrayHandle
        One that gives integers for flags, and for the uncertainty what they say.
    """
    if part == "uncertainty" and labels.uncertainty_is == "ivar":
        return inverse_handle(hdu)
    if part == "uncertainty":
        handle = weighed_handle(hdu) if labels.are_ccddata else open_array(hdu)
        is_std = labels.uncertainty_is == "std"
        return in_unit_of_data(handle, hdu, data, is_std=is_std)
    if labels.are_ccddata and part == "flags" and b"FLAGCONV=" not in hdu.image_raw:
        return mask_handle(hdu)
    return flags_handle(hdu) if part == "flags" else open_array(hdu)


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
) -> Extras:
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
    Extras
        By name, in file order.
    """
    made = {}
    for name, index in layout.extras.items():
        hdu = fmap.hdus[index]
        header = primary if index == 0 else _header_of(hdu)
        parts = {"data": Part(open_array(hdu))}
        made[name] = from_parts(parts, header, None, primary, hdu, bad_flags=bad_flags)
    return Extras(primary, made, dict(layout.extras))


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


def refuse_same_idents(df: "DataFile") -> None:
    """
    Refuse two groups of one name, which nobody could tell apart in a file.

    Parameters
    ----------
    df : DataFile
        What is to be saved.

    Raises
    ------
    IdentError
        If there are two.
    """
    idents = df.idents
    for n, ident in enumerate(idents):
        if ident in idents[:n]:
            msg = (
                f"{df!r} has two extensions {ident!r}; give one of them another ident, "
                "or call renumber()"
            )
            raise IdentError(msg)


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
