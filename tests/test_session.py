"""
The published session, word by word, in a folder called talk.

What needs IRAF, esorex or an archive is left out. The frames are made here: GMOS
exposures with the extensions of the published listing, smaller.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData, VarianceUncertainty

import ndmapper
from ndmapper.calibrations import (
    add_cal_entry,
    associate_cals,
    cal_entries,
    clean_cal_entries_if_unused,
    init_cal_dict,
    save_cal_dict,
    survey,
)
from ndmapper.data import *  # noqa: F403  (word by word)
from ndmapper.iraf_task import run_task
from ndmapper.lib.ccd import make_bias
from ndmapper.lib.cosmetics import add_bpm, clean_cosmic_rays, init_bpm, lacosmic_spec
from ndmapper.services import download_files, look_up_cals

SHAPES = ((3, 5), (4, 5))


def make_exposure(path, level=0.0):
    """Write PRIMARY, MDF, and two groups of SCI, VAR and DQ."""
    primary = fits.PrimaryHDU()
    primary.header["ORIGIN"] = "NOAO-IRAF FITS Image Kernel July 2003"
    primary.header["INSTRUME"] = "GMOS-S"
    hdus = [primary, fits.BinTableHDU.from_columns([fits.Column("NO", "J", array=[1])])]
    hdus[1].name = "MDF"
    for version, shape in enumerate(SHAPES, 1):
        data = np.arange(np.prod(shape), dtype="f4").reshape(shape) + level
        for name, array in (
            ("SCI", data),
            ("VAR", np.full(shape, 4, "f4")),
            ("DQ", (np.arange(data.size).reshape(shape) % 2).astype("u2")),
        ):
            hdus.append(fits.ImageHDU(array, name=name, ver=version))
    fits.HDUList(hdus).writeto(path)


@pytest.fixture
def talk(tmp_path, monkeypatch):
    folder = tmp_path / "talk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for number in (66, 67, 68):
        make_exposure(f"ergS20120827S00{number}.fits", level=number)
    return folder


@pytest.fixture
def df(talk):
    return DataFile("ergS20120827S0066.fits")  # noqa: F405


def test_session_configuration_takes_the_published_keys(talk):
    ndmapper.config["logfile"] = "example.log"
    ndmapper.config["reprocess"] = False
    ndmapper.config["interact"] = False
    for key in ("filename_regex", "labels", "use_uncert", "use_flags"):
        assert key in ndmapper.config


def test_session_star_import_brings_the_published_names():
    names = {"FileName", "DataFile", "DataFileList", "NDLater", "load_file_list"}
    assert names <= set(globals())


def test_session_run_task_is_one_and_the_same():
    assert run_task is ndmapper.run_task


def test_session_file_shows_name_and_length(df):
    assert repr(df) == "DataFile 'ergS20120827S0066.fits' (len 2)"
    assert str(df) == "ergS20120827S0066.fits"


def test_session_meta_is_the_primary_header(df):
    assert isinstance(df.meta, fits.Header)
    assert df.meta[:10]["INSTRUME"] == "GMOS-S"


def test_session_groups_are_sci_var_dq(df):
    expected = np.arange(15, dtype="f4").reshape(3, 5) + 66
    np.testing.assert_array_equal(df[0].data, expected)
    assert isinstance(df[0].uncertainty, VarianceUncertainty)
    np.testing.assert_array_equal(df[0].uncertainty.array, np.full((3, 5), 4, "f4"))
    np.testing.assert_array_equal(df[0].flags.ravel()[:4], [0, 1, 0, 1])
    assert (df[0].data.dtype, df[0].flags.dtype) == (np.float32, np.uint16)


def test_session_extension_has_header_and_ident(df):
    assert df[0].meta["EXTNAME"] == "SCI"
    assert [ndd.ident for ndd in df] == [1, 2]


def test_session_filename_has_its_parts(df):
    assert repr(df.filename) == "FileName 'ergS20120827S0066.fits'"
    parts = df.filename.dir, df.filename.prefix, df.filename.base, df.filename.ext
    assert parts == ("", "erg", "S20120827S0066", "fits")
    assert df.filename.suffix == []


def test_session_filename_is_converted_with_modifiers(df):
    name = FileName(df.filename, prefix="t", suffix="_sum", dirname="")  # noqa: F405
    assert repr(name) == "FileName 'tergS20120827S0066_sum.fits'"


def test_session_filename_equals_any_path_to_it(df):
    assert df.filename == "../talk/ergS20120827S0066.fits"
    assert df.filename == Path("ergS20120827S0066.fits").absolute()
    assert df.filename != "ergS20120827S0067.fits"


@pytest.fixture
def arthur(talk):
    df = DataFile("arthur.fits", mode="overwrite")  # noqa: F405
    df.append(NDData([1, 2, 3, 4]))
    df.append(NDData([5, 6, 7]))
    return df


def test_session_new_file_gives_idents_on_append(arthur):
    assert repr(arthur) == "DataFile 'arthur.fits' (len 2)"
    assert arthur[0].ident == 1
    assert not Path("arthur.fits").exists()


def test_session_saved_file_is_plain_fits(arthur):
    arthur.save()
    with fits.open("arthur.fits") as hdus:
        found = [(hdu.name, hdu.ver, hdu.shape) for hdu in hdus]
        assert hdus["SCI", 2].data.tolist() == [5, 6, 7]
        assert hdus["SCI", 1].data.dtype == ">i8"
    assert found == [("PRIMARY", 1, ()), ("SCI", 1, (4,)), ("SCI", 2, (3,))]


def test_session_list_is_made_of_names(arthur):
    dfl = DataFileList(  # noqa: F405
        ["S20120827S0066.fits", "S20120827S0067.fits", "S20120827S0068.fits"],
        prefix="erg",
    )
    dfl.append(arthur)
    assert " ".join(repr(dfl).split()) == (
        "[DataFile 'ergS20120827S0066.fits' (len 2), "
        "DataFile 'ergS20120827S0067.fits' (len 2), "
        "DataFile 'ergS20120827S0068.fits' (len 2), "
        "DataFile 'arthur.fits' (len 2)]"
    )
    assert isinstance(dfl[::-1], DataFileList)  # noqa: F405
    assert str(dfl[::-1][0]) == "arthur.fits"


def test_session_list_is_loaded_from_a_text_file(talk):
    Path("night.txt").write_text("ergS20120827S0066.fits\nergS20120827S0067.fits\n")
    dfl = load_file_list("night.txt")  # noqa: F405
    assert [str(df) for df in dfl] == [
        "ergS20120827S0066.fits",
        "ergS20120827S0067.fits",
    ]


def test_session_iraf_task_without_iraf_names_it(df):
    with pytest.raises(TypeError, match=r"gemini\.gemtools\.gemarith.*iraf"):
        run_task(
            "gemini.gemtools.gemarith",
            inputs={"operand1": df, "operand2": df},
            outputs={"result": "@operand1"},
            suffix="_test1",
            MEF_ext=False,
            op="+",
        )


# The calibrations: an archive's answers are given by a function.

CAL_DEPS = {"target": ["bias", "flat"], "flat": ["bias"]}

ARCHIVE = {
    ("S20120827S0066.fits", "bias"): ["S20120827S0202.fits", "S20120827S0201.fits"],
    ("S20120827S0066.fits", "flat"): [("S20120827S0069.fits", "9d377b10ce778c49")],
    ("S20120827S0069.fits", "bias"): ["S20120827S0201.fits", "S20120827S0202.fits"],
}


def ask_archive(filename, cal_type):
    return ARCHIVE.get((str(filename), cal_type), [])


@pytest.fixture
def cals(talk):
    return look_up_cals(
        ["S20120827S0066.fits"],
        dependencies=CAL_DEPS,
        server=ask_archive,
        cache="calibrations.json",
        obs_type="target",
    )


def test_session_look_up_recurses_and_is_cached(cals):
    assert cals["associations"] == {
        "S20120827S0066.fits": {
            "bias": "S20120827S0201_bias.fits",
            "flat": "S20120827S0069_flat.fits",
        },
        "S20120827S0069.fits": {"bias": "S20120827S0201_bias.fits"},
    }
    assert cals["calibrations"] == {
        "S20120827S0201_bias.fits": ["S20120827S0201.fits", "S20120827S0202.fits"],
        "S20120827S0069_flat.fits": ["S20120827S0069.fits"],
    }
    assert cals["checksums"]["S20120827S0069.fits"] == "9d377b10ce778c49"
    assert json.loads(Path("calibrations.json").read_text()) == cals


def test_session_entries_are_labels_and_raw_names(cals):
    assert cal_entries(cals, "bias", reference=None) == [
        ("S20120827S0201_bias.fits", ["S20120827S0201.fits", "S20120827S0202.fits"])
    ]


def test_session_document_is_edited_and_saved(talk):
    cd = init_cal_dict(filename=None)
    assert cd == {"associations": {}, "calibrations": {}, "checksums": {}}
    add_cal_entry("S20120827S0066.fits", "flat", None, cd, clean=True)
    add_cal_entry("S20120827S0066.fits", "bias", ["S20120827S0201.fits"], cd)
    add_cal_entry(
        "S20120827S0066.fits", "bias", ["S20120827S0202.fits"], cd, clean=False
    )
    assert set(cd["calibrations"]) == {
        "S20120827S0201_bias.fits",
        "S20120827S0202_bias.fits",
    }
    clean_cal_entries_if_unused("S20120827S0201_bias.fits", cd)
    assert cd["calibrations"] == {"S20120827S0202_bias.fits": ["S20120827S0202.fits"]}
    assert cd["associations"]["S20120827S0066.fits"]["flat"] is None
    save_cal_dict(cd, "edited.json")
    assert init_cal_dict("edited.json") == cd


def test_session_bias_is_made_and_associated(cals, talk):
    Path("raw").mkdir()
    for number in (201, 202):
        make_exposure(f"raw/S20120827S0{number}.fits", level=number)
    make_exposure("S20120827S0066.fits", level=1000)
    for name, flist in cal_entries(cals, "bias"):
        bias = make_bias(DataFileList(flist, dirname="raw"), bias=name)  # noqa: F405
    assert str(bias) == "S20120827S0201_bias.fits"
    obj = DataFile("S20120827S0066.fits")  # noqa: F405
    given = associate_cals(bias, obj, "bias", from_type=None, cal_dict=cals)
    assert given is obj
    np.testing.assert_allclose(obj.cals["bias"][0].data[0, 0], 201.5)


def test_session_local_frames_are_listed_in_the_order_asked(talk):
    names = ["ergS20120827S0068.fits", "ergS20120827S0066.fits"]
    assert [Path(p).name for p in download_files(names, server="local")] == names


def test_session_survey_has_a_row_for_each_frame(talk):
    assert len(survey(".")) == 3


@pytest.fixture
def hit(talk):
    """Two extensions of noise with variance; each is hit at row 20, column 30."""
    rng = np.random.default_rng(66)
    groups = []
    for ident in (1, 2):
        data = rng.normal(100, 5, (60, 50)).astype("f4")
        data[20, 30] += 4000
        groups.append(NDLater(data, variance=np.full((60, 50), 25, "f4"), ident=ident))  # noqa: F405
    made = DataFile("rgS20120827S0066.fits", data=groups, mode="new")  # noqa: F405
    made.save()
    return DataFile("rgS20120827S0066.fits")  # noqa: F405


def test_session_bad_pixels_are_marked_and_joined_to_the_flags(hit):
    bpm = init_bpm(hit, regions=[["10:12,5:7"], [":,49"]], filename="bpm.fits")
    flagged = add_bpm(hit, bpm=bpm)
    assert str(flagged) == "krgS20120827S0066.fits"
    expected = np.zeros((2, 60, 50), int)
    expected[0, 10:12, 5:7] = expected[1, :, 49] = 1
    for ndd, raw, bits in zip(flagged, hit, expected, strict=True):
        np.testing.assert_array_equal(ndd.flags, bits)
        np.testing.assert_array_equal(ndd.data, raw.data)


def test_session_cosmic_rays_are_cleaned(hit):
    pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")
    bpm = init_bpm(hit, regions=[["10:12,5:7"], []], filename="bpm.fits")
    cleaned = clean_cosmic_rays(add_bpm(hit, bpm=bpm), x_order=0, y_order=0)
    assert str(cleaned) == "xkrgS20120827S0066.fits"
    for ndd in cleaned:
        assert ndd.flags[20, 30] == 8
        # Noise of 5, a mean of a few neighbours; the hit was 4000.
        assert ndd.data[20, 30] == pytest.approx(100, abs=15)
    assert (cleaned[0].flags[10:12, 5:7] == 1).all()
    assert (cleaned[1].flags[10:12, 5:7] == 0).all()


def test_session_lacosmic_spec_cleans_one_extension(hit):
    pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")
    cleaned = lacosmic_spec(hit[1], x_order=9, y_order=2, sigclip=4.5, niter=4)
    found = np.argwhere(cleaned.flags == 8)
    assert [20, 30] in found.tolist()
    # Neighbours are taken from a third of the limit on.
    assert np.abs(found - [20, 30]).max() <= 1
    assert cleaned.data[20, 30] == pytest.approx(100, abs=15)
    untouched = cleaned.flags == 0
    np.testing.assert_array_equal(cleaned.data[untouched], hit[1].data[untouched])


def test_session_calibrator(talk):
    from ndmapper.lib.calibrator import Calibrator, OverscanMethods

    Path("masters").mkdir()
    image = np.zeros((4096, 4096), "f4")
    fits.writeto("masters/bias1.fits", image + 2)
    fits.writeto("masters/dark3.fits", image + 3)
    raw = np.full((4116, 4096), 1000, "u2")
    raw[:20] = 300
    fits.writeto("raw1.fits", raw)

    calibrate = Calibrator(
        overscans=[dict(xmin=0, xmax=4096, ymin=0, ymax=20)],  # noqa: C408
        overscan_method=OverscanMethods.median,
        master_bias="masters/bias1.fits",
        gain=16.0,
        image_area=dict(xmin=0, xmax=4096, ymin=20, ymax=4116),  # noqa: C408
    )
    calibrate.set_masters(dark="masters/dark3.fits")
    calibrate.gain = 8.0
    calibrate(raw="raw1.fits", calibrated="calib1.fits", gain=8.0)

    (ndd,) = DataFile("calib1.fits")  # noqa: F405
    assert ndd.shape == (4096, 4096)
    np.testing.assert_allclose(ndd.data, 1000 - 300 - 2 - 3)
