"""Saving many files: those that others still read are replaced when all are written."""

import contextlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ndmapper.data.array import LazyArray, load_before_replaced, with_operands
from ndmapper.data.datafile import DataFile
from ndmapper.data.filename import FileName
from ndmapper.data.ndlater import NDLater
from ndmapper.data.plainfile import PlainFile
from ndmapper.data.saving.plan import plan_hdus
from ndmapper.data.saving.save import connect, real_target, write_unpublished
from ndmapper.errors import ModeError, OutputExistsError, PlanError
from ndmapper.io.temporary import staging_name
from ndmapper.io.write import publish, refuse_protected
from ndmapper.parallel import map_parallel

__all__ = ["check_targets", "save_all", "save_files", "sources_of", "write_all"]

Write = Callable[[Any, Path, Path], None]
"""Takes what is written, its final name, and the name to write it under."""


def save_all(
    files: Sequence[DataFile],
    targets: Sequence[FileName] | None = None,
    *,
    overwrite: bool = False,
    workers: int | str = 1,
    checksum: bool = False,
    together: bool = False,
) -> None:
    """
    Save files, several at once; under other names where `targets` are given.

    With `together` none is replaced before all are written.

    Raises
    ------
    ModeError
        If a file has no name.
    """
    if targets is not None:
        check_targets(targets, overwrite=overwrite)
        renamed: Sequence[FileName | None] = targets
    else:
        files = list({id(df): df for df in files}.values())
        names = [df.filename for df in files if df.filename is not None]
        if len(names) != len(files):
            msg = (
                f"{len(files) - len(names)} of {len(files)} files have no name; give "
                "one for each: save(filename=[...])"
            )
            raise ModeError(msg)
        _refuse_twice(names)
        renamed = [None] * len(files)
    jobs = [
        (df, df.access.save_target(name, overwrite=overwrite))
        for df, name in zip(files, renamed, strict=True)
    ]
    save_files(jobs, workers=workers, checksum=checksum, together=together)


def check_targets(targets: Sequence[FileName], *, overwrite: bool) -> None:
    """Refuse what would be lost, before anything is computed."""
    _refuse_twice(targets)
    there = [str(t) for t in targets if Path(t).exists()]
    if there and not overwrite:
        more = f" and {len(there) - 1} more exist" if len(there) > 1 else " exists"
        msg = (
            f"{there[0]}{more} already; choose other names, or pass "
            "overwrite=True to replace what is there"
        )
        raise OutputExistsError(msg)


def _refuse_twice(targets: Sequence[FileName]) -> None:
    seen: set[FileName] = set()
    for target in targets:
        if target in seen:
            msg = f"several files would be called {target}; give each its own name"
            raise PlanError(msg)
        seen.add(target)


def save_files(
    jobs: Sequence[tuple[DataFile, FileName]],
    *,
    workers: int | str,
    checksum: bool = False,
    together: bool = False,
) -> None:
    """Save files under names that were checked, and connect them with the new files."""
    plain = [job for job in jobs if isinstance(job[0], PlainFile)]
    jobs = [job for job in jobs if not isinstance(job[0], PlainFile)]
    files = [df for df, _ in jobs]
    paths = [real_target(target) for _, target in jobs]
    for path in paths:
        refuse_protected(path)
    for job in plain:
        _save_one(checksum, job)
    sources = [sources_of(df) for df in files]
    if workers == 1 and not together and not _is_tangled(paths, sources):
        map_parallel(partial(_save_one, checksum), jobs, workers=1, title="save")
        return
    # While everything can still be compared with the files that are there.
    plans = [plan_hdus(*pair) for pair in zip(files, paths, strict=True)]
    before = [_stamp(path) for path in paths]
    try:
        write = partial(_write_file, checksum)
        write_all(
            write, files, paths, sources,
            workers=workers, title="save", together=together,
        )  # fmt: skip
    finally:
        # Where one could not be saved, others were.
        for (df, target), path, hdus, old in zip(
            jobs, paths, plans, before, strict=True
        ):
            if _stamp(path) != old:
                connect(df, path, hdus)
                df.access.saved_as(target)


