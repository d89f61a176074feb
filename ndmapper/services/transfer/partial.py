"""The part of a file that has arrived, and by what the server knows the file."""

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
    """What arrived is not what was announced; another attempt may be luckier."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of an archive."""

    # Its path below the URL of the archive.
    path: str
    # Its name there; None where only the answer tells.
    stored_name: str | None = None
    # What that name begins with, before its type.
    base: str | None = None
    # Of the file as it is stored; the checksum is MD5.
    size: int | None = None
    # Of the file as it is stored; the checksum is MD5.
    checksum: str | None = None
    # Of what it holds, without compression.
    plain_size: int | None = None
    # Of what it holds, without compression.
    plain_checksum: str | None = None
    # Where it is, if files of many places go through one service: there the last part
    # of the path does not tell a file from others.
    origin: str = field(default="", repr=False)

    @property
    def published(self) -> tuple[str, ...]:
        """All checksums that are known."""
        return tuple(filter(None, (self.checksum, self.plain_checksum)))


@dataclass
class PartialDownload:
    """The part of a file that is here, and by what the server knows the file."""

    # The hidden file that holds it.
    path: Path
    # The hidden file that says of what it is a part.
    note: Path
    # Of the path at the archive, which may hold a key to the file.
    path_digest: str
    # By what the server knows the file; None where it cannot go on.
    validator: str | None = None
    # Bytes of the whole file.
    total: int | None = None
    # At which byte it goes on.
    start: int = 0

    @classmethod
    def of(cls, folder: Path, remote: RemoteFile) -> "PartialDownload":
        """Find what is here of a file."""
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
        """Open it for writing; a link that lies there is not followed."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        if not self.start:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            flags |= os.O_EXCL
        return os.fdopen(os.open(self.path, flags, 0o666), "r+b")

    def range_headers(self) -> dict[str, str]:
        """Say which headers ask for the rest, but only of the same file."""
        size = self.path.stat().st_size if self.validator else 0
        if not size or self.validator is None:
            return {}
        return {"Range": f"bytes={size}-", "If-Range": self.validator}

    def begin(self, stream: StreamedResponse, remote: RemoteFile) -> int:
        """
        See what the server sends.

        Raises DamagedError if it does not fit to what is here, or to what the archive
        lists.
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
        """Throw away what the server cannot go on with."""
        if self.validator is None:
            self.discard()

    def discard(self) -> None:
        """Throw it away."""
        self.validator = None
        for path in (self.path, self.note):
            with contextlib.suppress(OSError):
                path.unlink()


def _validator(headers: Mapping[str, str]) -> str | None:
    """Find by what a file is known, where the server can go on within it."""
    if "bytes" not in headers.get("accept-ranges", ""):
        return None
    etag = headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("last-modified")
