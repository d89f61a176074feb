import numpy as np
import pytest

from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import IdentError, ParameterError, ShapeError, UnitError
from ndmapper.lib.combine import combine, combine_ndds, make_bias
from ndmapper.numerics import combine as combining
from ndmapper.testing import count_reads


def frames(n, shape=(30, 20), **parts):
    rng = np.random.default_rng(51)
    return [NDLater(rng.normal(100, 3, shape), ident=1, **parts) for _ in range(n)]


@pytest.mark.parametrize("method", ["mean", "median", "sigclip"])
def test_combine_ndds_has_pulls_of_width_one(method):
    ndds = frames(5, (200, 200), variance=np.full((200, 200), 9.0))
    result = combine_ndds(ndds, method=method)
    pulls = (result.data - 100) / np.sqrt(result.variance)
    # 40000 pixels: 0.35 per cent.
    assert pulls.std() == pytest.approx(1, abs=0.015)


def test_combine_ndds_one_without_variance_uses_the_scatter():
    ndds = frames(4, variance=np.full((30, 20), 1e6))
    result = combine_ndds([*ndds, *frames(1)])
    assert result.variance.max() < 1e3


def test_combine_ndds_of_one_frame_without_variance_has_none():
    assert combine_ndds(frames(1)).variance is None


def test_combine_ndds_keeps_header_and_unit_of_the_first():
    ndds = frames(3, unit="adu")
    ndds[0].meta["OBJECT"] = "first"
    result = combine_ndds(ndds)
    assert (result.meta["OBJECT"], result.unit.to_string()) == ("first", "adu")
    assert result.meta["NCOMBINE"] == 3


def test_combine_ndds_flagged_pixel_is_left_out():
    ndds = frames(3)
    ndds[1].data[2, 3] = 1e6
    ndds[1].flags = np.zeros((30, 20), "u2")
    ndds[1].flags[2, 3] = 4
    result = combine_ndds(ndds, method="mean")
    assert result.data[2, 3] < 200
    assert result.flags[2, 3] == 0


def test_combine_ndds_of_other_shape_names_the_file():
    with pytest.raises(ShapeError, match=r"b\.fits has shape"):
        combine_ndds(frames(1) + frames(1, (3, 4)), names=["a.fits", "b.fits"])


def test_combine_ndds_of_other_unit_raises():
    with pytest.raises(UnitError, match="electron"):
        combine_ndds(frames(1, unit="adu") + frames(1, unit="electron"))


