"""
Rows of a record as they are stored: each fact once.

The entries of a record repeat one another: products of one run differ in a few fields,
and each entry names the files that earlier ones made. So a stored row (of schema 3)
is an entry with these abbreviations, all of which point to earlier rows, counted from
one:

* ``"as": n``: fields that the row lacks are those of row n, and so are the items that
  an object such as ``"run"`` lacks; but objects listed in ``"anew"`` stand whole, and
  the entry lacks the fields in ``"without"``. Of ``"inputs"`` only those may be given
  that differ from those of row n, by their place in the list, counted from one.
* A reference ``{"row": n}`` is to the product of row n, by its name and key, and to
  that of its set, if it has one and the reference says no other (null is none);
  ``{"name": ...}`` alone is to a file whose identity was given with an earlier
  reference of this name. Both may have a ``"role"``.
* ``"folders"`` in ``"run"`` gives ``"paths"`` by folder: ``{folder: [name, or the row
  of the product, ...]}``; a path that does not end with its name stands under ``""``.
  Folders that it lacks are as in row n; an empty list is none.
* ``{"plain": entry}`` is an entry without any abbreviation.

In memory, objects that are equal for such a reason are one object.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from ndmapper.documents import LARGEST, canonical

__all__ = ["Unpacker", "pack"]

Entry = Mapping[str, Any]

_REFERRING = ("calibrations", "references", "tags")
_WORDS = frozenset(("as", "anew", "without", "plain"))


def pack(rows: Sequence[Entry]) -> list[str]:
    """Encode each entry as canonical JSON that states only what is new in it."""
    packer = _Packer.after(rows[:-1])
    for row in rows[-1:]:
        packer.pack(row)
    return packer.texts


class _Packer:
    """Abbreviates entries, one after the other."""

    _kept: "_Packer | None" = None
    """The one of the entries before the last one of the record packed last."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.rows: list[Entry] = []
        self._last: dict[str, int] = {}
        """The last row of each step."""
        self._made: dict[str, int] = {}
        """The last row of each name of a product."""
        self._keyed: dict[str, int] = {}
        self._known: dict[str, Any] = {}
        """The last reference to each name that was given in full."""
        self._folders: list[dict[str, Any]] = []
        """Names of the files that each row used, by folder."""

    @classmethod
    def after(cls, rows: Sequence[Entry]) -> "_Packer":
        """Make one that has packed some entries; those of last time are kept."""
        # The products of a call share all entries but their own (bench_sets.py).
        last = cls._kept
        count = 0 if last is None else len(last.rows)
        is_start = count <= len(rows) and all(
            map(operator.is_, last.rows if last else (), rows)
        )
        packer = last if last is not None and is_start else cls()
        if len(packer.rows) < len(rows):
            packer = packer.copy()
            for row in rows[len(packer.rows) :]:
                packer.pack(row)
            cls._kept = packer
        return packer.copy()

    def copy(self) -> "_Packer":
        """Copy it, so that several records can go on from the same entries."""
        new = copy(self)
        vars(new).update({name: part.copy() for name, part in vars(self).items()})
        return new

    def pack(self, row: Entry) -> None:
        """Abbreviate the next entry."""
        self.texts.append(canonical(self._abbreviated(row)))

    def _abbreviated(self, row: Entry) -> dict[str, Any]:
        self._folders.append(_by_folder(row))
        if _is_odd(row):
            stated: dict[str, Any] = {"plain": row}
        elif self.rows:
            number = self._last.get(str(row["step"]), len(self.rows))
            stated = self._difference(row, self.rows[number - 1], number)
        else:
            stated = {name: self._field(name, row[name], {}) for name in sorted(row)}
        self.rows.append(row)
        number = len(self.rows)
        self._last[str(row["step"])] = number
        self._made[str(row["product"])] = self._keyed[str(row["key"])] = number
        return stated

    def _difference(self, row: Entry, model: Entry, number: int) -> dict[str, Any]:
        stated: dict[str, Any] = {"as": number}
        anew = []
        # In the order of the text: which reference to a file is the first counts.
        for name, value in sorted(row.items()):
            before: Any = model.get(name)
            if name in model and _is_same(value, before):
                continue
            new: Any = value
            if isinstance(value, dict) and isinstance(before, dict):
                if before.keys() <= value.keys():
                    new = _new_items(value, before)
                else:
                    anew.append(name)
            elif name == "inputs" and before and len(value) == len(before):
                new = _new_places(value, before)
            elif isinstance(value, dict):
                anew.append(name)
            known = {} if name in anew else self._folders[number - 1]
            stated[name] = self._field(name, new, known)
        if anew:
            stated["anew"] = anew
        if without := sorted(model.keys() - row.keys()):
            stated["without"] = without
        return stated

    def _field(self, name: str, value: Any, folders: Mapping[str, Any]) -> Any:
        """Abbreviate a field, or items of one; `folders` are those of the model."""
        if name == "inputs" and isinstance(value, list):
            return [self._reference(reference) for reference in value]
        if name in _REFERRING or name == "inputs":
            return {item: self._references(value[item]) for item in sorted(value)}
        if name == "run" and "paths" in value:
            rest = {item: inner for item, inner in value.items() if item != "paths"}
            new = _new_items(self._folders[-1], folders)
            gone = folders.keys() - self._folders[-1].keys()
            stated = self._numbered(new) | {folder: [] for folder in gone}
            return {**rest, "folders": stated}
        return value

    def _numbered(self, folders: Mapping[str, Any]) -> dict[str, Any]:
        """Give the row of each product in place of its name."""
        return {
            folder: [self._made.get(n, n) for n in names] if folder else names
            for folder, names in folders.items()
        }

    def _references(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._reference(reference) for reference in value]
        return self._reference(value)

    def _reference(self, reference: Entry | None) -> Entry | None:
        if reference is None:
            return None
        role = {"role": reference["role"]} if "role" in reference else {}
        rest = {name: value for name, value in reference.items() if name != "role"}
        if (number := self._keyed.get(str(rest.get("key")))) is not None:
            made = _to_product(self.rows[number - 1])
            if _is_same(rest, made):
                return {"row": number, **role}
            if _without_set(rest) == _without_set(made):
                return {"row": number, "set": rest.get("set"), **role}
        name = rest["name"]
        if _is_same(self._known.get(name), rest):
            return {"name": name, **role}
        self._known[name] = rest
        return reference


