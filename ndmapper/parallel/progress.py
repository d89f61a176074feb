"""Progress bars, on a terminal only."""

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["progress"]

T = TypeVar("T")


def progress(items: Sequence[T], title: str) -> Iterator[T]:
    """
    Go through items, with a bar where somebody watches and there is more than one.

    Parameters
    ----------
    items : sequence
        What to go through.
    title : str
        Words before the bar.

    Yields
    ------
    object
        Each item in turn.
    """
    if len(items) < 2 or not sys.stderr.isatty():
        yield from items
        return
    from tqdm import tqdm  # a script without a terminal never needs it

    yield from tqdm(items, desc=title, unit="file", leave=False, dynamic_ncols=True)
