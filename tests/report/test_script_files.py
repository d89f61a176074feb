"""ndmapper script where files are named by parameters and sets of frames."""

import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits

from ndmapper.report.compare import compare
from ndmapper.steps import run_task

SCRIPT = """
from pathlib import Path
from ndmapper import run_task

@run_task(prefix="l")
def add_tables(ndd, *, tables: object = None):
    for table in {names}:
        ndd = ndd + float(table.read_text())
    return ndd

add_tables("x1.fits", tables={given})
"""


def written(product, folder):
    """Write the script of a product; run it in a folder of its own."""
    script = subprocess.run(
        [sys.executable, "-m", "ndmapper", "script", product],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    folder.mkdir()
    (folder / "again.py").write_text(script.stdout)
    ran = subprocess.run(
        [sys.executable, "again.py", str(Path.cwd())],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return script, ran


def first_pixel(path):
    with fits.open(path) as hdus:
        return float(hdus[1].data.flat[0])


def test_script_gives_lists_of_files(make_raw, folder):
    make_raw("x1.fits", (10.0,))
    for number in (1, 2):
        Path(f"t{number}.txt").write_text(f"{number}")
    given = "[Path('t1.txt'), Path('t2.txt')]"
    Path("s.py").write_text(SCRIPT.format(given=given, names="tables"))
    subprocess.run([sys.executable, "s.py"], check=True)
    script, ran = written("lx1.fits", folder / "again")
    assert (script.returncode, ran.returncode) == (0, 0), ran.stderr
    assert first_pixel("again/lx1.fits") == first_pixel("lx1.fits") == 13.0


def test_script_says_what_it_cannot_give(make_raw, folder):
    make_raw("x1.fits", (10.0,))
    Path("t1.txt").write_text("1")
    given = "{'first': [Path('t1.txt'), 3.0]}"
    Path("s.py").write_text(SCRIPT.format(given=given, names="tables['first'][:1]"))
    subprocess.run([sys.executable, "s.py"], check=True)
    script, ran = written("lx1.fits", folder / "again")
    assert (script.returncode, ran.returncode) == (3, 1)
    assert "only a part are files" in script.stdout


@pytest.mark.esorex
def test_script_names_the_frames_of_a_set_that_was_edited(folder):
    from ndmapper.lib.simulate import simulate_hawki_darks

    simulate_hawki_darks(".", number=4, size=128)
    darks = sorted(str(path) for path in Path().glob("*DARK*.fits"))
    words = {
        "inputs": {"DARK": darks[:3]}, "outputs": {"MASTER_DARK": "m.fits"},
        "sof": "d.sof", "reprocess": "auto",
    }  # fmt: skip
    run_task("esorex:hawki_dark_combine", **words)
    with Path("d.sof").open("a") as stream:
        stream.write(f"{Path(darks[3]).absolute()} DARK\n")
    made = run_task("esorex:hawki_dark_combine", create_sof=False, **words)
    rows = made["MASTER_DARK"][0].record[-1]["references"]["sof"]
    assert [row["name"] for row in rows] == darks
    script, ran = written("m.fits", folder / "again")
    assert (script.returncode, ran.returncode) == (0, 0), ran.stderr
    assert compare(Path("m.fits"), Path("again/m.fits")).verdict == "identical"
