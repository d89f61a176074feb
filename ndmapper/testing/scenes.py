"""A simulated archive of thousands of headers, with known calibrations."""

from pathlib import Path

from ndmapper.instruments import load
from ndmapper.testing.gmos_archive import GmosScene
from ndmapper.testing.headers import SimulatedArchive
from ndmapper.testing.muse_archive import MuseScene, write_statics

__all__ = ["write_scenes"]


def write_scenes(folder: Path, count: int = 10) -> SimulatedArchive:
    """
    Write headers of GMOS and MUSE, mixed in one folder.

    Parameters
    ----------
    folder : Path
        The folder, which must exist.
    count : int
        Number of targets of each instrument. Each has its calibrations, and frames that
        narrowly fail each rule: 150 files for both instruments together.

    Returns
    -------
    SimulatedArchive
        The content, with the true associations, known by construction.
    """
    archive = SimulatedArchive(folder)
    for number in range(count):
        GmosScene(archive, number).build()
        MuseScene(archive, number).build()
    write_statics(archive, tuple(load("muse").periods))
    return archive
