"""How much of a download has arrived, on a terminal only."""

import sys
import threading
from types import TracebackType
from typing import Any

from ndmapper.terminal import one_line

__all__ = ["ByteBar"]


class ByteBar:
    """A bar that counts bytes; how many there will be becomes known on the way."""

    def __init__(self, title: str) -> None:
        self._bar: Any = None
        self._lock = threading.Lock()
        if sys.stderr.isatty():
            from tqdm import tqdm  # a script without a terminal never needs it

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
        """Say that there will be more bytes, or fewer."""
        if self._bar is not None and size:
            with self._lock:
                self._bar.total += size
                self._bar.refresh()

    def add(self, size: int) -> None:
        """Count bytes."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(size)
