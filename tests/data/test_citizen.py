"""NDLater in the company of other packages: passed in as it is, or as CCDData."""

import copy
import pickle

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    Cutout2D,
    NDData,
    NDDataRef,
    StdDevUncertainty,
    VarianceUncertainty,
)
from shared_helpers import tangent_wcs

from ndmapper.data import DataFile, DataFileList, FileName, Flag, NDLater
from ndmapper.errors import UnitError
from ndmapper.testing import count_reads, make_mef

pytestmark = [
    # Of the other packages, and none of ours.
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*:astropy.wcs.FITSFixedWarning"),
]

SHAPE = (60, 60)


@pytest.fixture
def star_file(tmp_path):
    """A star and a trace, with one bad pixel beside the star, in a file."""
    y, x = np.indices(SHAPE)
    image = 100 + np.random.default_rng(3).normal(0, 3, SHAPE)
    image += 2000 * np.exp(-0.5 * ((x - 30) ** 2 + (y - 40) ** 2) / 1.5**2)
    image += 300 * np.exp(-0.5 * ((y - 15) / 1.5) ** 2)
    image[42, 31] = 1e6
    flags = np.zeros(SHAPE, "u2")
    flags[42, 31] = Flag.BAD
    primary = fits.PrimaryHDU()
    primary.header["EXPTIME"] = 3.0
    science = fits.ImageHDU(
        image.astype("f4"), tangent_wcs(crpix=[30, 30]).to_header(), "SCI", ver=1
    )
    science.header["BUNIT"] = "adu"
    variance = fits.ImageHDU(np.full(SHAPE, 9, "f4"), name="VAR", ver=1)
    name = tmp_path / "star.fits"
    fits.HDUList(
        [primary, science, variance, fits.ImageHDU(flags, name="DQ", ver=1)]
    ).writeto(name)
    return name


@pytest.fixture
def ndd(star_file):
    return DataFile(star_file)[0]


# ---- numpy, astropy and matplotlib


def test_numpy_sees_a_masked_array(ndd):
    array = np.asanyarray(ndd)
    assert isinstance(array, np.ma.MaskedArray)
    assert array.max() < 1e5


@pytest.mark.parametrize("other", [NDData, NDDataRef, CCDData])
def test_other_nddata_take_everything_over(ndd, other):
    made = other(ndd)
    assert np.array_equal(made.data, ndd.data)
    assert made.unit == u.adu
    assert np.array_equal(made.uncertainty.array, ndd.variance)
    assert np.array_equal(made.mask, ndd.mask)


def test_cutout_has_shifted_coordinates(ndd):
    cutout = Cutout2D(ndd, (30, 40), 11, wcs=ndd.wcs)
    assert cutout.data[0, 0] == ndd.data[35, 25]
    assert cutout.wcs.wcs.crpix.tolist() == [5, -5]


def test_matplotlib_draws_images_and_lines(ndd):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure, axes = plt.subplots(2)
    shown = axes[0].imshow(ndd)
    (line,) = axes[1].plot(ndd[40])
    plt.close(figure)
    assert shown.get_array().mask.sum() == 1
    assert np.array_equal(line.get_ydata(), ndd.data[40])


# ---- photometry and mosaics


def test_photutils_leaves_masked_pixels_out(ndd):
    aperture = pytest.importorskip("photutils.aperture")
    circle = aperture.CircularAperture((30, 40), 6)
    table = aperture.aperture_photometry(ndd - 100 * u.adu, circle)
    # Gauss: 2 pi 1.5**2 2000, of which the pixel that is left out has 10%.
    assert table["aperture_sum"][0].to_value("adu") == pytest.approx(28274, rel=0.15)


def test_photutils_takes_notice_of_a_standard_deviation(ndd):
    aperture = pytest.importorskip("photutils.aperture")
    circle = aperture.CircularAperture((30, 40), 6)
    # Whole pixels, about which all versions agree. Of pixels that the circle cuts the
    # error is that of a weighted sum, sqrt(sum(w**2 var)) = 30.78, as photutils 3.1
    # has it and as sums of simulated noise scatter (30.71 in 20000 of them); before,
    # it was sqrt(sum(w var)) = 31.76.
    table = aperture.aperture_photometry(
        ndd.to_ccddata(std=True), circle, method="center"
    )
    y, x = np.indices(SHAPE)
    pixels = np.count_nonzero(np.hypot(x - 30, y - 40) < 6) - 1  # one is masked
    assert table["aperture_sum_err"][0].to_value("adu") == pytest.approx(
        3 * np.sqrt(pixels), rel=1e-6
    )


def test_photutils_background_of_it(ndd):
    background = pytest.importorskip("photutils.background")
    found = background.Background2D(ndd, 20).background_median
    assert u.Quantity(found, u.adu).value == pytest.approx(100, abs=3)


def test_reproject_uses_its_coordinates(ndd):
    reproject = pytest.importorskip("reproject")
    moved, footprint = reproject.reproject_interp(
        ndd, tangent_wcs(crpix=[35, 30]), shape_out=SHAPE
    )
    good = np.isfinite(moved)
    assert np.allclose(moved[40, 35], ndd.data[40, 30])
    assert good.mean() == pytest.approx(55 / 60, abs=0.02)
    assert footprint.max() == 1