def test_make_bias_pairs_extensions_by_ident(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, order in (("a.fits", (1, 2)), ("b.fits", (2, 1))):
        groups = [NDLater(np.full((4, 4), 10.0 * i), ident=i) for i in order]
        DataFile(name, data=groups, mode="new").save()
    bias = make_bias(["a.fits", "b.fits"], bias="bias.fits", method="mean")
    assert [ndd.data[0, 0] for ndd in bias] == [10, 20]


def test_make_bias_of_other_extensions_raises():
    files = [DataFile(data=[NDLater(np.ones((2, 2)), ident=i)]) for i in (1, 2)]
    with pytest.raises(IdentError, match="combine files with the same extensions"):
        make_bias.func(DataFileList(data=files))


def test_combine_scales_the_frames():
    files = [DataFile(data=[NDLater(np.full((2, 2), v))]) for v in (1.0, 2.0)]
    (result,) = combine.func(DataFileList(data=files), scale=[1, 0.5], method="mean")
    assert result.data.tolist() == [[1, 1], [1, 1]]


def test_combine_ndds_reads_each_file_by_rows(tmp_path):
    # 1500 x 1500 pixels of three frames are taken a few hundred rows at a time.
    names = []
    for number in range(3):
        path = tmp_path / f"{number}.fits"
        data = np.full((1500, 1500), number, "i2")
        DataFile(path, data=[NDLater(data)], mode="new").save()
        names.append(path)
    ndds = [DataFile(path)[0] for path in names]
    with count_reads() as counted:
        result = combine_ndds(ndds, method="median")
    assert result.data[-1, -1] == 1
    assert counted.reads > 3
    # Some of the rows are read before, since they tell the noise of all.
    assert 1 <= counted.bytes / (3 * 1500 * 1500 * 2) < 1.05


@pytest.mark.parametrize("ending", ["fits.gz", "fits.bz2"])
def test_combine_ndds_of_compressed_frames_reads_each_once(tmp_path, ending):
    rng = np.random.default_rng(5)
    arrays = rng.integers(900, 1100, (3, 700, 300)).astype("u2")
    names = [tmp_path / f"{n}.{ending}" for n in range(3)]
    for path, array in zip(names, arrays, strict=True):
        DataFile(path, data=[NDLater(array)], mode="new").save()
    ndds = [DataFile(path)[0] for path in names]
    with count_reads() as counted:
        result = combine_ndds(ndds, method="mean")
    np.testing.assert_allclose(result.data, arrays.mean(axis=0), rtol=1e-6)
    assert (counted.reads, counted.bytes) == (3, arrays.nbytes)


def test_combine_ndds_of_broadcast_operations_computes_each_once(tmp_path):
    rng = np.random.default_rng(6)
    arrays = rng.normal(100, 3, (3, 700, 300)).astype("f4")
    for number, array in enumerate(arrays):
        DataFile(tmp_path / f"{number}.fits", data=[NDLater(array)], mode="new").save()
    DataFile(tmp_path / "row.fits", data=[NDLater(arrays[0, :1])], mode="new").save()
    row = DataFile(tmp_path / "row.fits")[0]
    ndds = [DataFile(tmp_path / f"{n}.fits")[0] - row for n in range(3)]
    with count_reads() as counted:
        result = combine_ndds(ndds, method="mean")
    expected = (arrays - arrays[0, :1]).mean(axis=0)
    np.testing.assert_allclose(result.data, expected, atol=1e-4)
    assert counted.bytes <= arrays.nbytes + 4 * row.data.nbytes


def test_combine_ndds_high_flags_leave_out_the_pixel_and_are_kept():
    ndds = frames(3, (1, 2))
    for ndd in ndds:
        ndd.flags = np.array([[0, 1 << 20]], "i4")
    ndds[0].flags[0, 0] = 1 << 20
    ndds[0].data[0, 0] = 1e6
    result = combine_ndds(ndds, method="mean")
    assert result.data[0, 0] < 200
    assert result.flags.tolist() == [[0, 1 << 20]]
    assert result.mask.tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("kind", "expected"), [("f8", "f8"), ("i4", "f8"), ("u2", "f4"), ("f4", "f4")]
)
def test_combine_ndds_is_as_wide_as_its_frames(kind, expected):
    value = {"u2": 65535, "f4": 1.5}.get(kind, 2**24 + 1)
    ndds = [NDLater(np.full((3, 4), value, kind)) for _ in range(3)]
    result = combine_ndds(ndds)
    assert result.data.dtype == expected
    assert np.all(result.data == value)


def test_combine_ndds_of_one_wide_frame_is_wide():
    result = combine_ndds([*frames(1), NDLater(np.ones((30, 20), "f4"))])
    assert result.data.dtype == np.float64


def test_combine_of_nothing_raises():
    with pytest.raises(ParameterError, match="no images to combine"):
        combine_ndds([])
    with pytest.raises(ParameterError, match="no files to combine"):
        combine.func(DataFileList())


@pytest.mark.parametrize("factor", [-1.0, 0.0, np.nan, np.inf])
def test_combine_ndds_scale_must_be_positive(factor):
    with pytest.raises(ParameterError, match=r"b\.fits has the scale"):
        combine_ndds(frames(2), scale=[1, factor], names=["a.fits", "b.fits"])


def exposures(**cards):
    """Make a file for each value of the keywords."""
    files = []
    for values in zip(*cards.values(), strict=True):
        df = DataFile(data=[NDLater(np.ones((4, 4)))])
        df.meta.update(
            {k: v for k, v in zip(cards, values, strict=True) if v is not None}
        )
        files.append(df)
    return DataFileList(data=files)


@pytest.mark.parametrize(
    ("keyword", "values", "name"),
    [
        ("EXPTIME", (10.0, 30.0), "exptime"),
        ("FILTER", ("R", "V"), "filter"),
        ("CCDSUM", ("1 1", "2 2"), "binning"),
        ("GAIN", (1.0, 2.0), "gain_setting"),
    ],
)
def test_combine_of_frames_taken_differently_raises(keyword, values, name):
    files = exposures(**{keyword: values})
    with pytest.raises(ParameterError, match=rf"file 2 has {name} = .*file 1 has"):
        combine.func(files)
    (allowed,) = combine.func(files, mixed=name)
    assert allowed.data[0, 0] == 1


