"""The service for raw frames in local folders, without network."""

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ndmapper.calibrations.copies import without_copies
from ndmapper.calibrations.folders import check_names
from ndmapper.calibrations.frame_index import FrameIndex
from ndmapper.calibrations.frames import PROCESSED_WHY, Frame, read_frame
from ndmapper.calibrations.lookup_result import Answer
from ndmapper.calibrations.matching import Match, match_frames
from ndmapper.calibrations.names import frame_name, name_variants
from ndmapper.calibrations.products import made_from_bad_frames
from ndmapper.calibrations.scan import find_frames, without_twins
from ndmapper.calibrations.survey import frames_of_survey
from ndmapper.data.fold_names import list_names
from ndmapper.documents import is_file
from ndmapper.errors import MissingFileError, ServiceError
from ndmapper.instruments import load
from ndmapper.log import FILE_ONLY
from ndmapper.services.transfer.checksum import has_checksum

__all__ = ["LocalService"]

log = logging.getLogger(__name__)


class LocalService:
    """Match local raw frames by instrument rules; headers are read lazily."""

    def __init__(
        self,
        files: Sequence[Path] = (),
        dirname: Path | None = None,
        *,
        survey: Any = None,
        instrument: str | os.PathLike[str] | None = None,
        folders: Sequence[Path] = (),
        bad: Mapping[str, str] | None = None,
    ) -> None:
        self.files = files
        self.dirname = dirname
        self.survey = survey
        self.instrument = instrument
        self.folders = folders
        self.bad = bad

    @cached_property
    def frames(self) -> list[Frame]:
        """All raw frames of the folders."""
        folders = self._folders()
        frames: dict[str | Path, Frame] = {}
        if self.survey is not None:
            listed = frames_of_survey(self.survey, folders)
            # It says which frames of its folder count, and nothing of other folders.
            surveyed = {frame.folder.resolve() for frame in listed}
            folders = [f for f in folders if f.resolve() not in surveyed]
            frames = {f.path if f.is_processed else f.name: f for f in listed}
        for folder in folders:
            for frame in find_frames(folder, self.instrument):
                # Names must be unique, or a frame would count twice in a set.
                place = frame.path if frame.is_processed else frame.name
                known = frames.setdefault(place, frame)
                if known is not frame and not frame.is_processed:
                    check_names([known.path, frame.path])
        found = without_copies(without_twins(list(frames.values())))
        _say_processed(found)
        return found

    @cached_property
    def pool(self) -> FrameIndex:
        """Index of the frames."""
        bad = dict(self.bad or {})
        made = [frame.path for frame in self.frames if frame.is_processed]
        return FrameIndex(self.frames, made_from_bad_frames(made, bad) | bad)

    def match(self, filename: str, cal_type: str) -> Match:
        """Find the calibration frames of a file, and why other frames were rejected."""
        return match_frames(self.frame(filename), cal_type, self.pool)

    def frame(self, name: str) -> Frame:
        """Return the frame of a file; raises MissingFileError."""
        found = self.pool.named(frame_name(name))
        if found:
            # Of duplicate files, one has the class.
            return next((f for f in found if f.frame_class is not None), found[0])
        folders = self._folders()
        places = [p for p in self.files if frame_name(p.name) == frame_name(name)]
        places += [d / variant for d in folders for variant in name_variants(name)]
        for path in places:
            if is_file(path):
                instrument = None if self.instrument is None else load(self.instrument)
                return read_frame(path, instrument)
        where = ", ".join(str(folder) for folder in folders)
        msg = (
            f"there is no file {name} in {where}; give its path, or its folder "
            "(dirname)"
        )
        raise MissingFileError(msg)

    def look_up(self, filename: str, cal_type: str) -> Answer:
        """Find the frames that calibrate another one."""
        match = self.match(filename, cal_type)
        used = ", ".join(match.files)
        if not match.files and log.isEnabledFor(logging.WARNING):
            words = "%s: there is no %s: %s"
            log.warning(words, filename, cal_type, match.why, extra=FILE_ONLY)
        elif match.files and match.warning is not None:
            log.warning("%s: %s is %s: %s", filename, cal_type, used, match.warning)
        elif match.files and log.isEnabledFor(logging.INFO):
            words = "%s: %s is %s (%s)"
            log.info(words, filename, cal_type, used, match.why, extra=FILE_ONLY)
        instrument = match.target.instrument
        product = match.product
        return Answer(
            files=() if product else tuple((name, None) for name in match.files),
            product=None if product is None else product.name,
            quality=match.quality,
            why=match.summary,
            rules=None if instrument is None else instrument.name,
            source="local",
            paths=tuple(frame.path for frame in match.used),
            is_made=product is not None,
            is_raw=match.rule is not None and match.rule.raw,
        )

    def fetch(
        self, files: Sequence[str], dirname: Path, checksums: Mapping[str, str]
    ) -> list[Path]:
        """Check that files exist and have their checksums; all failures are named."""
        paths = [dirname / name for name in files]
        missing = [path for path in paths if not is_file(path)]
        if missing:
            shown = ", ".join(_hinted(path) for path in missing)
            msg = (
                f"{len(missing)} of {len(paths)} files are missing: {shown}; the "
                "service 'local' downloads nothing, so put them there or name their "
                "folder with dirname="
            )
            raise MissingFileError(msg)
        damaged = [
            path
            for name, path in zip(files, paths, strict=True)
            if name in checksums and not has_checksum(path, checksums[name])
        ]
        if damaged:
            shown = ", ".join(str(path) for path in damaged)
            msg = (
                f"{len(damaged)} of {len(paths)} files do not have the checksum that "
                f"the calibration document gives: {shown}; get them anew, or correct "
                "the document"
            )
            raise ServiceError(msg)
        return paths

    def _folders(self) -> list[Path]:
        places = [self.dirname] if self.dirname is not None else []
        if not places and not self.folders:
            places = [path.parent for path in self.files] or [Path()]
        return list(dict.fromkeys([*places, *self.folders]))


def _say_processed(frames: Sequence[Frame]) -> None:
    """Log which frames are excluded since they are processed."""
    names = [f.name for f in frames if f.frame_class is None and PROCESSED_WHY in f.why]
    if names:
        _say_once(
            "combined or processed already, and kept out of sets of raw frames: "
            f"{list_names(names)}",
            frames[0].path.absolute().parent,
        )


@functools.cache
def _say_once(message: str, folder: Path) -> None:
    # Every look-up scans the folder anew.
    log.info("%s", message)


def _hinted(path: Path) -> str:
    for variant in name_variants(path.name):
        if is_file(path.with_name(variant)):
            return f"{path} (but there is {variant})"
    return str(path)
