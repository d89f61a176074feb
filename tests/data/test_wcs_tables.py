"""Coordinates that lie in other HDUs: lookup tables of distortion, and -TAB axes."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS, DistortionLookupTable

from ndmapper.data import DataFile

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*:astropy.wcs.FITSFixedWarning", "ignore:Some non-standard WCS keywords"
)

SHAPE = (40, 50)
TAN = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 20.0, "CRPIX2": 15.0,
    "CRVAL1": 150.0, "CRVAL2": 2.0, "CD1_1": -1e-4, "CD2_2": 1e-4,
}  # fmt: skip
SIP = {
    "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2,
    "A_2_0": 1e-4, "B_1_1": 5e-5,
}  # fmt: skip


def table(scale):
    """A table of 5 x 6 points that spans the image, not symmetrical."""
    y, x = np.mgrid[:5, :6]
    values = (scale * (0.3 * x + 0.1 * y**2 + 0.05 * x * y)).astype("f4")
    return DistortionLookupTable(values, (1, 1), (1, 2), (10, 9))


def science(seed=1.0, which=("cpdis", "det2im"), cards=TAN):
    """HDUs of an image with its tables, as astropy writes them, numbered 1 and 2."""
    wcs = WCS(fits.Header(cards))
    for n, kind in enumerate(which, start=1):
        setattr(wcs, f"{kind}1", table(seed * n))
        setattr(wcs, f"{kind}2", table(-seed * n / 2))
    hdus = wcs.to_fits(relax=True)
    image = fits.ImageHDU(np.ones(SHAPE, "f4"), hdus[0].header, name="SCI")
    return image, hdus[1:]


def write_as_hst(path, *seeds, **more):
    """A file as HST has them: each SCI with an ERR of the same header, and tables."""
    hdus, tables = [fits.PrimaryHDU()], []
    for number, seed in enumerate(seeds or (1.0,), start=1):
        image, own = science(seed, **more)
        for key in [k for k in image.header if k.endswith(".EXTVER")]:
            image.header[key] += 2 * (number - 1)
        for one in own:
            one.ver += 2 * (number - 1)
        image.ver = number
        error = fits.ImageHDU(np.ones(SHAPE, "f4"), image.header, name="ERR")
        error.ver = number
        hdus += [image, error]
        tables += own
    fits.HDUList([*hdus, *tables]).writeto(path)
    return path


def sky(path, extension, x, y):
    with fits.open(path) as hdus:
        return np.array(WCS(hdus[extension].header, hdus).all_pix2world(x, y, 0))


def names(path):
    with fits.open(path) as hdus:
        return [(hdu.name, hdu.ver) for hdu in hdus]


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


WHICH = [("cpdis",), ("det2im",), ("cpdis", "det2im")]
ITEMS = [np.s_[5:35, 7:45], np.s_[::2, 10:], np.s_[4::3, ::-2], np.s_[::-1]]


def pixels_of(item):
    rows, columns = (axis[item] for axis in np.indices(SHAPE))
    y, x = np.indices(rows.shape)
    inside = (rows > 1) & (rows < 37) & (columns > 1) & (columns < 47)
    return x[inside], y[inside], columns[inside], rows[inside]


@pytest.mark.parametrize("which", WHICH, ids="+".join)
def test_distortion_is_read_with_its_tables(which, tmp_path):
    path = write_as_hst(tmp_path / "a.fits", which=which)
    expected = sky(path, "SCI", 30.0, 20.0)
    plain = np.array(WCS(fits.Header(TAN)).all_pix2world(30.0, 20.0, 0))
    assert np.abs(expected - plain).max() > 1e-5
    ndd = DataFile(path)[0]
    for one in (ndd, ndd.copy(), ndd * 2, ndd.to_ccddata(unit="adu")):
        assert_same(one.wcs.all_pix2world(30.0, 20.0, 0), expected)


@pytest.mark.parametrize("cards", [TAN, TAN | SIP], ids=["TAN", "SIP"])
@pytest.mark.parametrize("item", ITEMS, ids=str)
@pytest.mark.parametrize("which", WHICH, ids="+".join)
def test_tables_move_with_a_section(which, item, cards, tmp_path):
    path = write_as_hst(tmp_path / "a.fits", which=which, cards=cards)
    x, y, columns, rows = pixels_of(item)
    expected = sky(path, "SCI", columns, rows)
    part = DataFile(path)[0][item]
    assert_same(part.wcs.all_pix2world(x, y, 0), expected)
    DataFile(tmp_path / "new.fits", data=part, mode="new").save()
    df = DataFile(path, mode="update")
    df[0] = df[0][item]
    df.save(tmp_path / "crop.fits")
    for name in ("new.fits", "crop.fits"):
        assert_same(sky(tmp_path / name, "SCI", x, y), expected)
        assert_same(DataFile(tmp_path / name)[0].wcs.all_pix2world(x, y, 0), expected)
    assert names(tmp_path / "crop.fits") == names(path)
    with fits.open(tmp_path / "crop.fits") as hdus:
        error = np.array(WCS(hdus["ERR"].header, hdus).all_pix2world(x, y, 0))
    assert_same(error, expected)


def test_section_of_a_section_and_a_row_and_column(tmp_path):
    path = write_as_hst(tmp_path / "a.fits", cards=TAN | SIP)
    ndd = DataFile(path)[0]
    part = ndd[2:, 5:][::2, 3:][1:, ::2]
    expected = sky(path, "SCI", 8 + 2 * 5, 4 + 2 * 6)
    assert_same(part.wcs.all_pix2world(5, 6, 0), expected)
    for item in (np.s_[20, 3:], np.s_[3:, 20]):
        line = ndd[item]
        x, y = (20, 3 + np.arange(30)) if item[1] == 20 else (3 + np.arange(30), 20)
        expected = sky(path, "SCI", *np.broadcast_arrays(x, y))
        found = np.array(line.wcs.low_level_wcs.pixel_to_world_values(np.arange(30)))
        if item[1] == 20:
            found = found[::-1]  # the axes changed places
        assert_same(found, expected)


def test_group_takes_its_tables_into_another_file(tmp_path):
    path = write_as_hst(tmp_path / "a.fits", 1.0, 3.0)
    other = write_as_hst(tmp_path / "b.fits", 7.0)
    places = [("SCI", 1), ("SCI", 2)]
    one, two = (sky(path, place, 30.0, 20.0) for place in places)
    theirs = sky(other, "SCI", 30.0, 20.0)
    assert np.abs(one - two).max() > 1e-5
    df = DataFile(tmp_path / "c.fits", data=[DataFile(path)[1], DataFile(path)[0]])
    df.append(DataFile(other)[0])
    df.append(DataFile(path)[1][3:, 2:])
    for again in (df, "saved"):
        if again == "saved":
            df.save()
            df = DataFile(tmp_path / "c.fits", mode="update")
        found = [ndd.wcs.all_pix2world(30.0, 20.0, 0) for ndd in list(df)[:3]]
        assert_same(found, [two, one, theirs])
        assert_same(df[3].wcs.all_pix2world(28.0, 17.0, 0), two)
    stored = [sky(tmp_path / "c.fits", ("SCI", ndd.ident), 30.0, 20.0) for ndd in df]
    assert_same(stored[:3], [two, one, theirs])


def test_crop_of_one_group_leaves_the_other_its_tables(tmp_path):
    image, tables = science()
    both = [fits.ImageHDU(image.data, image.header, name="SCI", ver=n) for n in (1, 2)]
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), *both, *tables]).writeto(path)
    expected = sky(path, ("SCI", 2), 30.0, 20.0)
    df = DataFile(path, mode="update")
    df[0] = df[0][5:, 7:]
    assert_same(df[0].wcs.all_pix2world(23.0, 15.0, 0), expected)
    df.save()
    assert_same(sky(path, ("SCI", 1), 23.0, 15.0), expected)
    assert_same(sky(path, ("SCI", 2), 30.0, 20.0), expected)
    before = path.read_bytes()
    df.meta["X"] = 1
    del df.meta["X"]
    df.save()
    assert path.read_bytes() == before
    df[0] = df[0][::2]
    df[1] = df[1][5:, 7:]
    df.save()
    assert_same(sky(path, ("SCI", 1), 23.0, 7.5), expected)
    assert_same(sky(path, ("SCI", 2), 23.0, 15.0), expected)


def test_section_outlives_its_file(tmp_path):
    path = write_as_hst(tmp_path / "a.fits")
    expected = sky(path, "SCI", 30.0, 20.0)
    part = DataFile(path)[0][5:, 7:]
    DataFile(path, data=np.zeros((2, 2)), mode="overwrite").save()
    assert_same(part.wcs.all_pix2world(23.0, 15.0, 0), expected)


def test_arithmetic_keeps_tables_of_a_file(tmp_path):
    path = write_as_hst(tmp_path / "a.fits", 1.0, 2.0)
    expected = sky(path, ("SCI", 2), 30.0, 20.0)
    (DataFile(path) * 2).save(tmp_path / "b.fits")
    assert_same(sky(tmp_path / "b.fits", ("SCI", 2), 30.0, 20.0), expected)
    assert names(path) == names(tmp_path / "b.fits")


@pytest.mark.parametrize("name", ["WCSDVARR", "D2IMARR"])
def test_missing_tables_are_said_to_be_missing(name, tmp_path, caplog):
    image, tables = science()
    tables = [t for t in tables if t.name != name]
    fits.HDUList([fits.PrimaryHDU(), image, *tables]).writeto(tmp_path / "a.fits")
    assert DataFile(tmp_path / "a.fits")[0].wcs is None
    assert name in caplog.text


# ---- tables of coordinates


def write_tab(path, version=1, shape=(6, 4, 5)):
    waves = np.array([400.0, 410, 430, 470, 550, 710]) * version
    header = fits.Header(
        TAN
        | {
            "CTYPE3": "WAVE-TAB", "CRPIX3": 1.0, "CRVAL3": 1.0, "CDELT3": 1.0,
            "CD3_3": 1.0, "CUNIT3": "nm", "PS3_0": "WCS-TABLE", "PS3_1": "COORDS",
            "PV3_1": version, "PV3_2": 1, "PV3_3": 1,
        }
    )  # fmt: skip
    rows = np.zeros(1, dtype=[("COORDS", "f8", (6, 1))])
    rows["COORDS"][0, :, 0] = waves
    tab = fits.BinTableHDU(rows, name="WCS-TABLE", ver=version)
    tab.header["TDIM1"] = "(1,6)"
    image = fits.ImageHDU(np.ones(shape, "f4"), header, name="SCI", ver=1)
    fits.HDUList([fits.PrimaryHDU(), image, tab]).writeto(path)
    return waves


@pytest.mark.parametrize("version", [1, 4])
def test_tables_of_wavelengths(version, tmp_path):
    waves = write_tab(tmp_path / "a.fits", version)
    ndd = DataFile(tmp_path / "a.fits")[0]
    parts = {
        "all": (ndd, waves, (1, 2)),
        "cut": (ndd[1:5, 1:], waves[1:5], (1, 2)),
        "step": (ndd[::2], waves[::2], (1, 2)),
        "back": (ndd[::-1], waves[::-1], (1, 2)),
        "spectrum": (ndd[1:, 2, 3], waves[1:], ()),
    }
    for name, (part, expected, rest) in parts.items():
        path = tmp_path / f"{name}.fits"
        df = DataFile(path, data=part, mode="new")
        df.save()
        for found in (part, df[0], DataFile(path)[0]):
            low = found.wcs.low_level_wcs
            world = low.pixel_to_world_values(*rest, np.arange(len(expected)))
            np.testing.assert_allclose(np.atleast_2d(world)[-1], expected)


def test_table_keeps_its_number_where_its_group_has_another(tmp_path):
    waves = write_tab(tmp_path / "a.fits", 1)
    write_tab(tmp_path / "b.fits", 2)
    df = DataFile(tmp_path / "c.fits", mode="new")
    for name in ("b.fits", "a.fits"):
        df.append(DataFile(tmp_path / name)[0])
    df.save()
    again = DataFile(tmp_path / "c.fits")
    for scale, ndd in zip((2, 1), again, strict=True):
        found = ndd.wcs.low_level_wcs.pixel_to_world_values(1, 2, np.arange(6))[2]
        np.testing.assert_allclose(found, waves * scale)


def test_tables_that_are_no_coordinates_stay_where_they_are(tmp_path):
    image, tables = science()
    catalogue = fits.BinTableHDU(Table({"x": [1.0]}), name="CAT")
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), image, *tables, catalogue]).writeto(path)
    df = DataFile(tmp_path / "b.fits", data=DataFile(path)[0], mode="new")
    assert list(df.tables) == []
    assert len(df.extras) == 4
