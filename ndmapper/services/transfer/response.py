"""What archives answer, and URLs as a person may see them."""

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
    """There is no connection to an archive, so nothing else can be got either."""


@dataclass(frozen=True)
class Response:
    """A whole answer."""

    # Its status.
    status: int
    # Its headers; names are in lower case.
    headers: Mapping[str, str]
    # Its body.
    body: bytes
    # What was asked, as a person may see it.
    url: str
    # What the server wants to be remembered.
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def content_type(self) -> str:
        """The type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class StreamedResponse:
    """An answer whose body is read piece by piece, once."""

    # Its status.
    status: int
    # Its headers; names are in lower case.
    headers: Mapping[str, str]
    # Its body.
    chunks: Iterator[bytes]
    # What was asked, as a person may see it.
    url: str

    def text(self, limit: int = 4096) -> str:
        """Read the beginning of the body, to see what it says."""
        found = b""
        with contextlib.suppress(ServiceError):
            for chunk in self.chunks:
                found += chunk
                if len(found) >= limit:
                    break
        return found[:limit].decode("utf-8", "replace")


def shown_url(url: str) -> str:
    """Give a URL as a person may see it."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return redacted(f"{parts.scheme}://{parts.hostname}{port}{parts.path}")


def read_limited(chunks: Iterator[bytes], limit: int, shown: str) -> bytes:
    """
    Read a whole body, unless it is too large.

    Raises ServiceError if there is more.
    """
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
    """Make the error for an answer that is not what was asked for."""
    if answer.status in {401, 403}:
        return ServiceAccessError(denied())
    if answer.status in {404, 410}:
        return MissingFileError(missing)
    msg = f"{answer.url} answers with status {answer.status}"
    if answer.status in RETRIED:
        return ServiceUnreachableError(f"{msg}; try again later")
    return ServiceError(msg)
