"""Calls in parallel, by the workers of a dask scheduler."""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ndmapper.config import config
from ndmapper.errors import MissingPackageError, WorkerError
from ndmapper.parallel.cores import IN_WORKER
from ndmapper.parallel.gather import gather
from ndmapper.parallel.worker import Surroundings, carry_out

__all__ = ["map_cluster"]

log = logging.getLogger(__name__)

_LOOK = 3.0
"""Seconds without a result after which the workers are looked for."""

_clients: dict[str, Any] = {}
"""Clients by address; a script needs one for all of its steps."""


def map_cluster(
    func: Callable[[Any], Any],
    items: Sequence[Any],
    cluster: Any,
    title: str | None,
    notify: Callable[[int, Any], None] | None,
) -> list[Any]:
    """Call a function with each of many items on the workers of a cluster."""
    client = _client(cluster)
    from distributed.scheduler import KilledWorker

    call = Surroundings.here().pack(func)
    futures = [
        client.submit(_carry_out, call, item, pure=False, key=None) for item in items
    ]

    def cancel(futures: Sequence[Any]) -> None:
        client.cancel([future for future in futures if not future.done()])

    try:
        return gather(
            futures,
            _as_completed(client, futures),
            title,
            notify,
            died=KilledWorker,
            why_died=_why_died,
            cancel=cancel,
        )
    finally:
        cancel(futures)


def _why_died(err: Exception) -> str:
    return (
        f"workers of the cluster died again and again with the same work ({err}); they "
        "may have run out of memory"
    )


def _as_completed(client: Any, futures: Sequence[Any]) -> Iterator[Any]:
    """Yield futures as they are done, and watch the workers."""
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for future in futures:
        future.add_done_callback(done.put)
    alone_since: float | None = None  # when the last worker was seen to be gone
    limit = float(config["cluster_wait"])
    for _ in futures:
        while True:
            try:
                future = done.get(timeout=min(_LOOK, limit))
                break
            except queue.Empty:
                now = time.monotonic()
                if _has_workers(client):
                    alone_since = None
                elif alone_since is None:
                    alone_since = now
                    log.warning(
                        "the cluster at %s has no workers; waiting for them, at most "
                        "%g s (config['cluster_wait'])",
                        _address(client),
                        limit,
                    )
                elif now - alone_since > limit:
                    msg = (
                        f"the cluster at {_address(client)} had no workers for "
                        f"{limit:g} s (config['cluster_wait']); start some with 'dask "
                        "worker ADDRESS', or look into the queue of the machine"
                    )
                    raise WorkerError(msg) from None
        yield future


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.scheduler_info(n_workers=-1)["workers"])
    except TypeError:  # an older distributed, which tells of all of them
        return bool(client.scheduler_info()["workers"])


def _address(client: Any) -> str:
    return str(getattr(client.scheduler, "address", client.scheduler))


def _client(cluster: Any) -> Any:
    if not isinstance(cluster, str):
        return cluster
    if cluster not in _clients:
        try:
            import distributed
            from distributed.comm import addressing
        except ImportError as err:
            msg = (
                "a cluster needs dask.distributed; pip install 'ndmapper[distributed]'"
            )
            raise MissingPackageError(msg) from err
        connect: Any = distributed.Client
        parse: Any = addressing.get_address_host_port
        try:
            # A client with an address that is none takes a minute to give up.
            if not cluster.startswith("inproc:"):
                parse(cluster)
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


def _carry_out(call: Surroundings, item: Any) -> Any:
    """Run one item in a worker, with nested calls kept serial."""
    with _busy:
        before = os.environ.get(IN_WORKER)
        os.environ[IN_WORKER] = "1"
        try:
            return carry_out(call, item)
        finally:
            if before is None:
                del os.environ[IN_WORKER]
