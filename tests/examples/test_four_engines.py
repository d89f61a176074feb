"""The example of four engines: run, run again, changed, and made anew."""

import shutil

import pytest

from ndmapper.cli import main
from ndmapper.io.digest import differences
from ndmapper.io.record import read_records

pytestmark = [pytest.mark.iraf, pytest.mark.esorex]

DARK = ["master_dark.fits"]
FRAMES = [f"dHAWKI.SIM_OBJECT0{n}.fits" for n in (1, 2)]
IMAGES = [f"g{name}" for name in FRAMES]
CATALOGUES = [name.replace(".fits", "_cat.fits") for name in IMAGES]


@pytest.fixture(scope="module")
def reduced(tmp_path_factory, need, run_example):
    need("iraf", "esorex", "source-extractor", recipes=["hawki_dark_combine"])
    folder = tmp_path_factory.mktemp("engines")
    done = run_example("four_engines.py", folder=folder)
    assert done.stdout.count("has 20 sources") == 2  # five stars on four detectors
    assert "7 products made, 0 re-used" in done.stderr
    return folder


def changed(folder, products):
    times = {name: (folder / name).stat().st_mtime_ns for name in products}
    return lambda: [n for n in products if (folder / n).stat().st_mtime_ns != times[n]]


def test_four_engines_second_run_does_nothing(reduced, run_example):
    made_again = changed(reduced, DARK + FRAMES + IMAGES + CATALOGUES)
    done = run_example("four_engines.py", folder=reduced)
    assert "nothing to do: all 7 products exist already" in done.stderr
    assert made_again() == []


def test_four_engines_changed_parameter_makes_its_descendants_again(
    reduced, run_example, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "copy"
    shutil.copytree(reduced, folder)
    monkeypatch.chdir(folder)
    script = run_example.path("four_engines.py")
    assert main(["why", str(script), "1.5"]) == 3
    said = capsys.readouterr().out
    assert "4 to do, 3 current" in said
    assert "smooth" in said
    assert "made again: parameter sigma was 1, now 1.5\n" in said
    made_again = changed(folder, DARK + FRAMES + IMAGES + CATALOGUES)
    done = run_example("four_engines.py", "1.5", folder=folder)
    assert "4 products made, 3 re-used" in done.stderr
    assert made_again() == IMAGES + CATALOGUES


def test_four_engines_record_tells_of_all_tools(reduced):
    rows = read_records(reduced / CATALOGUES[0])
    assert [(r["step"], r["engine"]) for r in rows] == [
        ("hawki_dark_combine", "esorex"),
        ("subtract_dark", "python"),
        ("smooth", "iraf"),
        ("detect", "command"),
    ]
    assert all(r["tool"]["version"] for r in rows if r["engine"] != "python")
    assert rows[1]["qc"]["sky[CHIP1.INT1]"] == pytest.approx(150, abs=5)


def test_four_engines_script_of_a_product_makes_it_again(
    reduced, run_example, tmp_path, monkeypatch, capsys
):
    assert main(["script", str(reduced / CATALOGUES[1])]) == 0
    script = tmp_path / "again.py"
    script.write_text(capsys.readouterr().out)
    folder = tmp_path / "empty"
    folder.mkdir()
    for path in [*(reduced / "raw").iterdir(), reduced / "columns.param"]:
        shutil.copy(path, folder)
    run_example(script, folder=folder)
    for name in (*DARK, FRAMES[1], IMAGES[1], CATALOGUES[1]):
        # The catalogue of source-extractor tells when it was made.
        found = [
            d for d in differences(folder / name, reduced / name) if "SEX" not in d
        ]
        assert found == []
