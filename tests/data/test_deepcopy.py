"""copy.deepcopy of files and of what holds files: as they are, and independent."""

import copy

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, FileName
from ndmapper.data.planned import PlannedFile, find_planned
from ndmapper.errors import NotMadeError
from ndmapper.testing import count_reads, make_mef

SHAPE = (6, 8)


@pytest.mark.parametrize("mode", ["read", "update", "overwrite"])
def test_deepcopy_keeps_name_mode_and_record_and_reads_nothing(two_groups, mode):
    df = DataFile(two_groups, mode=mode, labels={"data": "SCI", "uncertainty": "VAR"})
    df.record = [{"key": "a", "values": [1]}]
    df.expected_key = ("a", "b")
    with count_reads() as reads:
        new = copy.deepcopy(df)
    assert reads.reads == 0
    assert (new.filename, new.mode, new.labels) == (df.filename, df.mode, df.labels)
    assert (new.record, new.expected_key) == (df.record, ("a", "b"))
    assert new.idents == df.idents
    new.record[0]["values"].append(2)
    new.filename = FileName("other.fits")
    assert df.record == [{"key": "a", "values": [1]}]
    assert df.filename == two_groups


def test_deepcopy_of_an_untouched_file_is_as_cheap(two_groups):
    new = copy.deepcopy(DataFile(two_groups))
    assert new.content.made_arrays == []
    assert new.unloaded


def test_deepcopy_of_a_file_to_update_saves_to_its_name(two_groups):
    df = DataFile(two_groups, mode="update")
    new = copy.deepcopy(df)
    new[0].data[0, 0] = -5
    new.meta["OBJECT"] = "new"
    new.save()
    again = DataFile(two_groups)
    assert (again[0].data[0, 0], again.meta["OBJECT"]) == (-5, "new")
    assert (df.meta["OBJECT"], df[0].content.arrays["data"].is_loaded) == (
        "test",
        False,
    )


def test_deepcopy_keeps_changes_in_memory_apart(two_groups):
    df = DataFile(two_groups)
    df[0].data[0, 0] = -5
    df[0].meta["NEW"] = df.meta["NEW"] = 1
    df[1].psf = [1, 2]
    df.tables["T"] = Table({"x": [1, 2]})
    df.append(np.zeros(SHAPE))
    del df[2]
    new = copy.deepcopy(df)
    assert new.idents == df.idents
    assert (new[0].data[0, 0], new[0].meta["NEW"], new.meta["NEW"]) == (-5, 1, 1)
    assert new[0].primary_meta is new.meta
    new[0].data[0, 0] = -6
    new[0].meta["NEW"] = new.meta["NEW"] = 2
    new[1].psf[0] = 3
    new.tables["T"]["x"][0] = 3
    del new[0]
    assert (df[0].data[0, 0], df[0].meta["NEW"], df.meta["NEW"]) == (-5, 1, 1)
    assert (df[1].psf, df.tables["T"]["x"][0]) == ([1, 2], 1)


def test_deepcopy_of_an_image_in_the_primary_header_keeps_them_one(tmp_path):
    fits.writeto(tmp_path / "a.fits", np.ones(SHAPE))
    df = DataFile(tmp_path / "a.fits")
    assert df[0].meta is df.meta
    new = copy.deepcopy(df)
    assert new[0].meta is new.meta is not df.meta


@pytest.mark.parametrize("mode", [None, "read", "update", "overwrite"])
def test_deepcopy_of_a_list_keeps_names_and_modes(two_groups, mode):
    dfl = DataFileList([two_groups], mode=mode)
    with count_reads() as reads:
        new = copy.deepcopy(dfl)
    assert reads.reads == 0
    assert new.filenames == dfl.filenames == [two_groups]
    assert (new.mode, new[0].mode) == (dfl.mode, dfl[0].mode)
    assert new[0] is not dfl[0]


@pytest.mark.parametrize("function", [copy.copy, copy.deepcopy], ids=["copy", "deep"])
def test_copy_of_a_list_whose_files_have_other_modes_by_now(tmp_path, function):
    dfl = DataFileList([tmp_path / "a.fits"], mode="new")
    dfl[0].append(np.ones(3))
    dfl.save()
    assert dfl[0].mode == "update"
    new = function(dfl)
    assert (new.mode, new[0].mode) == ("new", "update")


def test_deepcopy_keeps_one_file_one(two_groups):
    df = DataFile(two_groups)
    dfl = DataFileList([df, df])
    new = copy.deepcopy({"list": dfl, "file": df, "image": df[0]})
    assert new["list"][0] is new["list"][1] is new["file"] is not df
    assert new["image"] is new["file"][0]
    image, file = copy.deepcopy((df[0], df))
    assert image is file[0] is not df[0]
    assert image.primary_meta is file.meta


def test_deepcopy_of_calibrations_that_files_share(two_groups, tmp_path):
    bias = DataFile(make_mef(tmp_path / "bias.fits"))
    dfl = DataFileList([two_groups, two_groups])
    for df in dfl:
        df.cals["bias"] = bias
    bias.cals["object"] = dfl[0]
    new = copy.deepcopy(dfl)
    assert new[0].cals["bias"] is new[1].cals["bias"] is not bias
    assert new[0].cals["bias"].filename == bias.filename
    assert new[0].cals["bias"].cals["object"] is new[0]
    new[0].cals.clear()
    assert dfl[0].cals == {"bias": bias}


def test_deepcopy_of_a_planned_file_plans_the_same(tmp_path):
    planned = PlannedFile(tmp_path / "a.fits", [{"key": "a"}], {})
    new = copy.deepcopy(planned)
    assert (new.filename, new.record, new.is_made) == (
        planned.filename, [{"key": "a"}], False,
    )  # fmt: skip
    assert find_planned(tmp_path / "a.fits") is planned
    with pytest.raises(NotMadeError):
        len(new)


def test_deepcopy_of_a_planned_file_is_made_once(tmp_path):
    made = []

    def maker():
        made.append(make_mef(tmp_path / "a.fits"))

    planned = PlannedFile(tmp_path / "a.fits", [], {}, maker)
    new = copy.deepcopy(planned)
    assert not made
    assert len(new) == len(planned) == 2
    assert len(made) == 1
    assert copy.deepcopy(planned).idents == [1, 2]
