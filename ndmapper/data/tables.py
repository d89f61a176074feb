"""The tables of a file, and those that belong to a group."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol, Self

from astropy.table import Table

from ndmapper.data.array import register
from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
    FormatError,
    MissingFileError,
    MissingTableError,
    did_you_mean,
)
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.hdu import HduOut, carried_header
from ndmapper.io.headers import StoredHeader
from ndmapper.io.labels import Ident
from ndmapper.io.layout import Layout
from ndmapper.io.tables.convert import encode_table, read_table
from ndmapper.io.tables.update import updated_table

__all__ = [
    "Belongings",
    "Store",
    "TableStore",
    "checked_name",
    "missing_table",
]


def checked_name(name: Any, what: str = "table") -> None:
    """Raise FormatError if something cannot name a table, or another `what`."""
    if not isinstance(name, str) or not name:
        article = "an" if what[0] in "aeiou" else "a"
        msg = f"{article} {what} needs a name, not {name!r}"
        raise FormatError(msg)


def missing_table(
    name: object, known: Iterable[str], what: str = "table"
) -> MissingTableError:
    """Make the error for a table that is not there, with the nearest known name."""
    return MissingTableError(
        f"there is no {what} {name!r}{did_you_mean(str(name), known)}"
    )


class TableStore(MutableMapping[str, Table]):
    """
    The tables of a file by name, each read when it is accessed.

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
        self.family = object()  # which it shares with its copies
        self._hdus: dict[str, HduMap | None] = {}
        self._loaded: dict[str, Table] = {}
        if fmap is not None and layout is not None:
            self._hdus = {n: fmap.hdus[i] for n, i in layout.tables.items()}
        self._in_file = dict(self._hdus)
        self.places = {n: hdu.index for n, hdu in self._hdus.items() if hdu is not None}

    @property
    def is_untouched(self) -> bool:
        """Whether no table was accessed, added or removed."""
        return not self._loaded and self._hdus == self._in_file

    def __getitem__(self, name: str) -> Table:
        if name not in self._loaded:
            hdu = self._known(name)
            assert hdu is not None
            self._loaded[name] = read_table(hdu)
        return self._loaded[name]

    def __setitem__(self, name: str, table: Any) -> None:
        checked_name(name)
        self._loaded[name] = table if isinstance(table, Table) else Table(table)
        self._hdus.setdefault(name, None)

    def __delitem__(self, name: str) -> None:
        self._known(name)
        del self._hdus[name]
        self._loaded.pop(name, None)

    def _known(self, name: str) -> HduMap | None:
        if name not in self._hdus:
            raise missing_table(name, self)
        return self._hdus[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._hdus)

    def __len__(self) -> int:
        return len(self._hdus)

    def __contains__(self, name: object) -> bool:
        return name in self._hdus

    def __repr__(self) -> str:
        return f"<tables: {', '.join(self._hdus) or 'none'}>"

    def copy(self, names: Iterable[str] | None = None) -> "TableStore":
        """
        Copy all tables, or some; those that were not accessed stay in their file.

        A change to one never shows in the other.
        """
        new = TableStore()
        new.family = self.family
        new.places = dict(self.places)
        for name in list(self._hdus) if names is None else names:
            new.take_over(name, self, name)
        return new

    def take_over(self, name: str, other: "TableStore", key: str) -> None:
        """Copy a table of another file, where it stays unless it was accessed."""
        self._hdus[name] = stored = other.stored(key)
        self._loaded.pop(name, None)
        if (loaded := other.loaded(key)) is not None:
            self._loaded[name] = loaded.copy()
        if stored is not None:
            register(stored.source, self)

    def add_stored(self, name: str, hdu: HduMap) -> str:
        """
        Add a table of another file, unread, unless it is there already.

        Returns its name here, which is another one where that was taken.
        """
        for key, known in self._hdus.items():
            if known and (known.source, known.index) == (hdu.source, hdu.index):
                return key
        while name in self._hdus:
            name += "_"
        self._hdus[name] = hdu
        register(hdu.source, self)
        return name

    def load(self) -> None:
        """Read what still lies in a file, as that is about to be replaced."""
        for name in self:
            _ = self[name]

    def to_write(
        self, name: str, version: int | None = None, written: str | None = None
    ) -> HduMap | HduOut | bytes:
        """
        Return a table as it is written: the stored HDU if it is unchanged.

        `version` is its EXTVER where that may not be the stored one, and `written` its
        EXTNAME where that may be neither the stored one nor the name.
        """
        hdu = self._hdus[name]
        if hdu is None:
            return encode_table(self._loaded[name], written or name, version)
        before = str(hdu.keys.get("EXTNAME") or "").strip()
        if not before or written is None or written.upper() == before.upper():
            written = None
        if version == hdu.version:
            version = None
        if name in self._loaded:
            try:
                made = updated_table(self._loaded[name], hdu, version, written)
            except (MissingFileError, FileAccessError, FileChangedError):
                # The file is gone or was replaced: only what is in memory is left.
                version = hdu.version if version is None else version
                made = encode_table(self._loaded[name], written or before, version)
            if made is not None:
                return made
        if version is None and written is None:
            return hdu
        header = hdu.header.copy()
        if version is not None:
            header["EXTVER"] = version
        if written is not None:
            header["EXTNAME"] = written
        return HduOut(carried_header(StoredHeader(hdu.raw, header)), hdu)

    def stored(self, name: str) -> HduMap | None:
        """Return the HDU that a table is stored in; None for a new one."""
        return self._hdus[name]

    def loaded(self, name: str) -> Table | None:
        """Return a table if it is in memory."""
        return self._loaded.get(name)

    def connect(self, name: str, hdu: HduMap) -> None:
        """Refer to where a save wrote a table."""
        self._hdus[name] = hdu
        self.places[name] = hdu.index


