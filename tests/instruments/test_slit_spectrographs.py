"""The tables of slit spectrographs: headers as the sources of each table have them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ndmapper import config, instruments
from ndmapper.calibrations import cal_entries
from ndmapper.calibrations.matching import match_frames
from ndmapper.calibrations.scan import find_frames
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import InstrumentError
from ndmapper.instruments.spectrograph import check_spectrograph
from ndmapper.lib.ccd import (
    add_variance,
    correct_gain,
    make_bias,
    readouts,
    subtract_bias,
    trim,
)
from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.lib.spectrograph import spectrograph_of
from ndmapper.services import look_up_cals
from ndmapper.testing import make_raw

Cards = dict[str, Any]

KAST_RED = {
    "VERSION": "kastr", "OBSTYPE": "OBJECT", "OBJECT": "J1217p3905", "EXPTIME": 1200,
    "DATE-OBS": "2017-05-20T04:37:33.12", "SLIT_N": "2.0 arcsec        ",
    "DECKER_N": "Spect", "GRATNG_N": "600/7500          ", "GRISM_N": "600/4310",
    "GRTILT_P": 25500, "BSPLIT_N": "d55               ", "READ-SPD": 80,
    "CRVAL1U": 0, "COVER": 32, "DSENSOR": "Hamamatsu 1Kx4K",
    **{f"LAMPSTA{n}": "off               " for n in "12345ABCDEFGHIJK"},
    **{f"LAMPNAM{n}": f"lamp {n}" for n in "12345ABCDEFGHIJK"},
    "NAXIS1": 1088, "NAXIS2": 2725,
}  # fmt: skip
EFOSC2 = {
    "INSTRUME": "EFOSC", "TELESCOP": "ESO-NTT", "OBJECT": "CQ0831+0930",
    "EXPTIME": 900.0005, "DATE-OBS": "2011-11-22T08:20:57.062",
    "ESO DPR CATG": "SCIENCE", "ESO DPR TYPE": "OBJECT", "ESO DPR TECH": "SPECTRUM",
    "ESO INS GRIS1 NAME": "Gr#13", "ESO INS SLIT1 NAME": "slit#1.2",
    "ESO INS FILT1 NAME": "Free", "ESO DET WIN1 BINX": 2, "ESO DET WIN1 BINY": 2,
    "ESO DET WIN1 STRX": 1, "ESO DET WIN1 STRY": 1, "ESO DET READ MODE": "normal",
    "ESO DET READ SPEED": "fastL", "ESO DET OUT1 ID": "L", "ESO DET OUT1 CONAD": 1.1,
    "ESO DET OUT1 GAIN": 0.91, "ESO DET OUT1 RON": 7.8, "ESO TEL GEOLON": -70.7345,
    "ESO TEL GEOLAT": -29.2584, "ESO TEL GEOELEV": 2377.0,
    "NAXIS1": 1030, "NAXIS2": 1030,
}  # fmt: skip
ALFOSC = {
    "INSTRUME": "ALFOSC_FASU", "IMAGETYP": "OBJECT", "OBS_MODE": "SPECTROSCOPY",
    "OBJECT": "SN2020abc", "TCSTGT": "SN2020abc", "EXPTIME": 1200.0,
    "DATE-OBS": "2020-08-01T22:03:57.796", "SHSTAT": "OPEN", "ALFLTNM": "Open",
    "FAFLTNM": "Open", "FBFLTNM": "Open", "ALGRNM": "Grism_#4", "ALAPRTNM": "Slit_1.0",
    "DETXBIN": 1, "DETYBIN": 1, "DETWIN1": "[1:2148, 1:2102]", "FPIX": 200,
    "AMPLMODE": "B", "CLAMP1": 0, "CLAMPNM1": "He", "CLAMP2": 0, "CLAMPNM2": "Ne",
    "CLAMP3": 0, "CLAMPNM3": "Halogen", "CLAMP4": 0, "CLAMPNM4": "ThAr",
}  # fmt: skip
SPECTRA: dict[str, tuple[Cards, Cards | None]] = {
    "kast_red": (KAST_RED, None),
    "efosc2": (EFOSC2, None),
    "alfosc": (ALFOSC, {"NAXIS1": 2148, "NAXIS2": 2102, "GAIN": 0.16, "RDNOISE": 4.3}),
}
BIAS, LAMP = {"EXPTIME": 0.0}, "on                "
HE_NE = {"CLAMP1": 1, "CLAMP2": 1, "OBJECT": "arc"}


def primary_of(table: str, **cards: Any) -> Cards:
    header = {**SPECTRA[table][0], **cards}
    return {key: value for key, value in header.items() if value is not None}


@pytest.mark.parametrize(
    ("table", "cards", "expected"),
    [
        ("kast_red", {}, "object"),
        ("kast_red", {"OBJECT": "Bias", **BIAS}, "bias"),
        ("kast_red", {"OBJECT": "Dome Flat", "LAMPSTA2": LAMP}, "flat"),
        ("kast_red", {"OBJECT": "Arcs", "LAMPSTAJ": LAMP, "LAMPSTAF": LAMP}, "arc"),
        ("kast_red", {"OBJECT": "Feige 66", "EXPTIME": 30}, "standard"),
        ("kast_red", {"LAMPSTAJ": LAMP}, None),
        ("efosc2", {}, "object"),
        ("efosc2", {"ESO DPR CATG": "CALIB", "ESO DPR TYPE": "BIAS",
                    "ESO DPR TECH": "IMAGE", **BIAS}, "bias"),
        ("efosc2", {"ESO DPR CATG": "CALIB", "ESO DPR TYPE": "BIAS"}, None),
        ("efosc2", {"ESO DPR CATG": "CALIB", "ESO DPR TYPE": "FLAT"}, "flat"),
        ("efosc2", {"ESO DPR CATG": "CALIB", "ESO DPR TYPE": "DOME"}, "flat"),
        ("efosc2", {"ESO DPR CATG": "CALIB", "ESO DPR TYPE": "WAVE"}, "arc"),
        ("efosc2", {"ESO DPR CATG": "CALIB", "ESO DPR TYPE": "DARK"}, "dark"),
        ("efosc2", {"ESO DPR TYPE": "STD"}, "standard"),
        ("efosc2", {"ESO DPR TYPE": "STD,FLUX"}, "standard"),
        ("efosc2", {"ESO DPR TYPE": "STD,TELLURIC"}, "object"),
        ("efosc2", {"ESO DPR CATG": "ACQUISITION", "ESO DPR TECH": "IMAGE"},
         "acquisition"),
        ("efosc2", {"ESO DPR TECH": "IMAGE", "ESO INS GRIS1 NAME": "Free"}, "image"),
        ("efosc2", {"ESO DPR TECH": "MOS"}, None),
        ("efosc2", {"ESO DPR TECH": "ECHELLE"}, None),
        ("efosc2", {"ESO DPR TYPE": None}, None),
        ("alfosc", {}, "spectrum"),
        ("alfosc", {"IMAGETYP": "BIAS", "SHSTAT": "CLOSED", **BIAS}, "bias"),
        # Told by the lamps, whatever OBJECT and IMAGETYP say.
        ("alfosc", {"CLAMP1": 1, "CLAMP2": 1}, "arc"),
        ("alfosc", {"CLAMP4": 1}, "arc"),
        ("alfosc", {"IMAGETYP": "WAVE,LAMP", "CLAMP1": 1}, "arc"),
        ("alfosc", {"CLAMP3": 1}, "flat"),
        ("alfosc", {"CLAMP3": 1, "CLAMP1": 1}, None),
        ("alfosc", {"OBJECT": "STD,SLIT"}, "standard"),
        ("alfosc", {"TCSTGT": "SP2209+178"}, "standard"),
        ("alfosc", {"ALAPRTNM": "Vert_0.9"}, "spectrum"),
        ("alfosc", {"ALAPRTNM": "Ech_1.0"}, "echelle"),
        ("alfosc", {"ALAPRTNM": "Pol_1.0"}, "polarimetry"),
        ("alfosc", {"ALGRNM": "Open (Lyot)"}, "slit_image"),
        ("alfosc", {"ALGRNM": "Open (Lyot)", "CLAMP1": 1}, "slit_image"),
        ("alfosc", {"SHSTAT": "CLOSED"}, None),
    ],
)  # fmt: skip
def test_kind_of_frame(table: str, cards: Cards, expected: str | None) -> None:
    header = primary_of(table, **cards)
    found = instruments.recognise(header)
    assert found is not None
    assert (found.name, found.classify(header, SPECTRA[table][1])[0]) == (
        table, expected,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("table", "cards", "instead"),
    [
        ("kast_red", {"VERSION": "kastb"}, "kast"),
        ("kast_red", {"VERSION": "hamspec"}, "ccd"),
        # Before 2008, at the 3.6 m telescope, the pixel scale was another.
        ("efosc2", {"TELESCOP": "ESO 3.6-metre"}, None),
        ("efosc2", {"INSTRUME": "SOFI"}, None),
        ("alfosc", {"INSTRUME": "FIES"}, "ccd"),
    ],
)
def test_another_spectrograph_is_not_taken_for_it(
    table: str, cards: Cards, instead: str | None
) -> None:
    found = instruments.recognise(primary_of(table, **cards))
    assert (found.name if found else None) == instead


def amplifiers(table: str, **cards: Any) -> list[tuple[Any, ...]]:
    header = primary_of(table, **cards)
    found = instruments.load(table).amplifiers(header, SPECTRA[table][1])
    return [(a.data, a.overscan, a.gain, a.read_noise) for a in found]


def test_amplifiers_of_kast_red_have_any_rows_of_all_columns() -> None:
    for rows in (350, 4096):
        assert amplifiers("kast_red", NAXIS2=rows) == [
            (f"[1:512,1:{rows}]", f"[1025:1056,1:{rows}]", 1.9, 3.8),
            (f"[513:1024,1:{rows}]", f"[1057:1088,1:{rows}]", 1.9, 3.8),
        ]
    reticon = {"DSENSOR": "Ret 400x1200", "NAXIS1": 1232, "NAXIS2": 400}
    assert amplifiers("kast_red", **reticon) == [
        ("[1:1200,1:400]", "[1203:1232,1:400]", 3.0, 12.5)
    ]


def test_window_of_kast_red_is_refused_by_name() -> None:
    ndd = NDLater(np.zeros((30, 414), "u2"))
    ndd.meta.update({"VERSION": "kastr", "CRVAL1U": 350, "COVER": 32})
    with pytest.raises(InstrumentError, match=r"left does not fit \(columns 414, not"):
        readouts(ndd)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({}, ("[1:1024,1:1024]", None, 1.18, 12.2)),
        ({"ESO DET READ MODE": "slow"}, ("[1:1024,1:1024]", None, 1.1, 7.8)),
        ({"NAXIS1": 2060, "NAXIS2": 2060, "ESO DET WIN1 BINX": 1,
          "ESO DET WIN1 BINY": 1}, ("[1:2048,1:2048]", None, 1.1, 7.8)),
    ],
)  # fmt: skip
def test_amplifier_of_efosc2(cards: Cards, expected: Any) -> None:
    assert amplifiers("efosc2", **cards) == [expected]


def test_window_of_efosc2_is_refused() -> None:
    assert amplifiers("efosc2", NAXIS1=520) == []


@pytest.mark.parametrize(
    ("table", "cards", "expected"),
    [
        ("kast_red", {}, {"dispersion_axis": "y", "wavelength": "rises",
                          "slit_width": 2.0, "dispersion": 1.29}),
        ("kast_red", {"GRATNG_N": "300/7500"}, {"dispersion": None}),
        ("kast_red", {"DSENSOR": "Ret 400x1200"},
         {"dispersion_axis": "x", "pixel_scale": 0.774, "dispersion": 2.32}),
        ("efosc2", {}, {"dispersion_axis": "y", "wavelength": "rises",
                        "binning": [2, 2], "slit_width": 1.2, "dispersion": 2.83}),
        ("efosc2", {"ESO INS SLIT1 NAME": "slit#10"}, {"slit_width": 10.0}),
        ("efosc2", {"ESO INS SLIT1 NAME": "Special#1"}, {"slit_width": None}),
        ("efosc2", {"ESO INS GRIS1 NAME": "Gr#11"}, {"central_wavelength": None}),
        ("alfosc", {}, {"dispersion_axis": "y", "wavelength": "falls",
                        "binning": [1, 1], "slit_width": 1.0, "dispersion": 3.5,
                        "lines": ["He", "Ne"]}),
        ("alfosc", {"ALAPRTNM": "Vert_0.9"},
         {"dispersion_axis": "x", "wavelength": "rises", "slit_width": 0.9}),
        ("alfosc", {"ALAPRTNM": "VertOff_1.3"}, {"dispersion_axis": "x"}),
        ("alfosc", {"CLAMP4": 1}, {"lines": ["ThAr"]}),
        ("alfosc", {"ALGRNM": "Grism_#18"}, {"central_wavelength": 4360.0}),
    ],
)  # fmt: skip
def test_geometry_and_wavelengths(table: str, cards: Cards, expected: Cards) -> None:
    header = primary_of(table, **cards)
    found = instruments.load(table).spectrograph_of(header, SPECTRA[table][1])
    assert check_spectrograph(found) == found
    assert {key: found.get(key) for key in expected} == expected


# Arc lines at the pixels where PyNOT lists them, each with its table.
LINES = [
    ("alfosc", {"ALGRNM": "Grism_#4"}, [(242.9, 8774.11), (1638.63, 3889.8)]),
    ("alfosc", {"ALGRNM": "Grism_#7"}, [(106.76, 6680.1), (1981.43, 3889.75)]),
    ("alfosc", {"ALGRNM": "Grism_#18"}, [(140.9, 5232.62), (2019.6, 3492.54)]),
    ("alfosc", {"ALGRNM": "Grism_#19"}, [(24.76, 6931.39), (1993.47, 4472.73)]),
    (
        "efosc2",
        {"ESO INS GRIS1 NAME": "Gr#13"},
        [(110.05, 3888.65), (1994.69, 9122.97)],
    ),
    ("efosc2", {"ESO INS GRIS1 NAME": "Gr#14"}, [(147.52, 3187.7), (1988.59, 5015.68)]),
]


@pytest.mark.parametrize(("table", "cards", "lines"), LINES)
def test_lines_of_real_arcs_are_near_where_the_table_has_them(
    table: str, cards: Cards, lines: list[tuple[float, float]]
) -> None:
    """Within the 200 Angstrom and 15 percent that the identification allows for."""
    header = primary_of(table, **cards)
    given = instruments.load(table).spectrograph_of(header, SPECTRA[table][1])
    given.pop("binning")
    geometry = spectrograph_of(given, NDLater(np.zeros((2052, 10))))
    assert geometry.wavelength_range is not None
    (x1, first), (x2, last) = lines
    slope = (last - first) / (x2 - x1)
    assert (slope < 0) == geometry.falls
    assert geometry.dispersion == pytest.approx(abs(slope), rel=0.15)
    # From the line that is nearer to the middle.
    x, line = min(lines, key=lambda at: abs(at[0] - 1026))
    centre = sum(geometry.wavelength_range) / 2
    assert centre == pytest.approx(line + slope * (1026 - x), abs=200.0)


def test_flats_of_spectra_and_of_images_are_normalised_each_in_their_way() -> None:
    alfosc = instruments.load("alfosc")
    spectral = {"normalise": "spectral"}
    assert alfosc.parameters_of("make_flat", primary_of("alfosc")) == spectral
    imaging = primary_of("alfosc", OBS_MODE="IMAGING")
    assert alfosc.parameters_of("make_flat", imaging) == {"normalise": "plain"}
    assert alfosc.parameters_of("make_light_curves", {}).keys() == {"site"}


# What differs from the target in the frames of each type; the last is not for it.
ESO_CAL = {"ESO DPR CATG": "CALIB"}
NIGHTS: dict[str, dict[str, list[Cards]]] = {
    "kast_red": {
        "bias": 3 * [{"OBJECT": "Bias", **BIAS}]
        + [{"OBJECT": "Bias", **BIAS, "READ-SPD": 40}],
        "flat": 2 * [{"OBJECT": "Dome Flat", "LAMPSTA2": LAMP}]
        + [{"OBJECT": "Dome Flat", "LAMPSTA2": LAMP, "GRTILT_P": 24000}],
        "arc": [
            {"OBJECT": "Arcs", "LAMPSTAJ": LAMP, "SLIT_N": "0.5 arcsec"},
            {"OBJECT": "Arcs", "LAMPSTAJ": LAMP, "GRATNG_N": "300/7500"},
        ],
        "standard": [
            {"OBJECT": "Feige 66", "EXPTIME": 30},
            {"OBJECT": "Feige 66", "EXPTIME": 30, "BSPLIT_N": "d46"},
        ],
    },
    "efosc2": {
        "bias": 3 * [{**ESO_CAL, "ESO DPR TYPE": "BIAS", **BIAS}]
        + [{**ESO_CAL, "ESO DPR TYPE": "BIAS", **BIAS, "ESO DET READ SPEED": "slowL"}],
        "flat": 2 * [{**ESO_CAL, "ESO DPR TYPE": "FLAT"}]
        + [{**ESO_CAL, "ESO DPR TYPE": "FLAT", "ESO INS SLIT1 NAME": "slit#5.0"}],
        "arc": [
            {**ESO_CAL, "ESO DPR TYPE": "WAVE"},
            {**ESO_CAL, "ESO DPR TYPE": "WAVE", "ESO INS GRIS1 NAME": "Gr#11"},
        ],
        "standard": [
            {"ESO DPR TYPE": "STD", "ESO INS SLIT1 NAME": "slit#5.0"},
            {"ESO DPR TYPE": "STD", "ESO INS GRIS1 NAME": "Gr#11"},
        ],
    },
    "alfosc": {
        "bias": 3 * [{"IMAGETYP": "BIAS", "SHSTAT": "CLOSED", **BIAS}]
        + [{"IMAGETYP": "BIAS", **BIAS, "FPIX": 400}],
        "flat": 2 * [{"CLAMP3": 1}]
        + [{"IMAGETYP": "FLAT", "OBS_MODE": "IMAGING", "ALGRNM": "Open",
            "ALAPRTNM": "Open"}],
        "arc": [HE_NE, {**HE_NE, "ALAPRTNM": "Vert_1.0"}],
        "standard": [{"OBJECT": "STD"}, {"OBJECT": "STD", "ALGRNM": "Grism_#7"}],
    },
}  # fmt: skip


def written(path: Path, primary: Cards, extension: Cards | None = None) -> None:
    """Write a frame of few pixels; names of the cards of ESO need their prefix."""
    cards = {
        f"HIERARCH {key}" if key.startswith("ESO ") else key: value
        for key, value in primary.items()
        if not key.startswith("NAXIS")
    }
    pixels = np.zeros((4, 4), np.uint16)
    if extension is None:
        make_raw(path, cards, data=pixels)
    else:
        plain = {k: v for k, v in extension.items() if not k.startswith("NAXIS")}
        make_raw(path, cards, [(plain, pixels)])


@pytest.mark.parametrize("table", NIGHTS)
def test_calibrations_of_a_night_are_found(tmp_path: Path, table: str) -> None:
    frames = {"target": [{}], **NIGHTS[table]}
    every = [(f"{name}{n}", c) for name, of in frames.items() for n, c in enumerate(of)]
    date = str(SPECTRA[table][0]["DATE-OBS"])[:11]
    for minute, (name, cards) in enumerate(every):
        # Frames of one time would be copies of one exposure.
        header = primary_of(table, **{"DATE-OBS": f"{date}05:{minute:02d}:00", **cards})
        written(tmp_path / f"{name}.fits", header, SPECTRA[table][1])
    found = find_frames(tmp_path)
    target = next(f for f in found if f.name == "target0.fits")
    assert target.instrument is not None
    needs = target.instrument.needs(target.frame_class)
    assert set(needs) == {"bias", "flat", "arc", "standard"}
    for cal_type, given in NIGHTS[table].items():
        match = match_frames(target, cal_type, found)
        good = [f"{cal_type}{n}.fits" for n in range(len(given) - 1)]
        assert list(match.files) == good, match.why
        assert match.quality == 0


# A small detector of an instrument that is like EFOSC2 in its headers.
SMALL = """
schema = 1
extends = "efosc2"
description = "EFOSC2 with a small detector"
[[amplifier]]
name = "L"
where = { x_binning = 2 }
data = "[1:40,*]"
gain = 1.5
read_noise = 4.0
[spectrograph]
wavelength = "falls"
"""


def test_night_with_dispersion_along_y_is_reduced_by_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(SMALL)
    slit = SlitSpectrograph(
        shape=(40, 120), dispersion_axis="y", wavelength="falls", gain=1.5, tilt=1.0
    )
    scene = slit.science([SlitSource(row=20, flux=20000.0)], sky=100.0)
    dark = np.zeros((120, 40))
    kinds = [("BIAS", dark)] * 3 + [("FLAT", slit.flat())] * 2
    kinds += [("WAVE", slit.arc([(4300.0, 5000.0)])), ("STD", scene.light)]
    for n, (kind, light) in enumerate([*kinds, ("OBJECT", scene.light)]):
        raw = np.asarray(slit.observe_raw(light, seed=n).data)
        cards = {
            "ESO DPR TYPE": kind, "DATE-OBS": f"2011-11-22T08:{n:02d}:00",
            "EXPTIME": 0.0 if kind == "BIAS" else 60.0,
        }  # fmt: skip
        header = {
            f"HIERARCH {k}" if k.startswith("ESO ") else k: v
            for k, v in primary_of("efosc2", **cards).items()
            if not k.startswith("NAXIS")
        }
        # The columns that are added when it is read have no light.
        pixels = np.hstack([raw, np.full((120, 6), 990, np.uint16)])
        make_raw(f"e{n}.fits", header, data=pixels)
    with config.using(instrument="small.toml"):
        cals = look_up_cals("e7.fits")
        ((label, biases),) = cal_entries(cals, "bias")
        assert biases == ["e0.fits", "e1.fits", "e2.fits"]
        for cal_type, raws in (
            ("flat", ["e3.fits", "e4.fits"]),
            ("arc", ["e5.fits"]),
            ("standard", ["e6.fits"]),
        ):
            assert [files for _, files in cal_entries(cals, cal_type)] == [raws]
        zeros = add_variance(trim(DataFileList(biases)), poisson=False)
        bias = make_bias(zeros, bias=label)
        electrons = correct_gain(
            add_variance(subtract_bias(trim(DataFile("e7.fits")), bias=bias))
        )[0]
        given = instruments.load("small.toml").spectrograph_of(electrons.meta)
    geometry = spectrograph_of(given, electrons)
    assert geometry.binning == (2, 2)
    turned = geometry.turned(np.asarray(electrons.data)) - 100.0
    assert turned.shape == slit.shape
    # Of 120 sums over 40 pixels each, of photons and read noise (also of three biases):
    # rms 0.8 percent, so their mean is good to 0.08 percent; 4 times that.
    spectrum = turned.sum(axis=0)
    assert np.mean(spectrum / scene.spectra[0]) == pytest.approx(1.0, abs=0.004)
    centres = np.arange(40) @ turned / spectrum
    assert np.median(centres - scene.traces[0]) == pytest.approx(0.0, abs=0.1)
