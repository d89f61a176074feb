"""Many things at once, on the workers of a dask scheduler."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ndmapper.errors import MissingPackageError, WorkerError
from ndmapper.parallel.cores import IN_WORKER
from ndmapper.parallel.progress import Bar
from ndmapper.parallel.worker import Surroundings, carry_out, open_answer

__all__ = ["map_cluster"]

_clients: dict[str, Any] = {}
"""Clients by address; a script needs one for all of its steps."""


def map_cluster(
    func: Callable[[Any], Any],
    things: Sequence[Any],
    cluster: Any,
    title: str | None,
    tell: Callable[[int, Any], None],
) -> list[Any]:
    """
    Call a function with each of many things on the workers of a cluster.

    Parameters
    ----------
    func : callable
        Takes one thing.
    things : sequence
        The things.
    cluster : str or distributed.Client
        The scheduler.
    title : str or None
        Words before the progress bar.
    tell : callable
        Is told the position and the result of a thing as soon as it is done.

    Returns
    -------
    list
        The results in the order of the things.

    Raises
    ------
    WorkerError
        If workers died with a thing again and again, or an error cannot travel.
    Exception
        The error of the first thing, in their order, that has failed.
    """
    client = _client(cluster)
    import distributed
    from distributed.scheduler import KilledWorker

    as_completed: Any = distributed.as_completed

    call = Surroundings.here().pack(func)
    futures = [
        client.submit(_carry_out, call, thing, pure=False, key=None) for thing in things
    ]
    position = {future.key: i for i, future in enumerate(futures)}
    results: list[Any] = [None] * len(things)
    failed: tuple[int, BaseException] | None = None
    try:
        with Bar(len(futures), title) as bar:
            for future in as_completed(futures, loop=client.loop, raise_errors=False):
                i = position[future.key]
                if future.cancelled():
                    continue
                bar.update()
                try:
                    results[i] = open_answer(future.result())
                    tell(i, results[i])
                except KilledWorker as err:
                    msg = (
                        "workers of the cluster died again and again with the same "
                        f"work ({err}); they may have run out of memory"
                    )
                    raise WorkerError(msg) from err
                except Exception as err:
                    if failed is None or i < failed[0]:
                        failed = (i, err)
                    client.cancel([f for f in futures[i + 1 :] if not f.done()])
    finally:
        client.cancel([f for f in futures if not f.done()])
    if failed is not None:
        raise failed[1]
    return results


def _client(cluster: Any) -> Any:
    if not isinstance(cluster, str):
        return cluster
    if cluster not in _clients:
        try:
            import distributed
        except ImportError as err:
            msg = (
                "a cluster needs dask.distributed; pip install 'ndmapper[distributed]'"
            )
            raise MissingPackageError(msg) from err
        connect: Any = distributed.Client
        try:
            _clients[cluster] = connect(cluster, timeout="30s", set_as_default=False)
        except (OSError, TimeoutError, ValueError) as err:
            msg = (
                f"there is no dask scheduler at {cluster} ({err}); start one with "
                "'dask scheduler', or look for its address in its log"
            )
            raise WorkerError(msg) from err
    return _clients[cluster]


_busy = threading.Lock()
"""Surroundings are those of a process, so that its threads must take turns."""


def _carry_out(call: Surroundings, thing: Any) -> Any:
    """Work as one of many, so that nothing that is called starts workers of its own."""
    with _busy:
        before = os.environ.get(IN_WORKER)
        os.environ[IN_WORKER] = "1"
        try:
            return carry_out(call, thing)
        finally:
            if before is None:
                del os.environ[IN_WORKER]
