"""
Record responses of archives in a folder, and replay them without network.

Each response is two files: ``NAME.json`` has the request, status and headers,
``NAME.body`` the body. NAME starts with the archive and has a digest of the request:
method, path below the archive's URL, query and form. Host and credentials are not
stored, so that a folder can be shared.
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
    """Key of a recorded request, the same on every machine."""

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
        """Make the key of a request."""
        asked = [method, path, _pairs(params), _pairs(data), body]
        return cls(archive, json.dumps(asked, sort_keys=True, default=str))

    @property
    def stem(self) -> str:
        """Names of its files, without type."""
        digest = hashlib.sha256(self.asked.encode()).hexdigest()[:20]
        archive = re.sub(r"[^\w-]", "_", self.archive)
        return f"{archive}-{digest}"


@dataclass(frozen=True)
class ReplayedResponse:
    """A recorded response."""

    status: int
    # Headers that describe the body.
    headers: dict[str, str]
    # The file with the body.
    body: Path

    def chunks(self) -> Iterator[bytes]:
        """Read the body."""
        with self.body.open("rb") as stream:
            while piece := stream.read(_CHUNK):
                yield piece


def is_replaying() -> bool:
    """Whether responses are replayed."""
    return config["archive_replay"] is not None


def is_recording() -> bool:
    """Whether responses are recorded."""
    return config["archive_record"] is not None and not is_replaying()


def find(key: RequestKey) -> ReplayedResponse | None:
    """Return the recorded response to a request, when replaying."""
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
    """Record a response, when recording."""
    if is_recording():
        for _ in kept_while_read(key, status, headers, iter(pieces)):
            pass


def kept_while_read(
    key: RequestKey, status: int, headers: Any, pieces: Iterator[bytes]
) -> Iterator[bytes]:
    """Record a response while it is read, if it is read to its end."""
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
    """Describe a request without parts that may be access keys."""
    asked = json.loads(redacted(key.asked))
    asked[1] = asked[1].partition("?")[0]
    return asked


def _pairs(values: Any) -> Any:
    if values is None:
        return None
    items = values.items() if hasattr(values, "items") else values
    return [[str(k), str(v)] for k, v in items]
