"""
Translations of CL scripts to Python, which PyRAF makes, kept between sessions.

Every process that holds PyRAF works with a copy of its own, so none waits for the lock
of another, and none that is killed spoils what the others read. PyRAF finds a
translation by a digest of the text of its script, so an old one is never taken.
"""

import contextlib
import hashlib
import shutil
from pathlib import Path

import platformdirs

from ndmapper.io.temporary import staging_name

__all__ = ["ClCache"]

_LARGEST = 100_000_000
"""A larger file is not kept: it holds scripts that are long gone [bytes]."""


class ClCache:
    """The translations that one process works with."""

    def __init__(self, home: Path, maker: str) -> None:
        self._mine = home / "pyraf" / "clcache.sqlite3"
        name = hashlib.sha256(maker.encode()).hexdigest()[:16]
        folder = Path(platformdirs.user_cache_dir("ndmapper")) / "iraf"
        self._kept = folder / f"clcache-{name}"
        self._seen: tuple[int, int] | None = None

    def fetch(self) -> None:
        """Copy what was kept, if anything, before PyRAF starts."""
        self._mine.parent.mkdir()
        with contextlib.suppress(OSError):
            shutil.copyfile(self._kept, self._mine)
            self._seen = _stamp(self._mine)

    def keep(self) -> None:
        """Keep what is new, while the process does nothing."""
        # Where nothing can be kept, scripts are translated again next time.
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
