"""Lists of files made in the ways that the published package had."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import ModeError, ShapeError
from ndmapper.testing import make_mef


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return str(make_mef(Path("there.fits"), n_ext=2))


def test_content_and_header_of_a_file_are_replaced(there):
    (df,) = DataFileList(filenames=there, data=[], meta={})
    assert (len(df), len(df.meta)) == (0, 0)
    with pytest.raises(ModeError):
        df.save()
    assert len(DataFile(there)) == 2


CONTENTS = {
    "image": lambda there: NDData([1, 2, 3]),
    "array": lambda there: np.arange(3),
    "list of one": lambda there: [NDLater([1, 2])],
    "extensions": lambda there: [[NDData([1, 2]), NDData([3])]],
    "file in memory": lambda there: DataFile(data=[NDData([1, 2]), NDData([3])]),
    "file on disk": DataFile,
    "list of a file": DataFileList,
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_one_content_is_shared_by_several_files(there, kind):
    files = DataFileList(["a.fits", "b.fits"], CONTENTS[kind](there), mode="overwrite")
    a, b = files
    assert a is not b
    assert len(a) == len(b) > 0
    assert all(x is not y and x.data is y.data for x, y in zip(a, b, strict=True))
    files.save()
    a[0].data.flat[0] = 77
    files.save()
    assert [DataFile(n)[0].data.flat[0] for n in ("a.fits", "b.fits")] == [77, 77]
    a[0].data = a[0].data * 0
    assert b[0].data.flat[0] == 77


def test_headers_for_each_or_for_all(there):
    data = [NDData([1]), NDData([2])]
    one = DataFileList(["a.fits", "b.fits"], data, {"OBJECT": "M 31"})
    assert [df.meta["OBJECT"] for df in one] == ["M 31"] * 2
    one[0].meta["OBJECT"] = "M 33"
    assert one[1].meta["OBJECT"] == "M 31"
    each = DataFileList(["a.fits", "b.fits"], data, [{"A": 1}, fits.Header({"A": 2})])
    assert [df.meta["A"] for df in each] == [1, 2]
    assert DataFileList(data=data, meta={"A": 3})[1].meta["A"] == 3
    assert DataFileList(there, meta={"A": 4})[0].meta["A"] == 4


@pytest.mark.parametrize(
    "given",
    [
        {"filenames": "a.fits", "data": [DataFile(), DataFile()]},
        {"filenames": ["a.fits", "b.fits"], "data": [NDData([1])] * 3},
        {"filenames": ["a.fits", "b.fits"], "data": NDData([1]), "meta": [{}] * 3},
        {"data": [NDData([1])] * 3, "meta": [{}] * 2},
    ],
)
def test_as_many_names_as_contents(given):
    with pytest.raises(ValueError, match="there are") as error:
        DataFileList(**given)
    assert error.type is ShapeError


def test_copies_are_named_from_the_files_they_come_from(there):
    before = DataFileList(there)
    assert DataFileList(data=before) == before
    made = DataFileList(data=before, prefix="x", mode="overwrite")
    assert [str(df.filename) for df in made] == ["xthere.fits"]
    made.save()
    assert [str(df) for df in before] == [there]
    assert len(DataFile("xthere.fits")) == 2
    (again,) = DataFileList(data=before, mode="update")
    assert (again is not before[0], again.mode, str(again)) == (True, "update", there)


@pytest.mark.parametrize(
    ("mode", "taken", "refused"),
    [
        ("overwrite", ["new", "update", "overwrite"], ["read"]),
        ("read", ["read", "update"], ["new", "overwrite"]),
        ("update", ["update"], ["read", "new", "overwrite"]),
        ("new", ["new"], ["read", "update", "overwrite"]),
        (None, ["read", "update", "new", "overwrite"], []),
    ],
)
def test_modes_that_go_together(there, mode, taken, refused):
    def file(kind):
        return DataFile(f"{kind}.fits" if kind == "new" else there, mode=kind)

    for kind in taken:
        files = DataFileList(mode=mode)
        files.append(file(kind))
        assert files[0].mode == kind
    for kind in refused:
        with pytest.raises(ModeError, match=r"could not be read|would be lost"):
            DataFileList(mode=mode).append(file(kind))
