import gc
import logging
import pickle
import weakref

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    NDDataArray,
    StdDevUncertainty,
    VarianceUncertainty,
)
from astropy.utils.masked import Masked
from astropy.wcs import WCS

from ndmapper.config import config
from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import FileChangedError, ModeError, ShapeError
from ndmapper.io.headers import Header
from ndmapper.testing import count_reads, make_mef

WCS_CARDS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 3.0, "CRPIX2": 2.0,
    "CRVAL1": 150.0, "CRVAL2": 2.0, "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0,
    "CD2_2": 1e-4,
}  # fmt: skip


@pytest.fixture
def file_with_wcs(tmp_path):
    return make_mef(tmp_path / "a.fits", extension=WCS_CARDS)


@pytest.fixture
def ndd(file_with_wcs):
    return DataFile(file_with_wcs)[0]


# ---- what is read, and when


def test_ndlater_form_and_header_read_nothing(ndd):
    with count_reads() as reads:
        assert (ndd.shape, ndd.dtype, ndd.ndim, ndd.size) == ((6, 8), np.float32, 2, 48)
        assert (ndd.unit, ndd.ident, ndd.meta["EXTVER"]) == (u.adu, 1, 1)
        assert repr(ndd) == "<NDLater 1: 6x8, float32, uncertainty, flags>"
        assert str(ndd) == repr(ndd)
        assert ndd.wcs is not None
        assert ndd.has("flags")
        ndd.copy()
        NDLater(ndd)
        ndd.replace(meta={})
        pickle.loads(pickle.dumps(ndd))
    assert reads.reads == 0


@pytest.mark.parametrize(
    ("part", "size"),
    [("data", 4), ("uncertainty", 4), ("variance", 4), ("flags", 2), ("mask", 2)],
)
def test_ndlater_each_array_is_read_on_its_own(ndd, part, size):
    with count_reads() as reads:
        getattr(ndd, part)
        getattr(ndd, part)
    assert (reads.reads, reads.bytes) == (1, 48 * size)


def test_ndlater_section_reads_only_its_window(ndd):
    with count_reads() as reads:
        part = ndd[1:3][..., 2:5]
        assert part.shape == (2, 3)
        assert reads.reads == 0
        _ = part.data, part.flags
    assert reads.bytes == 6 * (4 + 2)
    assert part.data.tolist() == [[1010, 1011, 1012], [1018, 1019, 1020]]


def test_ndlater_section_of_compressed_file_has_the_same_pixels(tmp_path):
    part = DataFile(make_mef(tmp_path / "a.fits.gz"))[1][1:3, 2:4]
    assert part.data.tolist() == [[2010, 2011], [2018, 2019]]
    assert part.variance.tolist() == [[11, 12], [19, 20]]


def test_ndlater_freed_array_is_read_again(ndd):
    first = ndd.data
    del ndd.data
    with count_reads() as reads:
        assert ndd.data is not first
    assert reads.reads == 1


@pytest.mark.parametrize("part", ["data", "uncertainty", "flags"])
def test_ndlater_modified_array_cannot_be_freed(ndd, part):
    array = ndd.variance if part == "uncertainty" else getattr(ndd, part)
    array[0, 0] += 1
    with pytest.raises(ModeError, match="would be lost"):
        delattr(ndd, part)
    assert (ndd.variance if part == "uncertainty" else getattr(ndd, part)) is array


def test_ndlater_replaced_file_is_noticed(ndd, file_with_wcs):
    file_with_wcs.unlink()
    make_mef(file_with_wcs)
    with pytest.raises(FileChangedError):
        _ = ndd.data


# ---- making one


def test_ndlater_is_nddata(ndd):
    assert isinstance(ndd, NDDataArray)


@pytest.mark.parametrize("kind", [NDData, NDDataArray, CCDData])
def test_ndlater_goes_into_other_nddata(ndd, kind):
    other = kind(ndd)
    np.testing.assert_array_equal(other.data, ndd.data)
    np.testing.assert_array_equal(other.uncertainty.array, ndd.variance)
    np.testing.assert_array_equal(other.mask, ndd.mask)
    assert other.unit == u.adu


