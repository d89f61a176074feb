import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from shared_helpers import files_in, hdu_names

from ndmapper.data import DataFile, NDLater
from ndmapper.data.saving.save import write_datafile
from ndmapper.errors import (
    FileAccessError,
    FileChangedError,
    FormatError,
    MissingFileError,
    ModeError,
    NdmapperError,
    OutputExistsError,
)
from ndmapper.io.record import EXTNAME, encode, read_records
from ndmapper.testing import count_reads, make_mef

ENTRY = {
    "schema": 1, "step": "made", "product": "a.fits", "key": "sha256:00",
    "module": None,
    "engine": "python", "tool": {"name": "x", "version": "1"}, "output": None,
    "content": "sha256:11", "inputs": [], "calibrations": {}, "parameters": {},
    "config": {}, "references": {}, "source": None, "run": {},
}  # fmt: skip


# ---- modes


def test_save_in_read_mode_is_refused(two_groups):
    before = two_groups.read_bytes()
    df = DataFile(two_groups)
    df[0].data[...] = 0
    with pytest.raises(ModeError, match="mode='update'"):
        df.save()
    with pytest.raises(ModeError):
        df.save("a.fits")
    assert two_groups.read_bytes() == before


def test_save_in_read_mode_under_another_name_makes_that_the_file(two_groups):
    df = DataFile(two_groups)
    df[0].data[0, 0] = -1
    df.save("b.fits")
    assert (str(df), df.mode, df.unloaded) == ("b.fits", "update", True)
    assert DataFile("b.fits")[0].data[0, 0] == -1
    assert DataFile(two_groups)[0].data[0, 0] == 1000


def test_save_new_whose_name_was_taken_since_is_refused(tmp_path, two_groups):
    df = DataFile("b.fits", data=[NDData([1])])
    Path("b.fits").write_text("somebody else's")
    with pytest.raises(OutputExistsError):
        df.save()
    assert Path("b.fits").read_text() == "somebody else's"
    df.save(overwrite=True)
    assert DataFile("b.fits")[0].data.tolist() == [1]


def test_save_other_name_that_exists_is_refused(two_groups):
    df = DataFile(two_groups)
    Path("b.fits").write_text("mine")
    with pytest.raises(OutputExistsError):
        df.save("b.fits")
    assert (Path("b.fits").read_text(), str(df)) == ("mine", str(two_groups))


def test_save_overwrite_replaces_then_updates(two_groups):
    df = DataFile(two_groups, mode="overwrite", data=[NDData([1])])
    df.save()
    assert (df.mode, hdu_names(two_groups)) == ("update", [("", None), ("SCI", 1)])
    df.append(NDData([2]))
    df.save()
    assert DataFile(two_groups).idents == [1, 2]


def test_save_without_a_name_is_refused():
    with pytest.raises(ModeError, match=r"save\('name.fits'\)"):
        DataFile(data=[NDData([1])]).save()


def test_save_twice_in_a_row_changes_nothing(two_groups):
    df = DataFile(two_groups, mode="update")
    df[0].data[0, 0] = 7
    df.save()
    once = two_groups.read_bytes()
    df.save()
    assert two_groups.read_bytes() == once


# ---- the record


@pytest.fixture
def product(two_groups):
    with two_groups.open("ab") as out:
        out.write(encode([ENTRY]))
    return two_groups


def test_record_is_read_and_is_no_table(product):
    df = DataFile(product)
    assert [row["step"] for row in df.record] == ["made"]
    assert list(df.tables) == ["MDF"]


def test_record_of_untouched_file_is_kept_byte_for_byte(product):
    DataFile(product).save("b.fits")
    assert Path("b.fits").read_bytes() == product.read_bytes()


@pytest.mark.parametrize("name", ["b.fits", "b.fits.gz"])
def test_record_of_edited_file_says_so(product, name):
    df = DataFile(product)
    df[1].data[0, 0] = -1
    df.save(name)
    rows = read_records(name)
    assert [row["step"] for row in rows] == ["made", "edited"]
    assert rows[-1]["parameters"]["edited"] == ["SCI,2"]
    assert rows[-1]["product"] == name
    assert df.record == rows
    assert hdu_names(name)[-1][0] == EXTNAME


def test_record_of_a_file_with_fewer_groups_says_so(product):
    df = DataFile(product, mode="update")
    del df[0]
    df.save()
    assert read_records(product)[-1]["step"] == "edited"


def test_record_that_was_set_is_written(two_groups):
    df = DataFile(two_groups)
    df.record = [ENTRY]
    df.save("b.fits")
    (row,) = read_records("b.fits")
    assert row | ENTRY == row


def test_record_of_arithmetic_is_not_that_of_the_operand(product):
    result = DataFile(product) * 2
    result.save("b.fits")
    assert read_records("b.fits") == []


