"""What a DataFile has: its content, and its name and mode."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

from ndmapper.data import DataFile, FileName
from ndmapper.data.content import FileContent
from ndmapper.data.datafile import FileAccess
from ndmapper.data.planned import PlannedFile
from ndmapper.errors import IdentError, ModeError, NotMadeError, OutputExistsError
from ndmapper.testing import count_reads, make_mef


def test_images_are_made_when_they_are_asked_for(two_groups):
    content = FileContent.open(two_groups)
    with count_reads() as reads:
        assert content.idents == [1, 2]
        assert content.is_untouched
        assert content.made_arrays == []
        assert [ndd.ident for ndd in content.groups] == [1, 2]
    assert reads.reads == 0
    assert not content.is_untouched
    assert len(content.made_arrays) == 6


def copied(content):
    return content.copy()


def deeply_copied(content):
    return content.copy({})


def packed(content):
    return pickle.loads(pickle.dumps(content))


@pytest.mark.parametrize("function", [copied, deeply_copied, packed])
@pytest.mark.parametrize("made", [True, False])
def test_a_copy_is_independent(two_groups, function, made):
    content = FileContent.open(two_groups)
    if made:
        content.groups[0].data[0, 0] = 5
    new = function(content)
    new.groups[0].data[0, 0] = 7
    new.primary.header["NEW"] = 1
    new.record = [{"key": "a"}]
    new.keep_only(new.groups[:1])
    assert content.groups[0].data[0, 0] == (
        5 if made else first_pixel_read_later(two_groups)
    )
    assert "NEW" not in content.primary.header
    assert content.record == []
    assert content.idents == [1, 2]
    assert new.groups[0].primary_meta is new.primary.header


def first_pixel_read_later(path):
    return DataFile(path)[0].data[0, 0]


def test_what_belongs_to_an_image_leaves_with_it(two_groups):
    df = DataFile(two_groups)
    df[0].tables["lines"] = {"x": [1, 2]}
    image = df[0]
    del df[0]
    assert "lines" in image.tables
    assert "lines" not in df.tables


def test_reload_opens_another_content(two_groups):
    df = DataFile(two_groups)
    before = df.content
    before.groups[0].data[0, 0] = 7
    df.reload()
    assert df.content is not before
    assert df[0].data[0, 0] == first_pixel_read_later(two_groups)
    assert before.groups[0].data[0, 0] == 7


def test_a_planned_file_makes_its_content_when_it_is_asked_for(two_groups, tmp_path):
    made = []

    def maker():
        made.append(two_groups.rename(tmp_path / "planned.fits"))

    planned = PlannedFile(tmp_path / "planned.fits", [{"key": "a"}], {}, maker)
    assert (planned.record, planned.mode, made) == ([{"key": "a"}], "read", [])
    assert planned.content is planned.content
    assert len(made) == 1
    assert planned.record == []


def test_a_file_that_is_only_planned_has_no_content(tmp_path):
    planned = PlannedFile(tmp_path / "planned.fits", [], {})
    with pytest.raises(NotMadeError, match="only plans"):
        _ = planned.content
    with pytest.raises(NotMadeError):
        copy.copy(planned)


def test_errors_of_a_save_name_the_file(two_groups):
    df = DataFile(two_groups, mode="update")
    df[1].ident = 1
    with pytest.raises(IdentError, match=r"DataFile '.*a\.fits' \(len 2\) has two"):
        df.save()


def test_access_finds_the_name_to_save_under(two_groups, tmp_path, monkeypatch):
    access = FileAccess(FileName(two_groups), "read")
    with pytest.raises(ModeError, match="opened in mode 'read'"):
        access.save_target(overwrite=False)
    assert access.save_target(overwrite=True) == two_groups
    other = make_mef(tmp_path / "other.fits")
    with pytest.raises(OutputExistsError):
        access.save_target(other, overwrite=False)
    access.saved_as(FileName(other))
    assert (access.filename, access.mode) == (other, "update")


def test_access_knows_the_file_from_another_folder(two_groups, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    access = FileAccess(FileName(two_groups.name), "update")
    monkeypatch.chdir("/")
    assert str(access.filename) == two_groups.name
    assert access.save_target(overwrite=False) == two_groups


def test_arithmetic_leaves_the_contents_as_they_are(two_groups):
    df = DataFile(two_groups)
    made = df - df
    assert made.content is not df.content
    assert np.all(made[0].data == 0)
    assert df.unchanged


def test_a_result_gets_a_file_where_only_images_were_imported():
    script = (
        "from ndmapper.data import NDLater\n"
        "print(repr(NDLater([1.0, 2.0]).add(1, filename='x.fits')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "DataFile 'x.fits' (len 1)"
