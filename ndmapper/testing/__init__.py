"""Helpers for tests of ndmapper, and of what others build on it."""

from ndmapper.testing.files import make_mef
from ndmapper.testing.headers import SimulatedArchive, write_headers
from ndmapper.testing.reads import Reads, count_reads
from ndmapper.testing.scenes import write_scenes

__all__ = [
    "Reads",
    "SimulatedArchive",
    "count_reads",
    "make_mef",
    "write_headers",
    "write_scenes",
]