# ---- spectra


def test_specreduce_traces_and_extracts(ndd):
    pytest.importorskip("specreduce")
    from specreduce.extract import BoxcarExtract
    from specreduce.tracing import FlatTrace

    spectrum = BoxcarExtract(ndd, FlatTrace(ndd, 15), width=9).spectrum
    assert spectrum.flux.unit == u.adu
    # Of the trace alone: 300 sqrt(2 pi) 1.5, and 9 rows of background.
    assert np.median(spectrum.flux.value) == pytest.approx(1128 + 900, rel=0.02)
    assert np.allclose(spectrum.uncertainty.array, 9 * 9, rtol=0.3)


def test_specutils_takes_its_parts(ndd):
    specutils = pytest.importorskip("specutils")
    row = ndd[15]
    spectrum = specutils.Spectrum(
        flux=row.data * row.unit,
        spectral_axis=np.arange(60) * u.nm,
        uncertainty=row.uncertainty,
        mask=row.mask,
    )
    assert np.array_equal(spectrum.uncertainty.array, row.variance)


# ---- ccdproc


@pytest.mark.parametrize("name", ["subtract_bias", "flat_correct"])
def test_ccdproc_gives_what_it_was_given(ndd, name):
    ccdproc = pytest.importorskip("ccdproc")
    result = getattr(ccdproc, name)(ndd, ndd)
    assert isinstance(result, NDLater)
    expected = getattr(ccdproc, name)(ndd.to_ccddata(), ndd.to_ccddata())
    assert np.allclose(result.data, expected.data, rtol=1e-5)
    assert np.array_equal(result.mask, expected.mask)


def test_ccdproc_trims_and_applies_the_gain(ndd):
    ccdproc = pytest.importorskip("ccdproc")
    trimmed = ccdproc.trim_image(ndd, fits_section="[11:60,1:60]")
    assert trimmed.shape == (60, 50)
    result = ccdproc.gain_correct(trimmed, 2 * u.electron / u.adu)
    assert result.unit == u.electron
    assert np.allclose(result.variance, 36)


@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")
def test_ccdproc_combines_ccddata(star_file):
    ccdproc = pytest.importorskip("ccdproc")
    ccds = [DataFile(star_file)[0].to_ccddata() for _ in range(3)]
    combined = NDLater.from_ccddata(ccdproc.Combiner(ccds).average_combine())
    good = ~ccds[0].mask
    assert np.allclose(combined.data[good], ccds[0].data[good])
    assert np.array_equal(combined.mask, ~good)


# ---- CCDData and back


def test_to_ccddata_has_all_parts(ndd):
    ccd = ndd.to_ccddata()
    assert type(ccd) is CCDData
    assert ccd.unit == u.adu
    assert np.array_equal(ccd.uncertainty.array, ndd.variance)
    assert ccd.uncertainty.unit == u.adu**2
    assert np.array_equal(ccd.flags, ndd.flags)
    assert np.array_equal(ccd.mask, ndd.mask)
    assert ccd.wcs.wcs.crpix.tolist() == [30, 30]


def test_to_ccddata_header_has_what_only_the_primary_header_has(ndd):
    header = ndd.to_ccddata().header
    assert header["EXPTIME"] == 3
    assert header["EXTNAME"] == "SCI"
    assert "SIMPLE" not in header


def test_to_ccddata_shares_nothing_and_keeps_nothing_in_memory(ndd):
    ccd = ndd.to_ccddata()
    assert not ndd.content.arrays["data"].is_loaded
    before = ndd.data.copy()
    ccd.data[:] = 0
    ccd.meta["EXPTIME"] = 5.0
    assert np.array_equal(ndd.data, before)
    assert "EXPTIME" not in ndd.meta


def test_to_ccddata_without_unit_says_how_to_give_one():
    with pytest.raises(UnitError, match="to_ccddata"):
        NDLater([1.0]).to_ccddata()
    assert NDLater([1.0]).to_ccddata("adu").unit == u.adu


def test_to_ccddata_can_be_written(ndd, tmp_path):
    ndd.to_ccddata().write(tmp_path / "ccd.fits")
    assert fits.getdata(tmp_path / "ccd.fits", 0).shape == SHAPE


def test_from_ccddata_gives_back_what_went_out(ndd):
    back = NDLater.from_ccddata(ndd.to_ccddata(), ident=7)
    assert back.ident == 7
    for part in ("data", "variance", "flags", "mask"):
        assert np.array_equal(getattr(back, part), getattr(ndd, part))
    assert back.unit == ndd.unit
    assert back.wcs.wcs.compare(ndd.wcs.wcs)
    assert "FLAGCONV" not in back.meta


