"""Services by name, of ndmapper and of other packages; what all of them must do."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from ndmapper.errors import ServiceError
from ndmapper.lib.simulate import simulate_night
from ndmapper.services import download_files, look_up_cals, registry
from ndmapper.services.eso.service import EsoService
from ndmapper.services.gemini.service import GeminiService
from ndmapper.services.local import LocalService
from ndmapper.services.registry import Request, names, open_service
from ndmapper.testing import LoopbackArchives, ServiceContract


class TestLocalContract(ServiceContract):
    known = ("sim0010.fits", "bias")
    files = ("sim0001.fits", "sim0002.fits")

    def make_service(self, folder: Path) -> LocalService:
        if not (folder / "sim0001.fits").exists():
            simulate_night(folder)
        return LocalService([folder / "sim0010.fits"], folder)


def test_names_of_services() -> None:
    assert set(names()) >= {"eso", "eso-raw2master", "gemini", "local"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("gemini", GeminiService), ("eso", EsoService), ("local", LocalService)],
)
def test_service_has_its_name(name: str, kind: type) -> None:
    assert isinstance(open_service(name, Request()), kind)


def test_opening_a_service_asks_nothing(archives: LoopbackArchives) -> None:
    for name in names():
        open_service(name, Request(dirname=Path("raw")))
    assert archives.asked == []


class Observatory:
    """A service of another package."""

    def __init__(self, request: Request) -> None:
        self.request = request

    def look_up(self, filename: str, cal_type: str) -> list[str]:
        return [f"{cal_type}1.fits"]

    def fetch(self, files: Any, dirname: Path, checksums: Any) -> list[Path]:
        for name in files:
            shutil.copy(__file__, dirname / name)
        return [dirname / name for name in files]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "observatory"

        @staticmethod
        def load() -> type[Observatory]:
            return Observatory

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point])


@pytest.mark.usefixtures("offered")
def test_service_of_another_package_is_used_by_name(tmp_path: Path) -> None:
    found = look_up_cals("x.fits", {"target": ["bias"]}, "observatory")
    assert found["calibrations"] == {"bias1_bias.fits": ["bias1.fits"]}
    assert download_files(found, "observatory", tmp_path) == [tmp_path / "bias1.fits"]
    assert "observatory" in names()


@pytest.mark.usefixtures("offered")
def test_unknown_service_names_those_of_other_packages() -> None:
    with pytest.raises(ServiceError, match="did you mean 'observatory'"):
        open_service("observatori", Request())
