"""Helpers for tests of ndmapper, and of what others build on it."""

from ndmapper.testing.archives import LoopbackArchives
from ndmapper.testing.contracts import ServiceContract
from ndmapper.testing.files import make_mef
from ndmapper.testing.reads import Reads, count_reads

__all__ = ["LoopbackArchives", "Reads", "ServiceContract", "count_reads", "make_mef"]