def test_from_ccddata_follows_changes_of_the_mask(ndd):
    ndd.flag_table = "hst"
    ndd.flags[0, 0] = 16 | 1 << 15
    ndd.flags[1, 1] = 16
    ndd.bad_flags = 16
    ccd = ndd.to_ccddata()
    ccd.mask[0, :2] = [False, True]
    ndd.bad_flags = 0xFFFFFFFF
    back = NDLater.from_ccddata(ccd)
    assert back.flag_table.name == "hst"
    assert back.flag_table.names(back.flags[0, 1]) == ["DETECTORPROB"]
    assert back.flags[1, 1] == 16
    assert back.flags[0, 0] == 0


def test_from_ccddata_of_anybody_turns_mask_and_uncertainty():
    ccd = CCDData(
        [1.0, 2.0],
        unit="electron",
        mask=[True, False],
        uncertainty=StdDevUncertainty([2.0, 3.0]),
        meta={"OBJECT": "star"},
    )
    ndd = NDLater.from_ccddata(ccd)
    assert ndd.flags.tolist() == [1, 0]
    assert ndd.variance.tolist() == [4, 9]
    assert (ndd.meta["OBJECT"], ndd.unit) == ("star", u.electron)


def test_from_ccddata_shares_nothing():
    ccd = CCDData([1.0, 2.0], unit="adu", mask=[True, False])
    ndd = NDLater.from_ccddata(ccd)
    ndd.data[0] = 5
    assert ccd.data[0] == 1


# ---- copies and pickles


@pytest.fixture
def large(tmp_path):
    return make_mef(tmp_path / "large.fits", n_ext=3, shape=(500, 500))


def test_pickle_of_unmodified_data_is_small_and_reads_nothing(large):
    df = DataFile(large)
    with count_reads() as reads:
        whole, section = pickle.dumps(df), pickle.dumps(df[0][10:20])
    assert reads.reads == 0
    # Headers and paths: 3.5 MB of pixels would show.
    assert len(whole) < 60_000
    assert len(section) < 20_000
    assert np.array_equal(pickle.loads(section).data, df[0].data[10:20])
    assert np.array_equal(pickle.loads(whole)[1].data, df[1].data)


def test_pickle_of_data_that_were_looked_at_is_as_small(large):
    df = DataFile(large)
    df[0].data  # noqa: B018
    assert len(pickle.dumps(df)) < 60_000


def test_pickle_of_modified_data_has_them_and_no_others(large):
    df = DataFile(large)
    df[0].data[0, 0] = -1
    text = pickle.dumps(df)
    assert 1_000_000 < len(text) < 1_100_000  # one array of float32
    assert pickle.loads(text)[0].data[0, 0] == -1


def test_pickle_of_a_list_keeps_its_files(large):
    dfl = pickle.loads(pickle.dumps(DataFileList([str(large)])))
    assert dfl[0].filename == large
    assert dfl[0][2].data[0, 1] == DataFile(large)[2].data[0, 1]


@pytest.mark.parametrize(
    "function", [copy.copy, copy.deepcopy], ids=lambda f: f.__name__
)
def test_copies_read_nothing_and_are_independent(large, function):
    df = DataFile(large)
    with count_reads() as reads:
        new_file, new = function(df), function(df[0])
    assert reads.reads == 0
    new.data[0, 0] = -5
    new_file[0].data[0, 0] = -6
    new.meta["OBJECT"] = "changed"
    assert df[0].data[0, 0] not in (-5, -6)
    assert "OBJECT" not in df[0].meta


def test_deepcopy_of_a_list_copies_its_files(large):
    dfl = DataFileList([str(large)])
    new = copy.deepcopy(dfl)
    assert isinstance(new, DataFileList)
    assert new[0] is not dfl[0]


def test_filename_hash_and_equality_agree(large, monkeypatch):
    monkeypatch.chdir(large.parent)
    names = {FileName("large.fits"), FileName(large), FileName(f"./{large.name}")}
    assert len(names) == 1
    assert copy.deepcopy(FileName(large)) in names
    assert pickle.loads(pickle.dumps(FileName("large.fits"))) in names
    assert FileName("large.fits") == str(large)


def test_uncertainty_is_written_by_astropy_as_a_variance(tmp_path):
    ndd = NDLater(np.ones((2, 3)), variance=np.full((2, 3), 2.0))
    assert ndd.uncertainty.__class__ is VarianceUncertainty
    CCDData(ndd, unit="adu").write(tmp_path / "ccd.fits")
    read = CCDData.read(tmp_path / "ccd.fits")
    assert type(read.uncertainty) is VarianceUncertainty
    assert (read.uncertainty.array == 2).all()


def test_uncertainty_in_operations_of_astropy_is_a_plain_one():
    ndd = NDLater(np.ones((2, 3)), variance=np.full((2, 3), 2.0))
    ref = NDDataRef(ndd.data, uncertainty=ndd.uncertainty)
    made = ref.add(ref)
    assert type(made.uncertainty) is VarianceUncertainty
    assert (made.uncertainty.array == 4).all()
    held = ndd.uncertainty
    assert copy.copy(held).parent_nddata is ndd
    for one in (copy.copy(held), copy.deepcopy(held), held[:1]):
        assert type(one) is VarianceUncertainty
