"""How many processors this process may use."""

import multiprocessing
import os
import re
from functools import cache
from typing import Any

from ndmapper.errors import ConfigError

__all__ = [
    "IN_WORKER",
    "count_cores",
    "count_threads",
    "limit_by_memory",
    "parse_memory",
    "resolve_workers",
]

_BYTES = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}

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


def limit_by_memory(workers: int, each: float | str | None) -> int:
    """Limit the number of workers to those that fit into memory, if they say theirs."""
    if each is None or workers < 2:
        return workers
    return max(1, min(workers, int(_available() // parse_memory(each))))


def parse_memory(value: Any) -> float:
    """
    Read an amount of memory: a number of bytes, or for instance ``'4 GB'``.

    Raises
    ------
    ConfigError
        If it is something else.
    """
    match = re.fullmatch(
        r"\s*([\d.]+(?:e\+?\d+)?)\s*([kmgt]?)b?\s*", str(value).lower()
    )
    try:
        if match and (amount := float(match[1]) * _BYTES[match[2]]) > 0:
            return amount
    except ValueError:
        pass
    msg = f"memory must be a number of bytes, or for instance '4 GB', not {value!r}"
    raise ConfigError(msg)


def _available() -> float:
    """Give the memory of the machine, or what the control group grants of it."""
    granted = [float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))]
    for path in (
        "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ):  # fmt: skip
        try:
            with open(path, encoding="ascii") as stream:  # noqa: PTH123
                granted.append(float(stream.read()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return min(granted)
