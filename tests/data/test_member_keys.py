"""What files say of themselves, and the parts that are cut out of one."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile
from ndmapper.data.member_keys import cut, find_rule, is_changed, key_of, keys_in
from ndmapper.errors import FormatError
from ndmapper.testing import count_reads


def write(path, primary, extensions):
    """Write a file of small images, or tables, with the cards that are given."""
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update(primary)
    for cards in extensions:
        kind = cards.pop("kind", "image")
        hdu = (
            fits.ImageHDU(np.arange(6, dtype="f4").reshape(2, 3))
            if kind == "image"
            else fits.BinTableHDU(Table({"a": [1, 2]}))
        )
        hdu.header.update(cards)
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return DataFile(path)


@pytest.mark.parametrize(
    ("primary", "names", "keys"),
    [
        ({"EXTNAME": "CHAN07"}, ["DATA", "DQ", "STAT"], [7]),
        ({}, ["CHAN01.DATA", "CHAN01.STAT", "CHAN12.DATA"], [1, 12]),
        ({}, ["CHAN24", "CHAN03"], [24, 3]),
        ({}, ["DATA", "STAT"], []),
        ({"EXTNAME": "CHANNEL"}, ["DATA"], []),
    ],
)
def test_table_of_the_instrument_says_how_a_key_is_read(folder, primary, names, keys):
    extensions = [{"EXTNAME": name} for name in names]
    df = write("a.fits", {"INSTRUME": "MUSE", **primary}, extensions)
    with count_reads() as reads:
        assert keys_in(df, "ifu") == keys
        _ = [ndd.meta for ndd in df]
        df.meta["OBJECT"] = "x"  # so that it is no more as in the file
        assert keys_in(df, "ifu") == keys
    assert reads.reads == 0
    assert find_rule(df, "ifu").parameter == "nifu"
    assert find_rule(df, "chip") is None


def test_name_is_a_keyword_where_no_instrument_is_known(folder):
    df = write("a.fits", {"IFU": 7}, [{"EXTNAME": "CHAN08"}])
    assert find_rule(df, "ifu") is None
    assert keys_in(df, "ifu") == [7]


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        (7, [7]),
        (-1, [-1]),
        ("V ", ["V"]),
        ("07", ["07"]),
        (1.5, ["1.5"]),
        ("", []),
        (True, []),
        (None, []),
    ],
)
def test_keyword_gives_a_number_or_a_text(folder, value, keys):
    assert keys_in(write("a.fits", {"KEY": value}, [{}]), "KEY") == keys


def test_keyword_of_the_primary_header_is_that_of_the_file(folder):
    df = write("a.fits", {"CHIP": 3}, [{"CHIP": 1}, {"CHIP": 2}])
    assert keys_in(df, "CHIP") == [3]


def test_keyword_of_extensions_gives_all_of_them(folder):
    cards = [{"CHIP": 2}, {"CHIP": 1}, {"CHIP": 2, "kind": "table"}, {}]
    assert keys_in(write("a.fits", {}, cards), "CHIP") == [2, 1]


def test_hierarchical_keyword_is_found(folder):
    cards = {"HIERARCH ESO DET CHIP NO": 4}
    assert keys_in(write("a.fits", {}, [cards]), "ESO DET CHIP NO") == [4]


def test_card_that_cannot_be_read_gives_no_key(folder):
    df = write("a.fits", {"CHIP": 3}, [{}])
    raw = (folder / "a.fits").read_bytes()
    (folder / "a.fits").write_bytes(raw.replace(b"CHIP    =    ", b"CHIP    = 1, ", 1))
    df = DataFile("a.fits")
    assert keys_in(df, "CHIP") == []
    df.meta["OBJECT"] = "x"
    assert keys_in(df, "CHIP") == []


def test_idents_are_keys(folder):
    cards = [{"EXTNAME": "SCI", "EXTVER": n} for n in (3, 1)]
    assert keys_in(write("a.fits", {}, cards), "ident") == [3, 1]


@pytest.mark.parametrize(
    ("given", "keys"),
    [(7, [7]), ("a", ["a"]), (np.int64(7), [7]), ((1, "V"), [(1, "V")]), (None, [])],
)
def test_function_gives_the_key(folder, given, keys):
    assert keys_in(write("a.fits", {}, [{}]), lambda df: given) == keys


def test_key_of_one_member(folder):
    df = write("a.fits", {"CHIP": 3, "FILTER": "V"}, [{}])
    assert key_of(df, "CHIP") == 3
    assert key_of(df, ("CHIP", "FILTER")) == (3, "V")
    assert key_of(df, [lambda df: 5]) == 5


@pytest.mark.parametrize(
    ("rule", "says"), [("NONE", "say none"), ("CHIP", "several: 1, 2")]
)
def test_key_that_is_not_known_is_an_error(folder, rule, says):
    df = write("a.fits", {}, [{"CHIP": 1}, {"CHIP": 2}])
    with pytest.raises(FormatError, match=rf"{rule} of a.fits is not known.*{says}"):
        key_of(df, rule)


# ---- parts


@pytest.fixture
def chips(folder):
    cards = [
        {"EXTNAME": "SCI", "EXTVER": 1, "CHIP": 1},
        {"EXTNAME": "SCI", "EXTVER": 2, "CHIP": 2},
        {"EXTNAME": "OBJ1", "CHIP": 1, "kind": "table"},
        {"EXTNAME": "OBJ2", "CHIP": 2, "kind": "table"},
        {"EXTNAME": "ALL", "kind": "table"},
        {"EXTNAME": "WEIGHT1", "CHIP": 1},
        {"EXTNAME": "WEIGHT2", "CHIP": 2},
    ]
    return write("a.fits", {}, cards)


def test_part_has_what_is_its_own_and_what_is_for_all(chips):
    with count_reads() as reads:
        part = cut(chips, "CHIP", 2)
        assert part.idents == [2]
        assert list(part.tables) == ["OBJ2", "ALL"]
        assert [n for n in part.extras if n.startswith("W")] == ["WEIGHT2"]
    assert reads.reads == 0
    assert part.filename is None
    assert len(chips) == 2


def test_part_is_independent_of_the_file(chips):
    part = cut(chips, "CHIP", 2)
    part[0].data[:] = 9
    del part.tables["ALL"]
    assert chips[1].data[0, 0] == 0
    assert "ALL" in chips.tables


def test_part_of_a_file_that_was_changed_is_as_changed(chips):
    chips[1].data[:] = 9
    del chips.tables["OBJ2"]
    chips.tables["NEW"] = Table({"a": [1]}, meta={"CHIP": 2})
    part = cut(chips, "CHIP", 2)
    assert part[0].data[0, 0] == 9
    assert sorted(part.tables) == ["ALL", "NEW"]
    assert "NEW" not in cut(chips, "CHIP", 1).tables


def test_part_by_ident(chips):
    assert cut(chips, "ident", 2).idents == [2]


@pytest.mark.parametrize(
    "look",
    [
        lambda df: df[0].data,
        lambda df: df[0].meta["CHIP"],
        lambda df: df.meta["SIMPLE"],
        lambda df: df.tables["OBJ2"],
        lambda df: df.extras["WEIGHT2"].data,
    ],
)
def test_looking_changes_nothing(chips, look):
    part = cut(chips, "CHIP", 2)
    before = part.copy()
    look(part)
    assert not is_changed(part, before)


@pytest.mark.parametrize(
    "change",
    [
        lambda df: df[0].data.fill(9),
        lambda df: df[0].meta.set("CHIP", 9),
        lambda df: df.meta.set("OBJECT", "x"),
        lambda df: df.__isub__(1),
        lambda df: df.__delitem__(0),
        lambda df: df.tables["OBJ2"].add_row([3]),
        lambda df: df.tables.clear(),
        lambda df: df.extras["WEIGHT2"].data.fill(9),
        lambda df: setattr(df[0], "flags", np.ones((2, 3), int)),
        lambda df: df.renumber(7),
    ],
)
def test_changes_are_noticed(chips, change):
    part = cut(chips, "CHIP", 2)
    before = part.copy()
    change(part)
    assert is_changed(part, before)
