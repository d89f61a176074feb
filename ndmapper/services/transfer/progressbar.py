"""Progress bar of downloads, on a terminal only."""

import sys
import threading
from types import TracebackType
from typing import Any

from ndmapper.terminal import one_line

__all__ = ["ByteBar"]


class ByteBar:
    """Progress bar in bytes; the total becomes known on the way."""

    def __init__(self, title: str) -> None:
        self._bar: Any = None
        self._lock = threading.Lock()
        if sys.stderr.isatty():
            from tqdm import tqdm  # imported only for a terminal

            self._bar = tqdm(
                total=0, desc=one_line(title), unit="B", unit_scale=True, leave=False,
                dynamic_ncols=True,
            )  # fmt: skip

    def __enter__(self) -> "ByteBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def expect(self, size: int) -> None:
        """Change the total."""
        if self._bar is not None and size:
            with self._lock:
                self._bar.total += size
                self._bar.refresh()

    def add(self, size: int) -> None:
        """Add received bytes."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(size)
