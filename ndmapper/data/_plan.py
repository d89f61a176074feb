"""What a save writes: the HDUs of a DataFile in order, copied where nothing changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ndmapper.data._forms import (
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
from ndmapper.data._groups import refuse_same_idents
from ndmapper.data._items import Item
from ndmapper.data._merge import (
    extension_header,
    merged_header,
    primary_header,
    replaced_header,
)
from ndmapper.data._tableplan import new_version, stored_tables, table_to_write
from ndmapper.data.flags import name_flags
from ndmapper.data.ndlater import NDLater
from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.ccddata import ConvertedHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.forms import stored_form
from ndmapper.io.headers import StoredHeader
from ndmapper.io.pack import wants_tiles
from ndmapper.io.record import is_record
from ndmapper.io.rescaled import RescaledHandle
from ndmapper.io.structure import array_header, carried_header
from ndmapper.io.tiles import TileHandle
from ndmapper.io.write import HduOut

if TYPE_CHECKING:
    from ndmapper.data.datafile import DataFile

__all__ = ["is_rearranged", "plan_items"]


def plan_items(df: "DataFile", target: Path | None = None) -> list[Item]:
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

    def __init__(self, df: "DataFile", target: Path | None = None) -> None:
        self.df = df
        self.hdus = () if df._map is None else df._map.hdus
        source = None if df._map is None else df._map.source.path
        self.is_tiled = wants_tiles(source, target)
        self.groups = list(df._groups)
        refuse_same_idents(df)
        for ndd in (*self.groups, *df.extras.values()):
            ndd._synced("uncertainty")
            ndd._settle_wcs()
        self.items: list[Item] = []
        self.done: set[tuple[int, str]] = set()
        self.place = self._places()
        self.as_in_file = self._is_as_in_file()
        self.single = self._single_image()
        self._primary()
        self._walk()

    def _single_image(self) -> NDLater | None:
        """Find the image that stays in the primary HDU, if there is one."""
        if len(self.groups) != 1 or not self.groups[0]._in_primary:
            return None
        only = self.groups[0]
        # CCDData has it there, and the other arrays behind it.
        usual = self.df._labels.are_ccddata and only.ident == 1
        return only if len(only._parts) == 1 or usual or self.as_in_file else None

    # ---- the order of HDUs

    def _places(self) -> dict[int, NDLater]:
        """Find which group took the place of the data in which HDU."""
        found: dict[int, NDLater] = {}
        if self.df._map is None:
            return found
        for ndd in self.groups:
            if ndd._origin is None or ndd._origin[0] != self.df._map.source:
                continue
            found.setdefault(ndd._origin[1], ndd)
        return found

    def _is_as_in_file(self) -> bool:
        """Whether the file has these groups, with these names, and these alone."""
        layout = self.df._layout
        if layout is None or layout.labels != self.df._labels:
            return False
        return len(layout.groups) == len(self.groups) and all(
            self.place.get(group.data) is ndd
            and group.ident == ndd.ident
            and set(ndd._parts) == set(group.hdus)
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
                self.items.append(Item(hdu))
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
        filled = [ndd for ndd in self.groups if split and split[1] in ndd._parts]
        return split is None or (hdu.name, hdu.number) not in [
            extension_name(self.df, ndd, split[1]) for ndd in filled
        ]

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

    # ---- the HDUs

    def _primary(self) -> None:
        df = self.df
        touched = "primary header" if df._primary.is_touched else None
        if self.single is not None:
            header = merged_header(df._primary, self.single._stored)
            self._array(self.single, "data", header, None, primary=True)
            self.done.add((id(self.single), "data"))
            return
        if (name := self._stored_extras().get(0)) is not None:
            extra = df.extras[name]
            combine = merged_header if extra._in_primary else replaced_header
            header = combine(df._primary, extra._stored)
            in_place = self._extra_name(name, self.hdus[0], header)
            self._array(extra, "data", header, in_place, primary=True, words=name)
            return
        stored = primary_header(df._primary, self.groups)
        is_empty = bool(self.hdus) and not self.hdus[0].data_size
        raw = stored.raw
        if raw is not None and is_empty and not stored.is_touched:
            self.items.append(Item(HduOut(raw)))
            return
        if self.hdus and not is_empty and not self.hdus[0].is_image:
            # Random groups are carried along as they are.
            header_bytes = carried_header(df._primary)
            self.items.append(Item(HduOut(header_bytes, self.hdus[0]), touched))
            return
        what = touched or ("primary image" if self.hdus else None)
        header_bytes = array_header(stored, None, primary=True)
        self.items.append(Item(HduOut(header_bytes), what))

    def _stored_extras(self) -> dict[int, str]:
        layout = self.df._layout
        if layout is None or self.df._map is None:
            return {}
        found: dict[int, str] = {}
        for name, ndd in self.df.extras.items():
            if ndd._origin is None or ndd._origin[0] != self.df._map.source:
                continue
            index = ndd._origin[1]
            # Of several from one place it is the one that has its name.
            if index in layout.extras.values() and (
                index not in found or self.df.extras.places.get(name) == index
            ):
                found[index] = name
        return found

    def _group(self, ndd: NDLater) -> None:
        for part in ("data", "uncertainty", "flags"):
            self._part(ndd, part)

    def _part(self, ndd: NDLater, part: str) -> None:
        if part not in ndd._parts or (id(ndd), part) in self.done:
            return
        self.done.add((id(ndd), part))
        if part == "data":
            header = ndd._stored
            if ndd._in_primary:
                header = extension_header(self.df._primary, ndd._stored)
        else:
            header = ndd._parts[part].header or self._left_empty(ndd, part)
        self._array(ndd, part, header, self._name(ndd, part, header))

    def _left_empty(self, ndd: NDLater, part: str) -> StoredHeader:
        """Make the header of a new array, of that of the HDU that HST left empty."""
        name = extension_name(self.df, ndd, part)
        header = described_like(ndd)
        for hdu in self.hdus[1:]:
            if not hdu.data_size and (hdu.name, hdu.version or 1) == name:
                return filled(StoredHeader(hdu.image_raw), header)
        return header

    def _name(self, ndd: NDLater, part: str, stored: StoredHeader) -> Name | None:
        """Find EXTNAME and EXTVER; None where the header has the right ones."""
        if not self.as_in_file:
            return extension_name(self.df, ndd, part)
        assert self.df._layout is not None
        assert ndd._origin is not None
        groups = self.df._layout.groups
        at = next(group for group in groups if group.data == ndd._origin[1])
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
        source = ndd._parts[part]
        as_std = part == "uncertainty" and self.df._labels.uncertainty_is == "std"
        is_ccddata = self.df._labels.are_ccddata
        data = to_write(
            source, as_std=as_std, data_dtype=ndd.dtype, is_ccddata=is_ccddata,
            is_relabelled=isinstance(source.handle, RescaledHandle)
            and is_relabelled(ndd),
        )  # fmt: skip
        if name is not None and is_named(stored, *name):
            name = None
        is_new = not isinstance(data, ArrayHandle)
        unit = unit_card(
            ndd, part, as_std=as_std, is_new=stored.raw is None, is_copied=not is_new
        )
        unnamed = part == "flags" and ndd._must_name_flags()
        if not isinstance(data, ConvertedHandle) and (is_new or is_ccddata):
            # What such a file would take for standard deviations, or for a mask.
            if part == "uncertainty":
                stored = with_kind(
                    stored, as_std=as_std, is_ccddata=is_ccddata, is_new=is_new
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
        if len(ndd._parts) > 1:
            msg = (
                f"the extra {name!r} of {self.df} has an uncertainty or flags, which "
                "only groups have; append it to the file instead"
            )
            raise FormatError(msg)
        stored = ndd._stored
        if ndd._in_primary:  # what was in the primary HDU, here or elsewhere
            stored = extension_header(StoredHeader(), stored)
        in_place = self._extra_name(name, hdu, stored)
        self._array(ndd, "data", stored, in_place, words=name)

    def _extra_name(
        self, name: str, hdu: HduMap | None, stored: StoredHeader
    ) -> Name | None:
        """Find EXTNAME and EXTVER of an extra; None where the header has them."""
        if hdu is None or self.df.extras.places.get(name) != hdu.index:
            return name, None
        kept = kept_name(hdu, stored)
        version = new_version(self.df, self.place, hdu)
        return kept if version is None else (kept[0] if kept else hdu.name, version)

    def _out(self, header: bytes, data: Any, before: ArrayHandle | None) -> HduOut:
        """Put an image together, compressed where it was, or where that is asked."""
        like = before if isinstance(before, TileHandle) else None
        is_tiled = like is not None if self.is_tiled is None else self.is_tiled
        return HduOut(header, data, is_tiled, like)

    def _table(self, name: str) -> None:
        out, is_changed = table_to_write(self.df, self.place, name)
        self.items.append(Item(out, name if is_changed else None, table=name))


def is_rearranged(df: "DataFile", items: list[Item]) -> bool:
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
