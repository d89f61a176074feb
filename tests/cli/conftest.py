"""A folder to work in, and the command as a function."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ndmapper.cli import main
from ndmapper.io.filemap import map_file
from ndmapper.io.record import EXTNAME, encode, entry_key, read_records
from ndmapper.lib.simulate import Night, simulate_night


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Result]


@pytest.fixture
def command(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def simulated_night(folder: Path) -> Path:
    """Simulate frames: sim0001 to 0003 are biases, 0004 a flat, 0005 an object."""
    raw = folder / "raw"
    raw.mkdir()
    simulate_night(raw, Night(shape=(32, 32), biases=3, flats=1, science=1))
    return raw


@pytest.fixture
def document(command: Command, simulated_night: Path) -> Path:
    """Look up the calibrations of the simulated night."""
    assert command("cals", "update", "raw/sim0005.fits").code == 0
    return simulated_night.parent / "calibrations.json"


@pytest.fixture
def forge() -> Callable[[str, str, Callable[[dict[str, Any]], object]], None]:
    """Give the function that writes a product once more, with another record."""

    def write(path: str, target: str, change: Callable[[Any], object]) -> None:
        rows = copy.deepcopy(read_records(path))
        change(rows[-1])
        rows[-1]["key"] = entry_key(rows[-1])
        record = next(hdu for hdu in map_file(path).hdus if hdu.name == EXTNAME)
        content = Path(path).read_bytes()[: record.header_offset]
        Path(target).write_bytes(content + encode(rows))

    return write
