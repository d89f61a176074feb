"""The pages on recipes and programs do what they say, with the real tools."""

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.nddata import NDData

from ndmapper.data import DataFile
from ndmapper.lib.simulate import simulate_hawki_darks, simulate_muse

DOCS = Path(__file__).resolve().parents[2] / "docs" / "howto"


def run_page(name, folder):
    text = (DOCS / name).read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S))
    script = folder / f"{Path(name).stem}.py"
    script.write_text(code)
    names = {"__name__": "__main__", "__file__": str(script)}
    exec(compile(code, str(script), "exec"), names)
    return names


@pytest.mark.esorex
def test_page_on_recipes(tmp_path, monkeypatch, need):
    need("esorex", recipes=("hawki_dark_combine", "muse_bias"))
    monkeypatch.chdir(tmp_path)
    simulate_hawki_darks("raw")
    simulate_muse("raw", ("bias",))
    names = run_page("esorex.md", tmp_path)
    assert names["dark"].record[-1]["tool"]["name"] == "hawki"
    difference = DataFile("difference.fits")
    assert np.median(difference[0].data) == pytest.approx(0.0, abs=0.01)
    assert [len(df) for df in names["result"]["MASTER_BIAS#1"]] == [1]


def test_page_on_programs(tmp_path, monkeypatch, need):
    need("source-extractor")
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:64, :64]
    star = 500.0 * np.exp(-((x - 20.0) ** 2 + (y - 40.0) ** 2) / 8.0)
    sky = np.random.default_rng(1).normal(100.0, 1.0, star.shape)
    DataFile("stars.fits", data=NDData(sky + star), mode="new").save()
    Path("my.param").write_text("NUMBER\nX_IMAGE\nY_IMAGE\n")
    catalogue = run_page("command.md", tmp_path)["find_sources"]("stars.fits")
    assert str(catalogue) == "stars_cat.fits"
    assert catalogue.record[-1]["tool"]["version"].startswith("Source Extractor")
    (row,) = catalogue.tables["OBJECTS"]
    assert row["X_IMAGE"] == pytest.approx(21.0, abs=0.2)


def test_page_on_fakes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake = run_page("without_tools.md", tmp_path)["fake"]
    assert fake.calls == []
    assert fake.path.exists()
