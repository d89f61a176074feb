"""The real night, in a folder of its own."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def kast(real_data: Path, tmp_path: Path) -> Path:
    """Copy the raw frames of the real night."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for path in (real_data / "kast_blue_longslit").glob("b*.fits.gz"):
        shutil.copy(path, folder)
    return folder