def _by_folder(row: Entry) -> dict[str, Any]:
    """List the names of the files that an entry used by folder."""
    run = row.get("run")
    paths = run.get("paths") if isinstance(run, dict) else None
    found: dict[str, Any] = {}
    for name, path in sorted(paths.items()) if isinstance(paths, dict) else ():
        folder, _, last = str(path).rpartition("/")
        if folder and last == name and isinstance(path, str):
            found.setdefault(folder, []).append(name)
        else:
            found.setdefault("", {})[name] = path
    return found


def _is_odd(row: Entry) -> bool:
    """Whether an entry has parts that are wrong, or would be abbreviations."""
    parts = [row.get(part, {}) for part in (*_REFERRING, "run")]
    if not all(isinstance(part, dict) for part in parts):
        return True
    listed = [row.get("inputs", []), *(v for part in parts[:-1] for v in part.values())]
    references = [r for v in listed for r in (v if isinstance(v, list) else [v])]
    return (
        not _WORDS.isdisjoint(row)
        or "folders" in parts[-1]
        or not isinstance(parts[-1].get("paths", {}), dict)
        or not isinstance(listed[0], list)
        or not all(r is None or _is_plain(r) for r in references)
    )


def _is_plain(reference: Any) -> bool:
    return (
        isinstance(reference, dict)
        and isinstance(reference.get("name"), str)
        and len(reference) > 1 + ("role" in reference)
        and "row" not in reference
        and reference.get("role", "") is not None
        and reference.get("set", "") is not None
    )


