"""Layouts of many makers: what is data, what its error and flags, and nothing else."""

import logging

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.config import config
from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ConfigError
from ndmapper.io.filemap import map_file

SHAPE = (3, 4)
DATA, ERROR = np.full(SHAPE, 10, "f4"), np.full(SHAPE, 3, "f4")
FLAGS = np.zeros(SHAPE, "i4")
FLAGS[1, 1] = 4
IVAR = np.full(SHAPE, 0.25, "f4")
IVAR[0] = 0, np.nan, np.inf, -1
OTHER = np.arange(12, dtype="f8").reshape(SHAPE)

ARRAYS = {"d": DATA, "s": ERROR, "v": ERROR, "i": IVAR, "f": FLAGS, "o": OTHER}
"""What an extension is: data, std, variance, ivar, flags, or something else."""

MAKERS = {
    # The first is the primary HDU; "" has no name, and None is empty.
    "SDSS frame": ["d", "o:"],
    "spPlate": ["d", "i:IVAR", "f:ANDMASK", "o:ORMASK", "o:WAVEDISP"],
    "HST without SCI": ["d", "s:ERR", "f:DQ"],
    "2dF": ["d", "v:VARIANCE"],
    "CALIFA": ["d", "s:ERROR", "o:ERRWEIGHT", "f:BADPIX", "o:FIBCOVER"],
    "SAMI": ["d", "v:VARIANCE", "o:WEIGHT"],
    "linetools": ["d:FLUX", "s:ERROR", "o:WAVELENGTH", "o:CONTINUUM"],
    "X-shooter": ["d:FLUX", "s:ERRS", "f:QUAL"],
    "X-shooter orders": [
        None, "d:ORD16_FLUX", "s:ORD16_ERRS", "f:ORD16_QUAL",
        "d:ORD17_FLUX", "s:ORD17_ERRS", "f:ORD17_QUAL",
    ],
    "ESPRESSO": [
        None, "d:SCIDATA", "s:ERRDATA", "f:QUALDATA", "o:WAVEDATA_VAC_BARY",
    ],
    "KMOS": [None, "d:IFU.1.DATA", "s:IFU.1.NOISE", "d:IFU.2.DATA", "s:IFU.2.NOISE"],
    "CRIRES+": [
        None, "d:CHIP1.INT1", "s:CHIP1ERR.INT1", "d:CHIP2.INT1", "s:CHIP2ERR.INT1",
    ],
    "METIS": [None, "d:lm.sci", "s:lm.err", "f:lm.dq"],
    "LSST": [None, "d:IMAGE", "f:MASK", "v:VARIANCE"],
    "DESI frame": ["d:FLUX", "i:IVAR", "f:MASK", "o:WAVELENGTH", "o:RESOLUTION"],
    "DESI sky": ["d:SKY", "i:IVAR", "f:MASK", "o:WAVELENGTH"],
    "DESI spectra": [
        None, "d:B_FLUX", "i:B_IVAR", "f:B_MASK", "o:B_WAVELENGTH",
        "d:R_FLUX", "i:R_IVAR", "f:R_MASK", "o:R_RESOLUTION",
    ],
    "MaNGA cube": [None, "d:FLUX", "i:IVAR", "f:MASK", "o:DISP", "o:SPECRES"],
    "MaNGA maps": [
        None, "d:EMLINE_GFLUX", "i:EMLINE_GFLUX_IVAR", "f:EMLINE_GFLUX_MASK",
        "d:STELLAR_SIGMA", "i:STELLAR_SIGMA_IVAR", "f:STELLAR_SIGMA_MASK",
    ],
    "mpdaf": [
        None, "d:IMA_WHITE_DATA", "v:IMA_WHITE_STAT", "d:IMA_HST_DATA",
        "o:IMA_MASK_UNION",
    ],
    "PypeIt": [
        None, "d:DET01-SCIIMG", "o:DET01-SKYMODEL", "i:DET01-IVARMODEL",
        "f:DET01-BPMMASK", "o:DET01-WAVEIMG",
    ],
    "HAWC+": ["d:STOKES I", "s:ERROR I", "d:STOKES Q", "s:ERROR Q"],
    "FIFI-LS": [
        None, "d:FLUX", "s:ERROR", "d:UNCORRECTED_FLUX", "s:UNCORRECTED_ERROR",
        "o:WAVELENGTH", "o:EXPOSURE_MAP",
    ],
    "PACS": [None, "d:image", "o:coverage", "s:stDev"],
    "Euclid": [None, "d:3-4.E.SCI", "s:3-4.E.RMS", "f:3-4.E.FLG"],
    "TESS": [None, "d:CAMERA.CCD 1.1 cal", "s:CAMERA.CCD 1.1 uncert"],
    "KPF": [
        None, "d:GREEN_SCI_FLUX1", "v:GREEN_SCI_VAR1", "o:GREEN_SCI_WAVE1",
        "d:GREEN_SCI_FLUX2", "v:GREEN_SCI_VAR2",
    ],
    "NEID": [None, "d:SCIFLUX", "d:SKYFLUX", "v:SCIVAR", "v:SKYVAR", "o:SCIWAVE"],
    "CARMENES": [None, "d:SPEC", "o:CONT", "s:SIG", "o:WAVE"],
    "cameras and one without": [
        None, "d:B_FLUX", "i:B_IVAR", "f:B_MASK", "d:FLUX", "i:IVAR", "f:MASK",
    ],
    "own name beside word": [None, "d:B_FLUX", "i:B_IVAR", "d:X", "i:X_IVAR"],
    "versions": [None, "d:FLUX,1", "s:ERR,1", "d:FLUX,2", "s:ERR,2"],
    "distortion": ["d", "o:WCSDVARR,1", "o:WCSDVARR,2", "o:D2IMARR"],
    "HST": [
        None, "d:SCI,1", "s:ERR,1", "f:DQ,1", "d:SCI,2", "s:ERR,2", "f:DQ,2",
        "o:WCSDVARR,1", "o:D2IMARR,1",
    ],
    "drizzled": [None, "d:SCI", "o:WHT", "o:CTX"],
    "DRAGONS": [None, "d:SCI,1", "v:VAR,1", "f:DQ,1", "o:OBJMASK,1"],
    "SCI beside IVAR": [None, "d:SCI", "i:IVAR", "f:MASK"],
    "raw mosaic": [None, "d:im1", "d:im2", "d:im3"],
    "raw amplifiers": [None, "d:", "d:", "d:"],
    "plain": ["d"],
}  # fmt: skip


