"""A partial download, and the validators (ETag, size) needed to resume it."""

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ndmapper.documents import load_json
from ndmapper.errors import ServiceError
from ndmapper.io.write import clear_write_errors
from ndmapper.services.transfer.response import StreamedResponse

__all__ = ["DamagedError", "PartialDownload", "RemoteFile"]

log = logging.getLogger(__name__)


class DamagedError(ServiceError):
    """The received data are not what was announced; a retry may succeed."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of an archive."""

    # Path below the archive's URL.
    path: str
    # Name in the archive; None if only the response tells.
    stored_name: str | None = None
    # Beginning of the name, before the file type.
    base: str | None = None
    # Of the stored (compressed) file; the checksum is MD5.
    size: int | None = None
    checksum: str | None = None
    # Of the decompressed file.
    plain_size: int | None = None
    plain_checksum: str | None = None
    # Host, if a service has files of several hosts.
    origin: str = field(default="", repr=False)

    @property
    def published(self) -> tuple[str, ...]:
        """All known checksums."""
        return tuple(filter(None, (self.checksum, self.plain_checksum)))


@dataclass
class PartialDownload:
    """An incomplete file, and what is needed to resume the download."""

    # Hidden file with the data received so far.
    path: Path
    # Hidden file with the validators.
    note: Path
    # Digest, since the path may contain an access key.
    path_digest: str
    # ETag or similar; None if the download cannot be resumed.
    validator: str | None = None
    # Size of the complete file.
    total: int | None = None
    # Offset at which the download resumes.
    start: int = 0

    @classmethod
    def of(cls, folder: Path, remote: RemoteFile) -> "PartialDownload":
        """Return the partial download of a file, which may be empty."""
        place, _, query = remote.path.partition("?")
        name = remote.stored_name or place.rpartition("/")[2]
        name = re.sub(r"[^\w.:+-]", "_", name)[-200:]
        digest = hashlib.sha256(f"{remote.origin}{remote.path}".encode()).hexdigest()
        if query or remote.origin:
            name += f"-{digest[:12]}"
        part = cls(folder / f".{name}.part", folder / f".{name}.part.json", digest)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = load_json(part.note.read_bytes(), finite=True)
            validator, total = known["validator"], known["total"]
            if (
                known["path"] == digest
                and (type(validator), type(total)) == (str, int)
                and part.path.is_file()
                and (not part.path.is_symlink())
            ):
                part.validator, part.total = validator, total
        return part

    def open(self) -> BinaryIO:
        """Open the file for writing; symbolic links are not followed."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        if not self.start:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            flags |= os.O_EXCL
        return os.fdopen(os.open(self.path, flags, 0o666), "r+b")

    def range_headers(self) -> dict[str, str]:
        """
        Return the Range headers to resume the same file; empty if there is nothing to
        resume.
        """
        size = self.path.stat().st_size if self.validator else 0
        if not size or self.validator is None:
            return {}
        return {"Range": f"bytes={size}-", "If-Range": self.validator}

    def begin(self, stream: StreamedResponse, remote: RemoteFile) -> int:
        """
        Check a response against the partial file and the archive's listing.

        Raises DamagedError if they differ.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        if stream.status == 206:
            found = re.fullmatch(
                r"bytes (\d+)-(\d+)/(\d+)", stream.headers.get("content-range", "")
            )
            numbers = [int(n) for n in found.groups()] if found else []
            fits = numbers and numbers[0] == size and numbers[2] == self.total
            if not fits or (remote.size is not None and numbers[2] != remote.size):
                self.discard()
                msg = f"{stream.url} goes on at another place than asked"
                raise DamagedError(msg)
            log.info("%s goes on at byte %d", stream.url, size)
            self.start = size
            return size
        headers = stream.headers
        length = headers.get("content-length", "")
        self.total = int(length) if length.isdecimal() else None
        if None not in (self.total, remote.size) and self.total != remote.size:
            msg = (
                f"{stream.url} announces {self.total} bytes, but the archive lists "
                f"{remote.size}"
            )
            raise DamagedError(msg)
        self.validator = _validator(headers)
        if self.validator is not None and self.total is not None:
            text = {"path": self.path_digest, "validator": self.validator,
                    "total": self.total}  # fmt: skip
            with clear_write_errors(self.note):
                self.note.write_text(json.dumps(text), encoding="utf-8")
        else:
            self.validator = None
        self.start = 0
        self.total = remote.size if self.total is None else self.total
        return 0

    def keep_if_resumable(self) -> None:
        """Remove the partial file unless the server can resume it."""
        if self.validator is None:
            self.discard()

    def discard(self) -> None:
        """Remove the partial file."""
        self.validator = None
        for path in (self.path, self.note):
            with contextlib.suppress(OSError):
                path.unlink()


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return the validator of a response that supports ranges; else None."""
    if "bytes" not in headers.get("accept-ranges", ""):
        return None
    etag = headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("last-modified")
