"""Tables that are legal, or nearly so, and that astropy refuses or reads otherwise."""

import numpy as np
import pytest

from ndmapper.data import DataFile
from ndmapper.errors import FormatError

ROWS = np.arange(6, dtype=">i4").tobytes()
TWO = {"TFIELDS": 2, "TFORM1": "1J", "TFORM2": "1J"}


def header(cards):
    lines = [
        f"{k:8}= " + (f"'{v:8}'" if isinstance(v, str) else f"{_value(v):>20}")
        for k, v in cards.items()
    ]
    raw = "".join(f"{line:80}" for line in (*lines, "END")).encode()
    return raw.ljust(-(-len(raw) // 2880) * 2880)


def _value(value):
    return {True: "T", False: "F"}.get(value, value) if value is True else value


def write_odd_table(path, rows, width, columns, heap=b""):
    form = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": width,
            "NAXIS2": len(rows) // width, "PCOUNT": len(heap), "GCOUNT": 1}  # fmt: skip
    data = rows + heap
    path.write_bytes(
        header({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True})
        + header({**form, **columns, "EXTNAME": "CAT"})
        + data.ljust(-(-len(data) // 2880) * 2880, b"\0")
    )
    return path


@pytest.mark.parametrize("pointer", ["P", "Q"])
@pytest.mark.parametrize(
    ("cards", "expected", "kind"),
    [
        ({"TZERO1": 32768}, [[32778, 32788], [32798], [], [32808]], "u2"),
        ({"TSCAL1": 0.5, "TZERO1": 1}, [[6, 11], [16], [], [21]], "f8"),
        ({"TNULL1": 20}, [[10, None], [30], [], [40]], "i2"),
        ({"TSCAL1": 2, "TNULL1": 20}, [[20, None], [60], [], [80]], "f8"),
        ({}, [[10, 20], [30], [], [40]], "i2"),
    ],
)
def test_arrays_of_varying_length_are_scaled_in_all_rows(
    tmp_path, pointer, cards, expected, kind
):
    heap = np.array([10, 20, 30, 40], ">i2").tobytes()
    dtype = ">i4" if pointer == "P" else ">i8"
    rows = np.array([(2, 0), (1, 4), (0, 6), (1, 6)], dtype).tobytes()
    columns = {"TFIELDS": 1, "TTYPE1": "u", "TFORM1": f"1{pointer}I(2)", **cards}
    path = write_odd_table(tmp_path / "a.fits", rows, len(rows) // 4, columns, heap)
    before = path.read_bytes()
    df = DataFile(path, mode="update")
    column = df.tables["CAT"]["u"]
    assert [np.ma.asarray(cell).tolist() for cell in column] == expected
    assert column[0].dtype == kind
    df.save()
    assert path.read_bytes() == before
    column[1][0] += 2
    df.save()
    expected[1][0] += 2
    again = DataFile(path).tables["CAT"]["u"]
    assert [np.ma.asarray(cell).tolist() for cell in again] == expected
    expected[1][0] -= 2


@pytest.mark.parametrize(
    ("cards", "names"),
    [
        ({}, ["col1", "col2"]),
        ({"TTYPE1": "a", "TTYPE2": "a"}, ["a", "a_2"]),
        ({"TTYPE1": " ", "TTYPE2": " "}, ["col1", "col2"]),
        ({"TTYPE1": "a", "TTYPE2": "A"}, ["a", "A"]),
        ({"TTYPE2": "col1"}, ["col1_1", "col1"]),
        ({"TTYPE1": 5, "TTYPE2": "b"}, ["5", "b"]),
    ],
)
def test_columns_without_names_of_their_own(tmp_path, cards, names):
    path = write_odd_table(tmp_path / "a.fits", ROWS, 8, {**TWO, **cards})
    before = path.read_bytes()
    df = DataFile(path, mode="update")
    table = df.tables["CAT"]
    assert table.colnames == names
    assert [table[name].tolist() for name in names] == [[0, 2, 4], [1, 3, 5]]
    df.save()
    assert path.read_bytes() == before
    table[names[1]][0] = 9
    df.save()
    assert DataFile(path).tables["CAT"].colnames == names
    assert path.read_bytes().count(b"TTYPE") == len(cards)
    assert DataFile(path).tables["CAT"][names[1]].tolist() == [9, 3, 5]


@pytest.mark.parametrize(
    ("null", "form", "masked"),
    [
        ("2", "1J", 1), (2.0, "1J", 1), (9999999999, "1J", 0), ("x", "1J", 0),
        (-999, "1E", 0), ("-999", "1E", 0), (2.5, "1J", 0), (True, "1J", 0),
    ],
)  # fmt: skip
def test_odd_null_values_do_not_damage_a_table(tmp_path, null, form, masked):
    names = {"TTYPE1": "a", "TTYPE2": "b"}
    columns = {**TWO, **names, "TFORM1": form, "TNULL1": null}
    column = DataFile(write_odd_table(tmp_path / "a.fits", ROWS, 8, columns)).tables[
        "CAT"
    ]["a"]
    assert np.ma.count_masked(np.ma.asarray(column)) == masked


def test_compressed_table_is_named_for_what_it_is(tmp_path):
    columns = {**TWO, "TTYPE1": "a", "TTYPE2": "b", "ZTABLE": True}
    path = write_odd_table(tmp_path / "a.fits", ROWS, 8, columns)
    df = DataFile(path)
    with pytest.raises(FormatError, match=r"a\.fits is compressed \(ZTABLE\)"):
        df.tables["CAT"]
    df.save(tmp_path / "b.fits")
    assert (tmp_path / "b.fits").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("width", [6, 12, 24, 4])
def test_rows_of_another_size_than_their_columns_are_refused(tmp_path, width):
    path = write_odd_table(tmp_path / "t.fits", ROWS, width, TWO)
    with pytest.raises(FormatError, match=f"columns take 8 bytes.* rows have {width}"):
        DataFile(path).tables["CAT"]


def test_rows_of_another_size_do_no_harm_where_there_are_none(tmp_path):
    path = write_odd_table(tmp_path / "t.fits", b"", 12, TWO)
    assert len(DataFile(path).tables["CAT"]) == 0
