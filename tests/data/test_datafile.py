import copy
import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Table

from ndmapper.config import config
from ndmapper.data import DataFile, FileName, NDLater
from ndmapper.errors import (
    FormatError,
    IdentError,
    MissingFileError,
    ModeError,
    OutputExistsError,
    ShapeError,
    TruncatedFileError,
)
from ndmapper.testing import count_reads, make_mef


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_mef(tmp_path / "a.fits", n_ext=3)


# ---- the published session


def test_datafile_published_session(tmp_path, monkeypatch, capsys):
    (tmp_path / "talk").mkdir()
    monkeypatch.chdir(tmp_path / "talk")
    make_mef("ergS20120827S0066.fits")
    df = DataFile("ergS20120827S0066.fits")
    assert repr(df) == "DataFile 'ergS20120827S0066.fits' (len 2)"
    assert str(df) == "ergS20120827S0066.fits"
    assert df.filename == "../talk/ergS20120827S0066.fits"
    df = DataFile("arthur.fits", mode="overwrite")
    df.append(NDData([1, 2, 3, 4]))
    df.append(NDData([5, 6, 7]))
    assert repr(df) == "DataFile 'arthur.fits' (len 2)"
    assert df[0].ident == 1
    df.save()
    fits.info("arthur.fits")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [
        ["0", "PRIMARY", "1", "PrimaryHDU", "4", "()"],
        ["1", "SCI", "1", "ImageHDU", "9", "(4,)", "int64"],
        ["2", "SCI", "2", "ImageHDU", "9", "(3,)", "int64"],
    ]


# ---- opening, and what is read


def test_datafile_list_operations_read_no_pixels(path):
    with count_reads() as reads:
        df = DataFile(path)
        assert (len(df), df.idents, df.meta["OBJECT"]) == (3, [1, 2, 3], "test")
        repr(df), str(df), df.info(), list(df.tables), df.extras
        assert df.record == []
        assert df.unloaded
        other = DataFile(data=df)
        copy.copy(df), copy.deepcopy(df), df[::-1], df.copy()
        other.append(df[1])
        other.extend(df[:1])
        other.insert(0, df[2])
        del other[1]
        other[0] = df[1]
        other.reverse()
        other.renumber()
        assert [ndd.shape for ndd in other] == [(6, 8)] * 5
        pickle.loads(pickle.dumps(df))
    assert reads.reads == 0


def test_datafile_open_does_not_see_pixels_at_all(tmp_path, monkeypatch):
    path = make_mef(tmp_path / "a.fits", n_ext=4, shape=(1000, 1000))
    asked = []

    class Spy(io.FileIO):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            asked.append(count)
            return count

    opened = Path.open

    def spy(self, mode="r", *args, **kwargs):
        if mode == "rb":
            return io.BufferedReader(Spy(self), buffer_size=2880)
        return opened(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", spy)
    DataFile(path)
    # 14 headers and a few blocks beside them; the file has 40 MB.
    assert 14 * 2880 <= sum(asked) < 60 * 2880


def test_datafile_of_gz_and_plain_are_the_same(tmp_path):
    plain = DataFile(make_mef(tmp_path / "a.fits"))
    packed = DataFile(make_mef(tmp_path / "a.fits.gz"))
    np.testing.assert_array_equal(plain[1].data, packed[1].data)
    assert packed.filename.ext == "fits.gz"


@pytest.mark.parametrize("mode", [None, "read", "update"])
def test_open_missing_file_is_an_error(tmp_path, mode):
    with pytest.raises(MissingFileError, match=r"no\.fits"):
        DataFile(tmp_path / "no.fits", mode=mode)


def test_open_new_of_existing_file_is_an_error(path):
    with pytest.raises(OutputExistsError, match="overwrite"):
        DataFile(path, mode="new")
    with pytest.raises(OutputExistsError):
        DataFile(path, data=[NDData([1])])


def test_open_overwrite_ignores_what_is_there(path):
    before = path.read_bytes()
    df = DataFile(path, mode="overwrite")
    assert (len(df), len(df.tables)) == (0, 0)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"mode": "append"}, ModeError), ({"mode": "read"}, ModeError),
     ({"prefix": "x"}, ModeError)],
)  # fmt: skip
def test_open_without_a_name_has_no_file(arguments, error):
    with pytest.raises(error):
        DataFile(**arguments)


