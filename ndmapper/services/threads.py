"""
Run functions in daemon threads, which do not delay an interrupt by the user.

A thread that waits for a silent server cannot be stopped; those of `concurrent.futures`
would keep the process alive until the time-out.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

__all__ = ["in_threads"]

K = TypeVar("K")
T = TypeVar("T")


def in_threads(
    jobs: Mapping[K, Callable[[], T]], count: int, stop: threading.Event
) -> Iterator[tuple[K, T | BaseException]]:
    """Call functions in threads, and yield their results as they arrive."""
    waiting: queue.SimpleQueue[tuple[K, Callable[[], T]]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[K, T | BaseException]] = queue.SimpleQueue()
    for item in jobs.items():
        waiting.put(item)

    def work() -> None:
        while not stop.is_set():
            try:
                name, function = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((name, function()))
            except BaseException as err:  # raised again in the waiting thread
                done.put((name, err))

    for _ in range(min(count, len(jobs))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in jobs:
            yield done.get()
    finally:
        stop.set()