@pytest.mark.parametrize("kind", [NDData, NDDataArray, CCDData])
def test_ndlater_takes_over_other_nddata(kind):
    other = kind(
        np.array([1.0, 2]), uncertainty=StdDevUncertainty([2.0, 3]), unit="adu",
        mask=np.array([True, False]), meta={"OBJECT": "x"},
    )  # fmt: skip
    ndd = NDLater(other)
    assert ndd.variance.tolist() == [4, 9]
    assert ndd.flags.tolist() == [Flag.BAD, 0]
    assert (ndd.unit, ndd.meta["OBJECT"]) == (u.adu, "x")
    assert ndd.data is other.data


@pytest.mark.parametrize(
    "uncertainty",
    [VarianceUncertainty([4.0]), StdDevUncertainty([2.0]), InverseVariance([0.25]),
     VarianceUncertainty([4.0], unit=u.adu**2),
     StdDevUncertainty([0.002], unit=1000 * u.adu)],
    ids=["var", "std", "ivar", "unit", "other unit"],
)  # fmt: skip
def test_ndlater_any_uncertainty_is_kept_as_variance(uncertainty):
    ndd = NDLater([1.0], uncertainty=uncertainty, unit="adu")
    assert isinstance(ndd.uncertainty, VarianceUncertainty)
    np.testing.assert_allclose(ndd.variance, [4.0])


@pytest.mark.parametrize("name", ["data", "variance", "flags", "mask"])
@pytest.mark.parametrize("kind", ["numpy", "astropy"])
def test_a_mask_is_never_dropped_without_a_word(name, kind):
    ndd, ones = NDLater(np.ones((2, 2))), np.ones((2, 2), "u1")
    make = np.ma.MaskedArray if kind == "numpy" else Masked
    setattr(ndd, name, make(ones, mask=np.zeros((2, 2), bool)))
    with pytest.raises(
        TypeError, match="come as a masked array, whose mask would be lost"
    ):
        setattr(ndd, name, make(ones, mask=np.eye(2, dtype=bool)))


def test_ndlater_quantity_and_masked_array():
    ndd = NDLater(np.array([1, 2]) * u.electron)
    assert (ndd.unit, ndd.data.tolist()) == (u.electron, [1, 2])
    ndd = NDLater(np.ma.array([1, 2], mask=[True, False]))
    assert ndd.mask.tolist() == [True, False]


@pytest.mark.parametrize("data", ["abc", [1j], None, [None]])
def test_ndlater_of_what_is_no_number_is_an_error(data):
    with pytest.raises(TypeError):
        NDLater(data)


@pytest.mark.parametrize("part", ["variance", "flags", "mask"])
def test_ndlater_other_shape_is_an_error(part):
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        NDLater(np.zeros((2, 3)), **{part: np.zeros(3, int)})


# ---- setting


def test_ndlater_data_set_in_place_of_what_was_there(ndd):
    ndd.data += 1
    assert ndd.data[0, 0] == 1001
    ndd.data = np.zeros((6, 8))
    assert ndd.dtype == np.float64


def test_ndlater_data_of_other_shape_is_refused(ndd):
    with pytest.raises(ShapeError):
        ndd.data = np.zeros((2, 2))
    assert ndd.shape == (6, 8)


def test_ndlater_uncertainty_object_and_variance_are_one(ndd):
    ndd.uncertainty.array[0, 0] = 77
    assert ndd.variance[0, 0] == 77
    ndd.uncertainty.array = np.full((6, 8), 5.0)
    assert ndd.variance[3, 3] == 5
    assert ndd.copy().variance[3, 3] == 5
    assert ndd[2:3].variance[0, 0] == 5


def test_ndlater_uncertainty_knows_its_parent(ndd):
    assert ndd.uncertainty.parent_nddata is ndd
    assert ndd.uncertainty.unit == u.adu**2


def test_ndlater_parts_can_be_taken_away(ndd):
    ndd.uncertainty = None
    ndd.flags = None
    assert ndd.variance is ndd.flags is ndd.mask is None


# ---- flags and mask


