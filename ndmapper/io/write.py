"""
Writing whole files atomically; what did not change is copied as bytes.

A file is written under a hidden name in its own folder, synced to disk, and then
renamed onto its name.
"""

import bz2
import contextlib
import gzip
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from ndmapper.errors import (
    FileAccessError,
    FormatError,
    MissingFileError,
    NdmapperError,
    OutputExistsError,
)
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap, Tail, map_file, padded
from ndmapper.io.filetypes import is_compressed, split_ext
from ndmapper.io.hdu import HduOut, encoded, stored_form
from ndmapper.io.temporary import final_name, sweep
from ndmapper.io.tiles.read import TileHandle
from ndmapper.io.tiles.write import can_be_tiled, compressed_hdu, packed_header

__all__ = [
    "HdusTogether",
    "append_hdu",
    "can_write_together",
    "publish",
    "write_hdus",
]


_AT_ONCE = 1 << 24
"""At least so many bytes are synced to disk at a time."""

Put = Callable[[int, int, npt.NDArray[Any]], None]


@dataclass(frozen=True)
class HdusTogether:
    """HDUs whose arrays are computed together, in blocks."""

    # Their headers; of the data only shape and type are looked at.
    hdus: tuple[HduOut, ...]
    # Called with a function that writes a block: number of the HDU, of the first pixel,
    # and the pixels, which it may change. Several threads may call that.
    fill: Callable[[Put], None]


def can_write_together(path: Path) -> bool:
    """Whether a file can be written at any offset, by several threads."""
    return hasattr(os, "pwrite") and not is_compressed(split_ext(path.name)[1])


def _write_together(raw: BinaryIO, together: HdusTogether) -> None:
    """Write blocks at their offsets while others are computed."""
    raw.flush()
    at = raw.tell()
    forms, starts = [], []
    for hdu in together.hdus:
        form = stored_form(cast(Any, hdu.data))
        size = math.prod(form.shape) * abs(form.bitpix) // 8
        _write_at(raw.fileno(), hdu.header, at)
        at += len(hdu.header)
        forms.append(form)
        starts.append(at)
        at += padded(size)
        _write_at(raw.fileno(), bytes(padded(size) - size), starts[-1] + size)

    with _Syncing(raw.fileno()) as syncing:

        def put(number: int, first: int, pixels: npt.NDArray[Any]) -> None:
            form = forms[number]
            content = encoded(pixels.reshape(-1), form, in_place=True)
            start = starts[number] + first * abs(form.bitpix) // 8
            _write_at(raw.fileno(), content.data, start)
            syncing.wrote(len(content))

        together.fill(put)
    raw.seek(at)


class _Syncing(ExitStack):
    """A thread that syncs a file to disk again and again while it is written."""

    def __init__(self, file: int) -> None:
        super().__init__()
        self._file = file
        self._pool = self.enter_context(ThreadPoolExecutor(1))
        self._lock = Lock()
        self._new = 0
        self._running: Future[None] | None = None

    def wrote(self, count: int) -> None:
        with self._lock:
            self._new += count
            if self._new < _AT_ONCE:
                return
            if self._running is not None:
                if not self._running.done():
                    return
                self._running.result()  # which raises what went wrong
            self._new = 0
            self._running = self._pool.submit(os.fsync, self._file)


def _write_at(file: int, content: bytes | memoryview, at: int) -> None:
    view = memoryview(content)
    while view:
        count = os.pwrite(file, view, at)
        view, at = view[count:], at + count


_CHUNK = 1 << 22


def write_hdus(
    path: Path,
    hdus: Iterable[HduMap | HduOut | bytes | HdusTogether | Tail],
    *,
    more: bool = False,
) -> None:
    """Write a file and sync it, unless more will be appended; remove it on failure."""
    with clear_write_errors(path):
        raw = path.open("xb")  # what is there already is never touched
    try:
        with (
            clear_write_errors(path),
            raw,
            _compressing(path, raw) as out,
        ):
            writer = _Writer(out, path)
            for hdu in hdus:
                if isinstance(hdu, HdusTogether):
                    _write_together(raw, hdu)
                else:
                    _write_hdu(writer, hdu)
            _flush(out, raw, sync=not more)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def append_hdu(path: Path, hdu: bytes) -> None:
    """
    Append an HDU to a plain file that is not published yet.

    What follows the last HDU and is none stays at the end, since it would hide the new
    one.
    """
    tail = map_file(path).tail
    with clear_write_errors(path), path.open("r+b") as raw:
        behind = b""
        if tail is None:
            raw.seek(0, os.SEEK_END)
        else:
            raw.seek(tail.offset)
            behind = raw.read()
            raw.seek(tail.offset)
        raw.write(hdu + behind)
        _flush(raw, raw)


def publish(temp: Path, target: Path) -> None:
    """
    Rename a finished file onto its final name.

    If that fails, neither file is changed.
    """
    with clear_write_errors(target):
        with contextlib.suppress(FileNotFoundError):
            old = target.stat()
            refuse_protected(target)
            _give(temp, old)  # first, since it may take permissions away
            temp.chmod(old.st_mode & 0o7777)
        temp.replace(target)
        if os.name != "nt":  # where folders cannot be opened
            # The rename is on the disk only when the folder is.
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    sweep(target.parent)


