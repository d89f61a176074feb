"""Entries of a database that are declared: which a task sees, and which it has made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ndmapper.data import PlainFile
from ndmapper.engines import Job
from ndmapper.engines.iraf.entries import find_made, iraf_name, put_entry
from ndmapper.engines.iraf.failures import ProductError
from ndmapper.engines.iraf.shared_database import SharedDatabase
from ndmapper.io.record import write_side

ROW = {
    "schema": 2, "step": "identify", "product": "database/idarc", "key": "sha256:1",
    "inputs": [], "calibrations": {}, "references": {}, "run": {},
}  # fmt: skip

See = Callable[..., list[str]]


@pytest.fixture
def see(job_for: Callable[..., Job], tmp_path: Path) -> See:
    """Say which files a task finds in its database."""

    def look(*given: Path, by_hand: bool = False) -> list[str]:
        folder = tmp_path / "job"
        folder.mkdir(exist_ok=True)
        for path in (folder / "database").glob("*"):
            path.unlink()
        job = job_for(
            "noao.onedspec.identify", folder, outputs={"entry": "database/idarc"},
            settings={"outdir": str(tmp_path / "out")}, lines=[*map(PlainFile, given)],
        )  # fmt: skip
        shared = SharedDatabase(job, folder, by_hand=by_hand)
        shared.fetch()
        assert shared.replays == (not by_hand and "idarc" in names(folder))
        return names(folder)

    return look


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "database").glob("*"))


def test_what_a_task_sees(see: See, tmp_path: Path) -> None:
    database = tmp_path / "out" / "database"
    database.mkdir(parents=True)
    for name in ("idarc", "idother", "idshared", "idgiven"):
        (database / name).write_text(f"begin\tidentify {name[2:]}\n\tid\tx\n")
        if name != "idshared":
            write_side(database / name, [ROW])
    assert see() == ["idgiven", "idother", "idshared"]
    assert see(by_hand=True) == ["idarc", "idgiven", "idother", "idshared"]
    # One that is given entries sees no other products, but what is shared.
    assert see(database / "idgiven") == ["idgiven", "idshared"]
    assert see(database / "idgiven", by_hand=True) == ["idarc", "idgiven", "idshared"]
    # What was done by hand is where it starts from.
    write_side(database / "idarc", [{**ROW, "interactive": "sha256:2"}])
    assert see(database / "idgiven") == ["idarc", "idgiven", "idshared"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("idarc", "idarc"),
        ("idarc.ms", "idarc_ms"),
        ("fcarc_001", "fcarc_001"),
        ("apa b", "apa_b"),
        ("mydata", "mydata"),
    ],
)
def test_names_as_tasks_have_them(name: str, found: str) -> None:
    assert iraf_name(name) == found


def test_what_a_task_has_made(tmp_path: Path) -> None:
    for name in ("apxx_1", "apxx_2", "aplast", "idxx", "idyy"):
        (tmp_path / name).write_text(f"begin\t{name}\n")
    given = {"idyy": "begin\tidyy\n"}
    found, taken = find_made({"a": "apxx", "b": "idxx"}, tmp_path, given)
    assert taken == {"apxx_1", "apxx_2", "idxx"}
    assert found["b"].path == tmp_path / "idxx"
    # The parts come back under the names that the task looks for.
    texts = put_entry(found["a"], tmp_path / "again")
    assert sorted(texts) == ["apxx_1", "apxx_2"]
    assert (tmp_path / "again/apxx_2").read_text() == "begin\tapxx_2\n"
    # Under another name, the only one of its kind.
    found, taken = find_made({"b": "idmine"}, tmp_path, given)
    assert taken == {"idxx"}
    assert list(put_entry(found["b"], tmp_path / "more")) == ["idxx"]
    with pytest.raises(ProductError, match=r"did not write database/fcx, but apxx_1, "):
        find_made({"c": "fcx"}, tmp_path, given)


def test_no_entry_leads_out_of_the_folder(tmp_path: Path) -> None:
    entry = PlainFile("database/idxx", b"# in ../../evil\nbegin\tidentify x\n")
    assert list(put_entry(entry, tmp_path / "database")) == ["idxx"]
