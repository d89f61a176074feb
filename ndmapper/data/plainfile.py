"""Files that are not FITS: text, tables, pictures, entries of an IRAF database."""

import hashlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NoReturn

from astropy.table import Table

from ndmapper.data.datafile import DataFile, FileAccess
from ndmapper.data.filename import FileName, Named
from ndmapper.data.saving.save import write_datafile
from ndmapper.errors import FormatError, MissingFileError
from ndmapper.io.filetypes import plain_ext
from ndmapper.io.labels import Ident
from ndmapper.io.record import MadeAs, made_as, read_side, side_path, write_side
from ndmapper.io.source import Stamp, open_source, opens_plain, stamp_of
from ndmapper.io.temporary import staging_name
from ndmapper.io.write import publish, write_hdus

__all__ = ["TABLE_FORMATS", "PlainFile", "open_file", "write_file"]

TABLE_FORMATS = {
    "cat": "ascii", "csv": "ascii.csv", "dat": "ascii", "ecsv": "ascii.ecsv",
    "hdf5": "hdf5", "html": "ascii.html", "rdb": "ascii.rdb", "tex": "ascii.latex",
    "tsv": "ascii.tab", "txt": "ascii", "vot": "votable",
}  # fmt: skip
"""File types that may hold a table, with the names that astropy has for them."""


