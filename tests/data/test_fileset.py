"""Sets of files: what they are made of, their names, copies, saving and display."""

import copy
import pickle

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Table
from shared_helpers import write_levels

import ndmapper
from ndmapper.data import DataFile, DataFileList, FileName, FileSet, NDLater
from ndmapper.data import datafile as datafile_module
from ndmapper.data.fileset import files_in, first_member
from ndmapper.data.member_keys import cut
from ndmapper.data.planned import PlannedFile
from ndmapper.errors import (
    FileAccessError,
    FormatError,
    IdentError,
    MissingFileError,
    MissingMemberError,
    ModeError,
    NdmapperError,
    NotMadeError,
    OutputExistsError,
    ParameterError,
    ShapeError,
    UnitError,
)
from ndmapper.testing import count_reads

PATTERN = "B-{ifu:02d}.fits"


def images(ifu, stem="", unit="adu"):
    data = fits.ImageHDU(np.full((3, 4), 10 * ifu, "f4"), name=f"{stem}DATA")
    data.header["BUNIT"] = unit
    dq = fits.ImageHDU(np.full((3, 4), 1 << (ifu % 4), "i4"), name=f"{stem}DQ")
    stat = fits.ImageHDU(np.full((3, 4), ifu, "f4"), name=f"{stem}STAT")
    return [data, dq, stat]


def write_one(path, ifu, **header):
    primary = fits.PrimaryHDU()
    primary.header["INSTRUME"] = "MUSE"
    primary.header["EXTNAME"] = f"CHAN{ifu:02d}"
    primary.header.update(header)
    fits.HDUList([primary, *images(ifu)]).writeto(path)
    return str(path)


def write_merged(path, ifus, *, table=True):
    primary = fits.PrimaryHDU()
    primary.header["INSTRUME"] = "MUSE"
    hdus = [primary]
    for ifu in ifus:
        hdus += images(ifu, stem=f"CHAN{ifu:02d}.")
    if table:
        for ifu in ifus:
            rows = fits.BinTableHDU(Table({"ifu": [ifu]}), name=f"CHAN{ifu:02d}")
            hdus.append(rows)
    fits.HDUList(hdus).writeto(path)
    return str(path)


@pytest.fixture
def biases(folder):
    """Write the files of four IFUs into an empty folder."""
    names = [f"B-{ifu:02d}.fits" for ifu in (1, 2, 7, 24)]
    for name in names:
        write_one(folder / name, int(name[2:4]))
    return names


@pytest.fixture
def merged(folder):
    """Write one file of three IFUs into an empty folder."""
    return write_merged(folder / "M.fits", (1, 2, 7))


@pytest.fixture
def opened(monkeypatch):
    """Note the names of all files that are opened."""
    names = []
    original = datafile_module.FileContent.open.__func__

    def noted(cls, filename, labels=None):
        names.append(str(filename))
        return original(cls, filename, labels)

    monkeypatch.setattr(datafile_module.FileContent, "open", classmethod(noted))
    return names


def values(files):
    return {key: float(files[key][0].data[0, 0]) for key in files}


# ---- what it is made of


def test_pattern_finds_files_by_key(biases):
    files = FileSet(PATTERN)
    assert list(files) == [1, 2, 7, 24]
    assert values(files) == {1: 10, 2: 20, 7: 70, 24: 240}
    assert str(files[7]) == "B-07.fits"
    assert files.by == ("ifu",)
    assert files.missing == {}


def test_it_is_a_published_name():
    assert ndmapper.FileSet is FileSet


def test_making_listing_and_naming_opens_no_file(folder, opened):
    for ifu in range(1, 25):
        write_one(folder / f"B-{ifu:02d}.fits", ifu)
    with count_reads() as reads:
        files = FileSet(PATTERN)
        assert list(files) == list(range(1, 25))
        assert files.names[6] == "B-07.fits"
        repr(files), str(files), files.filename, len(files), 7 in files, files.by
        pickle.dumps(files)
        DataFileList([PATTERN])
        assert opened == []
        files[7]
        assert opened == ["B-07.fits"]
        files[7], files.get(7)
        assert len(opened) == 1
        _ = files.meta
        assert opened == ["B-07.fits", "B-01.fits"]
        files.copy(), files.members, files.info()
    assert reads.reads == 0
    assert len(opened) == 24


def test_keys_choose_members_and_say_what_is_missing(biases):
    files = FileSet(PATTERN, keys=iter([7, 1, 3, 4]))
    assert list(files) == [7, 1]
    assert files.missing == {3: "there is no such file", 4: "there is no such file"}
    assert repr(files) == f"FileSet {PATTERN!r} (len 2, missing 3-4)"
    with pytest.raises(MissingMemberError, match=r"no member 3 \(there is no such"):
        files[3]


@pytest.mark.parametrize("key", [99, "07", (7, "V"), None, 7.5])
def test_member_that_is_not_there_is_a_key_error_that_says_what_is(biases, key):
    files = FileSet(PATTERN)
    with pytest.raises(MissingMemberError, match="it has 1-2, 7, 24") as found:
        files[key]
    assert isinstance(found.value, KeyError | IdentError)
    assert files.get(key) is None
    assert key not in files


def test_key_may_be_a_number_of_numpy(biases):
    files = FileSet(PATTERN)
    assert files[np.int64(7)] is files[7]


def test_number_and_text_of_it_are_one_key(folder):
    for chip in (1, 2):
        write_one(folder / f"c{chip}.fits", chip, CHIP=chip)
    named, said = FileSet("c{chip}.fits"), FileSet(["c1.fits", "c2.fits"], by="CHIP")
    assert (list(named), list(said)) == (["1", "2"], [1, 2])
    assert named[1] is named["1"]
    assert 2 in named
    assert 3 not in named
    assert values(named - said) == {"1": 0, "2": 0}
    assert list(FileSet("c{chip}.fits", keys=[2])) == ["2"]
    assert list(FileSet(named, keys=[2])) == ["2"]
    said.save("d{chip}.fits")
    assert values(FileSet("d{chip}.fits")) == {"1": 10, "2": 20}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("B-{ifu:03d}.fits", "check the folder and the pattern"),
        ("nowhere/B-{ifu:02d}.fits", "there is no folder nowhere"),
        ("{night}/B-{ifu:02d}.fits", "check the folder"),
    ],
)
def test_pattern_that_nothing_fits_is_an_error(biases, pattern, message):
    with pytest.raises(MissingFileError, match=message):
        FileSet(pattern)


