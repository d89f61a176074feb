"""A chain of IRAF whose databases and texts are products, with the real tasks."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.cli.command import main
from ndmapper.data import DataFile, PlainFile
from ndmapper.errors import StepError
from ndmapper.iraf_task import add_db_entry, read_db
from ndmapper.steps import run_task
from ndmapper.steps.record.freshness import why_stale
from ndmapper.steps.record.summary import summary

pytestmark = [pytest.mark.iraf, pytest.mark.usefixtures("reprocess_auto", "_night")]

LINES = np.array([50.0, 120, 200, 290, 350])
QUIET = {
    "interactive": False, "edit": False, "review": False, "resize": False,
    "fittrace": False, "extras": False, "apextract_dispaxis": 1,
}  # fmt: skip


@run_task(
    "noao.twodspec.apextract.apall", inputs="input", prefix="e",
    outputs={"output": "e{root}.fits", "aperture": "database/ap{root}"},
)  # fmt: skip
def extract(*, width: float = 8.0):
    """Find, trace and extract the brightest spectrum."""
    return dict(QUIET, nfind=1, lower=-width, upper=width)


@run_task(
    "noao.twodspec.apextract.apall", inputs="input", outputs={"output": "e{root}.fits"},
    cals=["aperture"],
)  # fmt: skip
def extract_lamp(*, aperture):
    """Extract along the trace of an object."""
    name = aperture.path.name.removeprefix("ap")
    return dict(QUIET, references=name, find=False, trace=False, recenter=False)


@run_task(each="file", outputs={"entry": "database/id{root}"})
def mark_lines(df, *, step: float = 2.0):
    """Write down the lines of a lamp that is known."""
    name = df.filename.root
    path = Path(tempfile.mkdtemp(), "entry")
    lines = [(c, 5000 + step * c, 5000 + step * c, 4.0, 1, 1) for c in LINES + 1]
    fields = {
        "id": name, "task": "identify", "image": f"{name} - Ap 1", "aperture": 1,
        "aplow": None, "aphigh": None, "units": "Angstroms", "features": lines,
        "function": "chebyshev", "order": 2, "sample": "*", "naverage": 1,
        "niterate": 0, "low_reject": 3.0, "high_reject": 3.0, "grow": 0.0,
        "coefficients": [2, 2, 1, 400, 5000 + step * 200.5, step * 199.5],
    }  # fmt: skip
    add_db_entry(path, "identify", f"{name} - Ap 1", fields)
    return path


@run_task(
    "noao.onedspec.reidentify", inputs=("images", "reference"), cals=["lines"],
    outputs={"entry": "database/id{root}"},
)  # fmt: skip
def identify(*, lines):
    """Find the lines of one lamp in another."""
    return {"interactive": "no", "shift": 0, "search": 0, "coordlist": ""}


@run_task(each="file", prefix="r")
def refer(df, *, lamp: str):
    """Name the lamp of a spectrum."""
    df.meta["REFSPEC1"] = lamp
    return df


@run_task("noao.onedspec.dispcor", inputs="input", prefix="w", outputs="output",
          cals=["solution"])  # fmt: skip
def calibrate(*, solution):
    """Apply the wavelengths of the lamp."""
    return {}


@pytest.fixture
def _night(need, folder):
    need("iraf")
    y, x = np.mgrid[:60, :400]
    trace = np.exp(-0.5 * ((y - 30 - x / 200) / 2) ** 2)
    fits.PrimaryHDU((1000 * trace).astype("f4")).writeto("obj.fits")
    for name, shift in (("lamp", 0.0), ("second", 1.5)):
        lines = sum(np.exp(-0.5 * ((x - c - shift) / 2) ** 2) for c in LINES)
        fits.PrimaryHDU((500 * lines).astype("f4")).writeto(f"{name}.fits")


def night(step=2.0, width=8.0):
    """Reduce the night; give the spectrum."""
    summary.clear()
    target = extract("obj.fits", width=width)
    lamp, second = (
        extract_lamp(f"{name}.fits", aperture=target["aperture"])
        for name in ("lamp", "second")
    )
    lines = mark_lines(lamp, step=step)
    solution = identify(second, reference=lamp, lines=lines)
    referred = refer(target["output"], lamp="esecond")
    return calibrate(referred, solution=solution)


ALL = [
    "database/apobj", "database/idelamp", "database/idesecond", "elamp.fits",
    "eobj.fits", "esecond.fits", "reobj.fits", "wreobj.fits",
]  # fmt: skip


def test_databases_are_products():
    spectrum = night()
    assert sorted(summary.made) == ALL
    assert spectrum[0].meta["CD1_1"] == pytest.approx(2, abs=0.01)
    entry = PlainFile("database/idesecond")
    assert entry.record[-1]["step"] == "identify"
    assert [row["step"] for row in spectrum.record].count("identify") == 1
    (found,) = read_db("database/idesecond")
    assert found.fields["id"] == "esecond"
    assert why_stale(Path("wreobj.fits").absolute()) == []

    night()
    assert summary.made == []

    # Another identification makes again what used it, and that only.
    spectrum = night(step=3.0)
    assert sorted(summary.made) == [
        "database/idelamp", "database/idesecond", "wreobj.fits"
    ]  # fmt: skip
    assert spectrum[0].meta["CD1_1"] == pytest.approx(3, abs=0.01)

    # So does an edit of the user, which is kept.
    text = entry.text()
    entry.path.write_text(text.replace("features\t5", "features\t5 "))
    night(step=3.0)
    assert summary.made == ["wreobj.fits"]
    assert entry.text() != text
    night(step=3.0)
    assert summary.made == []

    # Another aperture makes all spectra again, and no line list.
    entry.path.write_text(text)
    night(step=3.0, width=6.0)
    assert "database/apobj" in summary.made
    assert "database/idesecond" in summary.made


def test_a_script_makes_them_again(capsys, tmp_path):
    spectrum = night()
    assert main(["script", "wreobj.fits"]) == 0
    script = tmp_path / "again.py"
    script.write_text(capsys.readouterr().out)
    again = tmp_path / "again"
    again.mkdir()
    done = subprocess.run(
        [sys.executable, script, tmp_path], cwd=again, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (again / "database/idesecond").exists()
    made = DataFile(again / "wreobj.fits")
    np.testing.assert_array_equal(made[0].data, spectrum[0].data)


def test_entries_of_others_are_not_seen():
    night()
    # It needs the entry of the second lamp, which lies there, and is given the first.
    with pytest.raises(StepError, match="database/idesecond"):
        calibrate("reobj.fits", solution="database/idelamp", out_names="x.fits")


def test_a_cleaned_and_a_planned_entry(capsys):
    night()
    assert main(["clean", "--keep", "final", "."]) == 0
    assert "apobj" in capsys.readouterr().out
    assert not Path("database/apobj").exists()
    assert not Path("database/idesecond").exists()
    night()
    assert summary.made == []
    night(width=6.0)
    assert Path("database/idesecond").exists()
    target = extract("obj.fits", width=5.0, dry_run=True)
    assert repr(target["aperture"]) == "PlainFile 'database/apobj' (not made)"
    plan = calibrate.plan("reobj.fits", solution=target["aperture"])
    assert plan.items[0].action == "replace"


def test_texts_of_tasks():
    @run_task("noao.onedspec.standard", inputs="input",
              outputs={"output": "{root}_std.dat"})  # fmt: skip
    def tabulate(*, star: str, caldir: str):
        """Add up the counts of a star in the bands of a table."""
        return {
            "star_name": star, "caldir": caldir, "extinction": "", "interact": False,
            "airmass": 1.0, "exptime": 1.0, "observatory": "kpno",
            "beam_switch": False, "samestar": True,
        }  # fmt: skip

    @run_task(
        "noao.onedspec.sensfunc", inputs="standards",
        outputs={"sensitivity": "{root}_sens.fits", "logfile": "{root}.log"},
    )  # fmt: skip
    def sensitivity(*, order: int = 2):
        """Fit the sensitivity."""
        return {
            "extinction": "", "newextinction": "", "interactive": False,
            "ignoreaps": True, "order": order, "observatory": "kpno", "graphs": "",
        }  # fmt: skip

    header = fits.Header(
        {"CTYPE1": "LINEAR", "CRVAL1": 5000.0, "CRPIX1": 1.0, "CDELT1": 2.0,
         "CD1_1": 2.0, "DC-FLAG": 0, "EXPTIME": 1.0, "AIRMASS": 1.0}
    )  # fmt: skip
    fits.PrimaryHDU(np.full(400, 1000, "f4"), header).writeto("star.fits")
    Path("tables").mkdir()
    rows = "".join(f"{w} 15.0 50\n" for w in range(5050, 5750, 50))
    Path("tables/fake.dat").write_text(f"# star\n{rows}")
    folder = f"{Path('tables').absolute()}/"

    def run(order=2):
        summary.clear()
        table = tabulate("star.fits", star="fake", caldir=folder)
        return table, sensitivity(table, order=order)

    table, made = run()
    assert isinstance(table, PlainFile)
    assert len(table.text().splitlines()) > 10
    assert np.ptp(made["sensitivity"][0].data) < 0.5
    assert "star" in made["logfile"].text()
    assert len(summary.made) == 3
    run()
    assert summary.made == []
    run(order=3)
    assert sorted(summary.made) == ["star_std.log", "star_std_sens.fits"]


def test_extensions_have_entries_of_their_own():
    with fits.open("obj.fits") as hdus:
        image = hdus[0].data
    made = [fits.ImageHDU(image * n, name="SCI", ver=n) for n in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *made]).writeto("two.fits")
    target = extract("two.fits")
    text = target["aperture"].text()
    assert "# in aptwo_1\n" in text
    assert "# in aptwo_2\n" in text
    again = run_task(
        "noao.twodspec.apextract.apall",
        inputs="input",
        outputs="output",
        prefix="a",
        cals=["aperture"],
    )(lambda *, aperture: dict(QUIET, find=False, trace=False, recenter=False))
    same = again("two.fits", aperture=target["aperture"])
    for one, other in zip(same, DataFile("etwo.fits"), strict=True):
        np.testing.assert_array_equal(one.data, other.data)
