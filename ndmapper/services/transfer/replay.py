"""
Answers of archives, kept in a folder and played from there.

Each answer is two files: ``NAME.json`` says what was asked, the status and the headers;
``NAME.body`` is what came back. NAME begins with the archive and has a digest of what
was asked: the method, the path below the archive's URL, the query and the form. Neither
the host nor anything that belongs to a login is in there, so a folder can be handed on.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ndmapper.config import config
from ndmapper.documents import load_json
from ndmapper.errors import ServiceError
from ndmapper.io.temporary import staging_name
from ndmapper.services.redaction import redacted

__all__ = [
    "ReplayedResponse",
    "RequestKey",
    "find",
    "is_recording",
    "is_replaying",
    "keep",
    "kept_while_read",
]

_SCHEMA = 1
_CHUNK = 1 << 16
_HEADERS = frozenset(
    {"content-type", "content-length", "content-disposition", "etag", "last-modified"}
)


@dataclass(frozen=True)
class RequestKey:
    """What was asked, in a form that is the same on every machine."""

    # Name of the archive.
    archive: str
    # JSON of method, path, query, form and body.
    asked: str

    @classmethod
    def of(
        cls,
        archive: str,
        method: str,
        path: str,
        *,
        params: Any = None,
        data: Any = None,
        body: Any = None,
    ) -> "RequestKey":
        """Describe a request."""
        asked = [method, path, _pairs(params), _pairs(data), body]
        return cls(archive, json.dumps(asked, sort_keys=True, default=str))

    @property
    def stem(self) -> str:
        """The name of its files, without type."""
        digest = hashlib.sha256(self.asked.encode()).hexdigest()[:20]
        archive = re.sub(r"[^\w-]", "_", self.archive)
        return f"{archive}-{digest}"


@dataclass(frozen=True)
class ReplayedResponse:
    """An answer that was kept."""

    # Its status.
    status: int
    # The headers that describe its body.
    headers: dict[str, str]
    # The file that holds its body.
    body: Path

    def chunks(self) -> Iterator[bytes]:
        """Read the body."""
        with self.body.open("rb") as stream:
            while piece := stream.read(_CHUNK):
                yield piece


def is_replaying() -> bool:
    """Say whether archives are played."""
    return config["archive_replay"] is not None


def is_recording() -> bool:
    """Say whether answers are kept."""
    return config["archive_record"] is not None and not is_replaying()


def find(key: RequestKey) -> ReplayedResponse | None:
    """
    Find the answer to a request, where archives are played.

    Raises ServiceError if the answer that was kept cannot be read.
    """
    if not is_replaying():
        return None
    path = Path(config["archive_replay"]) / f"{key.stem}.json"
    try:
        found = load_json(path.read_bytes(), finite=True)
        headers = {str(k): str(v) for k, v in found["headers"].items()}
        return ReplayedResponse(
            int(found["status"]), headers, path.with_suffix(".body")
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        msg = f"the answer kept in {path} cannot be read; delete it, or record it anew"
        raise ServiceError(msg) from err


def keep(
    key: RequestKey, status: int, headers: dict[str, str] | Any, pieces: Iterable[bytes]
) -> None:
    """Keep an answer, where that is wanted."""
    if is_recording():
        for _ in kept_while_read(key, status, headers, iter(pieces)):
            pass


def kept_while_read(
    key: RequestKey, status: int, headers: Any, pieces: Iterator[bytes]
) -> Iterator[bytes]:
    """Keep an answer while it is read; one that is not read to its end is not kept."""
    folder = Path(config["archive_record"])
    body = folder / f"{key.stem}.body"
    temporary = staging_name(body)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            for piece in pieces:
                stream.write(piece)
                yield piece
        temporary.replace(body)
        described = {
            "schema": _SCHEMA,
            "archive": key.archive,
            "asked": _shown(key),
            "status": status,
            "headers": {k: v for k, v in headers.items() if k in _HEADERS},
        }
        text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
        note = staging_name(body.with_suffix(".json"))
        note.write_text(text, encoding="utf-8")
        note.replace(body.with_suffix(".json"))
    except OSError as err:
        if isinstance(err, ServiceError):
            raise
        msg = f"the answer cannot be kept in {folder} ({err.strerror}): archive_record"
        raise ServiceError(msg) from err
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _shown(key: RequestKey) -> Any:
    """Say what was asked, without what may be a key to it."""
    asked = json.loads(redacted(key.asked))
    asked[1] = asked[1].partition("?")[0]
    return asked


def _pairs(values: Any) -> Any:
    if values is None:
        return None
    items = values.items() if hasattr(values, "items") else values
    return [[str(k), str(v)] for k, v in items]