def write_layout(path, maker):
    hdus = []
    for what in MAKERS[maker] if isinstance(maker, str) else maker:
        kind, _, name = (what or "").partition(":")
        made = fits.ImageHDU if hdus else fits.PrimaryHDU
        hdu = made(None if what is None else ARRAYS[kind])
        name, _, version = name.partition(",")
        if name:
            hdu.header["EXTNAME"] = name
        if version:
            hdu.header["EXTVER"] = int(version)
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def kinds_of(path):
    """Say of each HDU what it is, in the letters used above."""
    df = DataFile(path)
    layout = df.content.layout
    letters = {"variance": "v", "std": "s", "ivar": "i"}
    found = dict.fromkeys(range(len(df.content.map.hdus)), "o")
    for group in layout.groups:
        for part, index in group.hdus.items():
            kind = letters[layout.labels.uncertainty_is]
            found[index] = {"data": "d", "flags": "f", "uncertainty": kind}[part]
    return ["" if not h.shape else found[h.index] for h in df.content.map.hdus]


@pytest.mark.parametrize("maker", MAKERS)
def test_layout_is_recognised(tmp_path, maker):
    path = write_layout(tmp_path / "a.fits", maker)
    expected = ["" if what is None else what[0] for what in MAKERS[maker]]
    assert kinds_of(path) == expected


@pytest.mark.parametrize("maker", MAKERS)
def test_layout_twice_is_right_in_memory_and_on_disk(tmp_path, maker):
    path = write_layout(tmp_path / "a.fits", maker)
    result = DataFile(path) * 2
    result.save(tmp_path / "b.fits")
    with fits.open(path) as before, fits.open(tmp_path / "b.fits") as after:
        assert [h.name for h in after] == [h.name for h in before]
        for what, old, new in zip(MAKERS[maker], before, after, strict=True):
            if what is None:
                continue
            with np.errstate(all="ignore"):
                expected = {
                    "d": old.data * 2, "s": old.data * 2, "v": old.data * 4,
                    "i": np.where((IVAR > 0) & np.isfinite(IVAR), IVAR / 4, 0),
                }.get(what[0], old.data)  # fmt: skip
            np.testing.assert_array_equal(new.data, expected)
    again = DataFile(tmp_path / "b.fits")
    assert again.labels == result.labels
    assert again.idents == result.idents
    assert result.unloaded
    for ndd, other in zip(result, again, strict=True):
        np.testing.assert_array_equal(ndd.data, other.data)
        for name in ("variance", "flags"):
            mine, theirs = getattr(ndd, name), getattr(other, name)
            assert (mine is None) == (theirs is None)
            if mine is not None:
                np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("maker", MAKERS)
