"""
The Gemini Observatory Archive: its calibration associations and its files.

The archive stores compressed files and publishes their checksums; calibration documents
use the names without compression. Interrupted downloads cannot be resumed.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from astropy.table import Table

from ndmapper.calibrations.lookup_result import Answer
from ndmapper.calibrations.names import plain_name
from ndmapper.errors import (
    MissingFileError,
    NdmapperError,
    ServiceAccessError,
    ServiceError,
)
from ndmapper.io.filetypes import split_ext
from ndmapper.log import FILE_ONLY
from ndmapper.services.credentials import find_credentials
from ndmapper.services.criteria import Criteria
from ndmapper.services.gemini.find import find_at_gemini
from ndmapper.services.gemini.replies import (
    FoundCalibrations,
    calibrations_of_json,
    calibrations_of_xml,
    file_row,
)
from ndmapper.services.gemini.tar import fetch_tar
from ndmapper.services.redaction import Secret
from ndmapper.services.transfer.fetching import Fetcher
from ndmapper.services.transfer.http import Http
from ndmapper.services.transfer.partial import RemoteFile
from ndmapper.services.transfer.response import (
    Response,
    StreamedResponse,
    response_error,
)

__all__ = ["GeminiService"]

log = logging.getLogger(__name__)

_URL = "https://archive.gemini.edu"
_COOKIE = "gemini_archive_session"

CAL_TYPES = frozenset(
    """
    bias processed_bias dark processed_dark processed_bpm flat processed_flat arc
    processed_arc pinhole processed_pinhole processed_fringe ronchi_mask lampoff_flat
    qh_flat domeflat lampoff_domeflat mask slitillum processed_slitillum standard
    processed_standard telluric processed_telluric polarization_standard
    astrometric_standard polarization_flat specphot photometric_standard
    processed_slitflat processed_slit
    """.split()  # noqa: SIM905  # thirty quotes hide the names
)
"""Types that the archive knows; for any other it would return all."""

_ALIASES = {"bpm": "processed_bpm", "specphot": "standard", "spectwilight": "slitillum"}

_LOGIN_ADVICE = (
    "log in at the archive's page and give its cookie gemini_archive_session in "
    "NDMAPPER_GEMINI_COOKIE (or as cookie in the credentials file, or the keyring)"
)


class GeminiService:
    """Look up calibrations and download files from the Gemini archive."""

    def __init__(
        self,
        *,
        decompress: bool | None = None,
        overwrite: bool = False,
        tar: bool = False,
        http: Http | None = None,
    ) -> None:
        self.http = http or Http("gemini", _URL)
        self.http.auth = self._cookie
        self.decompress = decompress
        self.overwrite = overwrite
        self.tar = tar
        self._session: Secret | None = None
        self._is_looked_up = False
        self._lock = threading.Lock()

    def look_up(self, filename: str, cal_type: str) -> Answer:
        """
        Find the frames that calibrate another one.

        Raises ServiceError if the archive cannot be asked, or its search failed.
        """
        asked = self._server_type(filename, cal_type)
        if asked not in CAL_TYPES:
            log.warning(
                "%s: the Gemini archive knows no calibrations of type %r; add it by "
                "hand", filename, cal_type, extra=FILE_ONLY,
            )  # fmt: skip
            return Answer(why=f"the archive knows no calibrations of type {cal_type}")
        found = self._calibrations(_frame(filename), asked)
        if found.has_failed:
            msg = (
                f"the Gemini archive failed to search for {cal_type} of {filename}; "
                "try again later, or add it by hand"
            )
            raise ServiceError(msg)
        if not found.is_known:
            log.warning("%s: the Gemini archive has no such file, so no %s",
                        filename, cal_type, extra=FILE_ONLY)  # fmt: skip
        for name in found.absent:
            log.warning("%s: %s is its %s, but the archive does not have it",
                        filename, name, cal_type)  # fmt: skip
        log.info("%s: %s is %s (Gemini archive)", filename, cal_type,
                 ", ".join(name for name, _ in found.files) or "not found",
                 extra=FILE_ONLY)  # fmt: skip
        why = "" if found.is_known else f"the archive has no {filename}"
        if found.absent:
            why = f"the archive does not have {', '.join(found.absent)}"
        return Answer(files=tuple(found.files), why=why)

    def fetch(
        self, files: Sequence[str], dirname: Path, checksums: Mapping[str, str]
    ) -> list[Path]:
        """Download files that are not there; one ServiceError names all that failed."""
        fetcher = Fetcher(
            self.http,
            self.describe,
            self.explain,
            decompress=self.decompress,
            overwrite=self.overwrite,
        )
        if self.tar:
            fetch_tar(fetcher, files, dirname, checksums)
        return fetcher.fetch(files, dirname, checksums)

    def find(self, criteria: Criteria) -> Table:
        """Find files."""
        return find_at_gemini(self._ask, criteria)

    def describe(self, name: str, checksum: str | None = None) -> RemoteFile:
        """Request the size and checksums of a file."""
        frame = _frame(name)
        reply = self._ask(f"/jsonfilelist/canonical/filename={_quoted(frame)}")
        row = file_row(reply.body, frame, checksum, reply.url)
        folder = f"{quote(row.folder)}/" if row.folder else ""
        return RemoteFile(
            path=f"/file/{folder}{_quoted(row.filename)}",
            stored_name=row.filename,
            size=row.size,
            checksum=row.checksum,
            plain_size=row.plain_size,
            plain_checksum=row.plain_checksum,
        )

    def explain(self, answer: StreamedResponse | Response) -> NdmapperError:
        """Build the error for a response with another status than expected."""

        def denied() -> str:
            text = (
                answer.text() if isinstance(answer, StreamedResponse) else answer.text
            )
            why = (
                "the Gemini archive wants a login from here"
                if "login required" in text.lower()
                else "the Gemini archive does not give proprietary data without a login"
            )
            return f"{why}: {_LOGIN_ADVICE}"

        return response_error(answer, denied)

    def _calibrations(self, name: str, cal_type: str) -> FoundCalibrations:
        selection = f"{cal_type}/filename={_quoted(name)}"
        reply = self.http.ask(f"/jsoncalmgr/{selection}")
        if reply.status == 404:  # older versions of the archive software
            reply = self._ask(f"/xmlcalmgr/{selection}")
            return calibrations_of_xml(reply.body, name, cal_type, reply.url)
        if reply.status != 200:
            raise self.explain(reply)
        return calibrations_of_json(reply.body, name, cal_type, reply.url)

    def _server_type(self, filename: str, cal_type: str) -> str:
        """Translate a calibration type; twilight flats depend on the mode."""
        if cal_type == "twilight":
            frame = _frame(filename)
            reply = self._ask(f"/jsonsummary/canonical/filename={_quoted(frame)}")
            try:
                row = file_row(reply.body, frame, None, reply.url)
            except MissingFileError:
                return "slitillum"
            return "flat" if row.mode == "imaging" else "slitillum"
        return _ALIASES.get(cal_type, cal_type)

    def _ask(self, path: str, **words: Any) -> Response:
        reply = self.http.ask(path, **words)
        if reply.status != 200:
            raise self.explain(reply)
        return reply

    def _cookie(self) -> dict[str, str]:
        with self._lock:
            if not self._is_looked_up:
                found = find_credentials("gemini")
                if found.cookie is not None:
                    self._session = found.cookie
                elif found:
                    self._session = self._log_in(found.user or "", found.password)
                self._is_looked_up = True
        if self._session is None:
            return {}
        return {"Cookie": f"{_COOKIE}={self._session.reveal()}"}

    def _log_in(self, user: str, password: Secret | None) -> Secret:
        http = Http(self.http.name, self.http.base_url)
        http.takes_credentials = self.http.takes_credentials
        form = {"username": user, "password": password.reveal() if password else ""}
        reply = http.ask("/login", method="POST", data=form, is_login=True)
        cookie = reply.cookies.get(_COOKIE)
        if not cookie:
            msg = f"the Gemini archive does not take user {user!r} with this password"
            raise ServiceAccessError(msg)
        return Secret(cookie)


def _frame(name: str) -> str:
    """Return the name by which the archive lists a file."""
    plain = plain_name(name)
    return plain if split_ext(plain)[1] is not None else f"{plain}.fits"


def _quoted(name: str) -> str:
    return quote(name, safe="")
