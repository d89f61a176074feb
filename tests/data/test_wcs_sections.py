"""Sections give each pixel the coordinates that it has in the whole; astropy says."""

import itertools
import logging

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ndmapper.data import DataFile, NDLater

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*:astropy.wcs.FITSFixedWarning", "ignore:.*TPV.*"
)

TAN = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0,
    "CRPIX1": 4.5, "CRPIX2": -3.0,
}  # fmt: skip
CD = {"CD1_1": -1e-3, "CD1_2": 2e-4, "CD2_1": 1e-4, "CD2_2": 1.1e-3}
SIP = {
    "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 3, "B_ORDER": 2,
    "A_2_0": 1e-4, "A_1_2": 3e-5, "A_0_2": -2e-4, "B_1_1": 5e-5, "B_0_2": 2e-4,
    "B_2_0": 1e-4, "AP_ORDER": 2, "BP_ORDER": 2, "AP_2_0": -1e-4, "BP_1_1": -5e-5,
}  # fmt: skip
WAVE = {
    "CTYPE3": "WAVE", "CRVAL3": 5e-7, "CRPIX3": 2.0, "CD3_3": 1e-10, "CUNIT3": "m",
}  # fmt: skip
IMAGES = {
    "CD": TAN | CD,
    "PC and CDELT": TAN
    | {"PC1_2": 0.2, "PC2_1": -0.1, "CDELT1": -1e-3, "CDELT2": 2e-3},
    "one PC": TAN | {"PC1_2": 0.2, "CDELT1": -1e-3, "CDELT2": 2e-3},
    "CDELT and CROTA": TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3, "CROTA2": 33.0},
    "no scale": {"CTYPE1": "LINEAR", "CRVAL1": 7.0},
    "no reference pixel": {"CTYPE1": "LINEAR", "CRVAL1": 7.0, "CD1_1": 0.5},
    "second axis alone": {"CTYPE2": "WAVE", "CRVAL2": 1e-7, "CDELT2": 1e-9},
    "CD and CDELT": {
        "CTYPE1": "LINEAR",
        "CRVAL1": 3.5,
        "CD1_1": 1e-4,
        "CDELT1": 1e-4,
        "CRPIX1": 1,
    },
    "CD of other": {"CTYPE1": "LINEAR", "CRVAL1": 3.5, "CD1_1": 1e-4, "CTYPE2": "X"},
    "SIP": TAN | CD | SIP,
    "SIP without its suffix": TAN | CD | SIP | {"CTYPE1": "RA---TAN"},
    "TPV": TAN
    | CD
    | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.01, "PV2_2": 0.02}
    | {"PV1_0": 0.0, "PV2_0": 0.0, "PV2_1": 1.0},
    "ZPN": TAN
    | CD
    | {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0}
    | {"PV2_3": 42.0},
    "galactic": TAN | CD | {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR"},
    "latitude first": TAN
    | CD
    | {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 2.0, "CRVAL2": 150.0},
    "multispec": {
        "WCSDIM": 2,
        "CTYPE1": "MULTISPE",
        "CTYPE2": "MULTISPE",
        "CD1_1": 1.0,
        "CD2_2": 1.0,
        "LTM1_1": 1.0,
        "LTM2_2": 1.0,
        "WAT0_001": "system=multispec",
    },
}
CUBES = {
    "sky and wavelength": TAN | CD | WAVE,
    "steps by CDELT": TAN
    | {k: v for k, v in WAVE.items() if k != "CD3_3"}
    | {"CDELT1": -1e-3, "CDELT2": 1e-3, "CDELT3": 1e-10},
    "wavelength first": {
        "CTYPE1": "WAVE",
        "CRVAL1": 5e-7,
        "CDELT1": 1e-10,
        "CTYPE2": "RA---TAN",
        "CTYPE3": "DEC--TAN",
        "CRVAL2": 10.0,
        "CRVAL3": 20.0,
        "CDELT2": -1e-3,
        "CDELT3": 1e-3,
        "CRPIX3": 3.0,
    },
    "third axis alone": {
        "CTYPE3": "VELOCITY",
        "CRVAL3": 2500.0,
        "CDELT3": -62.8,
        "CRPIX3": 403.1,
    },
    "all axes together": TAN | CD | WAVE | {"CD3_1": 1e-12, "CD1_3": 1e-5},
    "time": TAN | CD | {"CTYPE3": "TIME", "CRVAL3": 10.0, "CD3_3": 2.0, "CUNIT3": "s"},
}
RADIO = TAN | {
    "CDELT1": -1e-3, "CDELT2": 1e-3, "CTYPE3": "FREQ", "CRVAL3": 1e9, "CDELT3": 1e6,
    "CTYPE4": "STOKES", "CRVAL4": 1.0, "CDELT4": 1.0, "CRPIX4": 1.0,
}  # fmt: skip