def _give(path: Path, like: os.stat_result) -> None:
    """Give a file the owner and group of another, as far as permitted."""
    now = path.stat()
    if os.name == "nt" or (now.st_uid, now.st_gid) == (like.st_uid, like.st_gid):
        return
    for owner in (like.st_uid, -1):
        try:
            os.chown(path, owner, like.st_gid)
        except OSError:
            continue
        return


def refuse_protected(target: Path) -> None:
    """Refuse to replace a file that is write-protected, or a folder."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        msg = f"{target} is a folder, so it is not replaced; give another name"
        raise FileAccessError(msg)
    if not mode & 0o222:
        msg = (
            f"{target} is write-protected, so it is not replaced; give it another "
            "name, or take the protection off"
        )
        raise FileAccessError(msg)


@contextmanager
def clear_write_errors(path: Path) -> Iterator[None]:
    """Translate errors of the operating system on writing."""
    path = final_name(path)
    try:
        yield
    except NdmapperError:
        raise
    except FileExistsError as err:
        msg = f"{path} exists already; it is not overwritten"
        raise OutputExistsError(msg) from err
    except FileNotFoundError as err:
        msg = f"{path} cannot be written: the folder {path.parent} does not exist"
        raise MissingFileError(msg) from err
    except OSError as err:
        msg = (
            f"{path} cannot be written ({err.strerror or err}); check the permissions "
            f"of {path.parent} and the space on its disk. Nothing was replaced"
        )
        raise FileAccessError(msg) from err


@contextmanager
def _compressing(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    kind = (split_ext(path.name)[1] or "").lower().rpartition(".")[2]
    if kind == "gz":
        # Neither name nor time inside, so that the same content is the same file.
        with gzip.GzipFile("", "wb", 6, cast(Any, raw), mtime=0) as out:
            yield cast(BinaryIO, out)
    elif kind == "bz2":
        with bz2.BZ2File(raw, "wb") as packed:
            yield cast(BinaryIO, packed)
    elif kind in ("z", "xz", "zip"):
        msg = (
            f"{final_name(path)} cannot be written: ndmapper compresses files with "
            "gzip (.gz), bzip2 (.bz2) and in tiles (.fz); choose one of these"
        )
        raise FormatError(msg)
    else:
        yield raw


def _flush(out: BinaryIO, raw: BinaryIO, *, sync: bool = True) -> None:
    """Flush to the operating system, and to disk."""
    if out is not raw:
        out.close()
    raw.flush()
    if sync:
        os.fsync(raw.fileno())


class _Writer:
    """A stream that tells its own errors, such as a full disk, from reading errors."""

    def __init__(self, out: BinaryIO, path: Path) -> None:
        self._out = out
        self._path = path

    def write(self, content: bytes | memoryview) -> None:
        with clear_write_errors(self._path):
            self._out.write(content)


def _write_hdu(out: _Writer, hdu: HduMap | HduOut | bytes | Tail) -> None:
    if isinstance(hdu, bytes):
        out.write(hdu)
    elif isinstance(hdu, HduMap):
        out.write(hdu.raw)
        _copy(out, hdu.source.open_data, hdu.data_offset, hdu.data_size)
    elif isinstance(hdu, Tail):
        with hdu.source.open_data(hdu.offset, 0) as stream:
            while chunk := stream.read(_CHUNK):
                out.write(chunk)
    elif hdu.is_tiled and can_be_tiled(hdu.data):
        _write_tiled(out, hdu)
    else:
        out.write(hdu.header)
        if isinstance(hdu.data, HduMap):
            _copy(
                out, hdu.data.source.open_data, hdu.data.data_offset, hdu.data.data_size
            )
        elif isinstance(hdu.data, TileHandle):
            _encode(out, hdu.data.stored())
        elif isinstance(hdu.data, ArrayHandle):
            size = int(np.prod(hdu.data.stored_shape)) * abs(hdu.data.bitpix) // 8
            _copy(out, hdu.data.source.open_data, hdu.data.offset, size)
        elif hdu.data is not None:
            _encode(out, hdu.data)


def _write_tiled(out: _Writer, hdu: HduOut) -> None:
    assert hdu.data is not None
    assert not isinstance(hdu.data, HduMap)
    if isinstance(hdu.data, TileHandle):
        for piece in packed_header(hdu.header, hdu.data):
            out.write(piece)
        stored = hdu.data.hdu
        _copy(out, stored.source.open_data, stored.data_offset, stored.data_size)
    else:
        for piece in compressed_hdu(hdu.header, hdu.data, hdu.like):
            out.write(piece)


def _copy(out: _Writer, open_data: Any, offset: int, size: int) -> None:
    """Copy a data unit with its padding, which is filled in if missing."""
    if size == 0:
        return
    left = padded(size)
    with open_data(offset, size) as stream:
        while left:
            chunk = stream.read(min(left, _CHUNK))
            if not chunk:
                break
            out.write(chunk)
            left -= len(chunk)
    out.write(bytes(left))


def _encode(out: _Writer, data: npt.NDArray[Any]) -> None:
    form = stored_form(data)
    flat = data.reshape(-1)  # a view, unless the array is not contiguous
    size = abs(form.bitpix) // 8
    step = _CHUNK // size
    for start in range(0, flat.size, step):
        out.write(encoded(flat[start : start + step], form).data)
    out.write(bytes(padded(flat.size * size) - flat.size * size))
