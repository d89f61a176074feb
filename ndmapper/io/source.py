"""
The bytes of one file on disk, exactly as it was when it was mapped.

Every byte of a data unit that ndmapper reads passes through `Source`, so this is also
the place where reads are counted. No file stays open after a call. More than ten names,
since it is all that is done with a path: opened, stamped, compared, refused.
"""

import bz2
import errno
import gzip
import os
import stat as modes
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import numpy.typing as npt

from ndmapper.documents import can_be_name
from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
    FormatError,
    MissingFileError,
    NdmapperError,
    TruncatedFileError,
)
from ndmapper.io.filetypes import is_plain

__all__ = [
    "PositionedReader",
    "Source",
    "Stamp",
    "absolute",
    "check_name",
    "clear_read_errors",
    "count_read",
    "ends_at",
    "find_source",
    "observe_reads",
    "open_nonblocking",
    "open_source",
    "opens_plain",
    "stamp_of",
]


Compression = Literal["gzip", "bzip2", "compress"] | None
"""How a file is compressed as a whole."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\x1f\x9d", "compress"),
    (b"\xfd7zXZ", "xz"),
    (b"PK\x03\x04", "zip"),
)
_READABLE = ("gzip", "bzip2", "compress")

# Most headers fit, so that mapping a file takes one read for each.
_BUFFER = 16 * 1024
_PIECE = 64 << 20

_observers: list[Callable[[Path, int], None]] = []


@contextmanager
def observe_reads(observer: Callable[[Path, int], None]) -> Iterator[None]:
    """Call a function with path and number of bytes at every read of a data unit."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def count_read(path: Path, size: int) -> None:
    """Report a read of a data unit to the registered observers."""
    for observer in _observers:
        observer(path, size)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file as it was when it was mapped."""

    path: Path  # absolute, so that a change of folder does not matter
    # As of `os.stat`.
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int
    compression: Compression = None  # how the whole file is compressed

    def check(self) -> None:
        """Make sure that the file is still the one that was mapped."""
        with clear_read_errors(self.path):
            self.compare(self.path.stat())

    def compare(self, now: os.stat_result) -> None:
        """Make sure that an open file is the one that was mapped."""
        found = (now.st_size, now.st_mtime_ns, now.st_ino)
        if found != (self.size, self.mtime_ns, self.inode):
            msg = (
                f"{self.path} was changed or replaced on disk after it was opened; "
                "open it again, or call reload()"
            )
            raise FileChangedError(msg)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file, decompressed; the stream can seek."""
        with clear_read_errors(self.path), self.path.open("rb") as raw:
            self.compare(os.fstat(raw.fileno()))
            with _decompressed(self, raw) as stream:
                yield stream

    @contextmanager
    def open_data(
        self, offset: int, size: int, *, counted: bool = True
    ) -> Iterator[BinaryIO]:
        """Open the file at a data unit, reporting a read of that size."""
        if counted:
            count_read(self.path, size)
        with self.open() as stream:
            stream.seek(offset)
            yield stream

    def read(self, offset: int, size: int, *, counted: bool = True) -> bytes:
        """Read bytes of a data unit, of the decompressed content."""
        with self.open_data(offset, size, counted=counted) as stream:
            if self.compression is None or size <= _PIECE:
                content = stream.read(size)
            else:  # only what there is takes memory
                pieces = iter(lambda: stream.read(min(_PIECE, size)), b"")
                content = b"".join(_no_more(pieces, size))
        if len(content) != size:
            raise self.truncated(offset + size, offset + len(content))
        return content

    def truncated(self, expected: int, found: int) -> TruncatedFileError:
        """Make the error for a file that is too short."""
        msg = (
            f"{self.path} is truncated: its headers ask for {expected} bytes, but it "
            f"has {found}; copy or download it again"
        )
        return TruncatedFileError(msg)


