"""Text, tables and pictures as products of steps: like FITS files in every respect."""

import json
from pathlib import Path

import pytest
from astropy.table import Table
from matplotlib.figure import Figure

from ndmapper.calibrations import associate_cals
from ndmapper.cli.command import main
from ndmapper.config import config
from ndmapper.data import DataFile, PlainFile
from ndmapper.errors import OutputExistsError, PlanError, StepError
from ndmapper.io.digest import digest
from ndmapper.io.record import pending_path, side_path
from ndmapper.steps import run_task
from ndmapper.steps.clean import find_removable, remove
from ndmapper.steps.record.summary import summary

pytestmark = pytest.mark.usefixtures("reprocess_auto")


@run_task(each="file")
def measure(df, *, scale: float = 1.0):
    """Measure the first pixel of every extension."""
    return Table({"ident": df.idents, "value": [scale * n.data[0, 0] for n in df]})


@run_task(each="file", outputs=("image", "text", "plot"))
def split(df, *, factor: float = 2.0):
    """Give an image, a text and a plot."""
    figure = Figure()
    figure.add_subplot().plot([0, factor])
    return {"image": df * factor, "text": f"factor {factor}\n", "plot": figure}


@run_task(prefix="c", cals=["table"])
def correct(ndd, table):
    """Subtract what was measured."""
    found = table.table()
    return ndd - float(found["value"][list(found["ident"]).index(ndd.ident)])


@run_task(each="file")
def convert(plain, *, unit: str = "m"):
    """Make a text of a table."""
    return f"{unit}: {sum(plain.table()['value'])}\n"


NAMES = {"image": "i.fits", "text": "t.txt", "plot": "p.pdf"}


def test_a_table_is_a_product(make_raw):
    raw = make_raw("a.fits")
    table = measure(raw, out_names="a.ecsv")
    assert isinstance(table, PlainFile)
    assert list(table.table()["value"]) == [10, 20]
    assert not Path("a.fits.fits").exists()
    (row,) = table.record
    assert side_path(table.path.absolute()).exists()
    assert (row["step"], row["product"]) == ("measure", "a.ecsv")
    assert row["content"] == digest("a.ecsv")
    before = Path("a.ecsv").stat()
    summary.clear()
    measure(raw, out_names="a.ecsv")
    assert summary.made == []
    assert Path("a.ecsv").stat().st_mtime_ns == before.st_mtime_ns
    measure(raw, out_names="a.ecsv", scale=2.0)
    assert summary.made == ["a.ecsv"]
    assert list(PlainFile("a.ecsv").table()["value"]) == [20, 40]


def test_products_of_several_kinds_go_together(make_raw):
    made = split(make_raw("a.fits"), out_names=NAMES)
    assert made["text"].text() == "factor 2.0\n"
    assert made["plot"].read_bytes().startswith(b"%PDF")
    assert made["image"][0].data[0, 0] == 20
    before = Path("p.pdf").read_bytes()
    Path("t.txt").unlink()
    summary.clear()
    split("a.fits", out_names=NAMES)
    assert sorted(summary.made) == ["i.fits", "p.pdf", "t.txt"]
    assert Path("p.pdf").read_bytes() == before  # without a date


def test_as_calibration_and_input(make_raw):
    raw = make_raw("a.fits")
    table = measure(raw, out_names="a.ecsv")
    corrected = correct(raw, table=table)
    assert [float(n.data[0, 0]) for n in corrected] == [0, 0]
    assert corrected.record[-1]["calibrations"]["table"]["key"]
    assert corrected.record[0]["step"] == "measure"
    text = convert("a.ecsv", out_names="a.txt")
    assert text.text() == "m: 30.0\n"

    df = associate_cals("a.ecsv", DataFile(raw), "table")
    assert isinstance(df.cals["table"], PlainFile)
    summary.clear()
    correct(df)
    assert summary.made == []
    document = {
        "associations": {"a.fits": {"table": "a.ecsv"}}, "calibrations": {},
        "checksums": {},
    }  # fmt: skip
    df = associate_cals([], DataFile(raw), "table", cal_dict=document)
    correct(df)
    assert summary.made == []

    # Another table makes what used it stale, and that only.
    measure(raw, out_names="a.ecsv", scale=3.0)
    other = make_raw("b.fits")
    measure(other, out_names="b.ecsv")
    summary.clear()
    correct(raw, table="a.ecsv")
    convert("a.ecsv", out_names="a.txt")
    assert sorted(summary.made) == ["a.txt", "ca.fits"]
    # So does an edit.
    Path("a.ecsv").write_text(Path("a.ecsv").read_text().replace("30.0", "31.0"))
    summary.clear()
    assert correct(raw, table="a.ecsv")[0].data[0, 0] == -21
    assert summary.made == ["ca.fits"]
    # The edited table is kept.
    measure(raw, out_names="a.ecsv", scale=4.0)
    assert "31.0" in Path("a.ecsv").read_text()


