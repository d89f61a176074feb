"""
Download many files of the Gemini archive as one tar file, unpacked on the fly.

The tar file is untrusted: each member must be a requested file with the listed size and
checksum, and is written under its own name. A complete tar file ends with a list of
checksums; of a truncated one, the members received so far are kept, and the rest is
downloaded one by one.
"""

import io
import logging
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from ndmapper.errors import (
    MissingFileError,
    NdmapperError,
    ServiceAccessError,
    ServiceError,
    ServiceUnreachableError,
)
from ndmapper.services.safename import inside
from ndmapper.services.transfer.fetching import Fetcher
from ndmapper.services.transfer.http import CHUNK
from ndmapper.services.transfer.partial import RemoteFile
from ndmapper.services.transfer.response import StreamedResponse
from ndmapper.services.transfer.transfer import Transfer

__all__ = ["fetch_tar"]

log = logging.getLogger(__name__)

_TRAILER = ("md5sums.txt", "README.txt")
_LARGEST_TEXT = 1 << 20
_OVERHEAD = 1 << 24


def fetch_tar(
    fetcher: Fetcher,
    names: Sequence[str],
    folder: Path,
    checksums: Mapping[str, str],
) -> None:
    """
    Download missing files as one tar file, as far as possible.

    Raises ServiceAccessError if proprietary files were left out.
    """
    wanted: dict[str, tuple[str, RemoteFile]] = {}
    for name in dict.fromkeys(names):
        if fetcher.verified(name, folder, checksums.get(name)) is None:
            try:
                remote = fetcher.describe(name, checksums.get(name))
            except MissingFileError:
                continue  # reported later, together with the others
            stored = remote.path.partition("/file/")[2]
            if not (folder / name).exists():
                wanted[stored] = name, remote
    if not wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    form = [("files", unquote(stored)) for stored in wanted]
    with fetcher.http.stream("/download", method="POST", data=form) as stream:
        kind = stream.headers.get("content-type", "")
        if stream.status != 200:
            raise fetcher.explain(stream)
        if "tar" not in kind:
            text = " ".join(stream.text().split())[:200]
            msg = f"{stream.url} sends no tar file, but says: {text!r}"
            raise ServiceError(msg)
        by_name = {unquote(s).rpartition("/")[2]: v for s, v in wanted.items()}
        denied = _take_apart(stream, fetcher, by_name, folder, checksums)
    if denied:
        why = fetcher.explain(StreamedResponse(403, {}, iter(()), stream.url))
        msg = f"{len(denied)} files were left out: {', '.join(sorted(denied))}: {why}"
        raise ServiceAccessError(msg)


def _take_apart(
    stream: StreamedResponse,
    fetcher: Fetcher,
    wanted: Mapping[str, tuple[str, RemoteFile]],
    folder: Path,
    checksums: Mapping[str, str],
) -> set[str]:
    """Write the requested members; return the names of withheld files."""
    limit = sum(remote.size or 0 for _, remote in wanted.values()) + _OVERHEAD
    readme, is_whole = "", False
    try:
        with tarfile.open(fileobj=_Reader(stream, limit), mode="r|") as tar:
            for member in tar:
                name = _checked(member, stream.url)
                if name in _TRAILER:
                    text = _text(tar, member)
                    is_whole |= name == "md5sums.txt"
                    readme = text if name == "README.txt" else readme
                elif name in wanted:
                    asked, remote = wanted[name]
                    length = {"content-length": str(member.size)}
                    pieces = _pieces(tar, member)
                    transfer = fetcher.transfer(
                        asked, remote, folder, checksums.get(asked)
                    )
                    _receive(
                        transfer, StreamedResponse(200, length, pieces, stream.url)
                    )
                else:
                    log.warning("%s holds %r, which nobody asked for; it is not taken",
                                stream.url, name)  # fmt: skip
    except (tarfile.TarError, EOFError, ServiceUnreachableError) as err:
        log.warning("%s ends too early (%s); the rest comes file by file",
                    stream.url, err)  # fmt: skip
        return set()
    if not is_whole:
        log.warning("%s ends without its checksums; the rest comes file by file",
                    stream.url)  # fmt: skip
    lines = {line.strip().rpartition("/")[2] for line in readme.splitlines()}
    return {name for name in wanted if name in lines}


def _receive(transfer: Transfer, stream: StreamedResponse) -> None:
    try:
        transfer.receive(stream)
    except ServiceUnreachableError:
        raise
    except NdmapperError as err:
        log.warning("%s; it is got by itself", err)
        for _ in stream.chunks:  # skip to the next member
            pass


def _checked(member: tarfile.TarInfo, source: str) -> str:
    name = inside(member.name, source)
    if not member.isreg() or member.issparse():
        msg = f"{source} holds {name!r}, which is no plain file; nothing is taken of it"
        raise ServiceError(msg)
    return name


def _pieces(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    content = tar.extractfile(member)
    while content is not None and (piece := content.read(CHUNK)):
        yield piece


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    if member.size > _LARGEST_TEXT:
        return ""
    return b"".join(_pieces(tar, member)).decode("utf-8", "replace")


class _Reader(io.RawIOBase):
    """File object for a stream of chunks, with a size limit."""

    def __init__(self, stream: StreamedResponse, limit: int) -> None:
        self._stream = stream
        self._left = limit
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        found = bytearray()
        while len(found) < size:
            if not self._rest:
                try:
                    self._rest = next(self._stream.chunks, b"")
                except ServiceUnreachableError:
                    if not found:
                        raise
                    break  # complete members were received; the next read fails as well
                self._left -= len(self._rest)
                if self._left < 0:
                    msg = f"{self._stream.url} sends far more than the files asked for"
                    raise ServiceError(msg)
                if not self._rest:
                    break
            need = size - len(found)
            found += self._rest[:need]
            self._rest = self._rest[need:]
        return bytes(found)
