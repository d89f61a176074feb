"""
Digests of the content of files, without what may differ between equal files.

A digest covers the cards of each header, except the volatile ones (when and by what it
was written), and the data as stored. Compression of the whole file, padding and the
record of the product do not count.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

from ndmapper.config import config
from ndmapper.documents import load_json
from ndmapper.errors import ChecksumError, FormatError, MissingFileError
from ndmapper.io.checksum import Damage, DataSum
from ndmapper.io.filemap import HduMap, map_file, padded
from ndmapper.io.record import EXTNAME, is_record, side_path
from ndmapper.io.sidedata import make_side_folder, read_side_data
from ndmapper.io.source import (
    Source,
    Stamp,
    absolute,
    count_read,
    find_source,
    stamp_of,
)
from ndmapper.io.temporary import staging_name, sweep

__all__ = [
    "VOLATILE",
    "DigestCache",
    "Examined",
    "differences",
    "digest",
    "examine",
    "name_damage",
]

log = logging.getLogger(__name__)

VOLATILE = frozenset(("DATE", "CHECKSUM", "DATASUM", "IRAF-TLM", "PIPEFILE", EXTNAME))
"""Keywords whose cards do not count."""

_CHUNK = 1 << 22
_VERSION = 1
_TICK = 50_000_000
"""Longer than a tick of the clock of file systems, in nanoseconds."""


class Examined(NamedTuple):
    """The digest of a file, and the HDUs whose checksums are wrong."""

    digest: str
    # The HDUs whose data do not have the sum that their header states.
    damaged: tuple[Damage, ...] = ()


def digest(path: str | os.PathLike[str], cache: "DigestCache | None" = None) -> str:
    """Compute the digest of a file."""
    return examine(path, cache).digest


def examine(
    path: str | os.PathLike[str], cache: "DigestCache | None" = None
) -> Examined:
    """Compute the digest of a file and verify its checksums in one pass."""
    if cache is None:
        return _compute(path)
    if (known := cache.get(path)) is None:
        source = find_source(path, strict=False)
        known = _compute(path)
        source.check()
        cache.put(source, known.digest, known.damaged)
    return known


def name_damage(
    path: str | os.PathLike[str], found: Examined, *, checksums: str | None = None
) -> list[str]:
    """
    Report wrong checksums: an error for a product, else as configured.

    Returns what was found, for a warning.
    """
    if not found.damaged:
        return []
    checksums = config["checksums"] if checksums is None else checksums
    wrong = "; ".join(damage.what for damage in found.damaged)
    try:
        is_product = (
            any(map(is_record, map_file(path).hdus)) or side_path(Path(path)).exists()
        )
    except MissingFileError:
        is_product = False
    if is_product:
        msg = (
            f"{path} is damaged, or was changed by a program that left its checksums "
            f"as they were: {wrong}. It is a product, so make it again"
        )
        raise ChecksumError(msg)
    if checksums == "error":
        msg = (
            f"{path} is damaged, or was changed by a program that left its checksums "
            f"as they were: {wrong}. Fetch it again, or set config['checksums']"
        )
        raise ChecksumError(msg)
    return [] if checksums == "ignore" else [damage.what for damage in found.damaged]


def differences(
    first: str | os.PathLike[str], second: str | os.PathLike[str]
) -> list[str]:
    """List how two FITS files differ, the volatile cards left out."""
    ours, theirs = (_counted(map_file(path).hdus) for path in (first, second))
    found = []
    if len(ours) != len(theirs):
        found.append(f"{len(ours)} HDUs and {len(theirs)}")
    for one, other in zip(ours, theirs, strict=False):
        where = f"HDU {one.index} ({one.name or 'no name'})"
        cards, others = list(_cards(one)), list(_cards(other))
        for ours_only, text in ((cards, "first"), (others, "second")):
            rest = others if ours_only is cards else cards
            found += [
                f"{where}: only the {text} has {card.decode('latin-1').rstrip()!r}"
                for card in ours_only
                if card not in rest
            ]
        if cards != others and sorted(cards) == sorted(others):
            found.append(f"{where}: the cards have another order")
        if one.data_size != other.data_size or _data_hash(one) != _data_hash(other):
            found.append(f"{where}: the data differ")
    return found


class DigestCache:
    """
    Digests of files by path, size and times of change, kept in a file.

    It may be deleted at any time, and a folder that cannot be written is no error.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / "digests.json"
        self._known: Mapping[str, Any] | None = None
        self._new: dict[str, Any] = {}
        self.named: set[Path] = set()
        """Damaged files that were reported already."""
        self.references: dict[int, tuple[Any, dict[str, Any]]] = {}
        """Files by their id, and how records refer to them; for all units of a call."""
        self.shortened: dict[int, tuple[Any, dict[str, Any]]] = {}
        """Entries of records by their id, and without what tools printed; likewise."""

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        # Another process reads the file when it needs to.
        return (DigestCache, (self.path.parent,))

    def get(self, path: str | os.PathLike[str]) -> Examined | None:
        """Look up the digest of a file; None if it is not known, or there is none."""
        if self._known is None:
            self._known = self._read()
        name = os.path.abspath(path)  # noqa: PTH100  (resolve() would follow links)
        entry = self._new.get(name) or self._known.get(name)
        # One of three parts is from before checksums were compared; one of four does
        # not tell a file from one that was moved in its place.
        if not isinstance(entry, list) or len(entry) not in (4, 5):
            return None
        try:
            now = os.stat(name)  # noqa: PTH116  (asked for each file of a re-run)
        except (OSError, ValueError):
            return None
        is_same = entry[:2] == [now.st_size, now.st_mtime_ns]
        if is_same and entry[4:] in ([], [now.st_ctime_ns]):
            damaged = tuple(Damage(int(at), str(what)) for at, what in entry[3])
            return Examined(str(entry[2]), damaged)
        return None

    def put(
        self,
        source: Source,
        value: str,
        damaged: Sequence[Damage] = (),
        *,
        ours: bool = False,
    ) -> None:
        """
        Note a digest, which `save` writes.

        That of a file that has just changed is not noted, unless it is ours.
        """
        # Clocks of file systems tick: a file that was written just now could be
        # written once more without a change of its time.
        if ours or abs(time.time_ns() - source.mtime_ns) > _TICK:
            self._new[str(source.path)] = [
                source.size, source.mtime_ns, value, [list(one) for one in damaged],
                source.ctime_ns,
            ]  # fmt: skip

    def save(self) -> None:
        """Write what is new to the cache file, if it can be written."""
        if not self._new:
            return
        from filelock import FileLock  # slow to import, and seldom needed

        temp = staging_name(self.path)
        try:
            make_side_folder(self.path)
            make_side_folder(self.path.with_suffix(".lock"))
            with FileLock(self.path.with_suffix(".lock"), timeout=5):
                # Other processes may have written since.
                known = {**self._read(), **self._new}
                text = json.dumps({"version": _VERSION, "digests": known}, indent=0)
                temp.write_text(text, encoding="utf-8")
                temp.replace(self.path)
                sweep(self.path.parent)
        except OSError as err:  # also where the lock takes too long
            log.debug("%d digests are not remembered: %s", len(self._new), err)
            with contextlib.suppress(OSError):
                temp.unlink(missing_ok=True)
            return
        self._known, self._new = known, {}

    def _read(self) -> Mapping[str, Any]:
        path = absolute(self.path)
        return _read_digests(path, stamp_of(path))