def test_what_no_step_made_is_not_replaced(make_raw):
    raw = make_raw("a.fits")
    Path("a.ecsv").write_text("mine\n")
    with pytest.raises(OutputExistsError, match=r"replace a\.ecsv, which no step made"):
        measure(raw, out_names="a.ecsv", reprocess=True)
    assert Path("a.ecsv").read_text() == "mine\n"


def test_published_without_its_record_is_made_again(make_raw):
    table = measure(make_raw("a.fits"), out_names="a.ecsv")
    side = side_path(table.path.absolute())
    side.rename(pending_path(table.path.absolute()))
    summary.clear()
    measure("a.fits", out_names="a.ecsv")
    assert summary.made == ["a.ecsv"]
    assert side.exists()


def test_names_of_what_gives_images_are_fits(make_raw):
    raw = make_raw("a.fits")
    with pytest.raises(PlanError, match=r"x\.dat is no name for a product"):
        correct(raw, table=None, out_names="x.dat")
    with pytest.raises(PlanError, match=r"x\.txt\.gz is no name for a product"):
        measure(raw, out_names="x.txt.gz")


def test_results_that_a_file_cannot_hold(make_raw):
    raw = make_raw("a.fits")
    with pytest.raises(StepError, match=r"a Table, which goes to a file of type cat"):
        measure(raw, out_names="x.png")
    names = {"image": "x.dat", "text": "t.txt", "plot": "p.pdf"}
    with pytest.raises(StepError, match=r"for x\.dat, and returned a DataFile"):
        split(raw, out_names=names)
    assert not Path("t.txt").exists()
    measure(raw, out_names="a.ecsv")
    with pytest.raises(StepError, match="is not FITS, so it has no image for correct"):
        correct("a.ecsv", table="a.ecsv", out_names="b.fits")


def test_in_memory_and_in_a_chain(make_raw):
    raw = make_raw("a.fits")
    made = measure(raw, out_names="a.ecsv", save=False)
    assert not Path("a.ecsv").exists()
    assert list(made.table()["value"]) == [10, 20]
    corrected = correct(raw, table=made)
    made.save()
    summary.clear()
    correct(raw, table="a.ecsv")
    measure(raw, out_names="a.ecsv")
    assert summary.made == []
    assert corrected.record[0]["product"] == "a.ecsv"


def test_a_dry_run_and_a_cleaned_table(make_raw):
    raw = make_raw("a.fits")
    planned = measure(raw, out_names="a.ecsv", dry_run=True)
    assert repr(planned) == "PlainFile 'a.ecsv' (not made)"
    assert correct(raw, table=planned, dry_run=True).record[-1]["step"] == "correct"
    convert(measure(raw, out_names="a.ecsv"), out_names="a.txt")
    (table,) = [c for c in find_removable(Path()) if c.kept is None]
    assert table.path == Path("a.ecsv")
    remove(table.path)
    summary.clear()
    cleaned = measure(raw, out_names="a.ecsv")
    convert(cleaned, out_names="a.txt")
    assert summary.made == []
    assert not Path("a.ecsv").exists()
    convert(cleaned, out_names="a.txt", unit="km")
    assert sorted(summary.made) == ["a.ecsv", "a.txt"]


def test_workers_and_lists(make_raw):
    raws = [make_raw("a.fits", (1.0,)), make_raw("b.fits", (2.0,))]
    with config.using(outdir="out"):
        made = measure(raws, out_names=["a.ecsv", "b.ecsv"], workers=2)
    assert [str(f) for f in made] == ["out/a.ecsv", "out/b.ecsv"]
    assert [f.table()["value"][0] for f in made] == [1, 2]