class PlainFile(DataFile):
    """
    A file that is not FITS: text, a table, a picture, an entry of an IRAF database.

    Steps take it as input or calibration and give it as product, like any other
    `DataFile`; but it has no images and no header, and its record lies beside it.

    Parameters
    ----------
    filename : str, path or FileName
        Name of the file.
    content : bytes, optional
        What it will hold, for a file that is not saved yet.

    Attributes
    ----------
    cals : dict of str to DataFile
        The calibrations associated with the file, by type.
    expected_key : (str, str) or None
        Key of the product, where a step expects one.

    Raises
    ------
    MissingFileError
        If there is no such file, and no `content` either.
    """

    # For one that is only planned, too.
    _bytes: bytes | None = None
    _record: Sequence[Mapping[str, Any]] = ()
    _read_at: Stamp | None = None

    def __init__(
        self,
        filename: str | os.PathLike[str] | FileName | Named,
        content: bytes | None = None,
    ) -> None:
        has_data = content is not None
        self.access = FileAccess(FileName(filename), None, has_data=has_data)
        self.cals = {}
        self.expected_key = None
        self._bytes = content
        if content is None and not self.path.exists():
            msg = f"{self} does not exist; check its name and folder"
            raise MissingFileError(msg)

    def __repr__(self) -> str:
        return f"PlainFile {str(self)!r}"

    def __len__(self) -> int:
        return 0

    @property
    def idents(self) -> list[Ident | None]:
        """None, for there are no images."""
        return []

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>"

    @property
    def content(self) -> NoReturn:  # type: ignore[override]
        """What only FITS files have: always an error."""
        msg = (
            f"{self} is not FITS, so it has no images and no header; read it with "
            "text(), table() or read_bytes()"
        )
        raise FormatError(msg)

    # ---- what is in it

    @property
    def path(self) -> Path:
        """The name as a path."""
        return Path(str(self.access.current_name))

    def read_bytes(self) -> bytes:
        """
        Read the whole file.

        Returns
        -------
        bytes
            What is in it, decompressed.

        Raises
        ------
        MissingFileError
            If the file is gone.
        """
        if self._bytes is not None:
            return self._bytes
        with open_source(self.path, strict=False) as (_, stream):
            return stream.read()

    def text(self) -> str:
        """
        Read the file as text.

        Returns
        -------
        str
            What is in it.

        Raises
        ------
        FormatError
            If it is not text in UTF-8.
        """
        try:
            return self.read_bytes().decode("utf-8")
        except UnicodeDecodeError as err:
            msg = f"{self} is no text in UTF-8 ({err}); read it with read_bytes()"
            raise FormatError(msg) from err

    def table(self, **keywords: Any) -> Table:
        """
        Read the file as a table.

        Parameters
        ----------
        **keywords : object
            Handed to ``Table.read`` of astropy, which goes by the file type without
            ``format``.

        Returns
        -------
        Table
            The table.

        Raises
        ------
        FormatError
            If it cannot be read as one.
        """
        ext = plain_ext(None if self.filename is None else self.filename.ext) or ""
        known = keywords.pop("format", TABLE_FORMATS.get(ext.lower()))
        if known is None:
            msg = (
                f"{self} has no type of a table ({', '.join(TABLE_FORMATS)}); say what "
                "it is with format='...', as for Table.read of astropy"
            )
            raise FormatError(msg)
        content = self.read_bytes()
        if not content.strip():
            msg = f"{self} is empty, so there is no table in it"
            raise FormatError(msg)
        try:
            return Table.read(io.BytesIO(content), format=known, **keywords)
        except Exception as err:
            msg = f"{self} cannot be read as a table ({err})"
            raise FormatError(msg) from err

    # ---- how it was made

    @property
    def record(self) -> list[dict[str, Any]]:
        """How the file was made, oldest step first; empty if no step made it."""
        beside = Path(os.path.abspath(self.path))  # noqa: PTH100  # of a link, if it is
        if self._bytes is None:
            now = stamp_of(side_path(beside))
            if now is None or now != self._read_at:
                self._record, self._read_at = read_side(beside), now
        return [dict(row) for row in self._record]

    @record.setter
    def record(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._record = [dict(row) for row in rows]

    @property
    def made_as(self) -> MadeAs | None:
        """The key and digest in the last entry of the record; None without a record."""
        return made_as(self.record)

    @property
    def unsaved_key(self) -> str | None:
        """The key of a product that is not saved yet; None for any other file."""
        if self._bytes is None or not self._record:
            return None
        return str(self._record[-1]["key"])

    # ---- its state

    @property
    def unchanged(self) -> bool:
        """Whether the file is on the disk, since nothing in memory can differ."""
        return self._bytes is None

    @property
    def unloaded(self) -> bool:
        """The same."""
        return self._bytes is None

    # ---- saving and copying

    def save(
        self,
        filename: str | os.PathLike[str] | FileName | None = None,
        overwrite: bool = False,
        *,
        checksum: bool = False,
    ) -> None:
        """
        Save the file, and its record beside it.

        Parameters
        ----------
        filename : str, path or FileName, optional
            Another name, which the file takes on.
        overwrite : bool
            Replace a file of this name.
        checksum : bool
            Only FITS files have checksums.

        Raises
        ------
        ModeError
            If the file lies there already, and no other name is given.
        OutputExistsError
            If there is another file of this name.
        FileAccessError
            If the file cannot be written.
        """
        target = self.access.save_target(filename, overwrite=overwrite)
        content, rows = self.read_bytes(), self.record
        if self._bytes is not None and rows:
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            name = Path(target).name
            rows = [*rows[:-1], {**rows[-1], "product": name, "content": digest}]
        path = Path(os.path.abspath(target))  # noqa: PTH100
        temp = staging_name(path)
        write_hdus(temp, [content])
        try:
            publish(temp, path)
        finally:
            temp.unlink(missing_ok=True)
        write_side(path, rows)
        self.access.saved_as(target)
        self._bytes = self._read_at = None

    def reload(self) -> None:
        """Do nothing, since nothing of the file is kept in memory."""

    def copy(self) -> "PlainFile":
        """
        Copy, with its name.

        Returns
        -------
        PlainFile
            A file with calibrations of its own.
        """
        new = self.__deepcopy__({})
        new.cals = dict(self.cals)
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> "PlainFile":
        new = object.__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(self.__dict__)
        new.access = deepcopy(self.access, memo)
        new.cals = {}
        new.cals.update(deepcopy(self.cals, memo))
        return new


def open_file(filename: str | os.PathLike[str] | FileName) -> DataFile:
    """
    Open a file as what it is: FITS, or a `PlainFile` by its type.

    Parameters
    ----------
    filename : str, path or FileName
        Name of the file. One in a folder called database, and one of a type such as
        dat, txt, ecsv or png that does not begin as FITS does, is plain.

    Returns
    -------
    DataFile
        The file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it should be FITS and is not.
    """
    return PlainFile(filename) if opens_plain(filename) else DataFile(filename)


def write_file(
    df: DataFile, path: Path, rows: Sequence[Mapping[str, Any]] | None = None
) -> None:
    """Write the content of any file to a new one; `rows` are the record of FITS."""
    if isinstance(df, PlainFile):
        write_hdus(path, [df.read_bytes()])
    else:
        write_datafile(df, path, rows)
