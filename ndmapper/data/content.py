"""What a DataFile holds, made from the map of its file as far as somebody looks."""

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ndmapper.config import config
from ndmapper.data._listing import GroupList
from ndmapper.data.array import Part, note
from ndmapper.data.groups import (
    Extras,
    make_extras,
    make_groups,
    take_coordinate_tables,
)
from ndmapper.data.ndlater import NDLater
from ndmapper.data.tables import Belongings, TableStore
from ndmapper.errors import MissingFileError
from ndmapper.io.filemap import FileMap, map_file
from ndmapper.io.headers import StoredHeader
from ndmapper.io.layout import Group, Layout, find_layout, make_labels

if TYPE_CHECKING:
    from ndmapper.data.datafile import DataFile
    from ndmapper.data.filename import FileName

__all__ = ["Content"]


class Content(GroupList):
    """The content of a file, without its name and what can be done with it."""

    cals: "dict[str, DataFile]"
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
            ndd._tables = Belongings(self.tables, group.tables, ndd.ident)
            ndd._extras = Belongings(self.extras, group.extras, ndd.ident, "extra")
        return groups

    def _own(self, ndd: NDLater, group: Group) -> None:
        """Say what belongs to a group, as the file that was written has it."""
        assert self._layout is not None
        for kind, store, names, places in (
            ("_tables", self.tables, group.tables, self._layout.tables),
            ("_extras", self.extras, group.extras, self._layout.extras),
        ):
            keys = {at: key for key, at in store.places.items()}
            at = {name: places[key] for name, key in names.items()}
            found = {name: keys[i] for name, i in at.items() if i in keys}
            what = "extra" if kind == "_extras" else "table"
            setattr(ndd, kind, Belongings(store, found, ndd.ident, what))

    def _leave(self, ndd: NDLater) -> None:
        for part in ndd._parts.values():
            part.noted()  # whoever took it out may look at it after the next save
        if ndd._tables is not None:
            ndd._tables = ndd._tables.leave()
        if ndd._extras is not None:
            ndd._extras = ndd._extras.leave()

    def _join(self, ndd: NDLater, heir_of: NDLater | None = None) -> None:
        tables, extras = ndd._tables, ndd._extras
        if heir_of is not None and not (ndd._has_belonged or tables or extras):
            tables, extras = heir_of._tables, heir_of._extras
        ndd._tables = Belongings(self.tables, None, ndd.ident)
        if tables is not None:
            ndd._tables = tables.join(self.tables, ndd.ident)
        ndd._extras = Belongings(self.extras, None, ndd.ident, "extra")
        if extras is not None:
            ndd._extras = extras.join(self.extras, ndd.ident)

    def _take_coordinate_tables(
        self, ndd: NDLater, others: Sequence[NDLater], replaced: NDLater | None = None
    ) -> None:
        if ndd._coordinate_tables is not None:
            take_coordinate_tables(self, ndd, others, replaced)

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
            for part in ndd._parts.values():
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
        return [part for ndd in found for part in ndd._parts.values()]

    def _adopted(
        self, ndd: NDLater, other: "Content", memo: dict[int, Any] | None
    ) -> NDLater:
        new = ndd.copy() if memo is None else copy.deepcopy(ndd, memo)
        if ndd._stored is other._primary:
            new._stored = self._primary
        new._primary = self._primary
        new._is_owned = True
        return new

    def _refer(self, ndd: NDLater, old: NDLater) -> None:
        if old._tables is not None:
            ndd._tables = old._tables.within(self.tables, ndd.ident)
        if old._extras is not None:
            ndd._extras = old._extras.within(self.extras, ndd.ident)
