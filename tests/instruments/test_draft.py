"""Drafts of a table, from headers as cameras write them."""

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ndmapper import instruments
from ndmapper.calibrations.draft import draft_from_folder
from ndmapper.calibrations.scan import find_frames
from ndmapper.instruments.draft import draft_instrument
from ndmapper.testing import write_headers

Cards = dict[str, Any]


def test_draft_of_a_camera_classifies_its_frames(tmp_path: Path) -> None:
    def header(kind: str, exptime: float) -> tuple[dict[str, Any], None]:
        cards = {"INSTRUME": 'Cam "1"', "IMAGETYP": kind, "EXPTIME": exptime,
                 "DATE-OBS": "2020-01-01", "UT": "01:02:03", "FILTER": "V",
                 "XBINNING": 1, "YBINNING": 1, "CCD-TEMP": -20.0}  # fmt: skip
        return cards, None

    kinds = {"Bias Frame": "bias", "Dark Frame": "dark", "Flat Field": "flat",
             "Light Frame": "object", "Focus": None}  # fmt: skip
    headers = [header(kind, 5.0) for kind in kinds for _ in range(3)]
    path = tmp_path / "cam.toml"
    text = draft_instrument("cam", headers)
    path.write_text(text)
    cam = instruments.load(path)
    assert cam.recognises(headers[0][0])
    for kind, expected in kinds.items():
        assert cam.classify(header(kind, 5.0)[0])[0] == expected
    assert cam.dependencies["target"] == ("bias", "dark", "flat")
    assert "CHECK: what are these? 'Focus' (3)" in text
    assert cam.describe(headers[0][0])["time"] == "2020-01-01T01:02:03.000"


def test_draft_without_any_kind_asks_for_classes(tmp_path: Path) -> None:
    text = draft_instrument("odd", [({"A": 1}, None)])
    path = tmp_path / "odd.toml"
    path.write_text(text)
    assert instruments.load(path).classes == ()
    assert "CHECK: no keyword says what a frame is" in text


def test_unusual_keywords_are_found_by_their_values(tmp_path: Path) -> None:
    def header(kind: str, filtername: str) -> tuple[Cards, Cards]:
        primary = {"OBSERVAT": "Hill", "INSTR": "WideEye2", "FRMTYPE": kind,
                   "ITIME": 8.0, "PASSBAND": filtername, "NOTE": f"{kind} {filtername}",
                   "UT-OPEN": "2025-03-01T02:03:04.5",
                   "DATE": "2026-01-01T00:00:00"}  # fmt: skip
        return primary, {"DSEC_P": "[25:424,1:700]", "OSEC_P": "[1:24,1:700]",
                         "GN_P": 1.9, "CAMERA": "[1:2,3:4]"}  # fmt: skip

    kinds = {"zero": "bias", "dome": "flat", "science": "object", "focus": None}
    headers = [header(kind, f"zs{n}") for kind in kinds for n in range(4)]
    cam, text = drafted(tmp_path, headers)
    assert cam.applies == {"INSTR": ("WideEye2",)}
    assert "# CHECK: is it INSTR that tells?" in text
    assert "# CHECK: is it FRMTYPE that says what a frame is?" in text
    for (primary, _), kind in zip(headers[::4], kinds.values(), strict=True):
        assert cam.classify(primary)[0] == kind
    found = cam.describe(*headers[0])
    assert (found["exptime"], found["filter"]) == (8.0, "zs0")
    assert found["time"] == "2025-03-01T02:03:04.500"
    assert "#   OSEC_P = [1:24,1:700]\n" in text
    assert "#   GN_P = 1.9\n" in text


def drafted(
    tmp_path: Path, headers: list[tuple[Cards, Cards | None]]
) -> tuple[instruments.Instrument, str]:
    text = draft_instrument("cam", headers)
    path = tmp_path / "cam.toml"
    path.write_text(text)
    return instruments.load(path), text


