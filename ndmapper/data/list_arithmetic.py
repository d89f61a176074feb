"""Arithmetic of lists: file by file, of which one is in memory at a time."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ndmapper.config import config
from ndmapper.data.datafile import DataFile
from ndmapper.data.file_arithmetic import combined, shared_operand
from ndmapper.data.filename import FileName
from ndmapper.data.fileset import (
    FileSet,
    files_to_save,
    member_names,
    members_of,
    pair_members,
    prepare_item,
)
from ndmapper.data.operations import is_operand, put_all
from ndmapper.data.save_list import check_targets, save_all, sources_of, write_all
from ndmapper.data.saving.save import real_target, write_unpublished
from ndmapper.data.units import SYMBOLS
from ndmapper.errors import PlanError, ShapeError

__all__ = [
    "Target",
    "pair_files",
    "put_in_place",
    "result_names",
    "save_items",
    "save_results",
]


Target = FileName | list[FileName]
"""Name of a result; of a set without a pattern, one for each of its files."""


def pair_files(files: Sequence[Any], other: Any, *, swapped: bool = False) -> Any:
    """Pair files with what they are combined with; NotImplemented for anything else."""
    if not isinstance(other, list | DataFile | FileSet) and not is_operand(other):
        return NotImplemented
    mine: list[Any] = list(files)
    others = _checked(list(other) if isinstance(other, list) else [other])
    if len(mine) != len(others):
        if len(others) == 1:
            others = [_shared(others[0])] * len(mine)
        elif len(mine) == 1:
            mine = [_shared(mine[0])] * len(others)
        else:
            msg = (
                f"lists of {len(mine)} and {len(others)} files cannot be "
                "combined; they must be as long as each other, or one of them a "
                "single file"
            )
            raise ShapeError(msg)
    pairs = (others, mine) if swapped else (mine, others)
    return list(zip(*pairs, strict=True))


def put_in_place(name: str, pairs: Sequence[tuple[Any, Any]], count: int) -> None:
    """Carry out an operation in the place of `count` files, once all are checked."""
    if len(pairs) != count:
        msg = (
            f"{len(pairs)} results do not fit in the place of one file; write "
            f"a = a {SYMBOLS[name]} b for a new list"
        )
        raise ShapeError(msg)
    ready = [prepare_item(name, left, right) for left, right in pairs]
    put_all([group for one in ready for group in one], later=True)


def save_results(
    name: str,
    pairs: Sequence[tuple[Any, Any]],
    targets: Sequence[Target],
    *,
    overwrite: bool,
    workers: int | str,
) -> list[Any]:
    """
    Carry out an operation file by file, of which one is in memory at a time.

    Returns the results: the names of files, and sets of files.
    """
    jobs: list[Any] = []
    paths: list[FileName] = []
    for pair, target in zip(pairs, targets, strict=True):
        like = _set_in(pair)
        jobs += [pair] if like is None else pair_members(*pair).values()
        paths += _paths_of(like, target)
    check_targets(paths, overwrite=overwrite)
    write_all(
        partial(_write_result, name),
        jobs, [real_target(t) for t in paths], [sources_of(*p) for p in jobs],
        workers=workers, title=name, together=any(map(_set_in, pairs)),
    )  # fmt: skip
    return [
        target if (like := _set_in(pair)) is None else _written_set(like, target)
        for pair, target in zip(pairs, targets, strict=True)
    ]


def save_items(
    items: Sequence[Any],
    filename: Any = None,
    *,
    overwrite: bool = False,
    workers: int | str = 1,
    checksum: bool = False,
) -> None:
    """Save files and sets of files; under other names if `filename` lists some."""
    targets = None
    paths: list[FileName] | None = None
    if filename is not None:
        targets = result_names(items, len(items), filename, None, None, None)
        pairs = list(zip(items, targets, strict=True))
        paths = [path for pair in pairs for path in _paths_of(_set_in(pair), pair[1])]
        files = [df for item in items for df in members_of(item)]
    else:
        files = [df for item in items for df in files_to_save(item)]
    save_all(
        files, paths, overwrite=overwrite, workers=workers, checksum=checksum,
        together=any(isinstance(item, FileSet) for item in items),
    )  # fmt: skip
    for item, target in zip(items, targets or (), strict=False):
        if isinstance(item, FileSet) and not isinstance(target, list):
            item.filename = target


def _set_in(pair: Sequence[Any]) -> FileSet | None:
    """Find the set of which a result has the keys."""
    return next((item for item in pair if isinstance(item, FileSet)), None)


def _paths_of(like: FileSet | None, target: Target) -> list[FileName]:
    """List the names of files that are written for one item of a list."""
    if isinstance(target, list):
        return target
    return [target] if like is None else member_names(like, target)


def _written_set(like: FileSet, target: Target) -> FileSet:
    members = dict(zip(like, _paths_of(like, target), strict=True))
    name = None if isinstance(target, list) else target
    return FileSet(members, like.by or None, filename=name)


def _checked(items: list[Any]) -> list[Any]:
    for item in items:
        if not isinstance(item, DataFile | FileSet) and not is_operand(item):
            msg = (
                "a list that is combined with files has a file, image, array or number "
                f"for each of them, not {type(item).__name__}"
            )
            raise TypeError(msg)
    return items


def _shared(item: Any) -> Any:
    """Freeze what is combined with every file of a list, each file of a set alike."""
    if not isinstance(item, FileSet):
        return shared_operand(item)
    return FileSet({key: shared_operand(item[key]) for key in item}, item.by or None)


def result_names(  # noqa: PLR0917
    files: Any, count: int, filename: Any, prefix: Any, suffix: Any, dirname: Any
) -> list[Target]:
    """Name results: as is given, or by the names of files with a prefix or suffix."""
    found: list[Target]
    if filename is not None:
        names = [filename] if isinstance(filename, str | os.PathLike) else filename
        found = [
            FileName(n, prefix=prefix, suffix=suffix, dirname=dirname) for n in names
        ]
    else:
        folder = config["outdir"] if dirname is None else dirname
        folder = "" if os.fspath(folder) == "." else folder  # names stay short
        named_by = [_named_by(df) for df in files]
        unnamed = sum(None in names for names in named_by)
        if unnamed:
            msg = (
                f"{unnamed} of these files have no name that results could be named "
                "by; give a filename for each"
            )
            raise PlanError(msg)
        found = []
        for item, names in zip(files, named_by, strict=True):
            new = [
                FileName(n, prefix=prefix, suffix=suffix, dirname=folder) for n in names
            ]
            is_many = isinstance(item, FileSet) and item.pattern is None
            found.append(new if is_many else new[0])
    if len(found) != count:
        msg = f"there are {len(found)} names for {count} results"
        raise ShapeError(msg)
    return found


def _named_by(item: Any) -> list[FileName | None]:
    """List the names that those of results are made of."""
    if not isinstance(item, FileSet) or item.pattern is not None:
        return [item.filename]
    return [df.filename for df in item.members]


def _write_result(name: str, pair: tuple[Any, Any], path: Path, temp: Path) -> None:
    write_unpublished(combined(name, *pair), path, temp)
