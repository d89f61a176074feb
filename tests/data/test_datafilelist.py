import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData

from ndmapper.data import DataFile, DataFileList, load_file_list
from ndmapper.errors import (
    FileAccessError,
    MissingFileError,
    ModeError,
    OutputExistsError,
    ShapeError,
)
from ndmapper.testing import count_reads, make_mef


@pytest.fixture
def raw_frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    for i, (kind, time) in enumerate([("BIAS", 0), ("FLAT", 5), ("BIAS", 0)], start=1):
        make_mef(f"raw/b{i}.fits", primary={"KIND": kind, "EXPTIME": time},
                 extension={"GAIN": float(i)})  # fmt: skip
    return tmp_path


def names(files):
    return [str(df) for df in files]


# ---- construction


@pytest.mark.parametrize(
    "given",
    ["raw/*.fits", ["raw/b1.fits", "raw/b[23].fits"],
     [f"raw/b{i}.fits" for i in (1, 2, 3)]],
    ids=["pattern", "mixed", "names"],
)  # fmt: skip
def test_list_from_names_and_patterns(raw_frames, given):
    assert names(DataFileList(given)) == ["raw/b1.fits", "raw/b2.fits", "raw/b3.fits"]


def test_list_modifies_names(raw_frames):
    make_mef("raw/xb1_y.fits")
    files = DataFileList(["b1.fits"], prefix="x", suffix="_y", dirname="raw")
    assert names(files) == ["raw/xb1_y.fits"]


