"""A calibration file of MUSE."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from astropy.nddata import NDData

from ndmapper.data import DataFile, FileName, NDLater
from ndmapper.data.datafile import Mode
from ndmapper.data.name_pattern import keys_text
from ndmapper.errors import FormatError, IdentError, ShapeError
from ndmapper.io.headers import Header
from ndmapper.lib.muse.ifus import ifu_name, ifu_number, ifu_of
from ndmapper.lib.muse.spellings import Spellings, show

__all__ = ["CalibFile"]

_OPENED = ("read", "update")
"""Modes in which the content comes from the file."""


class NameText(str):
    """
    The name of a file as a text, as these classes had it, with what a FileName tells.

    Parameters
    ----------
    name : FileName
        The name.
    """

    _name: FileName

    def __new__(cls, name: FileName) -> "NameText":
        made = super().__new__(cls, name)
        made._name = name
        return made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._name, name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) and not isinstance(other, NameText):
            return str.__eq__(self, other)
        if isinstance(other, FileName | os.PathLike | NameText):
            return self._name == FileName(other)
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        found = self.__eq__(other)
        return found if found is NotImplemented else not found

    __hash__ = str.__hash__

    def __reduce__(self) -> Any:
        return NameText, (self._name,)


class CalibFile(Spellings, DataFile):
    """
    A calibration file of MUSE: a DataFile of DATA, STAT and DQ.

    It holds one IFU, as ``MASTER_BIAS-07.fits`` does, or several, as a merged
    ``MASTER_BIAS.fits``.

    Parameters
    ----------
    filename : str, path, FileName or DataFile, optional
        Name of the file; None makes an empty object.
    data : NDData, list of NDData, or DataFile, optional
        The content, as for DataFile.
    meta : Header or mapping, optional
        The primary header, in place of the existing one.
    mode : {'read', 'update', 'new', 'overwrite'}, optional
        As for DataFile.
    strip : bool
        Take the prefix and suffixes off the name.
    prefix, suffix : str, optional
        Text put before the name, and after it.
    dirname : str or path, optional
        Folder in place of the existing one.
    labels : str or mapping
        Names of the extensions.

    Raises
    ------
    FormatError
        If the file has no image, or DATA, STAT and DQ are not of one shape.
    """

    def __init__(  # noqa: PLR0917  # as DataFile
        self,
        filename: str | os.PathLike[str] | FileName | DataFile | None = None,
        data: NDData | Sequence[Any] | DataFile | None = None,
        meta: Mapping[str, Any] | None = None,
        mode: Mode | None = None,
        strip: bool = False,
        prefix: str | None = None,
        suffix: str | None = None,
        dirname: str | os.PathLike[str] | None = None,
        labels: Any = "muse",
    ) -> None:
        super().__init__(
            filename, data, meta, mode, strip, prefix, suffix, dirname, labels
        )
        if self.filename is not None and data is None and self.mode in _OPENED:
            self._check()

    def _check(self) -> None:
        names = self.labels.names
        if not len(self):
            msg = (
                f"{self} has no image, but a calibration file has {names['data']}, "
                f"{names['uncertainty']} and {names['flags']}; open it as a DataFile"
            )
            raise FormatError(msg)
        for name, extra in self.extras.items():
            found = self.labels.split(name)
            if found is not None and found[1] != "data":
                shapes = _text_of(ndd.shape for ndd in self)
                msg = (
                    f"{self}: {name} has the shape {extra.shape} and {names['data']} "
                    f"{shapes}; they must be the same"
                )
                raise FormatError(msg)

    # ---- the published spellings

    @property
    def filename(self) -> Any:
        """The name of the file: a text, with the parts of a FileName; None without."""
        name = self.access.filename
        return None if name is None else NameText(name)

    @filename.setter
    def filename(self, value: str | os.PathLike[str] | FileName | None) -> None:
        self.access.filename = None if value is None else FileName(value)

    @property
    def primary_header(self) -> Header:
        """The primary header, as `meta`."""
        return self.meta

    @primary_header.setter
    def primary_header(self, value: Mapping[str, Any]) -> None:
        self.meta = value

    @property
    def nx(self) -> int:
        """Number of pixels along the x-axis; 0 where there is no image."""
        return self._size(-1)

    @property
    def ny(self) -> int:
        """Number of pixels along the y-axis; 0 where there is no image."""
        return self._size(-2)

    @property
    def data(self) -> str | None:
        """Name of the file that the pixels are read from; None for those in none."""
        return self._source("data")

    @property
    def dq(self) -> str | None:
        """Name of the file that the flags are read from; None for those in none."""
        return self._source("flags")

    @property
    def stat(self) -> str | None:
        """Name of the file that the variance is read from; None for one in none."""
        return self._source("uncertainty")

    @property
    def ifu(self) -> int | None:
        """The IFU that it belongs to; None where no header says it, or several."""
        found = {ifu_of(ident) for ident in self.idents}
        if found <= {None}:
            found = {ifu_of(self.meta.get("EXTNAME"))}
        return found.pop() if len(found) == 1 else None

    def get_data(self, ifu: int | str | None = None) -> Any:
        """
        Read the pixels.

        Parameters
        ----------
        ifu : int or str, optional
            Which IFU, in a file that holds several.

        Returns
        -------
        ndarray
            They stay in memory: a change to them is saved by `write`.

        Raises
        ------
        IdentError
            If there are several IFUs and none is named, or not the one that is.
        """
        return self._only(ifu).data

    def get_dq(self, ifu: int | str | None = None) -> Any:
        """
        Read the flags, which are bits as Euro3D defines them.

        Parameters
        ----------
        ifu : int or str, optional
            Which IFU, in a file that holds several.

        Returns
        -------
        ndarray of int or None
            They stay in memory: a change to them is saved by `write`. None where
            there are none.

        Raises
        ------
        IdentError
            If there are several IFUs and none is named, or not the one that is.
        """
        return self._only(ifu).flags

    def get_stat(self, ifu: int | str | None = None) -> Any:
        """
        Read the variance.

        Parameters
        ----------
        ifu : int or str, optional
            Which IFU, in a file that holds several.

        Returns
        -------
        ndarray or None
            The variance [unit of data squared]. It stays in memory: a change to it is
            saved by `write`. None where there is none.

        Raises
        ------
        IdentError
            If there are several IFUs and none is named, or not the one that is.
        """
        return self._only(ifu).variance

    def get_image(self, ifu: int | str | None = None) -> NDLater:
        """
        Give the image with its variance, flags, header and coordinates.

        Parameters
        ----------
        ifu : int or str, optional
            Which IFU, in a file that holds several.

        Returns
        -------
        NDLater
            The image of this file; a change to it is saved by `write`.

        Raises
        ------
        IdentError
            If there are several IFUs and none is named, or not the one that is.
        """
        return self._only(ifu)

    def write(
        self,
        filename: str | os.PathLike[str] | FileName | None = None,
        overwrite: bool = False,
    ) -> None:
        """
        Save it, whether it was changed or not, under a name that it takes on.

        The file that it was read from is replaced, as published.

        Parameters
        ----------
        filename : str, path or FileName, optional
            The name; by default the one that it has.
        overwrite : bool
            Replace another file of this name.

        Raises
        ------
        OutputExistsError
            If there is such a file and it may not be replaced.
        FileAccessError
            If the file cannot be written.
        """
        target = FileName(self.access.current_name if filename is None else filename)
        # Not what was made of it, though that may still lie there.
        own = self.content.map is not None and target == self.access.opened_as
        self.save(filename, overwrite=overwrite or own)

    def copy(self) -> "CalibFile":
        """
        Copy, without a name; no pixels are read.

        Arrays in memory are copied where the caller may hold them.

        Returns
        -------
        CalibFile
            The copy.
        """
        return CalibFile(data=self, labels=self.labels)

    def info(self) -> str:
        """
        Print what is in the file, from headers alone.

        Returns
        -------
        str
            What was printed.
        """
        text = super().info()
        show(text)
        return text

    def __repr__(self) -> str:
        name = f" {str(self)!r}" if self.filename is not None else ""
        return f"CalibFile{name} (len {len(self)})"

    # ---- details

    def _only(self, ifu: int | str | None) -> NDLater:
        """Give the image of one IFU, or the only one there is."""
        if ifu is None:
            if len(self) == 1:
                return next(iter(self))
            there = f"{len(self)} images; say which: {self.idents}"
            msg = f"{self!r} has {there if len(self) else 'no image'}"
            raise IdentError(msg)
        number = ifu_number(ifu)
        if len(self) == 1 and self.ifu == number:
            return next(iter(self))
        if ifu_name(number) not in self.idents:
            there = keys_text(i for i in map(ifu_of, self.idents) if i is not None)
            msg = f"{self!r} does not hold IFU {number}; it has: {self.ifu or there}"
            raise IdentError(msg)
        found: NDLater = self[ifu_name(number)]
        return found

    def _size(self, axis: int) -> int:
        shapes = {ndd.shape for ndd in self}
        if len(shapes) > 1 or any(len(shape) < 2 for shape in shapes):
            msg = (
                f"{self!r} has images of {_text_of(shapes)}; nx and ny need "
                "one shape, of two axes or more"
            )
            raise ShapeError(msg)
        return shapes.pop()[axis] if shapes else 0

    def _source(self, part: str) -> str | None:
        if not len(self) or part not in next(iter(self)).content.arrays:
            return None
        stored = next(iter(self)).content.arrays[part]
        if stored.handle is None or stored.deferred is not None:
            return None
        return str(stored.handle.source.path)

    def _combine(self, name: str, left: Any, right: Any) -> "CalibFile":
        return CalibFile(data=super()._combine(name, left, right), labels=self.labels)


def _text_of(shapes: Iterable[tuple[int, ...]]) -> str:
    return " and ".join(str(shape) for shape in sorted(set(shapes)))