def test_none_of_the_members_that_are_wanted_is_an_error(biases):
    with pytest.raises(MissingFileError, match="no file fits"):
        FileSet(PATTERN, keys=[5, 6])


@pytest.mark.parametrize("text", ["B-{ifu:2d}.fits", "B-{}.fits", "B-{ifu!r}.fits"])
def test_pattern_that_is_wrong_is_said_to_be(biases, text):
    with pytest.raises(ParameterError, match="is no key; a key is a name"):
        FileSet(text)


@pytest.mark.parametrize("files", [None, 3, b"B-{ifu:02d}.fits"])
def test_set_of_nothing_of_this_kind_is_a_type_error(files):
    with pytest.raises(TypeError, match="a FileSet is made of a pattern"):
        FileSet(files)


def test_one_key_may_be_wanted(biases):
    assert list(FileSet(PATTERN, keys=7)) == [7]
    assert list(FileSet({"white": "B-01.fits", "V": "B-02.fits"}, keys="V")) == ["V"]


def test_rule_beside_a_pattern_is_refused(biases):
    with pytest.raises(ParameterError, match=r"the names .* say the ifu"):
        FileSet(PATTERN, by="filter")
    assert list(FileSet(PATTERN, by="ifu")) == [1, 2, 7, 24]


def test_several_fields_give_tuples(folder):
    for name, ifu in (("V", 1), ("V", 2), ("R", 1)):
        write_one(folder / f"{name}-{ifu:02d}.fits", ifu)
    files = FileSet("{filter}-{ifu:02d}.fits")
    assert list(files) == [("R", 1), ("V", 1), ("V", 2)]
    assert str(files["V", 2]) == "V-02.fits"
    assert files.by == ("filter", "ifu")


@pytest.mark.parametrize("by", ["ifu", "EXTNAME"])
def test_list_is_keyed_by_what_headers_say(biases, by):
    files = FileSet(biases[::-1], by=by)
    first = {"ifu": 1, "EXTNAME": "CHAN01"}[by]
    assert next(iter(files)) == first
    assert str(files[first]) == biases[0]
    assert files.by == (by,)
    assert files.filename is None


def test_list_is_keyed_by_a_function(biases):
    files = FileSet(DataFileList(biases), by=lambda df: str(df)[-7:-5])
    assert list(files) == ["01", "02", "07", "24"]
    assert files.by == ()
    assert pickle.loads(pickle.dumps(files)).names == files.names


def test_list_is_keyed_by_several_rules(folder):
    names = [
        write_one(folder / f"{n}.fits", ifu, INSFILT=filt)
        for n, (ifu, filt) in enumerate([(2, "V"), (1, "V"), (1, "R")])
    ]
    files = FileSet(names, by=("ifu", "INSFILT"))
    assert list(files) == [(1, "R"), (1, "V"), (2, "V")]


def test_list_is_keyed_by_a_pattern_of_the_names(biases, folder):
    files = FileSet([str(folder / "B-07.fits"), "B-02.fits"], filename=PATTERN)
    assert list(files) == [2, 7]
    assert str(files) == PATTERN


def test_names_with_an_asterisk_are_a_list(biases):
    assert list(FileSet("B-*.fits", by="ifu")) == [1, 2, 7, 24]
    with pytest.raises(MissingFileError, match="no file matches"):
        FileSet("C-*.fits", by="ifu")


def test_list_without_a_rule_is_an_error(biases):
    for files in (biases, "B-*.fits"):
        with pytest.raises(ParameterError, match="told how they differ"):
            FileSet(files)


def test_two_files_of_one_key_are_an_error(biases, folder):
    write_one(folder / "again.fits", 7)
    with pytest.raises(
        ShapeError, match=r"B-07.fits and again.fits have the same key: 7 "
    ):
        FileSet([*biases, "again.fits"], by="ifu")


def test_file_that_does_not_say_its_key_is_an_error(biases):
    with pytest.raises(FormatError, match=r"FILTER of B-01.fits is not known"):
        FileSet(biases, by="FILTER")


@pytest.mark.parametrize("key", [1.5, True, [1.5], {}])
def test_function_that_gives_no_key_is_an_error(biases, key):
    with pytest.raises(FormatError, match="the function that was given for keys"):
        FileSet(biases[:1], by=lambda df: key)


def test_mapping_gives_the_keys(biases):
    files = FileSet({"red": biases[1], "blue": DataFile(biases[0])})
    assert list(files) == ["red", "blue"]
    assert values(files) == {"red": 20, "blue": 10}


def test_names_of_a_mapping_that_are_no_files_are_missing(biases):
    files = FileSet({1: biases[0], 2: "gone.fits"}, by="ifu")
    assert list(files) == [1]
    assert repr(files) == "FileSet (len 1: 1, missing 2)"
    with pytest.raises(MissingMemberError, match=r"there is no file gone.fits"):
        files[2]


@pytest.mark.parametrize("key", [None, 1.5, "", True])
def test_mapping_of_anything_else_is_refused(biases, key):
    with pytest.raises(ParameterError, match="a key is a number or a text"):
        FileSet({key: biases[0]})


@pytest.mark.parametrize("member", [None, 3, ["B-01.fits"]])
def test_member_is_a_file_or_its_name(biases, member):
    with pytest.raises(TypeError, match="a DataFile or the name of one"):
        FileSet({1: member})


def test_set_is_no_member_of_a_set(biases):
    with pytest.raises(TypeError, match="not FileSet"):
        FileSet({1: FileSet(PATTERN)})


def test_image_is_taken_as_a_file():
    files = FileSet({1: NDData(np.ones((2, 2)))})
    assert isinstance(files[1], DataFile)