def test_mask_is_flags_with_bad_bits(ndd):
    np.testing.assert_array_equal(ndd.mask, ndd.flags != 0)


def test_mask_bad_flags_are_fixed_at_creation(file_with_wcs):
    with config.using(bad_flags=2):
        ndd = DataFile(file_with_wcs)[0]
    np.testing.assert_array_equal(ndd.mask, ndd.flags == 2)
    assert pickle.loads(pickle.dumps(ndd)).bad_flags == 2


def test_mask_without_flags_is_none():
    assert NDLater([1, 2]).mask is None


def test_mask_set_true_sets_our_bit_and_false_clears_bad_bits():
    ndd = NDLater(np.zeros(4), flags=np.array([0, 6, 6, 3 << 8], "u2"), bad_flags=0xFF)
    ndd.mask = [True, True, False, False]
    # What is masked already stays as it is.
    assert ndd.flags.tolist() == [Flag.BAD, 6, 0, 3 << 8]
    assert ndd.mask.tolist() == [True, True, False, False]


def test_mask_set_without_flags_makes_them():
    ndd = NDLater(np.zeros(2))
    ndd.mask = [True, False]
    assert (ndd.flags.tolist(), ndd.flags.dtype) == ([1, 0], np.uint16)


def test_mask_none_clears():
    ndd = NDLater(np.zeros(2), flags=[1, 4])
    ndd.mask = None
    assert not ndd.mask.any()


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "i8", "u8"])
def test_mask_any_integer_type_of_flags(dtype):
    ndd = NDLater(np.zeros(3), flags=np.array([0, 1, 4], dtype))
    ndd.mask = [True, False, True]
    assert ndd.flags.tolist() == [1, 0, 4]
    assert ndd.flags.dtype == dtype


def test_flags_with_fractions_are_refused():
    with pytest.raises(ShapeError, match="integers"):
        NDLater([1.0], flags=[0.5])


# ---- headers, units, coordinates


def test_meta_of_a_copy_is_its_own(ndd):
    other = ndd.copy()
    other.meta["OBJECT"] = "other"
    ndd.meta["FILTER"] = "r"
    assert "OBJECT" not in ndd.meta
    assert "FILTER" not in other.meta


def test_primary_meta_is_that_of_the_file(file_with_wcs):
    df = DataFile(file_with_wcs)
    df.meta["NEW"] = 1
    assert df[1].primary_meta["NEW"] == 1
    assert NDLater([1]).primary_meta is None


