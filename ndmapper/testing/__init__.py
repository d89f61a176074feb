"""
Helpers for tests of ndmapper, and of packages that extend it.

contracts, engine_contract
    Tests that every service and every engine must pass.
archives/
    Archives on a local server, which can fail on purpose.
fakes, fake_program, fake_iraf_worker
    Fake external programs, which record how they are called.
files, headers, reads
    Small FITS files, header-only files, counted reads.
scenes, gmos_archive, muse_archive
    Simulated archives of headers with known calibrations.
muse_night
    Reductions of MUSE whose recipes are simulated, with records of full size.
"""

from ndmapper.testing.archives import LoopbackArchives
from ndmapper.testing.contracts import ServiceContract
from ndmapper.testing.engine_contract import EngineContract
from ndmapper.testing.fakes import (
    Call,
    Fake,
    FakeRecipe,
    FakeTask,
    fake_command,
    fake_esorex,
    fake_iraf,
)
from ndmapper.testing.files import make_mef, make_raw
from ndmapper.testing.headers import SimulatedArchive, write_headers
from ndmapper.testing.reads import Reads, count_reads
from ndmapper.testing.scenes import write_scenes

__all__ = [
    "Call",
    "EngineContract",
    "Fake",
    "FakeRecipe",
    "FakeTask",
    "LoopbackArchives",
    "Reads",
    "ServiceContract",
    "SimulatedArchive",
    "count_reads",
    "fake_command",
    "fake_esorex",
    "fake_iraf",
    "make_mef",
    "make_raw",
    "write_headers",
    "write_scenes",
]
