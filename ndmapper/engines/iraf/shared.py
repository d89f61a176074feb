"""The folder ``database`` of IRAF, which tasks that follow each other share."""

import contextlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from ndmapper.engines.base import Job
from ndmapper.engines.iraf.database import join_entries, split_entries
from ndmapper.io.leftovers import staging_name

__all__ = ["SharedDatabase"]

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")

Entries = dict[str, str]
"""The lines of entries by what they begin with, that is their kind and name."""


@dataclass(frozen=True)
class _Write:
    """What one job did to a file: who it was, what it saw, wrote and took out."""

    by: str
    saw: Entries
    wrote: Entries
    removed: list[str]

    def touches(self, titles: Mapping[str, str]) -> bool:
        """Whether it was built upon what another one wrote."""
        return any(title in titles for title in (*self.wrote, *self.removed))

    def apply(self, entries: Entries) -> Entries:
        """Do the same to other entries."""
        left = {
            title: entry
            for title, entry in entries.items()
            if title not in self.removed and title not in self.wrote
        }
        return left | self.wrote


class SharedDatabase:
    """
    What one job sees of the folder ``database`` in config['outdir'], and adds to it.

    What is made again must not depend on what it left behind itself. So where this very
    job wrote before (the same task, for the same products), it is shown a file as it
    was before that; what others have added since is there as well, but not what they
    made of its own entries. For this it is kept beside the products who wrote what.
    Jobs see everything else: what other tasks wrote, what the same task wrote for other
    files, and what the user decided, in a task that asked or with an editor.

    Parameters
    ----------
    job : Job
        What is to be done.
    folder : Path
        Where the task runs.
    by_hand : bool
        The user takes part: the task gets its own entries too, and what it writes are
        decisions of the user.
    """

    def __init__(self, job: Job, folder: Path, *, by_hand: bool) -> None:
        self._job = _mark(job)
        outdir = Path(job.settings["outdir"]).absolute()
        self._theirs = outdir / "database"
        self._side = outdir / ".ndmapper" / "database"
        self._mine = folder / "database"
        self._by_hand = by_hand
        self._given: dict[str, str] = {}

    def fetch(self) -> None:
        """Copy what there is to where the task runs."""
        for path in _files(self._theirs):
            self._mine.mkdir(exist_ok=True)
            text = _read(path)
            if text is None:  # no database, but somebody put it there
                shutil.copyfile(path, self._mine / path.name)
                continue
            head, entries = split_entries(text)
            before = self._before(entries, self._writes(path.name, text))
            if entries and not before:
                continue
            seen = text if before == entries else join_entries(head, before)
            _write(self._mine / path.name, seen)
            self._given[path.name] = seen

    def keep(self) -> None:
        """Put what the task wrote where others see it; whole entries, or none."""
        for path in _files(self._mine):
            text = _read(path)
            if text is not None and text == self._given.get(path.name):
                continue
            self._theirs.mkdir(parents=True, exist_ok=True)
            target = self._theirs / path.name
            if text is None:
                shutil.copyfile(path, temp := staging_name(target))
                temp.replace(target)
                continue
            self._side.mkdir(parents=True, exist_ok=True)
            # Jobs that work at the same time may write into one file.
            with FileLock(self._side / f".{path.name}.lock"):
                self._merge(target, text)

    def _merge(self, target: Path, text: str) -> None:
        head, mine = split_entries(text)
        _, given = split_entries(self._given.get(target.name, ""))
        old = (_read(target) if target.exists() else "") or ""
        old_head, there = split_entries(old)
        if not mine and not there:  # text of another kind, which is replaced
            _write(target, text)
            return
        writes = self._writes(target.name, old)
        write = _Write(
            by=self._job,
            saw=given,
            wrote={t: e for t, e in mine.items() if given.get(t) != e},
            removed=[title for title in given if title not in mine],
        )
        before = there if self._by_hand else self._before(there, writes)
        merged = join_entries(old_head or head, write.apply(before))
        _write(target, merged)
        side = self._side / f"{target.name}.json"
        if self._by_hand:
            side.unlink(missing_ok=True)
            return
        kept = [*self._without_mine(writes), write]
        record = {"text": merged, "writes": [asdict(one) for one in kept]}
        _write(side, json.dumps(record))

    def _before(self, entries: Entries, writes: Sequence[_Write]) -> Entries:
        """Give entries as they would be if this job had never written any."""
        place = next((n for n, w in enumerate(writes) if w.by == self._job), None)
        if place is None or self._by_hand:
            return entries
        found = writes[place].saw
        for write in self._without_mine(writes)[place:]:
            found = write.apply(found)
        return found

    def _without_mine(self, writes: Sequence[_Write]) -> list[_Write]:
        """Leave out what this job wrote, and all that was built upon that."""
        kept: list[_Write] = []
        mine: Entries = {}
        for write in writes:
            if write.by == self._job or (mine and write.touches(mine)):
                mine |= write.wrote
            else:
                kept.append(write)
        return kept

    def _writes(self, name: str, text: str) -> list[_Write]:
        """Read who wrote what into a file; nobody knows where it was edited since."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            record = json.loads((self._side / f"{name}.json").read_text("utf-8"))
            if record["text"] == text:
                return [_Write(**write) for write in record["writes"]]
        return []


def _mark(job: Job) -> str:
    """Name a job by what it makes; where it makes no files, by what it works on."""
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
    """Read a text database; None where the file is none."""
    raw = path.read_bytes()
    return None if b"\0" in raw else raw.decode("utf-8", "replace")


def _write(path: Path, text: str) -> None:
    temp = staging_name(path)
    try:
        temp.write_text(text, encoding="utf-8")
        temp.replace(path)
    finally:
        temp.unlink(missing_ok=True)
