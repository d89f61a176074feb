"""How many units of work are done at once."""

import os
import re
from typing import Any

from ndmapper.errors import ConfigError
from ndmapper.parallel.cores import resolve_workers
from ndmapper.steps.call.plan import Plan

__all__ = ["count_workers", "parse_memory"]

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


def count_workers(plan: Plan) -> int:
    """
    Decide how many units of a plan are done at once.

    Parameters
    ----------
    plan : Plan
        The plan.

    Returns
    -------
    int
        What the configuration says, but one where the user is asked something, and no
        more than fit into memory, where the step declares how much a unit needs
        (``options={'memory': '4 GB'}``).
    """
    declaration, settings = plan.declaration, plan.settings
    if settings["interact"]:
        return 1
    workers = resolve_workers(settings["workers"])
    memory = declaration.options.get("memory")
    if memory is not None and workers > 1:
        workers = max(1, min(workers, int(_available() // parse_memory(memory))))
    return workers


def parse_memory(value: Any) -> float:
    """
    Read an amount of memory.

    Parameters
    ----------
    value : float or str
        Bytes, or for instance ``'4 GB'``.

    Returns
    -------
    float
        Bytes.

    Raises
    ------
    ConfigError
        If it is something else.
    """
    match = re.fullmatch(
        r"\s*([\d.]+(?:e\+?\d+)?)\s*([kmgt]?)b?\s*", str(value).lower()
    )
    try:
        if match and (amount := float(match[1]) * _UNITS[match[2]]) > 0:
            return amount
    except ValueError:
        pass
    msg = f"memory must be a number of bytes, or for instance '4 GB', not {value!r}"
    raise ConfigError(msg)


def _available() -> float:
    """Memory that this process may take: the machine's, and its control group's."""
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
