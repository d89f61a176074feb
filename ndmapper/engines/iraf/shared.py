"""The folder ``database`` of IRAF, which tasks that follow each other share."""

import contextlib
import hashlib
import json
import re
import secrets
import shutil
from pathlib import Path

from ndmapper.documents import load_json
from ndmapper.engines.base import Job
from ndmapper.io.sidedata import make_side_folder

__all__ = ["SharedDatabase"]

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


class SharedDatabase:
    """
    What one job sees of the folder ``database`` in config['outdir'], and adds to it.

    A task is not given what the same task wrote before, since what is made again must
    not depend on what was there. But what the user decided, in a task that asked or
    with an editor, is given again.

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
        self._task = str(job.task.name)
        outdir = Path(job.settings["outdir"]).absolute()
        self._theirs = outdir / "database"
        self._owners_of = outdir / ".ndmapper" / "database"
        self._mine = folder / "database"
        self._by_hand = by_hand
        self._before: dict[str, str] = {}

    def fetch(self) -> None:
        """Copy what there is to where the task runs."""
        if not self._theirs.is_dir():
            return
        owners = {} if self._by_hand else self._owners()
        for path in sorted(self._theirs.iterdir()):
            if not _NAME.fullmatch(path.name) or not path.is_file():
                continue
            digest = _digest(path)
            if owners.get(path.name) == [self._task, digest]:
                continue
            self._mine.mkdir(exist_ok=True)
            shutil.copyfile(path, self._mine / path.name)
            self._before[path.name] = digest

    def keep(self) -> None:
        """Put what the task wrote where others see it; whole files, or none."""
        if not self._mine.is_dir():
            return
        for path in sorted(self._mine.iterdir()):
            if not _NAME.fullmatch(path.name) or not path.is_file():
                continue
            digest = _digest(path)
            if self._before.get(path.name) == digest:
                continue
            self._theirs.mkdir(parents=True, exist_ok=True)
            temp = self._theirs / f".{path.name}-{secrets.token_hex(4)}"
            shutil.copyfile(path, temp)
            temp.replace(self._theirs / path.name)
            owner = self._owners_of / f"{path.name}.json"
            if self._by_hand:
                owner.unlink(missing_ok=True)
            else:
                make_side_folder(owner)
                _write(owner, json.dumps({path.name: [self._task, digest]}))

    def _owners(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self._owners_of.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                found.update(load_json(path.read_bytes()))
        return found


def _write(path: Path, text: str) -> None:
    temp = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
    temp.write_text(text)
    temp.replace(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