# As in raw files of GMOS, where the gain and the sections are in the extensions.
GMOS = {"INSTRUME": "GMOS-N", "OBSTYPE": "OBJECT", "OBJECT": "NGC 4449",
        "EXPTIME": 60.0, "DATE-OBS": "2006-09-12", "TIME-OBS": "06:04:01.2",
        "FILTER1": "r_G0303",
        "GRATING": "MIRROR", "MASKNAME": "None", "GCALLAMP": "Off"}  # fmt: skip
GMOS_AMP = {"AMPNAME": "EEV 9273-20-04, left", "CCDSUM": "2 2", "GAIN": 2.337,
            "RDNOISE": 3.98, "DATASEC": "[1:1024,1:2304]",
            "BIASSEC": "[1025:1056,1:2304]"}  # fmt: skip


def gmos(**cards: Any) -> tuple[Cards, Cards]:
    header = {key: v for key, v in {**GMOS, **cards}.items() if v is not None}
    return header, GMOS_AMP


def test_keywords_are_taken_from_where_they_stand(tmp_path: Path) -> None:
    # The first file, a mask of bad pixels, lacks what the others have.
    headers = [gmos(INSTRUME=None, EXPTIME=None, OBSTYPE="BPM", GCALLAMP=None)]
    headers += [gmos(OBSTYPE=kind) for kind in ("BIAS", "FLAT", "ARC", "OBJECT")]
    cam, _ = drafted(tmp_path, headers)
    assert cam.describe(*headers[1])["binning"] == "2 2"
    assert cam.descriptors["binning"].extension_first
    assert not cam.descriptors["exptime"].extension_first
    (amplifier,) = cam.amplifiers(*headers[4])
    assert (amplifier.gain, amplifier.read_noise) == (2.337, 3.98)
    assert amplifier.overscan == "[1025:1056,1:2304]"
    assert amplifier.name == "EEV 9273-20-04, left"


def test_instrume_of_the_majority_is_found(tmp_path: Path) -> None:
    headers = [gmos() for _ in range(6)] + [gmos(INSTRUME="GMOS-S") for _ in range(3)]
    headers += [gmos(INSTRUME=None), gmos(INSTRUME=None), gmos(INSTRUME="NIRI")]
    cam, text = drafted(tmp_path, headers)
    assert cam.applies == {"INSTRUME": ("GMOS-N", "GMOS-S")}
    assert "INSTRUME is missing in 2 of 12 files" in text
    assert "CHECK: left out are files with INSTRUME = 'NIRI' (1)." in text


def test_instrume_of_a_minority_is_not_taken(tmp_path: Path) -> None:
    headers = [gmos(INSTRUME=None, DETECTOR="EEV") for _ in range(3)] + [gmos()]
    assert drafted(tmp_path, headers)[0].applies == {"DETECTOR": ("EEV",)}


def test_instrume_of_the_extension_alone_identifies_no_file(tmp_path: Path) -> None:
    header, amplifier = gmos(INSTRUME=None)
    cam, text = drafted(tmp_path, [(header, {**amplifier, "INSTRUME": "CAM"})] * 3)
    assert "INSTRUME in the extension, where it is not looked for, is 'CAM' (3)" in text
    assert not cam.recognises(header)


