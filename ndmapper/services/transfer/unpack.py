"""Recognise received files, and decompress them."""

import bz2
import contextlib
import gzip
import hashlib
import lzma
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ndmapper.errors import FormatError, ServiceAccessError, ServiceError
from ndmapper.io.filemap import map_file
from ndmapper.io.filetypes import is_fits, split_ext
from ndmapper.io.lzw import LzwStream
from ndmapper.io.temporary import staging_name
from ndmapper.io.write import clear_write_errors

__all__ = ["check_beginning", "check_whole", "unpack"]

_COMPRESSED = {
    b"BZh": "bz2",
    b"\x1f\x8b": "gz",
    b"\x1f\x9d": "Z",
    b"\xfd7zXZ": "xz",
}
_BLOCK = 1 << 20
_LARGEST_RATIO = 200
_XZ_MEMORY = 128 << 20
_ALWAYS_ALLOWED = 1 << 30
"""Decompressed size below which the compression ratio is not checked [bytes]."""


def check_beginning(content: bytes, content_type: str, name: str, source: str) -> None:
    """
    Check the first bytes of a body before it is written.

    Raises ServiceAccessError for an HTML page, most likely a login page.
    """
    start = content.lstrip()[:64].lower()
    ext = split_ext(name)[1]
    is_page = start.startswith((b"<!doctype html", b"<html"))
    if is_page or (content_type == "text/html" and ext not in {"html", "htm"}):
        msg = (
            f"{source} sends a web page in place of {name}, most likely to log in; "
            "give a credential that is still good"
        )
        raise ServiceAccessError(msg)
    if is_fits(ext) and not (
        content.startswith(b"SIMPLE  =") or compression_of(content)
    ):
        shown = " ".join(content[:60].decode("ascii", "replace").split())
        msg = f"{source} sends no FITS file in place of {name}, but {shown!r}"
        raise ServiceError(msg)


def compression_of(content: bytes) -> str | None:
    """Recognise a compression by its magic bytes."""
    return next((k for magic, k in _COMPRESSED.items() if content.startswith(magic)),
                None)  # fmt: skip


def check_whole(path: Path, source: str) -> None:
    """Raise ServiceError if a FITS file is shorter than its headers say."""
    try:
        map_file(path)
    except FormatError as err:
        reason = str(err).replace(f"{path}", "it").replace(path.name, "it")
        msg = f"what came from {source} is no whole FITS file: {reason}"
        raise ServiceError(msg) from None


def unpack(path: Path, target: Path, size: int | None = None) -> tuple[Path, str]:
    """Decompress a file; raises ServiceError for damage or excessive size."""
    with path.open("rb") as stream:
        start = stream.read(16)
    kind = compression_of(start)
    temporary = staging_name(target)
    try:
        if kind is None:
            return _without_tiles(path, target, temporary)
        limit = size or max(_ALWAYS_ALLOWED, _LARGEST_RATIO * path.stat().st_size)
        md5 = _expand(path, kind, temporary, limit)
        if size is not None and temporary.stat().st_size != size:
            msg = (
                f"{target.name} has {temporary.stat().st_size} bytes without "
                f"compression, but the archive says {size}"
            )
            raise ServiceError(msg)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return temporary, md5


def _expand(path: Path, kind: str, temporary: Path, limit: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    written = 0
    with clear_write_errors(temporary), temporary.open("xb") as out:
        try:
            with _opened(path, kind) as stream:
                while block := stream.read(_BLOCK):
                    written += len(block)
                    if written > limit:
                        msg = (
                            f"{path.name} holds more than {limit} bytes once it is "
                            "decompressed; it is not written"
                        )
                        raise ServiceError(msg)
                    digest.update(block)
                    out.write(block)
        except (EOFError, ValueError, lzma.LZMAError, gzip.BadGzipFile) as err:
            msg = f"what arrived is no whole {kind} file ({err})"
            raise ServiceError(msg) from None
        except OSError as err:
            if isinstance(err, ServiceError) or err.errno is not None:
                raise
            msg = f"what arrived is no whole {kind} file ({err})"
            raise ServiceError(msg) from None
    return digest.hexdigest()


def _opened(path: Path, kind: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if kind == "Z":
        return _opened_lzw(path)
    if kind == "xz":
        with path.open("rb") as raw:  # the header tells how much memory is needed
            lzma.LZMADecompressor(memlimit=_XZ_MEMORY).decompress(raw.read(4096), 1)
    openers = {"bz2": bz2.open, "gz": gzip.open, "xz": lzma.open}
    return openers[kind](path, "rb")  # type: ignore[operator,no-any-return]


@contextlib.contextmanager
def _opened_lzw(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as raw:
        yield LzwStream(raw)


def _without_tiles(path: Path, target: Path, temporary: Path) -> tuple[Path, str]:
    """Write tile-compressed images as plain ones."""
    from ndmapper.data import DataFile
    from ndmapper.services.transfer.manifest import file_digest

    if not is_fits(split_ext(target.name)[1]) or not _has_tiles(path):
        return path, ""
    packed = temporary.with_name(f"{temporary.name}.fz")
    try:
        shutil.copyfile(path, packed)  # the type of the name tells how tiles are stored
        DataFile(packed).save(temporary)
    finally:
        with contextlib.suppress(OSError):
            packed.unlink()
    return temporary, file_digest(temporary)


def _has_tiles(path: Path) -> bool:
    try:
        return any(hdu.is_tiled for hdu in map_file(path).hdus)
    except FormatError:
        return False
