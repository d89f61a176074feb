"""What a DataFile holds, made from the map of its file as far as somebody looks."""

import copy
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from ndmapper.config import config
from ndmapper.data.array import Part, note
from ndmapper.data.filename import FileName
from ndmapper.data.group_list import GroupList
from ndmapper.data.groups import (
    make_extras,
    make_groups,
)
from ndmapper.data.ndlater import Extras, NDLater
from ndmapper.data.tables import Belongings, TableStore
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.errors import IdentError, MissingFileError
from ndmapper.io.filemap import FileMap, HduMap, map_file
from ndmapper.io.headers import Header, StoredHeader, UnreadableCardError, as_header
from ndmapper.io.labels import Labels, make_labels
from ndmapper.io.layout import Group, Layout, find_layout
from ndmapper.io.quickheader import HeaderValues, values_of
from ndmapper.io.record import read_records
from ndmapper.io.tables.convert import read_table
from ndmapper.io.wcstables import TableReference, references

log = logging.getLogger(__name__)

__all__ = ["Content", "refuse_same_idents", "take_coordinate_tables"]


def refuse_same_idents(df: "Content") -> None:
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
    tables = ndd.content.coordinate_tables
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
        arrays = ndd.content.arrays.values()
        for stored in (ndd.content.stored, *(part.header for part in arrays)):
            if stored is not None:
                stored.edit(edit)
        ndd.content.coordinate_tables = tables.renamed(names)


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
        if ndd.content.coordinate_tables is not None
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


def _is_changed(ndd: NDLater) -> bool:
    part = ndd.content.arrays["data"]
    if part.pending is not None or part.handle is None or not part.handle.is_whole:
        return True
    return part.is_modified