@pytest.mark.parametrize(
    ("key", "on", "off"),
    [
        ("GCALLAMP", "CuAr", "Off"),
        ("LAMPS", "Kr Xe Ar Ne", "Off"),
        ("LAMPS", "0,0,1,0", "0,0,0,0"),
        ("LAMPS", "0000100", "0000000"),
        ("LAMPNAME", "ThAr1", "none"),
        ("COMPLAMP", "HeNeAr", "off"),
        ("LMP_ID", "Ne+Hg", "Parking"),
        ("LAMP", "He", None),
        ("MYLAMPS", "He", "OFF"),
    ],
)
def test_lamps_are_found_by_one_keyword(
    tmp_path: Path, key: str, on: str, off: str | None
) -> None:
    def header(**cards: str | None) -> tuple[Cards, Cards]:
        return gmos(**{"GCALLAMP": None, **cards})

    headers = [header(OBSTYPE="ARC", **{key: on}), header(**{key: off})]
    headers += [header(OBSTYPE="FLAT", **{key: on}), header(**{key: off})]
    headers += [header(OBSTYPE="FLAT", **{key: on})]
    cam, _ = drafted(tmp_path, headers)
    assert cam.describe(*headers[0])["lamps"] == on
    assert not cam.describe(*headers[1])["lamps"]
    assert cam.classify(*headers[1])[0] == "object"
    assert cam.classify(*header(**{key: "QHlamp"}))[0] is None


@pytest.mark.parametrize("name", ["CuAr", "Off"])
def test_lamp_that_never_changes_tells_nothing(tmp_path: Path, name: str) -> None:
    cam, _ = drafted(tmp_path, [gmos(GCALLAMP=name), gmos(GCALLAMP=name)])
    assert "lamps" not in cam.descriptors


SWITCHES = [
    # Shane/Kast, ALFOSC (two sets), an ESO instrument, and switches without names.
    ({"LAMPSTA1": "off", "LAMPNAM1": "Blue", "LAMPSTAF": "on", "LAMPNAMF": "He"}, "He"),
    ({"CLAMP1": 1, "CLAMPNM1": "He", "CLAMPID1": 1, "CLAMP2": 0, "CLAMPNM2": "Ne"},
     "He"),
    ({"BFLMP1": 0, "BFLMP1NM": "Blue", "BFLMP2": 1, "BFLMP2NM": "Red"}, "Red"),
    ({"ESO INS LAMP1 ST": True, "ESO INS LAMP1 NAME": "Ar lamp",
      "ESO INS LAMP2 ST": False, "ESO INS LAMP2 NAME": "Ne lamp"}, "Ar lamp"),
    ({"NELAMP": "T", "ARLAMP": "F"}, "lamp NELAMP"),
    ({"LAMP_NE": "TRUE", "LAMP_AR": "FALSE", "LAMP_QPE": "50"}, "lamp LAMP_NE"),
]  # fmt: skip


@pytest.mark.parametrize(("cards", "lit"), SWITCHES)
def test_lamps_are_found_by_their_switches(
    tmp_path: Path, cards: Cards, lit: str
) -> None:
    off = {"on": "off", "True": False, "1": 0, "T": "F", "TRUE": "FALSE"}
    dark = {
        key: v if "NAM" in key or "NM" in key else off.get(str(v), v)
        for key, v in cards.items()
    }
    arc = ({"IMAGETYP": "arc", "INSTRUME": "CAM", **cards}, None)
    sky = ({"IMAGETYP": "object", "INSTRUME": "CAM", **dark}, None)
    cam, _ = drafted(tmp_path, [arc, sky, sky])
    assert cam.describe(arc[0])["lamps"] == lit
    assert cam.describe(sky[0])["lamps"] is None
    assert cam.classify(sky[0])[0] == "object"
    assert cam.classify({**arc[0], "IMAGETYP": "object"})[0] is None


def test_lamps_that_are_always_off_are_described_alike(tmp_path: Path) -> None:
    cards = {
        "IMAGETYP": "object",
        "INSTRUME": "CAM",
        "LAMPSTA1": "off",
        "LAMPNAM1": "X",
    }
    cam, text = drafted(tmp_path, [(cards, None)] * 2)
    assert cam.describe({**cards, "LAMPSTA1": "on"})["lamps"] == "X"
    assert "present = false" not in text


