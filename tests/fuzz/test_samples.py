"""The sample files of astropy, and real files: what we read is what astropy reads."""

from pathlib import Path

import astropy
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile
from ndmapper.errors import NdmapperError
from ndmapper.io.converted import open_array
from ndmapper.io.filemap import map_file
from ndmapper.io.tables.convert import read_table

pytestmark = pytest.mark.filterwarnings("ignore")

_FITS = Path(astropy.__path__[0]) / "io/fits"
SAMPLES = sorted(
    path
    for folder in ("tests/data", "hdu/compressed/tests/data")
    for path in (_FITS / folder).rglob("*")
    if path.is_file()
)

# Whatever else is in there opens; these do not, as in astropy.
REFUSED: tuple[str, ...] = ()
# Table.read takes the text for undefined numbers for a number, and fails.
ONLY_OURS = ("ascii.fits",)


def name_of(path):
    return path.relative_to(_FITS).as_posix()


def hdus_of(path):
    """Read everything with astropy, without an empty HDU before a compressed one."""
    with fits.open(path) as hdus:
        found = [(n, hdu, hdu.data) for n, hdu in enumerate(hdus)]
        return found[len(found) - len(map_file(path).hdus) :]


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_sample_opens_as_astropy_says(path):
    if path.suffix == ".Z":
        pytest.importorskip("uncompresspy", reason="astropy needs it for .Z files")
    if path.name in REFUSED:
        with pytest.raises(NdmapperError):
            DataFile(path)
        return
    ours = map_file(path).hdus
    theirs = hdus_of(path)
    assert len(theirs) == len(ours)
    for hdu, (number, their, data) in zip(ours, theirs, strict=True):
        if hdu.is_image:
            array = open_array(hdu).read()
            assert array.dtype == data.dtype.newbyteorder("=")
            np.testing.assert_array_equal(array, data)
        elif hdu.is_table:
            table = read_table(hdu)
            assert len(table) == len(data)
            if path.name not in ONLY_OURS:
                same_table(table, Table.read(path, hdu=number))
        else:
            # Headers without data, and random groups, which are carried along.
            assert data is None or isinstance(their, fits.GroupsHDU)


def same_table(ours, theirs):
    assert ours.colnames == theirs.colnames
    for name in theirs.colnames:
        one, other = ours[name], theirs[name]
        assert one.unit == other.unit
        if one.dtype.kind == "O":
            for mine, yours in zip(one, other, strict=True):
                np.testing.assert_array_equal(mine, yours)
        else:
            np.testing.assert_array_equal(np.ma.getmask(one), np.ma.getmask(other))
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_sample_saved_again_has_the_same_bytes(path, tmp_path):
    df = DataFile(path)
    df.save(tmp_path / "a.fits")
    for old, new in zip(
        map_file(path).hdus, map_file(tmp_path / "a.fits").hdus, strict=True
    ):
        assert new.raw.rstrip() == old.raw.rstrip()
        assert new.read_data() == old.read_data()


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_sample_with_edited_header_has_the_same_data(path, tmp_path):
    df = DataFile(path)
    df.meta["NDMTEST"] = 1
    df.save(tmp_path / "a.fits")
    again = map_file(tmp_path / "a.fits").hdus
    for old, new in zip(map_file(path).hdus, again, strict=True):
        assert new.read_data() == old.read_data()
        if new.index:
            assert new.raw == old.raw
    assert fits.getheader(tmp_path / "a.fits", len(again[0].before) > 0)["NDMTEST"] == 1


def test_text_table_has_its_undefined_numbers_masked():
    table = DataFile(_FITS / "tests/data/ascii.fits").tables["TABLE"]
    assert table["b"].mask.tolist() == [False, False, False, True, False]
    assert (str(table["a"].unit), table["a"][2]) == ("pixels", 15.61)


# ---- real files


def real_files(folder):
    return [path for path in sorted(folder.rglob("*.fit*")) if path.is_file()]


def test_real_files_saved_again_have_the_same_bytes(real_data, tmp_path):
    paths = real_files(real_data)
    assert len(paths) > 20
    for path in paths:
        out = tmp_path / "a.fits"
        DataFile(path).save(out, overwrite=True)
        for old, new in zip(map_file(path).hdus, map_file(out).hdus, strict=True):
            assert (new.raw, new.read_data()) == (old.raw, old.read_data()), path


def test_real_files_edited_keep_the_bytes_of_what_is_untouched(real_data, tmp_path):
    for path in real_files(real_data):
        out = tmp_path / "a.fits"
        df = DataFile(path)
        df.meta["NDMTEST"] = 1
        touched = {0}
        if len(df) and df[0].size:
            df[0].meta["NDMTEST"] = 2
            touched.add(df[0].content.origin[1])
        df.save(out, overwrite=True)
        for old, new in zip(map_file(path).hdus, map_file(out).hdus, strict=True):
            assert new.read_data() == old.read_data(), path
            if new.index not in touched:
                assert new.raw == old.raw, path
