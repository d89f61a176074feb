"""Running many things: progress on a terminal."""

from ndmapper.parallel.progress import progress

__all__ = ["progress"]
