"""What belongs to one group of a file beside its arrays: tables, and further images."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol, Self

from ndmapper.data.tables import checked_name, missing_table
from ndmapper.io.layout import Ident

__all__ = ["Belongings", "Store"]


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
