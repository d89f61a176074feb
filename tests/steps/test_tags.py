"""Which calibration goes in under which tag of a tool: in record, key and script."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ndmapper import run_task
from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.io.record import entry_key, side_path
from ndmapper.report.history import history
from ndmapper.report.script import write_script
from ndmapper.testing import FakeRecipe, fake_esorex, make_mef

RECIPES = {
    "make_dark": FakeRecipe(products={"MASTER_DARK": 1}, parameters={"n": 3}),
    "make_flat": FakeRecipe(products={"MASTER_FLAT": 1}, parameters={"n": 3}),
    "make_table": FakeRecipe(products={"PIXTABLE_OBJECT": 1}),
    "use_table": FakeRecipe(products={"CUBE": 1}),
}


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fake = fake_esorex(tmp_path / "bin", RECIPES)
    monkeypatch.chdir(tmp_path)
    for name in ("dark", "flat"):
        make_mef(tmp_path / f"{name}.fits", n_ext=1)
    fits.PrimaryHDU(np.zeros((2, 2), "i2")).writeto(tmp_path / "table.fits")
    with config.using(**fake.settings, reprocess="auto"):
        yield


@run_task("esorex:make_dark", inputs="DARK", outputs="MASTER_DARK")
def make_dark(*, n: int = 3):
    """Combine darks."""
    return {"n": n}


def flat_step(tag: str | None) -> Any:
    @run_task("esorex:make_flat", inputs="FLAT", outputs="MASTER_FLAT", cals="dark")
    def make_flat(*, dark, table: Path):
        """Combine flats."""
        frames = {"LINES": DataFile(table)}
        return frames if tag is None else frames | {tag: dark}

    return make_flat


def make(tag: str | None) -> DataFile:
    flat = DataFile("flat.fits")
    flat.cals["dark"] = make_dark("dark.fits", MASTER_DARK="mdark.fits")
    table = Path("table.fits")
    made: DataFile = flat_step(tag)(flat, table=table, MASTER_FLAT="mflat.fits")
    return made


def test_the_tag_is_in_record_and_key(caplog: pytest.LogCaptureFixture) -> None:
    keys = set()
    for tag in ("MASTER_DARK", "OTHER_DARK", None):
        row = make(tag).record[-1]
        assert row["calibrations"]["dark"]["name"] == "mdark.fits"
        names = {name: ref["name"] for name, ref in row["tags"].items()}
        expected = {} if tag is None else {tag: "mdark.fits"}
        assert names == {"LINES": "table.fits"} | expected
        assert row["key"] == entry_key(row)
        keys.add(row["key"])
        said = f"(as {tag})" if tag else "(not handed to it)"
        assert "dark: mdark.fits" in history({"mflat.fits": [row]})
        assert said in history({"mflat.fits": [row]})
    assert len(keys) == 3
    text = caplog.text
    assert "mdark.fits went in as MASTER_DARK, now as OTHER_DARK" in text
    assert "mdark.fits went in as OTHER_DARK, now not at all" in text


def test_nothing_is_made_again_where_it_is_the_same() -> None:
    before = make("MASTER_DARK").record[-1]["run"]
    assert make("MASTER_DARK").record[-1]["run"] == before


def test_records_from_before_tags_are_read_and_have_their_key() -> None:
    row = make("MASTER_DARK").record[-1]
    old = {name: value for name, value in row.items() if name != "tags"}
    assert entry_key(old) != row["key"]
    # What had no calibrations has the key that it had.
    row = make_dark("dark.fits", MASTER_DARK="d2.fits").record[-1]
    assert entry_key({n: v for n, v in row.items() if n != "tags"}) == row["key"]


def test_a_script_makes_the_chain_again() -> None:
    made = make("MASTER_DARK")
    script = write_script({"mflat.fits": made.record})
    assert script.problems == []
    head = "from ndmapper import config\n"
    for name in ("esorex", "esorex_plugins"):
        head += f"config[{name!r}] = {config[name]!r}\n"
    Path("again.py").write_text(head + script.text)
    before = made.record[-1]["content"]
    for name in ("mdark.fits", "mflat.fits"):
        Path(name).unlink()
    subprocess.run([sys.executable, "again.py", "."], check=True, timeout=300)
    row = DataFile("mflat.fits").record[-1]
    assert row["content"] == before
    assert {n: r["name"] for n, r in row["tags"].items()} == {
        "LINES": "table.fits", "MASTER_DARK": "mdark.fits"
    }  # fmt: skip


def test_the_record_of_a_pixel_table_lies_beside_it(tmp_path: Path) -> None:
    made = run_task(
        "esorex:make_table", inputs={"OBJECT": "flat.fits"},
        outputs={"PIXTABLE_OBJECT": "t.fits"},
    )["PIXTABLE_OBJECT"][0]  # fmt: skip
    with fits.open("t.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY"]
    assert side_path(Path("t.fits")).exists()
    assert made.record[-1]["product"] == "t.fits"
    # Under another name, and edited, it has its record beside it again.
    made.meta["NEW"] = 1
    made.save("copy.fits")
    with fits.open("copy.fits") as hdus:
        assert len(hdus) == 1
    rows = DataFile("copy.fits").record
    assert [row["step"] for row in rows] == ["make_table", "edited"]
    used = run_task(
        "esorex:use_table", inputs={"PIXTABLE_OBJECT": "t.fits"},
        outputs={"CUBE": "cube.fits"},
    )["CUBE"][0]  # fmt: skip
    assert [row["step"] for row in used.record] == ["make_table", "use_table"]
    with fits.open("cube.fits") as hdus:
        assert hdus[-1].name == "NDM_RECORD"


def test_pixel_tables_are_known_by_their_columns(tmp_path: Path) -> None:
    names = ("xpos", "ypos", "lambda", "data", "dq", "stat", "origin")
    columns = [fits.ImageHDU(np.zeros((5, 1), "f4"), name=name) for name in names]
    fits.HDUList([fits.PrimaryHDU(), *columns]).writeto("t.fits")

    @run_task(prefix="p", each="file")
    def touch(df):
        """Change a card."""
        df.meta["NEW"] = 1
        return df

    made = touch("t.fits")
    with fits.open(str(made)) as hdus:
        assert "NDM_RECORD" not in hdus
    assert made.record[-1]["step"] == "touch"
    assert DataFile(str(made)).record[-1]["step"] == "touch"