@pytest.mark.parametrize(
    ("rows", "steps"), [(None, ["made"]), ([], []), ([ENTRY] * 2, ["made"] * 2)]
)
def test_write_datafile_record_is_as_given(product, rows, steps):
    df = DataFile(product)
    write_datafile(df, Path("b.fits"), rows=rows)
    assert [row["step"] for row in read_records("b.fits")] == steps
    assert str(df) == str(product)


# ---- whole, or not at all


def test_save_copies_unread_pixels_without_loading_them(two_groups):
    df = DataFile(two_groups, mode="update")
    df[0].data[0, 0] = 1
    with count_reads() as reads:
        df.save()
    # Of what is loaded the stored bytes are read to compare; all else is copied once.
    assert reads.bytes == 48 * 4 + 48 * (4 + 4 + 2 + 4 + 2) + 27


@pytest.mark.parametrize("where", ["fsync", "replace", "write"])
def test_save_on_a_full_disk_keeps_the_old_file(two_groups, monkeypatch, where):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = two_groups.read_bytes()
    df = DataFile(two_groups, mode="update")
    df[0].data[0, 0] = -1
    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif where == "replace":
        monkeypatch.setattr(Path, "replace", full)
    else:
        monkeypatch.setattr("ndmapper.io.write._encode", full)
    with pytest.raises(FileAccessError, match="No space left"):
        df.save()
    assert two_groups.read_bytes() == before
    assert list(two_groups.parent.iterdir()) == [two_groups]
    monkeypatch.undo()
    monkeypatch.chdir(two_groups.parent)
    # Nothing is lost in memory either.
    df.save()
    assert DataFile(two_groups)[0].data[0, 0] == -1


def test_save_into_a_missing_folder_is_an_error(two_groups):
    with pytest.raises(MissingFileError, match="folder"):
        DataFile(two_groups).save("no/b.fits")


def test_save_in_a_read_only_folder_is_an_error(two_groups, monkeypatch):
    opened = Path.open

    def refuse(self, mode="r", *args, **kwargs):
        if "x" in mode:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    df = DataFile(two_groups, mode="update")
    df[0].data[0, 0] = -1
    before = two_groups.read_bytes()
    with pytest.raises(FileAccessError, match="permissions"):
        df.save()
    assert two_groups.read_bytes() == before


def test_save_over_a_file_that_changed_on_disk_is_refused(two_groups):
    df = DataFile(two_groups, mode="update")
    df[0].data[0, 0] = -1
    two_groups.unlink()
    make_mef(two_groups, n_ext=1)
    theirs = two_groups.read_bytes()
    with pytest.raises(FileChangedError):
        df.save()
    assert two_groups.read_bytes() == theirs
    assert list(two_groups.parent.iterdir()) == [two_groups]


