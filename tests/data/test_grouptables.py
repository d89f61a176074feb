"""Tables that belong to one group of a file: added, taken away, taken along."""

import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import IdentError, MissingTableError, NdmapperError
from ndmapper.testing import count_reads


def dragons(path, versions=(1, 2), tens=10):
    """Write a DRAGONS product, with a catalogue for each group."""
    hdus = [fits.PrimaryHDU()]
    for n in versions:
        hdus.append(fits.ImageHDU(np.full((2, 3), n, "f4"), name="SCI", ver=n))
        numbers = fits.Column("NUMBER", "J", array=[tens * n, tens * n + 1])
        rows = fits.BinTableHDU.from_columns([numbers], name="OBJCAT")
        rows.header["EXTVER"] = n
        hdus.append(rows)
    fits.HDUList(hdus).writeto(path)
    return path


def stored(path):
    """Give name, version and first number of each table, as astropy reads them."""
    with fits.open(path) as hdus:
        return [
            (h.header["EXTNAME"], h.header.get("EXTVER"), h.data["NUMBER"][0])
            for h in hdus
            if isinstance(h, fits.BinTableHDU) and h.name != "NDM_RECORD"
        ]


@pytest.fixture
def dragons_file(tmp_path):
    return dragons(tmp_path / "a.fits")


def test_table_is_added_to_a_group(dragons_file):
    df = DataFile(dragons_file, mode="update")
    df[1].tables["Fit"] = Table({"NUMBER": [7]})
    assert list(df[1].tables) == ["OBJCAT", "Fit"]
    assert df.tables["Fit"] is df[1].tables["Fit"]
    df.save()
    assert stored(dragons_file) == [("OBJCAT", 1, 10), ("OBJCAT", 2, 20), ("Fit", 2, 7)]
    again = DataFile(dragons_file)
    assert [list(ndd.tables) for ndd in again] == [["OBJCAT"], ["OBJCAT", "Fit"]]


def test_table_of_a_new_group_is_named_as_it_will_be(tmp_path):
    df = DataFile(tmp_path / "a.fits", mode="new")
    for n in range(2):
        df.append(NDLater(np.ones((2, 2))))
        df[n].tables["OBJCAT"] = {"NUMBER": [n]}
    assert list(df.tables) == ["OBJCAT", "OBJCAT_2"]
    df.save()
    assert stored(df.filename) == [("OBJCAT", 1, 0), ("OBJCAT", 2, 1)]
    df.renumber(5)
    df.save()
    assert stored(df.filename) == [("OBJCAT", 5, 0), ("OBJCAT", 6, 1)]


def test_table_of_a_group_is_put_in_the_place_of_another(dragons_file):
    df = DataFile(dragons_file, mode="update")
    df[0].tables["OBJCAT"] = Table({"NUMBER": [7]})
    df.save()
    assert stored(dragons_file) == [("OBJCAT", 1, 7), ("OBJCAT", 2, 20)]


def test_table_of_a_group_is_taken_away(dragons_file):
    df = DataFile(dragons_file, mode="update")
    del df[0].tables["OBJCAT"]
    assert (list(df[0].tables), list(df.tables)) == ([], ["OBJCAT_2"])
    df.save()
    assert stored(dragons_file) == [("OBJCAT", 2, 20)]


def test_table_of_a_group_with_a_name(tmp_path):
    df = DataFile(tmp_path / "a.fits", mode="new", labels="muse")
    df.append(NDLater(np.ones((2, 2)), ident="CHAN07"))
    df[0].tables["TRACE"] = {"NUMBER": [1]}
    df.save()
    assert stored(df.filename) == [("CHAN07.TRACE", None, 1)]
    assert list(DataFile(df.filename, labels="muse")[0].tables) == ["TRACE"]
    df[0].ident = "CHAN08"
    df.save()
    assert stored(df.filename) == [("CHAN08.TRACE", None, 1)]


def test_group_of_another_file_brings_its_tables(dragons_file, tmp_path):
    other = dragons(tmp_path / "b.fits", (1, 2), tens=100)
    df, source = DataFile(dragons_file, mode="update"), DataFile(other)
    with count_reads() as reads:
        df.append(source[1])
        df.append(source[0])
    assert reads.bytes == 0
    assert [list(ndd.tables) for ndd in df] == [["OBJCAT"]] * 4
    source[1].tables["OBJCAT"]["NUMBER"][0] = -1
    df.save()
    numbers = [10, 20, 200, 100]
    assert [row[1:] for row in stored(dragons_file)] == [*enumerate(numbers, start=1)]
    assert [n.tables["OBJCAT"]["NUMBER"][0] for n in DataFile(dragons_file)] == numbers