def test_combine_of_other_exposure_times_is_allowed_by_a_scale():
    (result,) = combine.func(exposures(EXPTIME=(10.0, 30.0)), scale=[1, 1])
    assert result.data[0, 0] == 1


def test_combine_of_files_without_keywords_compares_what_there_is():
    files = exposures(EXPTIME=(None, 10.0, 10.01), FILTER=("R", None, "R"))
    (result,) = combine.func(files)
    assert result.meta["NCOMBINE"] == 3


def test_combine_mixed_in_what_is_not_known_raises():
    with pytest.raises(ParameterError, match="none of"):
        combine.func(exposures(FILTER=("R",)), mixed=["filtre"])


@pytest.mark.parametrize("compiled_from", [0, 1 << 60])
def test_combine_ndds_of_negative_variances_leaves_them_out(compiled_from, monkeypatch):
    monkeypatch.setattr(combining, "COMPILED_FROM", compiled_from)
    given = frames(5)
    given[0].data[:] = 1e6
    for one in given:
        one.variance = np.full((30, 20), 100.0)
    given[0].variance[:, 10:] = -1
    for method in ("mean", "weighted", "median"):
        made = combine_ndds(given, method=method)
        assert (made.variance > 0).all()
        assert (made.data[:, 10:] < 1e4).all()
    for one in given:
        one.variance = np.full((30, 20), -1.0)
    made = combine_ndds(given)
    assert np.isnan(made.variance).all()
    assert (made.flags == Flag.NO_DATA).all()


def test_combine_ndds_minmax_that_leaves_nothing_is_refused():
    with pytest.raises(ParameterError, match="of 3 frames nothing is left"):
        combine_ndds(frames(3), method="mean", reject="minmax", nlow=2, nhigh=1)


def test_combine_ndds_of_a_sum_that_is_too_large_is_wide():
    given = [NDLater(np.full((3, 4), 3e38, np.float32)) for _ in range(5)]
    made = combine_ndds(given, method="sum")
    assert made.dtype == np.float64
    np.testing.assert_allclose(made.data, 1.5e39, rtol=1e-6)


@pytest.mark.parametrize("tiny", [0.0, 1e-9])
def test_weighted_mean_of_one_frame_alone_is_refused(tiny):
    ndds = frames(3, variance=np.full((30, 20), 9.0))
    ndds[1].variance = np.full((30, 20), tiny)
    with pytest.raises(ParameterError, match=r"variance of b\.fits .*add_variance"):
        combine_ndds(ndds, method="weighted", names=["a.fits", "b.fits", "c.fits"])
    combine_ndds(ndds, method="weighted", weights=[1, 1, 1])


def test_weighted_mean_of_frames_without_any_noise_has_equal_weights():
    ndds = frames(3, variance=np.zeros((30, 20)))
    result = combine_ndds(ndds, method="weighted")
    np.testing.assert_allclose(result.data, np.mean([n.data for n in ndds], axis=0))


def test_weighted_mean_of_very_unequal_frames_is_made():
    ndds = frames(2, variance=np.full((30, 20), 9.0))
    ndds[1].variance = np.full((30, 20), 9e3)
    result = combine_ndds(ndds, method="weighted")
    np.testing.assert_allclose(result.variance, 9 / 1.001, rtol=1e-3)


@pytest.mark.parametrize(
    ("reject", "n", "is_short"),
    [
        ("sigclip", 17, True), ("sigclip", 18, False), ("percentile", 4, True),
        ("percentile", 5, False), ("noise", 3, False),
    ],
)  # fmt: skip
def test_rejection_that_can_find_nothing_in_so_few_frames_says_so(
    reject, n, is_short, caplog
):
    ndds = frames(n)
    ndds[0].data[3, 4] = 1e6
    result = combine_ndds(ndds, method="mean", reject=reject)
    assert ("leaves nothing out of" in caplog.text) == is_short
    assert (result.data[3, 4] > 1000) == is_short