SHAPES = {2: (9, 8), 3: (7, 9, 8), 4: (4, 5, 4, 6)}
CASES = {
    **{name: (2, cards) for name, cards in IMAGES.items()},
    **{name: (3, cards) for name, cards in CUBES.items()},
    "radio": (4, RADIO),
}


def world(wcs, *pixels):
    """Coordinates by astropy, of axes as FITS orders them; with distortion."""
    low = wcs.low_level_wcs
    return np.array(
        np.broadcast_arrays(*np.atleast_1d(low.pixel_to_world_values(*pixels)))
    )


def pixels_of(shape, item):
    """Which pixel of the whole each one of a section is, in the order of FITS."""
    return [np.indices(shape)[axis][item] for axis in reversed(range(len(shape)))]


def assert_same_sky(part, header, shape, item, whole):
    """The object, and what astropy makes of the header, have the world of the whole."""
    expected = world(whole, *pixels_of(shape, item)).reshape(whole.naxis, -1)
    rows = list(expected)
    own = np.indices(part.shape)[::-1]
    found = world(part.wcs, *own).reshape(-1, part.size)
    assert part.wcs.low_level_wcs.pixel_n_dim == part.ndim
    # An axis that is gone may have its coordinate left out: the others are all there.
    assert _is_among(found, rows)
    header = header.copy()
    header["NAXIS"] = part.ndim  # as it is when it is saved
    for n in range(part.ndim, len(shape)):
        del header[f"NAXIS{n + 1}"]
    stored = WCS(header)
    assert stored.naxis <= whole.naxis
    extra = [np.zeros(part.shape)] * (stored.naxis - part.ndim)
    again = world(stored, *own, *extra).reshape(stored.naxis, -1)
    assert len(again) >= len(found)
    assert _is_among(again, rows)


def _is_among(found, rows):
    def same(a, b):
        return np.allclose(a, b, rtol=1e-11, atol=1e-13 * max(1, np.abs(b).max()))

    return any(
        all(same(a, b) for a, b in zip(found, chosen, strict=True))
        for chosen in itertools.permutations(rows, len(found))
    )


def axis_items(length):
    steps = st.sampled_from([1, 1, 1, 2, 3, -1, -2])
    ends = st.integers(0, length - 1)
    return st.one_of(
        st.integers(-length, length - 1),
        st.builds(
            lambda a, b, s: (
                slice(min(a, b), max(a, b) + 1, s)
                if s > 0
                else slice(max(a, b), min(a, b) - 1 if min(a, b) else None, s)
            ),
            ends,
            ends,
            steps,
        ),
    )


@pytest.mark.parametrize("name", CASES)
@settings(
    max_examples=12, deadline=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(data=st.data())
def test_pixels_of_a_section_keep_their_coordinates(name, data):
    naxis, cards = CASES[name]
    shape = SHAPES[naxis]
    item = tuple(data.draw(axis_items(n)) for n in shape)
    if all(isinstance(x, int) for x in item):
        return
    ndd = NDLater(np.zeros(shape), meta=fits.ImageHDU(np.zeros(shape)).header)
    ndd.meta.update(cards)
    whole = WCS(ndd.meta)
    is_column = isinstance(item[-1], int)
    part = ndd[item]
    if name in ("multispec", "TPV") and is_column:
        assert part.wcs is None
        return
    assert_same_sky(part, part.meta, shape, item, whole)
    again = ndd[item[:1]][(slice(None) if isinstance(item[0], slice) else ...,)]
    assert again.wcs.low_level_wcs.pixel_n_dim == again.ndim


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "item", [np.s_[2], np.s_[1:3, 2::2], np.s_[1:2, ::-1]], ids=str
)
def test_sections_of_sections_and_reopened(name, item, tmp_path):
    naxis, cards = CASES[name]
    shape = SHAPES[naxis]
    header = fits.Header(cards)
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(np.zeros(shape), header, name="SCI")]
    ).writeto(tmp_path / "a.fits")
    ndd = DataFile(tmp_path / "a.fits")[0]
    whole = WCS(ndd.meta)
    part = ndd[1:][item]
    first = item if isinstance(item, tuple) else (item,)
    pixels = [p[1:][first] for p in np.indices(shape)]
    expected = world(whole, *pixels[::-1]).reshape(whole.naxis, -1)
    DataFile(tmp_path / "b.fits", data=part, mode="new").save()
    again = DataFile(tmp_path / "b.fits")[0]
    for found in (part, again):
        assert found.wcs.low_level_wcs.pixel_n_dim == part.ndim
        assert _is_among(
            world(found.wcs, *np.indices(part.shape)[::-1]).reshape(-1, part.size),
            list(expected),
        )


