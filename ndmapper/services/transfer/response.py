"""HTTP responses of archives, and the errors for unexpected ones."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ndmapper.errors import (
    MissingFileError,
    NdmapperError,
    ServiceAccessError,
    ServiceError,
    ServiceUnreachableError,
)
from ndmapper.services.redaction import redacted
from ndmapper.services.transfer.backoff import RETRIED

__all__ = [
    "NoConnectionError",
    "Response",
    "StreamedResponse",
    "read_limited",
    "response_error",
    "shown_url",
]


class NoConnectionError(ServiceUnreachableError):
    """There is no connection to an archive, so other files need not be tried."""


@dataclass(frozen=True)
class Response:
    """A complete response."""

    status: int
    # Names are in lower case.
    headers: Mapping[str, str]
    body: bytes
    # URL without query and secrets.
    url: str
    # Cookies set by the server.
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """The body as text; invalid UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class StreamedResponse:
    """A response whose body is read in chunks, once."""

    status: int
    # Names are in lower case.
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    # URL without query and secrets.
    url: str

    def text(self, limit: int = 4096) -> str:
        """Return the beginning of the body as text."""
        found = b""
        with contextlib.suppress(ServiceError):
            for chunk in self.chunks:
                found += chunk
                if len(found) >= limit:
                    break
        return found[:limit].decode("utf-8", "replace")


def shown_url(url: str) -> str:
    """Return a URL without query and secrets, for messages."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return redacted(f"{parts.scheme}://{parts.hostname}{port}{parts.path}")


def read_limited(chunks: Iterator[bytes], limit: int, shown: str) -> bytes:
    """Read a body; raises ServiceError if it is larger than `limit`."""
    found = bytearray()
    for chunk in chunks:
        found += chunk
        if len(found) > limit:
            msg = f"{shown} answers with more than {limit >> 20} MB; it is not read"
            raise ServiceError(msg)
    return bytes(found)


def response_error(
    answer: StreamedResponse | Response,
    denied: Callable[[], str],
    missing: str = "the archive has no such file",
) -> NdmapperError:
    """Build the error for a response with another status than expected."""
    if answer.status in {401, 403}:
        return ServiceAccessError(denied())
    if answer.status in {404, 410}:
        return MissingFileError(missing)
    msg = f"{answer.url} answers with status {answer.status}"
    if answer.status in RETRIED:
        return ServiceUnreachableError(f"{msg}; try again later")
    return ServiceError(msg)
