"""Progress bar of downloads, on a terminal only."""

import threading

from ndmapper.parallel.progress import TerminalBar

__all__ = ["ByteBar"]


class ByteBar(TerminalBar):
    """Progress bar in bytes; the total becomes known on the way."""

    def __init__(self, title: str) -> None:
        super().__init__(title, total=0, unit="B", unit_scale=True)
        self._lock = threading.Lock()

    def expect(self, size: int) -> None:
        """Change the total."""
        if self.bar is not None and size:
            with self._lock:
                self.bar.total += size
                self.bar.refresh()

    def add(self, size: int) -> None:
        """Add received bytes."""
        if self.bar is not None:
            with self._lock:
                self.bar.update(size)
