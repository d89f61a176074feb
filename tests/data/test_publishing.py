"""Lists that are saved over files which others of the list are still read from."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import files_in

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.data.save_list import sources_of
from ndmapper.errors import FileAccessError, ModeError, OutputExistsError, PlanError
from ndmapper.testing import make_mef

WORKERS = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def three_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, first in (("a", 1), ("b", 10), ("c", 100)):
        make_mef(f"{name}.fits", n_ext=2)
        with fits.open(f"{name}.fits", mode="update") as hdus:
            hdus["SCI", 1].data[...] = first
    return tmp_path


def first_pixels():
    return [fits.getdata(f"{name}.fits", ("SCI", 1))[0, 0] for name in "abc"]


@WORKERS
def test_list_minus_itself_turned_round_in_place(three_files, workers):
    files = DataFileList("*.fits", mode="update")
    files -= DataFileList(["c.fits", "b.fits", "a.fits"])
    files.save(workers=workers)
    assert first_pixels() == [-99, 0, 99]
    assert [df[0].data[0, 0] for df in files] == [-99, 0, 99]
    assert all(df.unloaded for df in files)
    assert files_in(three_files) == ["a.fits", "b.fits", "c.fits"]


@WORKERS
def test_list_minus_one_of_its_files_in_place(three_files, workers):
    files = DataFileList("*.fits", mode="update")
    files -= files[0]
    files.save(workers=workers)
    assert first_pixels() == [0, 9, 99]


@WORKERS
def test_results_that_replace_the_files_of_one_another(three_files, workers):
    files = DataFileList("*.fits")
    names = ["b.fits", "c.fits", "a.fits"]
    made = files.multiply(2, filename=names, overwrite=True, workers=workers)
    assert first_pixels() == [200, 2, 20]
    assert [str(df) for df in made] == names
    assert files_in(three_files) == ["a.fits", "b.fits", "c.fits"]


@WORKERS
def test_results_that_replace_the_file_that_goes_with_each(three_files, workers):
    files = DataFileList("*.fits")
    names = ["a.fits", "b.fits", "c.fits"]
    files.subtract(files[0], filename=names, overwrite=True, workers=workers)
    assert first_pixels() == [0, 9, 99]


@WORKERS
def test_files_that_exchange_their_names(three_files, workers):
    files = DataFileList("*.fits")
    names = ["b.fits", "c.fits", "a.fits"]
    files.save(filename=names, overwrite=True, workers=workers)
    assert first_pixels() == [100, 1, 10]
    assert [df[0].data[0, 0] for df in files] == [1, 10, 100]


@WORKERS
def test_nothing_is_replaced_where_one_cannot_be_written(three_files, workers):
    files = DataFileList("*.fits", mode="update")
    files -= DataFileList(["c.fits", "b.fits", "a.fits"])
    files[2].meta["BAD"] = 1
    make_mef("other.fits").replace("b.fits")  # so that it cannot be read any more
    with pytest.raises(OSError, match=r"b\.fits was changed"):
        files.save(workers=workers)
    assert fits.getdata("a.fits", ("SCI", 1))[0, 0] == 1
    assert fits.getdata("c.fits", ("SCI", 1))[0, 0] == 100
    assert files_in(three_files) == ["a.fits", "b.fits", "c.fits"]


@WORKERS
def test_nothing_is_written_where_one_is_protected(three_files, workers):
    Path("c.fits").chmod(0o444)
    files = DataFileList("*.fits", mode="update")
    files += 1
    with pytest.raises(FileAccessError, match=r"c\.fits is write-protected"):
        files.save(workers=workers)
    assert first_pixels() == [1, 10, 100]


def test_nothing_is_written_where_the_mode_of_one_forbids_it(three_files):
    files = DataFileList(["a.fits", "b.fits"], mode="update")
    list.append(files, DataFile("c.fits"))
    files += 1
    with pytest.raises(ModeError, match=r"c\.fits was opened in mode 'read'"):
        files.save()
    assert first_pixels() == [1, 10, 100]


def test_two_files_of_one_name_are_refused(three_files):
    files = DataFileList(["a.fits", "a.fits"], mode="update")
    files += 1
    with pytest.raises(PlanError, match=r"called a\.fits"):
        files.save()
    assert first_pixels() == [1, 10, 100]


def test_a_file_that_is_there_twice_is_saved_once(three_files):
    df = DataFile("a.fits", mode="update")
    df += 1
    DataFileList([df, df]).save()
    assert first_pixels() == [2, 10, 100]


@WORKERS
def test_what_the_user_holds_stays_connected(three_files, workers):
    files = DataFileList("*.fits", mode="update")
    held = [df[0] for df in files]
    array = held[0].data
    array[...] = 5
    files.save(workers=workers)
    assert all(df[0] is ndd for df, ndd in zip(files, held, strict=True))
    assert held[0].data is array
    array[...] = 6
    held[1].data[...] = 7
    held[2].meta["NEW"] = 8
    files[0].tables["MDF"]["NO"][0] = 9
    files.save(workers=workers)
    assert first_pixels() == [6, 7, 100]
    assert fits.getheader("c.fits", ("SCI", 1))["NEW"] == 8
    assert fits.getdata("a.fits", "MDF")["NO"][0] == 9


@WORKERS
def test_files_saved_before_one_failed_are_connected(three_files, workers):
    files = DataFileList("*.fits", mode="update")
    files += 1
    make_mef("other.fits").replace("c.fits")
    with pytest.raises(OSError, match=r"c\.fits was changed"):
        files.save(workers=workers)
    for df, name in zip(files[:2], "ab", strict=True):
        now = fits.getdata(f"{name}.fits", ("SCI", 1))[0, 0]
        assert now in {1, 2, 10, 11}
        assert df[0].data[0, 0] in {2, 11}
        assert df.unloaded == (now in {2, 11})


@WORKERS
def test_link_keeps_pointing_at_the_file_that_is_saved(three_files, workers):
    Path("link.fits").symlink_to("a.fits")
    files = DataFileList(["link.fits", "b.fits"], mode="update")
    files += 1
    files.save(workers=workers)
    assert Path("link.fits").is_symlink()
    assert first_pixels() == [2, 11, 100]


def test_file_that_came_meanwhile_is_not_replaced(three_files, monkeypatch):
    files = DataFileList("*.fits")
    replace = os.replace

    def slow(*args):
        Path("y.fits").write_text("precious", encoding="utf-8")
        return replace(*args)

    monkeypatch.setattr(os, "replace", slow)
    with pytest.raises(OutputExistsError, match=r"y\.fits was written"):
        files.add(1, filename=["x.fits", "y.fits", "z.fits"])
    assert Path("y.fits").read_text(encoding="utf-8") == "precious"


def test_sources_are_found_through_operations_and_sections(three_files):
    a, b, c = DataFileList("*.fits")
    later = (a - b) / c
    for value in (later, later[0], later[0][2:4], DataFile(data=[later[1]])):
        names = {Path(name).name for name in sources_of(value)}
        assert names == {"a.fits", "b.fits", "c.fits"}
    assert sources_of(NDLater(np.ones(3)), 1, None) == set()


@WORKERS
@pytest.mark.parametrize("turned", [False, True])
def test_list_is_saved_with_checksums(three_files, workers, turned):
    files = DataFileList("*.fits", mode="update")
    files += files[::-1] if turned else 1
    files.save(workers=workers, checksum=True)
    assert files[0][0].data[0, 0] == (101 if turned else 2)
    for name in "abc":
        with fits.open(f"{name}.fits", checksum=True) as hdus:
            assert all(hdu._checksum and hdu.verify_checksum() == 1 for hdu in hdus)