class Content(GroupList):
    """The content of a file, without its name and what can be done with it."""

    cals: dict[str, Any]
    expected_key: tuple[str, str] | None
    _filename: "FileName | None"
    _wanted_labels: Any

    def _start(self) -> None:
        """Become a file without content."""
        self._map: FileMap | None = None
        self._layout: Layout | None = None
        self._labels = make_labels(self._configured_labels())
        self._primary = StoredHeader()
        self._bad_flags: int | str = config["bad_flags"]
        self.tables = TableStore()
        self._record: list[dict[str, Any]] | None = None
        self._has_new_record = False
        self._fingerprint: str | None = None

    def _configured_labels(self) -> Any:
        given = self._wanted_labels
        return config["labels"] if given is None else given

    def _open(self) -> None:
        assert self._filename is not None
        if not self._filename:
            msg = "a file needs a name to be opened"
            raise MissingFileError(msg)
        fmap = map_file(self._filename)
        self._map = fmap
        self._layout = find_layout(fmap, self._wanted_labels)
        self._labels = self._layout.labels
        self._primary = StoredHeader(fmap.primary.image_raw, place=fmap.primary.place)
        self.tables = TableStore(fmap, self._layout)

    # Groups and extras are made from the map when somebody first looks at one: in most
    # scripts that is after the file was sorted into lists by its name and header.

    @cached_property
    def _groups(self) -> list[NDLater]:  # type: ignore[override]
        if self._map is None or self._layout is None:
            return []
        groups = make_groups(self._map, self._layout, self._primary, self._bad_flags)
        for ndd, group in zip(groups, self._layout.groups, strict=True):
            ndd.content.tables = Belongings(self.tables, group.tables, ndd.ident)
            ndd.content.extras = Belongings(
                self.extras, group.extras, ndd.ident, "extra"
            )
        return groups

    def _own(self, ndd: NDLater, group: Group) -> None:
        """Say what belongs to a group, as the file that was written has it."""
        assert self._layout is not None
        for kind, store, names, places in (
            ("tables", self.tables, group.tables, self._layout.tables),
            ("extras", self.extras, group.extras, self._layout.extras),
        ):
            keys = {at: key for key, at in store.places.items()}
            at = {name: places[key] for name, key in names.items()}
            found = {name: keys[i] for name, i in at.items() if i in keys}
            what = "extra" if kind == "extras" else "table"
            setattr(ndd.content, kind, Belongings(store, found, ndd.ident, what))

    def _leave(self, ndd: NDLater) -> None:
        for part in ndd.content.arrays.values():
            part.noted()  # whoever took it out may look at it after the next save
        if ndd.content.tables is not None:
            ndd.content.tables = ndd.content.tables.leave()
        if ndd.content.extras is not None:
            ndd.content.extras = ndd.content.extras.leave()

    def _join(self, ndd: NDLater, heir_of: NDLater | None = None) -> None:
        tables, extras = ndd.content.tables, ndd.content.extras
        if heir_of is not None and not (ndd.content.has_belonged or tables or extras):
            tables, extras = heir_of.content.tables, heir_of.content.extras
        ndd.content.tables = Belongings(self.tables, None, ndd.ident)
        if tables is not None:
            ndd.content.tables = tables.join(self.tables, ndd.ident)
        ndd.content.extras = Belongings(self.extras, None, ndd.ident, "extra")
        if extras is not None:
            ndd.content.extras = extras.join(self.extras, ndd.ident)

    def _take_coordinate_tables(
        self, ndd: NDLater, others: Sequence[NDLater], replaced: NDLater | None = None
    ) -> None:
        if ndd.content.coordinate_tables is not None:
            take_coordinate_tables(self, ndd, others, replaced)

    def _drop_stale(self) -> None:
        """Drop, and say so, what described the errors of pixels that are others now."""
        if self._layout is None or self._map is None or not self._layout.further:
            return
        source = self._map.source
        gone = []
        for name, owners in self._layout.further.items():
            plane, place = self.extras.get(name), self._layout.extras[name]
            if plane is None or plane.content.origin != (source, place):
                continue
            if plane.content.arrays["data"].is_modified:
                continue  # by somebody who knows what it should be
            its = [(source, i) for i in owners]
            about = [ndd for ndd in self._groups if ndd.content.origin in its]
            if any(map(_is_changed, about)):
                del self.extras[name]
                gone.append(name)
        if gone:
            log.warning(
                "%s: %s dropped, since the data are no longer those whose errors they "
                "are; the uncertainty itself was carried along",
                str(self) or source.path, ", ".join(gone),
            )  # fmt: skip

    # ---- what is in it

    @property
    def meta(self) -> Header:
        """The primary header."""
        return self._primary.header

    @meta.setter
    def meta(self, value: Mapping[str, Any]) -> None:
        self._primary.header = as_header(value)

    @property
    def header_values(self) -> HeaderValues:
        """The primary header to find values in, not parsed where nobody changed it."""
        return values_of(self._primary)

    @property
    def labels(self) -> Labels:
        """The names of the extensions; may be set to a preset or a mapping."""
        return self._labels

    @labels.setter
    def labels(self, value: Any) -> None:
        self._labels = make_labels(value)

    @property
    def unplaced(self) -> tuple[str, ...]:
        """Names of the extras that may be errors or masks of the data: of its shape."""
        if self._layout is None:
            return ()
        return tuple(name for name in self._layout.unplaced if name in self.extras)

    @property
    def record(self) -> list[dict[str, Any]]:
        """How the file was made, oldest step first; empty for a raw file."""
        if self._record is None:
            rows: list[dict[str, Any]] = []
            if self._map is not None:
                self._map.source.check()
                rows = read_records(self._map)
            self._record = rows
        return self._record

    @record.setter
    def record(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._record = [dict(row) for row in rows]
        self._has_new_record = True
        self._fingerprint = None

    @property
    def _stored_record(self) -> HduMap | None:
        """The HDU of the record, where that is still the right one."""
        if self._has_new_record or self._map is None or self._layout is None:
            return None
        index = self._layout.record
        return None if index is None else self._map.hdus[index]

    @cached_property
    def extras(self) -> Extras:
        """The images that are neither data nor uncertainty nor flags, by name."""
        if self._map is None or self._layout is None:
            return Extras(self._primary)
        return make_extras(self._map, self._layout, self._primary, self._bad_flags)

    @property
    def _is_untouched(self) -> bool:
        """Whether nobody can have changed anything, since nobody has looked."""
        made = self.__dict__
        return (
            self._layout is not None
            and "_groups" not in made
            and "extras" not in made
            and self._labels is self._layout.labels
            and self.tables.is_untouched
            and not self._primary.is_touched
        )

    @property
    def _outline(self) -> Sequence[NDLater | Group]:
        if "_groups" in self.__dict__ or self._layout is None:
            return self._groups
        return self._layout.groups

    def _copy(self, other: "Content", memo: dict[int, Any] | None = None) -> None:
        """Take over the content of another; with a memo, as copy.deepcopy does."""
        self._map, self._layout = other._map, other._layout
        if self._wanted_labels is None:
            self._labels = other._labels
        self._primary = other._primary.copy()
        self._bad_flags = other._bad_flags
        self.tables = other.tables.copy()
        made = other.__dict__
        if "extras" in made:
            extras = made["extras"]
            images = {n: self._adopted(x, other, memo) for n, x in extras.items()}
            self.extras = Extras(self._primary, images, dict(extras.places))
            self.extras.family = extras.family
            self.extras.lookups = set(extras.lookups)
        if "_groups" in made:
            self._groups = [self._adopted(ndd, other, memo) for ndd in made["_groups"]]
            for ndd, old in zip(self._groups, made["_groups"], strict=True):
                self._refer(ndd, old)
        self._record = copy.deepcopy(other._record)
        self._has_new_record = other._has_new_record
        self._fingerprint = other._fingerprint
        self.cals.update(
            other.cals if memo is None else copy.deepcopy(other.cals, memo)
        )
        self.expected_key = other.expected_key
        if self._map is not None:
            note(self._map.source, self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._map is not None:
            note(self._map.source, self)

    def keep(self) -> None:
        """Read what still lies in the file, as that is about to be replaced."""
        if self._map is None:
            return
        self._map.keep_headers()
        for ndd in (*self._groups, *self.extras.values()):
            for part in ndd.content.arrays.values():
                part.keep()
        self.tables.keep()

    def parts(self) -> list[Part]:
        """
        List the parts of all images, without making any.

        Returns
        -------
        list of Part
            The parts.
        """
        made = self.__dict__
        found = (*made.get("_groups", ()), *made.get("extras", {}).values())
        return [part for ndd in found for part in ndd.content.arrays.values()]

    def _adopted(
        self, ndd: NDLater, other: "Content", memo: dict[int, Any] | None
    ) -> NDLater:
        new = ndd.copy() if memo is None else copy.deepcopy(ndd, memo)
        if ndd.content.stored is other._primary:
            new.content.stored = self._primary
        new.content.primary = self._primary
        new.content.is_owned = True
        return new

    def _refer(self, ndd: NDLater, old: NDLater) -> None:
        if old.content.tables is not None:
            ndd.content.tables = old.content.tables.within(self.tables, ndd.ident)
        if old.content.extras is not None:
            ndd.content.extras = old.content.extras.within(self.extras, ndd.ident)
