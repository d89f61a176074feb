"""Which HDUs a file gets, in order: copied where nothing changed, or written anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ndmapper.data.content import Content, refuse_same_idents
from ndmapper.data.flags import name_flags
from ndmapper.data.ndlater import NDLater
from ndmapper.data.primary_header import (
    extension_header,
    merged_header,
    primary_header,
    replaced_header,
)
from ndmapper.data.saving.hdus import (
    Name,
    described_like,
    extension_name,
    filled,
    is_named,
    is_relabelled,
    kept_name,
    to_write,
    unit_card,
    with_kind,
)
from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.converted import (
    ConvertedHandle,
    InverseHandle,
    NoDataHandle,
    RescaledHandle,
)
from ndmapper.io.filemap import HduMap
from ndmapper.io.hdu import HduOut, stored_form
from ndmapper.io.headers import StoredHeader
from ndmapper.io.layout import OF_THE_FILE
from ndmapper.io.record import is_record
from ndmapper.io.structure import array_header, carried_header
from ndmapper.io.tiles.read import TileHandle
from ndmapper.io.tiles.write import wants_tiles
from ndmapper.io.wcstables import references

__all__ = [
    "Item",
    "belonging_name",
    "changes",
    "free_version",
    "is_of_the_file",
    "is_rearranged",
    "plan_items",
    "stored_tables",
    "table_to_write",
]


@dataclass(frozen=True)
class Item:
    """
    One HDU that a save writes.

    Parameters
    ----------
    out : HduMap, HduOut or bytes
        What is written.
    changed : str or None
        What of it differs from the file, in words; None if nothing does.
    ndd : NDLater, optional
        Whose array it is.
    part : str, optional
        Which of its arrays.
    table : str, optional
        Name of the table that it is.
    """

    out: HduMap | HduOut | bytes
    changed: str | None = None
    ndd: NDLater | None = None
    part: str | None = None
    table: str | None = None


def changes(items: list[Item]) -> Iterator[str]:
    """
    Say what differs from the file.

    Parameters
    ----------
    items : list of Item
        What a save would write.

    Yields
    ------
    str
        For instance ``"SCI,1"``.
    """
    for item in items:
        if item.changed is not None:
            yield item.changed


def belonging_name(df: Content, kind: str, key: str) -> Name | None:
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
        mine = ndd.content.tables if kind == "tables" else ndd.content.extras
        if mine is not None and mine.store is store:
            mine.ident = ndd.ident
            if (name := mine.name_of(key)) is not None:
                return name
    return None


def is_of_the_file(df: Content, name: str) -> bool:
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
        if ndd.content.coordinate_tables is not None
        for one in references(ndd.meta)
    )


def free_version(df: Content, hdu: HduMap) -> int | None:
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


def stored_tables(df: Content) -> dict[int, str]:
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


def table_to_write(df: Content, name: str) -> tuple[HduMap | HduOut | bytes, bool]:
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


def plan_items(df: Content, target: Path | None = None) -> list[Item]:
    """
    List the HDUs of a DataFile as they are written, without its record.

    Parameters
    ----------
    df : DataFile
        The file.
    target : Path, optional
        Where they are written. Images are compressed in tiles where it ends in .fz,
        and stay as they were in other files, except that those of an .fz are plain.

    Returns
    -------
    list of Item
        In order. HDUs of the file it was opened from keep their place.

    Raises
    ------
    FormatError
        If FITS cannot hold something in it.
    """
    return _Plan(df, target).items


class _Plan:
    """The work of `plan_items`: state that its parts share."""

    def __init__(self, df: Content, target: Path | None = None) -> None:
        self.df = df
        self.hdus = () if df._map is None else df._map.hdus
        source = None if df._map is None else df._map.source.path
        self.is_tiled = wants_tiles(source, target)
        self.kind = df._labels.uncertainty_is
        self.groups = list(df._groups)
        refuse_same_idents(df)
        for ndd in (*self.groups, *df.extras.values()):
            ndd.content.synced("uncertainty")
            ndd.content.settle_wcs()
        self.items: list[Item] = []
        self.done: set[tuple[int, str]] = set()
        self.place = self._places()
        self.as_in_file = self._is_as_in_file()
        self.single = self._single_image()
        self.counts: dict[str, int] = {}
        self._primary()
        self._walk()
        self._count()

    def _single_image(self) -> NDLater | None:
        """Find the image that stays in the primary HDU, if there is one."""
        inside = [ndd for ndd in self.groups if ndd.content.in_primary]
        if self.as_in_file and len(inside) == 1 and self.place.get(0) is inside[0]:
            return inside[0]
        if len(self.groups) != 1:
            return None
        only = self.groups[0]
        if self.df._labels.in_primary and only.ident == 1:
            return only
        # CCDData has it there, and the other arrays behind it.
        usual = self.df._labels.are_ccddata and only.ident == 1
        alone = len(only.content.arrays) == 1 or usual or self.as_in_file
        return only if only.content.in_primary and alone else None

    def _is_told(self, ndd: NDLater, part: str) -> bool:
        """Whether flags are no array of their own: inverse variances of 0 say them."""
        handle = ndd.content.arrays[part].handle
        return (
            part == "flags"
            and isinstance(handle, NoDataHandle)
            and handle.flags is None
            and self._tells_no_data(ndd, handle)
            and not ndd.content.arrays[part].is_modified
        )

    def _tells_no_data(self, ndd: NDLater, handle: NoDataHandle) -> bool:
        """Whether the variances that are written say which pixels have none."""
        variance = ndd.content.arrays.get("uncertainty")
        if variance is None or not handle.is_whole:
            return False
        if self.kind != "ivar":
            is_kept = self.df._labels.are_ccddata and not variance.is_modified
            return is_kept and isinstance(variance.handle, InverseHandle)
        if not variance.is_loaded:
            return True  # what is computed of no variance is none
        return not np.isfinite(variance.peek()[~handle.weights.is_measured()]).any()

    # ---- the order of HDUs

    def _places(self) -> dict[int, NDLater]:
        """Find which group took the place of the data in which HDU."""
        found: dict[int, NDLater] = {}
        if self.df._map is None:
            return found
        for ndd in self.groups:
            origin = ndd.content.origin
            if origin is None or origin[0] != self.df._map.source:
                continue
            found.setdefault(origin[1], ndd)
        return found

    def _is_as_in_file(self) -> bool:
        """Whether the file has these groups, with these names, and these alone."""
        layout = self.df._layout
        if layout is None or layout.labels != self.df._labels:
            return False
        return len(layout.groups) == len(self.groups) and all(
            self.place.get(group.data) is ndd
            and group.ident == ndd.ident
            and {n for n in ndd.content.arrays if not self._is_told(ndd, n)}
            == set(group.hdus)
            for group, ndd in zip(layout.groups, self.groups, strict=True)
        )

    def _walk(self) -> None:
        """Go through the HDUs of the file, then add what is new."""
        df = self.df
        order = [self._rank(self.place[place]) for place in sorted(self.place)]
        in_order = order == sorted(order)
        tables = stored_tables(df)
        extras = self._stored_extras()
        owners = self._owners()
        if 0 in self.place and self.single is None:
            self._groups_up_to(self.place[0])
        for hdu in self.hdus[1:]:
            if (owner := owners.get(hdu.index)) is not None:
                self._groups_at(hdu, owner, owners if in_order else None)
            elif hdu.index in tables:
                self._table(tables[hdu.index])
            elif hdu.index in extras:
                self._extra(extras[hdu.index], hdu)
            elif self._is_unknown(hdu):
                self._carried(hdu)
        self._groups_up_to(None)
        for name in df.tables:
            if name not in tables.values():
                self._table(name)
        for name in df.extras:
            if name not in extras.values():
                self._extra(name, None)

    def _owners(self) -> dict[int, tuple[NDLater, str]]:
        """Find whose array goes where each HDU was."""
        owners: dict[int, tuple[NDLater, str]] = {}
        for group in () if self.df._layout is None else self.df._layout.groups:
            if (ndd := self.place.get(group.data)) is not None:
                owners |= {index: (ndd, part) for part, index in group.hdus.items()}
        return owners

    def _groups_at(
        self,
        hdu: HduMap,
        owner: tuple[NDLater, str],
        owners: dict[int, tuple[NDLater, str]] | None,
    ) -> None:
        """Write an array in its place; where groups changed places, all of them."""
        if owners is None:
            self._groups_up_to(None)
            return
        ndd, part = owner
        self._new_before(ndd)
        self._part(ndd, part)
        if hdu.index == max(i for i, (other, _) in owners.items() if other is ndd):
            self._groups_up_to(ndd)

    def _is_unknown(self, hdu: HduMap) -> bool:
        """Whether nobody knows what an HDU is, so that it is carried along."""
        assert self.df._layout is not None
        if hdu.index in self.df._layout.known or is_record(hdu):
            return False
        # HST leaves places empty, which may have been filled since.
        split = None if hdu.data_size else self.df._labels.split(hdu.name)
        filled = [ndd for ndd in self.groups if split and ndd.has(split[1])]
        return split is None or (hdu.name, hdu.number) not in [
            extension_name(self.df, ndd, split[1]) for ndd in filled
        ]

    def _carried(self, hdu: HduMap) -> None:
        """Carry along what nobody knows; what is empty goes with its group."""
        layout = self.df._layout
        assert layout is not None
        group = next((g for g in layout.groups if g.ident == hdu.version), None)
        if group is None or hdu.data_size or is_of_the_file(self.df, hdu.name):
            self.items.append(Item(hdu))
        elif (ndd := self.place.get(group.data)) is not None:
            split = self.df._labels.split(hdu.name)
            if split is not None and split[1] in ndd.content.arrays:
                return  # filled since
            if ndd.ident == group.ident or not isinstance(ndd.ident, int):
                self.items.append(Item(hdu))
            else:
                stored = StoredHeader(hdu.raw)
                stored.header["EXTVER"] = ndd.ident
                out = HduOut(carried_header(stored), hdu)
                self.items.append(Item(out, f"{hdu.name},{ndd.ident}"))

    def _rank(self, ndd: NDLater) -> int:
        return next(i for i, other in enumerate(self.groups) if other is ndd)

    def _new_before(self, ndd: NDLater) -> None:
        """Write the new groups that stand right before one of the file."""
        rank = self._rank(ndd)
        known = {id(other) for other in self.place.values()}
        for other in self.groups[:rank]:
            if id(other) not in known:
                self._group(other)

    def _groups_up_to(self, ndd: NDLater | None) -> None:
        """Write one group, and all before it that are not written; None for all."""
        if ndd is None:
            for other in self.groups:
                self._group(other)
        else:
            self._new_before(ndd)
            self._group(ndd)

    def _count(self) -> None:
        """Put the numbers of extensions right where they are other than they were."""
        layout = self.df._layout
        before = {"NEXTEND": -1, "NSCIEXT": -1}
        if layout is not None:
            before["NEXTEND"] = sum(not is_record(hdu) for hdu in self.hdus) - 1
            before["NSCIEXT"] = len(layout.groups)
        now = {"NEXTEND": len(self.items) - 1, "NSCIEXT": len(self.groups)}
        header = self.df._primary.header if now != before else {}
        self.counts = {
            key: n for key, n in now.items() if key in header and n != before[key]
        }
        if self.counts:
            rest, self.items = self.items[1:], []
            self.done -= {(id(self.single), "data")}
            self._primary()
            self.items += rest

    def _file_header(self) -> StoredHeader:
        """Give the primary header, with the numbers of extensions that there are."""
        stored = self.df._primary
        wanted = {k: n for k, n in self.counts.items() if stored.header.get(k) != n}
        if wanted:
            stored = stored.copy()
            stored.header.update(wanted)
        return stored

    # ---- the HDUs

    def _primary(self) -> None:
        df = self.df
        file_header = self._file_header()
        touched = "primary header" if file_header.is_touched else None
        if self.single is not None:
            header = self._header_in_primary(file_header, self.single)
            self._array(self.single, "data", header, None, primary=True)
            self.done.add((id(self.single), "data"))
            return
        if (name := self._stored_extras().get(0)) is not None:
            extra = df.extras[name]
            header = self._header_in_primary(file_header, extra)
            in_place = self._extra_name(name, self.hdus[0], header)
            self._array(extra, "data", header, in_place, primary=True, words=name)
            return
        stored = primary_header(file_header, self.groups)
        is_empty = bool(self.hdus) and not self.hdus[0].data_size
        raw = stored.raw
        if raw is not None and is_empty and not stored.is_touched:
            self.items.append(Item(HduOut(raw)))
            return
        if self.hdus and not is_empty and not self.hdus[0].is_image:
            # Random groups are carried along as they are.
            header_bytes = carried_header(file_header)
            self.items.append(Item(HduOut(header_bytes, self.hdus[0]), touched))
            return
        what = touched or ("primary image" if self.hdus else None)
        header_bytes = array_header(stored, None, primary=True)
        self.items.append(Item(HduOut(header_bytes), what))

    @staticmethod
    def _header_in_primary(file_header: StoredHeader, ndd: NDLater) -> StoredHeader:
        """Make the primary header of an image, which may be of an extension."""
        combine = merged_header if ndd.content.in_primary else replaced_header
        return combine(file_header, ndd.content.stored)

    def _stored_extras(self) -> dict[int, str]:
        layout = self.df._layout
        if layout is None or self.df._map is None:
            return {}
        free, extras = set(layout.extras.values()), self.df.extras
        # Of several from one place it is the one that has its name.
        found = {at: name for name in extras if (at := extras.places.get(name)) in free}
        for name, ndd in extras.items():
            origin = ndd.content.origin
            if origin is None or origin[0] != self.df._map.source:
                continue
            index = origin[1]
            if index in free and name not in found.values():
                found.setdefault(index, name)
        return found

    def _group(self, ndd: NDLater) -> None:
        for part in ("data", "uncertainty", "flags"):
            self._part(ndd, part)

    def _part(self, ndd: NDLater, part: str) -> None:
        if part not in ndd.content.arrays or (id(ndd), part) in self.done:
            return
        if self._is_told(ndd, part):
            return
        self.done.add((id(ndd), part))
        if part == "data":
            header = ndd.content.stored
            if ndd.content.in_primary:
                header = extension_header(ndd.content.stored)
        else:
            header = ndd.content.arrays[part].header or self._left_empty(ndd, part)
        self._array(ndd, part, header, self._name(ndd, part, header))

    def _left_empty(self, ndd: NDLater, part: str) -> StoredHeader:
        """Make the header of a new array, of that of the HDU that HST left empty."""
        header = described_like(ndd)
        at = next((at for at, other in self.place.items() if other is ndd), None)
        layout = self.df._layout
        for group in () if layout is None or at is None else layout.groups:
            if group.data == at:
                name = self.df._labels.join(group.ident, part)
        for hdu in self.hdus[1:] if at is not None else ():
            if not hdu.data_size and (hdu.name, hdu.version or 1) == name:
                return filled(StoredHeader(hdu.image_raw), header)
        return header

    def _name(self, ndd: NDLater, part: str, stored: StoredHeader) -> Name | None:
        """Find EXTNAME and EXTVER; None where the header has the right ones."""
        if not self.as_in_file:
            return extension_name(self.df, ndd, part)
        assert self.df._layout is not None
        assert ndd.content.origin is not None
        groups = self.df._layout.groups
        at = next(group for group in groups if group.data == ndd.content.origin[1])
        hdu = self.hdus[at.hdus[part]]
        if not hdu.index:  # the image that was in the primary HDU
            return extension_name(self.df, ndd, part)
        return kept_name(hdu, stored)

    def _array(
        self,
        ndd: NDLater,
        part: str,
        stored: StoredHeader,
        name: Name | None,
        *,
        primary: bool = False,
        words: str | None = None,
    ) -> None:
        source = ndd.content.arrays[part]
        kind = self.kind if part == "uncertainty" else "variance"
        is_ccddata = self.df._labels.are_ccddata
        data = to_write(
            source, kind=kind, data_dtype=ndd.dtype, is_ccddata=is_ccddata,
            is_relabelled=isinstance(source.handle, RescaledHandle)
            and is_relabelled(ndd),
        )  # fmt: skip
        if isinstance(data, NoDataHandle):
            told = data.flags is not None and self._tells_no_data(ndd, data)
            data = data.flags if told else source.values()
        if name is not None and is_named(stored, *name):
            name = None
        is_new = not isinstance(data, ArrayHandle)
        unit = unit_card(
            ndd, part, kind=kind, is_new=stored.raw is None, is_copied=not is_new
        )
        unnamed = part == "flags" and ndd.content.must_name_flags()
        if not isinstance(data, ConvertedHandle) and (is_new or is_ccddata):
            # What such a file would take for standard deviations, or for a mask.
            if part == "uncertainty":
                stored = with_kind(
                    stored, kind=kind, is_ccddata=is_ccddata, is_new=is_new
                )
            elif part == "flags":
                unnamed = unnamed or is_new or "FLAGCONV" not in stored.header
        same = not is_new and not stored.is_touched and not unnamed
        if same and name is None and stored.raw is not None and unit is None:
            out = self._out(stored.raw, data, source.handle)
            is_here = self.df._map is None or data.source == self.df._map.source
            if is_here:
                self.items.append(Item(out, None, ndd, part))
                return
        else:
            if unnamed:
                stored = stored.copy()
                name_flags(stored.header, ndd.flag_table)
            made = array_header(
                stored, stored_form(data), primary=primary, unit=unit,
                name=None if name is None else name[0],
                version=None if name is None else name[1],
            )  # fmt: skip
            out = self._out(made, data, source.handle)
        if words is None:
            words = ",".join(map(str, extension_name(self.df, ndd, part)))
        self.items.append(Item(out, words, ndd, part))

    def _extra(self, name: str, hdu: HduMap | None) -> None:
        ndd = self.df.extras[name]
        if len(ndd.content.arrays) > 1:
            msg = (
                f"the extra {name!r} of {self.df} has an uncertainty or flags, which "
                "only groups have; append it to the file instead"
            )
            raise FormatError(msg)
        stored = ndd.content.stored
        if ndd.content.in_primary:  # what was in the primary HDU, here or elsewhere
            stored = extension_header(stored)
        in_place = self._extra_name(name, hdu, stored)
        self._array(ndd, "data", stored, in_place, words=name)

    def _extra_name(
        self, name: str, hdu: HduMap | None, stored: StoredHeader
    ) -> Name | None:
        """Find EXTNAME and EXTVER of an extra; None where the header has them."""
        if (owned := belonging_name(self.df, "extras", name)) is not None:
            return owned
        if name in self.df.extras.lookups:
            return None  # it has the name and number that other headers lead to
        if hdu is None or self.df.extras.places.get(name) != hdu.index:
            return name, None
        kept = kept_name(hdu, stored)
        version = free_version(self.df, hdu)
        return kept if version is None else (kept[0] if kept else hdu.name, version)

    def _out(self, header: bytes, data: Any, before: ArrayHandle | None) -> HduOut:
        """Put an image together, compressed where it was, or where that is asked."""
        like = before if isinstance(before, TileHandle) else None
        is_tiled = like is not None if self.is_tiled is None else self.is_tiled
        return HduOut(header, data, is_tiled, like)

    def _table(self, name: str) -> None:
        out, is_changed = table_to_write(self.df, name)
        self.items.append(Item(out, name if is_changed else None, table=name))


def is_rearranged(df: Content, items: list[Item]) -> bool:
    """
    Say whether there are other HDUs than in the file, or in another order.

    Parameters
    ----------
    df : DataFile
        The file.
    items : list of Item
        What a save would write.

    Returns
    -------
    bool
        True for a file that is new.
    """
    if df._map is None or df._layout is None:
        return True
    count = sum(not is_record(hdu) for hdu in df._map.hdus)
    return len(items) != count or not _Plan(df).as_in_file