@pytest.mark.parametrize(
    ("cards", "gain", "noise"),
    [
        ({"GAIN": 2.9, "READNOIS": 5.8}, 2.9, 5.8),
        ({"EGAIN": 0.5, "GAIN": 120, "RDNOISE": 1.4}, 0.5, 1.4),
        ({"CCDSENS": 2.3, "CCDRON": 5.0}, 2.3, 5.0),
        ({"EGAIN": 1.67, "ENOISE": 4.5}, 1.67, 4.5),
        ({"GAIN": 2.8, "RON": 7.0}, 2.8, 7.0),
    ],
)
def test_gain_and_read_noise_are_found_by_any_spelling(
    tmp_path: Path, cards: Cards, gain: float, noise: float
) -> None:
    header = {"IMAGETYP": "bias", "INSTRUME": "CAM", "NAXIS1": 9, "NAXIS2": 9, **cards}
    cam, text = drafted(tmp_path, [(header, None)] * 2)
    (found,) = cam.amplifiers(header)
    assert (found.gain, found.read_noise) == (gain, noise)
    assert "a setting of the camera" not in text


@pytest.mark.parametrize("gain", [1, 2.0, 120, 390.5])
def test_gain_that_may_be_a_setting_is_to_be_checked(
    tmp_path: Path, gain: float
) -> None:
    header = {"IMAGETYP": "bias", "INSTRUME": "CAM", "GAIN": gain}
    _, text = drafted(tmp_path, [(header, None)] * 2)
    assert f"CHECK: GAIN is '{gain}' (2): electron/adu, or a setting" in text


def test_several_amplifiers_in_one_header_are_found(tmp_path: Path) -> None:
    image = {
        "NAXIS1": 120, "NAXIS2": 40, "DATASEC": "[11:110,1:40]",
        "DATASECA": "[61:110,1:40]", "BIASSECA": "[111:120,1:40]", "GAINA": 4.1,
        "RDNOISEA": 7.1, "SATURATA": 43266.0, "DATASECB": "[11:60,1:40]",
        "BIASSECB": "[1:10,1:40]", "GAINB": 4.2, "RDNOISEB": 7.2, "SATURATB": 44935.0,
    }  # fmt: skip
    primary = {"INSTRUME": "DECam", "OBSTYPE": "zero"}
    cam, _ = drafted(tmp_path, [(primary, image)] * 2)
    a, b = cam.amplifiers(primary, image)
    assert (a.name, a.data, a.overscan) == ("A", "[61:110,1:40]", "[111:120,1:40]")
    assert (a.gain, a.read_noise, a.saturation) == (4.1, 7.1, 43266)
    assert (b.name, b.gain, b.read_noise, b.saturation) == ("B", 4.2, 7.2, 44935)


def test_draft_of_files_looks_into_their_extensions(tmp_path: Path) -> None:
    for n, kind in enumerate(("BIAS", "FLAT", "OBJECT")):
        header, amplifier = gmos(OBSTYPE=kind)
        write_headers(tmp_path / f"f{n}.fits", [header, amplifier, amplifier])
    document = tomllib.loads(draft_from_folder("cam", tmp_path))
    assert document["applies"] == {"INSTRUME": ["GMOS-N"]}
    assert document["amplifier_keys"]["read_noise"] == ["RDNOISE"]


@pytest.mark.real_data
def test_draft_of_kast_finds_what_the_table_has(
    tmp_path: Path, real_data: Path
) -> None:
    """The folder has two products of others among the raw frames."""
    text = draft_from_folder("mine", real_data / "kast_blue_longslit")
    path = tmp_path / "mine.toml"
    path.write_text(text)
    mine, kast = instruments.load(path), instruments.load("kast")
    assert mine.applies == {"VERSION": ("kastb",)}
    found, known = mine.descriptors["lamps"], kast.descriptors["lamps"]
    assert sorted(found.keys) == sorted(known.keys)
    assert set(found.options["names"]) == set(known.options["names"])
    assert "CHECK: GAIN is '1' (9)" in text
    frames = find_frames(real_data / "kast_blue_longslit", mine)
    classes = Counter(frame.frame_class for frame in frames if frame.name[0] == "b")
    assert classes == {"bias": 3, "flat": 3, "arc": 1, "object": 2}