def test_sets_of_texts(make_raw):
    raw = make_raw("a.fits")

    @run_task(each="file", by="ident", outputs={"table": "{base}-{ident:02d}.ecsv"})
    def split_up(df, *, scale: float = 1.0):
        """Measure each extension by itself."""
        return Table({"ident": df.idents, "value": [scale * df[0].data[0, 0]]})

    @run_task(each="file", outputs={"text": "{base}_{ident}.txt"})
    def write(tables):
        """Write a text for each table."""
        return {key: str(one.table()["value"][0]) for key, one in tables.items()}

    @run_task(each="file", outputs={"text": "{base}_{ident}.txt"})
    def forget(tables):
        """Write one text."""
        return "x"

    tables = split_up(raw)
    assert [str(f) for f in tables.values()] == ["a-01.ecsv", "a-02.ecsv"]
    texts = write(tables)
    assert [f.text() for f in texts.values()] == ["10.0", "20.0"]
    assert Path("a_2.txt").exists()
    summary.clear()
    write(split_up(raw))
    assert summary.made == []
    with pytest.raises(StepError, match="must return a mapping of key to content"):
        forget(tables, out_names="b_{ident}.txt")


def test_a_command_writes_text(make_raw, tmp_path):
    raw = make_raw("a.fits")

    @run_task("command:sh", inputs="frame", outputs=("words", "copy"), argv=[
        "-c", 'printf "%s" "$3" >"$1"; cat "$2" >>"$1"; cp "$4" "$5"', "sh", "{words}",
        "{note}", "{text}", "{frame}", "{copy}",
    ])  # fmt: skip
    def write(*, note, text="hello "):
        """Write a text."""
        return {"note": note, "text": text}

    Path("note.txt").write_text("world\n")
    names = {"words": "w.txt", "copy": "c.fits"}
    made = write(raw, note=PlainFile("note.txt"), out_names=names)
    assert made["words"].text() == "hello world\n"
    assert made["copy"][0].data[0, 0] == 10
    summary.clear()
    write(raw, note=PlainFile("note.txt"), out_names=names)
    assert summary.made == []
    Path("note.txt").write_text("moon\n")
    write(raw, note=PlainFile("note.txt"), out_names=names)
    assert PlainFile("w.txt").text() == "hello moon\n"


def test_what_the_user_does_in_a_tool_counts(make_raw, tmp_path):
    typed = tmp_path / "typed"

    @run_task(
        "command:sh",
        inputs="frame",
        outputs={"words": "{root}.txt"},
        argv=["-c", f'cat {typed} >"$1"', "sh", "{words}", "{frame}"],
    )
    def ask():
        """Stand for a tool in which the user types something."""

    @run_task(each="file", outputs={"text": "{root}.log"})
    def follow(plain):
        """Make something of it."""
        return plain.text() * 2

    def run(answer, **words):
        typed.write_text(answer)
        summary.clear()
        follow(ask(make_raw("a.fits") if not Path("a.fits").exists() else "a.fits",
                   **words))  # fmt: skip
        return sorted(summary.made)

    assert run("one", interact=True) == ["a.log", "a.txt"]
    assert run("ignored") == []
    assert run("one", interact=True, reprocess=True) == ["a.txt"]
    assert run("two", interact=True, reprocess=True) == ["a.log", "a.txt"]
    assert PlainFile("a.log").text() == "twotwo"
    assert run("ignored") == []


def test_the_command_line_shows_it(make_raw, capsys):
    raw = make_raw("a.fits")
    measure(raw, out_names="a.ecsv")
    convert("a.ecsv", out_names="a.txt")
    assert main(["log", "a.txt"]) == 0
    assert "a.ecsv  by measure" in capsys.readouterr().out
    assert main(["info", "--json", "a.ecsv"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["name"]["ext"] == "ecsv"
    assert found["record"] == ["measure"]
    assert main(["info", "a.ecsv", "a.fits"]) == 0
    assert "the last is measure" in capsys.readouterr().out
    assert main(["ls", "--json", "."]) == 0
    listed = {row["file"]: row["why"] for row in json.loads(capsys.readouterr().out)}
    assert list(listed) == ["a.fits", "a.ecsv", "a.txt"]
    assert listed["a.txt"] == "a product of ndmapper (convert), not FITS"
    assert main(["ls", "."]) == 0
    assert "a.ecsv" in capsys.readouterr().out
    assert main(["diff", "a.txt", "a.txt"]) == 0
    Path("b.txt").write_text("m: 31.0\n")
    capsys.readouterr()
    assert main(["diff", "a.txt", "b.txt"]) != 0
    shown = capsys.readouterr().out
    assert "-m: 30.0" in shown
    assert "+m: 31.0" in shown
    assert main(["diff", "a.txt", "a.fits"]) != 0
    assert "a.fits is FITS, the other is not" in capsys.readouterr().out
    assert main(["why", "a.txt"]) == 0
    Path("a.ecsv").write_text("x\n")
    assert main(["why", "a.txt"]) == 3
    assert "input a.ecsv was changed by hand" in capsys.readouterr().out
