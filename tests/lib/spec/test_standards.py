"""Tables of extinction and of standard stars."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from ndmapper.errors import MissingFileError, ParameterError
from ndmapper.lib.spec.extinction import (
    extinction_for,
    find_extinction,
    read_extinction,
)
from ndmapper.lib.spec.standards import find_standard, list_standards, read_standard

BLUE = (3420.0, 5530.0)


@pytest.mark.parametrize(
    "name",
    [
        "Feige 66",
        "feige66",
        "FEIGE-66",
        "Feige_066",
        "feige 66 std",
        "Feige 66 wide slit",
    ],
)
def test_names_in_any_spelling(name):
    assert find_standard(name, wavelengths=BLUE).stem == "feige66_wd"


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("BD+28 4211", "bd+284211_massey"),
        ("BD+28d4211", "bd+284211_massey"),
        ("hilt600", "hiltner600_hamuy"),
        ("H600", "hiltner600_hamuy"),
        ("L745-46A", "ltt2915_stone"),
        ("G191B2B", "g191b2b_massey"),
        ("PG0205+134", "pg0205134_massey"),
        ("CD-34 241", "cd-34241_stone"),
        ("feige66_massey", "feige66_massey"),
    ],
)
def test_other_names_and_names_of_tables(name, table):
    assert find_standard(name, wavelengths=(3500.0, 5500.0)).stem == table


def test_every_star_is_found_by_its_name():
    known = list_standards()
    for row in known:
        star = read_standard(find_standard(row["star"]))
        assert star.name == row["star"]


def test_table_that_covers_more_wins_over_smaller_steps():
    assert find_standard("Feige 66", wavelengths=(5000.0, 10000.0)).stem.endswith(
        "massey"
    )


def test_star_by_its_position():
    near = (189.35, 25.07)  # 20 arcsec away
    assert find_standard(near=near, wavelengths=BLUE).stem == "feige66_wd"
    assert find_standard("J1234", near=near).stem.startswith("feige66")
    with pytest.raises(ParameterError, match="within 5 arcsec"):
        find_standard(near=near, radius=5.0)


def test_a_longer_number_is_another_star():
    with pytest.raises(ParameterError):
        find_standard("LTT 3770")
    with pytest.raises(ParameterError):
        find_standard("")


def test_unknown_star_has_a_suggestion():
    with pytest.raises(ParameterError, match=r"Feige 6[67]"):
        find_standard("Feige 65")


def test_magnitudes_are_ab():
    # Massey et al. 1988: 9.70 mag at 3250 Angstrom; 3631 Jy is 0 mag.
    star = read_standard(find_standard("feige66_massey"))
    at = int(np.argmin(np.abs(star.wavelengths - 3250)))
    jansky = 10 ** (-0.4 * 9.70) * 3631
    expected = jansky * 1e-23 * 2.998e18 / 3250**2
    assert star.flux[at] == pytest.approx(expected, rel=2e-3)
    assert star.widths[at] == 50


def test_tables_are_whole_and_plausible():
    for row in list_standards():
        star = read_standard(row["file"])
        magnitudes = -2.5 * np.log10(star.flux * star.wavelengths**2)
        # The steepest, Cyg OB2 No. 9, is redder by 6.6 mag.
        assert np.ptp(magnitudes) < 7
        assert np.all(np.diff(star.wavelengths) > 0)
        assert len(star.flux) > 25


def test_tables_of_the_same_star_agree():
    """Of other authors and other resolution: the median of the blue to 6 percent."""
    stars = [read_standard(find_standard(f"feige66_{tag}")) for tag in ("massey", "wd")]
    at = np.arange(3300.0, 5500.0, 100.0)
    one, two = (np.interp(at, s.wavelengths, s.flux) for s in stars)
    assert np.median(one / two) == pytest.approx(1, abs=0.06)
    # At 4100 there is a line.
    assert one / two == pytest.approx(1, abs=0.2)


def test_own_tables(tmp_path):
    text = tmp_path / "mine.dat"
    text.write_text("# of my own\n4000 12.0 50\n3500 11.5 50\n4500 0.0 50\n")
    star = read_standard(find_standard("mine", folder=tmp_path))
    assert star.wavelengths.tolist() == [3500, 4000]
    assert star.widths.tolist() == [50, 50]
    flux = 1e-13 * np.linspace(1, 2, 5)
    wavelengths = np.array([3000, 3500, 4000, 5000, 6000.0])
    Table({"WAVELENGTH": wavelengths, "FLUX": flux}).write(tmp_path / "gd71_mod.fits")
    star = read_standard(tmp_path / "gd71_mod.fits")
    assert star.flux == pytest.approx(flux)
    # CALSPEC is in vacuum: 1.13 Angstrom more at 4000.
    assert star.wavelengths[2] == pytest.approx(3998.87, abs=0.01)
    Table({"a": [1.0, 2.0], "wavelength": [1.0, 2.0]}).write(tmp_path / "bad.ecsv")
    with pytest.raises(ParameterError, match="magnitude"):
        read_standard(tmp_path / "bad.ecsv")
    (tmp_path / "empty.dat").write_text("")
    with pytest.raises(ParameterError, match="cannot be read"):
        read_standard(tmp_path / "empty.dat")
    with pytest.raises(MissingFileError):
        find_standard("mine", folder=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("site", "name"),
    [
        ({"longitude": -121.64, "latitude": 37.34}, "mtham"),
        ({"longitude": -17.88, "latitude": 28.76}, "lapalma"),
        # La Silla and Las Campanas are too far from both Paranal and Cerro Tololo.
        ({"longitude": -70.73, "latitude": -29.26}, None),
    ],
)
def test_extinction_by_site(site, name):
    if name is None:
        with pytest.raises(ParameterError, match="within 50 km"):
            find_extinction(site=site)
    else:
        assert find_extinction(site=site).stem == name


def test_extinction_by_name():
    assert find_extinction("Mtham").stem == "mtham"
    with pytest.raises(ParameterError, match="did you mean 'mtham'"):
        find_extinction("mtam")
    with pytest.raises(ParameterError, match="'none'"):
        find_extinction()


def test_extinction_none_in_the_table_is_that_of_a_call():
    table = {"extinction": "none"}
    assert extinction_for(None, table) is None
    assert extinction_for("none", {"extinction": "mtham"}) is None
    assert extinction_for("mtham", table).name == "mtham"


def test_extinction_is_interpolated(caplog, tmp_path):
    path = tmp_path / "k.txt"
    path.write_text("4000 0.4\n3000 0.8\n")
    curve = read_extinction(path)
    assert curve.at([3000, 3500, 4000]) == pytest.approx([0.8, 0.6, 0.4])
    assert not caplog.records
    assert curve.at(4100) == pytest.approx(0.4)
    assert "from 3000 to 4000" in caplog.text


def test_extinction_of_a_real_site():
    # Lick, by its list: 0.745 at 3400.
    curve = read_extinction(find_extinction("mtham"))
    assert curve.at(3400.0) == pytest.approx(0.745)
    assert 0.05 < curve.at(7000.0) < 0.15


def test_columns_in_other_units_are_understood(tmp_path):
    table = Table(
        {
            "wavelength": [400.0, 410.0, 420.0] * u.nm,
            "magnitude": [12.0, 12.0, 12.0],
            "width": [10.0, 10.0, 10.0] * u.nm,
        }
    )
    table.write(tmp_path / "x.ecsv")
    star = read_standard(tmp_path / "x.ecsv")
    assert list(star.wavelengths) == pytest.approx([4000.0, 4100.0, 4200.0])
    assert list(star.widths) == pytest.approx([100.0, 100.0, 100.0])
