"""A file as a list of NDData, with its headers, tables and calibrations."""

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from astropy.nddata import NDData

from ndmapper.data.content import Content
from ndmapper.data.display import FileViews
from ndmapper.data.filename import FileName, Named
from ndmapper.data.operators import Operators
from ndmapper.data.saving.plan import changes, is_rearranged, plan_items
from ndmapper.data.saving.save import save_datafile
from ndmapper.errors import MissingFileError, ModeError, OutputExistsError
from ndmapper.instruments import FlagTable

__all__ = ["DataFile", "Mode"]

Mode = Literal["read", "update", "new", "overwrite"]
"""What may be done with a file."""

_MODES = ("read", "update", "new", "overwrite")


class DataFile(FileViews, Content):
    """
    A file as a list of NDData; nothing is read but headers until somebody looks.

    Parameters
    ----------
    filename : str, path, FileName or DataFile, optional
        Name of the file. A DataFile gives its content too, where there is no `data`.
    data : NDData, ndarray, list of these, or DataFile, optional
        The content: one image, or several. ``[]`` ignores what is in the file; a
        DataFile is copied, of which no pixels are read.
    meta : Header or mapping, optional
        The primary header, in place of the existing one.
    mode : {'read', 'update', 'new', 'overwrite'}, optional
        'read' and 'update' need a file that exists, and 'new' one that does not;
        'overwrite' replaces what may be there, at the first save. By default 'read'
        for a name without `data`, else 'new'.
    strip : bool
        Take the prefix and suffixes off the name.
    prefix, suffix : str, optional
        Text put before the name, and after it.
    dirname : str or path, optional
        Folder in place of the existing one.
    labels : str or mapping, optional
        Names of the extensions: a preset, or a mapping with the keys data (which may
        be 'PRIMARY'), uncertainty, flags and uncertainty_is ('variance', 'std' or
        'ivar'). By default they are recognised.

    Attributes
    ----------
    cals : dict of str to DataFile
        The calibrations associated with the file, by type.
    tables : mapping of str to Table
        The tables of the file, each read when it is looked at.
    expected_key : (str, str) or None
        Key of the product, where a step expects one.

    Raises
    ------
    MissingFileError
        If the file must exist and does not.
    OutputExistsError
        If it must not exist and does.
    FormatError
        If it is not FITS, or damaged.
    """

    def __init__(  # noqa: PLR0917  # the published order
        self,
        filename: "str | os.PathLike[str] | FileName | Named | None" = None,
        data: "NDData | npt.NDArray[Any] | Sequence[Any] | DataFile | None" = None,
        meta: Mapping[str, Any] | None = None,
        mode: Mode | None = None,
        strip: bool = False,
        prefix: str | None = None,
        suffix: str | None = None,
        dirname: str | os.PathLike[str] | None = None,
        labels: Any = None,
    ) -> None:
        renamed = strip or any(x is not None for x in (prefix, suffix, dirname))
        if isinstance(filename, DataFile) and data is None:
            data = filename
            if mode is None and not renamed:
                mode = filename.mode
        self._filename: FileName | None = None
        if filename is not None and (
            not isinstance(filename, DataFile) or filename.filename is not None
        ):
            self._filename = FileName(
                filename, strip=strip, prefix=prefix, suffix=suffix, dirname=dirname
            )
        elif renamed:
            msg = "prefix, suffix, dirname and strip change a name, but none is given"
            raise ModeError(msg)
        self._note_name()
        self._mode = _checked_mode(mode, self._filename, has_data=data is not None)
        self.cals: dict[str, DataFile] = {}
        self.expected_key: tuple[str, str] | None = None
        self._wanted_labels = labels
        self._start()
        if self._mode in ("read", "update") and self._filename is not None:
            if not isinstance(data, DataFile):
                self._open()
            elif not Path(self._filename).exists():
                raise MissingFileError(_missing(self._filename))
        elif self._mode == "new" and self._filename is not None:
            self._refuse_existing(self._filename)
        if isinstance(data, DataFile):
            self._copy(data)
        elif data is not None:
            del self[:]
            # A bare array is one image, and not a list of its rows.
            single = isinstance(data, NDData | np.ndarray)
            self.extend([data] if single else cast(Sequence[Any], data))
        if meta is not None:
            self.meta = meta

    def _refuse_existing(self, name: FileName) -> None:
        # A name that no file can have is none that exists; a save says what is wrong.
        if os.path.exists(name):  # noqa: PTH110
            msg = (
                f"{name} exists already; choose another name, or mode='overwrite' to "
                "replace it"
            )
            raise OutputExistsError(msg)

    # ---- name and mode

    def _note_name(self) -> None:
        """Note which file the name means now; a change of folder does not matter."""
        self._opened_name = str(self._filename or "")
        self._opened_as = os.path.abspath(self._opened_name)  # noqa: PTH100

    @property
    def _file(self) -> FileName | None:
        """The name, in full where another folder is the current one by now."""
        if not self._filename or self._mode in ("new", "overwrite"):
            return self._filename
        is_same = str(self._filename) == self._opened_name
        if is_same and self._filename != self._opened_as:
            return FileName(self._opened_as)
        return self._filename

    @property
    def filename(self) -> FileName | None:
        """The name of the file; None for one that was not named yet."""
        return self._filename

    @filename.setter
    def filename(self, value: "str | os.PathLike[str] | FileName | None") -> None:
        self._filename = None if value is None else FileName(value)

    @property
    def mode(self) -> Mode:
        """What may be done with the file: read, update, new or overwrite."""
        return self._mode

    @mode.setter
    def mode(self, value: Mode) -> None:
        self._mode = _checked_mode(value, self._filename, has_data=True)

    def __str__(self) -> str:
        return "" if self._filename is None else str(self._filename)

    def __fspath__(self) -> str:
        if not self._filename:
            msg = "this DataFile has no name; save it under one first"
            raise ModeError(msg)
        return str(self._filename)

    def __repr__(self) -> str:
        name = "" if self._filename is None else f" {str(self._filename)!r}"
        return f"DataFile{name} (len {len(self)})"

    # ---- what it is

    @property
    def is_made(self) -> bool:
        """Whether there is any content: False for a product that is only planned."""
        return True

    @property
    def unchanged(self) -> bool:
        """Whether nothing in memory differs from the file as it was opened."""
        if self._map is None or not self._filename or self._has_new_record:
            return False
        if self._filename != self._map.source.path:
            return False
        if self._is_untouched:
            return True
        items = plan_items(self)
        return not any(changes(items)) and not is_rearranged(self, items)

    @property
    def unloaded(self) -> bool:
        """Whether nothing in memory differs from the file of this name on disk."""
        if self._map is None or not self.unchanged:
            return False
        # Whoever asks will hand the name on, of what may be another file by now.
        self._map.source.check()
        return True

    def translate_flags(self, to: "FlagTable | str") -> "DataFile":
        """
        Turn the flags into those of another convention.

        Parameters
        ----------
        to : str or FlagTable
            The other convention, for instance ``'jwst'``.

        Returns
        -------
        DataFile
            A copy without a name, with `NDLater.translate_flags` of each group.
        """
        new = self.copy()
        for i, ndd in enumerate(new):
            new[i] = ndd.translate_flags(to)
        return new

    def share(self, other: "DataFile") -> None:
        """
        Share the arrays of another file of the same content.

        Parameters
        ----------
        other : DataFile
            The other file. What is written into an array of one shows in the other.
        """
        for mine, its in zip(self, other, strict=True):
            mine.share(its)

    # ---- saving and reading anew

    def save(
        self,
        filename: "str | os.PathLike[str] | FileName | None" = None,
        overwrite: bool = False,
        *,
        checksum: bool = False,
    ) -> None:
        """
        Save the file; what is there is replaced in one moment, or stays as it is.

        Parameters
        ----------
        filename : str, path or FileName, optional
            Another name, which the DataFile takes on.
        overwrite : bool
            Replace a file of this name even where the mode is 'new'.
        checksum : bool
            Write CHECKSUM and DATASUM into every header.

        Raises
        ------
        ModeError
            If there is no name, or the mode is 'read' and there is no other name.
        OutputExistsError
            If a file exists that must not.
        FileAccessError
            If the file cannot be written.
        """
        target = self._save_target(filename, overwrite=overwrite)
        save_datafile(self, Path(target), checksum=checksum)
        self._is_saved_as(target)

    def _save_target(self, filename: Any = None, *, overwrite: bool) -> FileName:
        """Find the name to save under, unless the mode forbids it."""
        target = self._file if filename is None else FileName(filename)
        if not target:
            msg = "this DataFile has no name; call save('name.fits')"
            raise ModeError(msg)
        is_other = target != self._opened_as
        if not is_other and self._mode == "read" and not overwrite:
            msg = (
                f"{target} was opened in mode 'read'; open it with mode='update', or "
                "save it under another name"
            )
            raise ModeError(msg)
        if (is_other or self._mode == "new") and not overwrite:
            self._refuse_existing(target)
        return target

    def _is_saved_as(self, target: FileName) -> None:
        self._filename = target
        self._note_name()
        self._mode = "update"

    def reload(self) -> None:
        """
        Read the file anew, giving up everything that was changed in memory.

        Raises
        ------
        MissingFileError
            If there is no such file.
        """
        if not self._filename:
            msg = "this DataFile has no name, so there is nothing to read anew"
            raise ModeError(msg)
        fresh = DataFile(self._file, mode="read", labels=self._wanted_labels)
        for name in ("_groups", "extras"):
            self.__dict__.pop(name, None)
        for name in ("_map", "_layout", "_labels", "_primary", "_bad_flags", "tables",
                     "_record", "_has_new_record", "_fingerprint"):  # fmt: skip
            setattr(self, name, getattr(fresh, name))
        if self._mode in ("new", "overwrite"):
            self._mode = "update"

    def copy(self) -> "DataFile":
        """
        Copy, without a name; no pixels are read.

        Of arrays in memory those are copied that somebody may hold.

        Returns
        -------
        DataFile
            A change to one never shows in the other.
        """
        return DataFile(data=self)

    def __copy__(self) -> "DataFile":
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "DataFile":
        # With its name, unlike a copy: what holds files is copied as a whole.
        new = object.__new__(type(self))
        memo[id(self)] = new
        self._copy_into(new, memo)
        return new

    def _copy_into(self, new: "DataFile", memo: dict[int, Any]) -> None:
        new.__dict__.update(self.__dict__)
        for name in ("_groups", "extras"):
            new.__dict__.pop(name, None)
        for name in ("_filename", "_opened_as", "_wanted_labels"):
            setattr(new, name, deepcopy(getattr(self, name), memo))
        new.cals = {}
        new._copy(self, memo)
        new._labels = self._labels


def _checked_mode(mode: Any, name: FileName | None, *, has_data: bool) -> Mode:
    if mode is None:
        return "new" if has_data or name is None else "read"
    if mode not in _MODES:
        msg = f"mode must be one of {', '.join(map(repr, _MODES))}, not {mode!r}"
        raise ModeError(msg)
    if name is None and mode in ("read", "update"):
        msg = f"mode {mode!r} needs the name of a file"
        raise ModeError(msg)
    return cast(Mode, mode)


def _missing(name: FileName) -> str:
    return f"{name} does not exist; check its name and folder"


Operators.file_type = DataFile
