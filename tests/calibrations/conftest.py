"""Made-up raw frames of a small camera with rules of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

CAMERA = """
schema = 1
description = "a camera for tests"
survey = ["object", "exptime", "slit", "time"]
[applies]
INSTRUME = "TESTCAM"
[descriptors]
object = "OBJECT"
exptime = { keys = ["EXPTIME"], type = "float" }
slit = "SLIT"
batch = "BATCH"
temperature = { keys = ["TEMP"], type = "float" }
time = { fn = "timestamp", keys = ["DATE-OBS"] }
[[class]]
name = "bias"
where = { object = "bias" }
[[class]]
name = "flat"
where = { object = "flat" }
[[class]]
name = "object"
where = { object = "ngc*" }
[dependencies]
target = ["bias", "flat"]
flat = ["bias"]
[[rule]]
type = "bias"
window = [2.0, 0.5]
min = 2
max = 3
group = ["batch"]
[[rule]]
type = "flat"
match = ["slit"]
tolerance = { temperature = 1.0 }
"""

MakeFrame = Callable[..., Path]


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """Write the description of the camera."""
    path = tmp_path / "testcam.toml"
    path.write_text(CAMERA, encoding="utf-8")
    return path


@pytest.fixture
def make_frame(tmp_path: Path) -> MakeFrame:
    """Give a function that writes a raw frame without pixels."""

    def make(name: str, obj: str, **cards: Any) -> Path:
        path = tmp_path / name
        header = fits.Header({"INSTRUME": "TESTCAM", "OBJECT": obj, "EXPTIME": 1.0})
        header["DATE-OBS"] = cards.pop("date", "2026-01-10T12:00:00")
        header.update(cards)
        path.parent.mkdir(exist_ok=True)
        fits.PrimaryHDU(header=header).writeto(path)
        return path

    return make


@pytest.fixture
def document_path(tmp_path: Path) -> Path:
    """Name a calibration document that does not exist."""
    return tmp_path / "calibrations.json"
