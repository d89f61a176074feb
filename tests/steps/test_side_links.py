"""A link in the place of side data is not followed to write."""

from pathlib import Path

import pytest
from shared_steps import double

from ndmapper.errors import FileAccessError
from ndmapper.io.sidedata import make_side_folder

PARTS = ("", "stage", "records", "logs", "figures", "decisions", "cleaned", "database")


@pytest.mark.parametrize("part", PARTS)
def test_no_file_is_written_behind_a_link(tmp_path, part):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep.txt").write_text("mine")
    link = tmp_path / "out" / ".ndmapper" / part
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(FileAccessError, match="not followed to write") as info:
        make_side_folder(link / "x.json")
    assert info.value.filename == str(link)
    assert [path.name for path in outside.iterdir()] == ["keep.txt"]


@pytest.mark.parametrize("part", ["", "stage"])
def test_products_are_refused_where_a_link_is(make_raw, part):
    make_raw("x.fits", (1.0,))
    outside = Path("outside")
    (outside / ".ndm-1-00000000-00000000").mkdir(parents=True)
    link = Path("out", ".ndmapper", part)
    link.parent.mkdir(parents=True)
    link.symlink_to(outside.absolute())
    with pytest.raises(FileAccessError, match="link"):
        double("x.fits", outdir="out")
    assert len(list(outside.iterdir())) == 1


@pytest.mark.parametrize("name", ["log.jsonl", "log.lock", "digests.json"])
def test_file_behind_a_link_stays_as_it_is(make_raw, name):
    make_raw("x.fits", (1.0,))
    Path("mine.txt").write_text("mine")
    Path("out/.ndmapper").mkdir(parents=True)
    Path("out/.ndmapper", name).symlink_to(Path("mine.txt").absolute())
    double("x.fits", outdir="out")
    assert Path("out/dx.fits").exists()
    assert Path("mine.txt").read_text() == "mine"


def test_a_linked_folder_of_products_is_the_users_own_affair(make_raw, tmp_path):
    make_raw("x.fits", (1.0,))
    Path("there").mkdir()
    Path("out").symlink_to(Path("there").absolute())
    double("x.fits", outdir="out")
    assert Path("there/dx.fits").exists()
