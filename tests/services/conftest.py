"""A document that does not exist yet; archives on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ndmapper.services.transfer import backoff
from ndmapper.testing import LoopbackArchives


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Name a calibration document that does not exist."""
    return tmp_path / "calibrations.json"


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
