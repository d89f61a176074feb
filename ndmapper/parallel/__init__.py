"""Running many things: processes, their share of the machine, progress."""

from ndmapper.parallel.cores import count_cores
from ndmapper.parallel.pool import end_workers, map_parallel
from ndmapper.parallel.progress import progress
from ndmapper.parallel.threads import map_threads

__all__ = ["count_cores", "end_workers", "map_parallel", "map_threads", "progress"]
