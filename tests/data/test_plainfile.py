"""Files that are not FITS: opened by their type, with the record beside them."""

import copy
import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, FileName, PlainFile
from ndmapper.data.plainfile import open_file
from ndmapper.data.planned import PlannedFile, open_planned, plan_file
from ndmapper.errors import (
    FormatError,
    MissingFileError,
    ModeError,
    NotMadeError,
    OutputExistsError,
)
from ndmapper.io.digest import digest
from ndmapper.io.filetypes import in_database, is_plain
from ndmapper.io.record import side_path, write_side

ROW = {
    "schema": 2, "step": "fit", "product": "a.dat", "key": "sha256:1", "inputs": [],
    "calibrations": {}, "references": {}, "run": {}, "engine": "python",
    "module": None, "tool": {"name": "x", "version": None}, "output": None,
    "content": None, "parameters": {}, "config": {}, "source": None, "code": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "plain", "database"),
    [
        ("a.dat", True, False),
        ("a.ECSV", True, False),
        ("a.txt.gz", True, False),
        ("x/database/idarc", True, True),
        ("database/fcarc.ms_001", True, True),
        ("database/a.fits", False, False),
        ("a.fits", False, False),
        ("a.fits.fz", False, False),
        ("a.gz", False, False),
        ("idarc", False, False),
        ("MUSE.2017-06-16T01:34:56.867", False, False),
    ],
)
def test_what_is_plain_by_its_name(name, plain, database):
    assert is_plain(name) is plain
    assert is_plain(FileName(name)) is plain
    assert in_database(name) is database


def test_opened_by_type(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.dat").write_text("x y\n1 2\n")
    (tmp_path / "database").mkdir()
    (tmp_path / "database/idarc").write_text("begin\tidentify arc\n")
    fits.writeto("b.fits", np.zeros((2, 2)))
    fits.writeto("c.fits", np.zeros((2, 2)))
    (tmp_path / "c.fits").rename(tmp_path / "c.dat")  # FITS in spite of its name
    kinds = {name: type(open_file(name)) for name in ("a.dat", "b.fits", "c.dat")}
    assert kinds == {"a.dat": PlainFile, "b.fits": DataFile, "c.dat": DataFile}
    assert type(open_planned("database/idarc")) is PlainFile
    listed = DataFileList(["a.dat", "b.fits", "c.dat", "database/id*"])
    assert [type(f) for f in listed] == [PlainFile, DataFile, DataFile, PlainFile]
    listed.append("a.dat")
    assert repr(listed[-1]) == "PlainFile 'a.dat'"
    assert "a.dat" in listed._repr_html_()
    assert DataFileList(["dat"], data=[[]], mode="new")[0].mode == "new"
    assert str(DataFileList("a.dat", dirname=tmp_path)[0]) == str(tmp_path / "a.dat")
    with pytest.raises(MissingFileError, match=r"no\.dat does not exist"):
        open_file("no.dat")


def test_what_is_in_it(tmp_path):
    Table({"wave": [1.0, 2.0]}).write(tmp_path / "a.ecsv")
    made = PlainFile(tmp_path / "a.ecsv")
    assert made.path == tmp_path / "a.ecsv"
    assert made.text().startswith("# %ECSV")
    assert list(made.table()["wave"]) == [1, 2]
    assert made.is_made
    assert made.unloaded
    assert made.unchanged
    (tmp_path / "b.png").write_bytes(b"\x89PNG\xff")
    picture = PlainFile(tmp_path / "b.png")
    with pytest.raises(FormatError, match="no text in UTF-8"):
        picture.text()
    with pytest.raises(FormatError, match=r"b\.png has no type of a table"):
        picture.table()
    with pytest.raises(FormatError, match="cannot be read as a table"):
        picture.table(format="ascii.ecsv")
    for look in (
        lambda: picture.meta,
        lambda: picture[0],
        lambda: list(picture),
        lambda: picture + 1,
        lambda: picture.tables,
    ):
        with pytest.raises(FormatError, match=r"b\.png is not FITS, so it has no imag"):
            look()


def test_record_lies_beside_it_and_is_read_anew(tmp_path):
    path = tmp_path / "a.dat"
    path.write_text("1\n")
    made = PlainFile(path)
    assert made.record == []
    write_side(path, [ROW])
    assert made.record == [ROW]
    side_path(path).unlink()
    assert made.record == []


def test_content_in_memory_is_saved_with_its_record(tmp_path):
    made = PlainFile(tmp_path / "a.dat", b"1 2\n")
    made.record = [ROW]
    assert (made.text(), made.unloaded, made.unsaved_key) == (
        "1 2\n",
        False,
        ROW["key"],
    )
    made.save(tmp_path / "b.dat")
    assert (tmp_path / "b.dat").read_text() == "1 2\n"
    assert not (tmp_path / "a.dat").exists()
    assert made.unloaded
    assert made.unsaved_key is None
    (row,) = PlainFile(tmp_path / "b.dat").record
    assert row["product"] == "b.dat"
    assert row["content"] == digest(tmp_path / "b.dat")
    with pytest.raises(ModeError):
        PlainFile(tmp_path / "b.dat").save()
    with pytest.raises(OutputExistsError):
        PlainFile(tmp_path / "b.dat", b"3").save()
    PlainFile(tmp_path / "b.dat", b"3").save(overwrite=True)
    assert made.read_bytes() == b"3"
    assert made.record == []


def test_copies_and_pickles(tmp_path):
    made = PlainFile(tmp_path / "a.dat", b"1 2\n")
    made.cals["arc"] = other = PlainFile(tmp_path / "b.dat", b"3")
    for new in (made.copy(), copy.copy(made), copy.deepcopy(made)):
        assert isinstance(new, PlainFile)
        assert new.text() == "1 2\n"
        new.filename = "c.dat"
        new.cals.clear()
    assert str(made) == str(tmp_path / "a.dat")
    assert made.cals == {"arc": other}
    again = pickle.loads(pickle.dumps(made))
    assert again.text() == "1 2\n"
    assert again.cals["arc"].text() == "3"


def test_planned(tmp_path):
    path = tmp_path / "a.dat"
    planned = plan_file(path, [ROW], {})
    assert isinstance(planned, PlainFile)
    assert open_planned(path) is planned
    assert repr(planned) == f"PlainFile {str(path)!r} (not made)"
    assert not planned.is_made
    assert planned.record == [ROW]
    with pytest.raises(NotMadeError):
        planned.text()
    with pytest.raises(FormatError):
        _ = planned.meta
    unmade = pickle.loads(pickle.dumps(planned))
    assert type(unmade) is type(planned)
    assert unmade.record == [ROW]

    made = plan_file(path, [ROW], {}, lambda: path.write_text("1 2\n"))
    assert made.can_be_made
    assert made.text() == "1 2\n"
    assert made.is_made
    assert made.record == []  # nothing has written one
    assert type(pickle.loads(pickle.dumps(made))) is PlainFile
    assert copy.deepcopy(made).text() == "1 2\n"
    assert type(plan_file("x.fits", [], {})) is PlannedFile


def test_an_empty_file_holds_no_table(tmp_path):
    path = tmp_path / "x.dat"
    path.write_text("\n")
    with pytest.raises(FormatError, match="is empty, so there is no table in it"):
        PlainFile(path).table()