def _new_items(value: Entry, before: Entry) -> dict[str, Any]:
    """Select the items of an object that another one does not have like this."""
    return {
        name: inner
        for name, inner in value.items()
        if name not in before or not _is_same(inner, before[name])
    }


def _new_places(value: list[Any], before: list[Any]) -> Any:
    """Select the items of a list that differ, by their place, if these are few."""
    new = {
        str(place): inner
        for place, (inner, other) in enumerate(zip(value, before, strict=True), 1)
        if not _is_same(inner, other)
    }
    return new if len(new) < len(value) else value


def _is_same(value: Any, other: Any) -> bool:
    """Whether two values have the same text: 1 is neither True nor 1.0 there."""
    if value is other:
        return True
    if type(value) is not type(other):
        return False
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(
            _is_same(inner, other[name]) for name, inner in value.items()
        )
    if isinstance(value, list):
        return len(value) == len(other) and all(map(_is_same, value, other))
    if isinstance(value, float):
        return repr(value) == repr(other)
    return bool(value == other)


def _to_product(row: Entry) -> dict[str, Any]:
    """Refer to the product of an entry."""
    reference = {"key": row.get("key"), "name": row.get("product")}
    return reference | {"set": row["set"]} if row.get("set") else reference


def _without_set(reference: Entry) -> dict[str, Any]:
    return {name: value for name, value in reference.items() if name != "set"}


def _merged(before: Any, new: dict[str, Any]) -> Any:
    """Put new items into an object, or in their places in a list."""
    if isinstance(before, dict):
        return dict(sorted((before | new).items()))
    if not isinstance(before, list):
        return new
    items = [*before]
    for place, item in new.items():
        if not place.isdecimal() or not 0 < int(place) <= len(items):
            msg = f"it has an input at {place!r}, of {len(items)} inputs"
            raise ValueError(msg)
        items[int(place) - 1] = item
    return items