# Each call of a script opens the cache of the same folder (bench_sets.py).
@functools.lru_cache(maxsize=4)
def _read_digests(path: Path, stamp: Stamp | None) -> Mapping[str, Any]:
    """Read a file of digests; empty if there is none, or it is damaged."""
    try:
        content = load_json(read_side_data(path), finite=True)
        if content["version"] == _VERSION:
            return MappingProxyType(dict(content["digests"]))
    except (OSError, ValueError, TypeError, KeyError) as err:
        log.debug("no digests are remembered: %s", err)
    return {}


def _compute(path: str | os.PathLike[str]) -> Examined:
    total = hashlib.sha256()
    try:
        fmap = map_file(path, keep=True)
    except MissingFileError:
        raise
    except FormatError as err:
        if type(err) is not FormatError or Path(path).is_dir():
            raise
        with Path(path).open("rb") as stream:
            for chunk in iter(lambda: stream.read(_CHUNK), b""):
                total.update(chunk)
        return Examined(f"sha256:{total.hexdigest()}")
    damaged = []
    # One look at the file serves all of its HDUs.
    with fmap.source.open() as stream:
        for hdu in _counted(fmap.hdus):
            total.update(b"".join(_cards(hdu)))
            total.update(b"END")
            total.update(hdu.data_size.to_bytes(8, "big"))
            stated = DataSum(hdu)
            for chunk in _chunks(hdu, stream):
                total.update(chunk)
                if stated.is_wanted:
                    stated.add(chunk)
            if stated.is_wanted:
                # Padding, which counts nothing where it is missing.
                stated.add(stream.read(padded(hdu.data_size) - hdu.data_size))
                if (damage := stated.damage()) is not None:
                    damaged.append(damage)
    return Examined(f"sha256:{total.hexdigest()}", tuple(damaged))


def _counted(hdus: tuple[HduMap, ...]) -> list[HduMap]:
    return [hdu for hdu in hdus if not is_record(hdu)]


def _cards(hdu: HduMap) -> Iterator[bytes]:
    raw = hdu.raw  # which may be read from the file each time
    for at in range(0, len(raw), 80):
        card = raw[at : at + 80]
        keyword = card[:8].rstrip().decode("latin-1")
        if keyword == "END" and not card[3:].strip():
            return
        if keyword not in VOLATILE:
            yield card


def _chunks(hdu: HduMap, stream: BinaryIO) -> Iterator[bytes]:
    left = hdu.data_size
    if not left:
        return
    count_read(hdu.source.path, left)
    stream.seek(hdu.data_offset)
    while left:
        chunk = stream.read(min(left, _CHUNK))
        if not chunk:
            size = hdu.data_offset + hdu.data_size
            raise hdu.source.truncated(size, size - left)
        left -= len(chunk)
        yield chunk


def _data_hash(hdu: HduMap) -> bytes:
    total = hashlib.sha256()
    with hdu.source.open() as stream:
        for chunk in _chunks(hdu, stream):
            total.update(chunk)
    return total.digest()