def test_save_interrupted_leaves_no_temporary_file(two_groups, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        DataFile(two_groups, mode="update").save()
    assert list(two_groups.parent.iterdir()) == [two_groups]


def test_save_keeps_permissions_and_links(two_groups):
    two_groups.chmod(0o640)
    link = two_groups.with_name("link.fits")
    link.symlink_to(two_groups.name)
    df = DataFile(link, mode="update")
    df[0].data[0, 0] = -1
    df.save()
    assert link.is_symlink()
    assert stat.S_IMODE(two_groups.stat().st_mode) == 0o640
    assert DataFile(two_groups)[0].data[0, 0] == -1


def test_save_another_view_of_the_old_file_is_noticed(two_groups):
    df, other = DataFile(two_groups, mode="update"), DataFile(two_groups)
    df[0].data[0, 0] = -1
    df.save()
    with pytest.raises(FileChangedError, match="open it again"):
        _ = other[1].data


# ---- odd targets of a save: the file itself by other names, folders, links, names


def same_pixels(path, before):
    with fits.open(path) as hdus:
        for hdu, data in zip(hdus, before, strict=True):
            if isinstance(hdu, fits.ImageHDU):
                np.testing.assert_array_equal(hdu.data, data)


@pytest.fixture
def before(two_groups):
    with fits.open(two_groups) as hdus:
        return [None if hdu.data is None else hdu.data.copy() for hdu in hdus]


def test_save_onto_itself_unread(two_groups, before):
    df = DataFile(two_groups)
    df.save(overwrite=True)
    same_pixels(two_groups, before)


def test_save_onto_itself_by_another_path(two_groups, before, monkeypatch):
    monkeypatch.chdir(two_groups.parent)
    df = DataFile(two_groups)
    df.save(f"../{two_groups.parent.name}/./a.fits", overwrite=True)
    same_pixels(two_groups, before)
    assert files_in(two_groups.parent) == ["a.fits"]


def test_save_onto_itself_through_a_linked_folder(two_groups, before, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    df = DataFile(two_groups)
    df.save(tmp_path / "link" / "a.fits", overwrite=True)
    same_pixels(two_groups, before)
    assert df[0].data is not None


def test_save_onto_a_link_to_itself_keeps_the_link(two_groups, before, tmp_path):
    (tmp_path / "link.fits").symlink_to("a.fits")
    df = DataFile(two_groups)
    df.save(tmp_path / "link.fits", overwrite=True)
    assert (tmp_path / "link.fits").is_symlink()
    same_pixels(two_groups, before)


def test_save_onto_a_link_to_nothing_makes_the_file(two_groups, tmp_path):
    (tmp_path / "link.fits").symlink_to("new.fits")
    DataFile(two_groups).save(tmp_path / "link.fits", overwrite=True)
    assert (tmp_path / "link.fits").is_symlink()
    assert len(DataFile(tmp_path / "new.fits")) == 2


def test_save_onto_a_hard_link_leaves_the_other_name_alone(two_groups, tmp_path):
    os.link(two_groups, tmp_path / "other.fits")
    content = two_groups.read_bytes()
    df = DataFile(two_groups, mode="update")
    df[0].data[0, 0] = 99
    df.save()
    assert (tmp_path / "other.fits").read_bytes() == content


def test_save_onto_the_input_of_a_section(two_groups):
    part = DataFile(two_groups)[0][1:3, 2:5]
    wanted = fits.getdata(two_groups, 2 - 1)
    DataFile(two_groups, data=[part], mode="overwrite").save()
    df = DataFile(two_groups)
    assert df[0].shape == (2, 3)
    assert wanted is not None
    np.testing.assert_array_equal(df[0].data, part.data)


def test_save_onto_a_file_that_another_one_reads_is_noticed_there(two_groups):
    reader = DataFile(two_groups)
    writer = DataFile(two_groups, mode="update")
    writer[0].data[0, 0] = 99
    writer.save()
    with pytest.raises(FileChangedError, match="changed or replaced"):
        _ = reader[1].data


def test_save_onto_a_folder_is_an_error(tmp_path):
    (tmp_path / "x.fits").mkdir()
    df = DataFile(data=[NDLater([1.0])])
    with pytest.raises((FileAccessError, FormatError), match=r"x\.fits"):
        df.save(tmp_path / "x.fits", overwrite=True)
    assert files_in(tmp_path) == ["x.fits"]


@pytest.mark.parametrize("name", ["späť.fits", "with space.fits", "x" * 240 + ".fits"])
def test_save_under_an_odd_name(tmp_path, name):
    DataFile(data=[NDLater([1.0, 2.0])]).save(tmp_path / name)
    assert DataFile(tmp_path / name)[0].data.tolist() == [1, 2]
    assert files_in(tmp_path) == [name]


def test_save_larger_than_allowed_keeps_the_old_file(two_groups):
    resource = pytest.importorskip("resource", reason="only on Unix")
    content = two_groups.read_bytes()
    df = DataFile(two_groups, mode="update")
    df.append(NDLater(np.zeros((200, 200))))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(FileAccessError, match="cannot be written"):
            df.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert two_groups.read_bytes() == content
    assert files_in(two_groups.parent) == ["a.fits"]
    df.save()
    assert len(DataFile(two_groups)) == 3


def test_copying_more_than_allowed_is_not_blamed_on_what_is_read(tmp_path):
    resource = pytest.importorskip("resource", reason="only on Unix")
    DataFile(data=[NDLater(np.zeros((200, 200)))]).save(tmp_path / "big.fits")
    df = DataFile(tmp_path / "big.fits")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(FileAccessError, match=r"new\.fits cannot be written"):
            df.save(tmp_path / "new.fits")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_in(tmp_path) == ["big.fits"]


def test_save_onto_a_link_to_itself_is_an_error(tmp_path):
    (tmp_path / "x.fits").symlink_to("x.fits")
    df = DataFile(data=[NDLater([1.0])])
    with pytest.raises(FileAccessError, match=r"x\.fits is a link that leads to"):
        df.save(tmp_path / "x.fits", overwrite=True)
    assert files_in(tmp_path) == ["x.fits"]


@pytest.mark.parametrize("name", ["gone/x.fits", "x.fits.Z"])
def test_errors_name_the_file_that_was_asked_for(tmp_path, name):
    df = DataFile(data=[NDLater([1.0])])
    with pytest.raises(NdmapperError) as caught:
        df.save(tmp_path / name)
    assert f"{tmp_path / name} cannot be written" in str(caught.value)
    assert ".ndm-" not in str(caught.value)


def test_save_after_a_change_of_folder_writes_the_file_that_was_opened(
    tmp_path, monkeypatch
):
    (tmp_path / "other").mkdir()
    path = make_mef(tmp_path / "a.fits")
    monkeypatch.chdir(tmp_path)
    df = DataFile("a.fits", mode="update")
    read_only = DataFile("a.fits")
    df.meta["NEW"] = 1
    monkeypatch.chdir(tmp_path / "other")
    df.save()
    assert not Path("a.fits").exists()
    assert DataFile(path).meta["NEW"] == 1
    assert df.filename == path
    df.meta["NEW"] = 2
    df.reload()
    assert df.meta["NEW"] == 1
    with pytest.raises(ModeError):
        read_only.save()
    read_only.reload()
    read_only.save("a.fits")
    assert Path("a.fits").exists()