def test_layout_untouched_is_written_bit_for_bit(tmp_path, maker):
    path = write_layout(tmp_path / "a.fits", maker)
    df = DataFile(path)
    for ndd in df:
        _ = ndd.data, ndd.variance, ndd.flags
    assert df.unchanged
    df.save(tmp_path / "b.fits")
    assert (tmp_path / "b.fits").read_bytes() == path.read_bytes()
    df = DataFile(path, mode="update")
    before = [hdu.read_bytes() for hdu in map_file(path).hdus]
    df.meta["NEW"] = 1
    df.save()
    after = [hdu.read_bytes() for hdu in map_file(path).hdus]
    assert after[1:] == before[1:]


@pytest.mark.parametrize("maker", MAKERS)
def test_layout_with_all_parts_is_recognised_again(tmp_path, maker):
    df = DataFile(write_layout(tmp_path / "a.fits", maker))
    for i, ndd in enumerate(df):
        ndd.data[...] = i
        ndd.variance = np.full(SHAPE, 4, "f4")
        ndd.flags = np.full(SHAPE, i, "u2")
    df.save(tmp_path / "b.fits")
    again = DataFile(tmp_path / "b.fits")
    assert again.idents == df.idents
    for i, ndd in enumerate(again):
        assert (ndd.data == i).all()
        assert (ndd.variance == 4).all()
        assert (ndd.flags == i).all()


# ---- inverse variances


def test_no_inverse_variance_is_no_data_and_never_a_finite_variance(tmp_path):
    path = write_layout(tmp_path / "a.fits", ["d", "i:IVAR"])
    (ndd,) = DataFile(path)
    assert np.isinf(ndd.variance[0]).all()
    assert (ndd.variance[1:] == 4).all()
    assert (ndd.flags[0] == Flag.NO_DATA).all()
    assert not ndd.flags[1:].any()
    assert (ndd.mask == (ndd.flags != 0)).all()
    assert (DataFile(path)[0][:, 1:3].flags == ndd.flags[:, 1:3]).all()
    assert (DataFile(path)[0][0].flags == Flag.NO_DATA).all()


def test_flags_of_no_data_are_added_to_those_of_the_file(tmp_path):
    (ndd,) = DataFile(write_layout(tmp_path / "a.fits", ["d", "i:IVAR", "f:MASK"]))
    assert ndd.flags[1, 1] == 4
    assert (ndd.flags[0] & Flag.NO_DATA != 0).all()


def test_variance_given_where_there_was_none_keeps_the_flags(tmp_path):
    path = write_layout(tmp_path / "a.fits", ["d", "i:IVAR"])
    df = DataFile(path, mode="update")
    flags = df[0].flags.copy()
    df[0].variance = np.full(SHAPE, 2, "f4")
    df.save()
    with fits.open(path) as hdus:
        assert (hdus["IVAR"].data == 0.5).all()
    for found in (df[0].flags, DataFile(path)[0].flags):
        assert (found == flags).all()


def test_unit_of_inverse_variances(tmp_path):
    path = write_layout(tmp_path / "a.fits", ["d", "i:IVAR"])
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["BUNIT"] = "adu"
        hdus[1].header["BUNIT"] = "adu-2"
    df = DataFile(path)
    df.labels = {"data": "SCI", "uncertainty": "ERR", "uncertainty_is": "std"}
    df.save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert hdus["ERR"].header["BUNIT"] == "adu"
        assert (hdus["ERR"].data[1:] == 2).all()
        assert (hdus["DQ"].data[0] == Flag.NO_DATA).all()
    assert DataFile(tmp_path / "b.fits")[0].flags[0].tolist() == [Flag.NO_DATA] * 4


def test_inverse_variances_compressed_in_tiles(tmp_path):
    plain = write_layout(tmp_path / "a.fits", [None, "d:FLUX", "i:IVAR"])
    with fits.open(plain) as hdus:
        tiled = [
            fits.CompImageHDU(h.data, h.header, compression_type="GZIP_1")
            for h in hdus[1:]
        ]
        fits.HDUList([fits.PrimaryHDU(), *tiled]).writeto(tmp_path / "b.fits")
    one, two = DataFile(plain)[0], DataFile(tmp_path / "b.fits")[0]
    np.testing.assert_array_equal(one.variance, two.variance)
    np.testing.assert_array_equal(one.flags, two.flags)


# ---- what the user says


