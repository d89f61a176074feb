"""A night of MUSE: raw frames, static tables, and masters."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ndmapper.lib.simulate.muse.detector import MuseDetector
from ndmapper.lib.simulate.muse.frames import write_frames
from ndmapper.lib.simulate.muse.scene import Scene
from ndmapper.lib.simulate.muse.statics import write_masters, write_statics

__all__ = ["simulate_muse_night"]

_FRAMES = {
    "bias": 3, "dark": 3, "flat": 3, "illum": 1, "skyflat": 3, "std": 1, "sky": 1,
    "object": 2,
}  # fmt: skip


def simulate_muse_night(
    folder: str | PathLike[str],
    *,
    ifus: Sequence[int] = range(1, 25),
    detector: MuseDetector | None = None,
    seed: int = 1,
) -> dict[str, list[Path]]:
    """
    Write what the recipes need to reduce two exposures of a field of stars to a cube.

    Raw frames are in the folder ``raw``, static tables in ``static``, and in
    ``masters`` what muse_wavecal and muse_lsf would make, which do not accept detectors
    with few rows.

    Parameters
    ----------
    folder : str or path
        The folder, which is created if missing.
    ifus : sequence of int
        Numbers of the IFUs, from 1 to 24. Stars are in their part of the field. With
        fewer than 24, recipes for raw frames work on one IFU at a time (``by='ifu'``),
        and muse_twilight needs the first.
    detector : MuseDetector, optional
        Size and properties of the detectors.
    seed : int
        The same seed gives the same frames.

    Returns
    -------
    dict of str to list of Path
        The files by the tag that recipes know them by, from BIAS to LSF_PROFILE.
    """
    root = Path(folder)
    detector = MuseDetector() if detector is None else detector
    frames = write_frames(root / "raw", _FRAMES, Scene(ifus, detector, seed))
    return {
        **{kind.upper(): paths for kind, paths in frames.items()},
        **write_statics(root / "static"),
        **write_masters(root / "masters", ifus, detector.rows),
    }
