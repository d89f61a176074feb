"""Arithmetic of lists: file by file, of which one is in memory at a time."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.nddata import NDData

from ndmapper.config import config
from ndmapper.data.array import LazyArray, Ownership
from ndmapper.data.datafile import DataFile, prepare_in_place
from ndmapper.data.filename import FileName
from ndmapper.data.image import mask_of_array
from ndmapper.data.ndlater import NDLater
from ndmapper.data.operations import is_operand, put_all
from ndmapper.data.save_list import save_files, sources_of, write_all
from ndmapper.data.saving.save import real_target, write_unpublished
from ndmapper.data.units import SYMBOLS
from ndmapper.errors import ModeError, OutputExistsError, PlanError, ShapeError

__all__ = [
    "combined",
    "pair_files",
    "put_in_place",
    "result_names",
    "save_all",
    "save_results",
]


def pair_files(files: Sequence[DataFile], other: Any, *, swapped: bool = False) -> Any:
    """Pair files with what they are combined with; NotImplemented for anything else."""
    if not isinstance(other, list | DataFile) and not is_operand(other):
        return NotImplemented
    mine: list[Any] = list(files)
    others = _checked(list(other) if isinstance(other, list) else [other])
    if len(mine) != len(others):
        if len(others) == 1:
            others = [_fixed(others[0])] * len(mine)
        elif len(mine) == 1:
            mine = [_fixed(mine[0])] * len(others)
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
    ready = [prepare_in_place(name, left, right) for left, right in pairs]
    put_all([group for one in ready for group in one], later=True)


def save_results(
    name: str,
    pairs: Sequence[tuple[Any, Any]],
    targets: Sequence[FileName],
    *,
    overwrite: bool,
    workers: int | str,
) -> None:
    """Carry out an operation file by file, of which one is in memory at a time."""
    _check_targets(targets, overwrite=overwrite)
    write_all(
        partial(_write_result, name),
        pairs, [real_target(t) for t in targets], [sources_of(*p) for p in pairs],
        workers=workers, title=name,
    )  # fmt: skip


_METHODS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "power": "pow",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
}
"""Special methods of the operations, less their underscores."""


def combined(name: str, left: Any, right: Any) -> Any:
    """Combine two operands, of which one is a file."""
    if name == "invert":
        return ~left
    if isinstance(left, DataFile):
        return getattr(left, f"__{_METHODS[name]}__")(right)
    return getattr(right, f"__r{_METHODS[name]}__")(left)


def _checked(items: list[Any]) -> list[Any]:
    for item in items:
        if not isinstance(item, DataFile) and not is_operand(item):
            msg = (
                "a list that is combined with files has a file, image, array or number "
                f"for each of them, not {type(item).__name__}"
            )
            raise TypeError(msg)
    return items


def _fixed(value: Any) -> Any:
    """Freeze the operand that is applied to every file, so that it is loaded once."""
    if isinstance(value, DataFile):
        fixed = value.copy()
        for ndd, original in zip(fixed, value, strict=True):
            _fix(ndd, original)
        return fixed
    if isinstance(value, NDLater):
        fixed = value.copy()
        _fix(fixed, value)
        return fixed
    if isinstance(value, NDData) or mask_of_array(value) is not None:
        return _fixed(NDLater(value))
    if isinstance(value, np.ndarray):
        own = value.copy()
        own.flags.writeable = False
        return own
    return value


def _fix(ndd: NDLater, original: NDLater) -> None:
    for name, part in original.content.arrays.items():
        array = part.read_only().copy() if part.is_loaded else None
        ndd.content.arrays[name] = LazyArray(
            part.handle, array, header=part.header,
            ownership=Ownership.IMMUTABLE, deferred=part.deferred,
        ).registered()  # fmt: skip


def result_names(  # noqa: PLR0917
    files: Any, count: int, filename: Any, prefix: Any, suffix: Any, dirname: Any
) -> list[FileName]:
    """Name results: as is given, or by the names of files with a prefix or suffix."""
    if filename is not None:
        names = [filename] if isinstance(filename, str | os.PathLike) else filename
        found = [
            FileName(n, prefix=prefix, suffix=suffix, dirname=dirname) for n in names
        ]
    else:
        folder = config["outdir"] if dirname is None else dirname
        folder = "" if os.fspath(folder) == "." else folder  # names stay short
        unnamed = sum(df.filename is None for df in files)
        if unnamed:
            msg = (
                f"{unnamed} of these files have no name that results could be named "
                "by; give a filename for each"
            )
            raise PlanError(msg)
        found = [
            FileName(df.filename, prefix=prefix, suffix=suffix, dirname=folder)
            for df in files
        ]
    if len(found) != count:
        msg = f"there are {len(found)} names for {count} results"
        raise ShapeError(msg)
    return found


def _check_targets(targets: Sequence[FileName], *, overwrite: bool) -> None:
    """Refuse what would be lost, before anything is computed."""
    _refuse_twice(targets)
    there = [str(t) for t in targets if Path(t).exists()]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        msg = (
            f"{there[0]}{more} exists already; choose other names, or pass "
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


def _write_result(name: str, pair: tuple[Any, Any], path: Path, temp: Path) -> None:
    write_unpublished(combined(name, *pair), path, temp)


def save_all(
    files: Sequence[DataFile],
    filename: Any = None,
    *,
    overwrite: bool = False,
    workers: int | str = 1,
    checksum: bool = False,
) -> None:
    """
    Save files, several at once; under other names if `filename` lists some.

    Raises
    ------
    ShapeError
        If there are not as many names as files.
    ModeError
        If a file has no name.
    """
    if filename is not None:
        targets = result_names(files, len(files), filename, None, None, None)
        _check_targets(targets, overwrite=overwrite)
    else:
        files = list({id(df): df for df in files}.values())
        targets = [df.filename for df in files if df.filename is not None]
        if len(targets) != len(files):
            msg = (
                f"{len(files) - len(targets)} of {len(files)} files have no name; give "
                "one for each: save(filename=[...])"
            )
            raise ModeError(msg)
        _refuse_twice(targets)
    jobs = [
        (
            df,
            df.access.save_target(None if filename is None else t, overwrite=overwrite),
        )
        for df, t in zip(files, targets, strict=True)
    ]
    save_files(jobs, workers=workers, checksum=checksum)