def test_spectrum_and_plane_of_a_cube(tmp_path, caplog):
    cube = NDLater(
        np.zeros(SHAPES[3]), meta=TAN | CD | WAVE, variance=np.ones(SHAPES[3])
    )
    whole = cube.wcs
    spectrum, plane = cube[:, 6, 7], cube[4]
    waves = whole.pixel_to_world_values(7, 6, np.arange(7))[2]
    sky = whole.pixel_to_world_values(2, 3, 4)
    for name, part in (("s", spectrum), ("p", plane)):
        DataFile(tmp_path / f"{name}.fits", data=part, mode="new").save()
    for part in (spectrum, DataFile(tmp_path / "s.fits")[0], spectrum.copy()):
        np.testing.assert_allclose(part.wcs.pixel_to_world_values(np.arange(7)), waves)
        assert part.wcs.wcs.ctype[0] == "WAVE"
        assert part.meta["WCSAXES"] == 3  # where on the sky it is stays in the header
    np.testing.assert_allclose(
        spectrum[2::2].wcs.pixel_to_world_values(np.arange(3)), waves[2::2]
    )
    for part in (plane, DataFile(tmp_path / "p.fits")[0]):
        np.testing.assert_allclose(part.wcs.pixel_to_world_values(2, 3), sky[:2])
    stored = WCS(fits.getheader(tmp_path / "s.fits", "SCI"))
    np.testing.assert_allclose(
        stored.pixel_to_world_values(3, 0, 0),
        [waves[3], *whole.pixel_to_world_values(7, 6, 0)[:2]],
    )
    variance = fits.getheader(tmp_path / "s.fits", "VAR")
    assert variance["CTYPE1"] == "WAVE"
    assert caplog.text == ""


def test_other_systems_move_as_the_first():
    cards = TAN | CD | {
        "WCSNAMEP": "PHYSICAL", "CTYPE1P": "X", "CTYPE2P": "Y", "CRVAL1P": 100.0,
        "CDELT1P": 2.0, "CDELT2P": 2.0, "CTYPE1A": "PIXEL", "CD1_1A": 3.0,
    }  # fmt: skip
    ndd = NDLater(np.zeros((9, 8)), meta=fits.ImageHDU(np.zeros((9, 8))).header)
    ndd.meta.update(cards)
    item = np.s_[2::2, 3:]
    part = ndd[item]
    y, x = np.indices(part.shape)
    rows, columns = pixels_of(ndd.shape, item)[::-1]
    for key in "PA":
        np.testing.assert_allclose(
            WCS(part.meta, key=key).pixel_to_world_values(x, y),
            WCS(ndd.meta, key=key).pixel_to_world_values(columns, rows),
        )


def test_physical_pixels_of_iraf_move_where_their_cards_are_defaults():
    ndd = NDLater(np.zeros((9, 8)), meta=IMAGES["multispec"])
    part = ndd[2:, 3::2]
    assert [part.meta[k] for k in ("LTV1", "LTV2")] == [(0 - 4) / 2 + 1, -2]
    assert [part.meta[k] for k in ("LTM1_1", "LTM2_2")] == [0.5, 1]
    # The pixel that was the sixth is the second.
    assert part.meta["LTM1_1"] * 6 + part.meta["LTV1"] == 2
    order = ndd[5, 2:]
    assert (order.meta["LTV1"], order.meta["LTV2"]) == (-2, -5)
    assert order.meta["WAXMAP01"] == "1 0 0 0"