def test_labels_name_the_primary_hdu(tmp_path):
    path = write_layout(tmp_path / "a.fits", ["d", "i:WEIGHTS", "f:ODD"])
    labels = {"data": "PRIMARY", "uncertainty": "weights", "flags": "odd",
              "uncertainty_is": "ivar"}  # fmt: skip
    with config.using(labels=labels):
        df = DataFile(path)
    assert df[0].variance[1, 0] == 4
    assert df[0].flags[1, 1] == 4
    (df * 2).save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert (hdus[0].data == 20).all()
        assert hdus["WEIGHTS"].data[2, 2] == 0.0625
        assert hdus["ODD"].data[1, 1] == 4


def test_new_file_with_its_image_in_the_primary_hdu(tmp_path):
    labels = {"data": "PRIMARY", "uncertainty": "IVAR", "uncertainty_is": "ivar"}
    df = DataFile(tmp_path / "a.fits", mode="new", labels=labels)
    df.append(NDLater(DATA, variance=np.full(SHAPE, 4.0, "f4")))
    df.save()
    with fits.open(tmp_path / "a.fits") as hdus:
        assert (hdus[0].data == 10).all()
        assert (hdus["IVAR"].data == 0.25).all()
    df.append(NDLater(DATA, variance=np.full(SHAPE, 1.0, "f4")))
    df.save()
    again = DataFile(tmp_path / "a.fits")
    assert [float(ndd.variance[0, 0]) for ndd in again] == [4, 1]


def test_labels_of_another_kind_are_an_error(tmp_path):
    path = write_layout(tmp_path / "a.fits", "plain")
    with pytest.raises(ConfigError, match="ivar"):
        DataFile(path, labels={"uncertainty_is": "weight"})


# ---- what cards say


def cards(path, **given):
    with fits.open(path, mode="update") as hdus:
        for name, values in given.items():
            hdus[int(name[1:])].header.update(values)
    return path


def test_cards_of_eso_link_extensions(tmp_path):
    path = cards(
        write_layout(
            tmp_path / "a.fits", [None, "d:WIN1", "v:N1", "f:Q1", "d:WIN2", "v:N2"]
        ),
        _1={"HDUCLAS2": "DATA", "ERRDATA": "N1", "QUALDATA": "Q1"},
        _2={"HDUCLAS2": "ERROR", "HDUCLAS3": "MSE", "SCIDATA": "WIN1"},
        _3={"HDUCLAS2": "QUALITY", "HDUCLAS3": "FLAG32BIT", "SCIDATA": "WIN1"},
        _5={"HDUCLAS2": "ERROR", "HDUCLAS3": "MSE", "SCIDATA": "WIN2"},
    )
    assert kinds_of(path) == ["", "d", "v", "f", "d", "v"]
    assert DataFile(path).idents == ["WIN1", "WIN2"]


@pytest.mark.parametrize(
    ("form", "kind"), [("MSE", "v"), ("RMSE", "s"), ("INVMSE", "i"), ("INVRMSE", "o")]
)
def test_cards_of_eso_say_what_an_error_is(tmp_path, form, kind):
    path = cards(
        write_layout(tmp_path / "a.fits", [None, "d:DATA", "s:ERR"]),
        _2={"HDUCLAS2": "ERROR", "HDUCLAS3": form},
    )
    assert kinds_of(path) == ["", "d", kind]


def test_mask_in_which_1_is_good_is_no_flags_and_warned_of(tmp_path, caplog):
    path = cards(
        write_layout(tmp_path / "a.fits", [None, "d:FLUX", "s:ERR", "f:QUAL"]),
        _3={"HDUCLAS2": "QUALITY", "HDUCLAS3": "MASKONE"},
    )
    with caplog.at_level(logging.WARNING):
        assert kinds_of(path) == ["", "d", "s", "o"]
    assert "QUAL" in caplog.text


def test_error_without_a_name_is_told_by_a_card(tmp_path):
    path = cards(
        write_layout(tmp_path / "a.fits", [None, "d:", "s:", "f:"]),
        _2={"IMAGETYP": "error"}, _3={"IMAGETYP": "mask"},
    )  # fmt: skip
    assert kinds_of(path) == ["", "d", "s", "f"]


def test_units_in_words_tell_what_an_extension_is(tmp_path):
    path = cards(
        write_layout(tmp_path / "a.fits", [None, "d:", "s:", "f:", "o:"]),
        _1={"BUNIT": "Flux (10^-17 erg/s/cm^2/Ang)"},
        _2={"BUNIT": "Error (10^-17 erg/s/cm^2/Ang)"},
        _3={"BUNIT": "Pixel bitmask"}, _4={"BUNIT": "Wavelength (Ang)"},
    )  # fmt: skip
    assert kinds_of(path) == ["", "d", "s", "f", "o"]


# ---- what takes no part


