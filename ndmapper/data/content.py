"""
What is in a file: its images, tables and record, and its primary header.

A DataFile has one, which it makes when it opens a file or is given images; saving and
copying work on it. Opening maps the headers only. The images are made of the map when
they are first asked for: in most scripts that is after the file was sorted into a list
by its name and primary header.
"""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Protocol, Self

import numpy as np
from astropy.nddata import NDData

from ndmapper.config import config
from ndmapper.data.array import LazyArray, register
from ndmapper.data.flags import Flag
from ndmapper.data.image import ImageContent, sharing_arrays, with_content
from ndmapper.data.lookup_tables import bring_lookup_tables
from ndmapper.data.ndlater import Extras, NDLater
from ndmapper.data.primary_header import caught_up
from ndmapper.data.tables import Belongings, TableStore
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.converted import (
    WithNoData,
    flags_handle,
    kind_of_uncertainty,
    mask_handle,
    open_array,
    stored_kind,
    variance_handle,
)
from ndmapper.io.filemap import FileMap, HduMap, map_file
from ndmapper.io.headers import StoredHeader
from ndmapper.io.labels import Ident, Labels
from ndmapper.io.layout import Group, Layout, find_layout
from ndmapper.io.record import SCHEMA, MadeAs, StoredRecord, made_as, open_record

__all__ = [
    "FileContent",
    "HasContent",
    "checked_images",
    "flag_no_data",
    "handle_of",
    "make_extras",
    "make_groups",
]


