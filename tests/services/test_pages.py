"""The pages on archives do what they say."""

import re
from pathlib import Path
from typing import Any

import pytest

from ndmapper.config import KEYS, config
from ndmapper.testing import LoopbackArchives
from ndmapper.testing.archives.scenarios import SCENARIOS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def run_page(page: Path) -> dict[str, Any]:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    names: dict[str, Any] = {"__name__": "page"}
    with config.scope():
        exec(compile("\n".join(blocks), str(page), "exec"), names)
    return names


def test_page_on_archives(
    archives: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    science = ["S20120827S0066.fits", "S20120827S0067.fits"]
    for name in (*science, "S20120827S0069.fits", "S20120826S0201.fits"):
        archives.gemini.add(name)
    for name in science:
        archives.gemini.associate(name, "bias", ["S20120826S0201.fits"])
        archives.gemini.associate(name, "flat", ["S20120827S0069.fits"])
    archives.gemini.associate("S20120827S0069.fits", "bias", ["S20120826S0201.fits"])
    names = run_page(DOCS / "howto" / "archives.md")
    assert len(names["cals"]["calibrations"]) == 2
    assert [df.filename.base for df in names["files"]] == [
        "S20120827S0066", "S20120827S0067", "S20120827S0069"
    ]  # fmt: skip
    assert list(names["again"]["filename"]) == list(names["night"]["filename"])


def test_page_on_adding_an_archive(
    archives: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(DOCS / "develop" / "archive.md")
    assert (tmp_path / "raw" / "S20120826S0201.fits").is_file()


def test_page_names_every_scenario() -> None:
    text = (DOCS / "develop" / "archive.md").read_text()
    assert [name for name in SCENARIOS if f"`{name}`" not in text] == []


def test_page_names_every_key() -> None:
    text = (DOCS / "howto" / "archives.md").read_text()
    keys = [k for k in KEYS if k.startswith("archive_") or k == "offline"]
    assert [key for key in keys if f"| `{key}` |" not in text] == []
