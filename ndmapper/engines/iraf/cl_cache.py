"""
Persistent cache of CL scripts translated to Python by PyRAF.

Every worker process has its own copy, so that no lock is shared and a killed process
damages nothing. PyRAF looks translations up by digest of the script, so that stale ones
are never used.
"""

import contextlib
import hashlib
import shutil
from pathlib import Path

import platformdirs

from ndmapper.io.temporary import staging_name

__all__ = ["ClCache"]

_LARGEST = 100_000_000
"""A larger cache is discarded: it contains scripts that no longer exist [bytes]."""


class ClCache:
    """The copy of the cache that one worker uses."""

    def __init__(self, home: Path, maker: str) -> None:
        self._mine = home / "pyraf" / "clcache.sqlite3"
        name = hashlib.sha256(maker.encode()).hexdigest()[:16]
        folder = Path(platformdirs.user_cache_dir("ndmapper")) / "iraf"
        self._kept = folder / f"clcache-{name}"
        self._seen: tuple[int, int] | None = None

    def fetch(self) -> None:
        """Copy the cache for a worker, before PyRAF starts."""
        self._mine.parent.mkdir()
        with contextlib.suppress(OSError):
            shutil.copyfile(self._kept, self._mine)
            self._seen = _stamp(self._mine)

    def keep(self) -> None:
        """Copy new translations back, while the worker is idle."""
        # Not an error: scripts are translated again.
        with contextlib.suppress(OSError):
            stamp = _stamp(self._mine)
            if stamp == self._seen or stamp[1] > _LARGEST:
                return
            self._seen = stamp
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            temp = staging_name(self._kept)
            try:
                shutil.copyfile(self._mine, temp)
                temp.replace(self._kept)
            finally:
                temp.unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