def make_groups(
    fmap: FileMap, layout: Layout, primary: StoredHeader, bad_flags: int | str
) -> list[NDLater]:
    """Make one NDLater for each group of a file, in file order; no pixels are read."""
    fmap.keep_headers()
    tables = CoordinateTables(fmap) if fmap.coordinate_hdus else None
    groups = [
        _make_group(fmap, layout, group, primary, bad_flags) for group in layout.groups
    ]
    for ndd in groups:
        ndd.content.coordinate_tables = tables
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
        handle = handle_of(hdu, name, layout.labels, fmap.hdus[group.data])
        parts[name] = LazyArray(
            handle,
            header=None
            if name == "data"
            else StoredHeader(hdu.image_raw, None, hdu.place, stored_kind(handle)),
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
    """Flag the pixels of an image as stored whose inverse variance says "no data"."""
    variance = ndd.content.arrays.get("uncertainty")
    if variance is None or variance.handle is None:
        return
    if stored_kind(variance.handle) != "ivar":
        return
    flags = ndd.content.arrays.get("flags")
    stored = None if flags is None else flags.handle
    if stored is not None and isinstance(stored.conversion, WithNoData):
        stored = stored.conversion.flags
    table = ndd.flag_table
    bit = table.like_own(Flag.NO_DATA) or table.like_own(Flag.BAD) or int(Flag.NO_DATA)
    handle = variance.handle.converted(WithNoData(stored, bit))
    if flags is None:
        ndd.content.arrays["flags"] = LazyArray(handle)
    else:
        flags.handle = handle


def _header_of(hdu: HduMap) -> StoredHeader:
    return StoredHeader(hdu.image_raw, place=hdu.place)


def handle_of(hdu: HduMap, part: str, labels: Labels, data: HduMap) -> ArrayHandle:
    """
    Make the handle of an array: it gives integers for flags, variances for errors.

    `data` is the HDU of the data that it belongs to.
    """
    if part == "uncertainty":
        kind = labels.uncertainty_is
        if labels.are_ccddata and kind_of_uncertainty(hdu) == "ivar":
            kind = "ivar"
        return variance_handle(hdu, data, kind)
    if labels.are_ccddata and part == "flags" and b"FLAGCONV=" not in hdu.image_raw:
        return mask_handle(hdu)
    return flags_handle(hdu) if part == "flags" else open_array(hdu)


def from_parts(
    parts: dict[str, LazyArray],
    header: StoredHeader,
    ident: Ident | None,
    primary: StoredHeader,
    data: HduMap,
    *,
    bad_flags: int | str,
) -> NDLater:
    """Put an NDLater of a file together; nothing is read."""
    content = ImageContent(bad_flags)
    content.arrays = parts
    content.stored = header
    content.primary = primary
    content.origin = (data.source, data.index)
    content.is_owned = True
    content.ident = ident
    return with_content(NDLater, content)


def make_extras(
    fmap: FileMap, layout: Layout, primary: StoredHeader, bad_flags: int | str
) -> Extras:
    """Make one NDLater for each image of a file that plays no part, by name."""
    made = {}
    for name, index in layout.extras.items():
        hdu = fmap.hdus[index]
        header = primary if index == 0 else _header_of(hdu)
        parts = {"data": LazyArray(open_array(hdu))}
        made[name] = from_parts(parts, header, None, primary, hdu, bad_flags=bad_flags)
    return Extras(primary, made, dict(layout.extras))


log = logging.getLogger(__name__)

HANDED_ON = "handed on"
"""In place of the fingerprint of what only the next step of a chain sees."""


class FileContent:
    """
    The content of a file; without its name, and what may be done with it.

    Parameters
    ----------
    labels : Labels
        Names of the extensions.
    fmap : FileMap, optional
        The map of the file; without one there is no content yet.
    layout : Layout, optional
        Which HDU of the map plays which part.
    """

    def __init__(
        self,
        labels: Labels,
        fmap: FileMap | None = None,
        layout: Layout | None = None,
    ) -> None:
        self.labels = labels
        self.map = fmap
        self.layout = layout
        self.primary = (
            StoredHeader()
            if fmap is None
            else StoredHeader(fmap.primary.image_raw, place=fmap.primary.place)
        )
        self.bad_flags: int | str = config["bad_flags"]
        """Bits, or names of flags, that make a pixel of its images masked."""
        self.tables = TableStore(fmap, layout)
        self.has_new_record = False
        """Whether the record was set since the file was opened or saved."""
        self.fingerprint: str | None = None
        """Of a product in memory, as it was made; see `saving.save.attach_record`."""
        self.masters: dict[str, Any] = {}
        """Calibrations in memory that it was made with, by their keys in its record."""
        self._record: list[dict[str, Any]] | None = None
        self._stored: StoredRecord | None = None
        self._groups: list[NDLater] | None = None
        self._extras: Extras | None = None

    @classmethod
    def open(cls, filename: str | os.PathLike[str], labels: Any = None) -> Self:
        """Map a file and find which HDU plays which part; only headers are read."""
        fmap = map_file(filename)
        layout = find_layout(fmap, labels)
        return cls(layout.labels, fmap, layout)

    @property
    def is_handed_on(self) -> bool:
        """Whether it is that of a product that only the next step of a chain sees."""
        return self.fingerprint == HANDED_ON

    # ---- images

    @property
    def groups(self) -> list[NDLater]:
        """The images in order, each with its uncertainty and flags."""
        if self._groups is None:
            self._groups = self._made_groups()
        return self._groups

    def _made_groups(self) -> list[NDLater]:
        if self.map is None or self.layout is None:
            return []
        groups = make_groups(self.map, self.layout, self.primary, self.bad_flags)
        for ndd, group in zip(groups, self.layout.groups, strict=True):
            image = ndd.content
            image.tables = Belongings(self.tables, group.tables, image.ident)
            image.extras = Belongings(self.extras, group.extras, image.ident, "extra")
        return groups

    @property
    def extras(self) -> Extras:
        """The images that are neither data nor uncertainty nor flags, by name."""
        if self._extras is None:
            if self.map is None or self.layout is None:
                self._extras = Extras(self.primary)
            else:
                self._extras = make_extras(
                    self.map, self.layout, self.primary, self.bad_flags
                )
        return self._extras

    @property
    def images(self) -> tuple[NDLater, ...]:
        """All images: groups and extras."""
        return (*self.groups, *self.extras.values())

    @property
    def made_arrays(self) -> list[LazyArray]:
        """The arrays of those images that were made so far."""
        extras = () if self._extras is None else self._extras.values()
        made = (*(self._groups or ()), *extras)
        return [part for ndd in made for part in ndd.content.arrays.values()]

    @property
    def outline(self) -> Sequence[NDLater | Group]:
        """The groups, or what the layout says of them while none was made."""
        if self._groups is None and self.layout is not None:
            return self.layout.groups
        return self.groups

    @property
    def idents(self) -> list[Ident | None]:
        """The idents of the groups in order; no image is made."""
        return [group.ident for group in self.outline]

    @property
    def unplaced(self) -> tuple[str, ...]:
        """Names of the extras that may be errors or masks of the data: of its shape."""
        if self.layout is None:
            return ()
        return tuple(name for name in self.layout.unplaced if name in self.extras)

    @property
    def is_untouched(self) -> bool:
        """True if no group, table or header was accessed: nothing can be modified."""
        return (
            self.layout is not None
            and self._groups is None
            and self._extras is None
            and self.labels is self.layout.labels
            and self.tables.is_untouched
            and not self.primary.is_touched
        )

    # ---- changes of the list of images

    def insert(self, index: int, item: Any) -> None:
        """Insert an image, which gets the next number unless its ident is free."""
        (item,) = checked_images([item])
        new = self._adopted(item)
        if new.ident is None or new.ident in self.idents:
            new.ident = _next_ident(self.idents)
        self._join(new)
        self._bring_lookup_tables(new)
        self.groups.insert(index, new)

    def replace(self, index: int, item: Any) -> None:
        """Put an image in the place of another, with its ident."""
        (item,) = checked_images([item])
        old = self.groups[index]
        new = self._adopted(item, old.ident)
        new.content.origin = old.content.origin
        self.groups[index] = new
        if item is old:  # as after ``df[0] -= 1``
            new.content.tables = old.content.tables
            new.content.extras = old.content.extras
        else:
            self._leave(old)
            self._join(new, old)
        self._bring_lookup_tables(new, old)

    def replace_slice(self, where: slice, items: Any) -> None:
        """Put images in the place of others, as a list does."""
        before = self.groups
        kept = list(before)
        kept[where] = [self._adopted(item) for item in checked_images(items)]
        _make_idents_unique(kept)
        self._groups = kept
        gone, come = _without(before, kept), _without(kept, before)
        for ndd in gone:
            self._leave(ndd)
        for ndd in come:
            same = [old for old in gone if old.ident == ndd.ident]
            self._join(ndd, same[0] if same else None)
            self._bring_lookup_tables(ndd)

    def keep_only(self, kept: list[NDLater]) -> None:
        """Remove the images that are not among `kept`, with what belongs to them."""
        for ndd in _without(self.groups, kept):
            self._leave(ndd)
        self._groups = kept

    def put_results(self, results: Iterable[NDLater], like: "FileContent") -> None:
        """Put results of arithmetic in the place of the images of a copy of `like`."""
        groups = [self._adopted(result, result.ident) for result in results]
        self._groups = groups
        for ndd, old in zip(groups, like.groups, strict=True):
            self._refer(ndd, old)
            self._bring_lookup_tables(ndd)

    def _adopted(self, item: Any, ident: Ident | None = None) -> NDLater:
        """Make an image of this file; what another file holds is not shared with it."""
        if isinstance(item, NDLater):
            new = item.copy() if item.content.is_owned else sharing_arrays(item)
            is_of_file = item.content.primary is self.primary
        else:
            new, is_of_file = NDLater(item), False
        image = new.content
        if is_of_file and image.in_primary:
            image.stored = caught_up(self.primary, image.stored)
        if image.in_primary and image.stored.raw == self.primary.raw and (
            not image.stored.is_touched and not self.primary.is_touched
            and image.stored.raw is not None and len(self.groups) == 0
        ):  # fmt: skip
            image.stored = self.primary
        image.keep_flag_table()
        image.primary = self.primary
        image.is_owned = True
        if ident is not None:
            new.ident = ident
        return new

    def _leave(self, ndd: NDLater) -> None:
        """Take what belongs to a group out of the file, with the group."""
        image = ndd.content
        for part in image.arrays.values():
            part.registered()  # it may be in use after the next save of this file
        if image.tables is not None:
            image.tables = image.tables.leave()
        if image.extras is not None:
            image.extras = image.extras.leave()

    def _join(self, ndd: NDLater, replaced: NDLater | None = None) -> None:
        """
        Take what belongs to a new group into the file.

        An image that never was in a file, such as an array, inherits what belonged to
        the one that it replaces.
        """
        image = ndd.content
        tables, extras = image.tables, image.extras
        if replaced is not None and not (image.has_belonged or tables or extras):
            tables, extras = replaced.content.tables, replaced.content.extras
        image.tables = Belongings(self.tables, None, image.ident)
        if tables is not None:
            image.tables = tables.join(self.tables, image.ident)
        image.extras = Belongings(self.extras, None, image.ident, "extra")
        if extras is not None:
            image.extras = extras.join(self.extras, image.ident)

    def _refer(self, ndd: NDLater, old: NDLater) -> None:
        """Find what belongs to an image of a copy in the copy."""
        if old.content.tables is not None:
            ndd.content.tables = old.content.tables.within(
                self.tables, ndd.content.ident
            )
        if old.content.extras is not None:
            ndd.content.extras = old.content.extras.within(
                self.extras, ndd.content.ident
            )

    def _bring_lookup_tables(
        self, ndd: NDLater, replaced: NDLater | None = None
    ) -> None:
        """Take the tables along that the coordinates of a new image need."""
        tables = ndd.content.coordinate_tables
        if tables is None:
            return
        is_own = self.map is not None and tables.source == self.map.source
        if is_own and tables.is_whole and not self.extras.lookups:
            return  # they are in this file
        bring_lookup_tables(ndd, self.groups, self.extras, self.tables, replaced)

    def drop_stale(self, name: str) -> None:
        """
        Drop planes that describe errors of pixels which were modified since.

        `name` is that of the file, for the warning.
        """
        if self.layout is None or self.map is None or not self.layout.further:
            return
        source = self.map.source
        gone = []
        for key, owners in self.layout.further.items():
            plane = self.extras.get(key)
            if plane is None:
                continue
            if plane.content.origin != (source, self.layout.extras[key]):
                continue
            if plane.content.arrays["data"].is_modified:
                continue  # set by the user, who knows what it should be
            its = [(source, index) for index in owners]
            about = [ndd for ndd in self.groups if ndd.content.origin in its]
            if any(map(_is_changed, about)):
                del self.extras[key]
                gone.append(key)
        if gone:
            log.warning(
                "%s: %s dropped, since the data are no longer those whose errors they "
                "are; the uncertainty itself was carried along",
                name or source.path, ", ".join(gone),
            )  # fmt: skip

    # ---- the record

    @property
    def record(self) -> list[dict[str, Any]]:
        """How the file was made, oldest step first; empty for a raw file."""
        if self._record is None:
            self._record = self._opened_record().rows()
            self._stored = None
        return self._record

    @record.setter
    def record(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._record = [dict(row) for row in rows]
        self.has_new_record = True
        self.fingerprint = None

    @property
    def made_as(self) -> MadeAs | None:
        """The key and digest in the record; no other entry is decoded for them."""
        if self._record is not None:
            return made_as(self._record)
        return self._opened_record().made_as

    def _opened_record(self) -> StoredRecord:
        if self._stored is None:
            if self.map is None:
                return StoredRecord((), SCHEMA)
            if self.layout is None or self.layout.record is None:
                self.map.source.check()  # else it is when the record is read
            self._stored = open_record(self.map)
        return self._stored

    @property
    def stored_record(self) -> HduMap | None:
        """The HDU of the record, where that is still the right one."""
        if self.has_new_record or self.map is None or self.layout is None:
            return None
        index = self.layout.record
        return None if index is None else self.map.hdus[index]

    # ---- copies, and the file on disk

    def copy(
        self, memo: dict[int, Any] | None = None, *, is_to_be_filled: bool = False
    ) -> "FileContent":
        """
        Copy without reading pixels; with a memo, as `copy.deepcopy` does.

        One that is to be filled has only the places of the images: others are put there
        before it is used.
        """
        new = object.__new__(FileContent)
        new.__dict__.update(self.__dict__)
        new.primary = self.primary.copy()
        new.tables = self.tables.copy()
        if (extras := self._extras) is not None:
            images = {n: new._copied(x, self, memo) for n, x in extras.items()}
            new._extras = Extras(new.primary, images, dict(extras.places))
            new._extras.family = extras.family
            new._extras.lookups = set(extras.lookups)
        if self._groups is not None:
            new._groups = [
                with_content(NDLater, ndd.content.as_place())
                if is_to_be_filled
                else new._copied(ndd, self, memo)
                for ndd in self._groups
            ]
            for ndd, old in zip(new._groups, self._groups, strict=True):
                new._refer(ndd, old)
        new._record = deepcopy(self._record)
        new._register()
        return new

    def _copied(
        self, ndd: NDLater, other: "FileContent", memo: dict[int, Any] | None
    ) -> NDLater:
        new = ndd.copy() if memo is None else deepcopy(ndd, memo)
        if ndd.content.stored is other.primary:
            new.content.stored = self.primary
        new.content.primary = self.primary
        new.content.is_owned = True
        return new

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._register()

    def _register(self) -> None:
        """Have the content read before this program replaces the file it is in."""
        if self.map is not None:
            register(self.map.source, self)

    def load(self) -> None:
        """Read what still lies in the file, as that is about to be replaced."""
        if self.map is None:
            return
        self.map.keep_headers()
        for ndd in self.images:
            for part in ndd.content.arrays.values():
                part.load()
        self.tables.load()

    def connect(self, fmap: FileMap) -> None:
        """Refer to the file that a save wrote, once the arrays of the images do."""
        self.primary.rebase(fmap.primary.image_raw)
        self.extras.connect()
        self.map = fmap
        self.layout = find_layout(fmap, self.labels, warn=False)
        tables = CoordinateTables(fmap) if fmap.coordinate_hdus else None
        found = {group.data: group for group in self.layout.groups}
        for ndd in self.groups:
            image = ndd.content
            image.coordinate_tables = tables
            if tables is not None and len(image.shape) == 1:
                image.coordinates = None  # those of the file are as good
            group = None if image.origin is None else found.get(image.origin[1])
            if group is None:
                continue
            if isinstance(ndd.ident, str) and isinstance(group.ident, str):
                # Of several that have one name, fewer may be left.
                ndd.ident = group.ident
            self._find_belongings(ndd, group)
        self.has_new_record = False
        self.fingerprint = None
        self._record = self._stored = None

    def _find_belongings(self, ndd: NDLater, group: Group) -> None:
        """Note what belongs to a group, as the file that was written has it."""
        assert self.layout is not None
        for store, names, places, what in (
            (self.tables, group.tables, self.layout.tables, "table"),
            (self.extras, group.extras, self.layout.extras, "extra"),
        ):
            keys = {at: key for key, at in store.places.items()}
            at = {name: places[key] for name, key in names.items()}
            found = {name: keys[i] for name, i in at.items() if i in keys}
            setattr(ndd.content, f"{what}s", Belongings(store, found, ndd.ident, what))


class HasContent(Protocol):
    """A DataFile as saving knows it: its content, and by its text a name for errors."""

    @property
    def content(self) -> FileContent:
        """What is in the file."""


def checked_images(items: Any) -> list[Any]:
    """List images, of which each is checked to be one before the first is used."""
    if isinstance(items, NDData | str):
        msg = f"a list of NDData was expected, not {type(items).__name__}"
        raise TypeError(msg)
    found = list(items)
    for item in found:
        if not isinstance(item, NDData | np.ndarray):
            msg = f"an NDData was expected, not {type(item).__name__}"
            raise TypeError(msg)
    return found


def _next_ident(taken: list[Ident | None]) -> int:
    """Return one more than the largest number among idents, at least 1."""
    return max([0, *(i for i in taken if isinstance(i, int))]) + 1


def _make_idents_unique(groups: list[NDLater]) -> None:
    taken: list[Ident | None] = []
    for ndd in groups:
        if ndd.ident is None or ndd.ident in taken:
            ndd.ident = _next_ident([g.ident for g in groups])
        taken.append(ndd.ident)


def _without(groups: list[NDLater], others: list[NDLater]) -> list[NDLater]:
    """Leave those out that others have as well."""
    known = {id(other) for other in others}
    return [ndd for ndd in groups if id(ndd) not in known]


def _is_changed(ndd: NDLater) -> bool:
    part = ndd.content.arrays["data"]
    if part.deferred is not None or part.handle is None or not part.handle.is_whole:
        return True
    return part.is_modified