@pytest.mark.parametrize(
    ("content", "error"), [(b"hello", FormatError), (None, TruncatedFileError)]
)
def test_open_bad_file_is_an_error_that_names_it(path, content, error):
    path.write_bytes(path.read_bytes()[:-3000] if content is None else content)
    with pytest.raises(error, match=r"a\.fits"):
        DataFile(path)


def test_open_empty_data_ignores_the_content(path):
    df = DataFile(path, data=[], mode="update")
    assert len(df) == 0
    assert list(df.tables) == ["MDF"]


def test_open_modifies_the_name(path):
    shutil.copy(path, path.with_name("xa_y.fits"))
    df = DataFile("a.fits", prefix="x", suffix="_y")
    assert (str(df), df.filename.prefix, df.filename.base) == ("xa_y.fits", "x", "a")


def test_open_without_images_is_a_file_with_tables(tmp_path):
    df = DataFile(make_mef(tmp_path / "a.fits", n_ext=0))
    assert (len(df), list(df.tables), bool(df)) == (0, ["MDF"], True)


def test_labels_of_argument_and_configuration(tmp_path):
    path = make_mef(tmp_path / "a.fits", names=("DATA", "STAT", "DQ"))
    labels = {"data": "DATA", "uncertainty": "STAT", "flags": "DQ"}
    assert DataFile(path, labels=labels)[1].variance[0, 1] == 2
    with config.using(labels="muse"):
        assert len(DataFile(path)) == 2


def test_standard_deviations_are_handed_out_as_variance_and_kept(tmp_path):
    path = make_mef(tmp_path / "a.fits", names=("SCI", "ERR", "DQ"))
    labels = {"data": "SCI", "uncertainty": "ERR", "uncertainty_is": "std"}
    df = DataFile(path, mode="update", labels=labels)
    assert df[0].variance[0, 2] == 9
    df[0].variance[0, 0] = 100
    df.save()
    err = fits.getdata(path, "ERR")
    assert err[0, :3].tolist() == [10, 2, 3]


# ---- the list


def test_iteration_nested_is_independent(path):
    df = DataFile(path)
    assert [(a.ident, b.ident) for a in df for b in df] == [
        (a, b) for a in (1, 2, 3) for b in (1, 2, 3)
    ]


def test_iteration_while_deleting_sees_all(path):
    df = DataFile(path)
    seen = []
    for ndd in df:
        seen.append(ndd.ident)
        del df[0]
    assert seen == [1, 2, 3]


def test_getitem_position_and_slice(path):
    df = DataFile(path)
    assert (df[-1].ident, df[np.int64(1)].ident) == (3, 2)
    part = df[::-2]
    assert isinstance(part, DataFile)
    assert (part.idents, part.filename, part.mode) == ([3, 1], None, "new")
    assert list(part.tables) == ["MDF"]


def test_getitem_slice_is_independent_of_the_file(path):
    df = DataFile(path)
    part = df[:1]
    part[0].data[0, 0] = -1
    part.meta["OBJECT"] = "part"
    assert (df[0].data[0, 0], df.meta["OBJECT"]) == (1000, "test")


def test_getitem_ident_by_name():
    df = DataFile(data=[NDLater([1], ident="CHAN07"), NDLater([2], ident="CHAN08")])
    assert df["CHAN08"].data.tolist() == [2]
    with pytest.raises(IdentError, match="CHAN07"):
        df["CHAN09"]


@pytest.mark.parametrize(
    ("item", "error"),
    [(3, IndexError), (-4, IndexError), (1.5, TypeError), (True, TypeError)],
)
def test_getitem_impossible_is_an_error(path, item, error):
    with pytest.raises(error):
        DataFile(path)[item]


