"""Text databases of IRAF, and how tasks that follow each other share them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile
from ndmapper.engines import Job, Outcome
from ndmapper.engines.iraf.shared_database import SharedDatabase
from ndmapper.errors import FormatError, MissingFileError, ParameterError
from ndmapper.iraf_task import add_db_entry, db_path, read_db

RunTask = Callable[..., Outcome]

TEXT = """\
# Thu 00:11:09 26-Nov-2026
begin\tidentify arc - Ap 1
\tid\tarc
\ttask\tidentify
\timage\tarc - Ap 1
\tfeatures\t2
\t         51.00 202.9 INDEF   4.0 1 1
\t        121.00 202.9 121.    4.0 1 1 Hg I
\tfunction chebyshev
\tcoefficients\t3
\t\t1.
\t\t-2.5
\t\t1.0E3

# Thu 00:12:09 26-Nov-2026
begin\taperture spec 1 100. 30.
\timage\tspec
\tcenter\t100. 30.
\tbackground
\t\txmin -10.
\t\tfunction chebyshev
\taxis\t2
"""


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    made = tmp_path / "database" / "idarc"
    made.parent.mkdir()
    made.write_text(TEXT)
    return made


def test_read(database_file: Path) -> None:
    one, other = read_db(database_file)
    assert (one.kind, one.name) == ("identify", "arc - Ap 1")
    assert one.fields["image"] == "arc - Ap 1"
    assert one.fields["function"] == "chebyshev"
    assert one.numbers("coefficients") == [1, -2.5, 1000]
    assert len(one.fields["features"]) == 2
    assert one.fields["features"][1][-2:] == ("Hg", "I")
    assert (other.kind, other.name) == ("aperture", "spec 1 100. 30.")
    assert other.numbers("center") == [100, 30]
    assert other.fields["background"] == (("xmin", "-10."), ("function", "chebyshev"))
    assert one.text + other.text == TEXT


def test_numbers_that_are_none(database_file: Path) -> None:
    one, _ = read_db(database_file)
    with pytest.raises(FormatError, match="has no 'shift'; it has id, task"):
        one.numbers("shift")
    with pytest.raises(FormatError, match="no numbers alone"):
        one.numbers("features")


def test_add_keeps_the_rest(database_file: Path) -> None:
    fields = {"image": "x", "coefficients": np.array([1.0, 2.5]), "features":
              [(1, None), (2, math.nan)], "background": {"xmin": -1.0}}  # fmt: skip
    add_db_entry(database_file, "identify", "x - Ap 1", fields)
    add_db_entry(database_file, "identify", "x - Ap 1", fields)
    assert database_file.read_text().startswith(TEXT)
    *_, new = read_db(database_file)
    assert len(read_db(database_file)) == 3
    assert new.numbers("coefficients") == [1, 2.5]
    assert new.fields["features"] == (("1", "INDEF"), ("2", "INDEF"))
    assert new.fields["background"] == (("xmin", "-1"),)
    assert [p.name for p in database_file.parent.iterdir()] == ["idarc"]


def test_add_replaces(database_file: Path) -> None:
    add_db_entry(database_file, "identify", "arc - Ap 1", {"image": "new"})
    entries = read_db(database_file)
    assert [e.kind for e in entries] == ["aperture", "identify"]
    assert entries[1].fields == {"image": "new"}


def test_add_makes_a_file(tmp_path: Path) -> None:
    path = db_path("identify", "arc.fits", tmp_path / "db")
    add_db_entry(path, "identify", "arc", {"yes": True, "n": 3})
    assert path == tmp_path / "db" / "idarc"
    assert read_db(path)[0].fields == {"yes": "yes", "n": "3"}


@pytest.mark.parametrize(
    ("kind", "name", "fields"),
    [
        ("identify\nbegin x", "arc", {}), ("identify", "a\nbegin", {}),
        ("identify", "arc", {"key": "a\nb"}), ("identify", "arc", {"a b": 1}),
        ("identify", "arc", {"key": [["a", "b\n"]]}),
        ("identify", "arc", {"key": {"a\n": 1}}),
    ],
)  # fmt: skip
def test_nothing_else_can_be_slipped_in(
    database_file: Path, kind: str, name: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(ParameterError):
        add_db_entry(database_file, kind, name, fields)
    assert database_file.read_text() == TEXT


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="does not exist"):
        read_db(tmp_path / "idx")
    (tmp_path / "idx").write_bytes(b"begin\tx\0")
    with pytest.raises(FormatError, match="not a text database"):
        read_db(tmp_path / "idx")
    (tmp_path / "idx").write_text("begin\tx y\n\t1. 2.\n")
    with pytest.raises(FormatError, match="not a text database"):
        read_db(tmp_path / "idx")
    with pytest.raises(ParameterError, match="kind must be one of"):
        db_path("nothing", "x")


def arc(path: Path, shift: float) -> Path:
    x = np.arange(400.0)
    lines = (50, 120, 200, 290, 350)
    values = sum(1000 * np.exp(-0.5 * ((x - c - shift) / 2) ** 2) for c in lines)
    fits.PrimaryHDU(np.asarray(values, "float32")).writeto(path)
    return path


def entry_of(name: str) -> dict[str, Any]:
    lines = np.array([50, 120, 200, 290, 350]) + 1.0
    features = [(c, 5000 + 2 * c, 5000 + 2 * c, 4.0, 1, 1) for c in lines]
    return {
        "id": name, "task": "identify", "image": f"{name} - Ap 1", "aperture": 1,
        "aplow": None, "aphigh": None, "units": "Angstroms", "features": features,
        "function": "chebyshev", "order": 2, "sample": "*", "naverage": 1,
        "niterate": 0, "low_reject": 3.0, "high_reject": 3.0, "grow": 0.0,
        "coefficients": [2, 2, 1, 400, 5401, 399],
    }  # fmt: skip


@pytest.mark.iraf
def test_a_chain_shares_its_database(run_iraf: RunTask, tmp_path: Path) -> None:
    path = db_path("identify", "ref.fits", tmp_path / "database")
    add_db_entry(path, "identify", "ref - Ap 1", entry_of("ref"))
    reference, other = arc(tmp_path / "ref.fits", 0), arc(tmp_path / "obj.fits", 1.5)
    run_iraf(
        "noao.onedspec.reidentify", {"reference": reference, "images": other},
        interactive="no", shift=0, search=0, coordlist="",
    )  # fmt: skip
    (made,) = read_db(db_path("identify", "obj.fits", tmp_path / "database"))
    assert made.fields["id"] == "obj"
    features = np.array(
        [[float(w) for w in row[:2]] for row in made.fields["features"]]
    )
    np.testing.assert_allclose(features[:, 0], np.array([51, 121, 201, 291, 351]) + 1.5,
                               atol=0.05)  # fmt: skip
    with fits.open(other, mode="update") as hdus:
        hdus[0].header["REFSPEC1"] = "obj"
    outcome = run_iraf("noao.onedspec.dispcor", {"input": other}, {"output": "w.fits"})
    assert outcome.products["output"][0].meta["CD1_1"] == pytest.approx(2, abs=1e-3)


@pytest.mark.iraf
def test_made_again_it_is_the_same(run_iraf: RunTask, tmp_path: Path) -> None:
    y, _ = np.mgrid[:60, :100]
    fits.PrimaryHDU(
        (1000 * np.exp(-0.5 * ((y - 30) / 2) ** 2)).astype("float32")
    ).writeto(tmp_path / "spec.fits")

    def extract(**other: Any) -> float:
        outcome = run_iraf(
            "noao.twodspec.apextract.apall", {"input": tmp_path / "spec.fits"},
            {"output": "e.fits"}, interactive=False, nfind=1, resize=False, edit=False,
            fittrace=False, extras=False, review=False, apextract_dispaxis=1, **other,
        )  # fmt: skip
        return float(outcome.products["output"][0].data.mean())

    narrow = extract(lower=-1, upper=1)
    # Apertures found before would win over what is asked now.
    wide = extract(lower=-8, upper=8)
    assert wide > 1.5 * narrow
    # But what somebody changed by hand is taken.
    path = tmp_path / "database" / "apspec"
    path.write_text(path.read_text().replace("-8.", "-1.").replace(" 8.", " 1."))
    assert extract(lower=-8, upper=8) == pytest.approx(narrow)


@pytest.mark.parametrize("by_hand", [True, False])
def test_decisions_of_the_user_are_given_again(
    job_for: Callable[..., Job], tmp_path: Path, *, by_hand: bool
) -> None:
    settings = {"outdir": str(tmp_path / "out")}

    def share(task: str, number: int, *, by_hand: bool) -> tuple[SharedDatabase, Path]:
        folder = tmp_path / str(number)
        folder.mkdir()
        job = job_for(task, folder, settings=settings)
        shared = SharedDatabase(job, folder, by_hand=by_hand)
        shared.fetch()
        return shared, folder / "database" / "idarc"

    first, path = share("noao.onedspec.identify", 1, by_hand=by_hand)
    path.parent.mkdir()
    path.write_text(TEXT)
    (path.parent / "..odd name").write_text("x")
    first.keep()
    kept = tmp_path / "out" / "database"
    assert [p.name for p in kept.iterdir()] == ["idarc"]
    _, path = share("noao.onedspec.identify", 2, by_hand=False)
    assert path.exists() == by_hand
    # Other tasks, and the user, always see it.
    assert share("noao.onedspec.reidentify", 3, by_hand=False)[1].read_text() == TEXT
    assert share("noao.onedspec.identify", 4, by_hand=True)[1].exists()
    (kept / "idarc").write_text(TEXT + "# edited\n")
    assert share("noao.onedspec.identify", 5, by_hand=False)[1].exists()


@pytest.mark.iraf
@pytest.mark.parametrize("as_file", [True, False])
def test_a_task_sees_what_it_wrote_for_another_file(
    run_iraf: RunTask, tmp_path: Path, *, as_file: bool
) -> None:
    y, x = np.mgrid[:100, :60]
    for name, flux in (("bright", 5000.0), ("faint", 50.0)):
        image = flux * np.exp(-0.5 * ((x - 30 - y / 50) / 2) ** 2)
        fits.PrimaryHDU(image.astype("float32")).writeto(tmp_path / f"{name}.fits")
    quiet: dict[str, Any] = {
        "interactive": False, "edit": False, "review": False, "resize": False,
        "fittrace": False, "extras": False, "recenter": False,
        "apextract_dispaxis": 2,
    }  # fmt: skip

    def extract(name: str, **given: Any) -> np.ndarray:
        outcome = run_iraf(
            "noao.twodspec.apextract.apall", {"input": tmp_path / f"{name}.fits"},
            {"output": f"{name}_1d.fits"}, **quiet, **given,
        )  # fmt: skip
        return np.asarray(outcome.products["output"][0].data)

    bright = extract("bright", nfind=1, find=True, trace=True)
    given: Any = DataFile(tmp_path / "bright.fits") if as_file else "bright"
    faint = extract("faint", references=given, find=False, trace=False)
    np.testing.assert_allclose(faint, bright / 100, rtol=1e-4)
    # Made again, each is the same as before.
    again = extract("faint", references=given, find=False, trace=False)
    np.testing.assert_array_equal(again, faint)
    again = extract("bright", nfind=1, find=True, trace=True)
    np.testing.assert_array_equal(again, bright)


class Writer:
    """Jobs that write into a database, without a task."""

    def __init__(self, job_for: Callable[..., Job], tmp_path: Path) -> None:
        self.job_for, self.tmp_path, self.count = job_for, tmp_path, 0
        self.file = tmp_path / "out" / "database" / "apx"

    def run(self, product: str, text: str | None, task: str = "a.apall") -> str:
        """Write a file, where there is text for it; give what is seen before."""
        self.count += 1
        folder = self.tmp_path / str(self.count)
        folder.mkdir()
        job = self.job_for(
            task, folder, None, {"output": product},
            settings={"outdir": str(self.tmp_path / "out")},
        )  # fmt: skip
        shared = SharedDatabase(job, folder, by_hand=False)
        shared.fetch()
        path = folder / "database" / "apx"
        seen = path.read_text() if path.exists() else ""
        path.parent.mkdir(exist_ok=True)
        if text is not None:
            path.write_text(text)
        shared.keep()
        return seen


def aperture(center: int) -> str:
    return f"# now\nbegin\taperture x 1 {center}.\n\tcenter\t{center}.\n"


def test_what_is_made_again_sees_what_was_there_before_it(
    job_for: Callable[..., Job], tmp_path: Path
) -> None:
    writer = Writer(job_for, tmp_path)
    assert writer.run("one.fits", aperture(1)) == ""
    # Another product of the same task is built upon it, and takes its place.
    assert writer.run("two.fits", aperture(2)) == aperture(1)
    assert writer.run("two.fits", aperture(3)) == aperture(1)
    assert writer.file.read_text() == aperture(3)
    # The first one must not see what was made of its own entry; that is gone then.
    assert writer.run("one.fits", aperture(4)) == ""
    assert writer.file.read_text() == aperture(4)
    assert writer.run("two.fits", aperture(5)) == aperture(4)
    # Somebody has edited it, which counts for all.
    writer.file.write_text(aperture(6))
    assert writer.run("one.fits", None) == aperture(6)


def test_entries_of_others_in_the_same_file_stay(
    job_for: Callable[..., Job], tmp_path: Path
) -> None:
    writer = Writer(job_for, tmp_path)
    other = aperture(9).replace("x 1", "y 1")
    writer.run("one.fits", aperture(1))
    assert writer.run("two.fits", aperture(1) + other) == aperture(1)
    assert writer.run("one.fits", other + aperture(2)) == other
    assert writer.file.read_text() == aperture(2) + other
    assert writer.run("two.fits", aperture(2) + other) == aperture(2)
    # Another task for the same product sees all.
    assert writer.run("two.fits", None, task="a.apedit") == aperture(2) + other


@pytest.mark.iraf
def test_commands_of_the_cursor_from_a_file(run_iraf: RunTask, tmp_path: Path) -> None:
    path = arc(tmp_path / "obj.fits", 0)
    commands = tmp_path / "cursor commands.txt"
    commands.write_text("51 1 1 k\n200 1 1 k\n1 1 1 q\n")
    outcome = run_iraf(
        "noao.onedspec.splot", {"images": path}, cursor=commands, save_file="splot.log"
    )
    assert outcome.products == {}
    assert "eqw" in outcome.log or "center" in outcome.log


def make_arc(path: Path, shift: float) -> Path:
    """Write an arc whose lines are at 4000 + 2 x + shift, a little tilted."""
    x, rows = np.arange(1.0, 201.0), np.arange(-10.0, 10.0)
    image = np.zeros((rows.size, x.size))
    for position in LINES:
        center = position - shift + 0.02 * rows[:, np.newaxis]
        image += 1000 * np.exp(-(((x - center) / 2) ** 2))
    hdu = fits.PrimaryHDU(image.astype("float32"))
    hdu.header["DISPAXIS"] = 1
    hdu.writeto(path)
    return path


LINES = (30.0, 75.0, 120.0, 170.0)


def test_coordinates_of_a_long_slit(run_iraf: RunTask, tmp_path: Path) -> None:
    """Each task finds what the one before it wrote, whatever the files are called."""
    longslit = "noao.twodspec.longslit"
    first = make_arc(tmp_path / "first.fits", 0)
    other = make_arc(tmp_path / "an other [2].fits", 1.5)
    lines = tmp_path / "lines of the lamp.dat"
    lines.write_text("".join(f"{4000 + 2 * x}\n" for x in LINES))
    add_db_entry(
        db_path("identify", "first"), "identify", "first[*,10]",
        {
            "id": "first[*,10]", "task": "identify", "image": "first[*,10]",
            "features": [(x, y := 4000 + 2 * x, y, 4, 1, 1) for x in LINES],
            "function": "legendre", "order": 2, "sample": "*", "naverage": 1,
            "niterate": 0, "low_reject": 3, "high_reject": 3, "grow": 0,
            "coefficients": [2, 2, 1, 200, 4201, 199],
        },
    )  # fmt: skip
    for path, own in ((first, "first"), (other, "an_other_2")):
        # The reference is the input, opened once more, or another file.
        outcome = run_iraf(
            f"{longslit}.reidentify", {"images": path}, {"images": f"id{path.name}"},
            reference=DataFile(first), interactive=False, section="middle line",
            step=3, coordlist=lines, crval="INDEF", cdelt="INDEF", trace=True,
            newaps=True, override=True, refit=True,
        )  # fmt: skip
        assert outcome.products["images"][0].meta["REFSPEC1"] == own
        run_iraf(f"{longslit}.fitcoords", {"images": path}, interactive=False,
                 fitname="", xorder=2, yorder=2)  # fmt: skip
        product = run_iraf(
            f"{longslit}.transform", {"input": path}, {"output": f"t{path.name}"},
            fitnames=DataFile(path), x1=4000, x2=4400, dx=2,
        ).products["output"]  # fmt: skip
        # The lines are straight, and where they belong.
        mean = product[0].data[2:-2].mean(axis=0)
        for position in LINES:
            around = slice(int(position) - 8, int(position) + 9)
            pixels = np.arange(200)[around] * 2 + 4000
            weights = mean[around]
            center = np.sum(pixels * weights) / np.sum(weights)
            assert center == pytest.approx(4000 + 2 * position, abs=0.1)
    names = sorted(p.name for p in (tmp_path / "database").iterdir())
    assert names == ["fcan_other_2", "fcfirst", "idan_other_2", "idfirst"]
