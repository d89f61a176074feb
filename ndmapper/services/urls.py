"""Files whose URLs are given by a user's function."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ndmapper.errors import (
    NdmapperError,
    ParameterError,
)
from ndmapper.services.transfer.fetching import Fetcher
from ndmapper.services.transfer.http import Http
from ndmapper.services.transfer.partial import RemoteFile
from ndmapper.services.transfer.redirects import split_url
from ndmapper.services.transfer.response import StreamedResponse, response_error

__all__ = ["UrlService"]


class UrlService:
    """Download files by their URLs; no credentials are sent."""

    def __init__(
        self,
        url_of: Callable[[str], str],
        *,
        decompress: bool | None = None,
        overwrite: bool = False,
    ) -> None:
        self.url_of = url_of
        self.decompress = decompress
        self.overwrite = overwrite

    def look_up(self, filename: str, cal_type: str) -> None:
        """Return nothing: URLs do not tell associations."""

    def fetch(
        self, files: Sequence[str], dirname: Path, checksums: Mapping[str, str]
    ) -> list[Path]:
        """Download files that are not there; one ServiceError names all that failed."""
        by_place: dict[str, list[str]] = {}
        urls = {name: str(self.url_of(name)) for name in files}
        for name, url in urls.items():
            parts = split_url(url)
            if parts is None:
                # User info and query may contain keys.
                shown = re.sub(r"//[^/]*@", "//", url.partition("?")[0])
                msg = f"the function gives {name} no https URL, but {shown!r}"
                raise ParameterError(msg)
            by_place.setdefault(f"{parts.scheme}://{parts.netloc}", []).append(name)
        paths: dict[str, Path] = {}
        for place, names in by_place.items():
            fetcher = Fetcher(
                Http("urls", place, kept_as=f"urls-{_mark(place)}"),
                lambda name, _: _remote(urls[name]),
                _explained,
                decompress=self.decompress,
                overwrite=self.overwrite,
            )
            found = fetcher.fetch(names, dirname, checksums)
            paths |= dict(zip(names, found, strict=True))
        return [paths[name] for name in files]


def _mark(place: str) -> str:
    """Digest of a host, to keep recorded responses apart without naming it."""
    parts = urlsplit(place)
    host = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    return hashlib.sha256(host.encode()).hexdigest()[:8]


def _remote(url: str) -> RemoteFile:
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    # A query does not end with a file name; the response tells it.
    stored = None if query else unquote(parts.path.rpartition("/")[2]) or None
    origin = f"{parts.scheme}://{parts.netloc}"
    path = f"{parts.path or '/'}{query}"
    return RemoteFile(path=path, stored_name=stored, origin=origin)


def _explained(answer: StreamedResponse) -> NdmapperError:
    said = f"{answer.url} answers with status {answer.status}"
    return response_error(answer, lambda: f"{said}: it is not given to everybody", said)
