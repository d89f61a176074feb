"""NumPy's functions on images: with variance and flags, or not at all."""

import numpy as np
import pytest
from astropy import units as u

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import UnitError
from ndmapper.testing import count_reads, make_mef


@pytest.fixture
def ndd():
    data = np.arange(1, 7, dtype="f4").reshape(2, 3)
    return NDLater(data, variance=data, flags=np.eye(2, 3, dtype="u2"), unit="adu")


@pytest.mark.parametrize("name", ["mean", "sum", "min", "max"])
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_reductions_are_those_of_the_image(ndd, name, axis):
    func = getattr(np, name)
    wanted = getattr(ndd, name)(axis)
    for made in (func(ndd, axis), func(ndd, axis=axis)):
        np.testing.assert_array_equal(made.data, wanted.data)
        assert made.unit == u.adu
        assert made.has("uncertainty") == wanted.has("uncertainty")


def test_mean_is_a_number_as_published(ndd):
    assert abs(np.mean(ndd) - 3.75) < 1e-6
    assert float(np.mean(ndd)) == 3.75
    assert np.mean(ndd).variance == (2 + 3 + 4 + 6) / 16


def test_median_leaves_out_masked_pixels_and_makes_up_no_variance(ndd):
    bare = ndd.replace(variance=None)
    assert np.median(bare).data == 3.5
    assert np.median(bare, axis=0).data.tolist() == [4, 2, 4.5]
    with pytest.raises(TypeError, match="variance of a median"):
        np.median(ndd)


REFUSED = {
    "add": lambda x: np.add(x, 1), "sqrt": np.sqrt, "isnan": np.isnan,
    "reduce": np.add.reduce, "std": np.std, "clip": lambda x: np.clip(x, 0, 1),
    "where": lambda x: np.where(np.ones((2, 3)) > 1, x, 0),
    "stack": lambda x: np.stack([x, x]),
    "concatenate": lambda x: np.concatenate([x, x]), "nanmean": np.nanmean,
    "percentile": lambda x: np.percentile(x, 50), "transpose": np.transpose,
    "out": lambda x: np.add(np.ones((2, 3)), x, out=np.ones((2, 3))),
    "keepdims": lambda x: np.sum(x, keepdims=True),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_drop_the_variance_is_refused(ndd, name):
    with pytest.raises(TypeError, match="NDLater"):
        REFUSED[name](ndd)


@pytest.mark.parametrize("name", [*REFUSED, "mean", "median"])
@pytest.mark.parametrize("kind", [DataFile, DataFileList])
def test_of_files_too(ndd, kind, name):
    files = kind(data=ndd)
    with pytest.raises(TypeError, match=kind.__name__ + "|NDLater"):
        REFUSED.get(name, getattr(np, name, None))(files)


def test_questions_about_files_are_answered(ndd):
    df = DataFile(data=ndd)
    assert np.shape(df) == (1, 2, 3)
    assert np.array_equal(df, [ndd.data])
    assert (np.ones((2, 3)) + df)[0].flags.tolist() == ndd.flags.tolist()


def test_questions_are_answered(ndd):
    assert np.argmax(ndd) == 5
    assert np.array_equal(ndd, ndd.data)
    assert np.count_nonzero(ndd) == 6
    assert np.asarray(ndd.replace(flags=None)).tolist() == ndd.data.tolist()


def test_shape_is_known_without_reading(tmp_path):
    ndd = DataFile(make_mef(tmp_path / "a.fits", n_ext=1))[0]
    with count_reads() as reads:
        assert np.shape(ndd) == ndd.shape
        assert (np.ndim(ndd), np.size(ndd)) == (ndd.ndim, ndd.size)
    assert reads.reads == 0


def test_comparisons_are_of_the_pixels(ndd):
    wanted = ndd.data > 2
    for made in (
        ndd > 2,
        ndd > 2,
        ndd > 2 * u.adu,
        ndd > np.full((2, 3), 2),
        ~(ndd <= 2),
    ):
        np.testing.assert_array_equal(made, wanted)
    np.testing.assert_array_equal(ndd >= 2, ndd.data >= 2)
    np.testing.assert_array_equal(np.ones((2, 3)) < ndd, ndd.data > 1)
    with pytest.raises(UnitError):
        _ = ndd > 2 * u.s
    with pytest.raises(TypeError):
        _ = ndd > "2"
    with pytest.raises(TypeError, match="6 pixels"):
        float(ndd)


def test_absolute_values_keep_the_rest(ndd):
    made = abs(ndd * -1)
    np.testing.assert_array_equal(made.data, ndd.data)
    np.testing.assert_array_equal(made.variance, ndd.variance)
    assert made.unit == u.adu
    assert made.has("flags")


MASKED = {
    "array": np.ma.array, "masked_array": np.ma.masked_array, "asarray": np.ma.asarray,
    "asanyarray": np.asanyarray, "invalid": np.ma.masked_invalid,
}  # fmt: skip


@pytest.mark.parametrize("name", MASKED)
def test_masked_arrays_are_made_with_the_mask(ndd, name):
    made = MASKED[name](ndd)
    assert made.mask.tolist() == ndd.mask.tolist()
    assert made.mean() == np.mean([2, 3, 4, 6])
    assert repr(made.copy())
    made[0, 2] = np.ma.masked
    assert made.filled(0).tolist() == [[0, 2, 0], [4, 0, 6]]
    assert ndd.flags.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_functions_of_masked_arrays_heed_the_mask(ndd):
    assert np.ma.mean(ndd) == 3.75
    assert np.ma.sum(ndd, axis=0).tolist() == [4, 2, 9]
    assert np.ma.median(ndd) == 3.5
    assert np.ma.array([ndd, ndd]).mask.sum() == 4
    assert np.ma.getmask(ndd).tolist() == ndd.mask.tolist()
    assert (np.ma.ones((2, 3)) < ndd).mask.tolist() == ndd.mask.tolist()
    assert np.ma.mean(NDLater(3.0, flags=1)) is np.ma.masked


def test_arrays_are_of_the_pixels_alone(ndd):
    for made in (np.asarray(ndd), np.array(ndd, dtype="i4"), np.array([ndd])[0]):
        assert type(made) is np.ndarray
        assert made.tolist() == ndd.data.tolist()
    bare = ndd.replace(flags=None)
    assert type(np.asanyarray(bare)) is np.ndarray
    assert np.ma.getmask(bare) is np.ma.nomask
    assert np.ma.mean(bare) == 3.5
