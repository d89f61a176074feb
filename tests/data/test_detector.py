"""Sections of the array and of the detector follow what is cut."""

import logging

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile, NDLater
from ndmapper.data.detector import joined_sections


def image(shape=(100, 90), **cards):
    return NDLater(np.zeros(shape, "f4"), meta=cards)


CUT = np.s_[10:, 5:]


@pytest.mark.parametrize(("cards", "item", "expected"), [
    # Sections of the array are shifted, clipped and taken out.
    ({"DATASEC": "[1:80,1:100]"}, CUT, {"DATASEC": "[1:75,1:90]"}),
    ({"TRIMSEC": "[11:85,6:95]"}, CUT, {"TRIMSEC": "[6:80,1:85]"}),
    ({"BIASSEC": "[81:90,1:100]"}, CUT, {"BIASSEC": "[76:85,1:90]"}),
    ({"BIASSEC": "[1:5,1:100]"}, CUT, {}),
    ({"DATASEC": "[1:80,1:100]"}, np.s_[:, :40], {"DATASEC": "[1:40,1:100]"}),
    # Of amplifiers: DECam, CTIO Arcon, and what our own steps write.
    ({"DATASECA": "[1:40,1:100]", "BIASSECB": "[81:90,1:100]"}, CUT,
     {"DATASECA": "[1:35,1:90]", "BIASSECB": "[76:85,1:90]"}),
    ({"DSEC21": "[1:40,1:50]", "TSEC21": "[3:40,1:50]", "BSEC21": "[41:50,1:50]"}, CUT,
     {"DSEC21": "[1:35,1:40]", "TSEC21": "[1:35,1:40]", "BSEC21": "[36:45,1:40]"}),
    ({"AMPSEC1": "[1:40,1:100]", "GAIN1": 2.0, "OVSCSEC1": "[81:90,1:100]"}, CUT,
     {"AMPSEC1": "[1:35,1:90]", "GAIN1": 2.0, "OVSCSEC1": "[76:85,1:90]"}),
    ({"AMPSEC1": "[1:5,1:100]", "GAIN1": 2.0, "AMPSEC2": "[6:90,1:100]", "GAIN2": 3.0,
      "OVSCSE12": "[6:9,1:100]"}, CUT,
     {"AMPSEC2": "[1:85,1:90]", "GAIN2": 3.0, "OVSCSE12": "[1:4,1:90]"}),
    # Steps and flips.
    ({"DATASEC": "[2:80,1:100]"}, np.s_[::2, ::3], {"DATASEC": "[2:27,1:50]"}),
    ({"DATASEC": "[1:80,1:100]"}, np.s_[:, ::-1], {"DATASEC": "[11:90,1:100]"}),
    ({"DATASEC": "[80:1,1:100]"}, np.s_[:, 10:], {"DATASEC": "[70:1,1:100]"}),
    # An axis that goes.
    ({"DATASEC": "[1:80,1:100]"}, np.s_[3], {"DATASEC": "[1:80]"}),
    ({"DATASEC": "[1:80,1:100]"}, np.s_[5:, 3], {"DATASEC": "[1:95]"}),
    ({"DATASEC": "[1:80,1:100]"}, np.s_[:, 85], {}),
    # What is no section says nothing, and stays.
    ({"BIASSEC": "[0:0,0:0]", "TRIMSEC": "none"}, CUT,
     {"BIASSEC": "[0:0,0:0]", "TRIMSEC": "none"}),
    ({"DATASEC": "[*,*]"}, CUT, {"DATASEC": "[1:85,1:90]"}),
])  # fmt: skip
def test_sections_of_the_array(cards, item, expected):
    assert dict(image(**cards)[item].meta) == expected