@pytest.mark.parametrize(
    ("maker", "name"),
    [
        (["d", "o:WHT"], "WHT"),
        ([None, "d:SCI", "f:MASK"], "MASK"),
        ([None, "d:SCI", "o:CONFIDENCE"], "CONFIDENCE"),
        ([None, "d:V", "d:H3", "o:SIGMA"], "SIGMA"),
        (["d", "o:"], "without a name"),
    ],
)
def test_what_looks_like_an_error_and_takes_no_part_is_warned_of_once(
    tmp_path, caplog, maker, name
):
    path = write_layout(tmp_path / "a.fits", maker)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            (DataFile(path) * 2).save(tmp_path / "b.fits", overwrite=True)
    messages = [r.getMessage() for r in caplog.records if str(path) in r.getMessage()]
    assert len(messages) == 1
    assert name in messages[0]


@pytest.mark.parametrize("maker", ["HST", "DRAGONS", "LSST", "raw mosaic", "plain"])
def test_files_that_are_understood_are_not_warned_of(tmp_path, caplog, maker):
    with caplog.at_level(logging.WARNING):
        (DataFile(write_layout(tmp_path / "a.fits", maker)) * 2).save(
            tmp_path / "b.fits"
        )
    assert not caplog.records


WEBB = [None, "d:SCI", "s:ERR", "f:DQ", "v:VAR_POISSON", "v:VAR_FLAT", "o:AREA"]


@pytest.mark.parametrize("how", ["times", "in place", "section"])
def test_further_planes_of_errors_are_dropped_when_stale(tmp_path, caplog, how):
    path = write_layout(tmp_path / "a.fits", WEBB)
    df = DataFile(path, mode="update")
    if how == "times":
        df = df * 2
        assert list(df.extras) == ["AREA"]
    elif how == "in place":
        df[0].data[0, 0] = 0
    else:
        df[0] = df[0][:2]
    with caplog.at_level(logging.WARNING):
        df.save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["SCI", "ERR", "DQ", "AREA"]
    if how != "times":
        assert "VAR_POISSON, VAR_FLAT" in caplog.text
    assert list(df.extras) == ["AREA"]
    assert df.unloaded


def test_further_planes_stay_while_the_data_do(tmp_path, caplog):
    path = write_layout(tmp_path / "a.fits", WEBB)
    df = DataFile(path, mode="update")
    df.meta["NEW"] = df[0].data.sum()
    df[0].meta["NEW"] = 1
    with caplog.at_level(logging.WARNING):
        df.save()
    assert not caplog.records
    assert list(DataFile(path).extras) == ["VAR_POISSON", "VAR_FLAT", "AREA"]


@pytest.mark.parametrize("name", ["WCSDVARR", "WAVELENGTH", "MASK", "B_RESOLUTION"])
def test_names_that_are_never_data(tmp_path, name):
    path = write_layout(tmp_path / "a.fits", [None, f"o:{name}"])
    assert len(DataFile(path)) == 0
    assert list(DataFile(path).extras) == [name]


def test_standard_deviation_of_arithmetic_is_right_in_the_file(tmp_path):
    one = DataFile(write_layout(tmp_path / "a.fits", "X-shooter"))
    (one - DataFile(tmp_path / "a.fits")).save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        np.testing.assert_allclose(hdus["ERRS"].data, 3 * np.sqrt(2), rtol=1e-6)
        assert hdus["QUAL"].data[1, 1] == 4


def test_group_with_a_number_among_groups_with_names(tmp_path):
    path = write_layout(tmp_path / "a.fits", "DESI spectra")
    df = DataFile(path)
    df.append(DataFile(path)[0] * 2)
    df[-1].ident = 1
    df.save(tmp_path / "b.fits")
    again = DataFile(tmp_path / "b.fits")
    assert again.idents == df.idents
    for got, wanted in zip(again, df, strict=True):
        np.testing.assert_array_equal(got.variance, wanted.variance)
        np.testing.assert_array_equal(got.flags, wanted.flags)


def test_error_of_another_image_is_not_dropped(tmp_path):
    maker = [None, "d:RED_DATA", "i:RED_IVAR", "d:RED_DATA_NOSS", "i:RED_IVAR_NOSS"]
    path = write_layout(tmp_path / "a.fits", maker)
    (DataFile(path) * 2).save(tmp_path / "b.fits")
    with fits.open(path) as before, fits.open(tmp_path / "b.fits") as after:
        assert [h.name for h in before] == [h.name for h in after]
        for name in ("RED_DATA_NOSS", "RED_IVAR_NOSS"):
            np.testing.assert_array_equal(before[name].data, after[name].data)