def test_set_of_a_set_has_some_of_its_members(biases):
    files = FileSet(PATTERN)
    files.cals["bias"] = files[1]
    some = FileSet(files, keys=[2, 7, 9])
    assert list(some) == [2, 7]
    assert some[7] is files[7]
    assert list(some.missing) == [9]
    assert (str(some), some.by, some.cals) == (PATTERN, ("ifu",), files.cals)


def test_mode_and_labels_are_those_of_the_files(biases):
    files = FileSet(PATTERN, mode="update")
    assert files[7].mode == "update"
    with pytest.raises(ModeError, match="'read' or 'update'"):
        FileSet(PATTERN, mode="overwrite")
    assert FileSet(PATTERN, labels="muse")[1].labels.names["data"] == "DATA"


def test_file_whose_name_has_braces_is_a_file(biases, folder):
    (folder / "B-01.fits").rename(folder / "x-{ifu}.fits")
    assert type(DataFileList("x-{ifu}.fits")[0]) is DataFile
    with pytest.raises(ParameterError, match="is one file"):
        FileSet("x-{ifu}.fits")
    (folder / "raw").mkdir()
    (folder / "x-{ifu}.fits").rename(folder / "raw" / "x-{ifu}.fits")
    assert type(DataFileList("x-{ifu}.fits", dirname="raw")[0]) is DataFile


def test_file_that_went_away_is_said_to_be_missing(biases, folder):
    files = FileSet(PATTERN)
    (folder / "B-07.fits").unlink()
    with pytest.raises(MissingFileError, match=r"B-07.fits"):
        files[7]


def test_promised_set_is_only_planned():
    files = FileSet.promised(FileName(PATTERN), [])
    assert repr(files) == f"FileSet {PATTERN!r} (not made)"
    assert (str(files), files.by) == (PATTERN, ("ifu",))
    for look in (len, list, lambda f: f[7], lambda f: f.members, lambda f: 7 in f):
        with pytest.raises(NotMadeError):
            look(files)


def test_planned_files_are_members(biases):
    planned = PlannedFile("B-03.fits", [], {})
    files = FileSet(PATTERN, keys=[1, 3, 4])
    assert files[3] is planned
    assert list(files.missing) == [4]
    assert FileSet({3: "B-03.fits"})[3] is planned


def test_changed_members_have_the_names_of_the_set(biases, merged):
    files = FileSet(PATTERN)
    files.cals["bias"] = files[1]
    made = files.changed(lambda df: df * 2)
    assert (str(made), values(made)[7], made.cals) == (PATTERN, 140, files.cals)
    parts = FileSet("M.fits", by="ifu").changed(DataFile.copy)
    assert (str(parts), values(parts)[7]) == ("", 70)


# ---- a file that holds all members


def test_merged_file_behaves_as_a_set(merged, opened):
    files = FileSet("M.fits", by="ifu")
    assert list(files) == [1, 2, 7]
    assert values(files) == {1: 10, 2: 20, 7: 70}
    assert opened == ["M.fits"]
    assert (str(files), files.by, files.names) == ("M.fits", ("ifu",), ["M.fits"])
    assert files.filename == "M.fits"
    assert repr(files) == "FileSet 'M.fits' (len 3)"


def test_part_has_the_images_tables_and_labels_of_one_member(merged):
    with count_reads() as reads:
        files = FileSet(DataFile("M.fits"), by="ifu")
        part = files[7]
        assert (part.idents, list(part.tables)) == (["CHAN07"], ["CHAN07"])
    assert reads.reads == 0
    names = part.labels.names
    assert (names["data"], names["uncertainty"], names["flags"]) == (
        "DATA", "STAT", "DQ",
    )  # fmt: skip
    assert part[0].variance[0, 0] == 7
    assert part[0].flags[0, 0] == 1 << 3
    assert part.tables["CHAN07"]["ifu"][0] == 7


def test_part_is_saved_with_its_names(merged):
    FileSet("M.fits", by="ifu").save("p-{ifu:02d}.fits")
    with fits.open("p-07.fits") as hdus:
        names = [hdu.name for hdu in hdus[1:]]
        np.testing.assert_array_equal(hdus["CHAN07.STAT"].data, np.full((3, 4), 7))
    assert sorted(names) == ["CHAN07", "CHAN07.DATA", "CHAN07.DQ", "CHAN07.STAT"]
    again = FileSet("p-{ifu:02d}.fits")
    assert values(again) == {1: 10, 2: 20, 7: 70}
    assert list(FileSet(again.names, by="ifu")) == [1, 2, 7]
    assert again[7].unplaced == ()


def test_tables_alone_have_parts(folder):
    hdus = [fits.PrimaryHDU()]
    hdus[0].header["INSTRUME"] = "MUSE"
    for ifu in (3, 4):
        table = fits.BinTableHDU(Table({"ifu": [ifu]}), name=f"CHAN{ifu:02d}")
        hdus.append(table)
    fits.HDUList(hdus).writeto("T.fits")
    with count_reads() as reads:
        files = FileSet("T.fits", by="ifu")
        assert [list(df.tables) for df in files.members] == [["CHAN03"], ["CHAN04"]]
    assert reads.reads == 0


@pytest.mark.parametrize("keyword", ["CHIP", "ident"])
def test_extensions_are_told_apart_by_a_keyword(folder, keyword):
    hdus = [fits.PrimaryHDU()]
    for chip in (1, 2, 3):
        hdus.append(fits.ImageHDU(np.full((2, 2), chip, "f4"), ver=chip, name="SCI"))
        hdus[-1].header["CHIP"] = chip
    fits.HDUList(hdus).writeto("C.fits")
    assert values(FileSet("C.fits", by=keyword)) == {1: 1, 2: 2, 3: 3}


def test_file_of_one_member_is_a_set_of_one(biases):
    files = FileSet("B-07.fits", by="ifu")
    assert values(files) == {7: 70}