def test_append_gives_the_next_ident_and_a_view():
    df = DataFile()
    ndd = NDLater(np.arange(3.0))
    df.append(ndd)
    df.append(NDLater([1.0], ident=7))
    df.append(NDData([1.0]))
    df.append(NDLater([1.0], ident=7))
    assert df.idents == [1, 7, 8, 9]
    assert df[0] is not ndd
    assert df[0].data is ndd.data
    assert ndd.ident is None
    assert df[0].primary_meta is df.meta


def test_append_of_another_files_image_shares_nothing(path):
    df, other = DataFile(path), DataFile()
    _ = df[0].data
    other.append(df[0])
    other[0].data[...] = 0
    other[0].meta["NEW"] = 1
    assert df[0].data[0, 1] == 1001
    assert "NEW" not in df[0].meta


def test_extend_with_one_wrong_item_takes_none():
    df = DataFile()
    with pytest.raises(TypeError):
        df.extend([NDData([1]), "x"])
    with pytest.raises(TypeError):
        df.append("x")
    assert len(df) == 0


def test_setitem_keeps_the_ident_of_the_place(path):
    df = DataFile(path)
    df[1] = NDData([1, 2])
    assert df.idents == [1, 2, 3]
    df[1:] = [NDData([1])]
    assert df.idents == [1, 2]


def test_delete_insert_reverse_renumber(path):
    df = DataFile(path)
    del df[0]
    df.insert(0, NDData([1]))
    df.reverse()
    assert df.idents == [3, 2, 4]
    df.renumber()
    assert df.idents == [1, 2, 3]
    del df[:]
    assert len(df) == 0


# ---- arithmetic


def test_arithmetic_pairs_by_ident_not_by_order(path):
    df = DataFile(path)
    difference = df - df[::-1]
    assert [float(ndd.data.max()) for ndd in difference] == [0, 0, 0]
    assert [ndd.variance[0, 0] for ndd in difference] == [2, 2, 2]
    assert (difference.filename, difference.mode, difference.idents) == (
        None,
        "new",
        [1, 2, 3],
    )
    assert list(difference.tables) == ["MDF"]


@pytest.mark.parametrize("swapped", [False, True])
def test_arithmetic_single_extension_goes_with_each(path, swapped):
    df, one = DataFile(path), DataFile(data=NDLater(np.ones((6, 8))))
    result = one + df if swapped else df + one
    assert [ndd.data[0, 0] for ndd in result] == [1001, 2001, 3001]
    assert result.idents == [1, 2, 3]


def test_arithmetic_numbers_and_images(path):
    df = DataFile(path)
    assert (2 * df)[1].data[0, 0] == 4000
    assert (df - df[0])[2].data[0, 5] == 2000
    assert (1 / df)[0].data[0, 0] == np.float32(1e-3)


def test_arithmetic_other_idents_are_an_error(path):
    df = DataFile(path)
    with pytest.raises(IdentError, match=r"\[1, 2\]"):
        df - df[:2]
    other = df[:]
    other.renumber(5)
    with pytest.raises(IdentError, match="5, 6, 7"):
        df - other


def test_arithmetic_other_shapes_are_an_error(path, tmp_path):
    other = DataFile(make_mef(tmp_path / "b.fits", n_ext=3, shape=(6, 7)))
    with pytest.raises(ShapeError):
        DataFile(path) - other


def test_arithmetic_methods_take_a_name(path):
    df = DataFile(path)
    result = df.subtract(df, filename="diff.fits")
    assert (str(result), Path("diff.fits").exists()) == ("diff.fits", False)
    result.save()
    assert DataFile("diff.fits")[1].variance[0, 1] == 4
    with pytest.raises(TypeError):
        df + "x"


def test_comparison_is_identity(path):
    df = DataFile(path)
    assert df != DataFile(path)
    assert df in [df]


