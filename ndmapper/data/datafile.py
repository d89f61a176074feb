"""A file as a list of images, with its headers, tables and calibrations."""

import os
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from astropy.nddata import NDData
from astropy.table import Table

from ndmapper.config import config
from ndmapper.data.content import FileContent, checked_images
from ndmapper.data.display import FileViews
from ndmapper.data.filename import FileName, Named
from ndmapper.data.ndlater import NDLater
from ndmapper.data.operations import (
    CheckedOperation,
    is_operand,
    operate,
    prepare,
    put_all,
)
from ndmapper.data.operators import Operators, checked_result, documented
from ndmapper.data.saving.plan import changes, is_rearranged, plan_hdus
from ndmapper.data.saving.save import save_datafile
from ndmapper.errors import IdentError, MissingFileError, ModeError, OutputExistsError
from ndmapper.instruments import FlagTable
from ndmapper.io.headers import Header, as_header
from ndmapper.io.labels import Ident, Labels, make_labels
from ndmapper.io.quickheader import HeaderValues, values_of
from ndmapper.io.record import MadeAs

__all__ = [
    "DataFile",
    "FileAccess",
    "Mode",
    "prepare_in_place",
    "refuse_existing",
]


Mode = Literal["read", "update", "new", "overwrite"]
"""What may be done with a file."""

_MODES = ("read", "update", "new", "overwrite")


class FileAccess:
    """
    The name of a file and its mode, and under which path it was opened.

    Parameters
    ----------
    filename : FileName or None
        The name; None for a file that was not named yet.
    mode : {'read', 'update', 'new', 'overwrite'} or None
        The mode; None for the usual one.
    has_data : bool
        Content is given, so that nothing need be read.
    """

    def __init__(
        self, filename: FileName | None, mode: Any = None, *, has_data: bool = False
    ) -> None:
        self.filename = filename
        self.mode = _checked_mode(mode, filename, has_data=has_data)
        self._note_path()

    def _note_path(self) -> None:
        self._opened_name = str(self.filename or "")
        self.opened_as = os.path.abspath(self._opened_name)  # noqa: PTH100
        """Absolute path under which the file was opened or saved last."""

    def set_mode(self, mode: Any) -> None:
        """Change the mode of a file with content."""
        self.mode = _checked_mode(mode, self.filename, has_data=True)

    @property
    def current_name(self) -> FileName | None:
        """The name, in full where the current folder has changed since it was given."""
        if not self.filename or self.mode in ("new", "overwrite"):
            return self.filename
        is_same = str(self.filename) == self._opened_name
        if is_same and self.filename != self.opened_as:
            return FileName(self.opened_as)
        return self.filename

    def save_target(self, filename: Any = None, *, overwrite: bool) -> FileName:
        """Return the name to save under; an error where the mode forbids it."""
        target = self.current_name if filename is None else FileName(filename)
        if not target:
            msg = "this DataFile has no name; call save('name.fits')"
            raise ModeError(msg)
        is_other = target != self.opened_as
        if not is_other and self.mode == "read" and not overwrite:
            msg = (
                f"{target} was opened in mode 'read'; open it with mode='update', or "
                "save it under another name"
            )
            raise ModeError(msg)
        if (is_other or self.mode == "new") and not overwrite:
            refuse_existing(target)
        return target

    def saved_as(self, target: FileName) -> None:
        """Take on the name under which the file was saved."""
        self.filename = target
        self._note_path()
        self.mode = "update"


def refuse_existing(name: FileName) -> None:
    """Raise OutputExistsError if there is a file of this name."""
    # A name that no file can have is none that exists; a save says what is wrong.
    if os.path.exists(name):  # noqa: PTH110
        msg = (
            f"{name} exists already; choose another name, or mode='overwrite' to "
            "replace it"
        )
        raise OutputExistsError(msg)


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


def _method(name: str) -> Callable[..., Any]:
    def method(
        self: "DataFile", operand: Any, filename: str | os.PathLike[str] | None = None
    ) -> Any:
        found = self._operate(name, operand)
        takes = "files, NDData, arrays, Quantities and numbers"
        made = checked_result(name, operand, found, takes=takes)
        if filename is not None:
            made.filename = filename
        return made

    return documented(
        method, name, "DataFile", "DataFile, NDData, Quantity, array_like or number",
        "    Files are paired by ident.\nfilename : str or path, optional\n"
        "    Name of the result.\n\nReturns\n-------\nDataFile\n"
        "    The result, not saved. What is unread in files is combined when it is\n"
        "    accessed or saved.\n",
    )  # fmt: skip


