"""Translations of CL scripts that are kept between sessions."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ndmapper.engines import Outcome
from ndmapper.engines.iraf.cl_cache import ClCache
from ndmapper.engines.iraf.pool import close_workers
from ndmapper.testing import make_mef

RunTask = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Start with nothing kept, and with new processes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    close_workers()
    yield tmp_path / "cache" / "ndmapper" / "iraf"
    close_workers()


def home_of(tmp_path: Path, name: str) -> tuple[Path, Path]:
    home = tmp_path / name
    home.mkdir()
    return home, home / "pyraf" / "clcache.sqlite3"


def test_what_is_new_is_kept(tmp_path: Path, cache: Path) -> None:
    home, mine = home_of(tmp_path, "one")
    first = ClCache(home, "pyraf 2")
    first.fetch()
    first.keep()  # there is nothing
    assert not cache.exists()
    mine.write_bytes(b"1" * 10)
    first.keep()
    home, mine = home_of(tmp_path, "two")
    second = ClCache(home, "pyraf 2")
    second.fetch()
    assert mine.read_bytes() == b"1" * 10
    # What another one added meanwhile is not lost for one that added nothing.
    (kept,) = cache.iterdir()
    kept.write_bytes(b"2" * 20)
    second.keep()
    assert kept.read_bytes() == b"2" * 20
    # Another PyRAF writes others.
    home, mine = home_of(tmp_path, "three")
    ClCache(home, "pyraf 3").fetch()
    assert not mine.exists()


@pytest.mark.iraf
def test_a_new_process_has_them(run_iraf: RunTask, tmp_path: Path, cache: Path) -> None:
    path = make_mef(tmp_path / "x.fits", 1)

    def kept() -> int:
        run_iraf("images.imutil.imstat", {"images": path})
        close_workers()
        (found,) = cache.glob("clcache-*")
        connection = sqlite3.connect(found)
        try:
            return int(connection.execute("select count(*) from shelf").fetchone()[0])
        finally:
            connection.close()

    first = kept()
    # The second one has nothing to add, for it finds all of them.
    assert kept() == first > 1
    (found,) = cache.glob("clcache-*")
    found.write_bytes(b"this is no database")
    assert kept() > 1
