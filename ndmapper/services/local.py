"""The service that needs no network: raw frames in folders of this machine."""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ndmapper.calibrations.frames import Frame, read_frame
from ndmapper.calibrations.matching import match_frames
from ndmapper.calibrations.names import frame_name, name_variants
from ndmapper.calibrations.scan import find_frames
from ndmapper.calibrations.survey import frames_of_survey
from ndmapper.errors import MissingFileError, ServiceError
from ndmapper.instruments import load
from ndmapper.services.checksum import has_checksum

__all__ = ["LocalService"]

log = logging.getLogger(__name__)


class LocalService:
    """
    Match raw frames by the rules of their instrument; nothing is read until asked.

    Parameters
    ----------
    files : sequence of Path
        The files whose calibrations are looked up.
    dirname : Path, optional
        Folder of the raw frames; by default those of the files.
    survey : Table, str or path, optional
        A survey whose classes are used, and whose frames are all that there are.
    instrument : str or path, optional
        The instrument; by default the headers tell.
    """

    def __init__(
        self,
        files: Sequence[Path] = (),
        dirname: Path | None = None,
        survey: Any = None,
        instrument: str | os.PathLike[str] | None = None,
    ) -> None:
        self.files = files
        self.dirname = dirname
        self.survey = survey
        self.instrument = instrument

    @cached_property
    def frames(self) -> list[Frame]:
        """All raw frames that there are."""
        folders = self._folders()
        if self.survey is not None:
            return frames_of_survey(self.survey, folders)
        frames: dict[str, Frame] = {}
        for folder in folders:
            for frame in find_frames(folder, self.instrument):
                # One name is one frame, or it would count twice in a set.
                frames.setdefault(frame.name, frame)
        return list(frames.values())

    def frame(self, name: str) -> Frame:
        """
        Describe one frame.

        Parameters
        ----------
        name : str
            Its name, without folder.

        Returns
        -------
        Frame
            The frame, as the survey has it where there is one.

        Raises
        ------
        MissingFileError
            If there is no such file.
        """
        found = [f for f in self.frames if frame_name(f.name) == frame_name(name)]
        if found:
            # Of a frame that is there twice, one has the class.
            return next((f for f in found if f.frame_class is not None), found[0])
        folders = self._folders()
        places = [p for p in self.files if frame_name(p.name) == frame_name(name)]
        places += [d / variant for d in folders for variant in name_variants(name)]
        for path in places:
            if path.is_file():
                instrument = None if self.instrument is None else load(self.instrument)
                return read_frame(path, instrument)
        where = ", ".join(str(folder) for folder in folders)
        msg = f"there is no file {name} in {where}; name its folder with dirname="
        raise MissingFileError(msg)

    def look_up(self, filename: str, cal_type: str) -> list[str]:
        """
        Find the frames that calibrate another one.

        Parameters
        ----------
        filename : str
            Name of the frame, without folder.
        cal_type : str
            Type of calibration.

        Returns
        -------
        list of str
            Their names, sorted; empty where none fit. The log says why.
        """
        match = match_frames(self.frame(filename), cal_type, self.frames)
        if match.files:
            used = ", ".join(match.files)
            log.info("%s: %s is %s (%s)", filename, cal_type, used, match.why)
        else:
            log.warning("%s: there is no %s: %s", filename, cal_type, match.why)
        return list(match.files)

    def fetch(
        self, files: Sequence[str], dirname: Path, checksums: Mapping[str, str]
    ) -> list[Path]:
        """
        Check that files are where they should be.

        Parameters
        ----------
        files : sequence of str
            Their names.
        dirname : Path
            The folder.
        checksums : mapping of str to str
            Those that are known.

        Returns
        -------
        list of Path
            In the order of `files`.

        Raises
        ------
        MissingFileError
            If some are not there; all are named.
        ServiceError
            If some do not have their checksum; all are named.
        """
        paths = [dirname / name for name in files]
        missing = [path for path in paths if not path.is_file()]
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
        if self.dirname is not None:
            return [self.dirname]
        return list(dict.fromkeys(path.parent for path in self.files)) or [Path()]


def _hinted(path: Path) -> str:
    for variant in name_variants(path.name):
        if path.with_name(variant).is_file():
            return f"{path} (but there is {variant})"
    return str(path)
