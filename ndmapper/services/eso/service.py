"""
The ESO archive: associations by CalSelector, or by its XML files beside the data.

ESO names datasets without file type (``MUSE.2017-06-18T01:02:03.456``); only the
download tells how a file is compressed. Calibration documents have ``NAME.fits``, and
files are decompressed to that unless requested otherwise.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from astropy.table import Table

from ndmapper.calibrations.lookup_result import Answer
from ndmapper.calibrations.names import frame_name
from ndmapper.errors import (
    FileAccessError,
    NdmapperError,
)
from ndmapper.io.filetypes import split_ext
from ndmapper.log import FILE_ONLY
from ndmapper.services.criteria import Criteria
from ndmapper.services.eso.find import find_at_eso
from ndmapper.services.eso.login import EsoLogin
from ndmapper.services.eso.tree import (
    Association,
    parse_association,
    parse_associations,
)
from ndmapper.services.transfer.fetching import Fetcher
from ndmapper.services.transfer.http import Http
from ndmapper.services.transfer.partial import RemoteFile
from ndmapper.services.transfer.response import (
    Response,
    StreamedResponse,
    response_error,
)

__all__ = ["EsoService", "dataset_of"]

log = logging.getLogger(__name__)

_FILES_URL = "https://dataportal.eso.org"
_ARCHIVE_URL = "https://archive.eso.org"
_AT_ONCE = 100
"""Number of datasets in one request."""

_LOGIN_ADVICE = (
    "give NDMAPPER_ESO_USER and NDMAPPER_ESO_PASSWORD, or NDMAPPER_ESO_TOKEN (or the "
    "same in the credentials file, or the keyring)"
)


def dataset_of(filename: str) -> str:
    """Return the ESO dataset name of a file."""
    stem = split_ext(frame_name(filename))[0]
    return re.sub(r"(T\d\d)_(\d\d)_(\d\d)", r"\1:\2:\3", stem)


class EsoService:
    """
    Look up calibrations and download files from the ESO archive.

    Without `ask`, only the association files beside the data are looked into.
    """

    def __init__(
        self,
        files: Sequence[Path] = (),
        dirname: Path | None = None,
        *,
        mode: str = "raw2raw",
        decompress: bool | None = None,
        overwrite: bool = False,
        ask: bool = True,
    ) -> None:
        self.files = files
        self.ask = ask
        self.mode = mode
        self.decompress = decompress
        self.overwrite = overwrite
        self.http = Http("eso", _FILES_URL, auth=EsoLogin())
        self.archive = Http("eso-archive", _ARCHIVE_URL)
        folders = [path.parent for path in files]
        self._folders = list(dict.fromkeys([*folders, *([dirname] if dirname else [])]))
        self._known: dict[str, list[Association]] = {}
        self._asked: set[str] = set()

    def look_up(self, filename: str, cal_type: str) -> Answer:
        """
        Find the frames that calibrate another one.

        Raises ServiceError if ESO cannot be asked.
        """
        dataset = dataset_of(filename)
        for association in self._associations(dataset):
            found = association.find(cal_type)
            if found is not None and found.names:
                names = [f"{name}.fits" for name in found.names]
                log.info("%s: %s is %d files of category %s (ESO)", filename, cal_type,
                         len(names), found.category, extra=FILE_ONLY)  # fmt: skip
                return _answer(association, found, names)
        log.warning("%s: ESO associates no %s", filename, cal_type, extra=FILE_ONLY)
        return Answer(why=f"ESO associates no {cal_type} with {dataset}")

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
        return fetcher.fetch(files, dirname, checksums)

    def find(self, criteria: Criteria) -> Table:
        """Find raw files."""
        return find_at_eso(self.archive, criteria)

    def describe(self, name: str, checksum: str | None = None) -> RemoteFile:
        """Describe a remote file; ESO tells nothing before the download."""
        dataset = dataset_of(name)
        path = f"/dataPortal/file/{quote(dataset, safe=':')}"
        return RemoteFile(path=path, base=dataset)

    def explain(self, answer: StreamedResponse | Response) -> NdmapperError:
        """Build the error for a response with another status than expected."""
        advice = f"ESO gives it only to those who may have it: {_LOGIN_ADVICE}"
        return response_error(answer, lambda: advice)

    def _associations(self, dataset: str) -> list[Association]:
        """Return the nodes of a dataset in known association trees, or its own tree."""
        if dataset not in self._known:
            wanted = {dataset, *(dataset_of(path.name) for path in self.files)}
            for name in sorted(wanted - set(self._known)):
                self._read_beside(name)
        if self.ask and dataset not in self._known and dataset not in self._asked:
            missing = wanted - set(self._known) - self._asked
            # The tree of a target includes the calibrations of its calibrations.
            first = [name for name in sorted(missing) if name != dataset]
            self._ask([dataset, *first])
        return self._known.get(dataset, [])

    def _read_beside(self, dataset: str) -> None:
        for folder in self._folders:
            for stem in (dataset, dataset.replace(":", "_")):
                path = folder / f"{stem}_{self.mode}.xml"
                try:
                    body = path.read_bytes()
                except FileNotFoundError:
                    continue
                except OSError as err:
                    msg = f"{path} cannot be read ({err.strerror})"
                    raise FileAccessError(msg) from err
                log.info("%s: associations from %s", dataset, path)
                self._note([parse_association(body, str(path))])
                return

    def _ask(self, datasets: Sequence[str]) -> None:
        for at in range(0, len(datasets), _AT_ONCE):
            some = datasets[at : at + _AT_ONCE]
            form = [("mode", self.mode), *(("dp_id", name) for name in some)]
            reply = self.archive.ask(
                "/calselector/v1/associations", method="POST", data=form
            )
            if reply.status != 200:
                raise self.explain(reply)
            content_type = reply.headers.get("content-type", "")
            self._asked.update(some)
            self._note(parse_associations(reply.body, content_type, reply.url))

    def _note(self, trees: Iterable[Association]) -> None:
        for tree in trees:
            _report(tree, self.mode)
            for association in tree.walk():
                for name in association.names:
                    self._known.setdefault(name, []).append(association)


def _report(tree: Association, mode: str) -> None:
    """Warn if an association is incomplete or not certified."""
    name = ", ".join(tree.names) or "a dataset"
    if not tree.children:
        log.warning("%s: ESO associates nothing with it; is its type supported?", name)
    if tree.mode and tree.mode.lower() != mode:
        log.warning("%s: ESO answers %s where %s was asked: not all processed "
                    "calibrations exist", name, tree.mode, mode)  # fmt: skip
    for part in tree.walk():
        where = name if part is tree else f"{name}: {part.category}"
        if not part.is_complete:
            log.warning("%s: what ESO associates is not complete", where)
        if not part.is_certified:
            log.warning("%s: ESO has not certified the associations yet", where)
        for message in part.messages:
            log.warning("%s: ESO remarks: %s", where, message)


def _answer(whole: Association, found: Association, names: list[str]) -> Answer:
    """Build the answer, with the quality of the association and ESO's remarks."""
    words = [f"category {found.category}", *(m for m in found.messages if m)]
    quality = 0
    if not (whole.is_certified and found.is_certified):
        words.append("not certified")
        quality = 1
    if not found.is_complete:
        words.append("incomplete")
        quality = 2
    return Answer(
        files=tuple((name, None) for name in names),
        quality=quality,
        why="; ".join(words),
        rules=whole.mode or None,
    )
