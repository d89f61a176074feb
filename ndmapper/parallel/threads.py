"""Threads that share work, for functions that leave Python most of the time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ndmapper.parallel.cores import count_threads
from ndmapper.parallel.progress import Bar

__all__ = ["map_threads"]

T = TypeVar("T")
R = TypeVar("R")


def map_threads(
    func: Callable[[T], R], items: Sequence[T], *, title: str | None = None
) -> list[R]:
    """
    Call a function with each of some items, several at once.

    Parameters
    ----------
    func : callable
        Takes an item. It may be called by several threads at the same time.
    items : sequence
        The items.
    title : str, optional
        Words before a bar that shows the progress; None shows no bar.

    Returns
    -------
    list
        The results, in the order of the items. The first error is raised, and what
        was not begun then is left.
    """
    results = []
    with Bar(len(items), title) as bar, ThreadPoolExecutor(count_threads()) as pool:
        waiting = [pool.submit(func, item) for item in items]
        try:
            for future in waiting:
                results.append(future.result())
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results