def test_list_published_session(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in (66, 67):
        make_mef(f"ergS20120827S00{i}.fits")
    files = DataFileList(["S20120827S0066.fits", "S20120827S0067.fits"], prefix="erg")
    df = DataFile("arthur.fits", mode="overwrite")
    df.append(NDData([1]))
    files.append(df)
    assert repr(files) == (
        "[DataFile 'ergS20120827S0066.fits' (len 2), "
        "DataFile 'ergS20120827S0067.fits' (len 2), DataFile 'arthur.fits' (len 1)]"
    )


def test_list_pattern_that_matches_nothing_is_an_error(raw_frames):
    with pytest.raises(MissingFileError, match=r"raw/\*\.fit'"):
        DataFileList("raw/*.fit")


def test_list_of_a_missing_file_is_an_error(raw_frames):
    with pytest.raises(MissingFileError, match="b9"):
        DataFileList(["raw/b1.fits", "raw/b9.fits"])


def test_list_name_that_looks_like_a_pattern_is_a_name(raw_frames):
    make_mef("raw/b[1].fits")
    assert names(DataFileList("raw/b[1].fits")) == ["raw/b[1].fits"]


def test_list_of_datafiles_holds_those(raw_frames):
    df = DataFile("raw/b1.fits")
    assert DataFileList([df])[0] is df
    assert DataFileList(data=[df])[0] is df
    assert DataFileList(df)[0] is df


def test_list_of_datafiles_with_other_names_holds_copies(raw_frames):
    df = DataFile("raw/b1.fits")
    (other,) = DataFileList([df], prefix="x")
    assert (str(other), other.mode) == ("raw/xb1.fits", "new")


def test_list_of_nested_nddata(raw_frames):
    files = DataFileList(
        ["x.fits", "y.fits"], [[NDData([1]), NDData([2])], NDData([3])]
    )
    assert [len(df) for df in files] == [2, 1]
    files.save()
    assert DataFile("x.fits")[1].data.tolist() == [2]


def test_list_of_nddata_without_names():
    files = DataFileList(data=[NDData([1]), [NDData([2])]])
    assert [(df.filename, df[0].data.tolist()) for df in files] == [
        (None, [1]),
        (None, [2]),
    ]


def test_list_of_other_length_than_its_data_is_an_error(raw_frames):
    with pytest.raises(ShapeError, match="2 names for 3"):
        DataFileList(["x.fits", "y.fits"], [NDData([1])] * 3)


def test_list_mode_is_that_of_its_files(raw_frames):
    with pytest.raises(OutputExistsError):
        DataFileList("raw/*.fits", mode="new")
    assert {df.mode for df in DataFileList("raw/*.fits", mode="update")} == {"update"}


# ---- list operations


def test_list_operations_read_no_pixels(raw_frames):
    with count_reads() as reads:
        files = DataFileList("raw/*.fits")
        files.append("raw/b1.fits")
        files.extend(["raw/b2.fits", files[0]])
        files.insert(0, files[-1])
        repr(files), files[::-1], files.copy(), files.table("KIND", "GAIN")
        files.where(KIND="BIAS"), files.group_by("KIND"), sorted(files, key=str)
    assert reads.reads == 0


def test_list_slice_is_a_list_of_the_same_files(raw_frames):
    files = DataFileList("raw/*.fits")
    part = files[::-2]
    assert isinstance(part, DataFileList)
    assert part[0] is files[2]


def test_list_append_opens_names_in_the_mode_of_the_list(raw_frames):
    files = DataFileList("raw/b1.fits", mode="update")
    files.append("raw/b2.fits")
    assert files[1].mode == "update"
    with pytest.raises(ModeError, match="'update'"):
        files.append(DataFile("raw/b3.fits"))
    with pytest.raises(ModeError):
        files.extend([DataFile("raw/b3.fits")])
    assert len(files) == 2


@pytest.mark.parametrize("item", [3, None, [1]])
def test_list_append_of_something_else_is_an_error(raw_frames, item):
    files = DataFileList("raw/*.fits")
    with pytest.raises(TypeError):
        files.append(item)
    assert len(files) == 3


def test_list_setitem_coerces(raw_frames):
    files = DataFileList("raw/*.fits")
    files[0] = "raw/b2.fits"
    assert names(files)[0] == "raw/b2.fits"


def test_list_equality_is_of_the_files(raw_frames):
    files = DataFileList("raw/*.fits")
    assert files == files[:]
    assert files != DataFileList("raw/*.fits")


def test_list_save_and_reload(raw_frames):
    files = DataFileList("raw/*.fits", mode="update")
    for df in files:
        df[0].data[0, 0] = -1
    files[0].save()
    files.reload()
    assert [df[0].data[0, 0] for df in files] == [-1, 1000, 1000]


# ---- headers


def test_table_has_a_row_for_each_file(raw_frames):
    table = DataFileList("raw/*.fits").table("KIND", "GAIN", "NOPE")
    assert table["filename"].tolist() == ["raw/b1.fits", "raw/b2.fits", "raw/b3.fits"]
    assert table["KIND"].tolist() == ["BIAS", "FLAT", "BIAS"]
    assert table["GAIN"].tolist() == [1, 2, 3]
    assert table["NOPE"].mask.all()


def test_table_masks_only_what_is_missing(raw_frames):
    fits.setval("raw/b2.fits", "SLIT", value=0.5)
    column = DataFileList("raw/*.fits").table("SLIT")["SLIT"]
    assert column.mask.tolist() == [True, False, True]
    assert column[1] == 0.5


def test_table_of_values_of_several_kinds(raw_frames):
    fits.setval("raw/b2.fits", "KIND", value=3)
    assert len(DataFileList("raw/*.fits").table("KIND")) == 3


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"KIND": "BIAS"}, [1, 3]),
        ({"KIND": "B*"}, [1, 3]),
        ({"KIND": ["FLAT", "ARC"]}, [2]),
        ({"EXPTIME": 5}, [2]),
        ({"EXPTIME": lambda t: t < 3}, [1, 3]),
        ({"KIND": "BIAS", "GAIN": 3}, [3]),
        ({"NOPE": None}, [1, 2, 3]),
        ({"NOPE": "*"}, []),
        ({"EXPTIME": "5"}, []),
        ({}, [1, 2, 3]),
    ],
    ids=[
        "value",
        "pattern",
        "list",
        "number",
        "function",
        "two",
        "none",
        "absent",
        "type",
        "nothing",
    ],
)
def test_where_selects_by_header(raw_frames, conditions, expected):
    found = DataFileList("raw/*.fits").where(**conditions)
    assert isinstance(found, DataFileList)
    assert names(found) == [f"raw/b{i}.fits" for i in expected]


