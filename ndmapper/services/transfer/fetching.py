"""Download many files: existing ones are kept, the others come in parallel."""

import logging
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ndmapper.calibrations.names import name_variants, plain_name
from ndmapper.config import config
from ndmapper.errors import (
    FormatError,
    MissingFileError,
    NdmapperError,
    ParameterError,
    ServiceAccessError,
    ServiceError,
    ServiceUnreachableError,
)
from ndmapper.io.filemap import map_file
from ndmapper.io.filetypes import FITS_TYPES, is_fits, split_ext
from ndmapper.io.source import check_name
from ndmapper.io.write import clear_write_errors
from ndmapper.services.safename import safe_name
from ndmapper.services.threads import in_threads
from ndmapper.services.transfer.checksum import has_checksum
from ndmapper.services.transfer.http import Http
from ndmapper.services.transfer.manifest import (
    file_digest,
    find_note,
    locked,
    write_note,
)
from ndmapper.services.transfer.partial import RemoteFile
from ndmapper.services.transfer.progressbar import ByteBar
from ndmapper.services.transfer.response import NoConnectionError, StreamedResponse
from ndmapper.services.transfer.transfer import Transfer

__all__ = ["Fetcher", "target_name"]

log = logging.getLogger(__name__)


def target_name(asked: str, stored: str | None, decompress: bool | None) -> str:
    """
    Return the local name of a file.

    Raises ServiceError if a compression is requested that the archive does not have.
    """
    if decompress is False:
        return stored or asked
    if decompress:
        name = plain_name(stored or asked)
        return name if split_ext(name)[1] is not None else f"{name}.fits"
    if split_ext(asked)[1] is None:
        return stored or asked
    if stored is not None and asked not in {stored, plain_name(stored)} and (
        plain_name(asked) != asked
    ):  # fmt: skip
        msg = (
            f"the archive has {stored}, not {asked}; ask for that, or for "
            f"{plain_name(asked)}"
        )
        raise ServiceError(msg)
    return asked