# Spectrographs: EFOSC2, ALFOSC, Shane/Kast red, and one of IRAF's keywords.
EFOSC = {
    "INSTRUME": "EFOSC", "OBJECT": "CQ0831", "EXPTIME": 900.0, "NAXIS1": 1030,
    "DATE-OBS": "2011-11-22T08:20:57.0", "ESO DPR TYPE": "OBJECT",
    "ESO INS GRIS1 NAME": "Gr#6", "ESO INS SLIT1 NAME": "slit#1.2",
    "ESO DET WIN1 BINX": 2, "ESO DET WIN1 BINY": 1, "ESO TEL GEOLON": -70.7345,
    "ESO TEL GEOLAT": -29.2584, "ESO TEL GEOELEV": 2377.0, "ESO ADA POSANG": -71.7,
}  # fmt: skip
ALFOSC = {
    "INSTRUME": "ALFOSC_FASU", "OBJECT": "SN2020abc", "IMAGETYP": "OBJECT",
    "DATE-OBS": "2020-08-01T22:03:57.796", "EXPTIME": 120.0, "ALGRNM": "Grism_#4",
    "ALAPRTNM": "Slit_1.0", "DETXBIN": 1, "DETYBIN": 2, "CLAMP1": 0, "CLAMPNM1": "He",
    "CLAMP2": 0, "CLAMPNM2": "Ne", "CLAMP3": 0, "CLAMPNM3": "Halogen",
}  # fmt: skip
KAST = {
    "VERSION": "kastr", "OBJECT": "J1217p3905", "EXPTIME": 1200,
    "DATE-OBS": "2017-05-20T04:37:33.12", "GRISM_N": "600/4310",
    "GRATNG_N": "600/7500", "SLIT_N": "2.0 arcsec", "LAMPSTAJ": "off",
    "LAMPNAMJ": "Neon", "LAMPSTA2": "off", "LAMPNAM2": "Red",
}  # fmt: skip
IRAF = {
    "INSTRUME": "spec", "OBJECT": "HD 1", "IMAGETYP": "object", "DISPAXIS": 2,
    "CCDSUM": "1 2", "GRATING": "KPC-10A", "DATE-OBS": "2001-02-03T04:05:06",
}  # fmt: skip


def sample(cards: Cards, *changes: Cards) -> list[tuple[Cards, Cards | None]]:
    return [({**cards, **more}, None) for more in ({}, *changes)]


def test_draft_of_a_spectrograph_has_what_headers_tell(tmp_path: Path) -> None:
    kinds = ("BIAS", "FLAT", "WAVE", "STD")
    headers = sample(EFOSC, *({"ESO DPR TYPE": kind} for kind in kinds))
    headers += sample({**EFOSC, "ESO INS GRIS1 NAME": "Free"})
    mine, text = drafted(tmp_path, headers)
    assert mine.spectrograph_of(EFOSC) == {
        "binning": [2, 1],
        "slit_width": 1.2,
        "site": {"longitude": -70.7345, "latitude": -29.2584, "height": 2377.0},
    }
    assert '# dispersion_axis = "y"    # CHECK: x or y?' in text
    assert '# slit_angle = "ESO ADA POSANG"' in text
    assert text.count("# [[spectrograph.setup]]") == 1
    assert '# where = { grating = "Gr#6" }' in text
    assert mine.parameters_of("make_flat", EFOSC) == {"normalise": "spectral"}
    assert mine.dependencies["target"] == ("bias", "flat", "arc", "standard")
    (arc,) = (rule for rule in mine.rules if rule.type == "arc")
    assert {"grating", "binning", "shape"} <= set(arc.match)


