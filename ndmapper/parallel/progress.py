"""Progress bars, on a terminal only."""

import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from ndmapper.terminal import one_line

__all__ = ["Bar", "TerminalBar", "progress"]

T = TypeVar("T")


class TerminalBar:
    """A progress bar of tqdm, on a terminal only; options are those of tqdm."""

    def __init__(self, title: str, *, is_wanted: bool = True, **options: Any) -> None:
        self.bar: Any = None
        if is_wanted and sys.stderr.isatty():
            from tqdm import tqdm  # a script without a terminal never needs it

            self.bar = tqdm(
                desc=one_line(title) or None, leave=False, dynamic_ncols=True, **options
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.close()


class Bar(TerminalBar):
    """A progress bar of files, for more than one item."""

    def __init__(self, total: int, title: str | None = "") -> None:
        is_wanted = title is not None and total > 1
        super().__init__(title or "", is_wanted=is_wanted, total=total, unit="file")

    def update(self) -> None:
        """Count one more item as done."""
        if self.bar is not None:
            self.bar.update()


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
