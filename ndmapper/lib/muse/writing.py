"""Writing the calibration files of many IFUs: a file for each, or one for all."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ndmapper.errors import MissingFileError, OutputExistsError
from ndmapper.io.headers import Header, card_bytes
from ndmapper.io.temporary import staging_mark, sweep
from ndmapper.io.write import clear_write_errors, publish
from ndmapper.lib.muse.calibfile import CalibFile
from ndmapper.lib.muse.ifus import find_files, ifu_name
from ndmapper.parallel import map_parallel

__all__ = ["check_targets", "write_files"]

_COMMENTARY = ("COMMENT", "HISTORY", "")
_NAMES = ("EXTNAME", "CHECKSUM", "DATASUM", *_COMMENTARY)
"""Keywords of a primary header that say nothing of the IFU when files are merged."""


@dataclass(frozen=True)
class _Job:
    """One IFU that a worker writes."""

    ifu: int
    file: CalibFile
    path: Path


def check_targets(
    kind: str, folder: Path, names: Mapping[int, str], *, overwrite: bool
) -> None:
    """Refuse to write where files of the type exist that would not be replaced."""
    try:
        there = {path.name for path in find_files(kind, folder)}
    except MissingFileError:
        return
    for found, advice in (
        (there - set(names.values()), "delete them"),
        (set() if overwrite else there, "pass overwrite=True to replace them"),
    ):
        if found:
            listed = ", ".join(sorted(found)[:3]) + (", ..." if len(found) > 3 else "")
            msg = (
                f"{folder} has {listed} already, which would be mixed up with what is "
                f"written; {advice}, or choose another folder"
            )
            raise OutputExistsError(msg)


def write_files(
    files: Mapping[int, CalibFile],
    folder: Path,
    names: Mapping[int, str],
    *,
    workers: int | str,
    title: str | None,
) -> None:
    """
    Write one file for each IFU, or all into one where they have one name.

    Nothing is in the folder under its name before all are complete.
    """
    with clear_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        staging = folder / staging_mark()
        staging.mkdir()
    sweep(folder)
    try:
        merged = len(set(names.values())) == 1 < len(names)
        jobs = [
            _Job(ifu, file, staging / (f"{ifu:02d}.fits" if merged else names[ifu]))
            for ifu, file in files.items()
        ]
        map_parallel(_write_one, jobs, workers=workers, title=title)
        written = [job.path for job in jobs]
        if merged:
            written = [staging / next(iter(names.values()))]
            _merge({job.ifu: CalibFile(job.path) for job in jobs}, written[0])
        for path in written:
            publish(path, folder / path.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_one(job: _Job) -> None:
    file = job.file.copy()
    if file.ifu != job.ifu:
        file.meta["EXTNAME"] = ifu_name(job.ifu)
    for ndd in file:
        # In a file of its own an IFU is named by the primary header alone.
        if isinstance(ndd.ident, str):
            ndd.ident = 1
            file.meta["EXTNAME"] = ifu_name(job.ifu)
    file.save(job.path)


def _merge(files: Mapping[int, CalibFile], path: Path) -> None:
    """Put files together; cards that not all of them have go to their extensions."""
    cards = {ifu: list(file.meta.cards) for ifu, file in files.items()}
    written = {ifu: {card_bytes(card) for card in cards[ifu]} for ifu in files}
    shared = set.intersection(*written.values())
    common = Header()
    for card in next(iter(cards.values())):
        if card.keyword in _COMMENTARY or card_bytes(card) in shared:
            common.append(card, end=True)
    merged = CalibFile(path, data=[], meta=common, mode="new")
    for ifu, file in files.items():
        for ndd in file:
            new = ndd.copy()
            new.ident = ifu_name(ifu)
            for card in cards[ifu]:
                alone = card_bytes(card) not in shared and card.keyword not in _NAMES
                if alone and card.keyword not in new.meta:
                    new.meta.append(card, end=True)
            merged.append(new)
    merged.save()