class Store(Protocol):
    """The tables, or the extra images, of a whole file."""

    family: object

    def copy(self, names: Iterable[str] | None = None) -> Any:
        """Copy all or some; what was not accessed stays in its file."""

    def take_over(self, name: str, other: Any, key: str) -> None:
        """Copy one of another file, where it stays unless it was accessed."""

    def __getitem__(self, name: str) -> Any: ...

    def __setitem__(self, name: str, value: Any) -> None: ...

    def __delitem__(self, name: str) -> None: ...

    def __iter__(self) -> Iterator[str]: ...

    def __contains__(self, name: object) -> bool: ...


class Belongings(MutableMapping[str, Any]):
    """
    The tables, or the extra images, that belong to one group of a file.

    What is put here gets the EXTVER of the group, or its name, when the file is saved.

    Parameters
    ----------
    store : Store
        Those of the file; one of its own for a group that is in none.
    names : mapping of str to str
        The name in the group, and that in the file.
    ident : int or str, optional
        What names the group.
    what : str
        What they are, for errors.
    """

    def __init__(
        self,
        store: Store,
        names: Mapping[str, str] | None = None,
        ident: Ident | None = None,
        what: str = "table",
    ) -> None:
        self.store = store
        self.ident = ident
        self._names = dict(names or {})
        self._what = what

    def __getitem__(self, name: str) -> Any:
        return self.store[self._known(name)]

    def __setitem__(self, name: str, value: Any) -> None:
        checked_name(name, self._what)
        key = self._names.get(name) or self._new_key(name)
        self.store[key] = value
        self._names[name] = key

    def __delitem__(self, name: str) -> None:
        del self.store[self._known(name)]
        del self._names[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, key in self._names.items() if key in self.store)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._names.get(name) in self.store

    def __repr__(self) -> str:
        return f"<{self._what}s: {', '.join(self) or 'none'}>"

    def _known(self, name: str) -> str:
        if name not in self:
            raise missing_table(name, self, self._what)
        return self._names[name]

    def _new_key(self, name: str) -> str:
        """Name one in the file, as it will be named when that is opened."""
        key = name
        if isinstance(self.ident, str):
            key = self._full_name(name)
        elif any(k == name or k.startswith(f"{name}_") for k in self.store):
            key = f"{name}_{self.ident}"
        while key in self.store:
            key += "_"
        return key

    def _full_name(self, name: str) -> str:
        """Return EXTNAME."""
        if not isinstance(self.ident, str) or name.upper() == self.ident.upper():
            return name
        return f"{self.ident}.{name}"

    def name_of(self, key: str) -> tuple[str, int | None] | None:
        """
        Return EXTNAME and EXTVER of one of these by its name in the file, else None.

        The EXTVER is None for a group that has a name.
        """
        name = next((name for name, k in self._names.items() if k == key), None)
        if name is None:
            return None
        version = self.ident if isinstance(self.ident, int) else None
        return self._full_name(name), version

    def within(self, store: Store, ident: Ident | None) -> Self:
        """Refer to the same ones in the store of a copy of the file."""
        return type(self)(store, self._names, ident, self._what)

    def detached(self) -> Self:
        """Copy them for a group that is in no file; what is unread stays unread."""
        keys = [key for key in self._names.values() if key in self.store]
        return self.within(self.store.copy(keys), self.ident)

    def leave(self) -> Self:
        """Take them out of the file, as their group is taken out."""
        new = self.detached()
        for name in list(self):
            del self.store[self._names[name]]
        return new

    def join(self, store: Store, ident: Ident | None) -> Self:
        """Copy them into the store of another file, which their group joins."""
        new = type(self)(store, None, ident, self._what)
        for name in self:
            new.take_over(name, self.store, self._names[name])
        return new

    def take_over(self, name: str, other: Store, key: str) -> None:
        """Copy one from the store of another file, where it is called `key`."""
        is_of_file = other.family is self.store.family
        own = key if is_of_file and key not in self.store else self._new_key(name)
        self.store.take_over(own, other, key)
        self._names[name] = own