@pytest.mark.parametrize("look", [False, True])
def test_new_file_of_a_group_has_its_tables(dragons_file, tmp_path, look):
    source = DataFile(dragons_file)
    if look:
        source[1].tables["OBJCAT"]["NUMBER"][0] = 99
    out = DataFile(tmp_path / "out.fits", mode="new")
    out.append(source[1])
    assert list(out[0].tables) == ["OBJCAT"]
    out[0].tables["MORE"] = {"NUMBER": [1]}
    assert list(source.tables) == ["OBJCAT_1", "OBJCAT_2"]
    out.save()
    assert stored(out.filename) == [("OBJCAT", 2, 99 if look else 20), ("MORE", 2, 1)]


def test_groups_that_change_places_have_their_tables_once(dragons_file):
    df = DataFile(dragons_file, mode="update")
    df[1].tables["OBJCAT"]["NUMBER"][0] = 99
    df[:] = df[::-1]
    assert [ndd.tables["OBJCAT"]["NUMBER"][0] for ndd in df] == [99, 10]
    df.save()
    assert sorted(stored(dragons_file)) == [("OBJCAT", 1, 10), ("OBJCAT", 2, 99)]


def test_same_group_twice_has_tables_twice(dragons_file):
    df = DataFile(dragons_file, mode="update")
    df.append(df[0])
    df[2].tables["OBJCAT"]["NUMBER"][0] = 99
    assert df[0].tables["OBJCAT"]["NUMBER"][0] == 10
    df.save()
    assert stored(dragons_file) == [
        ("OBJCAT", 1, 10),
        ("OBJCAT", 2, 20),
        ("OBJCAT", 3, 99),
    ]


def test_copies_and_sections_have_tables_of_their_own(dragons_file):
    df = DataFile(dragons_file)
    for ndd in (df[0].copy(), df[0][:1], df[0] - 1, (df - 1)[0], df[:1][0],
                pickle.loads(pickle.dumps(df[0]))):  # fmt: skip
        ndd.tables["OBJCAT"]["NUMBER"][0] = 99
        ndd.tables["NEW"] = {"A": [1]}
        assert list(ndd.tables) == ["OBJCAT", "NEW"]
        assert list(df[0].tables) == ["OBJCAT"]
        assert df[0].tables["OBJCAT"]["NUMBER"][0] == 10


def test_tables_are_right_after_a_save_with_other_numbers(dragons_file):
    df = DataFile(dragons_file, mode="update")
    del df[0]
    df.renumber()
    for _ in range(2):
        df.save()
        assert stored(dragons_file) == [("OBJCAT", 1, 20)]
        assert df[0].tables["OBJCAT"]["NUMBER"][0] == 20
        assert df.copy()[0].tables["OBJCAT"]["NUMBER"][0] == 20
        df[0].meta["AGAIN"] = 1


@pytest.mark.parametrize("use", [
    lambda tables: tables["OBJCAD"], lambda tables: tables.__delitem__("OBJCAD"),
])  # fmt: skip
def test_table_that_is_not_there_is_a_clear_error(dragons_file, use):
    df = DataFile(dragons_file)
    for tables in (df.tables, df[0].tables):
        for kind in (KeyError, IdentError, NdmapperError):
            with pytest.raises(kind, match="no table 'OBJCAD'; did you mean 'OBJCAT"):
                use(tables)
        assert tables.get("OBJCAD") is None
    with pytest.raises(MissingTableError, match="no table 'X'; there are: OBJCAT_1, O"):
        df.tables["X"]


def test_tables_stay_with_their_groups_over_many_saves(tmp_path):
    hdus = [fits.PrimaryHDU()]
    for i in (1, 2):
        hdus += [
            fits.ImageHDU(np.ones((9, 9)), name="SCI", ver=i),
            fits.BinTableHDU(Table({"a": np.arange(3) + i}), name="OBJCAT", ver=i),
        ]
    fits.HDUList(hdus).writeto(tmp_path / "b.fits")
    df = DataFile(tmp_path / "b.fits", mode="update")
    _ = list(df.tables.values())
    df[0].ident, df[1].ident = 2, 1
    for _ in range(3):
        df.save()
        stored = DataFile(tmp_path / "b.fits")
        found = {ndd.ident: list(ndd.tables["OBJCAT"]["a"]) for ndd in stored}
        assert found == {2: [1, 2, 3], 1: [2, 3, 4]}


def test_table_in_the_place_of_another_has_its_number(tmp_path):
    path = tmp_path / "b.fits"
    tables = [fits.BinTableHDU(Table({"a": [i]}), name="CAT", ver=i) for i in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    df = DataFile(path, mode="update")
    first, second = df.tables
    df.tables[first] = df.tables[second][:1]
    df.tables["FREE"] = df.tables[second].copy()
    for _ in range(2):
        df.save()
        with fits.open(path) as hdus:
            names = [(hdu.name, hdu.ver) for hdu in hdus[1:4]]
        assert names == [("CAT", 1), ("CAT", 2), ("FREE", 2)]
