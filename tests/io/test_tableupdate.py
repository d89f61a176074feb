"""Tables that were read from a file and changed, with astropy as the judge."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile
from ndmapper.data.saving.plan import changes, plan_hdus
from ndmapper.errors import FormatError

BIG = np.array([2**63 + 1, 2**53 + 1, 2**64 - 1, 5], "u8")


def cells(*values):
    made = np.empty(len(values), object)
    made[:] = values
    return made


COLUMNS = {
    "u2": fits.Column("C", "I", bzero=2**15, array=np.array([0, 1, 65535, 7], "u2")),
    "u4": fits.Column("C", "J", bzero=2**31, array=np.array([0, 1, 2**31, 7], "u4")),
    "u8": fits.Column("C", "K", bzero=2**63, array=BIG),
    "i1": fits.Column("C", "B", bzero=-128, array=np.array([-3, 4, 5, 127], "i1")),
    "null": fits.Column("C", "J", null=-9, array=np.array([1, -9, 3, -9])),
    "bits": fits.Column("C", "11X", array=np.eye(4, 11, dtype=bool)),
    "flag": fits.Column("C", "L", array=np.array([True, False, True, True])),
    "text": fits.Column("C", "9A", array=["one", "two", "", "four"]),
    "texts": fits.Column("C", "12A", dim="(4,3)", array=[["a", "bb", ""]] * 4),
    "cube": fits.Column("C", "6E", dim="(3,2)", array=np.ones((4, 2, 3), "f4")),
    "nan": fits.Column("C", "D", array=[1.5, np.nan, -0.0, 2]),
    "complex": fits.Column("C", "M", array=np.array([1j, 2, 3, 4])),
    "empty": fits.Column("C", "0D", array=np.zeros((4, 0))),
    "arrays": fits.Column(
        "C", "PJ()", array=cells(*(np.arange(n, dtype="i4") for n in (2, 0, 5, 1)))
    ),
    "words": fits.Column("C", "PA()", array=cells("ab", "", "xyz", "q")),
}  # fmt: skip


@pytest.fixture
def make(tmp_path):
    """Give a function that writes a table with a column, and gives its path."""

    def made(*columns, kind=fits.BinTableHDU, checksum=False, cards=()):
        numbers = np.arange(len(columns[0].array), dtype="i4")
        form = "J" if kind is fits.BinTableHDU else "I6"
        hdu = kind.from_columns([*columns, fits.Column("A", form, array=numbers)])
        hdu.header["EXTNAME"] = ("Cat", "as somebody wrote it")
        hdu.header.extend([fits.Card(*card) for card in cards], end=True)
        path = tmp_path / "a.fits"
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, checksum=checksum)
        return path

    return made


def header_of(path):
    """Give the cards of the table, sums of bytes left out."""
    header = fits.getheader(path, 1)
    return [str(c) for c in header.cards if c.keyword not in ("CHECKSUM", "DATASUM")]


def data_of(path, column):
    """Give a column as astropy reads it."""
    with fits.open(path, uint=True) as hdus:
        return [np.array(value) for value in hdus[1].data[column]]


@pytest.mark.parametrize("kind", COLUMNS)
def test_other_columns_stay_when_one_is_edited(make, kind):
    path = make(COLUMNS[kind])
    header, before = header_of(path), data_of(path, "C")
    df = DataFile(path, mode="update")
    df.tables["Cat"]["A"][0] = 99
    df.save()
    assert header_of(path) == header
    for one, other in zip(data_of(path, "C"), before, strict=True):
        assert one.tobytes() == other.tobytes()
    assert data_of(path, "A")[:2] == [99, 1]
    assert not list(changes(plan_hdus(df)))


@pytest.mark.parametrize("kind", COLUMNS)
def test_looking_at_a_column_changes_nothing(make, kind):
    path = make(COLUMNS[kind])
    content = path.read_bytes()
    df = DataFile(path, mode="update")
    _ = df.tables["Cat"]["C"], df.tables["Cat"].copy()
    assert not list(changes(plan_hdus(df)))
    df.save()
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", sorted(set(COLUMNS) - {"empty"}))
def test_cells_are_written_in_the_stored_form(make, kind):
    path = make(COLUMNS[kind])
    header, before = header_of(path), data_of(path, "C")
    df = DataFile(path, mode="update")
    column = df.tables["Cat"]["C"]
    column[:] = column[[2, 1, 0, 3]]
    wanted = [before[2], before[1], before[0], before[3]]
    df.save()
    assert header_of(path) == header
    for one, other in zip(data_of(path, "C"), wanted, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("kind", COLUMNS)
def test_rows_are_added_and_taken_away_in_the_stored_form(make, kind):
    path = make(COLUMNS[kind])
    before = data_of(path, "C")
    form = fits.getval(path, "TFORM1", 1)
    for rows in ([3, 1, 1, 0, 2], []):
        df = DataFile(path, mode="overwrite", data=DataFile(path))
        df.tables["Cat"] = df.tables["Cat"][rows]
        other = path.with_name("b.fits")
        df.save(other, overwrite=True)
        assert fits.getval(other, "TFORM1", 1) == form
        for one, n in zip(data_of(other, "C"), rows, strict=True):
            np.testing.assert_array_equal(one, before[n])


def test_large_unsigned_integers_are_exact(make):
    df = DataFile(make(COLUMNS["u8"]))
    assert df.tables["Cat"]["C"].dtype == "u8"
    assert df.tables["Cat"]["C"].tolist() == BIG.tolist()


def test_undefined_unsigned_integers_are_masked(make):
    path = make(COLUMNS["u2"], cards=[("TNULL1", -32768)])
    df = DataFile(path, mode="update")
    assert df.tables["Cat"]["C"].mask.tolist() == [True, False, False, False]
    df.tables["Cat"]["C"].mask[1] = True
    df.save()
    again = DataFile(path).tables["Cat"]["C"]
    assert again.mask.tolist() == [True, True, False, False]
    assert fits.getval(path, "TFORM1", 1) == "I"


def scaled(make):
    column = fits.Column("C", "I", array=np.array([1, 2, 10], "i2"))
    return make(column, cards=[("TSCAL1", 0.1), ("TZERO1", 3.0)])


def test_scaled_numbers_stay_scaled_where_that_gives_them(make):
    path = scaled(make)
    header = header_of(path)
    df = DataFile(path, mode="update")
    df.tables["Cat"]["C"][1] = 4.5
    df.save()
    assert header_of(path) == header
    np.testing.assert_allclose(data_of(path, "C"), [3.1, 4.5, 4.0], rtol=1e-15)


def test_scaled_numbers_are_not_rounded(make):
    path = scaled(make)
    df = DataFile(path, mode="update")
    df.tables["Cat"]["C"][1] = np.pi
    df.save()
    assert data_of(path, "C")[1] == np.pi
    assert fits.getval(path, "TFORM1", 1) == "D"
    assert "TSCAL1" not in fits.getheader(path, 1)


def test_cards_stay_as_they_are(make):
    cards = [
        ("TCTYP1", "RA---TAN"), ("TDMIN1", 0.5), ("TUNIT1", ""), ("TUNIT2", "pix"),
        ("GAIN", 2.5, "a comment"), ("COMMENT", "one"), ("HISTORY", "two"),
    ]  # fmt: skip
    path = make(COLUMNS["nan"], checksum=True, cards=cards)
    header = header_of(path)
    df = DataFile(path, mode="update")
    table = df.tables["Cat"]
    table["A"][0] = 4
    table.meta["GAIN"] = 3.5
    table.meta["comments"].append("three")
    table["A"].unit = "m"
    df.save()
    after = header_of(path)
    assert len(after) == len(header) + 1
    changed = [card for card in after if card not in header]
    assert [card[:8].strip() for card in changed] == ["TUNIT2", "GAIN", "COMMENT"]
    assert changed[1].rstrip().endswith("/ a comment")
    with fits.open(path, checksum=True) as hdus:
        assert "CHECKSUM" not in hdus[1].header


def test_column_in_front_and_column_less(make):
    path = make(COLUMNS["arrays"], cards=[("TDMIN2", 0), ("TUCD1", "meta")])
    before = data_of(path, "C")
    df = DataFile(path, mode="update")
    df.tables["Cat"].add_column(cells(*map(np.arange, range(4))), name="N", index=0)
    df.save()
    header = fits.getheader(path, 1)
    assert (header["TUCD2"], header["TDMIN3"]) == ("meta", 0)
    assert [header[f"TTYPE{n}"] for n in (1, 2, 3)] == ["N", "C", "A"]
    for one, other in zip(data_of(path, "C"), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [len(cell) for cell in data_of(path, "N")] == [0, 1, 2, 3]
    del df.tables["Cat"]["N"], df.tables["Cat"]["C"]
    df.save()
    header = fits.getheader(path, 1)
    assert (header["TFIELDS"], header["PCOUNT"], header["TDMIN1"]) == (1, 0, 0)
    assert data_of(path, "A") == [0, 1, 2, 3]


def text_table(make):
    return make(
        fits.Column("C", "F8.3", null="-", array=[1.5, 2.25]),
        fits.Column("T", "A5", array=["x", "yy"]),
        kind=fits.TableHDU,
    )


def test_text_table_stays_one(make):
    path = text_table(make)
    header = header_of(path)
    df = DataFile(path, mode="update")
    table = df.tables["Cat"]
    table["C"][0], table["T"][1] = 3.14159, "zz"
    df.save()
    assert header_of(path) == header
    data = fits.getdata(path, 1)
    assert (data["C"].tolist(), data["T"][1].strip()) == ([3.14159, 2.25], "zz")
    assert not list(changes(plan_hdus(df)))


def test_text_table_with_another_column_becomes_a_binary_one(make):
    path = text_table(make)
    df = DataFile(path, mode="update")
    df.tables["Cat"]["NEW"] = [1, 2]
    df.save()
    header = fits.getheader(path, 1)
    assert (header["XTENSION"], header["EXTNAME"]) == ("BINTABLE", "Cat")
    assert data_of(path, "NEW") == [1, 2]
    assert data_of(path, "C") == [1.5, 2.25]


def test_text_table_without_rows_opens(make):
    column = fits.Column("C", "I5", null="-9", array=np.array([], int))
    table = DataFile(make(column, kind=fits.TableHDU)).tables["Cat"]
    assert (len(table), table.colnames) == (0, ["C", "A"])


def test_columns_of_astropys_own_kinds_can_be_looked_at_and_edited(tmp_path):
    path = tmp_path / "a.fits"
    table = Table({"a": [1, 2]})
    table["place"] = SkyCoord([1, 2], [3, 4], unit="deg")
    table.write(path)
    df = DataFile(path, mode="update")
    (name,) = df.tables
    content = path.read_bytes()
    assert df.tables[name]["place"].ra.deg.tolist() == [1, 2]
    df.save()
    assert path.read_bytes() == content
    df.tables[name]["a"][0] = 7
    df.save()
    assert Table.read(path)["a"].tolist() == [7, 2]
    assert Table.read(path)["place"].dec.deg.tolist() == [3, 4]


def test_items_of_meta_are_cards(make):
    path = make(COLUMNS["flag"], cards=[("GAIN", 2.5), ("OLD", 1)])
    df = DataFile(path, mode="update")
    table = df.tables["Cat"]
    table.meta.update({"lower": 1, "LONGKEYWORD": 2, "TEXT": 100 * "x", "LAST": True})
    del table.meta["OLD"]
    df.save()
    header = fits.getheader(path, 1)
    assert "OLD" not in header
    assert (header["LOWER"], header["LONGKEYWORD"], header["LAST"]) == (1, 2, True)
    assert header["TEXT"] == 100 * "x"
    assert not list(changes(plan_hdus(df)))


def test_names_keep_their_case(make):
    path = make(COLUMNS["flag"])
    df = DataFile(path, mode="update")
    df.tables["Cat"].meta["X"] = 1
    df.tables["lower"] = Table({"A": [1]})
    df.save()
    assert list(DataFile(path).tables) == ["Cat", "lower"]


def test_table_without_name_gets_none(tmp_path):
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(Table({"A": [1]}))]).writeto(
        path
    )
    df = DataFile(path, mode="update")
    df.tables["TABLE"]["A"][0] = 2
    df.save()
    assert "EXTNAME" not in fits.getheader(path, 1)


def test_what_fits_cannot_hold_names_column_and_table(make):
    df = DataFile(make(COLUMNS["words"]), mode="update")
    df.tables["Cat"]["C"][0] = "\N{GREEK SMALL LETTER ALPHA}"
    with pytest.raises(FormatError, match="column 'C' of the table 'Cat'"):
        df.save()


def test_real_filters_keep_their_names(real_data, tmp_path):
    df = DataFile(real_data / "muse" / "filter_list.fits")
    df.tables["Johnson_B"].meta["X"] = 1
    df.save(tmp_path / "a.fits")
    assert list(DataFile(tmp_path / "a.fits").tables) == list(df.tables)
    assert DataFile(tmp_path / "a.fits").tables["Johnson_B"].meta["X"] == 1
