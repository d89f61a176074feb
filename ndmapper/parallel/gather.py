"""Results of work that several processes do, in the order of the items."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ndmapper.errors import WorkerError
from ndmapper.parallel.progress import Bar
from ndmapper.parallel.worker import open_answer

__all__ = ["gather"]


def gather(
    futures: Sequence[Any],
    done: Iterable[Any],
    title: str | None,
    notify: Callable[[int, Any], None] | None,
    *,
    died: type[Exception],
    why_died: Callable[[Exception], str],
    cancel: Callable[[Sequence[Any]], None],
) -> list[Any]:
    """
    Collect the results of futures as they are done, or raise the first error in order.

    What comes before a failed item is waited for, and what comes after is cancelled, so
    that the error is the one that a single process would meet.
    """
    position = {id(future): i for i, future in enumerate(futures)}
    results: list[Any] = [None] * len(futures)
    failed: tuple[int, Exception] | None = None
    with Bar(len(futures), title) as bar:
        for future in done:
            if future.cancelled():
                continue
            bar.update()
            i = position[id(future)]
            try:
                results[i] = open_answer(future.result())
                if notify is not None:
                    notify(i, results[i])
            except died as err:
                raise WorkerError(why_died(err)) from err
            except Exception as err:
                if failed is None or i < failed[0]:
                    failed = (i, err)
                cancel(futures[i + 1 :])
    if failed is not None:
        raise failed[1]
    return results
