"""How many processors this process may use."""

import multiprocessing
import os
from functools import cache

__all__ = ["IN_WORKER", "count_cores", "count_threads", "resolve_workers"]

IN_WORKER = "NDMAPPER_IN_WORKER"
"""Environment variable that tells a process that it is a worker."""


def count_cores() -> int:
    """
    Count the processors that this process may use.

    Returns
    -------
    int
        The least of what the affinity of the process, its control group and SLURM
        grant.
    """
    from loky import cpu_count  # takes longer to import than a script should wait

    granted = [int(cpu_count())]
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        if os.environ.get(name, "").isdecimal():
            granted.append(int(os.environ[name]))
            break
    return max(1, min(granted))


@cache
def count_threads() -> int:
    """Count the threads that this process may use."""
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else count_cores()


def resolve_workers(workers: int | str) -> int:
    """Convert the option `workers`, which may be 'all', to a number of processes."""
    is_number = isinstance(workers, int) and not isinstance(workers, bool)
    if workers != "all" and not (is_number and int(workers) > 0):
        msg = f"workers must be 'all' or a number from 1 on, not {workers!r}"
        raise ValueError(msg)
    # A process of multiprocessing.Pool may have no children.
    if os.environ.get(IN_WORKER) or multiprocessing.current_process().daemon:
        return 1
    return count_cores() if workers == "all" else int(workers)