def test_what_is_commented_out_of_a_draft_is_right(tmp_path: Path) -> None:
    _, text = drafted(tmp_path, sample(EFOSC, {"ESO DPR TYPE": "WAVE"}))
    start, stop = text.index("[spectrograph]"), text.index("[steps.make_flat]")
    commented = re.compile(r"^# (?=\[\[|[a-z_]+ = )", re.MULTILINE)
    path = tmp_path / "filled.toml"
    path.write_text(text[:start] + commented.sub("", text[start:stop]) + text[stop:])
    found = instruments.load(path).spectrograph_of(EFOSC)
    expected = {"dispersion_axis": "y", "dispersion": 1.5, "slit_angle": -71.7}
    assert {key: found[key] for key in expected} == expected


def test_axis_and_binning_of_iraf_are_found(tmp_path: Path) -> None:
    mine, _ = drafted(tmp_path, sample(IRAF, {"IMAGETYP": "comp"}))
    assert mine.spectrograph_of(IRAF) == {"dispersion_axis": "y", "binning": [1, 2]}
    mine, text = drafted(tmp_path, sample(IRAF, {"DISPAXIS": 1}))
    assert "dispersion_axis" not in mine.spectrograph_of(IRAF)
    assert "DISPAXIS differs from file to file" in text


@pytest.mark.parametrize(("card", "angstrom"), [(650.0, 6500.0), (6500, 6500.0)])
def test_central_wavelength_is_found(
    tmp_path: Path, card: float, angstrom: float
) -> None:
    mine, text = drafted(tmp_path, sample({**IRAF, "CENWAVE": card}))
    assert mine.spectrograph_of({"CENWAVE": card})["central_wavelength"] == angstrom
    assert f"# CHECK: {card} " in text


def test_arcs_and_flats_are_told_by_lamps_alone(tmp_path: Path) -> None:
    lit = [{"CLAMP1": 1, "CLAMP2": 1}, {"CLAMP3": 1}, {"IMAGETYP": "BIAS"}]
    mine, text = drafted(tmp_path, sample(ALFOSC, *lit))
    found = [mine.classify({**ALFOSC, **cards})[0] for cards in ({}, *lit)]
    assert found == ["object", "arc", "flat", "bias"]
    # A lamp that was on in no frame of the sample.
    assert mine.classify({**ALFOSC, "CLAMP2": 1})[0] is None
    assert mine.dependencies["target"] == ("bias", "flat", "arc")
    assert {rule.type for rule in mine.rules} == {"bias", "flat", "arc"}
    assert "# CHECK: told by lamps alone; which of them are for a flat?" in text
    assert "the lists of lines of He+Ne" in text


def test_arcs_are_told_by_lamps_where_nothing_says_what_a_frame_is(
    tmp_path: Path,
) -> None:
    cards = {k: v for k, v in ALFOSC.items() if k != "IMAGETYP"}
    mine, _ = drafted(tmp_path, sample(cards, {"CLAMP1": 1}))
    assert mine.classify({**cards, "CLAMP1": 1})[0] == "arc"
    assert mine.classify(cards)[0] is None


def test_keywords_that_may_be_meant_instead_are_named(tmp_path: Path) -> None:
    changes = ({"OBJECT": "Arcs", "LAMPSTAJ": "on"}, {"OBJECT": "Bias"})
    _, text = drafted(tmp_path, sample(KAST, *changes))
    assert "# CHECK: grating is that of GRISM_N; there are also GRATNG_N." in text
    assert "slit_width = \"SLIT_N\"    # CHECK: in arcsec? It is '2.0 arcsec'." in text
    assert "the lists of lines of Neon" in text


@pytest.mark.parametrize("grating", ["MIRROR", "Open (Lyot)", "Free", "none", None])
def test_camera_is_no_spectrograph(tmp_path: Path, grating: str | None) -> None:
    mine, text = drafted(tmp_path, [gmos(GRATING=grating), gmos(OBSTYPE="FLAT")])
    assert "[spectrograph]" not in text
    assert mine.steps == {}
