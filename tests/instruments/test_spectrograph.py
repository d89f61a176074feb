"""[spectrograph] of an instrument's TOML."""

import pytest

from ndmapper.errors import InstrumentError
from ndmapper.instruments import load
from ndmapper.instruments.spectrograph import check_spectrograph

TOML = """
schema = 1
[applies]
INSTRUME = "SPEC"
[descriptors]
grism = "GRISM"
[spectrograph]
dispersion_axis = "y"
wavelength = "falls"
binning = {binning}
slit_width = "SLITW"
[[spectrograph.setup]]
where = {{ grism = "red*" }}
dispersion = 2.5
wavelength_range = [5000, 9000]
"""


def _of(tmp_path, header, binning='["BINX", "BINY"]'):
    path = tmp_path / "spec.toml"
    path.write_text(TOML.format(binning=binning))
    return load(str(path)).spectrograph_of({"INSTRUME": "SPEC", **header})


def test_setups_apply_by_descriptors_and_cards_are_read(tmp_path):
    header = {"GRISM": "red1", "BINX": 2, "BINY": 1, "SLITW": "1.5"}
    assert _of(tmp_path, header) == {
        "dispersion_axis": "y",
        "wavelength": "falls",
        "binning": [2, 1],
        "slit_width": 1.5,
        "dispersion": 2.5,
        "wavelength_range": [5000, 9000],
    }
    assert "dispersion" not in _of(tmp_path, {**header, "GRISM": "blue"})


@pytest.mark.parametrize(
    ("card", "binning"), [("2 1", [2, 1]), ("4x2", [4, 2]), (3, [3, 3])]
)
def test_binning_of_both_axes_in_one_card(tmp_path, card, binning):
    assert _of(tmp_path, {"CCDSUM": card}, '["CCDSUM"]')["binning"] == binning


@pytest.mark.parametrize(
    ("card", "width"),
    [
        ("2.0 arcsec        ", 2.0),
        ("slit#1.2", 1.2),
        ("Slit_10.0", 10.0),
        ("Long-0.75", 0.75),
        ("1.5", 1.5),
        (1, 1.0),
        ("open", None),
        (0.0, None),
        ("2 x 300", None),
    ],
)
def test_width_of_the_slit_is_the_only_number_of_its_card(tmp_path, card, width):
    assert _of(tmp_path, {"SLITW": card}).get("slit_width") == width


@pytest.mark.parametrize(
    ("named", "card", "centre"),
    [
        ('"CENWAVE"', 6500.0, 6500.0),
        ('"CENWAVE"', "6500 A", 6500.0),
        ('{ key = "CENWAVE", unit = "nm" }', 650, 6500.0),
        ('{ key = "CENWAVE", unit = "um" }', "0.65", 6500.0),
        ("5577", 6500.0, 5577),
        ('"CENWAVE"', 0.0, None),
        ('"CENWAVE"', "zero order", None),
    ],
)
def test_central_wavelength_of_a_card_has_a_unit(tmp_path, named, card, centre):
    path = tmp_path / "spec.toml"
    path.write_text(f"schema = 1\n[spectrograph]\ncentral_wavelength = {named}\n")
    found = load(str(path)).spectrograph_of({"CENWAVE": card})
    assert found.get("central_wavelength") == centre


@pytest.mark.parametrize(("card", "angle"), [("-71.7", -71.7), (-71.7, -71.7)])
def test_angle_may_be_negative(tmp_path, card, angle):
    path = tmp_path / "spec.toml"
    path.write_text('schema = 1\n[spectrograph]\nslit_angle = "PA"\n')
    assert load(str(path)).spectrograph_of({"PA": card}) == {"slit_angle": angle}


def test_cards_that_are_missing_or_no_numbers_give_nothing(tmp_path):
    found = _of(tmp_path, {"SLITW": "open", "BINX": "?", "BINY": 0})
    assert found == {"dispersion_axis": "y", "wavelength": "falls"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('dispersion_axis = "z"', "dispersion_axis has to be 'x' or 'y', found 'z'"),
        ("dispersion = -1", "dispersion has to be Angstrom"),
        ('dispersoin = 1.0', "no key 'dispersoin'"),
        ("wavelength_range = [2, 1]", "wavelength_range has to be two numbers"),
        ('central_wavelength = { key = "W", unit = "m" }', "central_wavelength has to"),
        ("central_wavelength = -5", "central_wavelength has to be a positive number"),
        ("gaps = [[10, 5]]", "gaps has to be a list of two numbers"),
        ("site = { longitude = 1 }", "site has to be a table of longitude"),
        ("setup = 1", r"\[\[spectrograph.setup\]\]"),
        ("[[spectrograph.setup]]\nwhere = { grims = 1 }", "no descriptor 'grims'"),
    ],
)  # fmt: skip
def test_wrong_keys_are_named_with_the_file(tmp_path, text, match):
    path = tmp_path / "wrong.toml"
    path.write_text(
        f'schema = 1\n[descriptors]\ngrism = "GRISM"\n[spectrograph]\n{text}\n'
    )
    with pytest.raises(InstrumentError, match=f"wrong.toml.*spectrograph.*{match}"):
        load(str(path))


def test_the_packaged_table_of_kast_knows_its_grism():
    kast = load("kast").spectrograph_of({"VERSION": "kastb", "GRISM_N": "600/4310"})
    assert kast["dispersion_axis"] == "x"
    assert kast["dispersion"] == 1.02
    assert check_spectrograph(kast) == kast


@pytest.mark.parametrize("limits", [[-10, -5], [0, 5], [1, float("inf")]])
def test_limits_that_are_no_pixels_are_refused(limits):
    for given in ({"slit": limits}, {"gaps": [limits]}):
        with pytest.raises(ValueError, match="two numbers"):
            check_spectrograph(given)
