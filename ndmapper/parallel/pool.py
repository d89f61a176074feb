"""Calls in parallel, by processes that never import the user's script."""

import contextlib
import gc
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, as_completed
from multiprocessing import util
from typing import Any, TypeVar

from ndmapper.parallel.cores import IN_WORKER, count_cores, resolve_workers
from ndmapper.parallel.gather import gather
from ndmapper.parallel.progress import progress
from ndmapper.parallel.worker import Surroundings, carry_out, start_worker

__all__ = ["end_workers", "map_parallel"]

_started: "dict[Any, int]" = {}
"""Executors, and the process that started each."""

T = TypeVar("T")
R = TypeVar("R")

IDLE = 60
"""Workers without work end after this time [s]; until then the next call has them."""

_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip


def map_parallel(
    func: Callable[[T], R],
    items: Iterable[T],
    workers: int | str = 1,
    title: str | None = "",
    *,
    cluster: Any = None,
    notify: Callable[[int, R], None] | None = None,
) -> list[R]:
    """
    Call a function with each of many items, several of them at once.

    Parameters
    ----------
    func : callable
        Takes one item. It may be a lambda, a closure, or a function of a script.
    items : iterable
        The items. They, and the results, travel between processes: give names or
        unmodified files rather than pixels.
    workers : int or 'all'
        How many processes; 1 works in this one. 'all' means one for each processor.
        The threads of a process are its share of the processors.
    title : str or None
        Words before the progress bar, which a terminal shows; None shows no bar.
    cluster : str or distributed.Client, optional
        A dask scheduler, or its address, whose workers do the work in place of
        processes of this machine. They must see the same files.
    notify : callable, optional
        Called with position and result of an item as soon as it is done.

    Returns
    -------
    list
        The results in the order of the items.

    Raises
    ------
    WorkerError
        If a process ended by itself, or an error cannot travel between processes.
    Exception
        The error of the first item, in their order, that failed. Items that had not
        begun are not done then.

    Notes
    -----
    Working folder, configuration and log are those of this process: a call gives the
    same with any number of workers.
    """
    items = list(items)
    if cluster is not None and items and not os.environ.get(IN_WORKER):
        from ndmapper.parallel.cluster import map_cluster

        return map_cluster(func, items, cluster, title, notify)
    count = min(resolve_workers(workers), len(items))
    if count < 2:
        results = []
        shown = progress(items, title) if len(items) > 1 else items
        for position, item in enumerate(shown):
            results.append(func(item))
            if notify is not None:
                notify(position, results[-1])
        return results
    from loky.process_executor import BrokenProcessPool

    executor = _executor(count)
    call = Surroundings.here().pack(func)
    futures: list[Future[Any]] = []
    try:
        futures = [executor.submit(carry_out, call, item) for item in items]
        return gather(
            futures,
            as_completed(futures),
            title,
            notify,
            died=BrokenProcessPool,
            why_died=_why_died,
            cancel=_cancel,
        )
    except KeyboardInterrupt:
        # A user who interrupts expects that nothing goes on.
        with contextlib.suppress(Exception):
            executor.shutdown(wait=False, kill_workers=True)
        raise
    finally:
        _cancel(futures)


def _executor(count: int) -> Any:
    from loky import get_reusable_executor  # many scripts never need it

    _leave_workers_of_parent()
    if not _started:
        # A process of multiprocessing waits for its children before it runs atexit.
        util.Finalize(None, end_workers, exitpriority=100)
    threads = str(max(1, count_cores() // count))
    executor = get_reusable_executor(
        max_workers=count,
        timeout=IDLE,
        initializer=start_worker,
        env=dict.fromkeys(_THREADS, threads) | {IN_WORKER: "1"},
    )
    _started.setdefault(executor, os.getpid())
    return executor


def _leave_workers_of_parent() -> None:
    """Forget the workers of the process that this one was forked from."""
    for executor in [e for e, pid in _started.items() if pid != os.getpid()]:
        del _started[executor]
        with contextlib.suppress(Exception):
            executor.shutdown(wait=False)  # in this process: the workers are not told


def end_workers() -> None:
    """End all workers of this process, if there are any."""
    _leave_workers_of_parent()
    while _started:
        with contextlib.suppress(Exception):
            _started.popitem()[0].shutdown(wait=True, kill_workers=True)
    gc.collect()  # semaphores of the system go with their owners


def _cancel(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.cancel()


def _why_died(err: BaseException) -> str:
    return (
        f"a worker process ended by itself ({_reason(err)}); it may have run out of "
        "memory: take fewer workers, or workers=1 to see the error itself"
    )


def _reason(err: BaseException) -> str:
    return str(err).strip().splitlines()[0].rstrip(".") if str(err).strip() else "died"
