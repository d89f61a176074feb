from pathlib import Path

import numpy as np
import pytest

from ndmapper.data import DataFile
from ndmapper.engines.staging import InputLinks, is_safe, safe_name
from ndmapper.testing import make_mef


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("MUSE.2017-06-16T01:34:56.867.fits.fz",) * 2,
        ("/some/folder/a.fits", "a.fits"),
        ("a b.fits", "a_b.fits"),
        ("-rf.fits", "_-rf.fits"),
        ("...fits", "_...fits"),
        ("$(x)`y`;'\"\n*?![1].fits", "__x__y_________1_.fits"),
        ("\N{GREEK SMALL LETTER ALPHA}.fits", "_.fits"),
    ],
)
def test_safe_name(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert is_safe(f"/{safe_name(name)}")


def test_long_and_taken_names() -> None:
    assert safe_name("x" * 300 + ".fits").endswith("xx.fits")
    assert len(safe_name("x" * 300 + ".fits")) <= 121
    assert safe_name("a.fits", {"a.fits", "2_a.fits"}) == "3_a.fits"


def test_what_is_safe() -> None:
    assert is_safe("/data/MUSE.2017-06-16T01:34:56.fits")
    for path in ("a.fits", "/a b", "/$HOME", "/a\n", "/~'", "/a#"):
        assert not is_safe(path)


def test_files_are_named_linked_or_written(tmp_path: Path) -> None:
    good, odd, other = (
        DataFile(make_mef(tmp_path / name)) for name in ("a.fits", "b c.fits", "d.fits")
    )
    other[0].data = other[0].data * 2
    links = InputLinks(tmp_path / "in")
    assert links.provide(good) == tmp_path / "a.fits"
    assert not (tmp_path / "in").exists()
    link = links.provide(odd)
    assert link == tmp_path / "in" / "b_c.fits"
    assert link.readlink() == Path(odd)
    copy = links.provide(other)
    assert not copy.is_symlink()
    assert np.array_equal(DataFile(copy)[0].data, other[0].data)
    assert links.provide(odd) == tmp_path / "in" / "2_b_c.fits"
    unnamed = links.provide(DataFile(data=good))
    assert DataFile(unnamed).idents == [1, 2]


def test_nothing_is_touched_where_only_names_are_asked_for(tmp_path: Path) -> None:
    odd = DataFile(make_mef(tmp_path / "b c.fits"))
    links = InputLinks(tmp_path / "in", always=True)
    assert links.path(odd) == tmp_path / "in" / "b_c.fits"
    assert links.link(tmp_path / "x.fits") == tmp_path / "x.fits"
    assert not (tmp_path / "in").exists()
