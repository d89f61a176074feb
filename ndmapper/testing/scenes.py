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
        Where they go; it must exist.
    count : int
        How many targets of each instrument. Each comes with its calibrations, and
        with frames that miss each rule by a little: 150 files of both together.

    Returns
    -------
    SimulatedArchive
        What is there, and what is right: by construction, not by the rules.
    """
    archive = SimulatedArchive(folder)
    for number in range(count):
        GmosScene(archive, number).build()
        MuseScene(archive, number).build()
    write_statics(archive, tuple(load("muse").periods))
    return archive