def test_group_by_one_and_several_keywords(raw_frames):
    files = DataFileList("raw/*.fits")
    assert {k: len(v) for k, v in files.group_by("KIND").items()} == {
        "BIAS": 2,
        "FLAT": 1,
    }
    assert {k: names(v) for k, v in files.group_by("KIND", "GAIN").items()} == {
        ("BIAS", 1): ["raw/b1.fits"],
        ("FLAT", 2): ["raw/b2.fits"],
        ("BIAS", 3): ["raw/b3.fits"],
    }


# ---- arithmetic


def test_arithmetic_is_file_by_file_and_not_concatenation(raw_frames):
    files = DataFileList("raw/*.fits")
    total = files + files[::-1]
    assert isinstance(total, DataFileList)
    assert [df[0].data[0, 0] for df in total] == [2000] * 3
    assert [df.filename for df in total] == [None] * 3


@pytest.mark.parametrize("kind", ["file", "list", "number", "image"])
@pytest.mark.parametrize("swapped", [False, True])
def test_arithmetic_one_goes_with_each(raw_frames, kind, swapped):
    files = DataFileList("raw/*.fits")
    one = {
        "file": files[0], "list": files[:1], "number": 1000, "image": files[0][0],
    }[kind]  # fmt: skip
    result = one - files if swapped else files - one
    assert len(result) == 3
    assert [df[0].data[0, 0] for df in result] == [0] * 3


@pytest.mark.parametrize("other", [2, 2.0, np.float32(2)])
def test_arithmetic_multiplication_does_not_repeat_the_list(raw_frames, other):
    files = DataFileList("raw/*.fits")
    for result in (files * other, other * files):
        assert [df[0].data[0, 0] for df in result] == [2000] * 3
    files *= other
    assert len(files) == 3


def test_arithmetic_of_other_lengths_is_an_error(raw_frames):
    files = DataFileList("raw/*.fits")
    with pytest.raises(ShapeError, match="3 and 2"):
        files + files[:2]
    with pytest.raises(TypeError):
        files + "x"
    with pytest.raises(TypeError):
        files.add("x")


def test_arithmetic_methods_do_as_operators(raw_frames):
    files = DataFileList("raw/*.fits")
    assert files.divide(files)[1][1].data[2, 2] == 1


# ---- lists in text files


@pytest.mark.parametrize("at", ["", "@"])
def test_load_file_list_reads_names_and_skips_comments(raw_frames, at):
    (raw_frames / "list.txt").write_text(
        "raw/b1.fits # first\n\n  # nothing\nraw/b2.fits  \n"
    )
    found = load_file_list(f"{at}list.txt")
    assert found == ["raw/b1.fits", "raw/b2.fits"]
    assert len(DataFileList(found)) == 2


def test_load_file_list_finds_names_beside_the_list(raw_frames):
    (raw_frames / "raw" / "list").write_text("b1.fits\nnew.fits\n")
    assert load_file_list("raw/list") == ["raw/b1.fits", "new.fits"]


def test_load_file_list_missing_or_unreadable_is_an_error(raw_frames):
    with pytest.raises(MissingFileError, match="no-list"):
        load_file_list("no-list")
    with pytest.raises(FileAccessError):
        load_file_list("raw")


def test_list_of_the_real_night_by_object(real_data):
    files = DataFileList(str(real_data / "kast_blue_longslit" / "b[0-9]*.fits.gz"))
    groups = files.group_by("OBSTYPE")
    assert len(files) == 9
    # OBSTYPE is there twice; the first counts, and says DARK of the biases.
    assert sorted(len(group) for group in groups.values()) == [3, 6]
