"""Archives on loopback: a real server that speaks their shapes, and fails as told."""

from ndmapper.testing.archives.server import LoopbackArchives

__all__ = ["LoopbackArchives"]
