"""The demo, run in small."""

import functools
import sys

import pytest

from ndmapper.io.record import read_records
from ndmapper.lib import simulate

SMALL = {"biases": 3, "flats": 2, "science": 1, "shape": (64, 64), "rays": 10}


@pytest.fixture(autouse=True)
def _small_night(monkeypatch):
    monkeypatch.setattr(simulate, "Night", functools.partial(simulate.Night, **SMALL))


@pytest.fixture
def demo(command):
    assert command("demo").code == 0
    return command


def test_demo_shows_products_and_picture(command, folder):
    result = command("demo")
    assert result.code == 0
    assert "clean_cosmic_rays" in result.out
    assert "ndmapper-demo/before_after.png" in result.out
    assert (folder / "ndmapper-demo" / "before_after.png").stat().st_size > 1000


def test_demo_products_have_records(demo, folder):
    products = list((folder / "ndmapper-demo").glob("*.fits"))
    assert products
    assert all(read_records(path) for path in products)


def test_demo_second_run_makes_nothing(demo):
    found = demo("demo", "--json").json
    assert found["made"] == []
    assert len(found["reused"]) > 10
    assert found["differing"] == []


def test_demo_imaging_makes_a_deep_image_and_a_catalogue(command, folder, monkeypatch):
    night = functools.partial(simulate.Night, biases=3, flats=2)
    monkeypatch.setattr(simulate, "Night", night)
    result = command("demo", "--imaging")
    assert result.code == 0
    work = folder / "ndmapper-demo-imaging"
    for name in (".ndmapper/figures/sdeep_sources.ecsv-1.png", "sdeep_cal.ecsv"):
        assert str((work / name).relative_to(folder)) in result.out
        assert (work / name).stat().st_size > 1000
    # Another night would be mixed with that of the other demo.
    assert command("demo", "ndmapper-demo-imaging").code == 1


def test_demo_works_in_the_folder_given(command, folder):
    assert command("demo", "here/night").code == 0
    assert (folder / "here" / "night" / "calibrations.json").exists()
    assert not (folder / "ndmapper-demo").exists()


def test_demo_refuses_a_folder_with_other_things_in_it(command, folder):
    (folder / "thesis").mkdir()
    (folder / "thesis" / "chapter1.tex").write_text("In the beginning")
    result = command("demo", "thesis")
    assert result.code == 1
    assert "thesis has other things in it" in result.err
    assert [p.name for p in (folder / "thesis").iterdir()] == ["chapter1.tex"]


def test_demo_in_a_folder_that_cannot_be_made_says_so(command, folder):
    (folder / "thesis.tex").write_text("In the beginning")
    result = command("demo", "thesis.tex/night")
    assert result.code == 1
    assert result.err == (
        "ndmapper: the folder thesis.tex/night cannot be made or written to "
        "(Not a directory); name another: ndmapper demo DIR\n"
    )


def test_demo_half_a_night_is_simulated_again(command, folder):
    (folder / "ndmapper-demo" / ".raw.partial").mkdir(parents=True)
    (folder / "ndmapper-demo" / ".raw.partial" / "sim0001.fits").write_text("half")
    (folder / "ndmapper-demo" / ".ndmapper-demo").touch()
    assert command("demo").code == 0
    assert len(list((folder / "ndmapper-demo" / "raw").glob("*.fits"))) == 6


def test_demo_keeps_the_script_that_was_edited(demo, folder):
    script = folder / "ndmapper-demo" / "demo_night.py"
    script.write_text("print('edited')")
    assert demo("demo", "--json").err.startswith("edited")


def test_demo_without_matplotlib_says_what_to_install(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = command("demo")
    assert result.code == 1
    assert "ndmapper[plot]" in result.err
