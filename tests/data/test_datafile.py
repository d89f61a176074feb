import copy
import io
import pickle
import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Table

from ndmapper.config import config
from ndmapper.data import DataFile, FileName
from ndmapper.errors import (
    FileChangedError,
    FormatError,
    MissingFileError,
    ModeError,
    OutputExistsError,
    TruncatedFileError,
)
from ndmapper.io.digest import differences
from ndmapper.testing import count_reads, make_mef

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


def test_datafile_list_operations_read_no_pixels(three_groups):
    with count_reads() as reads:
        df = DataFile(three_groups)
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


def test_datafile_with_images_is_a_copy_with_these(three_groups):
    df = DataFile(three_groups)
    df.meta["OBJECT"] = "changed"
    df.cals["bias"] = df
    new = [ndd * 2 for ndd in df]
    new[1].meta["NEW"] = 1
    made, expected = df.with_images(new[:2]), df.copy()
    expected[:] = new[:2]
    for one, other in ((made, "made.fits"), (expected, "expected.fits")):
        one.save(other)
    assert differences("made.fits", "expected.fits") == []
    assert (made.idents, made.cals, df.idents) == ([1, 2], df.cals, [1, 2, 3])
    assert "NEW" not in df[1].meta


def test_datafile_with_images_keeps_what_belongs_to_those_before(tmp_path):
    df = DataFile(data=[np.ones(3), np.ones(3)])
    df[0].tables["BINS"] = Table({"x": [1, 2]})
    made = df.with_images([NDData([5.0]), NDData([6.0])])
    assert [list(ndd.tables) for ndd in made] == [["BINS"], []]
    assert list(df[0].tables) == ["BINS"]


def test_datafile_with_images_refuses_what_is_none():
    df = DataFile(data=[np.ones(3)])
    with pytest.raises(TypeError, match="NDData was expected"):
        df.with_images(["a.fits"])


def test_datafile_open_does_not_see_pixels_at_all(tmp_path, monkeypatch):
    path = make_mef(tmp_path / "a.fits", n_ext=4, shape=(1000, 1000))
    asked = []

    class Spy(io.FileIO):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            asked.append(count)
            return count

    opened = open

    def spy(file, mode="r", *args, **kwargs):
        if mode == "rb":
            return io.BufferedReader(Spy(file), buffer_size=2880)
        return opened(file, mode, *args, **kwargs)

    monkeypatch.setattr("builtins.open", spy)
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


def test_open_new_of_existing_file_is_an_error(three_groups):
    with pytest.raises(OutputExistsError, match="overwrite"):
        DataFile(three_groups, mode="new")
    with pytest.raises(OutputExistsError):
        DataFile(three_groups, data=[NDData([1])])


def test_open_overwrite_ignores_what_is_there(three_groups):
    before = three_groups.read_bytes()
    df = DataFile(three_groups, mode="overwrite")
    assert (len(df), len(df.tables)) == (0, 0)
    assert three_groups.read_bytes() == before


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
def test_open_bad_file_is_an_error_that_names_it(three_groups, content, error):
    three_groups.write_bytes(
        three_groups.read_bytes()[:-3000] if content is None else content
    )
    with pytest.raises(error, match=r"a\.fits"):
        DataFile(three_groups)


def test_open_empty_data_ignores_the_content(three_groups):
    df = DataFile(three_groups, data=[], mode="update")
    assert len(df) == 0
    assert list(df.tables) == ["MDF"]


def test_open_modifies_the_name(three_groups):
    shutil.copy(three_groups, three_groups.with_name("xa_y.fits"))
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


# ---- name, mode and other attributes


def test_name_of_an_unnamed_file():
    df = DataFile()
    assert (str(df), repr(df), df.filename) == ("", "DataFile (len 0)", None)
    with pytest.raises(ModeError, match="no name"):
        df.__fspath__()


def test_copy_keeps_calibrations_and_renames(three_groups):
    df = DataFile(three_groups)
    df.cals["bias"] = DataFile()
    other = DataFile(df, prefix="x")
    assert (str(other), other.mode) == (str(three_groups.with_name("xa.fits")), "new")
    assert other.cals == df.cals
    assert other.cals is not df.cals
    assert isinstance(other.filename, FileName)


def test_pickle_modified_file_keeps_its_edits(three_groups):
    df = DataFile(three_groups)
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
def test_unloaded_is_false_after_any_edit(three_groups, edit):
    df = DataFile(three_groups)
    assert df.unloaded
    edit(df)
    assert not df.unloaded


def test_unloaded_is_true_after_only_looking(three_groups):
    df = DataFile(three_groups)
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


@pytest.mark.parametrize("look", [lambda df: None, lambda df: df[0].meta])
def test_unloaded_notices_that_the_file_was_replaced(three_groups, look):
    df = DataFile(three_groups)
    look(df)
    make_mef("b.fits", n_ext=3).replace(three_groups)
    with pytest.raises(FileChangedError):
        _ = df.unloaded


def test_reload_gives_edits_up(three_groups):
    df = DataFile(three_groups, mode="update")
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


def test_reload_sees_a_replaced_file(three_groups):
    df = DataFile(three_groups)
    three_groups.unlink()
    make_mef(three_groups, n_ext=1)
    df.reload()
    assert (len(df), df[0].data[0, 0]) == (1, 1000)


def test_tables_behave_as_a_mapping(three_groups):
    df = DataFile(three_groups)
    df.tables["NEW"] = {"A": [1, 2]}
    assert list(df.tables) == ["MDF", "NEW"]
    assert isinstance(df.tables["NEW"], Table)
    with pytest.raises(KeyError):
        df.tables["NO"]
    with pytest.raises(FormatError):
        df.tables[3] = Table()


def test_info_describes_groups_and_tables(three_groups):
    lines = DataFile(three_groups).info().splitlines()
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


def test_bare_array_is_one_image():
    df = DataFile(data=np.ones((4, 5)))
    assert (len(df), df[0].shape) == (1, (4, 5))
    assert len(DataFile(data=[np.ones((4, 5)), np.ones(3)])) == 2
