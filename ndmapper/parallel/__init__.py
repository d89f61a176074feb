"""
Many calls at the same time: processes, threads, and their share of the machine.

pool, cluster
    Processes of this machine (loky), or workers of a dask scheduler.
worker, gather
    What a worker does with one item; what comes back, in order.
threads, cores, progress
    Threads of this process; how many processors it may use; progress bars.
"""

from ndmapper.parallel.cores import count_cores
from ndmapper.parallel.pool import end_workers, map_parallel
from ndmapper.parallel.progress import progress
from ndmapper.parallel.threads import map_threads

__all__ = ["count_cores", "end_workers", "map_parallel", "map_threads", "progress"]
