"""The tables that belong to one group of a file."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from astropy.table import Table

from ndmapper.data._tables import TableStore, checked_name, missing_table
from ndmapper.io.layout import Ident

__all__ = ["GroupTables"]


class GroupTables(MutableMapping[str, Table]):
    """
    The tables that belong to one group of a file.

    A table that is put here gets the EXTVER of the group, or its name, when the file is
    saved.

    Parameters
    ----------
    tables : TableStore, optional
        The tables of the file; None for a group that is in none.
    names : mapping of str to str
        Of each table of the group, its name there and in the file.
    ident : int or str, optional
        What names the group.
    """

    def __init__(
        self,
        tables: TableStore | None = None,
        names: Mapping[str, str] | None = None,
        ident: Ident | None = None,
    ) -> None:
        self._tables = TableStore() if tables is None else tables
        self._names = dict(names or {})
        self.ident = ident

    def __getitem__(self, name: str) -> Table:
        return self._tables[self._known(name)]

    def __setitem__(self, name: str, table: Any) -> None:
        checked_name(name)
        key = self._names.get(name) or self._new_key(name)
        self._tables[key] = table
        self._names[name] = key

    def __delitem__(self, name: str) -> None:
        del self._tables[self._known(name)]
        del self._names[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, key in self._names.items() if key in self._tables)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __repr__(self) -> str:
        return f"<tables: {', '.join(self) or 'none'}>"

    def _known(self, name: str) -> str:
        if name not in self:
            raise missing_table(name, self)
        return self._names[name]

    def _new_key(self, name: str) -> str:
        """Name a table in the file, as it will be named when that is opened."""
        key = name
        if isinstance(self.ident, str):
            key = self._full_name(name)
        elif any(k == name or k.startswith(f"{name}_") for k in self._tables):
            key = f"{name}_{self.ident}"
        while key in self._tables:
            key += "_"
        return key

    def _full_name(self, name: str) -> str:
        """Give EXTNAME."""
        if not isinstance(self.ident, str) or name.upper() == self.ident.upper():
            return name
        return f"{self.ident}.{name}"

    def keys_in(self, tables: TableStore) -> set[str]:
        """
        Say which tables of a file are these.

        Parameters
        ----------
        tables : TableStore
            The tables of the file.

        Returns
        -------
        set of str
            Their names; empty if the group is in another file.
        """
        return set(self._names.values()) if self._tables is tables else set()

    def names_of(self, key: str) -> tuple[str, int | None]:
        """
        Give EXTNAME and EXTVER of a table as the group has it.

        Parameters
        ----------
        key : str
            Its name in the file, where it is one of these.

        Returns
        -------
        name : str
            EXTNAME.
        version : int or None
            EXTVER; None for a group that has a name.
        """
        name = next(name for name, k in self._names.items() if k == key)
        version = self.ident if isinstance(self.ident, int) else None
        return self._full_name(name), version

    def release(self, key: str) -> None:
        """
        Leave a table to the file, so that it keeps its name and number.

        Parameters
        ----------
        key : str
            Its name in the file.
        """
        self._names = {name: k for name, k in self._names.items() if k != key}

    def detached(self) -> "GroupTables | None":
        """
        Copy them for a group that is in no file.

        Returns
        -------
        GroupTables or None
            With tables of its own, those that nobody looked at unread; None where
            there are none.
        """
        keys = {key for key in self._names.values() if key in self._tables}
        if not keys:
            return None
        return GroupTables(self._tables.copy(keys), self._names, self.ident)

    def moved(self, tables: TableStore, taken: set[str]) -> "GroupTables":
        """
        Take them along to a file.

        Parameters
        ----------
        tables : TableStore
            The tables of the file.
        taken : set of str
            The names of those that belong to its other groups.

        Returns
        -------
        GroupTables
            The same ones, if the group was in that file or a copy of it; else they are
            added.
        """
        new = GroupTables(tables, None, self.ident)
        is_of_file = self._tables.family is tables.family
        for name in self:
            key = self._names[name]
            if not is_of_file or key in taken or key not in tables:
                key = new._new_key(name)
            tables.take_over(key, self._tables, self._names[name])
            new._names[name] = key
        return new
