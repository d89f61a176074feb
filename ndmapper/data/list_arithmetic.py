"""Arithmetic of lists: file by file, of which one is in memory at a time."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.nddata import NDData

from ndmapper.config import config
from ndmapper.data.array import Part
from ndmapper.data.datafile import DataFile
from ndmapper.data.filename import FileName
from ndmapper.data.image import mask_of_array
from ndmapper.data.ndlater import NDLater
from ndmapper.data.operations import is_operand, put_all
from ndmapper.data.operators import Operators, checked_result, documented
from ndmapper.data.save_list import save_files, sources_of, write_all
from ndmapper.data.saving.save import real_target, stage
from ndmapper.data.units import SYMBOLS
from ndmapper.errors import ModeError, OutputExistsError, PlanError, ShapeError

__all__ = ["FileOperators", "save_all"]


def _method(name: str) -> Callable[..., Any]:
    def method(  # noqa: PLR0917  # as the constructor of a list
        self: Any,
        operand: Any,
        filename: Any = None,
        prefix: str | None = None,
        suffix: str | None = None,
        dirname: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
        workers: int | str = 1,
    ) -> Any:
        pairs = self._pairs(operand)
        takes = "lists, files, NDData, arrays, Quantities and numbers"
        checked_result(name, operand, pairs, takes=takes)
        if filename is None and prefix is None and suffix is None:
            if dirname is not None or workers != 1 or overwrite:
                msg = (
                    "dirname, overwrite and workers are for results that are saved; "
                    "give a filename for each, or a prefix or suffix"
                )
                raise PlanError(msg)
            return self._operate(name, operand)
        targets = _targets(self, len(pairs), filename, prefix, suffix, dirname)
        _check_targets(targets, overwrite=overwrite)
        write_all(
            partial(_write_result, name),
            pairs, [real_target(t) for t in targets], [sources_of(*p) for p in pairs],
            workers=workers, title=name,
        )  # fmt: skip
        return type(self)(targets, labels=self._labels)

    return documented(
        method, name, "FileOperators",
        "DataFileList, DataFile, NDData, Quantity, array_like or number",
        "    A list goes file by file, anything else with each of the files.\n"
        "filename : sequence of str or path, optional\n"
        "    Names of the results, which are then saved at once.\n"
        "prefix, suffix : str, optional\n"
        "    Text put before the names of these files, and after them, to name the\n"
        "    results, which are then saved at once.\n"
        "dirname : str or path, optional\n"
        "    Folder of results named by prefix and suffix; by default that of the\n"
        "    configuration for products.\n"
        "overwrite : bool\n"
        "    Replace files that exist.\n"
        "workers : int or 'all'\n"
        "    How many processes work on results that are saved.\n\n"
        "Returns\n-------\nDataFileList\n"
        "    The results: saved, or else computed when somebody looks at them or\n"
        "    saves them.\n",
    )  # fmt: skip


class FileOperators(Operators):
    """The operators and methods of a list of files."""

    add = _method("add")
    subtract = _method("subtract")
    multiply = _method("multiply")
    divide = _method("divide")
    power = _method("power")
    bitwise_and = _method("bitwise_and")
    bitwise_or = _method("bitwise_or")
    bitwise_xor = _method("bitwise_xor")

    def _pairs(self, other: Any, *, swapped: bool = False) -> Any:
        """Pair the files with what they are combined with."""
        if not isinstance(other, list | DataFile) and not is_operand(other):
            return NotImplemented
        files: list[Any] = list(self)  # type: ignore[call-overload]
        others = _checked(list(other) if isinstance(other, list) else [other])
        if len(files) != len(others):
            if len(others) == 1:
                others = [_fixed(others[0])] * len(files)
            elif len(files) == 1:
                files = [_fixed(files[0])] * len(others)
            else:
                msg = (
                    f"lists of {len(files)} and {len(others)} files cannot be "
                    "combined; they must be as long as each other, or one of them a "
                    "single file"
                )
                raise ShapeError(msg)
        pairs = (others, files) if swapped else (files, others)
        return list(zip(*pairs, strict=True))

    def _operate(self, name: str, other: Any, *, swapped: bool = False) -> Any:
        pairs = self._pairs(other, swapped=swapped)
        if pairs is NotImplemented:
            return NotImplemented
        return type(self)(data=[_combined(name, *pair) for pair in pairs])  # type: ignore[call-arg]

    def _operate_in_place(self, name: str, other: Any) -> Any:
        pairs = self._pairs(other)
        if pairs is NotImplemented:
            return NotImplemented
        if len(pairs) != len(self):  # type: ignore[arg-type]
            msg = (
                f"{len(pairs)} results do not fit in the place of one file; write "
                f"a = a {SYMBOLS[name]} b for a new list"
            )
            raise ShapeError(msg)
        ready = [left._ready(name, right) for left, right in pairs]
        put_all([group for one in ready for group in one], later=True)
        return self


def _combined(name: str, left: Any, right: Any) -> Any:
    if isinstance(left, DataFile):
        return left._operate(name, right)
    return right._operate(name, left, swapped=True)


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
    """Keep what goes with each file as it is now; in memory it is there once."""
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
    original.content.synced("uncertainty")
    for name, part in original.content.arrays.items():
        array = part.peek().copy() if part.is_loaded else None
        pending = None if part.is_loaded else part.pending
        ndd.content.arrays[name] = Part(
            part.handle, array, header=part.header, is_std=part.is_std, held=False,
            pending=pending, fixed=True,
        ).noted()  # fmt: skip


def _targets(  # noqa: PLR0917
    files: Any, count: int, filename: Any, prefix: Any, suffix: Any, dirname: Any
) -> list[FileName]:
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
    stage(_combined(name, *pair), path, temp)


def save_all(
    files: Sequence[DataFile],
    filename: Any = None,
    *,
    overwrite: bool = False,
    workers: int | str = 1,
    checksum: bool = False,
) -> None:
    """
    Save files, several at once.

    Parameters
    ----------
    files : sequence of DataFile
        The files.
    filename : sequence of str or path, optional
        New names for them.
    overwrite : bool
        Replace files even where the mode is 'new'.
    workers : int or 'all'
        How many processes.
    checksum : bool
        Write CHECKSUM and DATASUM into every header.

    Raises
    ------
    ShapeError
        If there are not as many names as files.
    ModeError
        If a file has no name.
    """
    if filename is not None:
        targets = _targets(files, len(files), filename, None, None, None)
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
        (df, df._save_target(None if filename is None else t, overwrite=overwrite))
        for df, t in zip(files, targets, strict=True)
    ]
    save_files(jobs, workers=workers, checksum=checksum)