def test_unit_unknown_text_stays_in_the_header(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        ndd = DataFile(make_mef(tmp_path / "a.fits", unit="furlongs/fortnite"))[0]
        assert ndd.unit is None
    assert ndd.meta["BUNIT"] == "furlongs/fortnite"
    assert caplog.text == ""


def test_wcs_is_that_of_the_header(ndd):
    expected = WCS(Header(WCS_CARDS)).pixel_to_world_values(3, 4)
    np.testing.assert_allclose(ndd.wcs.pixel_to_world_values(3, 4), expected)


def test_wcs_without_cards_is_none():
    assert NDLater([1]).wcs is None


@pytest.mark.parametrize(
    "item", [np.s_[2:5, 3:], np.s_[1::2, ::-1], np.s_[::-2, 4]], ids=str
)
def test_wcs_of_a_section_gives_the_same_sky(ndd, item):
    part = ndd[item]
    rows, columns = np.indices(ndd.shape)
    expected = ndd.wcs.pixel_to_world_values(columns[item], rows[item])
    if part.ndim == 1:
        expected = expected[::-1]  # the axis that is gone comes last
    np.testing.assert_allclose(
        part.wcs.low_level_wcs.pixel_to_world_values(*np.indices(part.shape)[::-1]),
        expected,
        rtol=1e-13,
    )


def test_wcs_of_a_plane_of_a_cube_keeps_the_sky(tmp_path):
    cards = WCS_CARDS | {
        "CTYPE3": "WAVE",
        "CRPIX3": 1.0,
        "CRVAL3": 5e-7,
        "CD3_3": 1e-10,
    }
    cube = DataFile(make_mef(tmp_path / "a.fits", shape=(3, 4, 5), extension=cards))[0]
    plane = cube[2]
    np.testing.assert_allclose(
        plane.wcs.pixel_to_world_values(1, 2),
        cube.wcs.pixel_to_world_values(1, 2, 2)[:2],
    )


def test_section_by_mask_or_list_has_pixels_but_no_coordinates(ndd):
    part = ndd[[0, 2]]
    assert part.data.tolist() == ndd.data[[0, 2]].tolist()
    assert part.wcs is None


@pytest.mark.parametrize("item", [np.s_[9], np.s_[0, 0, 0], "x"], ids=str)
def test_section_impossible_is_an_error(ndd, item):
    with pytest.raises((IndexError, TypeError)):
        ndd[item]


# ---- copies


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(
    "make", [NDLater.copy, lambda n: n.replace(meta={}), lambda n: n[:]],
    ids=["copy", "replace", "section"],
)  # fmt: skip
def test_copy_changed_in_place_leaves_the_original(ndd, make, loaded):
    if loaded:
        _ = ndd.data, ndd.variance, ndd.flags
    other = make(ndd)
    other.data[...] = -1
    other.variance[...] = -1
    other.flags[...] = 9
    assert ndd.data.max() == 1047
    assert ndd.variance.min() == 1
    assert ndd.flags.max() == 2


def test_replace_puts_parts_in_place_and_keeps_the_others_unread(ndd):
    with count_reads() as reads:
        other = ndd.replace(data=np.zeros((6, 8)), flags=None, unit="electron")
        assert (other.unit, ndd.unit, other.flags) == (u.electron, u.adu, None)
    assert reads.reads == 0
    assert other.variance[0, 1] == 2
    assert other.ident == 1


def test_replace_with_mismatched_shapes_is_an_error(ndd):
    with pytest.raises(ShapeError, match="different shapes"):
        ndd.replace(data=np.zeros((2, 2)))


def test_replace_all_arrays_may_change_the_shape(ndd):
    other = ndd.replace(data=np.zeros(3), variance=np.zeros(3), flags=None)
    assert other.shape == (3,)


def test_pickle_unmodified_carries_no_pixels(tmp_path):
    ndd = DataFile(make_mef(tmp_path / "a.fits", shape=(300, 300)))[0]
    _ = ndd.data
    text = pickle.dumps(ndd[10:200])
    # 90 000 pixels of 4 bytes stay behind; headers of 2880 bytes travel.
    assert len(text) < 30_000
    np.testing.assert_array_equal(pickle.loads(text).data, ndd.data[10:200])


def test_pickle_modified_carries_its_pixels(ndd, file_with_wcs):
    ndd.data[0, 0] = 5
    ndd.meta["NEW"] = 3
    other = pickle.loads(pickle.dumps(ndd))
    assert (other.data[0, 0], other.meta["NEW"]) == (5, 3)


def test_uncertainty_shows_the_variance_of_its_image():
    ndd = NDLater(np.ones((2, 3)), variance=np.ones((2, 3)), unit="adu")
    uncertainty = ndd.uncertainty
    assert ndd.uncertainty is uncertainty
    assert uncertainty.array is ndd.variance
    uncertainty.array = np.full((2, 3), 2.0)
    assert ndd.variance is uncertainty.array
    ndd *= 2
    assert ndd.uncertainty.array is ndd.variance
    before = ndd.uncertainty
    ndd.variance = np.full((2, 3), 3.0)
    assert (before.array[0, 0], ndd.uncertainty.array[0, 0]) == (8, 3)
    before.array = np.zeros((2, 3))
    assert ndd.variance[0, 0] == 3
    assert type(pickle.loads(pickle.dumps(before))) is VarianceUncertainty
    assert repr(before[0]) == "VarianceUncertainty([0., 0., 0.])"


def test_image_whose_uncertainty_was_looked_at_is_freed_with_its_last_name():
    ndd = NDLater(np.ones((2, 3)), variance=np.ones((2, 3)))
    gone = weakref.ref(ndd.uncertainty)
    gc.disable()
    try:
        del ndd
        assert gone() is None
    finally:
        gc.enable()


# ---- what are no numbers

NOT_NUMBERS = {
    "text": "x",
    "texts": np.full((2, 3), "1"),
    "objects": np.full((2, 3), None),
    "dates": np.zeros((2, 3), "M8[s]"),
    "records": np.zeros((2, 3), "f4,f4"),
    "complex": np.ones((2, 3), complex),
}

NOUNS = {"data": "pixels", "variance": "variances", "flags": "flags", "mask": "masks"}


@pytest.mark.parametrize("value", NOT_NUMBERS.values(), ids=NOT_NUMBERS)
@pytest.mark.parametrize(("name", "noun"), NOUNS.items())
def test_array_of_no_numbers_is_refused(name, noun, value):
    ndd = NDLater(
        np.ones((2, 3)), variance=np.ones((2, 3)), flags=np.zeros((2, 3), int)
    )
    error = pytest.raises(TypeError, match=f"{noun} must be numbers, not ")
    with error:
        setattr(ndd, name, value)
    with error:
        setattr(ndd[:1], name, value)
    with error:
        NDLater(**{"data": np.ones((2, 3)), name: value})
    if name != "mask":
        with error:
            ndd.replace(**{name: value})
    assert [a.dtype.kind for a in (ndd.data, ndd.variance, ndd.flags)] == [
        "f",
        "f",
        "i",
    ]
    assert not ndd.mask.any()


@pytest.mark.parametrize("value", NOT_NUMBERS.values(), ids=NOT_NUMBERS)
@pytest.mark.parametrize(
    "kind", [VarianceUncertainty, StdDevUncertainty, InverseVariance]
)
def test_uncertainty_of_no_numbers_is_refused(kind, value):
    ndd = NDLater(np.ones((2, 3)), variance=np.ones((2, 3)))
    error = pytest.raises(TypeError, match="uncertainties must be numbers")
    with error:
        ndd.uncertainty = kind(value)
    with error:
        NDLater(NDData(np.ones((2, 3)), uncertainty=kind(value)))
    with error:
        DataFile("a.fits", mode="new").append(
            NDData(np.ones((2, 3)), uncertainty=kind(value))
        )
    with pytest.raises(TypeError, match="variances must be numbers"):
        ndd.uncertainty.array = value
    assert ndd.variance.dtype == float


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (np.full((2, 3), "1"), TypeError),
        (np.zeros((2, 3), "M8[s]"), TypeError),
        (np.full((2, 3), 1.5), ShapeError),
        (np.full((2, 3), -1.0), ShapeError),
    ],
)
def test_flags_of_other_nddata_are_checked_as_those_that_are_set(flags, error):
    ccd = CCDData(np.ones((2, 3)), unit="adu", flags=flags)
    with pytest.raises(error, match="flags "):
        NDLater(ccd)