@dataclass
class Fetcher:
    """Download the files of one archive."""

    # The archive.
    http: Http
    # Describes a remote file, given its name and the checksum in a document.
    describe: Callable[[str, str | None], RemoteFile]
    # Builds the error for an unexpected response.
    explain: Callable[[StreamedResponse], NdmapperError]
    # See `target_name`.
    decompress: bool | None = None
    # Whether files that differ from those of the archive are replaced.
    overwrite: bool = False
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _bar: ByteBar | None = field(default=None, init=False)
    _unreachable: list[ServiceUnreachableError] = field(
        default_factory=list, init=False
    )

    def fetch(
        self, names: Sequence[str], folder: Path, checksums: Mapping[str, str]
    ) -> list[Path]:
        """
        Download files that are not in a folder.

        Raises one error that names all failed files; the others are in the folder.
        """
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            _check_asked(name)
        paths: dict[str, Path] = {}
        failed: dict[str, NdmapperError] = {}
        for name in wanted:
            found = self.verified(name, folder, checksums.get(name))
            if found is not None:
                paths[name] = found
        missing = [name for name in wanted if name not in paths]
        if missing:
            check_name(folder)
            with clear_write_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            self._fetch_all(missing, folder, checksums, paths, failed)
        if failed:
            ordered = {name: failed[name] for name in wanted if name in failed}
            raise _summary(ordered, len(wanted), folder)
        return [paths[name] for name in names]

    def _fetch_all(
        self,
        missing: Sequence[str],
        folder: Path,
        checksums: Mapping[str, str],
        paths: dict[str, Path],
        failed: dict[str, NdmapperError],
    ) -> None:
        self._stop.clear()
        self._unreachable.clear()
        self.http.backoff = replace(self.http.backoff, stop=self._stop)
        jobs = {
            name: partial(self._one, name, folder, checksums.get(name))
            for name in missing
        }
        count = int(config["archive_transfers"])
        with ByteBar(f"from {self.http.name}") as self._bar:
            for name, found in in_threads(jobs, count, self._stop):
                if isinstance(found, NdmapperError):
                    failed[name] = found
                elif isinstance(found, BaseException):
                    raise found
                else:
                    paths[name] = found

    def _one(self, name: str, folder: Path, checksum: str | None) -> Path:
        if self._unreachable:
            raise self._unreachable[0]
        try:
            with locked(folder, _lock_name(name)):
                # Another process may have downloaded it meanwhile.
                found = self.verified(name, folder, checksum)
                return found or self._get(name, folder, checksum)
        except NoConnectionError as err:
            self._unreachable.append(err)
            raise

    def _get(self, name: str, folder: Path, checksum: str | None) -> Path:
        here = self._here(name, folder)
        try:
            remote = self.describe(name, checksum)
        except ServiceUnreachableError:
            if here is not None and _is_whole(here) and find_note(here) is None:
                log.warning(
                    "%s is there and whole; the archive cannot be asked whether it is "
                    "the same", here,
                )  # fmt: skip
                return here
            raise
        self._check_document(name, checksum, remote)
        if here is not None:
            if self._is_same(here, remote):
                if checksum is not None and not (
                    _is_vouched(checksum, remote) or has_checksum(here, checksum)
                ):
                    raise ServiceError(_unlike_document(here.name, checksum))
                return here
            if not self.overwrite and _is_whole(here):
                msg = (
                    f"{here} is not what the archive has; move it away, or replace it "
                    "with overwrite=True"
                )
                raise ServiceError(msg)
        return self.transfer(name, remote, folder, checksum).run()

    def transfer(
        self, name: str, remote: RemoteFile, folder: Path, checksum: str | None
    ) -> Transfer:
        """Prepare the download of one file."""
        return Transfer(
            http=self.http,
            remote=remote,
            folder=folder,
            name_target=lambda stored: target_name(name, stored, self.decompress),
            explain=self.explain,
            known=None if _is_vouched(checksum, remote) else checksum,
            stop=self._stop,
            bar=self._bar,
        )

    def verified(self, name: str, folder: Path, checksum: str | None) -> Path | None:
        """Return an existing file with the right checksum, without network, or None."""
        path = self._here(name, folder)
        if path is None:
            return None
        note = find_note(path)
        if note is not None:
            fits = checksum is None or note.knows(checksum)
            # A document may have another type of checksum.
            fits = fits or has_checksum(path, str(checksum))
            if fits and (note.is_of(path) or file_digest(path) == note.md5):
                return path
            return None
        if checksum is not None and has_checksum(path, checksum):
            _remember(path, (checksum,), "was there already")
            return path
        return None

    def _here(self, name: str, folder: Path) -> Path | None:
        if self.decompress is None and split_ext(name)[1] is not None:
            names = [name]
        else:
            stems = [name] if split_ext(name)[1] is not None else [
                name, *(f"{name}.{ext}" for ext in (*FITS_TYPES, "tar", "xml", "txt"))
            ]  # fmt: skip
            if self.decompress:
                names = [plain_name(stem) for stem in stems]
            else:
                names = [variant for stem in stems for variant in name_variants(stem)]
        return next((folder / n for n in names if (folder / n).is_file()), None)

    def _is_same(self, path: Path, remote: RemoteFile) -> bool:
        digest = file_digest(path)
        fits = digest in remote.published or any(
            has_checksum(path, checksum) for checksum in remote.published
        )
        if not remote.published and remote.size is None:
            # The archive publishes no checksum.
            fits = _is_whole(path) and find_note(path) is None
        if fits:
            _remember(path, remote.published, "was there already")
        return fits

    def _check_document(
        self, name: str, checksum: str | None, remote: RemoteFile
    ) -> None:
        if checksum is None or not remote.published:
            return
        digits = checksum.strip().lower().rpartition(":")[2]
        if len(digits) == 32 and digits not in remote.published:
            msg = (
                f"the calibration document gives {name} the checksum {checksum}, but "
                f"the archive has {' or '.join(remote.published)}; it was replaced "
                "there since: correct the checksum in the document, or delete it there"
            )
            raise ServiceError(msg)


def _is_vouched(checksum: str | None, remote: RemoteFile) -> bool:
    """Whether the checksum of a document is one that the archive publishes."""
    if checksum is None:
        return True
    return checksum.strip().lower().rpartition(":")[2] in remote.published


def _unlike_document(name: str, checksum: str) -> str:
    return (
        f"the calibration document gives {name} the checksum {checksum}, but it is the "
        "file of the archive, which has another one; correct the document"
    )


def _lock_name(name: str) -> str:
    """Map a file to one of a few lock files: these cannot be removed safely."""
    return f"download-{zlib.crc32(plain_name(name).encode()) % 64:02d}"


def _check_asked(name: str) -> None:
    try:
        safe_name(name, "the script")
    except ServiceError:
        msg = (
            f"an archive has no file {name!r}: give names without folder, and the "
            "folder as dirname"
        )
        raise ParameterError(msg) from None


def _remember(path: Path, published: tuple[str, ...], source: str) -> None:
    digits = tuple(p for p in published if len(p.rpartition(":")[2]) == 32)
    write_note(path, file_digest(path), digits, source)


def _is_whole(path: Path) -> bool:
    if not is_fits(split_ext(path.name)[1]):
        return True
    try:
        map_file(path)
    except FormatError:
        return False
    return True


def _summary(
    failed: Mapping[str, NdmapperError], count: int, folder: Path
) -> NdmapperError:
    """Combine several errors into one, with all reasons."""
    reasons: dict[str, list[str]] = {}
    for name, err in failed.items():
        reasons.setdefault(str(err), []).append(name)
    shown = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
    rest = count - len(failed)
    kept = f" (the other {rest} in {folder})" if rest else ""
    msg = f"{len(failed)} of {count} files could not be got{kept}: {shown}"
    for kind in (MissingFileError, ServiceAccessError, ServiceUnreachableError):
        if all(isinstance(err, kind) for err in failed.values()):
            return kind(msg)
    return ServiceError(msg)
