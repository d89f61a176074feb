"""The calibration files of one type, by IFU."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

from astropy.nddata import NDData

from ndmapper.data import DataFile, FileName, FileSet
from ndmapper.data.name_pattern import NamePattern, keys_text, parse_pattern
from ndmapper.errors import FormatError, IdentError, MissingMemberError
from ndmapper.lib.muse.calibfile import CalibFile
from ndmapper.lib.muse.ifus import IFUS, find_files, ifu_number, ifu_of
from ndmapper.lib.muse.spellings import Spellings, show
from ndmapper.lib.muse.writing import check_targets, write_files
from ndmapper.parallel import map_threads

__all__ = ["CalibDir"]


_IFU = "{ifu:02d}.fits"


class CalibDir(Spellings, FileSet):
    """
    The calibration files of one type, of up to 24 IFUs: a `FileSet` by IFU.

    Parameters
    ----------
    type : str
        The type, with which the names of the files begin: ``"MASTER_BIAS"``.
    dirname : str or path, optional
        Their folder, with files ``<type>-NN.fits`` or ``<type>_NN.fits`` or one
        merged ``<type>.fits``; or the name of a merged file. None makes an empty one.
    progress : bool
        Show the progress of `write`, and of arithmetic, on a terminal.
    workers : int or 'all'
        How many processes `write` uses; 'all' means one for each processor.

    Attributes
    ----------
    type : str
        The type.
    progress : bool
        Whether progress is shown.
    workers : int or 'all'
        How many processes are used.

    Raises
    ------
    MissingFileError
        If there is no such folder, or no file of this type in it.
    FormatError
        If an IFU is there twice, or a file does not hold what its name says.

    Notes
    -----
    Arithmetic goes IFU by IFU, with another CalibDir that has the same IFUs, or with
    one number, image or file for all. What lies in files is read, and the result
    computed, when it is first accessed; `write` computes all in parallel, and no more
    than one IFU is in the memory of each process. What is in memory is computed at
    once, several IFUs at a time.
    """

    def __init__(
        self,
        type: str,  # as published
        dirname: str | os.PathLike[str] | None = None,
        *,
        progress: bool = True,
        workers: int | str = "all",
    ) -> None:
        if not isinstance(type, str) or not type or Path(type).name != type:
            msg = (
                f"type is the begin of file names, such as 'MASTER_BIAS', not {type!r}"
            )
            raise FormatError(msg)
        super().__init__({}, by="ifu")
        self._folder: str | None = None
        self.type = type
        self.progress = progress
        self.workers = workers
        self._form = "{type}_{ifu:02d}.fits"
        if dirname is not None:
            self._open(Path(dirname))

    def _open(self, where: Path) -> None:
        files: dict[int, CalibFile] = {}
        paths: dict[int, Path] = {}
        for path, number in find_files(self.type, where).items():
            for ifu, file in _by_ifu(path, number).items():
                if ifu in files:
                    msg = (
                        f"IFU {ifu} of {self.type} is both in {paths[ifu]} and in "
                        f"{path}; move one of them away, or name the merged file"
                    )
                    raise FormatError(msg)
                files[ifu], paths[ifu] = file, path
        self.files = files
        first = next(iter(paths.values()))
        self._folder = str(first.parent)
        self._form = "{type}.fits"
        names = set(paths.values())
        if len(names) == len(paths):
            separator = first.name[len(self.type) : len(self.type) + 1]
            separator = separator if separator in ("-", "_") else "-"
            self._form = f"{{type}}{separator}{{ifu:02d}}.fits"
            pattern = NamePattern(str(first.parent / f"{self.type}{separator}{_IFU}"))
            if all(pattern.fill(ifu) == str(path) for ifu, path in paths.items()):
                self.filename = FileName(pattern.text)
        elif len(names) == 1:
            self._source = CalibFile(first)
            self._as_cut = {ifu: file.copy() for ifu, file in files.items()}

    # ---- the files

    @property
    def dirname(self) -> str | None:
        """The folder; None where the files are in none yet."""
        name = self.filename
        return self._folder if name is None else name.dir or "."

    @property
    def files(self) -> dict[int, CalibFile]:
        """The files by IFU."""
        return cast(dict[int, CalibFile], self._files)

    @files.setter
    def files(self, value: Mapping[int, CalibFile]) -> None:
        self._files = {ifu: value[ifu] for ifu in value}
        self._leave_files()

    def _leave_files(self) -> None:
        """Have no name, and no whole, since the files are others than these."""
        self._folder = self._source = None
        self._as_cut = {}
        self.filename = None

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(self.files))

    def __getitem__(self, ifu: Any) -> CalibFile:
        return self.files[self._present(ifu)]

    def __setitem__(self, ifu: int | str, file: DataFile | NDData) -> None:
        number = ifu_number(ifu)
        if not isinstance(file, DataFile | NDData):
            msg = f"a CalibFile was expected for IFU {ifu}, not {type(file).__name__}"
            raise TypeError(msg)
        if isinstance(file, DataFile) and len(file) > 1:
            msg = (
                f"IFU {number} needs a file of one IFU, but {file!r} has "
                f"{file.idents}; take one of a CalibDir of this file"
            )
            raise IdentError(msg)
        self._source = None
        self.files[number] = (
            file if isinstance(file, CalibFile) else CalibFile(data=file)
        )

    def __delitem__(self, ifu: int | str) -> None:
        self._source = None
        del self.files[self._present(ifu)]

    def _present(self, ifu: int | str) -> int:
        number = ifu_number(ifu)
        if number not in self.files:
            msg = f"{self!r} does not have IFU {number}; it has: {keys_text(self)}"
            raise MissingMemberError(msg)
        return number

    def copy(self) -> "CalibDir":
        """
        Copy; pixels that are in a file, and unchanged, are not read.

        Returns
        -------
        CalibDir
            A change to one never shows in the other.
        """
        return deepcopy(self)

    def _like(self, members: Mapping[Any, Any]) -> "CalibDir":
        new = CalibDir(self.type, progress=self.progress, workers=self.workers)
        new.cals.update(self.cals)
        new._form = self._form
        new.files = dict(members)
        return new

    def info(self) -> str:
        """
        Print what there is for each IFU, from headers alone.

        Returns
        -------
        str
            What was printed.
        """
        lines = [repr(self)]
        for ifu in self:
            file = self.files[ifu]
            name = str(file) or file.data or "not saved"
            parts = [
                " x ".join(map(str, ndd.shape))
                + f" {ndd.dtype}"
                + "".join(f", {n}" for n in ("uncertainty", "flags") if ndd.has(n))
                for ndd in file
            ]
            lines.append(f"  {ifu:2d}  {name}  {'; '.join(parts)}")
        missing = [ifu for ifu in IFUS if ifu not in self.files]
        lines.append(f"  missing: {keys_text(missing, len(IFUS))}")
        text = "\n".join(lines)
        show(text)
        return text

    def __repr__(self) -> str:
        where = "" if self.dirname is None else f" in {self.dirname!r}"
        return f"CalibDir {self.type!r}{where} ({len(self)} IFUs)"

    # ---- writing

    def write(
        self,
        dirname: str | os.PathLike[str],
        overwrite: bool = False,
        merged: bool | None = None,
    ) -> None:
        """
        Write all files into a folder, in parallel, whether they were changed or not.

        They appear there when all of them are complete. Afterwards they are what this
        object refers to, and no pixels are in memory.

        Parameters
        ----------
        dirname : str or path
            The folder; it is made if it does not exist.
        overwrite : bool
            Replace files of the same names.
        merged : bool, optional
            Write one file for all (``<type>.fits``), or one for each; by default as
            they were read.

        Raises
        ------
        OutputExistsError
            If there are files of this type that may not be replaced, or others.
        IdentError
            If there is nothing to write.
        FileAccessError
            If they cannot be written.
        """
        if not len(self):
            msg = f"{self!r} is empty, so there is nothing to write"
            raise IdentError(msg)
        form = self._form
        if merged is True:
            form = "{type}.fits"
        elif merged is False and "ifu" not in form:
            form = "{type}-{ifu:02d}.fits"
        names = {ifu: form.format(type=self.type, ifu=ifu) for ifu in self}
        folder = Path(dirname)
        check_targets(self.type, folder, names, overwrite=overwrite)
        write_files(
            {ifu: self.files[ifu] for ifu in self},
            folder,
            names,
            workers=self.workers,
            title=self.type if self.progress else None,
        )
        self._open(folder)

    # ---- arithmetic

    def _each(self, func: Callable[[Any], Any], keys: list[Any]) -> Iterable[Any]:
        # What is in memory is computed here; what lies in files, when it is written.
        return map_threads(func, keys, title=self.type if self.progress else None)

    def _called(self, key: Any) -> str:
        return f"IFU {key} of {self.type}"

    def _named(self, result: Any, filename: Any) -> Any:
        if parse_pattern(filename) is None:
            msg = "a CalibDir has many files; write the result with write(dirname)"
            raise TypeError(msg)
        return super()._named(result, filename)

    def _operate_in_place(self, name: str, other: Any) -> Any:
        result = self._operate(name, other)
        if result is NotImplemented:
            return NotImplemented
        self.files = result.files
        return self


def _by_ifu(path: Path, number: int | None) -> dict[int, CalibFile]:
    """Open a file as one CalibFile for each of its IFUs."""
    file = CalibFile(path)
    if number is not None and file.ifu in (None, number) and len(file) == 1:
        return {number: file}
    if len(file) == 1 and file.ifu is not None and number is None:
        return {file.ifu: file}
    found = {
        ifu: position
        for position, ident in enumerate(file.idents)
        if (ifu := ifu_of(ident)) is not None
    }
    if number is not None or len(found) != len(file):
        expected = "a merged file, with CHANnn.DATA and so on"
        if number is not None:
            expected = f"that of IFU {number}, and no other"
        names = [file.meta.get("EXTNAME"), *file.idents]
        msg = (
            f"{path} should be {expected}, but it says {names}; rename it, or move it "
            "out of the folder"
        )
        raise FormatError(msg)
    return {ifu: _part(file, position, ifu) for ifu, position in found.items()}


def _part(file: CalibFile, position: int, ifu: int) -> CalibFile:
    """Take one IFU out of a merged file."""
    part: CalibFile = file[position : position + 1]
    for store in (part.tables, part.extras):
        for name in list(store):
            if ifu_of(name.partition(".")[0]) not in (None, ifu):
                del store[name]
    return part