@pytest.mark.parametrize(
    ("by", "error", "message"),
    [
        (None, ParameterError, "is one file; say what tells"),
        (("ifu", "filter"), ParameterError, "is one file"),
        ("FILTER", FormatError, "does not say of any part which FILTER"),
    ],
)
def test_merged_file_that_does_not_say_its_parts_is_an_error(
    merged, by, error, message
):
    with pytest.raises(error, match=message):
        FileSet("M.fits", by=by)


def test_whole_is_the_file_as_long_as_no_member_was_changed(merged):
    files = FileSet("M.fits", by="ifu")
    assert str(files.whole) == "M.fits"
    assert files_in(files) == [files.whole]
    _ = files[7][0].data, files[7][0].flags, files[7].meta, files[7].tables["CHAN07"]
    assert files.whole is not None  # which was only looked at
    files[7][0].data[0, 0] = 1
    assert files.whole is None
    assert files_in(files) == files.members
    files.reload()
    assert files.whole is not None
    assert values(files)[7] == 70


@pytest.mark.parametrize(
    "change",
    [
        lambda df: df[0].meta.set("OBJECT", "x"),
        lambda df: df.meta.set("OBJECT", "x"),
        lambda df: df.tables.pop("CHAN07"),
        lambda df: df.append(NDLater(np.ones((2, 2)))),
        lambda df: df.__isub__(1),
        lambda df: df[0].variance.fill(3),
        lambda df: setattr(df[0], "flags", None),
    ],
)
def test_whole_is_not_taken_for_what_was_changed(merged, change):
    files = FileSet("M.fits", by="ifu")
    change(files[7])
    assert files.whole is None
    assert FileSet(files).whole is None


def test_some_members_are_not_the_whole(merged):
    assert FileSet("M.fits", by="ifu", keys=[1, 7]).whole is None
    assert FileSet("M.fits", by="ifu", keys=[7, 1, 2, 9]).whole is not None
    assert FileSet(FileSet("M.fits", by="ifu"), keys=[1]).whole is None


def test_files_of_their_own_have_no_whole(biases):
    files = FileSet(PATTERN)
    assert files.whole is None
    assert files_in(files) == files.members
    assert files_in(files[7]) == [files[7]]


def test_parts_have_no_name_to_save_under(merged):
    files = FileSet("M.fits", by="ifu")
    with pytest.raises(ModeError, match=r"save\('name-\{ifu\}.fits'\)"):
        files.save()


# ---- as a file


def test_set_is_compared_and_hashed_as_itself(biases):
    files, same = FileSet(PATTERN), FileSet(PATTERN)
    assert files != same
    assert {files: 1}[files] == 1
    assert files in DataFileList([files])
    assert same not in [files]


def test_set_without_members_is_there():
    files = FileSet({})
    assert bool(files)
    assert len(files) == 0
    with pytest.raises(MissingMemberError, match="has no members"):
        _ = files.meta


def test_name_is_a_pattern(biases):
    files = FileSet(PATTERN)
    assert isinstance(files.filename, FileName)
    assert files.pattern.fields == ("ifu",)
    files.filename = "x-{n:03d}.fits"
    assert (str(files), files.by) == ("x-{n:03d}.fits", ("n",))
    assert files.names[0] == "B-01.fits"
    for wrong in ("x.fits", "x-{a}-{b}.fits", "x-{n.a}.fits"):
        with pytest.raises(ParameterError):
            files.filename = wrong
    assert str(files) == "x-{n:03d}.fits"
    files.filename = None
    assert (str(files), files.pattern) == ("", None)
    with pytest.raises(ModeError, match="has no name"):
        files.__fspath__()


def test_name_is_given_to_files_that_have_none(biases):
    files = {7: NDLater(np.ones((2, 2))), 8: DataFile("B-07.fits")}
    made = FileSet(files, by="ifu", filename="x-{ifu:02d}.fits")
    assert made.names == ["x-07.fits", "B-07.fits"]
    with pytest.raises(ParameterError, match="no key in braces"):
        FileSet(files, filename="x.fits")
    with pytest.raises(ParameterError, match="cannot be part"):
        FileSet({"a/b": NDLater(np.ones(3))}, filename="x-{f}.fits")


def test_meta_is_that_of_the_first_member(biases):
    files = FileSet(PATTERN)
    assert files.meta["EXTNAME"] == "CHAN01"
    assert first_member(files) is files[1]


def test_record_has_each_entry_once(biases):
    entry = {"schema": 1, "step": "flat", "product": "f.fits", "key": "k0"}
    files = FileSet(PATTERN)
    for key in files:
        own = entry | {"product": f"b-{key}", "key": f"k{key}"}
        files[key].record = [entry, own]
    assert [row["key"] for row in files.record] == ["k0", "k1", "k2", "k7", "k24"]


@pytest.mark.parametrize("make", [copy.copy, FileSet.copy])
def test_copy_has_no_name_and_changes_nothing(biases, make):
    files = FileSet(PATTERN, keys=[1, 2, 3])
    files.cals["bias"] = files[1]
    new = make(files)
    assert (str(new), list(new), list(new.missing)) == ("", [1, 2], [3])
    new[1][0].data[:] = 0
    new.cals["flat"] = files[2]
    assert values(files) == {1: 10, 2: 20}
    assert list(files.cals) == ["bias"]
    assert new.by == ("ifu",)


@pytest.mark.parametrize(
    "make", [copy.deepcopy, lambda files: pickle.loads(pickle.dumps(files))]
)
@pytest.mark.parametrize("form", ["files", "parts"])
def test_copy_as_a_whole_has_the_names(biases, merged, make, form):
    files = FileSet(PATTERN) if form == "files" else FileSet("M.fits", by="ifu")
    files[7][0].data[0, 0] = 5
    files.cals["bias"] = files[1]
    new = make(files)
    assert (str(new), list(new), new.by) == (str(files), list(files), files.by)
    assert new[7][0].data[0, 0] == 5
    assert new.cals["bias"] is new[1]
    new[7][0].data[0, 0] = 6
    assert files[7][0].data[0, 0] == 5
    assert values(new)[2] == 20


