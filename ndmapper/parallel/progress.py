"""Progress bars, on a terminal only."""

import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from ndmapper.terminal import one_line

__all__ = ["Bar", "progress"]

T = TypeVar("T")


class Bar:
    """A progress bar, on a terminal and for more than one item."""

    def __init__(self, total: int, title: str | None = "") -> None:
        self._bar: Any = None
        if title is not None and total > 1 and sys.stderr.isatty():
            from tqdm import tqdm  # a script without a terminal never needs it

            self._bar = tqdm(
                total=total, desc=one_line(title) or None, unit="file", leave=False,
                dynamic_ncols=True,
            )  # fmt: skip

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self) -> None:
        """Count one more item as done."""
        if self._bar is not None:
            self._bar.update()


def progress(items: Sequence[T], title: str | None) -> Iterator[T]:
    """
    Iterate over items, with a bar on a terminal if there is more than one.

    Parameters
    ----------
    items : sequence
        What to go through.
    title : str or None
        Words before the bar; None shows no bar.

    Yields
    ------
    object
        Each item in turn.
    """
    with Bar(len(items), title) as bar:
        for item in items:
            yield item
            bar.update()