@pytest.mark.parametrize(("cards", "item", "expected"), [
    # Of the whole array, binned by 1, by 2 and by what CCDSUM says.
    ({"CCDSEC": "[101:190,1:100]"}, CUT, "[106:190,11:100]"),
    ({"CCDSEC": "[101:280,1:200]"}, CUT, "[111:280,21:200]"),
    ({"CCDSEC": "[101:280,1:100]", "CCDSUM": "2 1"}, CUT, "[111:280,11:100]"),
    ({"CCDSEC": "[1:179,1:100]", "CCDSUM": "2 1"}, np.s_[:, 80:], "[161:179,1:100]"),
    # Of the data section, of which the cut has a part.
    ({"DATASEC": "[11:90,1:100]", "CCDSEC": "[1:80,1:100]"}, CUT, "[1:80,11:100]"),
    ({"DATASEC": "[11:90,1:100]", "CCDSEC": "[1:80,1:100]"}, np.s_[:, 20:40],
     "[11:30,1:100]"),
    ({"TRIMSEC": "[11:90,1:100]", "CCDSEC": "[1:80,1:100]"}, np.s_[:, 20:],
     "[11:80,1:100]"),
    # Turned round.
    ({"DATASEC": "[1:80,1:100]", "CCDSEC": "[2048:1969,1:100]"}, CUT,
     "[2043:1969,11:100]"),
    ({"CCDSEC": "[180:1,1:100]"}, np.s_[:, 5:], "[170:1,1:100]"),
    ({"CCDSEC": "[1:90,1:100]"}, np.s_[::-1, ::-1], "[90:1,100:1]"),
    ({"CCDSEC": "[1:90,1:100]"}, np.s_[:, 19:9:-1],
     "[20:11,1:100]"),
    # Thinned out: from the first pixel to the last.
    ({"CCDSEC": "[1:90,1:100]"}, np.s_[::3, ::2], "[1:89,1:100]"),
    # Without an axis it is a line of the detector.
    ({"CCDSEC": "[1:90,1:100]"}, np.s_[3], "[1:90,4:4]"),
    ({"CCDSEC": "[1:180,1:100]"}, np.s_[:, 3], "[7:8,1:100]"),
])  # fmt: skip
@pytest.mark.parametrize("keyword", ["CCDSEC", "DETSEC", "AMPSEC"])
def test_sections_of_the_detector(keyword, cards, item, expected):
    given = {keyword if key == "CCDSEC" else key: value for key, value in cards.items()}
    assert image(**given)[item].meta[keyword] == expected


def test_cut_after_cut_is_one_cut():
    raw = image(DATASEC="[11:90,1:100]", CCDSEC="[2048:1889,1:200]", CCDSUM="2 2")
    for first, second, both in (
        (np.s_[10:, 20:], np.s_[5:60, :30], np.s_[15:70, 20:50]),
        (np.s_[::2, ::2], np.s_[3:9, 5:9], np.s_[6:18:2, 10:18:2]),
        (np.s_[:, ::-1], np.s_[:, 3:], np.s_[:, 86::-1]),
    ):
        assert dict(raw[first][second].meta) == dict(raw[both].meta)


def test_sections_of_amplifiers_go_with_their_own_data_section():
    raw = image(DSEC11="[1:40,1:100]", CSEC11="[1:40,1:100]", ASEC11="[1:40,1:100]",
                DSEC12="[51:90,1:100]", CSEC12="[80:41,1:100]")  # fmt: skip
    found = raw[:, 10:70].meta
    assert found["CSEC11"] == found["ASEC11"] == "[11:40,1:100]"
    assert (found["DSEC12"], found["CSEC12"]) == ("[41:60,1:100]", "[80:61,1:100]")


def test_section_that_cannot_be_followed_is_said(caplog):
    cut = image(CCDSEC="[1:77,1:100]", DATASEC="[1:80,1:100]", BIASSEC="[81:90,1:100]")
    with caplog.at_level(logging.INFO, logger="ndmapper"):
        assert set(cut[:, :50].meta) == {"DATASEC"}
    assert "CCDSEC = [1:77,1:100]" in caplog.text
    assert "BIASSEC" not in caplog.text
    assert "DATASEC" not in image(DATASEC="[1:80,1:100]")[:, 85:].meta
    assert "DATASEC = [1:80,1:100]" in caplog.text


def test_whole_sections_and_masks():
    raw = image(DATASEC="[1:200,1:100]", CCDSEC="[1:7,1:7]")
    assert dict(raw[:, :].meta) == dict(raw.meta)
    assert not dict(raw[np.ones(raw.shape, bool)].meta)


@pytest.mark.parametrize("primary", [False, True])
def test_sections_in_files(tmp_path, primary):
    hdu = (fits.PrimaryHDU if primary else fits.ImageHDU)(np.zeros((100, 90), "f4"))
    hdu.header.update({"DATASEC": "[1:80,1:100]", "CCDSEC": "[1:160,1:200]"})
    hdus = [hdu] if primary else [fits.PrimaryHDU(), hdu]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    part = DataFile(tmp_path / "a.fits")[0][CUT]
    DataFile(tmp_path / "b.fits", data=part).save()
    found = DataFile(tmp_path / "b.fits")[0].meta
    for header in (part.meta, found):
        assert header["DATASEC"] == "[1:75,1:90]"
        assert header["CCDSEC"] == "[11:160,21:200]"


def test_sections_of_a_joined_image():
    header = image(CCDSEC="[1:160,1:200]", DETSEC="[1:170,1:200]", CCDSUM="2 2").meta
    assert joined_sections(header, (100, 80)) == {"CCDSEC": "[1:160,1:200]"}