def test_reload_gives_up_changes(biases):
    files = FileSet(PATTERN)
    files[7][0].data[:] = 0
    files.reload()
    assert values(files)[7] == 70


def test_set_is_no_array(biases):
    files = FileSet(PATTERN)
    for function in (np.asarray, np.array, np.mean, np.shape, np.sum, np.median):
        with pytest.raises(TypeError, match=r"is no array|no rule"):
            function(files)
    with pytest.raises(TypeError):
        np.add(files, 1)
    with pytest.raises(TypeError, match="no rule"):
        np.concatenate([files, files])


# ---- arithmetic


def check(files, expected, variance, flags):
    assert values(files) == pytest.approx(expected)
    for key in files:
        assert files[key][0].variance[0, 0] == pytest.approx(variance[key])
        assert files[key][0].flags[0, 0] == flags[key]


FLAGS = {1: 2, 2: 4, 7: 8, 24: 1}


def test_sets_are_combined_by_key(biases):
    files = FileSet(PATTERN)
    other = FileSet({key: files[key] for key in (24, 7, 2, 1)})
    check(
        files - other * 2,
        {1: -10, 2: -20, 7: -70, 24: -240},
        {1: 5, 2: 10, 7: 35, 24: 120},
        FLAGS,
    )
    assert list(files - other) == [1, 2, 7, 24]


@pytest.mark.parametrize("swapped", [False, True])
def test_merged_file_is_combined_with_files_of_their_own(biases, merged, swapped):
    parts, files = FileSet("M.fits", by="ifu"), FileSet(PATTERN, keys=[1, 2, 7])
    made = files + parts if swapped else parts + files
    check(made, {1: 20, 2: 40, 7: 140}, {1: 2, 2: 4, 7: 14}, {1: 2, 2: 4, 7: 8})
    assert made.by == ("ifu",)


@pytest.mark.parametrize(
    ("operate", "expected", "variance"),
    [
        (lambda x: x + 1, 71, 7),
        (lambda x: 1 - x, -69, 7),
        (lambda x: x * 2, 140, 28),
        (lambda x: 140 / x, 2, 7 * 140**2 / 70**4),
        (lambda x: x**2, 4900, 7 * (2 * 70) ** 2),
        (lambda x: -x, -70, 7),
        (lambda x: x - np.full((3, 4), 2.0), 68, 7),
        (lambda x: np.full((3, 4), 2.0) * x, 140, 28),
        (lambda x: np.float64(2) * x, 140, 28),
        (lambda x: x - 1 * u.adu, 69, 7),
        (lambda x: 2 * u.s * x, 140, 28),
        (lambda x: x - x[1], 60, 8),
        (lambda x: x[1] - x, -60, 8),
        (lambda x: x + NDData(np.ones((3, 4)), unit="adu"), 71, 7),
        (lambda x: x[1][0] - x, -60, 8),
    ],
)
def test_one_operand_goes_with_every_member(biases, operate, expected, variance):
    made = operate(FileSet(PATTERN))
    assert list(made) == [1, 2, 7, 24]
    assert made[7][0].data[0, 0] == pytest.approx(expected)
    assert made[7][0].variance[0, 0] == pytest.approx(variance, rel=1e-5)
    assert made[7].filename is None


def test_result_is_of_the_operands_as_they_were(biases):
    files = FileSet(PATTERN)
    files[7][0].data[:] = 5
    flat, one = np.full((3, 4), 2.0), files[1]
    made, other = files * flat, files - one
    flat[:] = 0
    one[0].data[:] = 0
    files[7][0].data[:] = 0
    assert values(made) == {1: 20, 2: 40, 7: 10, 24: 480}
    assert values(other)[2] == 10


def test_arithmetic_reads_nothing(biases):
    files = FileSet(PATTERN)
    with count_reads() as reads:
        made = (files - files[1]) / 2 + files
        made.info()
    assert reads.reads == 0


def test_bits_are_combined(folder):
    files = FileSet({1: NDLater(np.array([[6]])), 2: NDLater(np.array([[3]]))})
    assert values(files & 2) == {1: 2, 2: 2}
    assert values(files | 8) == {1: 14, 2: 11}
    assert values(files ^ files) == {1: 0, 2: 0}
    assert values(~files) == {1: -7, 2: -4}
    assert values(files.invert()) == {1: -7, 2: -4}


def test_in_place_changes_the_members(biases):
    files, same = FileSet(PATTERN), FileSet(PATTERN)
    member, kept = files[7], files
    files -= same
    assert files is kept
    assert files[7] is member
    check(files, dict.fromkeys(files, 0), {1: 2, 2: 4, 7: 14, 24: 48}, FLAGS)
    files += 1
    files *= files[1]
    assert values(files) == dict.fromkeys(files, 1)
    assert str(files) == PATTERN


def test_in_place_changes_nothing_where_one_member_cannot(biases):
    files = FileSet(PATTERN)
    other = FileSet({k: files[k] for k in (1, 2, 7)} | {24: NDLater(np.ones((2, 2)))})
    with pytest.raises(ShapeError):
        files -= other
    assert values(files) == {1: 10, 2: 20, 7: 70, 24: 240}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("add", 72), ("subtract", 68), ("multiply", 140), ("divide", 35), ("power", 4900)],
)
def test_method_names_the_result(biases, operation, expected):
    made = getattr(FileSet(PATTERN), operation)(2, filename="d-{ifu:02d}.fits")
    assert str(made) == "d-{ifu:02d}.fits"
    assert str(made[7]) == "d-07.fits"
    assert values(made)[7] == expected
    made.save()
    assert values(FileSet("d-{ifu:02d}.fits"))[7] == expected


def test_method_says_what_it_takes(biases):
    files = FileSet(PATTERN)
    with pytest.raises(TypeError, match="add takes sets, files, NDData"):
        files.add("one")
    with pytest.raises(ParameterError, match="no key in braces"):
        files.add(1, filename="one.fits")
    with pytest.raises(TypeError):
        files + "one"
    assert "Sets are paired by key" in FileSet.add.__doc__