class Unpacker:
    """Restores entries from stored rows, one after the other."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._products: list[dict[str, Any]] = []
        self._known: dict[str, dict[str, Any]] = {}
        self._folders: list[dict[str, Any]] = []
        self._left = LARGEST
        self._sizes: dict[int, int] = {}
        """Size of each object of the rows by its id, for several rows may share it."""
        self._with_role: dict[tuple[int, str], tuple[Entry, dict[str, Any]]] = {}
        """References, by the id of the one without a role."""

    def copy(self) -> "Unpacker":
        """Copy it, so that several records can go on from the same rows."""
        new = copy(self)
        parts = {
            n: v.copy() for n, v in vars(self).items() if isinstance(v, list | dict)
        }
        vars(new).update(parts)
        return new

    def restore(self, stated: Any) -> Any:
        """
        Restore the next entry, which is to be checked and appended then.

        Raises
        ------
        ValueError
            If it points to what does not stand before it.
        """
        if not isinstance(stated, dict):
            return stated
        if stated.keys() == {"plain"}:
            return stated["plain"]
        return self._restored(stated)

    def is_known(self, value: Any) -> bool:
        """Whether an object or list stands in the entries already, and was checked."""
        return id(value) in self._sizes

    def append(self, row: dict[str, Any]) -> None:
        """
        Append an entry.

        Raises
        ------
        ValueError
            If the entries are larger than any document.
        """
        self._left -= self._size(row)
        if self._left < 0:
            msg = f"with it the entries are larger than any record ({LARGEST} bytes)"
            raise ValueError(msg)
        run = row.get("run")
        is_same = self.rows and self.rows[-1].get("run") is run
        self._folders.append(self._folders[-1] if is_same else _by_folder(row))
        self.rows.append(row)
        self._products.append(_to_product(row))

    def _restored(self, stated: dict[str, Any]) -> dict[str, Any]:
        anew, without = stated.get("anew", []), stated.get("without", [])
        if not isinstance(anew, list) or not isinstance(without, list):
            msg = "what it does not share with another row is no list"
            raise ValueError(msg)
        model: dict[str, Any] = {}
        folders: dict[str, Any] = {}
        if "as" in stated:
            number = self._index(stated["as"])
            model = self.rows[number]
            folders = {} if "run" in anew else self._folders[number]
        row = {
            name: self._field(name, value, folders)
            for name, value in stated.items()
            if name not in _WORDS
        }
        for name, before in model.items():
            if name not in row:
                if name not in without:
                    row[name] = before
            elif name not in anew and isinstance(row[name], dict):
                row[name] = _merged(before, row[name])
        return dict(sorted(row.items()))

    def _index(self, number: Any) -> int:
        if type(number) is not int or not 0 < number <= len(self.rows):
            msg = f"it points to row {number!r}, which does not stand before it"
            raise ValueError(msg)
        return number - 1

    def _field(self, name: str, value: Any, folders: Mapping[str, Any]) -> Any:
        """Restore a field, or items of one; `folders` are those of the model."""
        if name == "inputs" and isinstance(value, list):
            return [self._reference(reference) for reference in value]
        if name in (*_REFERRING, "inputs") and isinstance(value, dict):
            return {item: self._references(inner) for item, inner in value.items()}
        if name == "run" and isinstance(value, dict) and "folders" in value:
            rest = {item: inner for item, inner in value.items() if item != "folders"}
            paths = self._paths(value["folders"], folders)
            return dict(sorted({**rest, "paths": paths}.items()))
        return value

    def _references(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._reference(reference) for reference in value]
        return self._reference(value)

    def _reference(self, stated: Any) -> Any:
        if not isinstance(stated, dict):
            return stated
        role = stated.get("role")
        if "row" in stated:
            found = self._products[self._index(stated["row"])]
            if "set" in stated:
                of_set = {} if stated["set"] is None else {"set": stated["set"]}
                found = {**_without_set(found), **of_set}
        elif len(stated) == 1 + (role is not None) and "name" in stated:
            name = stated["name"]
            if not isinstance(name, str) or name not in self._known:
                msg = f"it refers to {name!r}, of which nothing is said before"
                raise ValueError(msg)
            found = self._known[name]
        else:
            if isinstance(name := stated.get("name"), str):
                rest = {n: value for n, value in stated.items() if n != "role"}
                self._known[name] = stated if role is None else rest
            return stated
        if not isinstance(role, str):
            return found if role is None else {**found, "role": role}
        place = (id(found), role)
        if place not in self._with_role:
            self._with_role[place] = found, {**found, "role": role}
        return self._with_role[place][1]

    def _paths(self, stated: Any, model: Mapping[str, Any]) -> dict[str, Any]:
        """Restore paths from what their folders say anew."""
        if not isinstance(stated, dict) or not all(
            isinstance(names, list if folder else (dict, list))
            for folder, names in stated.items()
        ):
            msg = "folders in run is not what belongs there"
            raise ValueError(msg)
        folders = {**model}
        for folder, names in stated.items():
            folders[folder] = names if isinstance(names, dict) else self._named(names)
        if sum(len(folder) * len(names) for folder, names in folders.items()) > LARGEST:
            msg = f"its paths are larger than any record ({LARGEST} bytes)"
            raise ValueError(msg)
        paths: dict[str, Any] = {}
        for folder, names in folders.items():
            if isinstance(names, dict):
                paths |= names
            else:
                paths |= {name: f"{folder}/{name}" for name in names}
        return dict(sorted(paths.items()))

    def _named(self, names: list[Any]) -> list[str]:
        """Give the names of products in place of their rows."""
        return [
            name
            if isinstance(name, str)
            else str(self._products[self._index(name)]["name"])
            for name in names
        ]

    def _size(self, value: dict[str, Any] | list[Any]) -> int:
        """Compute the length of an object as JSON; a shared one is looked at once."""
        if (known := self._sizes.get(id(value))) is not None:
            return known
        total = 0
        inside: Iterable[Any] = value
        if isinstance(value, dict):
            total, inside = sum(map(len, value)), value.values()
        for inner in inside:
            is_object = isinstance(inner, dict | list)
            total += 4 + (self._size(inner) if is_object else len(str(inner)))
        self._sizes[id(value)] = total
        return total
