"""The folder ``database`` of IRAF, shared by consecutive tasks."""

import contextlib
import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from ndmapper.data import DataFile, PlainFile
from ndmapper.documents import load_json
from ndmapper.engines.base import Job, Output
from ndmapper.engines.iraf.database import join_entries, split_entries
from ndmapper.engines.iraf.entries import (
    find_made,
    given_entries,
    iraf_name,
    made_entries,
    put_entry,
)
from ndmapper.errors import RecordError
from ndmapper.io.record import read_side, side_path
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.temporary import staging_name

__all__ = ["SharedDatabase"]

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")

Entries = dict[str, str]
"""Lines of entries by title, that is kind and name."""


@dataclass(frozen=True)
class _Write:
    """Entries that one job added and removed."""

    by: str
    wrote: Entries
    removed: list[str]

    @property
    def titles(self) -> set[str]:
        """Titles of the changed entries."""
        return {*self.wrote, *self.removed}

    def apply(self, entries: Entries) -> Entries:
        """Apply the change to entries."""
        kept = {t: e for t, e in entries.items() if t not in self.titles}
        return kept | self.wrote


@dataclass(frozen=True)
class _History:
    """History of a file: entries of unknown origin, then the writes of jobs."""

    base: Entries
    writes: list[_Write]

    def place(self, job: str) -> int:
        """Position of a job's write; at the end if it has none."""
        found = (n for n, write in enumerate(self.writes) if write.by == job)
        return next(found, len(self.writes))

    def entries(self) -> Entries:
        """Return the resulting entries."""
        found = self.base
        for write in self.writes:
            found = write.apply(found)
        return found

    def without(self, job: str) -> "_History":
        """
        Return the entries without a job's write, and without what others derived from
        it.
        """
        place = self.place(job)
        gone: set[str] = set()
        kept = self.writes[:place]
        for write in self.writes[place:]:
            if write.by == job or gone & write.titles:
                gone |= write.titles
            else:
                kept.append(write)
        return _History(self.base, kept)

    def with_write(self, write: _Write) -> "_History":
        """Insert or replace the write of a job."""
        place = self.place(write.by)
        kept = self.without(write.by).writes
        later = [w for w in kept[place:] if not w.titles & write.titles]
        return _History(self.base, [*kept[:place], write, *later])