def test_other_members_are_an_error_that_names_them(biases):
    files = FileSet(PATTERN)
    with pytest.raises(IdentError, match=r"alone has 1 and .*alone has 24"):
        FileSet(PATTERN, keys=[1, 2]) - FileSet(PATTERN, keys=[2, 24])
    with pytest.raises(IdentError, match="alone has 7, 24"):
        files -= FileSet(PATTERN, keys=[1, 2])


def test_error_names_the_member(biases):
    other = FileSet(PATTERN)
    other[7][0].unit = "m"
    with pytest.raises(UnitError, match=r"^7 of B-\{ifu:02d\}.fits: .*adu and m"):
        FileSet(PATTERN) + other


def test_result_keeps_calibrations_and_what_is_missing(biases):
    files = FileSet(PATTERN, keys=[1, 3])
    files.cals["bias"] = files
    made = files * 2
    assert made.cals["bias"] is files
    assert list(made.missing) == [3]


# ---- saving


def test_set_is_saved_under_a_pattern(biases, folder):
    made = FileSet(PATTERN) * 2
    made.save("out-{ifu:02d}.fits")
    assert sorted(p.name for p in folder.glob("out*")) == [
        f"out-{ifu:02d}.fits" for ifu in (1, 2, 7, 24)
    ]
    assert str(made) == "out-{ifu:02d}.fits"
    assert made.names[0] == "out-01.fits"
    assert made[7].mode == "update"
    made[7][0].data[:] = 1
    made.save()
    assert values(FileSet("out-{ifu:02d}.fits"))[7] == 1


def test_set_is_saved_under_its_name(biases):
    files = FileSet(PATTERN)
    files.filename = "new-{ifu:02d}.fits"
    files.save()
    assert files.names == [f"new-{ifu:02d}.fits" for ifu in (1, 2, 7, 24)]
    assert values(FileSet("new-{ifu:02d}.fits"))[24] == 240


def test_files_that_were_only_read_are_not_replaced(biases):
    files = FileSet(PATTERN)
    files[7][0].data[:] = 1
    with pytest.raises(ModeError, match="opened in mode 'read'"):
        files.save()
    files.save(overwrite=True)
    assert values(FileSet(PATTERN))[7] == 1


def test_files_opened_to_be_updated_are_replaced(biases):
    files = FileSet(PATTERN, mode="update")
    files -= 1
    files.save()
    assert values(FileSet(PATTERN))[7] == 69


def test_all_are_saved_or_none(biases, folder):
    write_one(folder / "out-07.fits", 7)
    made = FileSet(PATTERN) * 2
    with pytest.raises(OutputExistsError, match=r"out-07.fits exists"):
        made.save("out-{ifu:02d}.fits")
    assert [p.name for p in folder.glob("out*")] == ["out-07.fits"]
    assert str(made) == ""
    made.save("out-{ifu:02d}.fits", overwrite=True)
    assert values(FileSet("out-{ifu:02d}.fits"))[7] == 140


def test_workers_save_the_same(biases, folder):
    for workers in (1, 2):
        made = FileSet(PATTERN) / 4
        made.save(f"w{workers}-{{ifu:02d}}.fits", workers=workers)
    for ifu in (1, 2, 7, 24):
        one, two = (folder / f"w{n}-{ifu:02d}.fits" for n in (1, 2))
        assert one.read_bytes() == two.read_bytes()


def test_result_replaces_what_it_is_made_of(biases):
    files = FileSet(PATTERN)
    made = files - files[1]
    made.save(PATTERN, overwrite=True)
    assert values(FileSet(PATTERN)) == {1: 0, 2: 10, 7: 60, 24: 230}


def test_checksums_are_written(biases):
    FileSet(PATTERN).save("c-{ifu:02d}.fits", checksum=True)
    assert "CHECKSUM" in fits.getheader("c-07.fits", 1)


@pytest.mark.parametrize("name", ["x.fits", "{a}-{b}.fits", "{ifu:x}"])
def test_name_that_cannot_hold_the_keys_is_refused(biases, folder, name):
    before = sorted(folder.iterdir())
    with pytest.raises(ParameterError):
        FileSet(PATTERN).save(name)
    assert sorted(folder.iterdir()) == before


def test_parts_of_a_key_may_have_another_order_in_a_name(folder):
    for name, ifu in (("V", 1), ("R", 2)):
        write_one(folder / f"{name}-{ifu:02d}.fits", ifu)
    FileSet("{filter}-{ifu:02d}.fits").save("{ifu:02d}_{filter}.fits")
    assert sorted(p.name for p in folder.glob("*_*")) == ["01_V.fits", "02_R.fits"]


def test_set_without_a_name_is_saved_under_those_of_its_files(biases):
    files = FileSet(biases, by="ifu", mode="update")
    files[7][0].data[:] = 3
    files.save()
    assert values(FileSet(PATTERN))[7] == 3


def test_set_without_any_name_asks_for_one():
    with pytest.raises(ModeError, match=r"save\('name-\{key\}.fits'\)"):
        FileSet({1: NDLater(np.ones(3))}).save()


def test_text_files_are_a_set_as_well(folder):
    for ifu in (1, 2):
        (folder / f"t-{ifu:02d}.txt").write_text(f"number {ifu}")
    files = FileSet("t-{ifu:02d}.txt")
    assert files[2].text() == "number 2"
    assert files.info().splitlines()[2].split() == ["1", "t-01.txt", "no", "FITS"]
    assert "t-02.txt" in files._repr_html_()
    files.save("u-{ifu:02d}.txt")
    assert (folder / "u-02.txt").read_text() == "number 2"
    with pytest.raises(FormatError, match="not FITS"):
        files + 1


# ---- lists of sets


def test_set_is_one_item_of_a_list(biases, folder):
    write_one(folder / "x.fits", 3)
    files = DataFileList([PATTERN, "x.fits"])
    files.append("B-{n:02d}.fits")
    files.extend([FileSet(PATTERN)])
    files.insert(0, PATTERN)
    assert [type(item) for item in files] == [
        FileSet, FileSet, DataFile, FileSet, FileSet,
    ]  # fmt: skip
    assert files.filenames[1] == PATTERN
    assert DataFileList(PATTERN)[0].names == biases
    assert DataFileList(Table({"filename": [PATTERN]}))[0].names == biases
    assert type(files[1:][0]) is FileSet
    assert len(files.copy()) == 5


