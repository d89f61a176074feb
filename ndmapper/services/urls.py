"""Files whose URLs a function of the user's gives."""

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
    """Get files by their URLs; no credentials are sent."""

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
        """Find nothing: URLs tell no associations."""

    def fetch(
        self, files: Sequence[str], dirname: Path, checksums: Mapping[str, str]
    ) -> list[Path]:
        """
        See to it that files are in a folder.

        Raises ParameterError if the function gives something that is no URL.;
        ServiceError if some could not be got; all are named with the reason.
        """
        by_place: dict[str, list[str]] = {}
        urls = {name: str(self.url_of(name)) for name in files}
        for name, url in urls.items():
            parts = split_url(url)
            if parts is None:
                # What is before the host, or in the query, may be a key.
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
    """Tell hosts apart in what is kept of their answers, without naming them."""
    parts = urlsplit(place)
    host = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    return hashlib.sha256(host.encode()).hexdigest()[:8]


def _remote(url: str) -> RemoteFile:
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    # The end of a query is no name of a file; then the answer tells.
    stored = None if query else unquote(parts.path.rpartition("/")[2]) or None
    origin = f"{parts.scheme}://{parts.netloc}"
    path = f"{parts.path or '/'}{query}"
    return RemoteFile(path=path, stored_name=stored, origin=origin)


def _explained(answer: StreamedResponse) -> NdmapperError:
    said = f"{answer.url} answers with status {answer.status}"
    return response_error(answer, lambda: f"{said}: it is not given to everybody", said)