def test_wide_flags_of_other_nddata_keep_their_bits():
    ccd = CCDData(np.ones((2, 3)), unit="adu", flags=np.full((2, 3), 2.0**17))
    assert (NDLater(ccd).flags == 2**17).all()


@pytest.mark.parametrize(
    "kind", [VarianceUncertainty, StdDevUncertainty, InverseVariance]
)
def test_uncertainty_without_an_array_is_none(kind):
    ndd = NDLater(np.ones((2, 3)), variance=np.ones((2, 3)))
    ndd.uncertainty = kind(None)
    assert ndd.variance is None
    assert ndd.uncertainty is None
    assert not NDLater(np.ones((2, 3)), uncertainty=kind()).has("uncertainty")
    other = NDData(np.ones((2, 3)), uncertainty=kind(unit="adu2"))
    assert not NDLater(other).has("uncertainty")


def test_uncertainty_whose_array_is_set_to_none_is_no_more():
    ndd = NDLater(np.ones((2, 3)), variance=np.ones((2, 3)))
    uncertainty = ndd.uncertainty
    uncertainty.array = None
    assert uncertainty.array is None
    assert ndd.uncertainty is None
    ndd.variance = np.full((2, 3), 2.0)
    uncertainty.array = np.zeros((2, 3))  # it is not that of the image any more
    assert (ndd.variance == 2).all()
    assert (ndd.uncertainty.array == 2).all()
