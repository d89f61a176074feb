"""Images that bring the header of the primary HDU of another file."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData

from ndmapper.data import DataFile, NDLater


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n, name in ((1, "x"), (2, "y")):
        hdu = fits.PrimaryHDU(np.full((3, 3), n, "f4"))
        hdu.header.update({"OBJECT": name, "CRVAL1": 5.0 * n, "CRPIX1": 2.0})
        hdu.header["CTYPE1"] = "LINEAR"
        hdu.header["BUNIT"] = "adu"
        hdu.header[f"ONLY{n}"] = n
        hdu.header["HIERARCH ESO DET DIT"] = 0.5 * n
        hdu.header["HISTORY"] = f"made as {name}"
        hdu.writeto(f"p{n}.fits")


def cards(path, hdu=0):
    return [str(card) for card in fits.getheader(path, hdu).cards]


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [NDLater(x)]])
def test_single_image_has_its_header_in_another_file(wrap):
    df = DataFile("one.fits", data=wrap(DataFile("p1.fits")[0]))
    assert df[0].meta["OBJECT"] == "x"
    df.save()
    assert cards("one.fits") == cards("p1.fits")
    assert df[0].meta["OBJECT"] == df.meta["OBJECT"] == "x"
    assert df.unloaded


def test_result_has_the_header_of_its_image_in_another_file():
    DataFile("two.fits", data=DataFile("p1.fits")[0] * 2).save()
    assert cards("two.fits") == cards("p1.fits")
    assert fits.getdata("two.fits")[0, 0] == 2


def test_section_has_its_header_in_another_file():
    df = DataFile("part.fits", mode="new")
    df.append(DataFile("p1.fits")[0][:, 1:])
    df.save()
    header = fits.getheader("part.fits")
    assert (header["OBJECT"], header["CRPIX1"], header["NAXIS1"]) == ("x", 1.0, 2)
    assert list(header["HISTORY"]) == ["made as x"]


def test_images_of_several_files_keep_their_cards_in_one():
    df = DataFile("mef.fits", data=[DataFile("p1.fits")[0], DataFile("p2.fits")[0]])
    df.save()
    for n, name in ((1, "x"), (2, "y")):
        header = fits.getheader("mef.fits", n)
        assert (header["OBJECT"], header["CRVAL1"]) == (name, 5.0 * n)
        assert (header["BUNIT"], header["ESO DET DIT"]) == ("adu", 0.5 * n)
        assert list(header["HISTORY"]) == [f"made as {name}"]
        assert not {"SIMPLE", "EXTEND"} & set(header)
        assert df[n - 1].meta["OBJECT"] == name
    assert not {"OBJECT", "CRVAL1"} & set(fits.getheader("mef.fits"))


def test_image_of_another_file_is_appended_to_a_single_one():
    df = DataFile("p1.fits", mode="update")
    df.append(DataFile("p2.fits")[0])
    df.save()
    headers = [fits.getheader("p1.fits", n) for n in range(3)]
    assert headers[0]["OBJECT"] == "x"
    assert "CRVAL1" not in headers[0]
    assert headers[1]["CRVAL1"] == 5
    assert (headers[2]["OBJECT"], headers[2]["CRVAL1"]) == ("y", 10)


def test_image_takes_the_place_of_another_with_its_header():
    df = DataFile("p1.fits", mode="update")
    df[0] = DataFile("p2.fits")[0]
    assert not df.unloaded
    df.meta["OBSERVER"] = "me"  # which is said of the new one
    df.save()
    header = fits.getheader("p1.fits")
    assert header.pop("OBSERVER") == "me"
    assert [str(card) for card in header.cards] == cards("p2.fits")
    assert df[0].meta["OBJECT"] == "y"


def test_image_with_variance_takes_the_place_of_another():
    df = DataFile("p1.fits", mode="update")
    df[0] = DataFile("p2.fits")[0].replace(variance=np.ones((3, 3)))
    df.save()
    primary, header = (fits.getheader("p1.fits", n) for n in (0, 1))
    assert (header["OBJECT"], header["CRVAL1"], header["ONLY2"]) == ("y", 10, 2)
    assert "CRVAL1" not in primary


def test_given_header_wins_but_for_what_describes_the_pixels():
    df = DataFile("p.fits", data=DataFile("p1.fits")[0], meta=DataFile("p2.fits").meta)
    df[0].meta["GAIN"] = 2.0
    df.save()
    header = fits.getheader("p.fits")
    assert (header["OBJECT"], header["ONLY1"], header["ONLY2"]) == ("y", 1, 2)
    assert (header["CRVAL1"], header["GAIN"]) == (5, 2.0)
    assert list(header["HISTORY"]) == ["made as x", "made as y"]


def test_change_of_the_image_survives_the_header_that_it_had():
    p1 = DataFile("p1.fits")
    image = p1[0] * 2
    image.meta["OBJECT"] = "changed"
    DataFile("p.fits", data=image, meta=p1.meta).save()
    assert fits.getheader("p.fits")["OBJECT"] == "changed"
    assert list(fits.getheader("p.fits")["HISTORY"]) == ["made as x"]


def test_extension_takes_the_place_of_another_of_its_name():
    for n in (1, 2):
        DataFile(f"m{n}.fits", data=[DataFile(f"p{n}.fits")[0] for _ in "ab"]).save()
    df = DataFile("m1.fits", mode="update")
    assert df.unloaded
    df[0] = DataFile("m2.fits")[0]
    assert not df.unloaded
    df.save()
    assert fits.getdata("m1.fits", 1)[0, 0] == 2


def test_result_from_before_a_save_keeps_what_was_saved():
    df = DataFile("p1.fits", mode="update")
    result = df[0] * 2
    result.meta["GAIN"] = 2.0
    df.meta["OBSERVER"] = "me"
    df.save()
    df[0] = result
    df.save()
    header = fits.getheader("p1.fits")
    assert (header["OBSERVER"], header["GAIN"], header["OBJECT"]) == ("me", 2, "x")
    assert list(header["HISTORY"]) == ["made as x"]


def test_image_from_memory_with_a_whole_header_takes_the_place_of_another():
    df = DataFile("p1.fits", mode="update")
    df[0] = DataFile("p2.fits")[0].to_ccddata()
    df.save()
    assert set(fits.getheader("p1.fits")) == set(fits.getheader("p2.fits"))
    assert list(fits.getheader("p1.fits")["HISTORY"]) == ["made as y"]


def test_image_without_header_takes_the_place_of_another():
    df = DataFile("p1.fits", mode="update")
    df[0] = NDData(np.ones((2, 2)))
    df.save()
    primary, header = (fits.getheader("p1.fits", n) for n in (0, 1))
    assert (header["EXTNAME"], header["EXTVER"]) == ("SCI", 1)
    assert primary["OBJECT"] == "x"
    assert not {"CRVAL1", "BUNIT"} & set(primary)


def primary_with_errors(path):
    """Write an image in the primary HDU, with its errors and flags behind it."""
    image = fits.PrimaryHDU(np.full((3, 3), 1, "f4"))
    image.header.update(OBJECT="x", CCDSEC="[1:3,1:3]", EXPTIME=5.0)
    image.header["HISTORY"] = "reduced"
    flags = fits.ImageHDU(np.zeros((3, 3), "i2"), name="DQ")
    error = fits.ImageHDU(np.full((3, 3), 3, "f4"), name="ERR")
    fits.HDUList([image, error, flags]).writeto(path)


@pytest.fixture
def second_group():
    """Give the second group of a file of SCI, VAR and DQ."""
    hdus = [fits.PrimaryHDU()]
    for n in (1, 2):
        for name, value, form in (("SCI", 10, "f4"), ("VAR", 4, "f4"), ("DQ", 8, "i2")):
            array = np.full((3, 3), n * value, form)
            hdus.append(fits.ImageHDU(array, name=name, ver=n))
        hdus[-3].header.update(GAIN=2.0 * n, EXPTIME=10.0)
        hdus[-3].header["HISTORY"] = "of an extension"
    fits.HDUList(hdus).writeto("mef.fits")
    return DataFile("mef.fits")[1]


def test_extension_takes_the_place_of_a_primary_image(second_group):
    primary_with_errors("pe.fits")
    df = DataFile("pe.fits")
    df[0] = second_group
    df.save("new.fits")
    with fits.open("new.fits") as hdus:
        hdus.verify("exception")
        assert [h.name for h in hdus] == ["PRIMARY", "ERR", "DQ"]
        assert [h.data[0, 0] for h in hdus] == [20, np.float32(8**0.5), 16]
        header = hdus[0].header
    assert (header["OBJECT"], header["GAIN"], header["EXPTIME"]) == ("x", 4.0, 10.0)
    assert "CCDSEC" not in header  # of the pixels that are gone
    assert list(header["HISTORY"]) == ["reduced", "of an extension"]
    again = DataFile("new.fits")[0]
    assert again.variance[0, 0] == pytest.approx(8)
    assert again.flags[0, 0] == 16


def test_primary_header_stays_where_an_array_takes_the_place_of_its_image():
    primary_with_errors("pe.fits")
    df = DataFile("pe.fits")
    df[0] = NDLater(np.ones((3, 3), "f4"))
    df.save("new.fits")
    assert fits.getheader("new.fits")["OBJECT"] == "x"


def test_errors_of_one_image_are_its_own_whatever_their_number(caplog):
    hdus = [fits.PrimaryHDU(np.ones((3, 3), "f4"))]
    hdus += [fits.ImageHDU(np.full((3, 3), 3, "f4"), name="ERR", ver=2)]
    fits.HDUList(hdus).writeto("two.fits")
    assert DataFile("two.fits")[0].variance[0, 0] == 9
    assert not caplog.records


def test_number_that_is_brought_along_is_not_that_of_unnumbered_extensions(
    second_group,
):
    hdus = [fits.ImageHDU(np.ones((3, 3), "f4"), name=n) for n in ("SCI", "VAR", "DQ")]
    hdus[2].data = np.zeros((3, 3), "i2")
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto("plain.fits")
    df = DataFile("plain.fits")
    df[0] = second_group
    df.save("new.fits")
    assert [h.version for h in df.content.map.hdus[1:]] == [1, 1, 1]
    assert DataFile("new.fits").idents == [1]
