import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.errors import FormatError
from ndmapper.io.filemap import map_file
from ndmapper.io.tables.convert import encode_table, read_table
from ndmapper.testing import make_mef


def test_read_table_has_the_columns(tmp_path):
    hdu = map_file(make_mef(tmp_path / "a.fits")).hdus[1]
    table = read_table(hdu)
    assert table["NO"].tolist() == [0, 1, 2]
    assert list(table["NAME"]) == ["one", "two", "three"]


def test_read_table_is_writable_and_native(tmp_path):
    table = read_table(map_file(make_mef(tmp_path / "a.fits")).hdus[1])
    table["NO"][1] = 7
    assert table["NO"].dtype.isnative
    assert table["NO"][1] == 7


def test_encode_table_round_trip(tmp_path):
    path = make_mef(tmp_path / "a.fits", n_ext=0, table=False)
    table = Table({"A": [1.5, 2.5], "B": ["x", "yy"], "C": np.zeros((2, 3), "i2")})
    with path.open("ab") as out:
        out.write(encode_table(table, "NEW", 4))
    hdu = map_file(path).hdus[1]
    assert (hdu.name, hdu.version) == ("NEW", 4)
    assert read_table(hdu).values_equal(table)["A"].all()


def test_encode_table_impossible_column_is_an_error():
    table = Table({"A": np.array([object(), object()])})
    with pytest.raises(FormatError, match="'T'"):
        encode_table(table, "T")


def test_read_table_real_tables_agree_with_astropy(real_data):
    path = real_data / "kast_blue_longslit" / "spec1d_b27.fits"
    hdu = map_file(path).hdus[1]
    with fits.open(path) as hdus:
        expected = hdus[1].data
        table = read_table(hdu)
        np.testing.assert_array_equal(table["BOX_COUNTS"], expected["BOX_COUNTS"])
