"""Frames: what the headers of raw files say, in the words of their instrument."""

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ndmapper.calibrations.names import frame_name
from ndmapper.errors import FileAccessError, MissingFileError, NdmapperError
from ndmapper.instruments import Instrument, load, recognise
from ndmapper.instruments.conditions import Value
from ndmapper.io import record
from ndmapper.io.filemap import map_file
from ndmapper.io.filetypes import is_compressed, is_fits, split_ext

__all__ = ["Frame", "find_frames", "fits_files", "read_frame"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """
    A raw frame, without its pixels.

    Parameters
    ----------
    path : Path
        Its file.
    instrument : Instrument or None
        Its instrument; None where that is not known.
    frame_class : str or None
        What it is, such as ``"bias"``; None where that is not known.
    why : str
        What speaks for the class, or why there is none.
    values : mapping
        Its descriptors.
    readable : bool
        Whether its file could be read as FITS.
    """

    path: Path
    instrument: Instrument | None
    frame_class: str | None
    why: str
    values: Mapping[str, Value]
    readable: bool = True

    @property
    def name(self) -> str:
        """File name without its folder."""
        return self.path.name


def read_frame(path: Path, instrument: Instrument | None = None) -> Frame:
    """
    Classify a raw frame by its headers.

    Parameters
    ----------
    path : Path
        The file.
    instrument : Instrument, optional
        Its instrument; by default the headers tell.

    Returns
    -------
    Frame
        Without a class where the file cannot be read as FITS, is a product of
        ndmapper, is of no known instrument, or fits no class.

    Raises
    ------
    MissingFileError
        If there is no such file.
    """
    try:
        hdus = map_file(path).hdus
    except MissingFileError:
        raise
    except NdmapperError as err:
        why = f"cannot be read: {err}"
        return Frame(
            path=path,
            instrument=None,
            frame_class=None,
            why=why,
            values={},
            readable=False,
        )
    primary = hdus[0].header
    images = (hdu.header for hdu in hdus[1:] if hdu.is_image)
    extension = None if hdus[0].shape else next(images, None)
    known = instrument or recognise(primary)
    if known is None:
        frame_class, why = None, "of no known instrument; name it with instrument="
    elif any(hdu.name == record.EXTNAME for hdu in hdus):
        # Its header still says what its first raw frame was.
        frame_class, why = None, "a product of ndmapper, not a raw frame"
    else:
        frame_class, why = known.classify(primary, extension)
    values = known.describe(primary, extension) if known else {}
    return Frame(
        path=path, instrument=known, frame_class=frame_class, why=why, values=values
    )


def find_frames(
    folder: str | os.PathLike[str],
    instrument: Instrument | str | os.PathLike[str] | None = None,
) -> list[Frame]:
    """
    Classify all FITS files of a folder.

    Parameters
    ----------
    folder : str or path
        The folder; those in it are not searched.
    instrument : Instrument, str or path, optional
        The instrument, its name or the path of its TOML; by default the header of
        each frame tells.

    Returns
    -------
    list of Frame
        Sorted by name. Of a frame that is there twice, compressed and not, only one
        has a class: the plain file, unless that cannot be read.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    FileAccessError
        If the folder cannot be read.
    """
    if instrument is not None and not isinstance(instrument, Instrument):
        instrument = load(instrument)
    frames = [read_frame(path, instrument) for path in fits_files(Path(folder))]
    return _without_twins(frames)


def fits_files(folder: Path) -> list[Path]:
    """
    List the FITS files of a folder.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    list of Path
        Sorted by name; hidden files are left out.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    FileAccessError
        If the folder cannot be read.
    """
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as err:
        msg = f"there is no folder {folder}; name the one that the raw frames are in"
        raise MissingFileError(msg) from err
    except OSError as err:
        msg = f"the folder {folder} cannot be read ({err.strerror})"
        raise FileAccessError(msg) from err
    return [
        path
        for path in paths
        if is_fits(split_ext(path.name)[1])
        and not path.name.startswith(".")
        and path.is_file()
    ]


def _without_twins(frames: Sequence[Frame]) -> list[Frame]:
    # Both would end up in one set, and count twice.
    best: dict[str, Frame] = {}
    for frame in sorted(frames, key=_drawback):
        best.setdefault(frame_name(frame.name), frame)
    result = []
    for frame in frames:
        twin = best[frame_name(frame.name)]
        if twin is frame:
            result.append(frame)
        elif twin.readable and not frame.readable:
            _warn_once(f"{twin.path} is used, since {frame.name} {frame.why}")
            result.append(frame)
        else:
            why = f"the same frame as {twin.name}"
            result.append(replace(frame, frame_class=None, why=why))
    return result


@functools.cache
def _warn_once(message: str) -> None:
    # A script surveys a folder, and the look-up does so again.
    log.warning(message)


def _drawback(frame: Frame) -> tuple[bool, bool]:
    """Sort what can be read before what cannot, and plain files before compressed."""
    return not frame.readable, is_compressed(split_ext(frame.name)[1])