def test_column_of_multispec_is_said_to_have_no_coordinates(caplog):
    part = NDLater(np.zeros((9, 8)), meta=IMAGES["multispec"])[:, 3]
    assert part.wcs is None
    assert "multispec" in caplog.text
    assert not [k for k in part.meta if k.startswith(("LT", "WAT", "CD"))]


def test_wavelengths_of_sdss_move_in_all_their_cards():
    cards = {
        "COEFF0": 3.5529, "COEFF1": 1e-4, "CRVAL1": 3.5529, "CD1_1": 1e-4,
        "CTYPE1": "LINEAR", "DC-FLAG": 1,
    }  # fmt: skip
    ndd = NDLater(np.zeros((4, 50)), meta=cards)
    part = ndd[1, 10::3]
    assert part.meta["COEFF0"] + 2 * part.meta["COEFF1"] == pytest.approx(3.5545)
    assert part.wcs.pixel_to_world_values(2) == pytest.approx(
        ndd.wcs.pixel_to_world_values(16)
    )
    assert part.wcs.naxis == 1
    assert "COEFF0" not in ndd[:, 3].meta


@pytest.mark.parametrize("step", [1, 2, 3])
def test_corner_of_a_plate_moves(step):
    ndd = NDLater(
        np.zeros((9, 8)),
        meta={"CNPIX1": 100, "CNPIX2": 200, "XPIXELSZ": 25.0, "YPIXELSZ": 25.0},
    )
    part = ndd[2:, 3::step]
    for pixel in (1, 2):
        on_plate = (pixel + part.meta["CNPIX1"] - 0.5) * part.meta["XPIXELSZ"]
        old = 1 + 3 + step * (pixel - 1)
        assert on_plate == pytest.approx((old + 100 - 0.5) * 25)
    assert part.meta["CNPIX2"] == 202


def test_picked_pixels_have_no_coordinates_and_that_is_said(caplog):
    ndd = NDLater(
        np.zeros((9, 8)),
        meta=TAN | CD | SIP | {"CNPIX1": 3},
        flags=np.zeros((9, 8), int),
    )
    for item in (np.s_[[1, 4]], np.zeros((9, 8)) == 0, np.s_[:, [1, 2]]):
        caplog.clear()
        part = ndd[item]
        assert part.wcs is None
        assert "no coordinates" in caplog.text
        assert list(part.meta) == []
    caplog.clear()
    assert len(NDLater(np.zeros(5), meta={"OBJECT": "x"})[[1, 2]].meta) == 1
    assert caplog.text == ""


def test_polynomial_that_cannot_be_moved_is_named(caplog):
    cards = TAN | CD | {"CPDIS1": "POLYNOMIAL", "DP1.NAXES": 2.0, "DP1.OFFSET.1": 3.0}
    part = NDLater(np.zeros((9, 8)), meta=fits.Header(cards))[2:]
    assert part.wcs is not None
    assert "POLYNOMIAL" in caplog.text
    assert not [k for k in part.meta if k.startswith(("CPDIS", "DP"))]


# ---- what cannot be understood


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        (TAN | CD | {"CRVAL1": "12.5"}, "CRVAL1"),
        (TAN | {"CTYPE2": "RA---TAN"}, ""),
        (TAN | {"CTYPE2": "GLAT-TAN"}, ""),
        (TAN | CD | {"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ"}, ""),
        (TAN | CD | {"A_ORDER": 2, "A_2_0": 1e-3}, "B_ORDER"),
        (TAN | CD | SIP | WAVE, "2 dimensions"),
    ],
)
def test_coordinates_that_are_not_understood_are_said_to_be_missing(
    cards, reason, tmp_path, caplog
):
    fits.PrimaryHDU(np.zeros((4, 5)), fits.Header(cards)).writeto(tmp_path / "a.fits")
    ndd = DataFile(tmp_path / "a.fits")[0]
    with caplog.at_level(logging.WARNING):
        assert ndd.wcs is None
        assert ndd.wcs is None
    assert caplog.text.count("no coordinates") == 1
    assert reason in caplog.text
    assert "a.fits" in caplog.text