def test_name_of_an_item_has_prefix_and_folder(biases, folder):
    (folder / "raw").mkdir()
    write_one(folder / "raw" / "rB-03.fits", 3)
    files = DataFileList([PATTERN], prefix="r", dirname="raw")
    assert list(files[0]) == [3]
    assert str(files[0]) == "raw/rB-{ifu:02d}.fits"


@pytest.mark.parametrize(
    "make",
    [
        lambda files: DataFileList(files, prefix="r"),
        lambda files: DataFileList(data=[files], filenames=["rB-{ifu:02d}.fits"]),
        lambda files: DataFileList("rB-{ifu:02d}.fits", data=files),
    ],
)
def test_set_in_a_list_takes_another_name(biases, make):
    files = FileSet(PATTERN)
    found = make(files)[0]
    assert found is not files
    assert (str(found), str(files)) == ("rB-{ifu:02d}.fits", PATTERN)
    found.save()
    assert values(FileSet("rB-{ifu:02d}.fits")) == values(files)


def test_set_in_a_list_takes_no_header(biases):
    with pytest.raises(ShapeError, match="a header for each of its files"):
        DataFileList(FileSet(PATTERN), meta={"A": 1})


def test_new_file_may_have_braces_in_its_name(folder):
    files = DataFileList("x-{a}.fits", mode="overwrite")
    assert type(files[0]) is DataFile
    assert type(DataFileList("x-{a}.fits", data=NDData([1.0]))[0]) is DataFile


def test_lists_of_sets_are_combined_item_by_item(biases, folder):
    write_one(folder / "x.fits", 3)
    files = DataFileList([PATTERN, "x.fits"])
    made = files - DataFileList([files[0][1], files[0]])
    assert [type(item) for item in made] == [FileSet, FileSet]
    assert values(made[0]) == {1: 0, 2: 10, 7: 60, 24: 230}
    assert values(made[1]) == {1: 20, 2: 10, 7: -40, 24: -210}


@pytest.mark.parametrize(
    ("operate", "first", "second"),
    [
        (lambda x, s: x - s, 0, -40),
        (lambda x, s: s - x, 0, 40),
        (lambda x, s: x - s[1], 60, 20),
        (lambda x, s: 1 - x, -69, -29),
        (lambda x, s: x * 2, 140, 60),
    ],
)
def test_one_set_goes_with_every_item(biases, folder, operate, first, second):
    write_one(folder / "x.fits", 3)
    files = DataFileList([PATTERN, "x.fits"])
    made = operate(files, files[0])
    assert values(made[0])[7] == first
    assert (made[1][7] if isinstance(made[1], FileSet) else made[1])[0].data[
        0, 0
    ] == second


def test_items_are_changed_in_place(biases, folder):
    write_one(folder / "x.fits", 3)
    files = DataFileList([PATTERN, "x.fits"])
    inner = files[0]
    files -= 1
    assert (values(inner)[7], files[1][0].data[0, 0]) == (69, 29)
    with pytest.raises(ShapeError, match=r"4 results of .* do not fit"):
        files += DataFileList([inner, inner])
    assert (values(inner)[7], files[1][0].data[0, 0]) == (69, 29)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_of_a_list_are_saved_at_once(biases, folder, workers):
    write_one(folder / "x.fits", 3)
    (folder / "dB-03.fits").write_text("of an older set")
    files = DataFileList([PATTERN, "x.fits"])
    made = files.subtract(files[0][1], prefix="d", workers=workers)
    assert values(made[0]) == {1: 0, 2: 10, 7: 60, 24: 230}
    assert str(made[0]) == "dB-{ifu:02d}.fits"
    assert made[0].by == ("ifu",)
    assert made.filenames[1] == "dx.fits"
    assert made[1][0].data[0, 0] == 20


def test_results_of_a_set_without_a_name_have_those_of_its_files(biases):
    files = DataFileList(FileSet(biases, by="ifu"))
    made = files.multiply(2, suffix="_x2")
    assert made[0].names == [f"B-{ifu:02d}_x2.fits" for ifu in (1, 2, 7, 24)]
    assert values(made[0])[7] == 140


def test_results_replace_nothing_of_a_set(biases, folder):
    write_one(folder / "dB-07.fits", 7)
    with pytest.raises(OutputExistsError, match=r"dB-07.fits exists"):
        DataFileList(PATTERN).subtract(1, prefix="d")
    assert not (folder / "dB-01.fits").exists()


def test_list_of_sets_is_saved(biases, folder):
    write_one(folder / "x.fits", 3)
    made = DataFileList([PATTERN, "x.fits"]) * 2
    made.save(filename=["y-{ifu:02d}.fits", "y.fits"])
    assert [str(item) for item in made] == ["y-{ifu:02d}.fits", "y.fits"]
    assert values(FileSet("y-{ifu:02d}.fits"))[7] == 140
    made[0][7][0].data[:] = 1
    made[1][0].data[:] = 2
    made.save()
    assert values(FileSet("y-{ifu:02d}.fits"))[7] == 1
    assert DataFile("y.fits")[0].data[0, 0] == 2
    made.reload()
    assert values(made[0])[7] == 1


def test_list_of_sets_is_saved_whole_or_not_at_all(biases, folder):
    write_one(folder / "y-07.fits", 7)
    made = DataFileList(PATTERN) * 2
    with pytest.raises(OutputExistsError):
        made.save(filename=["y-{ifu:02d}.fits"])
    assert not (folder / "y-01.fits").exists()


