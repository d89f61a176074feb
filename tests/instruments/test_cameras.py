"""The tables of cameras: headers as the sources of each table have them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ndmapper import instruments
from ndmapper.calibrations.frames import read_frame
from ndmapper.calibrations.matching import match_frames
from ndmapper.calibrations.scan import find_frames
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import InstrumentError, NdmapperError
from ndmapper.lib.ccd import (
    add_variance,
    make_bias,
    readouts,
    subtract_bias,
    subtract_overscan,
    trim,
)
from ndmapper.testing import make_raw, write_headers

Cards = dict[str, Any]

DECAM = {
    "INSTRUME": "DECam", "TELESCOP": "CTIO 4.0-m telescope", "PROCTYPE": "RAW",
    "OBSTYPE": "object", "OBJECT": "Trifid", "EXPTIME": 30.0, "CAMSHUT": "Open",
    "DATE-OBS": "2013-02-13T09:01:40.966998", "TIME-OBS": "09:01:40.966998",
    "MJD-OBS": 56336.3761686, "TIMESYS": "UTC",
    "FILTER": "g DECam SDSS c0001 4720.0 1520.0",
}  # fmt: skip
DECAM_S1 = {
    "EXTNAME": "S1", "CCDNUM": 25, "NAXIS1": 2160, "NAXIS2": 4146,
    "DATASEC": "[57:2104,51:4146]", "TRIMSEC": "[57:2104,51:4146]",
    "DATASECA": "[1081:2104,51:4146]", "TRIMSECA": "[1081:2104,51:4146]",
    "BIASSECA": "[2105:2154,51:4146]", "PRESECA": "[2155:2160,51:4146]",
    "POSTSECA": "[1081:2104,1:50]", "AMPSECA": "[2048:1025,4096:1]",
    "DATASECB": "[57:1080,51:4146]", "TRIMSECB": "[57:1080,51:4146]",
    "BIASSECB": "[7:56,51:4146]", "PRESECB": "[1:6,51:4146]",
    "POSTSECB": "[57:1080,1:50]", "AMPSECB": "[1:1024,4096:1]",
    "GAINA": 4.59347726229, "RDNOISEA": 7.17960496096, "SATURATA": 43266.0,
    "GAINB": 4.4014084507, "RDNOISEB": 7.01628521127, "SATURATB": 44935.0,
}  # fmt: skip
SINISTRO = {
    "SITEID": "cpt", "INSTRUME": "fa16", "OBSTYPE": "EXPOSE", "OBJECT": "M 83",
    "EXPTIME": 60.0, "FILTER": "rp", "DATE-OBS": "2020-01-13T20:11:12.123",
    "DAY-OBS": "20200113", "CONFMODE": "default", "CCDSUM": "1 1", "RLEVEL": 0,
    "CCDATEMP": -99.9, "SATURATE": 0.0,
}  # fmt: skip
SINISTRO_Q1 = {
    "NAXIS1": 2080, "NAXIS2": 2048, "BIASSEC": "[2055:2080,1:2048]",
    "DATASEC": "[1:2048,1:2048]", "DETSEC": "[1:2048,1:2048]", "TRIMSEC": "UNKNOWN",
    "GAIN": 2.0, "RDNOISE": 7.5, "SATURATE": 47500.0, "CCDSUM": "1 1",
}  # fmt: skip
ALFOSC = {
    "INSTRUME": "ALFOSC_FASU", "TELESCOP": "NOT", "IMAGETYP": "OBJECT",
    "OBS_MODE": "IMAGING", "OBJECT": "SN2020abc", "TCSTGT": "SN2020abc",
    "EXPTIME": 120.0, "DATE-OBS": "2020-08-01T22:03:57.796", "SHSTAT": "OPEN",
    "ALFLTNM": "Open", "FAFLTNM": "r'_SDSS 625_140", "FBFLTNM": "Open",
    "ALGRNM": "Open (Lyot)", "ALAPRTNM": "Open", "DETXBIN": 1, "DETYBIN": 1,
    "DETWIN1": "[1:2148, 1:2102]", "FPIX": 200, "AMPLMODE": "B",
    "CLAMP1": 0, "CLAMPNM1": "He", "CLAMP2": 0, "CLAMPNM2": "Ne",
    "CLAMP3": 0, "CLAMPNM3": "Halogen", "CLAMP4": 0, "CLAMPNM4": "ThAr",
}  # fmt: skip
ALFOSC_IMAGE = {"NAXIS1": 2148, "NAXIS2": 2102, "GAIN": 0.16, "RDNOISE": 4.3}
WFC = {
    "INSTRUME": "WFC", "OBSERVAT": "LAPALMA", "TELESCOP": "INT", "OBSTYPE": "TARGET",
    "IMAGETYP": "object", "OBJECT": "pointing-021", "WFFBAND": "Halpha",
    "EXPTIME": 120.0, "DATE-OBS": "2019-02-07", "UTSTART": "23:15:00.0",
    "CCDSPEED": "FAST", "CCDXBIN": 1, "CCDYBIN": 1,
}  # fmt: skip
WFC_CCD4 = {
    "NAXIS1": 2154, "NAXIS2": 4200, "CHIPNAME": "A5506-4", "GAIN": 2.9,
    "READNOIS": 5.8, "SATURATE": 65535.0,
}  # fmt: skip
NINA = {
    "IMAGETYP": "LIGHT", "INSTRUME": "ZWO ASI294MC Pro", "EXPTIME": 30.0,
    "EXPOSURE": 30.0, "DATE-LOC": "2021-03-02T21:19:00.455",
    "DATE-OBS": "2021-03-02T20:19:00.455", "XBINNING": 1, "YBINNING": 1, "GAIN": 120,
    "OFFSET": 30, "EGAIN": 1.00224268436432, "SET-TEMP": -10.0, "CCD-TEMP": -10.0,
    "BAYERPAT": "RGGB", "OBJECT": "M45", "SWCREATE": "N.I.N.A. 1.10.2.90 ",
    "NAXIS1": 4144, "NAXIS2": 2822,
}  # fmt: skip
MAXIM = {
    "IMAGETYP": "Light Frame", "INSTRUME": "SBIG STL-6303", "EXPTIME": 300.0,
    "EXPOSURE": 300.0, "DATE-OBS": "2018-07-04T14:03:03", "SET-TEMP": -35.0,
    "CCD-TEMP": -34.99, "XBINNING": 2, "YBINNING": 2, "XORGSUBF": 0, "YORGSUBF": 0,
    "READOUTM": "Raw", "FILTER": "R", "EGAIN": 2.36, "GAIN": 100, "DATAMAX": 65535,
    "SWCREATE": "MaxIm DL Version 6.05 150830 1Y265", "OBJECT": "46P_Wirtanen",
    "SBSTDVER": "SBFITSEXT Version 1.0", "CALSTAT": "        ",
    "NAXIS1": 1536, "NAXIS2": 1024,
}  # fmt: skip
CAMERAS: dict[str, tuple[Cards, Cards]] = {
    "decam": (DECAM, DECAM_S1), "sinistro": (SINISTRO, SINISTRO_Q1),
    "alfosc": (ALFOSC, ALFOSC_IMAGE), "int_wfc": (WFC, WFC_CCD4),
    "nina": (NINA, {}), "maxim": (MAXIM, {}),
}  # fmt: skip


def classified(camera: str, **cards: Any) -> tuple[str, str | None]:
    primary, extension = CAMERAS[camera]
    header = {**primary, **cards}
    header = {key: value for key, value in header.items() if value is not None}
    found = instruments.recognise(header)
    assert found is not None
    return found.name, found.classify(header, extension)[0]


@pytest.mark.parametrize("camera", CAMERAS)
def test_frame_of_a_target_is_recognised(camera: str) -> None:
    assert classified(camera) == (camera, "object")


@pytest.mark.parametrize("camera", CAMERAS)
def test_time_exposure_and_filter_are_found(camera: str) -> None:
    values = instruments.load(camera).describe(*CAMERAS[camera])
    assert str(values["time"])[:10] == CAMERAS[camera][0]["DATE-OBS"][:10]
    assert isinstance(values["exptime"], float)
    found = {"decam": "g", "sinistro": "rp", "alfosc": "r'_SDSS 625_140",
             "int_wfc": "Halpha", "nina": None, "maxim": "R"}  # fmt: skip
    assert values["filter"] == found[camera]


@pytest.mark.parametrize(
    ("camera", "cards", "expected"),
    [
        ("decam", {"OBSTYPE": "zero", "EXPTIME": 0.0, "CAMSHUT": "Closed"}, "bias"),
        ("decam", {"OBSTYPE": "dome flat"}, "flat"),
        ("decam", {"OBSTYPE": "Dome Flat "}, "flat"),
        ("decam", {"OBSTYPE": "sky flat"}, "twilight"),
        ("decam", {"OBSTYPE": "dark", "CAMSHUT": "Closed"}, "dark"),
        ("decam", {"OBSTYPE": "dark", "CAMSHUT": "Open"}, None),
        ("decam", {"OBSTYPE": "zero", "EXPTIME": 5.0}, None),
        ("decam", {"OBJECT": "JUNK pointing"}, None),
        ("decam", {"OBSTYPE": None}, None),
        ("sinistro", {"OBSTYPE": "BIAS", "EXPTIME": 0.0}, "bias"),
        ("sinistro", {"OBSTYPE": "DARK"}, "dark"),
        ("sinistro", {"OBSTYPE": "SKYFLAT"}, "flat"),
        ("sinistro", {"OBSTYPE": "STANDARD"}, "standard"),
        ("sinistro", {"OBSTYPE": "EXPERIMENTAL"}, None),
        ("sinistro", {"OBSTYPE": None}, None),
        ("alfosc", {"IMAGETYP": "BIAS", "EXPTIME": 0.0}, "bias"),
        ("alfosc", {"IMAGETYP": "BIAS", "EXPTIME": 20.0}, None),
        ("alfosc", {"IMAGETYP": "FLAT,SKY", "OBJECT": "Sky flat"}, "flat"),
        ("alfosc", {"IMAGETYP": "FLAT", "OBJECT": "EasyFlat"}, "flat"),
        ("alfosc", {"OBJECT": "EasyFlat count test"}, "acquisition"),
        ("alfosc", {"OBJECT": "ALFOSC target acquisition"}, "acquisition"),
        ("alfosc", {"ALGRNM": "Focus_Pyr"}, "focus"),
        ("alfosc", {"ALAPRTNM": "Slit_1.0"}, "slit_image"),
        ("alfosc", {"ALGRNM": "Grism_#4", "ALAPRTNM": "Slit_1.0",
                    "OBS_MODE": "SPECTROSCOPY"}, "spectrum"),
        ("alfosc", {"CLAMP1": 1}, None),
        ("alfosc", {"OBS_MODE": None}, None),
        ("int_wfc", {"OBSTYPE": "BIAS", "IMAGETYP": "zero", "OBJECT": "Bias"}, "bias"),
        ("int_wfc", {"OBSTYPE": None, "IMAGETYP": "zero"}, "bias"),
        ("int_wfc", {"OBSTYPE": "SKY", "OBJECT": "Sky background"}, "flat"),
        ("int_wfc", {"OBJECT": "Sky flat Z"}, "flat"),
        ("int_wfc", {"OBJECT": "Domeflat Z"}, "dome_flat"),
        ("int_wfc", {"OBSTYPE": "FOCUS", "IMAGETYP": "focus"}, "focus"),
        ("int_wfc", {"OBJECT": "NLtest"}, None),
        ("int_wfc", {"OBSTYPE": None, "IMAGETYP": None}, None),
        ("nina", {"IMAGETYP": "BIAS"}, "bias"),
        ("nina", {"IMAGETYP": "DARK"}, "dark"),
        ("nina", {"IMAGETYP": "FLAT"}, "flat"),
        ("nina", {"IMAGETYP": "DARKFLAT"}, "dark"),
        ("nina", {"IMAGETYP": "SNAPSHOT"}, None),
        ("nina", {"IMAGETYP": None}, None),
        ("maxim", {"IMAGETYP": "Bias Frame"}, "bias"),
        ("maxim", {"IMAGETYP": "Dark Frame"}, "dark"),
        ("maxim", {"IMAGETYP": "Flat Field"}, "flat"),
        ("maxim", {"IMAGETYP": "FLAT FRAME"}, "flat"),
        ("maxim", {"IMAGETYP": "Light frame"}, "object"),
        ("maxim", {"IMAGETYP": "Tricolor Image"}, None),
    ],
)  # fmt: skip
def test_kind_of_frame(camera: str, cards: Cards, expected: str | None) -> None:
    assert classified(camera, **cards) == (camera, expected)


@pytest.mark.parametrize(
    ("camera", "cards", "instead"),
    [
        # Other cameras of the same observatory, or of the same name elsewhere.
        ("sinistro", {"INSTRUME": "kb98"}, "ccd"),
        ("sinistro", {"INSTRUME": "sq34"}, "ccd"),
        ("sinistro", {"INSTRUME": "fs02"}, "ccd"),
        ("sinistro", {"INSTRUME": "fa1"}, "ccd"),
        ("sinistro", {"SITEID": None}, "ccd"),
        ("alfosc", {"INSTRUME": "NOTCAM"}, "ccd"),
        ("alfosc", {"INSTRUME": "STANCAM"}, "ccd"),
        ("int_wfc", {"INSTRUME": "IDS"}, "ccd"),
        ("int_wfc", {"OBSERVAT": None, "TELESCOP": "Roman"}, "ccd"),
        ("decam", {"INSTRUME": "mosaic3"}, "ccd"),
        ("nina", {"SWCREATE": "SharpCap"}, "ccd"),
        ("nina", {"SWCREATE": None}, "ccd"),
        ("maxim", {"SWCREATE": "Astro Photography Tool - APT v.3.54.1"}, "ccd"),
    ],
)
def test_another_camera_is_not_taken_for_it(
    camera: str, cards: Cards, instead: str
) -> None:
    assert classified(camera, **cards)[0] == instead


@pytest.mark.parametrize(
    ("camera", "cards", "sign"),
    [
        ("decam", {"PROCTYPE": "InstCal"}, "PROCTYPE = 'InstCal'"),
        ("decam", {"PROCTYPE": "MasterCal", "OBSTYPE": "zero", "EXPTIME": 0.0},
         "PROCTYPE = 'MasterCal'"),
        ("sinistro", {"RLEVEL": 91}, "RLEVEL = 91"),
        ("sinistro", {"ISMASTER": True, "OBSTYPE": "BIAS"}, "ISMASTER = True"),
        ("maxim", {"CALSTAT": "BDF"}, "CALSTAT = 'BDF'"),
    ],
)  # fmt: skip
def test_product_of_the_observatory_is_no_raw_frame(
    tmp_path: Path, camera: str, cards: Cards, sign: str
) -> None:
    path = tmp_path / "frame.fits"
    write_headers(path, [headers_only({**CAMERAS[camera][0], **cards}), {}])
    frame = read_frame(path)
    assert frame.frame_class is None
    assert frame.why.startswith(sign)


@pytest.mark.parametrize("proctype", ["RAW", "Raw", "raw     ", "RawData"])
def test_raw_frame_says_so(tmp_path: Path, proctype: str) -> None:
    path = tmp_path / "frame.fits"
    write_headers(path, [headers_only({**DECAM, "PROCTYPE": proctype}), {}])
    assert read_frame(path).frame_class == "object"


def headers_only(cards: Cards) -> Cards:
    return {key: v for key, v in cards.items() if not key.startswith("NAXIS")}


def amplifiers(camera: str, **cards: Any) -> tuple[instruments.Amplifier, ...]:
    primary, extension = CAMERAS[camera]
    header = {**(extension or primary), **cards}
    header = {key: value for key, value in header.items() if value is not None}
    if not extension:
        return instruments.load(camera).amplifiers(header)
    return instruments.load(camera).amplifiers(primary, header)


def test_decam_has_two_amplifiers_in_a_header() -> None:
    a, b = amplifiers("decam")
    assert (a.name, a.data, a.overscan) == (
        "A", "[1081:2104,51:4146]", "[2105:2154,51:4146]",
    )  # fmt: skip
    assert (b.name, b.data, b.overscan) == (
        "B", "[57:1080,51:4146]", "[7:56,51:4146]",
    )  # fmt: skip
    assert (a.gain, a.read_noise, a.saturation) == (4.59347726229, 7.17960496096, 43266)
    assert (b.gain, b.read_noise, b.saturation) == (4.4014084507, 7.01628521127, 44935)
    assert a.cards["gain"] == "GAINA"
    assert a.remarks == b.remarks == ()


def test_decam_amplifier_whose_section_is_missing_is_not_there() -> None:
    (b,) = amplifiers("decam", DATASECA=None, TRIMSECA=None)
    assert b.name == "B"
    (a,) = amplifiers("decam", DATASECB="UNKNOWN", TRIMSECB=None)
    assert a.name == "A"
    a, _ = amplifiers("decam", GAINA=None)
    assert a.gain is None
    assert a.unknown["gain"] == "the header has no value of GAINA"


def test_decam_header_without_sections_is_not_one_amplifier() -> None:
    gone = dict.fromkeys(("DATASECA", "DATASECB", "TRIMSECA", "TRIMSECB"))
    assert amplifiers("decam", **gone) == ()
    ndd = NDLater(np.zeros((4146, 2160), "u2"))
    ndd.meta.update({"INSTRUME": "DECam", "BIASSECA": "[2105:2154,51:4146]"})
    with pytest.raises(InstrumentError, match="none of DATASECA, TRIMSECA, DATASECB"):
        readouts(ndd)


@pytest.mark.parametrize(
    ("camera", "cards", "expected"),
    [
        ("sinistro", {}, ("[1:2048,1:2048]", "[2055:2080,1:2048]", 2.0, 7.5, 47500.0)),
        ("sinistro", {"SATURATE": 0.0},
         ("[1:2048,1:2048]", "[2055:2080,1:2048]", 2.0, 7.5, None)),
        ("alfosc", {}, ("[51:2098,1:2052]", "[2101:2145,1:2052]", 0.16, 4.3, 700000.0)),
        ("int_wfc", {}, ("[54:2101,1:4096]", "[54:2101,4105:4190]", 2.9, 5.8, 65535.0)),
        ("int_wfc", {"TRIMSEC": "[54:2101,1:4096]", "BIASSEC": "[11:50,3:4097]"},
         ("[54:2101,1:4096]", "[11:50,3:4097]", 2.9, 5.8, 65535.0)),
        ("nina", {}, ("[1:4144,1:2822]", None, 1.00224268436432, None, None)),
        ("maxim", {}, ("[1:1536,1:1024]", None, 2.36, None, 65535.0)),
    ],
)  # fmt: skip
def test_amplifier_of_a_camera(camera: str, cards: Cards, expected: Any) -> None:
    (a,) = amplifiers(camera, **cards)
    assert (a.data, a.overscan, a.gain, a.read_noise, a.saturation) == expected


@pytest.mark.parametrize("camera", ["nina", "maxim"])
def test_setting_of_a_camera_is_not_its_gain(camera: str) -> None:
    (a,) = amplifiers(camera, EGAIN=None)
    assert a.gain is None
    assert a.unknown["gain"] == "the header has no value of EGAIN"
    assert not any("GAIN" in remark for remark in a.remarks)


@pytest.mark.parametrize(
    ("camera", "size"), [("alfosc", (1074, 1051)), ("int_wfc", (1077, 2100))]
)
def test_binned_frame_has_no_amplifier_that_is_known(
    camera: str, size: tuple[int, int]
) -> None:
    assert amplifiers(camera, NAXIS1=size[0], NAXIS2=size[1]) == ()


def test_bayer_pattern_is_told() -> None:
    nina = instruments.load("nina")
    assert nina.describe(NINA)["bayer"] == "RGGB"
    mono = {key: value for key, value in NINA.items() if key != "BAYERPAT"}
    assert nina.describe(mono)["bayer"] is None


def test_names_of_several_amplifiers_need_braces(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'schema = 1\n[amplifier_keys]\namplifiers = ["A", "B"]\ndata = "DATASEC"\n'
    )
    with pytest.raises(InstrumentError, match=r"amplifier_keys\.data: .*DATASEC\{\}"):
        instruments.load(path)


def test_shared_card_and_table_complete_each_of_several_amplifiers(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        """
schema = 1
[amplifier_keys]
amplifiers = ["11", "21"]
data = "DSEC{}"
overscan = "BSEC{}"
gain = "GTGAIN{}"
saturation = "SATURATE"
[[amplifier]]
name = "11"
data = "[1:50,1:40]"
read_noise = 3.0
[[amplifier]]
name = "21"
data = "[51:100,1:40]"
read_noise = 4.0
"""
    )
    header = {
        "DSEC11": "[1:50,1:40]", "DSEC21": "[51:100,1:40]", "GTGAIN11": 1.5,
        "GTGAIN21": 1.6, "BSEC11": "[101:110,1:40]", "BSEC21": "[111:120,1:40]",
        "SATURATE": 60000, "NAXIS1": 120, "NAXIS2": 40,
    }  # fmt: skip
    found = instruments.load(path).amplifiers(header)
    assert [(a.name, a.gain, a.read_noise, a.saturation) for a in found] == [
        ("11", 1.5, 3.0, 60000), ("21", 1.6, 4.0, 60000),
    ]  # fmt: skip


# What differs from the target in frames that calibrate it, and in some that do not.
NIGHTS: dict[str, tuple[str, dict[str, Cards], dict[str, Cards]]] = {
    "decam": ("bias", {f"z{n}": {"OBSTYPE": "zero", "EXPTIME": 0.0} for n in range(3)},
              {"late": {"OBSTYPE": "zero", "EXPTIME": 0.0,
                        "DATE-OBS": "2013-09-01T06:02:55"}}),
    "sinistro": ("bias", {f"b{n}": {"OBSTYPE": "BIAS"} for n in range(5)},
                 {"other": {"OBSTYPE": "BIAS", "INSTRUME": "fa15"},
                  "mode": {"OBSTYPE": "BIAS", "CONFMODE": "central_2k_2x2"}}),
    "alfosc": ("flat", {f"f{n}": {"IMAGETYP": "FLAT,SKY"} for n in range(2)},
               {"filter": {"IMAGETYP": "FLAT,SKY", "FAFLTNM": "V_Bes 530_80"},
                "window": {"IMAGETYP": "FLAT,SKY", "DETWIN1": "[1:2148, 500:1000]"}}),
    "int_wfc": ("bias", {f"b{n}": {"OBSTYPE": "BIAS"} for n in range(3)},
                {"slow": {"OBSTYPE": "BIAS", "CCDSPEED": "SLOW"},
                 "binned": {"OBSTYPE": "BIAS", "CCDXBIN": 2, "CCDYBIN": 2}}),
    "nina": ("dark", {f"d{n}": {"IMAGETYP": "DARK"} for n in range(2)},
             {"gain": {"IMAGETYP": "DARK", "GAIN": 0},
              "offset": {"IMAGETYP": "DARK", "OFFSET": 10},
              "camera": {"IMAGETYP": "DARK", "INSTRUME": "QHY268M"},
              "warm": {"IMAGETYP": "DARK", "CCD-TEMP": 5.0}}),
    "maxim": ("bias", {"b": {"IMAGETYP": "Bias Frame"}},
              {"corner": {"IMAGETYP": "Bias Frame", "XORGSUBF": 100},
               "mode": {"IMAGETYP": "Bias Frame", "READOUTM": "Fast"},
               "made": {"IMAGETYP": "Bias Frame", "CALSTAT": "M"}}),
}  # fmt: skip


@pytest.mark.parametrize("camera", NIGHTS)
def test_calibrations_of_a_target_are_found(tmp_path: Path, camera: str) -> None:
    cal_type, good, bad = NIGHTS[camera]
    primary, extension = CAMERAS[camera]
    # Frames of one time would be copies of one exposure.
    key = "UTSTART" if "UTSTART" in primary else "DATE-OBS"
    for n, (name, cards) in enumerate({"target": {}, **good, **bad}.items()):
        time = {key: f"{primary[key][:-1]}{n}"}
        headers = [headers_only({**primary, **time, **cards})]
        headers += [headers_only(extension)] if extension else []
        write_headers(tmp_path / f"{name}.fits", headers)
    frames = find_frames(tmp_path)
    target = next(f for f in frames if f.name == "target.fits")
    match = match_frames(target, cal_type, frames)
    assert match.files == tuple(f"{name}.fits" for name in good)
    assert match.quality == 0


SECTIONS = {
    "TRIMSEC": "[9:72,5:44]", "DATASEC": "[9:72,5:44]",
    "DATASECA": "[41:72,5:44]", "BIASSECA": "[73:78,5:44]", "PRESECA": "[79:80,5:44]",
    "DATASECB": "[9:40,5:44]", "BIASSECB": "[3:8,5:44]", "PRESECB": "[1:2,5:44]",
    "GAINA": 4.0, "RDNOISEA": 8.0, "SATURATA": 40000.0,
    "GAINB": 2.0, "RDNOISEB": 6.0, "SATURATB": 45000.0,
}  # fmt: skip
LEVELS = {"A": 1500, "B": 1100}


def decam_ccd(
    rng: np.random.Generator, ccd: int, electrons: float
) -> tuple[Cards, np.ndarray]:
    """Simulate one CCD read by two amplifiers, whose levels drift between frames."""
    raw = np.zeros((44, 80))
    for name, columns in (("A", slice(40, 80)), ("B", slice(0, 40))):
        gain = SECTIONS[f"GAIN{name}"]
        level = LEVELS[name] + 100 * ccd + rng.normal(0, 10)
        noise = rng.normal(0, SECTIONS[f"RDNOISE{name}"], (44, 40))
        raw[:, columns] = level + noise / gain
        light = slice(40, 72) if name == "A" else slice(8, 40)
        # Structure that the overscan does not have, so that the bias has a task.
        photons = rng.poisson(electrons, (40, 32))
        raw[4:, light] += photons / gain + 3.0 * ccd
    pixels = np.clip(np.rint(raw), 0, 65535).astype(np.uint16)
    return {**SECTIONS, "EXTNAME": f"S{ccd}", "CCDNUM": ccd}, pixels


@pytest.fixture
def decam_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(14)
    (tmp_path / "raw").mkdir()
    for n in range(5):
        cards = {**DECAM, "OBSTYPE": "zero", "OBJECT": "bias", "EXPTIME": 0.0}
        ccds = [decam_ccd(rng, ccd, 0.0) for ccd in (1, 2)]
        make_raw(tmp_path / "raw" / f"dec{n}.fits", cards, ccds)
    ccds = [decam_ccd(rng, ccd, 2000.0) for ccd in (1, 2)]
    make_raw(tmp_path / "raw" / "dec9.fits", DECAM, ccds)
    return tmp_path


def test_decam_frame_is_reduced_by_the_generic_steps(decam_night: Path) -> None:
    frames = find_frames("raw")
    target = next(f for f in frames if f.frame_class == "object")
    assert target.parts == {"ccd": (1, 2)}
    biases = match_frames(target, "bias", frames)
    assert biases.files == tuple(f"dec{n}.fits" for n in range(5))

    zeros = trim(subtract_overscan(DataFileList(biases.files, dirname="raw")))
    bias = make_bias(add_variance(zeros, poisson=False), bias="dec_bias.fits")
    science = trim(subtract_overscan(DataFile("raw/dec9.fits")))
    science = add_variance(subtract_bias(science, bias=bias))
    assert len(science) == 2
    for ndd in science:
        assert ndd.shape == (40, 64)
        assert "DATASECA" not in ndd.meta
        left, right = sorted(readouts(ndd), key=lambda r: r.data[1].start)
        assert (left.name, right.name) == ("B", "A")
        assert left.data[1] == slice(0, 32)
        for readout in (left, right):
            assert readout.gain == SECTIONS[f"GAIN{readout.name}"]
            electrons = np.asarray(ndd.data)[readout.data] * readout.gain
            # 1280 pixels of sqrt(2000 + 64) electron: 1.3 electron, and with the level
            # of 240 overscan pixels and of five biases below 2; 4 sigma.
            assert electrons.mean() == pytest.approx(2000.0, abs=8.0)
            variance = np.asarray(ndd.variance)[readout.data] * readout.gain**2
            # The noise of five biases is part of it; the scatter of 1280 pixels is
            # good to 4 percent of the variance.
            assert variance.mean() == pytest.approx(electrons.var(), rel=0.16)


@pytest.mark.parametrize("camera", ["alfosc", "int_wfc", "sinistro"])
def test_full_frame_is_freed_of_its_overscan(tmp_path: Path, camera: str) -> None:
    primary, extension = CAMERAS[camera]
    shape = (extension["NAXIS2"], extension["NAXIS1"])
    pixels = np.full(shape, 900, np.uint16)
    (known,) = amplifiers(camera)
    x, y = (tuple(map(int, p.split(":"))) for p in known.data.strip("[]").split(","))
    pixels[y[0] - 1 : y[1], x[0] - 1 : x[1]] = 1250
    path = tmp_path / "frame.fits"
    make_raw(path, primary, [(headers_only(extension), pixels)])
    result = trim(subtract_overscan(DataFile(path)[0]))
    assert result.shape == (y[1] - y[0] + 1, x[1] - x[0] + 1)
    assert np.all(np.asarray(result.data) == 350)
    assert result.meta["RDNOISE1"] == known.read_noise


def test_cmos_frame_needs_what_its_header_does_not_say(tmp_path: Path) -> None:
    path = tmp_path / "light.fits"
    make_raw(path, headers_only(NINA), data=np.full((20, 30), 1000, np.uint16))
    raw = DataFile(path)[0]
    with pytest.raises(NdmapperError, match="read noise of amplifier 1 is not known"):
        add_variance(raw)
    variance = np.asarray(add_variance(raw, read_noise=1.5).variance)
    gain = NINA["EGAIN"]
    # The grid of integers may add 1/12 adu^2.
    assert variance.mean() == pytest.approx(1000 / gain + (1.5 / gain) ** 2, abs=0.09)


PAGE = (Path(__file__).parents[2] / "docs/howto/cameras.md").read_text()


def test_page_of_cameras_lists_every_table() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, re.M)) == instruments.names()


def test_page_of_cameras_shows_the_levels_of_amplifiers(
    decam_night: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    (decam_night / "raw" / "dec0.fits").rename(decam_night / "raw" / "bias.fits")
    exec(compile(block, "cameras.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:] for line in lines[::2]] == [
        ["A", "4.0", "8.0"], ["B", "2.0", "6.0"],
    ] * 2  # fmt: skip
    # The first CCD is 3 adu above its overscan, the second 6; noise of 240 pixels.
    levels = [float(line.split()[-1]) for line in lines[1::2]]
    assert levels == pytest.approx([3, 3, 6, 6], abs=1.0)


def test_page_of_cameras_extends_a_table(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)
    path = tmp_path / "mine.toml"
    path.write_text(block)
    mine = instruments.load(path)
    assert mine.recognises(NINA)
    assert mine.classify(NINA)[0] == "object"
    (found,) = mine.amplifiers(NINA)
    assert (found.gain, found.read_noise) == (NINA["EGAIN"], 1.8)
    assert mine.amplifiers({**NINA, "GAIN": 0}) == ()