# ---- name, mode and other attributes


def test_name_of_an_unnamed_file():
    df = DataFile()
    assert (str(df), repr(df), df.filename) == ("", "DataFile (len 0)", None)
    with pytest.raises(ModeError, match="no name"):
        df.__fspath__()


def test_copy_keeps_calibrations_and_renames(path):
    df = DataFile(path)
    df.cals["bias"] = DataFile()
    other = DataFile(df, prefix="x")
    assert (str(other), other.mode) == (str(path.with_name("xa.fits")), "new")
    assert other.cals == df.cals
    assert other.cals is not df.cals
    assert isinstance(other.filename, FileName)


def test_pickle_modified_file_keeps_its_edits(path):
    df = DataFile(path)
    df[0].data[0, 0] = 5
    df.meta["NEW"] = 1
    df.tables["MDF"]["NO"][0] = 9
    other = pickle.loads(pickle.dumps(df))
    assert (other[0].data[0, 0], other.meta["NEW"], other.tables["MDF"]["NO"][0]) == (
        5,
        1,
        9,
    )
    assert other[1].primary_meta is other.meta


@pytest.mark.parametrize(
    "edit",
    [lambda df: df[0].data.fill(0), lambda df: df[1].flags.fill(0),
     lambda df: df[0].variance.fill(0), lambda df: df.meta.set("NEW", 1),
     lambda df: df[2].meta.set("NEW", 1), lambda df: df.reverse(),
     lambda df: df.append(NDData([1])), lambda df: df.__delitem__(0),
     lambda df: df.tables["MDF"].__setitem__("NO", [7, 7, 7]),
     lambda df: df.tables.__delitem__("MDF"), lambda df: setattr(df[0], "flags", None),
     lambda df: df.renumber(4), lambda df: setattr(df[0], "unit", "s"),
     lambda df: setattr(df, "filename", "other.fits")],
    ids=["data", "flags", "variance", "meta", "extension", "order", "append", "delete",
         "table", "no table", "no flags", "idents", "unit", "name"],
)  # fmt: skip
def test_unloaded_is_false_after_any_edit(path, edit):
    df = DataFile(path)
    assert df.unloaded
    edit(df)
    assert not df.unloaded


def test_unloaded_is_true_after_only_looking(path):
    df = DataFile(path)
    for ndd in df:
        _ = (
            ndd.data.sum(),
            ndd.variance,
            ndd.flags,
            ndd.meta["EXTNAME"],
            ndd.wcs,
            ndd.unit,
        )
    _ = df.tables["MDF"]["NO"].sum(), df.meta["OBJECT"]
    assert df.unloaded


def test_reload_gives_edits_up(path):
    df = DataFile(path, mode="update")
    df[0].data[...] = 0
    df.meta["NEW"] = 1
    del df.tables["MDF"]
    df.reload()
    assert (df[0].data[0, 0], "NEW" in df.meta, list(df.tables)) == (
        1000,
        False,
        ["MDF"],
    )
    assert df.unloaded


def test_reload_sees_a_replaced_file(path):
    df = DataFile(path)
    path.unlink()
    make_mef(path, n_ext=1)
    df.reload()
    assert (len(df), df[0].data[0, 0]) == (1, 1000)


def test_tables_behave_as_a_mapping(path):
    df = DataFile(path)
    df.tables["NEW"] = {"A": [1, 2]}
    assert list(df.tables) == ["MDF", "NEW"]
    assert isinstance(df.tables["NEW"], Table)
    with pytest.raises(KeyError):
        df.tables["NO"]
    with pytest.raises(FormatError):
        df.tables[3] = Table()


def test_info_describes_groups_and_tables(path):
    lines = DataFile(path).info().splitlines()
    assert lines[0].startswith("DataFile")
    assert lines[2].split() == [
        "1",
        "6",
        "x",
        "8",
        "float32",
        "adu",
        "float32",
        "uint16",
    ]
    assert lines[-1].split() == ["MDF", "table"]
