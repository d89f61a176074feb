"""What cannot be done is said by an error of ndmapper that says why."""

import os

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import (
    ConfigError,
    FileAccessError,
    FormatError,
    InstrumentError,
    MissingFileError,
    ParameterError,
)
from ndmapper.io.write import publish


def broken(path, keyword, name, more=b""):
    """Break a card in the header of one extension, or put a broken one there."""
    raw = path.read_bytes()
    start = raw.index(f"EXTNAME = '{name}".encode())
    card = f"{keyword:8}= 'abc".ljust(80).encode()
    at = raw.find(keyword.ljust(8).encode() + b"=", start, start + 1000)
    if at < 0:
        end = raw.index(b"END".ljust(80), start)
        new = more + card + b"END".ljust(80)
        raw = raw[:end] + new + raw[end + len(new) :]
    else:
        raw = raw[:at] + card + raw[at + 80 :]
    path.write_bytes(raw)
    return path


# ---- names


@pytest.mark.parametrize("name", ["x" * 300 + ".fits", "a\0b.fits"])
def test_save_under_a_name_that_no_file_can_have(two_groups, name):
    with pytest.raises(FileAccessError):
        DataFile(data=NDData([1])).save(name)


def test_open_a_name_that_no_file_can_have(two_groups):
    with pytest.raises(MissingFileError):
        DataFile("a\0b.fits")


@pytest.mark.parametrize("ident", ["\u00e9", "a\nb"])
def test_ident_that_fits_cannot_hold(two_groups, ident):
    df = DataFile(data=[NDData([1]), NDData([1])])
    df[0].ident = ident
    with pytest.raises(FormatError, match="cannot be saved"):
        df.save("b.fits")
    df = DataFile(data=NDData([1]))
    df.extras[ident] = NDData([1])
    with pytest.raises(FormatError, match="cannot be saved"):
        df.save("b.fits")


def test_ident_of_numpy_is_a_number(two_groups):
    df = DataFile("b.fits", data=NDData([1]), mode="new")
    df[0].ident = np.int64(4)
    df.save()
    assert DataFile("b.fits").idents == [4]


# ---- cards that break the standard


@pytest.mark.parametrize(
    ("keyword", "more"),
    [("FLAGCONV", b""), ("FLAG0", b"FLAGCONV= 'own'".ljust(80))],
)
def test_broken_names_of_flags_are_not_read(two_groups, keyword, more):
    df = DataFile(broken(two_groups, keyword, "DQ", more), mode="update")
    flags = df[0].flags.copy()
    assert df.preview().png
    assert np.array_equal((df[0] * 2).flags, flags)
    assert np.array_equal((df[0] + df[0][:, :]).flags, flags)
    df[0].flags[0, 0] |= 1
    df.save()
    name = df[0].flag_table.name
    assert name == ("own" if more else DataFile(two_groups)[1].flag_table.name)
    assert fits.getheader(two_groups, ("DQ", 1))["FLAGCONV"] == name


def test_broken_name_of_a_flag_leaves_a_known_convention(two_groups):
    DataFile(two_groups).translate_flags("jwst").save("j.fits")
    broken(two_groups.with_name("j.fits"), "FLAG0", "DQ")
    first, second = DataFile("j.fits")
    assert first.flag_table == second.flag_table
    assert first.flag_table.name == "jwst"


@pytest.mark.parametrize("keyword", ["EXTNAME", "EXTVER"])
def test_section_of_an_extension_with_a_broken_name(two_groups, keyword):
    df = DataFile(broken(two_groups, keyword, "SCI"))
    DataFile("b.fits", data=[df[0][1:]]).save()
    assert fits.getheader("b.fits", 1)["EXTNAME"] == "SCI"
    assert len(DataFile("b.fits")) == 1


# ---- pictures


@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_preview_of_no_size(two_groups, size):
    with pytest.raises(ParameterError, match="at least 1"):
        DataFile(two_groups).preview(size=size)


def test_preview_saved_where_it_cannot_be(two_groups):
    made = DataFile(two_groups).preview()
    with pytest.raises(MissingFileError, match="folder"):
        made.save("nowhere/x.png")
    with pytest.raises(ParameterError, match=r"\.png"):
        made.save("x.jpg")
    assert made.save("x.PNG").exists()


# ---- values


@pytest.mark.parametrize("value", [None, 1.5, [None]])
def test_bad_flags_that_are_none(two_groups, value):
    with pytest.raises(ConfigError, match="by their names"):
        DataFile(two_groups)[0].bad_flags = value
    with pytest.raises(ConfigError, match="by their names"):
        _ = NDLater([1]).flagged(value)


@pytest.mark.parametrize("value", [3, None])
def test_flag_table_that_is_none(two_groups, value):
    with pytest.raises(InstrumentError, match="by its name"):
        DataFile(two_groups)[0].flag_table = value


@pytest.mark.parametrize("value", [5, ["SCI"], {"data": 5}])
def test_labels_that_are_none(two_groups, value):
    with pytest.raises(ConfigError, match="labels"):
        DataFile(two_groups, labels=value)


# ---- owners


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
def test_replaced_file_keeps_its_owner(two_groups):
    os.chown(two_groups, 1234, 2345)
    two_groups.chmod(0o640)
    df = DataFile(two_groups, mode="update")
    df.meta["NEW"] = 1
    df.save()
    found = two_groups.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 2345, 0o640)


@pytest.mark.skipif(not hasattr(os, "chown"), reason="files have no owners here")
def test_owner_that_may_not_be_given_is_left(tmp_path, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    tried = []

    def refuse(path, uid, gid):
        tried.append((uid, gid))
        raise PermissionError

    real = type(old).stat

    def of_another(self, **options):
        found = real(self, **options)
        if self != old:
            return found
        values = list(found)
        values[4], values[5] = 7, 8
        return os.stat_result(values)

    monkeypatch.setattr(type(old), "stat", of_another)
    monkeypatch.setattr(os, "chown", refuse)
    publish(new, old)
    assert old.read_bytes() == b"new"
    assert tried == [(7, 8), (-1, 8)]
