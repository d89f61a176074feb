"""Helpers for tests of ndmapper, and of what others build on it."""

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
from ndmapper.testing.files import make_mef
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
    "write_headers",
    "write_scenes",
]
