"""
Download one file: complete and verified, or not at all.

Data are written to a hidden file ``.NAME.part``. If the server supports ranges and
validators, the file is kept when the connection breaks, and the next attempt or run
resumes it.
"""

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ndmapper.errors import NdmapperError, ServiceError, ServiceUnreachableError
from ndmapper.io.filetypes import is_fits, split_ext
from ndmapper.io.write import clear_write_errors, publish
from ndmapper.services.safename import name_of_disposition
from ndmapper.services.transfer.checksum import has_checksum
from ndmapper.services.transfer.http import Http
from ndmapper.services.transfer.manifest import write_note
from ndmapper.services.transfer.partial import DamagedError, PartialDownload, RemoteFile
from ndmapper.services.transfer.progressbar import ByteBar
from ndmapper.services.transfer.response import StreamedResponse, shown_url
from ndmapper.services.transfer.unpack import check_beginning, check_whole, unpack

__all__ = ["RemoteFile", "Transfer"]

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_LARGEST = 1 << 36
"""Size limit of files whose size is not announced [bytes]."""


@dataclass
class Transfer:
    """The download of one file."""

    http: Http
    remote: RemoteFile
    # Target folder.
    folder: Path
    # Maps the stored name to the local one.
    name_target: Callable[[str | None], str]
    # Builds the error for an unexpected response.
    explain: Callable[[StreamedResponse], NdmapperError]
    # Checksum of the user's document, of the stored or decompressed file.
    known: str | None = None
    # Set when the user interrupts.
    stop: threading.Event = field(default_factory=threading.Event)
    # Progress bar.
    bar: ByteBar | None = None
    _has_begun: bool = field(default=False, init=False)

    def run(self) -> Path:
        """Download the file, with retries if it arrives damaged."""
        for number in range(1, _ATTEMPTS + 1):
            self._has_begun = False
            try:
                return self._once()
            except (ServiceUnreachableError, DamagedError) as err:
                # Failures before the body are retried by `Http`.
                if number == _ATTEMPTS or self.stop.is_set() or not self._has_begun:
                    raise
                self.http.backoff.wait(number, str(err))
        raise AssertionError  # pragma: no cover  # the last attempt returns or raises

    def _once(self) -> Path:
        part = PartialDownload.of(self.folder, self.remote)
        headers = part.range_headers()
        with self.http.stream(self.remote.path, headers=headers) as stream:
            if stream.status == 416 and headers:
                part.discard()
                self._has_begun = True
                msg = f"{stream.url} cannot go on where the part of it ends"
                raise DamagedError(msg)
            if stream.status not in {200, 206}:
                raise self.explain(stream)
            return self.receive(stream, part)

    def receive(
        self, stream: StreamedResponse, part: PartialDownload | None = None
    ) -> Path:
        """Receive a body, verify it, and rename it into place."""
        self._has_begun = True
        part = part or PartialDownload.of(self.folder, self.remote)
        disposition = stream.headers.get("content-disposition")
        given = name_of_disposition(disposition, stream.url)
        stored = self.remote.stored_name or given
        base = self.remote.base
        if base is not None and stored is not None and split_ext(stored)[0] != base:
            msg = f"{stream.url} sends {stored!r} in place of {base}"
            raise ServiceError(msg)
        target = self.folder / self.name_target(stored)
        start = part.begin(stream, self.remote)
        digest = hashlib.md5(usedforsecurity=False)
        if start:
            with part.path.open("rb") as old:
                while block := old.read(1 << 20):
                    digest.update(block)
        size = start + self._write(stream, part, digest.update, target.name)
        if part.total is not None and size != part.total:
            part.keep_if_resumable()
            msg = f"{stream.url} ended after {size} of {part.total} bytes"
            raise ServiceUnreachableError(msg)
        md5, expected = digest.hexdigest(), self.remote.checksum
        if expected is not None and md5 != expected:
            part.discard()
            msg = (
                f"{target.name} came with the checksum {md5}, but the archive "
                f"publishes {expected}; it was not kept"
            )
            raise DamagedError(msg)
        return self._finish(part, target, md5)

    def _write(
        self,
        stream: StreamedResponse,
        part: PartialDownload,
        count: Callable[[bytes], object],
        name: str,
    ) -> int:
        """Append chunks to the partial file; return how many bytes were written."""
        content_type = stream.headers.get("content-type", "").partition(";")[0].strip()
        start, written = part.start, 0
        if self.bar is not None:
            self.bar.expect((part.total or 0) - start)
        limit = (_LARGEST if part.total is None else part.total) - start
        try:
            with clear_write_errors(part.path), part.open() as out:
                out.seek(start)
                for chunk in stream.chunks:
                    if self.stop.is_set():
                        msg = f"{stream.url} was stopped"
                        raise ServiceUnreachableError(msg)
                    if start + written == 0:
                        check_beginning(chunk, content_type.lower(), name, stream.url)
                    written += len(chunk)
                    if written > limit:
                        msg = (
                            f"{stream.url} sends more than the {start + limit} bytes "
                            "announced"
                        )
                        raise ServiceError(msg)
                    count(chunk)
                    out.write(chunk)
                    if self.bar is not None:
                        self.bar.add(len(chunk))
                out.flush()
                os.fsync(out.fileno())
        except ServiceUnreachableError:
            part.keep_if_resumable()
            raise
        except BaseException:
            part.discard()
            raise
        return written

    def _finish(self, part: PartialDownload, target: Path, md5: str) -> Path:
        source = shown_url(self.http.base_url + self.remote.path)
        finished = part.path
        try:
            here = md5
            if not _is_packed(target.name):
                finished, plain = unpack(part.path, target, self.remote.plain_size)
                here = plain or md5
                expected = self.remote.plain_checksum
                if expected is not None and here != expected and not _is_tiled(
                    self.remote.stored_name
                ):  # fmt: skip
                    msg = (
                        f"{target.name} has the checksum {here} without compression, "
                        f"but the archive publishes {expected}"
                    )
                    raise DamagedError(msg)
            if is_fits(split_ext(target.name)[1]):
                check_whole(finished, source)
            if self.known is not None and not any(
                has_checksum(path, self.known) for path in {part.path, finished}
            ):
                msg = (
                    f"{target.name} came with the checksum {md5}, but the calibration "
                    f"document says {self.known}; it was not kept"
                )
                raise ServiceError(msg)
            if self.stop.is_set():
                msg = f"{target.name} was stopped"
                raise ServiceUnreachableError(msg)
            publish(finished, target)
        except BaseException:
            if finished != part.path:
                with contextlib.suppress(OSError):
                    finished.unlink()
            part.discard()
            raise
        part.discard()
        write_note(target, here, (*self.remote.published, md5), source)
        log.info("%s was downloaded", target)
        return target


def _is_packed(name: str) -> bool:
    return (split_ext(name)[1] or "").rpartition(".")[2] in {
        "bz2",
        "gz",
        "fz",
        "Z",
        "xz",
    }


def _is_tiled(name: str | None) -> bool:
    return (name or "").endswith(".fz")
