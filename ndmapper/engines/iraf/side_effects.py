"""Side effects of a task: undeclared files, and changes of its inputs."""

import re
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ndmapper.data import DataFile
from ndmapper.engines.base import Job
from ndmapper.engines.iraf.headers import changed_keywords
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.temporary import staging_name

__all__ = ["describe_changes", "keep_undeclared", "undeclared_files"]

_ARRAYS = {"data": "data", "uncertainty": "variance", "flags": "flags"}
_LOG = re.compile(r".*\.log|logfile", re.IGNORECASE)


def undeclared_files(folder: Path, known: Collection[Path]) -> list[Path]:
    """Return the files that a task made besides its products."""
    return sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path not in known
        and path.relative_to(folder).parts[0] != "database"
    )


def keep_undeclared(job: Job, files: Collection[Path]) -> tuple[str, str]:
    """Move undeclared files to the side data, since the job's folder is removed."""
    assert job.folder is not None
    log = ""
    named = []
    for name in sorted(files):
        if _LOG.fullmatch(name.name):
            text = (job.folder / name).read_bytes().decode("utf-8", "replace")
            log += f"{name}:\n{text.rstrip()}\n"
        else:
            named.append(name)
    stem = next(iter(job.targets.values()), None) or str(job.task.name)
    place = Path(job.settings["outdir"], ".ndmapper", "undeclared", Path(stem).name)
    # Replace the files of an earlier run as a whole.
    temp = staging_name(place)  # swept by a later run if this one is killed
    make_side_folder(place)
    for name in files:
        (temp / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(job.folder / name, temp / name)
    shutil.rmtree(place, ignore_errors=True)
    temp.replace(place)
    if not named:
        return log, ""
    listed = ", ".join(map(str, named[:10]))
    if len(named) > 10:
        listed += f" and {len(named) - 10} more"
    warning = (
        f"{job.task.name} also made {listed}, which no output declares; kept in {place}"
    )
    return log, warning


def describe_changes(before: DataFile, after: DataFile) -> str:
    """Describe the changes of a file, except those that IRAF always makes."""
    old, new = ([*df, *df.extras.values()] for df in (before, after))
    if len(old) != len(new) or list(before.tables) != list(after.tables):
        return "its extensions"
    headers = [(before.meta, after.meta)]
    headers += [
        (one.meta, other.meta)
        for one, other in zip(old, new, strict=True)
        if one.meta is not before.meta
    ]
    found = [k for one, other in headers for k in changed_keywords(other, one)]
    for one, other in zip(old, new, strict=True):
        for part in ("data", "uncertainty", "flags"):
            was, now = (getattr(n.copy(), _ARRAYS[part]) for n in (one, other))
            if (was is None) != (now is None) or (
                was is not None and not np.array_equal(was, now)
            ):
                found.append({"data": "pixels"}.get(part, part))
    named = list(dict.fromkeys(found))
    return ", ".join(named[:5]) + (", ..." if len(named) > 5 else "")