def test_header_without_coordinates_says_nothing(caplog):
    assert NDLater(np.zeros(3), meta={"OBJECT": "x", "EQUINOX": 2000.0}).wcs is None
    assert caplog.text == ""


def test_coordinates_on_the_third_axis_alone_are_there():
    ndd = NDLater(np.zeros(SHAPES[3]), meta=CUBES["third axis alone"])
    assert ndd.wcs.pixel_to_world_values(0, 0, 402.1)[2] == pytest.approx(2500)
    velocities = ndd.wcs.pixel_to_world_values(0, 0, np.arange(7))[2]
    np.testing.assert_allclose(
        ndd[:, 3, 4].wcs.pixel_to_world_values(np.arange(7)), velocities
    )


def test_frame_goes_with_the_coordinates_of_a_primary_image(tmp_path):
    header = fits.Header(TAN | CD | {"RADESYS": "FK4", "EQUINOX": 1950.0})
    fits.PrimaryHDU(np.zeros((9, 8)), header).writeto(tmp_path / "a.fits")
    df = DataFile(tmp_path / "a.fits", mode="update")
    df[0].variance = np.ones((9, 8))
    df.save()
    with fits.open(tmp_path / "a.fits") as hdus:
        for hdu in hdus[1:]:
            assert WCS(hdu.header).wcs.radesys == "FK4"
        assert hdus[0].header["EQUINOX"] == 1950


def test_plate_that_astropy_reads_keeps_its_sky():
    terms = {f"AMD{axis}{n}": 0.0 for axis in "XY" for n in range(1, 21)}
    plate = terms | {
        "AMDX1": 67.1464, "AMDX2": -0.0512, "AMDX3": -289.6, "AMDY1": 67.14,
        "AMDY2": 0.05, "AMDY3": 128.0, "CNPIX1": 5000, "CNPIX2": 6000,
        "XPIXELSZ": 25.28445, "YPIXELSZ": 25.28445, "PPO1": -3.069417e6, "PPO2": 0.0,
        "PPO3": 177500.0, "PPO4": 0.0, "PPO5": 3.069417e6, "PPO6": 177500.0,
        "PLTRAH": 10, "PLTRAM": 3, "PLTRAS": 27.7, "PLTDECSN": "-", "PLTDECD": 39,
        "PLTDECM": 52, "PLTDECS": 5.0, "PLTSCALE": 67.2,
    }  # fmt: skip
    ndd = NDLater(np.zeros((60, 50)), meta=fits.ImageHDU(np.zeros((60, 50))).header)
    ndd.meta.update(plate)
    expected = WCS(ndd.meta).all_pix2world(20, 30, 0)
    assert np.abs(expected[1]) > 1
    for part, x, y in (
        (ndd, 20, 30), (ndd[10:, 5:], 15, 20), (ndd[::2, ::2], 10, 15),
        (ndd[10:, 5:][::4, ::3], 5, 5),
    ):  # fmt: skip
        np.testing.assert_allclose(part.wcs.all_pix2world(x, y, 0), expected)


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_real_files_have_the_coordinates_that_astropy_gives_them(real_data):
    folders = ("real", "misc", "muse")
    paths = [p for f in folders for p in (real_data / f).glob("*.fit*")]
    count = 0
    for path in sorted(paths):
        with fits.open(path) as hdus:
            for ndd in DataFile(path):
                whole = WCS(hdus[ndd.content.origin[1]].header, hdus)
                if ndd.wcs is None:
                    assert not any(whole.wcs.ctype), path
                    continue
                pixels = np.full((whole.naxis, 4), np.arange(4.0))
                expected = world(whole, *pixels)
                np.testing.assert_allclose(world(ndd.wcs, *pixels), expected)
                starts = [1 if n > 3 else 0 for n in ndd.shape]
                steps = [2 if n > 3 else 1 for n in ndd.shape]
                item = [slice(a, None, b) for a, b in zip(starts, steps, strict=True)]
                part = ndd[tuple(item)]
                more = whole.naxis - ndd.ndim
                moved = np.array([*starts[::-1], *[0] * more])[:, None]
                scale = np.array([*steps[::-1], *[1] * more])[:, None]
                expected = world(whole, *(moved + scale * pixels))
                np.testing.assert_allclose(world(part.wcs, *pixels), expected)
                count += 1
    assert count >= 12
