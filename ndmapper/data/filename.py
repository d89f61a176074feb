"""File names with a prefix, base, suffixes and type, and lists of names in files."""

import functools
import os
import re
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ndmapper.config import config
from ndmapper.errors import ConfigError, FileAccessError, FormatError, MissingFileError
from ndmapper.instruments import filename_regexes
from ndmapper.io.filetypes import split_ext
from ndmapper.io.source import check_name

__all__ = [
    "FileName",
    "Named",
    "load_file_list",
]


@runtime_checkable
class Named(Protocol):
    """Anything with a file name, such as a DataFile."""

    @property
    def filename(self) -> "FileName | None":
        """The name; None for what has none yet."""


class FileName:
    """
    A file name in parts, which can be changed one by one.

    Parameters
    ----------
    path : str, path, FileName or DataFile, optional
        The name. An existing FileName keeps its parts where the regular expression
        does not find the base.
    sep : str
        What starts a suffix.
    strip : bool
        Take off the prefix and suffixes that there are, before others are added.
    prefix : str, optional
        Text put before the existing prefix.
    suffix : str, optional
        Text put after the existing suffixes, for instance ``"_sum"``.
    dirname : str or path, optional
        Folder that replaces the existing one.
    regex : str, optional
        Regular expression of a base name; by default that of the configuration,
        else those of the instruments.

    Attributes
    ----------
    dir, prefix, base, sep : str
        The parts.
    suffix : list of str
        Each with its separator.
    ext : str or None
        The longest known file type at the end, such as ``"fits.gz"``.
    standard : bool
        Whether the regular expression found the base.
    """

    __slots__ = ("_regex", "base", "dir", "ext", "prefix", "sep", "standard", "suffix")

    dir: str
    prefix: str
    base: str
    suffix: list[str]
    ext: str | None
    sep: str
    standard: bool

    def __init__(  # noqa: PLR0917  # the published order
        self,
        path: "str | os.PathLike[str] | FileName | Named | None" = None,
        sep: str = "_",
        strip: bool = False,
        prefix: str | None = None,
        suffix: str | None = None,
        dirname: str | os.PathLike[str] | None = None,
        regex: str | None = None,
    ) -> None:
        if not isinstance(path, str | Path | FileName) and isinstance(path, Named):
            path = path.filename
        self.sep = sep
        self._regex = regex
        if regex is None and isinstance(path, FileName):
            self._regex = path._regex
        self._parse("" if path is None else os.fspath(path))
        if isinstance(path, FileName) and not self.standard:
            self.dir, self.prefix, self.base = path.dir, path.prefix, path.base
            self.suffix, self.ext = list(path.suffix), path.ext
            self.standard = path.standard and regex is None
        if strip:
            self.prefix, self.suffix = "", []
        if prefix is not None:
            self.prefix = prefix + self.prefix
        if suffix:
            self.suffix = [*self.suffix, *_split_suffix(suffix, sep)]
        if dirname is not None:
            self.dir = os.fspath(dirname)

    def _parse(self, path: str) -> None:
        self.dir, name = os.path.split(path)
        stem, self.ext = split_ext(name)
        found = _compiled(self.re).search(stem) if stem else None
        self.standard = found is not None and found.end() > found.start()
        if found is None or not self.standard:
            self.prefix, self.base, self.suffix = "", stem, []
        else:
            self.prefix, self.base = stem[: found.start()], found.group()
            self.suffix = _split_suffix(stem[found.end() :], self.sep)

    @property
    def re(self) -> str:
        """The regular expression of a base name that holds for this name."""
        return self._regex or config["filename_regex"] or _default_regex()

    @property
    def dotext(self) -> str:
        """The type with its leading dot; empty where there is none."""
        return "" if self.ext is None else f".{self.ext}"

    @property
    def root(self) -> str:
        """Prefix, base and suffixes."""
        return self.prefix + self.base + "".join(self.suffix)

    @property
    def orig(self) -> str:
        """The original name: base and type."""
        return self.base + self.dotext

    @property
    def name(self) -> str:
        """The name without its folder."""
        return self.root + self.dotext

    @property
    def path(self) -> Path:
        """The name as a path."""
        return Path(str(self))

    def __str__(self) -> str:
        # Without the other properties, since it is asked for dozens of times for each
        # product of a re-run (bench_rerun.py).
        ext = "" if self.ext is None else f".{self.ext}"
        name = f"{self.prefix}{self.base}{''.join(self.suffix)}{ext}"
        if not self.dir:
            return name
        return f"{self.dir}{name}" if self.dir.endswith("/") else f"{self.dir}/{name}"

    __fspath__ = __str__

    def __repr__(self) -> str:
        return f"FileName {str(self)!r}"

    def __bool__(self) -> bool:
        return bool(self.name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FileName | str | os.PathLike):
            return _absolute(self) == _absolute(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(_absolute(self))

    def __copy__(self) -> "FileName":
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> "FileName":
        new = object.__new__(FileName)
        for name in FileName.__slots__:
            setattr(new, name, deepcopy(getattr(self, name), memo))
        return new


def _absolute(path: str | os.PathLike[str]) -> str:
    name = os.fspath(path)
    return os.path.abspath(name) if name else ""  # noqa: PTH100


def _split_suffix(text: str, sep: str) -> list[str]:
    """Split before each separator, so that joining gives the text back."""
    if not sep:
        return [text] if text else []
    return [part for part in re.split(f"(?={re.escape(sep)})", text) if part]


_cache: dict[str, re.Pattern[str]] = {}


def _compiled(regex: str) -> re.Pattern[str]:
    if regex not in _cache:
        try:
            _cache[regex] = re.compile(regex)
        except re.error as err:
            msg = (
                f"the regular expression of file names {regex!r} is wrong ({err}); "
                "see config['filename_regex'] and the description of the instrument"
            )
            raise ConfigError(msg) from err
    return _cache[regex]


@functools.cache
def _default_regex() -> str:
    return "|".join(f"(?:{regex})" for regex in filename_regexes())


def load_file_list(path: str | os.PathLike[str]) -> list[str]:
    """
    Read names of files from a text file.

    Parameters
    ----------
    path : str or path
        The text file, also in the style of IRAF with a leading ``@``. It has a name
        on each line; what follows a ``#`` is a comment.

    Returns
    -------
    list of str
        The names. One without folder that does not exist here, but beside the text
        file, gets the folder of the latter.

    Raises
    ------
    MissingFileError, FileAccessError
        If the text file cannot be read.
    FormatError
        If a line cannot be the name of a file.
    """
    check_name(path, MissingFileError)
    where = Path(os.fspath(path))
    if not where.exists() and str(where).startswith("@"):
        where = Path(str(where)[1:])
    try:
        lines = where.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as err:
        msg = f"the list of files {where} does not exist; check its name and folder"
        raise MissingFileError(msg) from err
    except (OSError, UnicodeDecodeError) as err:
        msg = f"the list of files {where} cannot be read ({err})"
        raise FileAccessError(msg) from err
    names = []
    for number, line in enumerate(lines, 1):
        name = line.partition("#")[0].strip()
        if name:
            beside = where.parent / name
            try:
                is_here = Path(name).exists() or not beside.exists()
            except (OSError, ValueError) as err:
                msg = f"line {number} of {where} is no name of a file ({name[:60]!r})"
                raise FormatError(msg) from err
            names.append(name if is_here else str(beside))
    return names
