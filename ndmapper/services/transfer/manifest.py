"""
Notes of downloaded files, in .ndmapper/downloads/ of their folder.

Archives publish checksums of compressed files, but the local file often is
decompressed. A note has the published checksum that was verified during the download,
and the checksum of the file as written, so that it can be verified later without
network. A file with the size and mtime of its note is not read again.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from ndmapper.documents import load_json
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.temporary import staging_name
from ndmapper.io.write import clear_write_errors

__all__ = ["Note", "file_digest", "find_note", "locked", "write_note"]

log = logging.getLogger(__name__)

_SCHEMA = 1
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Note:
    """Size, mtime, checksums and origin of one downloaded file."""

    # When the file was last verified.
    size: int
    mtime_ns: int
    # MD5 of the local file.
    md5: str
    # Published checksums that were verified.
    published: tuple[str, ...] = ()
    # Origin.
    source: str = ""

    def is_of(self, path: Path) -> bool:
        """Whether the file has the size and mtime of the note."""
        found = path.stat()
        return (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)

    def knows(self, checksum: str) -> bool:
        """Whether a checksum is that of the local or the published file."""
        digits = checksum.strip().lower().rpartition(":")[2]
        return digits in {self.md5, *self.published}


def find_note(path: Path) -> Note | None:
    """Return the note of a file; None if there is none."""
    try:
        entry = load_json(_place(path).read_bytes(), finite=True)
        return Note(
            size=int(entry["size"]),
            mtime_ns=int(entry["mtime_ns"]),
            md5=str(entry["md5"]),
            published=tuple(map(str, entry["published"])),
            source=str(entry["source"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as err:
        log.warning("what is noted of the download %s cannot be read (%s); it is "
                    "verified anew", path, type(err).__name__)  # fmt: skip
        return None


def write_note(path: Path, md5: str, published: tuple[str, ...], source: str) -> None:
    """Write the note of a verified file."""
    found = path.stat()
    note = Note(
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        md5=md5,
        published=tuple(sorted({_digits(p) for p in published})),
        source=source,
    )
    place = _place(path)
    content = {"schema": _SCHEMA, **asdict(note), "published": list(note.published)}
    # Not an error: the folder may be read-only, and notes only save time.
    with contextlib.suppress(OSError):
        make_side_folder(place)
        temporary = staging_name(place)
        text = json.dumps(content, indent=1, sort_keys=True)
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(place)


def file_digest(path: Path) -> str:
    """Compute the MD5 of a file."""
    # MD5 is what archives publish: it protects against damage, not attacks.
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold a lock against other processes and threads."""
    side = folder / ".ndmapper"
    with clear_write_errors(side):
        make_side_folder(side / f"{name}.lock")
        lock = FileLock(side / f"{name}.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _place(path: Path) -> Path:
    return path.parent / ".ndmapper" / "downloads" / f"{path.name}.json"


def _digits(checksum: str) -> str:
    return checksum.strip().lower().rpartition(":")[2]