def _save_one(checksum: bool, job: tuple[DataFile, FileName]) -> None:
    df, target = job
    df.save(target, overwrite=True, checksum=checksum)  # which was checked


def _write_file(checksum: bool, df: DataFile, path: Path, temp: Path) -> None:
    write_unpublished(df, path, temp, checksum=checksum)


def _stamp(path: Path) -> Any:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def write_all(
    write: Write,
    items: Sequence[Any],
    paths: Sequence[Path],
    sources: Sequence[set[str]],
    *,
    workers: int | str,
    title: str,
    together: bool = False,
) -> None:
    """
    Write files, each in one moment, in an order in which none is missed.

    `sources` lists for each of the `items` the files that it is made from. Where one of
    these is to be replaced by another, or with `together`, all are written before the
    first is replaced. `title` stands before the progress bar.

    Raises
    ------
    FileAccessError
        If one of them is write-protected; then nothing is written.
    OutputExistsError
        If a file came into being meanwhile.
    """
    for path in paths:
        refuse_protected(path)
    waits = together or _is_tangled(paths, sources)
    own = list(with_operands(_parts_of(*_flat(items))))
    for path in paths:
        load_before_replaced(path, own)
    # The names are those of this process, which lives until all are published.
    temps = [staging_name(path) for path in paths]
    is_new = [not path.exists() for path in paths]
    jobs = list(zip(items, paths, temps, is_new, strict=True))
    try:
        map_parallel(
            partial(_write_one, write, not waits), jobs, workers=workers, title=title
        )
        for _, path, temp, new in jobs if waits else ():
            _publish(path, temp, new)
    finally:
        for temp in temps:
            with contextlib.suppress(OSError):
                temp.unlink(missing_ok=True)


def _flat(items: Sequence[Any]) -> list[Any]:
    return [x for item in items for x in (item if isinstance(item, tuple) else (item,))]


def _write_one(write: Write, at_once: bool, job: tuple[Any, Path, Path, bool]) -> None:
    item, path, temp, is_new = job
    write(item, path, temp)
    if at_once:
        _publish(path, temp, is_new)


def _publish(path: Path, temp: Path, is_new: bool) -> None:
    if is_new and path.exists():
        msg = (
            f"{path} was written by somebody else meanwhile, and is not replaced; "
            "choose another name"
        )
        raise OutputExistsError(msg)
    publish(temp, path)


def _is_tangled(paths: Sequence[Path], sources: Sequence[set[str]]) -> bool:
    """Whether one of the files is to be replaced while another is made from it."""
    reader: dict[str, set[int]] = {}
    for i, found in enumerate(sources):
        for name in found:
            reader.setdefault(os.path.realpath(name), set()).add(i)
    return any(
        reader.get(os.path.realpath(p), set()) - {i} for i, p in enumerate(paths)
    )


def sources_of(*values: Any) -> set[str]:
    """List the files that DataFiles and NDLaters will be read from."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, DataFile):
            if (fmap := value.content.map) is not None:
                found.add(str(fmap.source.path))
            tables = value.content.tables
            stored = (tables.stored(name) for name in tables)
            found |= {str(hdu.source.path) for hdu in stored if hdu is not None}
    for part in with_operands(_parts_of(*values)):
        if not part.is_loaded and part.deferred is None and part.handle is not None:
            found.add(str(part.handle.source.path))
    return found


def _parts_of(*values: Any) -> list[LazyArray]:
    """List the arrays of files and images."""
    found: list[LazyArray] = []
    for value in values:
        if isinstance(value, NDLater):
            found += value.content.arrays.values()
        elif isinstance(value, DataFile):
            _ = value.content.images
            found += value.content.made_arrays
    return found