def _decompressed(source: Source, raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    if source.compression == "gzip":
        return cast(AbstractContextManager[BinaryIO], gzip.GzipFile(fileobj=raw))
    if source.compression == "bzip2":
        return cast(AbstractContextManager[BinaryIO], bz2.BZ2File(raw))
    if source.compression == "compress":
        from ndmapper.io.lzw import open_lzw  # for few files

        return nullcontext(open_lzw(raw, source))
    return nullcontext(raw)


def find_source(path: str | os.PathLike[str], *, strict: bool = True) -> Source:
    """Return what a file on disk is now; `strict` refuses an unreadable compression."""
    with open_source(path, strict=strict) as (source, _):
        return source


@contextmanager
def open_source(
    path: str | os.PathLike[str], *, strict: bool = True
) -> Iterator[tuple[Source, BinaryIO]]:
    """Open a file, decompressed, together with its Source."""
    name = os.path.abspath(path)  # noqa: PTH100  (resolve() would follow links)
    check_name(name, MissingFileError)
    full = Path(name)
    with (
        clear_read_errors(full),
        open(name, "rb", _BUFFER, opener=open_nonblocking) as raw,
    ):
        stat = os.fstat(raw.fileno())
        _check_is_file(full, stat.st_mode)
        start = raw.read(6)
        kind = next((name for magic, name in _MAGIC if start.startswith(magic)), None)
        if strict and kind is not None and kind not in _READABLE:
            msg = (
                f"{full} is compressed with {kind}, which ndmapper does not read; "
                "decompress it, or compress it with gzip"
            )
            raise FormatError(msg)
        source = Source(
            path=full,
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            inode=stat.st_ino,
            ctime_ns=stat.st_ctime_ns,
            compression=cast(Compression, kind) if kind in _READABLE else None,
        )
        raw.seek(0)
        with _decompressed(source, raw) as stream:
            yield source, stream


def _no_more(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield pieces up to a total size, without looking for more."""
    while size > 0 and (piece := next(pieces, b"")):
        yield piece[:size]
        size -= len(piece)


def open_nonblocking(path: str, flags: int) -> int:
    """Open without blocking on a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_is_file(path: Path, mode: int) -> None:
    """Refuse devices, pipes and sockets, which may have no end or block."""
    if not modes.S_ISREG(mode) and not modes.S_ISDIR(mode):
        msg = f"{path} is no ordinary file, but a device, pipe or socket"
        raise FormatError(msg)


def check_name(
    path: str | os.PathLike[str], error: type[NdmapperError] = FileAccessError
) -> None:
    """Refuse a name that has a NUL or cannot be encoded, before the system is asked."""
    if not can_be_name(path):
        msg = f"no file can be called {os.fspath(path)!r}; choose another name"
        raise error(msg)


@contextmanager
def clear_read_errors(path: Path) -> Iterator[None]:
    """Translate errors of the operating system and of decompressors."""
    try:
        yield
    except NdmapperError:
        raise
    except (FileNotFoundError, NotADirectoryError) as err:
        msg = f"{path} does not exist; check its name and folder"
        if "{" in path.name:
            msg += " (a name with a key in braces is that of a FileSet)"
        raise MissingFileError(msg) from err
    except (IsADirectoryError, PermissionError) as err:
        if path.is_dir():  # which Windows calls a lack of permission
            msg = f"{path} is a folder, and a file was expected"
            raise FormatError(msg) from err
        msg = f"{path} cannot be read ({err.strerror}); check its permissions"
        raise FileAccessError(msg) from err
    except EOFError as err:
        msg = f"{path} is truncated: its compressed data end too early; copy it again"
        raise TruncatedFileError(msg) from err
    except (gzip.BadGzipFile, zlib.error, OSError) as err:
        msg = f"{path} cannot be read ({err}); it may be damaged: copy it again"
        raise FormatError(msg) from err


_START = b"\x1f\x8b\x08"
_LEAST = 18
"""No member is shorter than its header of 10 bytes and its end of 8."""
_CHUNK = 1 << 20
_SAMPLE = 1 << 16


def ends_at(path: Path, size: int) -> bool:
    """
    Whether the end of a gzip file proves that it holds exactly so many bytes.

    A member ends with its own size modulo 2**32, which is no multiple of a FITS block
    (RFC 1952, section 2.3.1); False if there may be several members.
    """
    with path.open("rb") as raw:
        raw.seek(-4, os.SEEK_END)
        (stated,) = struct.unpack("<I", raw.read(4))
        return stated == size & 0xFFFFFFFF and not _has_another(raw)


def _has_another(raw: BinaryIO) -> bool:
    place = raw.seek(_LEAST)
    kept = b""
    while chunk := raw.read(_CHUNK):
        content = kept + chunk
        at = content.find(_START)
        while at != -1:
            raw.seek(place - len(kept) + at)
            if _is_member(raw.read(_SAMPLE)):
                return True
            at = content.find(_START, at + 1)
        place = raw.seek(place + len(chunk))
        kept = content[-len(_START) + 1 :]
    return False


def _is_member(start: bytes) -> bool:
    """Whether bytes start a gzip member; its magic bytes often agree by chance."""
    try:
        zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(start)
    except zlib.error:
        return False
    return True


_BINARY = getattr(os, "O_BINARY", 0)  # of Windows, which else translates line ends


class PositionedReader:
    """
    A file that is open as long as a context lasts, read at given offsets.

    The layers of a Python stream would take longer than reading a small piece.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._file = -1
        self._stream: AbstractContextManager[BinaryIO] | None = None
        self._content: BinaryIO | None = None

    def __enter__(self) -> "PositionedReader":
        source = self._source
        if source.compression is not None:
            self._stream = source.open()
            self._content = self._stream.__enter__()
            return self
        try:
            self._file = os.open(source.path, os.O_RDONLY | _BINARY)
            source.compare(os.fstat(self._file))
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind: Any, error: BaseException | None, *where: Any) -> None:
        if self._stream is not None:
            self._stream.__exit__(kind, error, where[0] if where else None)
            return
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if error is not None:
            with clear_read_errors(self._source.path):
                raise error

    def read_into(self, offset: int, content: npt.NDArray[np.uint8]) -> None:
        """Fill a row of bytes from an offset; the read is reported."""
        count_read(self._source.path, len(content))
        if self._content is not None:
            self._content.seek(offset)
        found = 0
        with content.data as view:
            while found < len(content):
                count = self._read_some(offset + found, view[found:])
                if not count:
                    end = offset + len(content)
                    raise self._source.truncated(end, offset + found)
                found += count

    def _read_some(self, offset: int, view: memoryview) -> int:
        if self._content is not None:
            return int(cast(Any, self._content).readinto(view))
        if hasattr(os, "preadv"):  # which Windows has not
            return os.preadv(self._file, [view], offset)
        found = self._read_at(offset, len(view))
        view[: len(found)] = found
        return len(found)

    def compare(self) -> None:
        """Make sure that the file was not changed while it was open."""
        if self._content is None:
            self._source.compare(os.fstat(self._file))

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes at an offset; the read is reported."""
        count_read(self._source.path, size)
        if self._content is not None:
            self._content.seek(offset)
            found = self._content.read(size)
        else:
            found = self._read_at(offset, size)
            while len(found) < size and (
                more := self._read_at(offset + len(found), size - len(found))
            ):
                found += more
        if len(found) != size:
            raise self._source.truncated(offset + size, offset + len(found))
        return found

    def _read_at(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):  # which Windows has not
            return os.pread(self._file, size, offset)
        os.lseek(self._file, offset, os.SEEK_SET)
        return os.read(self._file, size)


Stamp = tuple[int, int, int]
"""Size, time and number of a file: another one after every change."""


def absolute(name: str | os.PathLike[str]) -> Path:
    """Give the absolute path of a file, without following links."""
    return Path(os.path.abspath(name))  # noqa: PTH100  # Path.absolute keeps '..'


def stamp_of(path: str | os.PathLike[str]) -> Stamp | None:
    """
    Give size, time of change and inode of a file; None where there is none.

    Raises
    ------
    FileAccessError
        If no file can have that name.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  (asked for each file of a re-run)
    except ValueError as err:  # a NUL, or what the file system cannot encode
        msg = f"no file can be called {os.fspath(path)!r} ({err}); give another name"
        raise FileAccessError(msg) from err
    except OSError as err:
        if err.errno == errno.ENAMETOOLONG:
            msg = f"the name {path} is too long for a file here; give a shorter one"
            raise FileAccessError(msg) from err
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def opens_plain(filename: str | os.PathLike[str]) -> bool:
    """Whether a file is one that is not FITS, by its name and first bytes."""
    # Frames of some archives are FITS in spite of their names.
    return is_plain(filename) and not _begins_as_fits(Path(os.fspath(filename)))


def _begins_as_fits(path: Path) -> bool:
    if not path.exists():
        return False
    with open_source(path, strict=False) as (_, stream):
        return stream.read(9) == b"SIMPLE  ="
