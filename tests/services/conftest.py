"""The real night, in a folder of its own; archives on loopback."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ndmapper.services.transfer import backoff
from ndmapper.testing import LoopbackArchives


@pytest.fixture
def kast(real_data: Path, tmp_path: Path) -> Path:
    """Copy the raw frames of the real night."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for path in (real_data / "kast_blue_longslit").glob("b*.fits.gz"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Wait for nothing, but remember for how long one would have waited."""
    found: list[float] = []
    monkeypatch.setattr(backoff, "sleep", lambda seconds, _=None: found.append(seconds))
    return found


@pytest.fixture
def archives(
    waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LoopbackArchives]:
    """Run archives on loopback, and nobody is logged in."""
    monkeypatch.setenv("NDMAPPER_CREDENTIALS", str(tmp_path / "no-credentials.toml"))
    with LoopbackArchives() as found:
        yield found