class SharedDatabase:
    """
    View of one job on the folder ``database`` in config['outdir'].

    A job that is repeated must not depend on its own earlier results. Therefore it sees
    a file as it was before its previous write (same task, same products), plus entries
    that other jobs added since, unless derived from its own. Which job wrote what is
    stored beside the products. Jobs see the entries of all other tasks, of the same
    task for other files, and interactive edits by the user.

    Entries that a step declares are files like any other: a job that is given some sees
    no other products, and what it makes of them is published with its other products.
    """

    def __init__(self, job: Job, folder: Path, *, by_hand: bool) -> None:
        self._job = _mark(job)
        outdir = Path(job.settings["outdir"]).absolute()
        self._theirs = outdir / "database"
        self._side = outdir / ".ndmapper" / "database"
        self._mine = folder / "database"
        self._by_hand = by_hand
        self.replays = False
        """Whether it was given what the user had done by hand before."""
        self._given: dict[str, str] = {}
        self._entries = given_entries(job)
        self._wanted = made_entries(job)
        self._declared: set[str] = set()  # files of the entries that it is given
        self._taken: set[str] = set()  # files that became products

    def fetch(self) -> None:
        """Copy the database to the folder of the task."""
        own = {*self._wanted.values(), *map(iraf_name, self._wanted.values())}
        for path in _files(self._theirs):
            is_own = path.name in own
            if is_own and not self._by_hand and not self._was_by_hand(path):
                continue
            if not side_path(path).exists():
                self._fetch_shared(path)
            elif is_own or not self._entries:
                self._given |= put_entry(PlainFile(path), self._mine)
        for entry in self._entries:
            texts = put_entry(entry, self._mine)
            self._given |= texts
            self._declared |= set(texts)

    def _was_by_hand(self, path: Path) -> bool:
        """Whether a product was made by hand, so that the job starts from that."""
        with contextlib.suppress(RecordError):
            rows = read_side(path)
            if rows and "interactive" in rows[-1]:
                self.replays = True
                return True
        return False

    def _fetch_shared(self, path: Path) -> None:
        """Copy a file that is no product, less what the job itself wrote before."""
        self._mine.mkdir(exist_ok=True)
        text = _read(path)
        if text is None:  # a file that is no database
            shutil.copyfile(path, self._mine / path.name)
            return
        head, entries = split_entries(text)
        before = entries
        if not self._by_hand:
            history = self._history(path.name, text, entries)
            if history.place(self._job) < len(history.writes):
                before = history.without(self._job).entries()
        if entries and not before:
            return
        seen = text if before == entries else join_entries(head, before)
        _write(self._mine / path.name, seen)
        self._given[path.name] = seen

    def products(self) -> dict[Output, DataFile]:
        """Find the declared entries that the task has written; raises ProductError."""
        found, self._taken = find_made(self._wanted, self._mine, self._given)
        return found

    def keep(self) -> list[str]:
        """
        Merge what the task wrote into the shared folder, atomically.

        Returns the given files that it changed, which is not kept.
        """
        changed = []
        for path in _files(self._mine):
            text = _read(path)
            is_as_given = text is not None and text == self._given.get(path.name)
            if path.name in self._taken or is_as_given:
                continue
            if path.name in self._declared:
                changed.append(path.name)
                continue
            self._theirs.mkdir(parents=True, exist_ok=True)
            target = self._theirs / path.name
            if text is None:
                shutil.copyfile(path, temp := staging_name(target))
                temp.replace(target)
                continue
            make_side_folder(self._side / target.name)
            # Concurrent jobs may write to one file.
            with FileLock(self._side / f".{path.name}.lock"):
                self._merge(target, text)
        return changed

    def _merge(self, target: Path, text: str) -> None:
        head, mine = split_entries(text)
        _, given = split_entries(self._given.get(target.name, ""))
        old = (_read(target) if target.exists() else "") or ""
        old_head, there = split_entries(old)
        if not mine and not there:  # other text is replaced as a whole
            _write(target, text)
            return
        history = self._history(target.name, old, there)
        write = _Write(
            by=self._job,
            wrote={t: e for t, e in mine.items() if given.get(t) != e},
            removed=[title for title in given if title not in mine],
        )
        side = self._side / f"{target.name}.json"
        if self._by_hand:
            merged = join_entries(old_head or head, write.apply(there))
            side.unlink(missing_ok=True)
        else:
            history = history.with_write(write)
            merged = join_entries(old_head or head, history.entries())
            _write(side, json.dumps({"text": merged, **asdict(history)}))
        _write(target, merged)

    def _history(self, name: str, text: str, entries: Entries) -> _History:
        """Read the history of a file; after an edit by the user it starts anew."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            record = load_json((self._side / f"{name}.json").read_bytes())
            if record["text"] == text:
                writes = [_Write(**write) for write in record["writes"]]
                return _History(dict(record["base"]), writes)
        return _History(entries, [])


def _mark(job: Job) -> str:
    """Identify a job by its products, or by its inputs if it has none."""
    names = sorted(job.targets.values()) or sorted(map(str, job.inputs))
    return json.dumps([job.task.name, *names])


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if _NAME.fullmatch(path.name) and path.is_file()
    )


def _read(path: Path) -> str | None:
    """Read a text database; None if it is none."""
    raw = path.read_bytes()
    return None if b"\0" in raw else raw.decode("utf-8", "replace")


def _write(path: Path, text: str) -> None:
    temp = staging_name(path)
    try:
        temp.write_text(text, encoding="utf-8")
        temp.replace(path)
    finally:
        temp.unlink(missing_ok=True)
