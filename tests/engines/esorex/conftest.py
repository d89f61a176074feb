"""Simulated frames that real recipes reduce."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ndmapper.data import DataFile
from ndmapper.engines import Outcome, get_engine
from ndmapper.engines.base import Job
from ndmapper.lib.simulate.hawki import simulate_hawki_darks
from ndmapper.lib.simulate.muse import simulate_muse

Frames = dict[str, list[DataFile]]


@pytest.fixture(scope="session")
def esorex(need: Callable[..., None]) -> Callable[[Job], Outcome]:
    """Run a job with the real esorex."""
    need("esorex", recipes=("hawki_dark_combine", "muse_bias"))
    return get_engine("esorex").run


@pytest.fixture(scope="session")
def darks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Darks of HAWK-I."""
    return simulate_hawki_darks(tmp_path_factory.mktemp("hawki"))


@pytest.fixture(scope="session")
def muse(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Biases, darks and flats of one IFU of MUSE."""
    return simulate_muse(tmp_path_factory.mktemp("muse"))


@pytest.fixture
def dark_files(darks: list[Path]) -> list[DataFile]:
    """The darks of HAWK-I, opened."""
    return [DataFile(path) for path in darks]


@pytest.fixture
def bias_files(muse: dict[str, list[Path]]) -> list[DataFile]:
    """The biases of MUSE, opened."""
    return [DataFile(path) for path in muse["bias"]]