class DataFile(FileViews, Operators):
    """
    A file as a list of NDData, read lazily: opening it reads the headers only.

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
        The tables of the file, each read when it is accessed.
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

    # What modules that open, save and copy files use; users have the properties.
    access: FileAccess
    content: FileContent

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
        name: FileName | None = None
        if filename is not None and (
            not isinstance(filename, DataFile) or filename.filename is not None
        ):
            name = FileName(
                filename, strip=strip, prefix=prefix, suffix=suffix, dirname=dirname
            )
        elif renamed:
            msg = "prefix, suffix, dirname and strip change a name, but none is given"
            raise ModeError(msg)
        self.access = FileAccess(name, mode, has_data=data is not None)
        self.cals: dict[str, DataFile] = {}
        self.expected_key: tuple[str, str] | None = None
        self._wanted_labels = labels
        wanted = make_labels(config["labels"] if labels is None else labels)
        is_there = self.mode in ("read", "update") and name is not None
        if is_there and isinstance(data, DataFile) and not Path(str(name)).exists():
            msg = f"{name} does not exist; check its name and folder"
            raise MissingFileError(msg)
        if self.mode == "new" and name is not None:
            refuse_existing(name)
        if isinstance(data, DataFile):
            self.content = data.content.copy()
            if labels is not None:
                self.content.labels = wanted
            self.cals.update(data.cals)
            self.expected_key = data.expected_key
        else:
            self.content = _opened(name, labels) if is_there else FileContent(wanted)
            if data is not None:
                del self[:]
                # A bare array is one image, and not a list of its rows.
                single = isinstance(data, NDData | np.ndarray)
                self.extend([data] if single else cast(Sequence[Any], data))
        if meta is not None:
            self.meta = meta

    # ---- name and mode

    @property
    def filename(self) -> FileName | None:
        """The name of the file; None for one that was not named yet."""
        return self.access.filename

    @filename.setter
    def filename(self, value: "str | os.PathLike[str] | FileName | None") -> None:
        self.access.filename = None if value is None else FileName(value)

    @property
    def mode(self) -> Mode:
        """What may be done with the file: read, update, new or overwrite."""
        return self.access.mode

    @mode.setter
    def mode(self, value: Mode) -> None:
        self.access.set_mode(value)

    def __str__(self) -> str:
        return "" if self.access.filename is None else str(self.access.filename)

    def __fspath__(self) -> str:
        if not self.access.filename:
            msg = "this DataFile has no name; save it under one first"
            raise ModeError(msg)
        return str(self.access.filename)

    def __repr__(self) -> str:
        name = "" if self.access.filename is None else f" {str(self)!r}"
        return f"DataFile{name} (len {len(self)})"

    # ---- what is in it

    @property
    def meta(self) -> Header:
        """The primary header."""
        return self.content.primary.header

    @meta.setter
    def meta(self, value: Mapping[str, Any]) -> None:
        self.content.primary.header = as_header(value)

    @property
    def header_values(self) -> HeaderValues:
        """The primary header to find values in, not parsed where it is unchanged."""
        return values_of(self.content.primary)

    @property
    def labels(self) -> Labels:
        """The names of the extensions; may be set to a preset or a mapping."""
        return self.content.labels

    @labels.setter
    def labels(self, value: Any) -> None:
        self.content.labels = make_labels(value)

    @property
    def tables(self) -> MutableMapping[str, Table]:
        """The tables of the file by name, each read when it is accessed."""
        return self.content.tables

    @property
    def extras(self) -> MutableMapping[str, NDLater]:
        """The images that are neither data nor uncertainty nor flags, by name."""
        return self.content.extras

    @property
    def unplaced(self) -> tuple[str, ...]:
        """Names of the extras that may be errors or masks of the data: of its shape."""
        return self.content.unplaced

    @property
    def record(self) -> list[dict[str, Any]]:
        """How the file was made, oldest step first; empty for a raw file."""
        return self.content.record

    @record.setter
    def record(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.content.record = rows

    @property
    def made_as(self) -> MadeAs | None:
        """The key and digest in the last entry of the record; None without a record."""
        return self.content.made_as

    # ---- the list of images

    def __len__(self) -> int:
        return len(self.content.outline)

    def __bool__(self) -> bool:
        # A file without images is a file, so it must not be mistaken for nothing.
        return True

    def __iter__(self) -> Iterator[NDLater]:
        return iter(list(self.content.groups))

    def __reversed__(self) -> Iterator[NDLater]:
        return reversed(list(self.content.groups))

    def __contains__(self, item: object) -> bool:
        return any(item is ndd for ndd in self.content.groups)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, slice):
            new = self.copy()
            new.content.keep_only(new.content.groups[item])
            return new
        return self.content.groups[self._position(item)]

    def __setitem__(self, item: Any, value: Any) -> None:
        if isinstance(item, slice):
            self.content.replace_slice(item, value)
        else:
            self.content.replace(self._position(item), value)

    def __delitem__(self, item: Any) -> None:
        kept = list(self.content.groups)
        del kept[item if isinstance(item, slice) else self._position(item)]
        self.content.keep_only(kept)

    def _position(self, item: Any) -> int:
        if isinstance(item, int | np.integer) and not isinstance(item, bool):
            count = len(self)
            if not -count <= item < count:
                msg = f"{self!r} has {count} extensions, so none at {item}"
                raise IndexError(msg)
            return int(item) % count
        if isinstance(item, str):
            found = [i for i, ident in enumerate(self.idents) if ident == item]
            if len(found) == 1:
                return found[0]
            msg = f"{self!r} has no extension {item!r}; there are: {self.idents}"
            raise IdentError(msg)
        msg = f"an extension is found by position or ident, not by {item!r}"
        raise TypeError(msg)

    @property
    def idents(self) -> list[Ident | None]:
        """The idents in order."""
        return self.content.idents

    def renumber(self, start: int = 1) -> None:
        """
        Give the extensions consecutive idents.

        Parameters
        ----------
        start : int
            The first one.
        """
        for i, ndd in enumerate(self.content.groups, start=start):
            ndd.ident = i

    def append(self, item: Any) -> None:
        """
        Append an image.

        Parameters
        ----------
        item : NDData or array_like
            The image. It keeps an ident that is not used yet, else it gets the next
            number.
        """
        self.insert(len(self), item)

    def extend(self, items: Iterable[Any]) -> None:
        """
        Append several images.

        Parameters
        ----------
        items : iterable of NDData
            The images.
        """
        for item in checked_images(items):
            self.append(item)

    def insert(self, index: int, item: Any) -> None:
        """
        Insert an image.

        Parameters
        ----------
        index : int
            Position before which it goes.
        item : NDData or array_like
            The image.
        """
        self.content.insert(index, item)

    def reverse(self) -> None:
        """Reverse the order of the images."""
        self.content.groups.reverse()

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

    # ---- arithmetic

    add = _method("add")
    subtract = _method("subtract")
    multiply = _method("multiply")
    divide = _method("divide")
    power = _method("power")
    bitwise_and = _method("bitwise_and")
    bitwise_or = _method("bitwise_or")
    bitwise_xor = _method("bitwise_xor")

    def _operate(self, name: str, other: Any, *, swapped: bool = False) -> Any:
        if not isinstance(other, DataFile) and not is_operand(other):
            return NotImplemented
        left, right = (other, self) if swapped else (self, other)
        return self._combine(name, left, right)

    def _operate_in_place(self, name: str, other: Any) -> Any:
        if not isinstance(other, DataFile) and not is_operand(other):
            return NotImplemented
        put_all(prepare_in_place(name, self, other), later=True)
        return self

    def _combine(self, name: str, left: Any, right: Any) -> "DataFile":
        like: DataFile = left if isinstance(left, DataFile) else right
        both = isinstance(left, DataFile) and isinstance(right, DataFile)
        if both and len(left) == 1 < len(right):
            like = right  # one extension goes with each of the other's
        results = []
        for ndd in like:
            pair = [_partner(x, ndd, like) for x in (left, right)]
            result = operate(name, *pair, later=True, like=_header_source(ndd, pair))
            result.ident = ndd.ident
            image = result.content
            image.origin = ndd.content.origin
            image.tables = image.extras = None  # those of the file are taken
            results.append(result)
        made = _to_be_filled(like)
        made.content.put_results(results, like.content)
        made.content.drop_stale(str(made))
        made.record = []
        made.expected_key = None
        return made

    # ---- its state

    @property
    def is_made(self) -> bool:
        """Whether there is any content: False for a product that is only planned."""
        return True

    @property
    def unchanged(self) -> bool:
        """Whether nothing in memory differs from the file as it was opened."""
        content, name = self.content, self.access.filename
        if content.map is None or not name or content.has_new_record:
            return False
        if name != content.map.source.path:
            return False
        if content.is_untouched:
            return True
        hdus = plan_hdus(self)
        return not any(changes(hdus)) and not is_rearranged(content, hdus)

    @property
    def unloaded(self) -> bool:
        """Whether nothing in memory differs from the file of this name on disk."""
        if self.content.map is None or not self.unchanged:
            return False
        # The caller will use the name, which may be that of another file by now.
        self.content.map.source.check()
        return True

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
        target = self.access.save_target(filename, overwrite=overwrite)
        save_datafile(self, Path(target), checksum=checksum)
        self.access.saved_as(target)

    def reload(self) -> None:
        """
        Read the file anew, giving up everything that was changed in memory.

        Raises
        ------
        MissingFileError
            If there is no such file.
        """
        if not self.access.filename:
            msg = "this DataFile has no name, so there is nothing to read anew"
            raise ModeError(msg)
        self.content = _opened(self.access.current_name, self._wanted_labels)
        if self.mode in ("new", "overwrite"):
            self.mode = "update"

    def copy(self) -> "DataFile":
        """
        Copy, without a name; no pixels are read.

        Arrays in memory that the caller may hold are copied at once.

        Returns
        -------
        DataFile
            A change to one never shows in the other.
        """
        return DataFile(data=self)

    def with_images(self, images: Sequence[NDData]) -> "DataFile":
        """
        Copy the file with other images in the place of all that it has.

        Those that it has are not copied, which makes it faster than to copy the file
        and set all of its images.

        Parameters
        ----------
        images : sequence of NDData
            The images; with those that never were in a file goes what belonged to the
            image of the same ident.

        Returns
        -------
        DataFile
            The copy, without a name.

        Raises
        ------
        TypeError
            If one is no NDData.
        """
        new = _to_be_filled(self)
        new[:] = images
        return new

    def __copy__(self) -> "DataFile":
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "DataFile":
        # With its name, unlike a copy: what holds files is copied as a whole.
        new = object.__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(self.__dict__)
        new.access = deepcopy(self.access, memo)
        new._wanted_labels = deepcopy(self._wanted_labels, memo)
        new.content = self.content.copy(memo)
        new.cals = {}  # one of them may refer to this file
        new.cals.update(deepcopy(self.cals, memo))
        return new


def _to_be_filled(df: DataFile) -> DataFile:
    """Copy a file but for its images, in the place of which others are put at once."""
    new = DataFile(data=[])
    new.content = df.content.copy(is_to_be_filled=True)
    new.cals.update(df.cals)
    new.expected_key = df.expected_key
    return new


def _opened(name: FileName | None, labels: Any) -> FileContent:
    if not name:
        msg = "a file needs a name to be opened"
        raise MissingFileError(msg)
    return FileContent.open(name, labels)


def prepare_in_place(name: str, df: DataFile, other: Any) -> list[CheckedOperation]:
    """Check an operation in the place of the images of a file; nothing changes yet."""
    if isinstance(other, DataFile) and len(df) == 1 < len(other):
        msg = (
            f"{df!r} has one extension and {other!r} has {len(other)}, so the "
            "result does not fit in the place of the first"
        )
        raise IdentError(msg)
    return [prepare(name, ndd, _partner(other, ndd, df), like=ndd) for ndd in df]


def _header_source(ndd: NDLater, pair: list[Any]) -> NDLater | None:
    """Take the header of the file's own image, unless that is a row of the other's."""
    try:
        shape = np.broadcast_shapes(*map(np.shape, pair))
    except ValueError:
        return ndd
    return ndd if ndd.shape == shape else None


def _partner(operand: Any, ndd: NDLater, like: DataFile) -> Any:
    """Find what an image is combined with: of a file, the one of its ident."""
    if operand is like:
        return ndd
    if not isinstance(operand, DataFile):
        return operand
    if len(operand) == 1:
        return operand[0]
    found = [other for other in operand if other.ident == ndd.ident]
    if len(found) != 1 or len(operand) != len(like):
        msg = (
            f"{like!r} has the extensions {like.idents} and {operand!r} has "
            f"{operand.idents}; they must be the same, or one of them a single one"
        )
        raise IdentError(msg)
    return found[0]