def test_headers_of_the_first_member_count(biases, folder, opened):
    write_one(folder / "x.fits", 3, OBJECT="sky")
    files = DataFileList([PATTERN, "x.fits"])
    table = files.table("EXTNAME", "OBJECT")
    assert list(table["filename"]) == [PATTERN, "x.fits"]
    assert list(table["EXTNAME"]) == ["CHAN01", "CHAN03"]
    assert list(files.where(EXTNAME="CHAN01")) == [files[0]]
    assert list(files.group_by("EXTNAME")) == ["CHAN01", "CHAN03"]
    assert "B-07.fits" not in opened


# ---- how it is shown


def test_info_describes_every_member(biases):
    files = FileSet(PATTERN, keys=[1, 7, 9])
    lines = files.info().splitlines()
    assert lines[0] == repr(files)
    assert lines[1].split()[:4] == ["key", "file", "ident", "shape"]
    assert lines[3].split() == [
        "7", "B-07.fits", "1", "3", "x", "4", "float32", "adu", "float32", "int32",
    ]  # fmt: skip
    assert lines[4] == "  9  missing: there is no such file"


def test_info_of_parts_names_images_and_tables(merged):
    lines = FileSet("M.fits", by="ifu").info().splitlines()
    assert len(lines) == 2 + 6
    assert lines[2].split()[:3] == ["1", "-", "CHAN01"]
    assert lines[3].split() == ["CHAN01", "table"]


def test_html_lists_members_and_reads_nothing(biases):
    files = FileSet(PATTERN, keys=[1, 7, 9])
    with count_reads() as reads:
        page = files._repr_html_()
        of_list = DataFileList([files])._repr_html_()
    assert reads.reads == 0
    assert "<td>7</td><td>B-07.fits</td><td>1</td>" in page
    assert "<td>9</td><td>there is no such file</td>" in page
    assert "<td>set of 2</td><td>1, 7</td>" in of_list


def test_names_in_html_are_text(folder):
    files = FileSet({"<b>": NDLater(np.ones((2, 2)))})
    assert "<td>&lt;b&gt;</td>" in files._repr_html_()


def test_long_sets_are_cut_short_on_a_page():
    files = FileSet({n: NDLater(np.ones((2, 2))) for n in range(60)})
    assert "and 10 more" in files._repr_html_()


def test_plot_has_a_panel_for_each_member(biases):
    figure = FileSet(PATTERN).plot()
    titles = [axis.get_title(loc="left") for axis in figure.axes if axis.axison]
    assert titles == [f"{key} [1] [adu]" for key in (1, 2, 7, 24)]
    assert figure.get_suptitle() == PATTERN
    figure = FileSet(PATTERN).plot(24, 7, flags=False)
    assert [axis.get_title(loc="left")[:2] for axis in figure.axes] == ["24", "7 "]


def test_no_more_than_some_members_are_drawn():
    files = FileSet({n: NDLater(np.ones((2, 2))) for n in range(30)})
    figure = files.plot()
    assert sum(axis.axison for axis in figure.axes) == 24
    assert figure.get_suptitle() == " (24 of 30)"


def test_preview_is_a_picture(biases, folder):
    files = FileSet(PATTERN)
    files.preview(1, 7).save("p.png")
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ParameterError, match="size is a number"):
        files.preview(size=0)
    with pytest.raises(MissingMemberError):
        files.preview(3)


def test_set_without_images_has_nothing_to_draw(folder):
    files = FileSet({1: DataFile(data=[])})
    with pytest.raises(ShapeError, match="no images to draw"):
        files.plot()


def test_datafile_of_the_name_of_a_set_names_the_class_for_it(tmp_path):
    with pytest.raises(MissingFileError, match="of a FileSet"):
        DataFile(tmp_path / PATTERN)


@pytest.mark.parametrize("workers", [1, 2])
def test_if_one_cannot_be_saved_none_is(biases, folder, workers):
    made = FileSet(PATTERN) + 1
    last = folder / biases[-1]
    last.unlink()  # so that it cannot be computed
    before = sorted(folder.iterdir())
    with pytest.raises(NdmapperError, match=last.name):
        made.save("out-{ifu:02d}.fits", workers=workers)
    assert sorted(folder.iterdir()) == before


def test_folder_in_the_place_of_a_member_is_told_before(biases, folder):
    (folder / "C-02.fits").mkdir()
    with pytest.raises(FileAccessError, match="is a folder"):
        FileSet(PATTERN).save("C-{ifu:02d}.fits", overwrite=True)
    assert [path.name for path in folder.glob("C-*.fits")] == ["C-02.fits"]


@pytest.mark.parametrize("how", ["mapping", "list"])
def test_number_and_the_same_text_are_one_key(biases, how):
    first, second = FileSet(PATTERN).members[:2]
    files, by = {7: first, "7": second}, None
    if how == "list":
        keys = {id(first): 7, id(second): "7"}
        files, by = [first, second], lambda df: keys[id(df)]
    with pytest.raises(ShapeError, match="7"):
        FileSet(files, by)


def test_key_of_a_set_is_not_renamed(biases):
    files = FileSet(PATTERN)
    with pytest.raises(ParameterError, match="told apart by ifu already"):
        FileSet(files, by="EXPTIME")
    assert list(FileSet(files, by="ifu")) == list(files)


def test_one_number_of_numpy_is_a_key(biases):
    assert list(FileSet(PATTERN, keys=np.int64(7))) == [7]


def test_part_of_a_text_key_is_found_by_number(folder):
    write_levels("w.fits", [1, 2])
    whole = DataFile("w.fits", mode="update")
    for ndd, key in zip(whole, ("1", "2"), strict=True):
        ndd.meta["CHIP"] = key
    whole.save()
    assert len(cut(DataFile("w.fits"), "CHIP", 2)) == 1


def test_members_are_those_of_the_folder_where_the_set_was_made(
    biases, folder, monkeypatch
):
    files = FileSet(PATTERN)
    (folder / "sub").mkdir()
    write_one(folder / "sub/B-07.fits", 1)
    monkeypatch.chdir(folder / "sub")
    assert files.names[2] == str(folder / "B-07.fits")
    assert files[7][0].data[0, 0] == 70
    assert pickle.loads(pickle.dumps(files))[24][0].data[0, 0] == 240
