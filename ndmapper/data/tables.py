"""The tables of a file, and those that belong to a group."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol, Self

from astropy.table import Table

from ndmapper.data.array import note
from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
    FormatError,
    MissingFileError,
    MissingTableError,
    did_you_mean,
)
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.hdu import HduOut
from ndmapper.io.headers import StoredHeader
from ndmapper.io.labels import Ident
from ndmapper.io.layout import Layout
from ndmapper.io.structure import carried_header
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
    """
    Make sure that something can name a table, or an image.

    Parameters
    ----------
    name : str
        The name.
    what : str
        What is named, for the error.

    Raises
    ------
    FormatError
        If it cannot.
    """
    if not isinstance(name, str) or not name:
        article = "an" if what[0] in "aeiou" else "a"
        msg = f"{article} {what} needs a name, not {name!r}"
        raise FormatError(msg)


def missing_table(
    name: object, known: Iterable[str], what: str = "table"
) -> MissingTableError:
    """
    Make the error for a table that is not there.

    Parameters
    ----------
    name : object
        What was asked for.
    known : iterable of str
        The names of those that there are.
    what : str
        What is missing.

    Returns
    -------
    MissingTableError
        The error.
    """
    return MissingTableError(
        f"there is no {what} {name!r}{did_you_mean(str(name), known)}"
    )


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
        self.family = object()  # which it shares with its copies
        self._hdus: dict[str, HduMap | None] = {}
        self._loaded: dict[str, Table] = {}
        if fmap is not None and layout is not None:
            self._hdus = {n: fmap.hdus[i] for n, i in layout.tables.items()}
        self._in_file = dict(self._hdus)
        self.places = {n: hdu.index for n, hdu in self._hdus.items() if hdu is not None}

    @property
    def is_untouched(self) -> bool:
        """Whether nobody has looked at a table, nor added or removed one."""
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
        Copy; tables that nobody looked at stay in their file.

        Parameters
        ----------
        names : iterable of str, optional
            Which ones; None takes all.

        Returns
        -------
        TableStore
            A change to one never shows in the other.
        """
        new = TableStore()
        new.family = self.family
        new.places = dict(self.places)
        for name in list(self._hdus) if names is None else names:
            new.take_over(name, self, name)
        return new

    def take_over(self, name: str, other: "TableStore", key: str) -> None:
        """
        Copy a table of another file; one that nobody looked at stays there.

        Parameters
        ----------
        name : str
            Its name here.
        other : TableStore
            The tables of the other file.
        key : str
            Its name there.
        """
        self._hdus[name] = other._hdus[key]
        self._loaded.pop(name, None)
        if key in other._loaded:
            self._loaded[name] = other._loaded[key].copy()
        if (stored := self._hdus[name]) is not None:
            note(stored.source, self)

    def add_stored(self, name: str, hdu: HduMap) -> str:
        """
        Add a table of another file, unread, unless it is there already.

        Parameters
        ----------
        name : str
            Its name.
        hdu : HduMap
            Where it is stored.

        Returns
        -------
        str
            Its name here, which is another one where that was taken.
        """
        for key, known in self._hdus.items():
            if known and (known.source, known.index) == (hdu.source, hdu.index):
                return key
        while name in self._hdus:
            name += "_"
        self._hdus[name] = hdu
        note(hdu.source, self)
        return name

    def keep(self) -> None:
        """Read what still lies in a file, as that is about to be replaced."""
        for name in self:
            _ = self[name]

    def to_write(
        self, name: str, version: int | None = None, written: str | None = None
    ) -> HduMap | HduOut | bytes:
        """
        Give a table in the form in which it is written.

        Parameters
        ----------
        name : str
            Its name.
        version : int, optional
            EXTVER, where that may not be the stored one.
        written : str, optional
            EXTNAME, where that may be neither the stored one nor the name.

        Returns
        -------
        HduMap, HduOut or bytes
            The stored HDU if nobody changed the table.
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
                # The file is gone, or another one by now: this is all that there is.
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
        self.places[name] = hdu.index


class Store(Protocol):
    """The tables, or the images without a part, of a whole file."""

    family: object

    def copy(self, names: Iterable[str] | None = None) -> Any:
        """
        Copy; what nobody looked at stays in its file.

        Parameters
        ----------
        names : iterable of str, optional
            Which ones; None takes all.

        Returns
        -------
        Store
            A change to one never shows in the other.
        """

    def take_over(self, name: str, other: Any, key: str) -> None:
        """
        Copy one of another file; one that nobody looked at stays there.

        Parameters
        ----------
        name : str
            Its name here.
        other : Store
            Those of the other file.
        key : str
            Its name there.
        """

    def __getitem__(self, name: str) -> Any: ...

    def __setitem__(self, name: str, value: Any) -> None: ...

    def __delitem__(self, name: str) -> None: ...

    def __iter__(self) -> Iterator[str]: ...

    def __contains__(self, name: object) -> bool: ...


class Belongings(MutableMapping[str, Any]):
    """
    The tables, or the images without a part, that belong to one group of a file.

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
        """Give EXTNAME."""
        if not isinstance(self.ident, str) or name.upper() == self.ident.upper():
            return name
        return f"{self.ident}.{name}"

    def name_of(self, key: str) -> tuple[str, int | None] | None:
        """
        Give EXTNAME and EXTVER of one of these.

        Parameters
        ----------
        key : str
            A name in the file.

        Returns
        -------
        (str, int or None) or None
            None for what is not of this group. The EXTVER is None for a group that has
            a name.
        """
        name = next((name for name, k in self._names.items() if k == key), None)
        if name is None:
            return None
        version = self.ident if isinstance(self.ident, int) else None
        return self._full_name(name), version

    def within(self, store: Store, ident: Ident | None) -> Self:
        """
        Refer to the same ones in a copy of the file.

        Parameters
        ----------
        store : Store
            Those of the copy, which has the same names.
        ident : int or str or None
            What names the group.

        Returns
        -------
        Belongings
            Those of the group there.
        """
        return type(self)(store, self._names, ident, self._what)

    def detached(self) -> Self:
        """
        Copy them for a group that is in no file.

        Returns
        -------
        Belongings
            With a store of its own; what nobody looked at stays unread.
        """
        keys = [key for key in self._names.values() if key in self.store]
        return self.within(self.store.copy(keys), self.ident)

    def leave(self) -> Self:
        """
        Take them out of the file, as their group is taken out.

        Returns
        -------
        Belongings
            With a store of its own.
        """
        new = self.detached()
        for name in list(self):
            del self.store[self._names[name]]
        return new

    def join(self, store: Store, ident: Ident | None) -> Self:
        """
        Take them along into a file.

        Parameters
        ----------
        store : Store
            Those of the file.
        ident : int or str or None
            What names the group there.

        Returns
        -------
        Belongings
            Those of the group in the file.
        """
        new = type(self)(store, None, ident, self._what)
        is_of_file = self.store.family is store.family
        for name in self:
            key = self._names[name]
            if not is_of_file or key in store:
                key = new._new_key(name)
            store.take_over(key, self.store, self._names[name])
            new._names[name] = key
        return new
