"""What a save writes: the HDUs of a DataFile in order, copied where nothing changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ndmapper.data._forms import (
    described_like,
    extension_name,
    is_named,
    to_write,
    unit_card,
    with_kind,
)
from ndmapper.data._groups import refuse_same_idents
from ndmapper.data._merge import extension_header, merged_header, primary_header
from ndmapper.data._tables import new_version
from ndmapper.data.flags import name_flags
from ndmapper.data.ndlater import NDLater
from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.forms import stored_form
from ndmapper.io.headers import StoredHeader
from ndmapper.io.pack import wants_tiles
from ndmapper.io.record import is_record
from ndmapper.io.structure import array_header, carried_header
from ndmapper.io.tiles import TileHandle
from ndmapper.io.write import HduOut

if TYPE_CHECKING:
    from ndmapper.data.datafile import DataFile

__all__ = ["Item", "changes", "is_rearranged", "plan_items"]


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
        for ndd in self.groups:
            ndd._synced("uncertainty")
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
        tables = {h.index: n for n in df.tables if (h := df.tables.stored(n))}
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
                self._extra(extras[hdu.index], named=False)
            elif self._is_unknown(hdu):
                self.items.append(Item(hdu))
        self._groups_up_to(None)
        for name in df.tables:
            if df.tables.stored(name) is None:
                self._table(name)
        for name in df.extras:
            if name not in extras.values():
                self._extra(name, named=True)

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
            self._array(self.single, "data", header, primary=True, named=False)
            self.done.add((id(self.single), "data"))
            return
        extra = next(
            (n for n in df.extras.values() if n._stored is df._primary), None
        )  # fmt: skip
        if extra is not None:
            self._array(extra, "data", df._primary, primary=True, named=False)
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
        source = self.df._map.source
        return {
            ndd._origin[1]: name
            for name, ndd in self.df.extras.items()
            if ndd._origin is not None and ndd._origin[0] == source
            and ndd._origin[1] in layout.extras.values()
        }  # fmt: skip

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
            header = ndd._parts[part].header or described_like(ndd)
        # A section, or an array that was replaced, has no header that names it.
        named = not self.as_in_file or header.raw is None
        self._array(ndd, part, header, primary=False, named=named)

    def _array(
        self,
        ndd: NDLater,
        part: str,
        stored: StoredHeader,
        *,
        primary: bool,
        named: bool,
    ) -> None:
        source = ndd._parts[part]
        as_std = part == "uncertainty" and self.df._labels.uncertainty_is == "std"
        is_ccddata = self.df._labels.are_ccddata
        data = to_write(source, as_std=as_std, is_ccddata=is_ccddata)
        names = extension_name(self.df, ndd, part) if named else (None, None)
        name, version = names
        unit = unit_card(ndd, part, as_std=as_std, is_new=stored.raw is None)
        unnamed = part == "flags" and ndd._must_name_flags()
        same = isinstance(data, ArrayHandle) and not stored.is_touched and not unnamed
        right = name is None or is_named(stored, name, version)
        if same and right and stored.raw is not None and unit is None:
            self.items.append(
                Item(self._out(stored.raw, data, source.handle), None, ndd, part)
            )
            return
        if unnamed or (part == "flags" and not isinstance(data, ArrayHandle)):
            stored = stored.copy()
            name_flags(stored.header, ndd.flag_table)
        if part == "uncertainty" and not isinstance(data, ArrayHandle):
            stored = with_kind(stored, as_std=as_std, is_ccddata=is_ccddata)
        made = array_header(
            stored, stored_form(data), primary=primary, name=name, version=version,
            unit=unit,
        )  # fmt: skip
        what = ",".join(map(str, extension_name(self.df, ndd, part)))
        self.items.append(Item(self._out(made, data, source.handle), what, ndd, part))

    def _extra(self, name: str, *, named: bool) -> None:
        ndd = self.df.extras[name]
        if len(ndd._parts) > 1:
            msg = (
                f"the extra {name!r} of {self.df} has an uncertainty or flags, which "
                "only groups have; append it to the file instead"
            )
            raise FormatError(msg)
        if ndd._stored is self.df._primary:
            return
        source = ndd._parts["data"]
        data = to_write(source, as_std=False)
        raw = ndd._stored.raw
        if isinstance(data, ArrayHandle) and raw and not ndd._is_modified and not named:
            out = self._out(raw, data, source.handle)
            self.items.append(Item(out, None, ndd, "data"))
            return
        made = array_header(
            ndd._stored, stored_form(data), primary=False, name=name if named else None,
            unit=unit_card(ndd, "data", as_std=False, is_new=raw is None),
        )  # fmt: skip
        out = self._out(made, data, source.handle)
        self.items.append(Item(out, name, ndd, "data"))

    def _out(self, header: bytes, data: Any, before: ArrayHandle | None) -> HduOut:
        """Put an image together, compressed where it was, or where that is asked."""
        like = before if isinstance(before, TileHandle) else None
        is_tiled = like is not None if self.is_tiled is None else self.is_tiled
        return HduOut(header, data, is_tiled, like)

    def _table(self, name: str) -> None:
        out = self.df.tables.to_write(name, new_version(self.df, self.place, name))
        changed = None if isinstance(out, HduMap) else name
        self.items.append(Item(out, changed, table=name))


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
